//! What no consumer can take: kept with the reason, on its topic of letters too, and nobody waits.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use serde_json::{Value, json};
use uuid::Uuid;
use wealth_companion::app::Role;
use wealth_companion::events::EventType;
use wealth_companion::store::event_log::LogEntry;

use crate::support::kafka::Kafka;
use crate::support::recount::recount_of;
use crate::support::until;

/// A topic that takes records of two megabytes.
async fn widen(kafka: &Kafka, topic: &str) {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", kafka.config().kafka.brokers);
    let admin: AdminClient<DefaultClientContext> = settings.create().expect("a client");
    let wide =
        AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", "4000000");
    let altered = admin.alter_configs([&wide], &AdminOptions::new()).await;
    altered.expect("an answer")[0].as_ref().expect("altered");
}

/// Writes what our own producer would not.
async fn write_large(kafka: &Kafka, topic: &str, value: &[u8]) {
    use rdkafka::producer::{FutureProducer, FutureRecord};
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", kafka.config().kafka.brokers)
        .set("message.max.bytes", "4000000");
    let producer: FutureProducer = settings.create().expect("a producer");
    let record: FutureRecord<'_, (), [u8]> = FutureRecord::to(topic).payload(value);
    let written = producer
        .send(record, std::time::Duration::from_secs(10))
        .await;
    written.expect("written");
}

fn with(entry: &LogEntry, change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut event: Value = serde_json::from_str(&entry.envelope).expect("JSON");
    change(&mut event);
    event.to_string().into_bytes()
}

#[tokio::test]
async fn each_kind_is_kept_and_the_others_go_on() {
    let kafka = Kafka::new().await;
    let created = kafka.topic(EventType::TransactionCreated);
    widen(&kafka, &created).await;
    let chain = kafka.chain().await;
    let ada = chain.household("ada").await;
    for _ in 0..4 {
        chain.spend(ada, "10.00", "2026-11-10").await;
    }
    let log = chain.log().await;
    let nobody = Uuid::from_u128(7);
    let strange = Uuid::from_u128(0x4000_8000);
    // Each in the partition of the good ones, so that it stands before them.
    let key = ada.user_id.to_string();
    let of_nobody = with(&log[0], |event| {
        event["id"] = json!(strange);
        event["data"]["userId"] = json!(nobody);
    });
    let not_for_this = with(&log[0], |event| {
        event["type"] = json!("notification.alert.sent");
    });
    let poison: [(&str, Option<&[u8]>); 6] = [
        ("EOF while parsing", None),
        ("not a CloudEvent", Some(b"\xff\xfe\x00 no text")),
        ("not a CloudEvent", Some(b"{\"specversion\":")),
        ("not a CloudEvent", Some(b"[]")),
        ("the user does not exist", Some(&of_nobody)),
        ("does not fit the type", Some(&not_for_this)),
    ];
    for (_, value) in &poison {
        kafka.write(&created, Some(key.as_bytes()), *value).await;
    }
    let large = format!(
        "{{\"specversion\":\"1.0\",\"data\":\"{}\"}}",
        "x".repeat(2 << 20)
    );
    write_large(&kafka, &created, large.as_bytes()).await;
    kafka.publish(&chain).await;

    let projector = kafka.start(&[Role::Projector]).await;
    until("all are decided", || async {
        let recount = recount_of(&chain.store).await;
        let others = recount
            .differences
            .iter()
            .filter(|it| !it.starts_with("a dead letter"));
        others.count() == 0 && chain.letters().await.len() == poison.len() + 1
    })
    .await;
    let kept = chain.letters().await;
    let reasons: Vec<&str> = kept.iter().filter_map(|it| it.reason.as_deref()).collect();
    for (reason, _) in &poison {
        assert!(
            reasons.iter().any(|kept| kept.contains(reason)),
            "{reason} is not in {reasons:?}"
        );
    }
    assert!(
        reasons
            .iter()
            .any(|kept| kept.contains("more than 1048576")),
        "{reasons:?}"
    );
    assert!(
        kept.iter()
            .all(|it| it.topic == "finance.transaction.created")
    );
    assert!(
        kept.iter().all(|it| it.payload.len() <= 1 << 20),
        "no letter is larger than an event"
    );

    // The same on the topic of letters, with where each was.
    let topic = kafka.letters(EventType::TransactionCreated);
    until("the letters are on their topic", || async {
        kafka.read(&topic).await.len() == poison.len() + 1
    })
    .await;
    for letter in kafka.read(&topic).await {
        let header = |name: &str| letter.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("dead-letter-topic"), created);
        assert_eq!(header("dead-letter-consumer"), "projector");
        assert!(!header("dead-letter-reason").is_empty());
        assert!(header("dead-letter-offset").parse::<u64>().is_ok());
        match letter.key_text() {
            Some(found) => assert_eq!(found, key),
            // What is too large for that topic is told by its headers.
            None => assert_eq!(letter.value, None),
        }
    }
    projector.stop().await;
    let lag = kafka.run(&["events", "lag", "--json"]).await.ended(0);
    assert_eq!(lag.json()["total"], 0, "{lag:?}");
}

#[tokio::test]
async fn a_missing_topic_of_letters_holds_up_nobody() {
    let kafka = Kafka::without_topics(&[("kafka.timeout_ms", "2000")]);
    let planner =
        wealth_companion::operator::topics::Planner::new(&kafka.config()).expect("a client");
    let plan = planner.plan().await.expect("a plan");
    for step in plan.steps().filter(|step| !step.topic.contains("dlq.")) {
        planner.apply(step).await.expect("a topic");
    }
    let chain = kafka.chain().await;
    let ada = chain.household("ada").await;
    chain.spend(ada, "10.00", "2026-11-10").await;
    let created = kafka.topic(EventType::TransactionCreated);
    let key = ada.user_id.to_string();
    kafka
        .write(&created, Some(key.as_bytes()), Some(b"{}"))
        .await;
    kafka.publish(&chain).await;
    let projector = kafka.start(&[Role::Projector]).await;
    until("both are decided", || async {
        let recount = recount_of(&chain.store).await;
        recount.differences.len() == 1 && recount.differences[0].starts_with("a dead letter")
    })
    .await;
    projector.stop().await;
    let lag = kafka.run(&["events", "lag", "--json"]).await.ended(0);
    assert_eq!(lag.json()["total"], 0, "{lag:?}");
}
