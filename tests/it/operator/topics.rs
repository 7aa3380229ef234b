//! `events topics`: what is missing is made, what differs is changed, nothing is taken away.

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use serde_json::{Value, json};
use wealth_companion::events::EventType;

use wealth_companion::kafka::topics::Topics;

use crate::support::kafka::Kafka;
use crate::support::until;

fn admin(kafka: &Kafka) -> AdminClient<DefaultClientContext> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", kafka.config().kafka.brokers);
    settings.create().expect("a client")
}

/// What a topic needs, and what differs.
async fn planned(kafka: &Kafka, topic: &str, more: &[&str]) -> (Value, Vec<Value>) {
    let args = [&["events", "topics", "plan", "--json"], more].concat();
    let plan = kafka.run(&args).await.ended(0).json();
    let topics = plan["topics"].as_array().expect("topics").clone();
    let found = topics.into_iter().find(|it| it["topic"] == topic);
    let found = found.expect("the topic");
    let differences = found["differences"]
        .as_array()
        .expect("differences")
        .clone();
    (found["need"].clone(), differences)
}

#[tokio::test]
async fn topics_are_planned_made_checked_and_changed() {
    let kafka = Kafka::without_topics(&[]);
    let created = kafka.topic(EventType::TransactionCreated);
    let nothing = kafka.run(&["events", "topics", "check"]).await.ended(1);
    nothing.with("of 15 topics: 15 to make");
    let (need, differences) = planned(&kafka, &created, &[]).await;
    assert_eq!((need, differences.len()), (json!("made"), 7));

    // Nobody is there to answer, so nothing is done.
    let asked = kafka.run(&["events", "topics", "apply"]).await.ended(1);
    asked.with("nothing was done: add --yes");
    kafka.run(&["events", "topics", "check"]).await.ended(1);

    let applied = kafka
        .run(&["events", "topics", "apply", "--yes"])
        .await
        .ended(0);
    assert_eq!(applied.text.matches("\nmade  ").count(), 15, "{applied:?}");
    kafka
        .run(&["events", "topics", "check"])
        .await
        .ended(0)
        .with("all 15 topics are as they should be");
    let again = kafka
        .run(&["events", "topics", "apply", "--yes"])
        .await
        .ended(0);
    again.with("all 15 topics are as they should be");

    // Somebody sets what we do not care about, and changes what we do.
    let changed = AlterConfig::new(ResourceSpecifier::Topic(&created))
        .set("retention.ms", "60000")
        .set("max.message.bytes", "1114112")
        .set("flush.messages", "777");
    let altered = admin(&kafka)
        .alter_configs([&changed], &AdminOptions::new())
        .await;
    altered.expect("an answer")[0].as_ref().expect("altered");
    let more = ["--set", "kafka.partitions=5"];
    let (need, differences) = planned(&kafka, &created, &more).await;
    assert_eq!(need, "changed");
    let settings: Vec<&Value> = differences.iter().map(|it| &it["setting"]).collect();
    assert_eq!(settings, ["partitions", "retention.ms", "segment.ms"]);
    assert_eq!(
        (&differences[1]["is"], &differences[1]["should_be"]),
        (&json!("60000"), &json!("604800000"))
    );
    kafka
        .run(&["events", "topics", "check"])
        .await
        .ended(1)
        .with("60000");
    let args = [&["events", "topics", "apply", "--yes"][..], &more].concat();
    kafka.run(&args).await.ended(0).with("changed  ");
    let args = [&["events", "topics", "check"][..], &more].concat();
    kafka.run(&args).await.ended(0);
    let asked = [ResourceSpecifier::Topic(&created)];
    let described = admin(&kafka)
        .describe_configs(&asked, &AdminOptions::new())
        .await;
    let described = described.expect("an answer").remove(0).expect("described");
    let others = described
        .get("flush.messages")
        .expect("a setting")
        .value
        .clone();
    assert_eq!(
        others.as_deref(),
        Some("777"),
        "what we do not care about stays"
    );

    // Partitions cannot be taken away: that is said, and left.
    let (need, differences) = planned(&kafka, &created, &[]).await;
    assert_eq!((need, differences.len()), (json!("by_hand"), 1));
    let left = kafka
        .run(&["events", "topics", "apply", "--yes"])
        .await
        .ended(1);
    left.with("partitions cannot be taken away");
}

#[tokio::test]
async fn a_topic_that_was_made_by_others_is_brought_to_what_it_should_be() {
    let kafka = Kafka::without_topics(&[]);
    let created = kafka.topic(EventType::TransactionCreated);
    let other =
        NewTopic::new(&created, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    let made = admin(&kafka)
        .create_topics([&other], &AdminOptions::new())
        .await;
    made.expect("an answer")[0].as_ref().expect("made");
    until("it is there", || async {
        let topics = Topics::new(&kafka.config().kafka).expect("a client");
        let found = topics.read(std::slice::from_ref(&created)).await;
        !found.expect("an answer").is_empty()
    })
    .await;
    kafka
        .run(&["events", "topics", "apply", "--yes"])
        .await
        .ended(0)
        .with("changed  ");
    kafka.run(&["events", "topics", "check"]).await.ended(0);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_the_key_to_set() {
    let kafka = Kafka::without_topics(&[]);
    let nobody = [
        "events",
        "topics",
        "plan",
        "--set",
        "kafka.brokers=127.0.0.1:1",
        "--set",
        "kafka.timeout_ms=500",
    ];
    let refused = kafka.run(&nobody).await.ended(2);
    refused.refused("kafka.brokers: nobody answers at 127.0.0.1:1");
    let copies = [
        "events",
        "topics",
        "apply",
        "--yes",
        "--set",
        "kafka.replication=3",
    ];
    let refused = kafka.run(&copies).await.ended(2);
    refused.refused("fewer brokers than kafka.replication asks for");
}
