//! Publishes batches through the sidecar, one request for each topic.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use crate::bus::{PublishError, Publisher, all_parts};
use crate::config::Config;
use crate::dapr::Sidecar;
use crate::dapr::publish::Outgoing;
use crate::events::envelope::MEDIA_TYPE;
use crate::store::event_log::LogEntry;

/// Attempts to publish an event within one call.
const ATTEMPTS_MAX: u32 = 3;
/// Pause before events that failed are published again; grows by itself each time.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of events in one request at the most. The sidecar takes 4 MiB; a JSON text inside of a
/// JSON text is at most twice as long.
const REQUEST_BYTES_MAX: usize = 3 << 19;

/// Publishes through the sidecar.
#[derive(Debug, Clone)]
pub struct DaprPublisher {
    sidecar: Sidecar,
    pubsub: String,
    topic_prefix: String,
}

impl DaprPublisher {
    /// Publishes through this sidecar.
    #[must_use]
    pub fn new(sidecar: Sidecar, config: &Config) -> Self {
        Self {
            sidecar,
            pubsub: config.dapr.pubsub.clone(),
            topic_prefix: config.bus.topic_prefix.clone(),
        }
    }

    async fn publish_to(&self, topic: &str, entries: Vec<&LogEntry>) -> Result<(), PublishError> {
        let topic = format!("{}{topic}", self.topic_prefix);
        let mut parts = Vec::new();
        // One after the other: events of a user stay in their order.
        for request in requests(entries) {
            parts.push(self.publish_request(&topic, request).await);
        }
        all_parts(parts)
    }

    /// Publishes the events of one request, those that fail alone again.
    async fn publish_request(
        &self,
        topic: &str,
        mut left: Vec<&LogEntry>,
    ) -> Result<(), PublishError> {
        let mut attempt = 1;
        loop {
            let events: Vec<Outgoing<'_>> = left.iter().map(|entry| outgoing(entry)).collect();
            let reason = match self.sidecar.publish(&self.pubsub, topic, &events).await {
                Ok(failed) => {
                    let Some(first) = failed.first() else {
                        return Ok(());
                    };
                    let reason = format!("{topic}: {}", first.reason);
                    left = failed.iter().map(|entry| left[entry.index]).collect();
                    if attempt < ATTEMPTS_MAX {
                        tokio::time::sleep(PAUSE * attempt).await;
                        attempt += 1;
                        continue;
                    }
                    reason
                }
                // Nobody knows which: the relay comes again with all of them.
                Err(error) => format!("{topic}: {error}"),
            };
            return Err(PublishError {
                reason,
                unpublished: left.iter().map(|entry| entry.position).collect(),
            });
        }
    }
}

impl Publisher for DaprPublisher {
    fn publish<'a>(&'a self, batch: &'a [LogEntry]) -> BoxFuture<'a, Result<(), PublishError>> {
        async move {
            let by_topic = by_topic(batch).into_iter();
            let all = by_topic.map(|(topic, entries)| self.publish_to(topic, entries));
            all_parts(join_all(all).await)
        }
        .boxed()
    }
}

fn outgoing(entry: &LogEntry) -> Outgoing<'_> {
    Outgoing {
        key: entry.user_id.to_string(),
        payload: &entry.envelope,
        content_type: MEDIA_TYPE,
    }
}

/// The entries of each topic, in their order. There are few topics.
fn by_topic(batch: &[LogEntry]) -> Vec<(&str, Vec<&LogEntry>)> {
    let mut topics: Vec<(&str, Vec<&LogEntry>)> = Vec::new();
    for entry in batch {
        match topics.iter_mut().find(|(topic, _)| *topic == entry.topic) {
            Some((_, entries)) => entries.push(entry),
            None => topics.push((&entry.topic, vec![entry])),
        }
    }
    topics
}

/// Entries cut into requests that the sidecar takes; one that is too long goes alone.
fn requests(entries: Vec<&LogEntry>) -> Vec<Vec<&LogEntry>> {
    let mut requests: Vec<Vec<&LogEntry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.envelope.len();
        match requests.last_mut() {
            Some(request) if bytes <= REQUEST_BYTES_MAX => request.push(entry),
            _ => {
                bytes = entry.envelope.len();
                requests.push(vec![entry]);
            }
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::{REQUEST_BYTES_MAX, by_topic, requests};
    use crate::store::event_log::{LogEntry, LogPosition};

    fn entry(position: &str, topic: &str, bytes: usize) -> LogEntry {
        LogEntry {
            position: position.parse::<LogPosition>().expect("a position"),
            topic: topic.to_owned(),
            user_id: Uuid::nil(),
            envelope: "x".repeat(bytes),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn positions(entries: &[&LogEntry]) -> Vec<String> {
        let position = |entry: &&LogEntry| entry.position.to_string();
        entries.iter().map(position).collect()
    }

    #[test]
    fn a_mixed_batch_is_sorted_by_topic_and_keeps_its_order() {
        let batch = [
            entry("1", "a", 1),
            entry("2", "b", 1),
            entry("3", "a", 1),
            entry("4", "b", 1),
        ];
        let sorted: Vec<_> = by_topic(&batch)
            .into_iter()
            .map(|(topic, entries)| (topic, positions(&entries)))
            .collect();
        let of = |numbers: [&str; 2]| numbers.map(ToOwned::to_owned).to_vec();
        assert_eq!(sorted, [("a", of(["1", "3"])), ("b", of(["2", "4"]))]);
    }

    #[test]
    fn a_long_batch_is_cut_into_requests() {
        let half = REQUEST_BYTES_MAX / 2;
        let batch = [
            entry("1", "a", half),
            entry("2", "a", half),
            entry("3", "a", REQUEST_BYTES_MAX * 2),
            entry("4", "a", 1),
            entry("5", "a", 1),
        ];
        let cut: Vec<_> = requests(batch.iter().collect())
            .iter()
            .map(|request| positions(request).join(" "))
            .collect();
        assert_eq!(cut, ["1 2", "3", "4 5"]);
        assert!(requests(Vec::new()).is_empty());
    }
}
