//! The embedded bus: the event log is the topic, read by cursors.
//!
//! Publishing moves the high watermark: consumers see what lies below it, as with Kafka. Each
//! consumer has a cursor, moved after its batch was handled: a crash between the two delivers the
//! batch again.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::consumer::Consumer;
use super::{Delivery, PublishError, Publisher};
use crate::clock::Clock;
use crate::config::Bus;
use crate::store::event_log::{self, Cursor, LogEntry, LogPosition};
use crate::store::{Store, StoreError};

/// Publishes by moving the high watermark.
#[derive(Debug, Clone)]
pub struct EmbeddedPublisher {
    store: Store,
    clock: Clock,
}

impl EmbeddedPublisher {
    /// The bus inside this database.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }
}

impl Publisher for EmbeddedPublisher {
    fn publish<'a>(&'a self, batch: &'a [LogEntry]) -> BoxFuture<'a, Result<(), PublishError>> {
        async move {
            let Some(last) = batch.last().map(|entry| entry.position) else {
                return Ok(());
            };
            let now = self.clock.now();
            self.store
                .write(move |tx| async move {
                    event_log::advance(&tx, Cursor::HighWatermark, last, now).await
                })
                .await
                .map_err(|error| PublishError::of_all(batch, &error))
        }
        .boxed()
    }
}

/// Brings a consumer what was published.
pub struct EmbeddedSubscription {
    consumer: Arc<Consumer>,
    store: Store,
    clock: Clock,
    config: Bus,
}

impl EmbeddedSubscription {
    /// A subscription of this consumer.
    #[must_use]
    pub fn new(consumer: Arc<Consumer>, store: Store, clock: Clock, config: Bus) -> Self {
        Self {
            consumer,
            store,
            clock,
            config,
        }
    }

    /// Brings the next batch; gives how many entries of the log it passed. None means that the
    /// consumer has heard all that is published.
    ///
    /// # Errors
    /// A fault that passes: the next tick begins where this one did.
    pub async fn tick(&self) -> Result<usize, StoreError> {
        let cursor = Cursor::Consumer(self.consumer.name());
        let reads = self.store.reads();
        let published = event_log::cursor(reads, Cursor::HighWatermark).await?;
        let heard = event_log::cursor(reads, cursor).await?;
        self.consumer.metrics().lag(published.since(heard));
        let limit = u64::from(self.config.batch_max);
        let found = event_log::read_after(reads, heard, Some(published), limit).await?;
        let entries = found.entries;
        let Some(last) = entries.last().map(|entry| entry.position) else {
            if published > heard {
                // What lay between was of somebody who has left: pass over it, or it counts as lag.
                self.acknowledge(cursor, published).await?;
                self.consumer.metrics().lag(0);
            }
            // Another process may have handled what failed here.
            self.consumer.metrics().nothing_in_hand();
            return Ok(0);
        };
        let count = entries.len();
        let deliveries: Vec<Delivery> = entries
            .into_iter()
            .filter(|entry| self.consumer.hears(&entry.topic))
            .map(|entry| Delivery {
                topic: entry.topic,
                payload: entry.envelope.into_bytes(),
                position: Some(entry.position),
            })
            .collect();
        if !deliveries.is_empty() {
            self.consumer.take(deliveries).await?;
        }
        self.acknowledge(cursor, last).await?;
        self.consumer.metrics().lag(published.since(last));
        Ok(count)
    }

    async fn acknowledge(&self, cursor: Cursor, to: LogPosition) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store
            .write(move |tx| async move { event_log::advance(&tx, cursor, to, now).await })
            .await
    }

    /// Brings batches until draining begins.
    ///
    /// # Errors
    /// None that passes: the next tick tries again.
    pub async fn run(self, draining: CancellationToken) -> anyhow::Result<()> {
        let mut published = self.store.signals().published();
        let mut pause = self.config.retry_min;
        while !draining.is_cancelled() {
            published.mark_unchanged();
            match self.tick().await {
                Ok(0) => {
                    pause = self.config.retry_min;
                    tokio::select! {
                        () = draining.cancelled() => {}
                        _ = timeout(self.config.poll, published.changed()) => {}
                    }
                }
                Ok(_) => pause = self.config.retry_min,
                Err(error) => {
                    self.consumer.metrics().retried();
                    let consumer = self.consumer.name();
                    tracing::warn!(consumer, %error, pause_ms = pause.as_millis(), "will try again");
                    let _ = timeout(pause, draining.cancelled()).await;
                    pause = (pause * 2).min(self.config.retry_max);
                }
            }
        }
        Ok(())
    }
}
