//! What the sidecar delivers, on its way to the consumers of this process.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::bus::consumer::Consumer;
use crate::bus::{Delivery, Verdict};
use crate::events::EventType;

/// Bytes of an event that the sidecar can put on a dead-letter topic: Kafka takes 1 MiB with all
/// that surrounds it. One that is longer would come again and again.
const LETTER_BYTES_MAX: usize = 1_000_000;

/// What the sidecar is told of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is done with.
    Success,
    /// Deliver it again.
    Retry,
    /// It will never work: put it on the dead-letter topic.
    Drop,
}

/// The way in for what the sidecar delivers.
pub struct Intake {
    consumers: RwLock<Vec<Arc<Consumer>>>,
    /// How many there will be. Before, nothing is taken.
    expected: usize,
    hears: Vec<EventType>,
    runtime: Handle,
    draining: CancellationToken,
}

impl Intake {
    /// The way to consumers that will hear this. It opens when all of them are there, and closes
    /// when draining begins.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(consumers: &[&[EventType]], draining: CancellationToken) -> Self {
        let mut hears = consumers.concat();
        hears.sort();
        hears.dedup();
        Self {
            consumers: RwLock::default(),
            expected: consumers.len(),
            hears,
            runtime: Handle::current(),
            draining,
        }
    }

    /// What is heard here.
    #[must_use]
    pub fn hears(&self) -> &[EventType] {
        &self.hears
    }

    /// One more consumer is there.
    pub fn add(&self, consumer: Arc<Consumer>) {
        self.consumers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(consumer);
    }

    /// Takes events of one topic; gives what the sidecar is told of each, in order. All of them are
    /// delivered again, or none: after a retry of some, the sidecar mistakes the others' places
    /// when they are dropped.
    ///
    /// None is given when nothing is taken now: it starts, or it stops.
    pub async fn take(&self, topic: EventType, payloads: Vec<Vec<u8>>) -> Option<Vec<Status>> {
        let consumers = self.consumers_of(topic)?;
        let mut statuses = vec![Status::Success; payloads.len()];
        for consumer in consumers {
            let taken = self.taken_by(consumer, topic, &payloads).await;
            for (index, status) in taken.into_iter().enumerate() {
                if statuses[index] == Status::Success {
                    statuses[index] = status;
                }
            }
        }
        if statuses.contains(&Status::Retry) {
            statuses.fill(Status::Retry);
        }
        Some(statuses)
    }

    fn consumers_of(&self, topic: EventType) -> Option<Vec<Arc<Consumer>>> {
        let consumers = self
            .consumers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let is_open = consumers.len() == self.expected && !self.draining.is_cancelled();
        is_open.then(|| {
            let hears = |consumer: &&Arc<Consumer>| consumer.hears(topic.as_str());
            consumers.iter().filter(hears).cloned().collect()
        })
    }

    /// The work is done beside the listener, whose only thread also answers probes; and it goes on
    /// when the sidecar does not wait for its end.
    async fn taken_by(
        &self,
        consumer: Arc<Consumer>,
        topic: EventType,
        payloads: &[Vec<u8>],
    ) -> Vec<Status> {
        let delivery = |payload: &Vec<u8>| Delivery {
            topic: topic.as_str().to_owned(),
            payload: payload.clone(),
            position: None,
        };
        let deliveries: Vec<Delivery> = payloads.iter().map(delivery).collect();
        let name = consumer.name();
        let metrics = consumer.metrics().clone();
        let work = self
            .runtime
            .spawn(async move { consumer.take(deliveries).await });
        let error = match work.await {
            Ok(Ok(verdicts)) => {
                let judged = verdicts.into_iter().zip(payloads);
                return judged
                    .map(|(verdict, payload)| status(&verdict, payload))
                    .collect();
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        metrics.retried();
        tracing::warn!(
            consumer = name,
            topic = topic.as_str(),
            error,
            "will be delivered again"
        );
        vec![Status::Retry; payloads.len()]
    }
}

fn status(verdict: &Verdict, payload: &[u8]) -> Status {
    match verdict {
        Verdict::Done => Status::Success,
        // It is among the dead letters; no topic would take it.
        Verdict::Dead(_) if payload.len() > LETTER_BYTES_MAX => Status::Success,
        Verdict::Dead(_) => Status::Drop,
    }
}
