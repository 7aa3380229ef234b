//! The forms in which the sidecar asks, delivers and is answered.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bus::dapr::Status;
use crate::config::Config;
use crate::events::EventType;

/// Where one event is delivered; its type follows.
pub(super) const ONE: &str = "/events/one/";
/// Where a batch is delivered.
pub(super) const MANY: &str = "/events/many/";

/// A topic that is heard.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscription {
    #[serde(rename = "pubsubname")]
    pubsub_name: String,
    topic: String,
    route: String,
    /// Where the sidecar puts what will never work.
    dead_letter_topic: String,
    metadata: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bulk_subscribe: Option<BulkSubscribe>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BulkSubscribe {
    enabled: bool,
    max_messages_count: u32,
    max_await_duration_ms: u128,
}

impl Subscription {
    /// A busy topic comes in batches: one waits for the time of a batch, and many cost little. A
    /// rare one comes at once.
    pub(super) fn new(event_type: EventType, config: &Config) -> Self {
        let prefix = &config.bus.topic_prefix;
        let bulk = event_type.is_busy().then_some(BulkSubscribe {
            enabled: true,
            max_messages_count: config.bus.batch_max,
            max_await_duration_ms: config.dapr.bulk_wait.as_millis(),
        });
        let place = if bulk.is_some() { MANY } else { ONE };
        Self {
            pubsub_name: config.dapr.pubsub.clone(),
            topic: event_type.topic(prefix),
            route: format!("{place}{event_type}"),
            dead_letter_topic: event_type.dead_letter_topic(prefix),
            // Without it the sidecar reads each event by itself, and writes it anew: digits are
            // lost, and what it cannot read never comes here.
            metadata: BTreeMap::from([("rawPayload", "true")]),
            bulk_subscribe: bulk,
        }
    }
}

/// What is said of one event.
#[derive(Serialize)]
pub(super) struct Answer {
    status: &'static str,
}

impl Answer {
    pub(super) fn new(status: Status) -> Self {
        Self {
            status: word(status),
        }
    }
}

/// What is said of a batch.
#[derive(Serialize)]
pub(super) struct Answers<'a> {
    statuses: Vec<EntryAnswer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryAnswer<'a> {
    entry_id: &'a str,
    status: &'static str,
}

impl<'a> Answers<'a> {
    pub(super) fn new(ids: &'a [String], statuses: &[Status]) -> Self {
        let answer = |(entry_id, status): (&'a String, &Status)| EntryAnswer {
            entry_id,
            status: word(*status),
        };
        Self {
            statuses: ids.iter().zip(statuses).map(answer).collect(),
        }
    }
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Success => "SUCCESS",
        Status::Retry => "RETRY",
        Status::Drop => "DROP",
    }
}

#[derive(Deserialize)]
struct Wrapped {
    data_base64: String,
}

/// The event of a delivery of one: the sidecar wraps a raw payload into an envelope of its own.
/// What is not wrapped is the event itself.
pub(super) fn payload_of_one(body: &[u8]) -> Vec<u8> {
    let wrapped = serde_json::from_slice::<Wrapped>(body).ok();
    let payload = wrapped.and_then(|wrapped| STANDARD.decode(wrapped.data_base64).ok());
    payload.unwrap_or_else(|| body.to_vec())
}

/// The events of a delivery of many.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) ids: Vec<String>,
    pub(super) payloads: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
struct Entries {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    entry_id: String,
    #[serde(default)]
    event: Value,
}

/// Reads a batch.
///
/// # Errors
/// It is not what the sidecar sends.
pub(super) fn batch(body: &[u8]) -> Result<Batch, serde_json::Error> {
    let Entries { entries } = serde_json::from_slice(body)?;
    let split = |entry: Entry| (entry.entry_id, payload_of_entry(&entry.event));
    let (ids, payloads) = entries.into_iter().map(split).unzip();
    Ok(Batch { ids, payloads })
}

/// A raw payload comes as a text in base 64. What is none is the event itself.
fn payload_of_entry(event: &Value) -> Vec<u8> {
    let raw = event.as_str().and_then(|text| STANDARD.decode(text).ok());
    raw.unwrap_or_else(|| event.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Answer, Answers, Batch, Subscription, batch, payload_of_one};
    use crate::bus::dapr::Status;
    use crate::config::{Config, LoadArgs};
    use crate::events::EventType;

    #[test]
    fn busy_topics_come_in_batches_and_rare_ones_at_once() {
        let args = LoadArgs::new().flag("bus.topic_prefix", "p.", "--set");
        let config = Config::load(&args).expect("good settings").config;
        let asked = |event_type| {
            serde_json::to_value(Subscription::new(event_type, &config)).expect("JSON")
        };
        assert_eq!(
            asked(EventType::TransactionCreated),
            json!({
                "pubsubname": "pubsub",
                "topic": "p.finance.transaction.created",
                "route": "/events/many/finance.transaction.created",
                "deadLetterTopic": "p.dlq.finance.transaction.created",
                "metadata": {"rawPayload": "true"},
                "bulkSubscribe": {"enabled": true, "maxMessagesCount": 200, "maxAwaitDurationMs": 2}
            })
        );
        let rare = asked(EventType::BudgetExceeded);
        assert_eq!(rare["route"], "/events/one/finance.budget.exceeded");
        assert_eq!(rare.get("bulkSubscribe"), None);
    }

    #[test]
    fn an_event_comes_out_of_the_sidecars_envelope_byte_for_byte() {
        let body = br#"{"id":"1","source":"Dapr","data_base64":"eyJhIjoxfQD/","topic":"t"}"#;
        assert_eq!(payload_of_one(body), b"{\"a\":1}\0\xff");
        let empty = br#"{"data_base64":""}"#;
        assert_eq!(payload_of_one(empty), b"");
        for body in [
            &br#"{"specversion":"1.0"}"#[..],
            br#"{"data_base64":"?"}"#,
            b"x",
        ] {
            assert_eq!(payload_of_one(body), body);
        }
    }

    #[test]
    fn a_batch_is_read_in_its_order() {
        let body = br#"{"id":"","topic":"t","entries":[
            {"entryId":"0","event":"eyJhIjoxfQ==","contentType":"application/octet-stream"},
            {"entryId":"1","event":{"a":1}},
            {"entryId":"2"}
        ]}"#;
        let expected = Batch {
            ids: vec!["0".to_owned(), "1".to_owned(), "2".to_owned()],
            payloads: vec![
                b"{\"a\":1}".to_vec(),
                b"{\"a\":1}".to_vec(),
                b"null".to_vec(),
            ],
        };
        assert_eq!(batch(body).expect("a batch"), expected);
        assert!(batch(b"[]").is_err());
    }

    #[test]
    fn the_sidecar_is_answered_in_its_words() {
        let ids = ["0".to_owned(), "1".to_owned()];
        let answers = Answers::new(&ids, &[Status::Success, Status::Drop]);
        assert_eq!(
            serde_json::to_value(answers).expect("JSON"),
            json!({"statuses": [
                {"entryId": "0", "status": "SUCCESS"}, {"entryId": "1", "status": "DROP"}
            ]})
        );
        let answer = serde_json::to_value(Answer::new(Status::Retry)).expect("JSON");
        assert_eq!(answer, json!({"status": "RETRY"}));
    }
}
