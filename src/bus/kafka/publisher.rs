//! From the log to the topics.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::CONTENT_TYPE;
use crate::bus::{PublishError, Publisher};
use crate::config::Config;
use crate::events::envelope::trace_of;
use crate::kafka::KafkaFault;
use crate::kafka::producer::{Outgoing, Producer};
use crate::store::event_log::LogEntry;
use crate::telemetry::trace::TRACEPARENT;

/// Publishes on topics of Kafka.
pub struct KafkaPublisher {
    producer: Producer,
    prefix: String,
}

impl KafkaPublisher {
    /// To the brokers of the configuration. They need not be there yet.
    ///
    /// # Errors
    /// librdkafka does not want the settings.
    pub fn new(config: &Config) -> Result<Self, KafkaFault> {
        Ok(Self {
            producer: Producer::new(&config.kafka, "wealth-companion-relay")?,
            prefix: config.bus.topic_prefix.clone(),
        })
    }
}

/// Those who read topics with OpenTelemetry's tools look for the trace in a header.
fn headers(envelope: &str) -> Vec<(&'static str, String)> {
    let trace = trace_of(envelope).map(|trace| (TRACEPARENT, trace.to_string()));
    let content_type = (CONTENT_TYPE.0, CONTENT_TYPE.1.to_owned());
    std::iter::once(content_type).chain(trace).collect()
}

impl Publisher for KafkaPublisher {
    fn publish<'a>(&'a self, batch: &'a [LogEntry]) -> BoxFuture<'a, Result<(), PublishError>> {
        async move {
            let keys: Vec<String> = batch.iter().map(|it| it.user_id.to_string()).collect();
            let records: Vec<Outgoing<'_>> = batch
                .iter()
                .zip(&keys)
                .map(|(entry, key)| Outgoing {
                    topic: format!("{}{}", self.prefix, entry.topic),
                    key: Some(key.as_bytes()),
                    value: Some(entry.envelope.as_bytes()),
                    headers: headers(&entry.envelope),
                })
                .collect();
            let mut unpublished = Vec::new();
            let mut reason = None;
            for (entry, sent) in batch.iter().zip(self.producer.send(&records).await) {
                if let Err(fault) = sent {
                    unpublished.push(entry.position);
                    reason.get_or_insert_with(|| fault.to_string());
                }
            }
            match reason {
                None => Ok(()),
                Some(reason) => Err(PublishError {
                    reason,
                    unpublished,
                }),
            }
        }
        .boxed()
    }
}
