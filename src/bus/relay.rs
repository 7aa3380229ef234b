//! The relay: reads the log in commit order and publishes it to the bus. It stands between the
//! commit of a write and the consumers; a crash anywhere here publishes again, and loses nothing.

use std::sync::Arc;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{PublishError, Publisher};
use crate::clock::Clock;
use crate::config::Bus;
use crate::crash;
use crate::store::event_log::{self, Cursor};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::handles::RelayMetrics;

/// Takes events from the log to the bus.
pub struct Relay {
    store: Store,
    publisher: Arc<dyn Publisher>,
    clock: Clock,
    config: Bus,
    metrics: RelayMetrics,
}

/// Why a step of the relay did not get through. The next one begins where this one did.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log could not be read, or the cursor not moved.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus did not take the batch.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Relay {
    /// A relay from this log to this bus.
    #[must_use]
    pub fn new(store: Store, publisher: Arc<dyn Publisher>, clock: Clock, config: Bus) -> Self {
        Self {
            store,
            publisher,
            clock,
            config,
            metrics: RelayMetrics::new(),
        }
    }

    /// Publishes the next batch; gives how many events it had. None means that all is published.
    ///
    /// # Errors
    /// See [`RelayError`]; nothing is lost by any.
    pub async fn tick(&self) -> Result<usize, RelayError> {
        let published = event_log::cursor(self.store.reads(), Cursor::Relay).await?;
        let limit = u64::from(self.config.batch_max);
        let batch = event_log::read_after(self.store.reads(), published, None, limit).await?;
        let Some(last) = batch.last().map(|entry| entry.position) else {
            self.metrics.unpublished(0);
            return Ok(0);
        };
        crash::point("relay.after_commit_before_publish");
        self.publisher.publish(&batch).await?;
        crash::point("relay.after_publish_before_mark");
        let now = self.clock.now();
        self.store
            .write(move |tx| async move { event_log::advance(&tx, Cursor::Relay, last, now).await })
            .await?;
        self.metrics.published(batch.len() as u64);
        let end = event_log::end(self.store.reads()).await?;
        self.metrics.unpublished(end.since(last));
        Ok(batch.len())
    }

    /// Publishes until draining begins, and then what is left.
    ///
    /// # Errors
    /// None that passes: the next tick tries again.
    pub async fn run(self, draining: CancellationToken) -> anyhow::Result<()> {
        let mut logged = self.store.signals().logged();
        let mut pause = self.config.retry_min;
        loop {
            logged.mark_unchanged();
            match self.tick().await {
                Ok(0) if draining.is_cancelled() => return Ok(()),
                Ok(0) => {
                    pause = self.config.retry_min;
                    tokio::select! {
                        () = draining.cancelled() => {}
                        _ = timeout(self.config.poll, logged.changed()) => {}
                    }
                }
                Ok(_) => pause = self.config.retry_min,
                Err(error) => {
                    self.metrics.failed();
                    tracing::warn!(%error, pause_ms = pause.as_millis(), "relay: will try again");
                    if draining.is_cancelled() {
                        return Ok(());
                    }
                    let _ = timeout(pause, draining.cancelled()).await;
                    pause = (pause * 2).min(self.config.retry_max);
                }
            }
        }
    }
}
