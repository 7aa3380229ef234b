//! The whole way over topics: three processes, one role each.

use serde_json::{Value, json};
use wealth_companion::app::Role;
use wealth_companion::events::EventType;
use wealth_companion::store::audit::Audit;
use wealth_companion::store::event_log::LogPosition;

use crate::support::kafka::Kafka;
use crate::support::recount::recount_of;
use crate::support::{Answer, Chain, until};
use wealth_companion::clock::Clock;

#[tokio::test]
async fn a_booking_becomes_an_alert_on_the_stream() {
    let kafka = Kafka::new().await;
    let api = kafka.start(&[Role::Api]).await;
    let projector = kafka.start(&[Role::Projector]).await;
    let notifier = kafka.start(&[Role::Notifier]).await;
    let ada = api.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let food = ada.category("Groceries").await;
    ada.budget(&[&food], "100.00").await;
    let mut stream = ada.follow(None).await;
    let today = Clock::system().now().date_naive().to_string();
    ada.spend(&wallet, &food, "70.00", &today).await;
    let last = ada.spend(&wallet, &food, "40.00", &today).await;

    let mut thresholds = Vec::new();
    for _ in 0..2 {
        let (_, alert) = stream.alert().await.expect("an alert");
        thresholds.push(alert["details"]["threshold"].as_u64().expect("a threshold"));
    }
    thresholds.sort_unstable();
    assert_eq!(thresholds, [80, 100]);
    let month = format!("/v1/dashboard?month={}", &today[..7]);
    let dashboard = ada.get_after(&month, &last).await;
    assert_eq!(
        dashboard.body["spending"], "110.00",
        "a client reads its own writes"
    );

    // What was published is what any CloudEvents consumer reads, in one partition for each user.
    until("the alerts are published", || async {
        kafka.read(&kafka.topic(EventType::AlertSent)).await.len() == 2
    })
    .await;
    let created = kafka
        .read(&kafka.topic(EventType::TransactionCreated))
        .await;
    assert_eq!(created.len(), 2);
    for record in &created {
        assert_eq!(record.key_text(), Some(ada.id.as_str()));
        assert_eq!(
            record.header("content-type"),
            Some("application/cloudevents+json; charset=utf-8")
        );
        assert_eq!(record.partition, created[0].partition);
        let event: Value =
            serde_json::from_slice(record.value.as_deref().expect("a value")).expect("JSON");
        assert_eq!(event["type"], "finance.transaction.created");
        assert_eq!(event["data"]["userId"], ada.id.as_str());
    }

    let store = kafka.store().await;
    until("all is handled", || async {
        let audit = Audit::new(&store)
            .run(false, Clock::system().now(), |_| {})
            .await;
        audit.expect("it counts").is_complete()
    })
    .await;
    recount_of(&store).await.agrees();
    for role in [api, projector, notifier] {
        role.stop().await;
    }
    // What they have done is noted, so whoever comes next does not do it again.
    let lag = kafka.run(&["events", "lag", "--json"]).await.ended(0);
    assert_eq!(lag.json()["total"], 0, "{lag:?}");
}

#[tokio::test]
async fn what_a_sidecar_publishes_is_heard() {
    let kafka = Kafka::new().await;
    let chain = kafka.chain().await;
    let ada = chain.household("ada").await;
    chain.spend(ada, "10.00", "2026-11-10").await;
    let entry = chain.log().await.remove(0);
    // Written anew with the attributes and the headers of a sidecar.
    let mut event: Value = serde_json::from_str(&entry.envelope).expect("JSON");
    for (key, value) in [
        ("topic", json!(entry.topic)),
        ("pubsubname", json!("pubsub")),
        ("traceid", event["traceparent"].clone()),
        ("tracestate", json!("")),
    ] {
        event[key] = value;
    }
    let topic = kafka.topic(EventType::TransactionCreated);
    let (key, value) = (ada.user_id.to_string(), event.to_string());
    let headers = [("partitionKey", key.as_str()), ("traceparent", "")];
    kafka
        .write_with(
            &topic,
            Some(key.as_bytes()),
            Some(value.as_bytes()),
            &headers,
        )
        .await;
    let projector = kafka.start(&[Role::Projector]).await;
    until("it is counted once, by whichever way", || async {
        let recount = recount_of(&chain.store).await;
        recount.differences.is_empty() && recount.transactions == 1
    })
    .await;
    projector.stop().await;
}

#[tokio::test]
async fn a_write_is_waited_for_though_a_later_one_is_counted() {
    let kafka = Kafka::new().await;
    let api = kafka.start(&[Role::Api]).await;
    let chain = kafka.quiet_chain().await;
    let ada = api.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0.00").await;
    let food = ada.category("Groceries").await;
    let first = ada.spend(&wallet, &food, "1.00", "2026-02-10").await;
    let second = ada.spend(&wallet, &food, "2.00", "2026-02-10").await;
    let place = |answer: &Answer| -> LogPosition {
        let text = answer.header("x-log-position");
        text.parse().expect("a place in the log")
    };
    let mut events = Chain::deliveries(&chain.log().await);
    assert_eq!(events.len(), 2);
    let month = "/v1/dashboard?month=2026-02";

    let later = events.split_off(1);
    chain.projector.take(later).await.expect("handled");
    let shown = ada.get_after(month, &first).await;
    assert_eq!(shown.body["spending"], "2.00");
    assert!(
        place(&shown) < place(&first),
        "it says that it is not there"
    );
    let shown = ada.get_after(month, &second).await;
    assert_eq!(place(&shown), place(&second));

    chain.projector.take(events).await.expect("handled");
    let shown = ada.get_after(month, &first).await;
    assert_eq!(shown.body["spending"], "3.00");
    assert!(place(&shown) >= place(&first));
}
