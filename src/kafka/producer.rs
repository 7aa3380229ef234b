//! Writes records, and says what became of each.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::{Context, KafkaFault, settings};
use crate::config;

/// A record that is to be written.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// To which topic, with the prefix.
    pub topic: String,
    /// Records of one key stay in order.
    pub key: Option<&'a [u8]>,
    /// What it says.
    pub value: Option<&'a [u8]>,
    /// What stands around it.
    pub headers: Vec<(&'static str, String)>,
}

/// Why a record was not written. It may have been all the same, where the answer was lost.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendFault {
    /// Try again.
    #[error("{0}")]
    Passing(String),
    /// It will not be written like this, however often it is tried.
    #[error("{0}")]
    Never(String),
}

/// Writes records, each once and in the order of its key.
pub struct Producer {
    current: Mutex<Arc<FutureProducer<Context>>>,
    config: config::Kafka,
    name: &'static str,
}

impl Producer {
    /// A producer for these brokers, which know it by this name. They need not be there yet.
    ///
    /// # Errors
    /// librdkafka does not want the settings.
    pub fn new(config: &config::Kafka, name: &'static str) -> Result<Self, KafkaFault> {
        Ok(Self {
            current: Mutex::new(Arc::new(begin(config, name)?)),
            config: config.clone(),
            name,
        })
    }

    /// Writes records in this order; says of each, in order, whether all replicas in sync have it.
    pub async fn send(&self, records: &[Outgoing<'_>]) -> Vec<Result<(), SendFault>> {
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(fault) => {
                let fault = SendFault::Passing(fault.to_string());
                return vec![Err(fault); records.len()];
            }
        };
        let sent: Vec<_> = records
            .iter()
            .map(|record| {
                let sent = producer.send_result(native(record));
                sent.map_err(|(error, _)| error)
            })
            .collect();
        let written = sent.into_iter().map(|sent| async {
            match sent {
                Err(error) => Err(error),
                Ok(answer) => match answer.await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err((error, _))) => Err(error),
                    Err(_) => Err(KafkaError::Canceled),
                },
            }
        });
        let written = join_all(written).await.into_iter().zip(records);
        written
            .map(|(written, record)| written.map_err(|error| fault_of(&error, &record.topic)))
            .collect()
    }

    /// One that can go on: librdkafka gives up for good what it cannot promise to be written once.
    fn producer(&self) -> Result<Arc<FutureProducer<Context>>, KafkaFault> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((code, reason)) = current.client().fatal_error() {
            tracing::warn!(%code, reason, "the producer gave up; begins anew");
            *current = Arc::new(begin(&self.config, self.name)?);
        }
        Ok(Arc::clone(&current))
    }
}

fn begin(config: &config::Kafka, name: &str) -> Result<FutureProducer<Context>, KafkaFault> {
    let producer = settings::producer(config, name).create_with_context(Context);
    producer.map_err(|error| KafkaFault::of(config, &error))
}

fn native<'a>(record: &'a Outgoing<'a>) -> FutureRecord<'a, [u8], [u8]> {
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    let headers = record
        .headers
        .iter()
        .fold(headers, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
    FutureRecord {
        topic: &record.topic,
        partition: None,
        payload: record.value,
        key: record.key,
        timestamp: None,
        headers: Some(headers),
    }
}

fn fault_of(error: &KafkaError, topic: &str) -> SendFault {
    match error.rdkafka_error_code() {
        Some(code @ (Code::UnknownTopic | Code::UnknownTopicOrPartition)) => SendFault::Never(
            format!("{code}: {topic}; `events topics apply` makes what is missing"),
        ),
        Some(
            code @ (Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed
            | Code::PolicyViolation
            | Code::InvalidRecord),
        ) => SendFault::Never(format!("{code}: {topic}")),
        _ => SendFault::Passing(error.to_string()),
    }
}
