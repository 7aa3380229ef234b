//! What will never work ends among the dead letters and on the dead-letter topic, and nobody waits
//! for it: neither in batches nor one by one.

use std::time::Duration;

use tokio::time::Instant;
use wealth_companion::app::Role;

use crate::support::{Cluster, Person};

const CREATED: &str = "finance.transaction.created";
const EXCEEDED: &str = "finance.budget.exceeded";

/// A fresh id, a type of the catalogue, and data that are not the type's.
const WRONG_FIELDS: &str = r#"{"specversion":"1.0","id":"0b0f2f6e-6f0e-4b52-9a3c-0d1f1c1c7a11","source":"s","subject":"s","time":"2026-02-10T12:00:00Z","correlationid":"0b0f2f6e-6f0e-4b52-9a3c-0d1f1c1c7a12","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","datacontenttype":"application/json","type":"TYPE","data":{"amount":12345678901234567.89}}"#;

/// Records that no reader of ours, or none at all, can read.
fn poison(topic: &str) -> Vec<Vec<u8>> {
    let texts = [
        "no JSON",
        "",
        "null",
        r#""a text""#,
        "[]",
        "{}",
        // A sidecar that reads it takes it for long gone.
        r#"{"specversion":"1.0","expiration":"2001-01-01T00:00:00Z"}"#,
        // A sidecar that reads it panics.
        r#"{"specversion":"1.0","traceparent":5,"traceid":5}"#,
        r#"{"specversion":"1.0","id":"1","source":"s","type":"finance.transaction.undone"}"#,
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.push(WRONG_FIELDS.replace("TYPE", topic).into_bytes());
    all.push(b"\x00\xff\xfe{}".to_vec());
    all
}

/// Waits until there are so many dead letters; gives the texts of them, sorted.
async fn letters(cluster: &Cluster, topic: &str, count: usize) -> Vec<String> {
    let sql = format!("SELECT payload FROM dead_letters WHERE topic = '{topic}' ORDER BY 1");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = cluster.texts(&sql).await;
        if found.len() >= count || Instant::now() > deadline {
            assert_eq!(found.len(), count, "{found:?}");
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Writes all of it, on the partition of the person's events and on others.
async fn write(cluster: &Cluster, topic: &str, ada: &Person) -> Vec<Vec<u8>> {
    let all = poison(topic);
    for (index, payload) in all.iter().enumerate() {
        let key = match index % 2 {
            0 => ada.id.as_bytes().to_vec(),
            _ => index.to_string().into_bytes(),
        };
        cluster.topics.write(topic, &key, payload, &[]).await;
    }
    all
}

/// The letters stand in the topic as they came.
async fn assert_buried(cluster: &Cluster, topic: &str, mut expected: Vec<Vec<u8>>) {
    let dead_letters = format!("dlq.{topic}");
    let records = cluster.topics.wait_for(&dead_letters, expected.len()).await;
    let mut found: Vec<Vec<u8>> = records.into_iter().map(|record| record.payload).collect();
    // To the sidecar that is a record without a value.
    for payload in expected.iter_mut().filter(|payload| *payload == b"null") {
        payload.clear();
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn poison_of_each_kind_is_set_aside_and_the_others_flow_on() {
    let cluster = Cluster::start(&Role::ALL, &[("streams.poll_ms", "50")]).await;
    let api = &cluster.members[0].world;
    let ada = api.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    ada.budget(&[&groceries], "100.00").await;
    let today = api.clock.now().date_naive().to_string();
    let (in_batches, one_by_one) = (
        write(&cluster, CREATED, &ada).await,
        write(&cluster, EXCEEDED, &ada).await,
    );
    // Kafka has it, and no topic of letters takes it.
    let long = vec![b'x'; 2_000_000];
    for topic in [CREATED, EXCEEDED] {
        cluster
            .topics
            .write(topic, ada.id.as_bytes(), &long, &[])
            .await;
    }

    ada.spend(&wallet, &groceries, "120.00", &today).await;
    let alerts = ada.alerts(2).await;
    assert_eq!(alerts.len(), 2);
    for (topic, poison) in [(CREATED, in_batches), (EXCEEDED, one_by_one)] {
        let kept = letters(&cluster, topic, poison.len() + 1).await;
        let exact = WRONG_FIELDS.replace("TYPE", topic);
        assert!(kept.contains(&exact), "{kept:?}");
        assert_buried(&cluster, topic, poison).await;
    }
}

/// The sidecar puts keys and headers of a record that it delivers alone into headers of HTTP, which
/// do not take everything.
#[tokio::test]
async fn strange_keys_and_headers_hold_nobody_up() {
    let cluster = Cluster::start(&[Role::Notifier], &[]).await;
    for topic in [CREATED, EXCEEDED] {
        let headers = [
            ("tracestate", "é\n"),
            ("a", "\u{1}"),
            ("transfer-encoding", "x"),
            ("dapr-api-token", "x"),
            ("a name:", "x"),
        ];
        cluster.topics.write(topic, b"\n\0\xff", b"a", &[]).await;
        cluster.topics.write(topic, b"b", b"b", &headers).await;
    }
    letters(&cluster, EXCEEDED, 2).await;
}
