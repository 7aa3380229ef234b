//! The relay: publishes the log to the bus. It stands between the commit of a write and the
//! consumers; a crash anywhere here publishes again, and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::traced::{self, Stage, Traced, Traveller};
use super::{PublishError, Publisher};
use crate::clock::Clock;
use crate::config::{Bus, BusKind};
use crate::crash;
use crate::events::envelope;
use crate::store::event_log::{self, Cursor, LogEntry};
use crate::store::{Store, StoreError, outbox};
use crate::telemetry::metrics::handles::RelayMetrics;
use crate::telemetry::spans;

/// How soon to look again for what an open transaction holds back.
const HELD_BACK: Duration = Duration::from_millis(5);
/// Writers hold each other's events back all the time, for milliseconds: only this is told of.
const HELD_BACK_LONG: TimeDelta = TimeDelta::seconds(1);
/// Events in the outbox that are counted at the most.
const DEPTH_MAX: u32 = 100_000;

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

/// What a step of the relay did.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Events that it took, and that are done with.
    taken: usize,
    next: Next,
}

/// When it is worth while to look again.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// There were more than a batch.
    AtOnce,
    /// There are more, which an open transaction holds back: it wakes nobody when it ends.
    Soon,
    /// When events were written.
    WhenWoken,
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

    /// Publishes the next batch; gives how many events it took, those of people who have left by now
    /// included. Zero means that nothing was there.
    ///
    /// # Errors
    /// See [`RelayError`]; nothing is lost by any.
    pub async fn tick(&self) -> Result<usize, RelayError> {
        Ok(self.step().await?.taken)
    }

    async fn step(&self) -> Result<Step, RelayError> {
        match self.config.kind {
            BusKind::Embedded => self.follow_log().await,
            BusKind::Dapr | BusKind::Kafka => self.empty_outbox().await,
        }
    }

    /// The embedded bus is the log, up to a mark: it is moved in commit order.
    async fn follow_log(&self) -> Result<Step, RelayError> {
        let published = event_log::cursor(self.store.reads(), Cursor::Relay).await?;
        let limit = u64::from(self.config.batch_max);
        let found = event_log::read_after(self.store.reads(), published, None, limit).await?;
        let batch = found.entries;
        let next = if self.fills(batch.len()) {
            Next::AtOnce
        } else if found.held_back.is_some() {
            Next::Soon
        } else {
            Next::WhenWoken
        };
        let Some(last) = batch.last().map(|entry| entry.position) else {
            match found.held_back.map(|since| self.clock.now() - since) {
                Some(age) if age >= HELD_BACK_LONG => {
                    let end = event_log::end(self.store.reads()).await?;
                    self.metrics.unpublished(end.since(published));
                    self.metrics.oldest(age);
                }
                _ => self.metrics.unpublished(0),
            }
            return Ok(Step { taken: 0, next });
        };
        self.found(&batch);
        crash::point("relay.after_commit_before_publish");
        self.publish(&batch).await?;
        crash::point("relay.after_publish_before_mark");
        let now = self.clock.now();
        self.store
            .write(move |tx| async move { event_log::advance(&tx, Cursor::Relay, last, now).await })
            .await?;
        self.metrics.published(batch.len() as u64);
        let end = event_log::end(self.store.reads()).await?;
        self.metrics.unpublished(end.since(last));
        Ok(Step {
            taken: batch.len(),
            next,
        })
    }

    /// A bus outside of the database gets what is in the outbox, from whichever process comes first.
    async fn empty_outbox(&self) -> Result<Step, RelayError> {
        let Some(claim) = outbox::claim(&self.store, self.config.batch_max).await? else {
            self.metrics.unpublished(0);
            return Ok(Step {
                taken: 0,
                next: Next::WhenWoken,
            });
        };
        self.found(&claim.entries);
        let (count, rows) = (claim.entries.len(), claim.rows);
        crash::point("relay.after_commit_before_publish");
        let outcome = match claim.entries.as_slice() {
            [] => Ok(()),
            entries => self.publish(entries).await,
        };
        crash::point("relay.after_publish_before_mark");
        let unpublished = match &outcome {
            Ok(()) => &[][..],
            Err(error) => &error.unpublished,
        };
        let published = count - unpublished.len().min(count);
        claim.settle(unpublished).await?;
        self.metrics.published(published as u64);
        let next = if self.fills(rows) {
            Next::AtOnce
        } else {
            Next::WhenWoken
        };
        let waiting = match (&outcome, next) {
            (Ok(()), Next::WhenWoken) => 0,
            _ => outbox::depth(&self.store, DEPTH_MAX).await?,
        };
        self.metrics.unpublished(waiting);
        outcome?;
        Ok(Step { taken: rows, next })
    }

    fn found(&self, waiting: &[LogEntry]) {
        if let Some(oldest) = waiting.first() {
            self.metrics.oldest(self.clock.now() - oldest.created_at);
        }
    }

    async fn publish(&self, batch: &[LogEntry]) -> Result<(), PublishError> {
        let traced = traced(batch);
        let work = self.publisher.publish(batch);
        let outcome = traced::within(traced.as_ref(), work).await;
        if let Some(traced) = traced {
            let failed = outcome.as_ref().err();
            traced.end(|index| {
                let failed = failed.filter(|it| it.unpublished.contains(&batch[index].position));
                failed.map(|it| it.reason.clone())
            });
        }
        outcome
    }

    fn fills(&self, count: usize) -> bool {
        count as u64 == u64::from(self.config.batch_max)
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
            match self.step().await {
                Ok(Step { taken: 0, .. }) if draining.is_cancelled() => return Ok(()),
                Ok(Step { next, .. }) => {
                    pause = self.config.retry_min;
                    let sleep = match next {
                        Next::AtOnce => continue,
                        Next::Soon => HELD_BACK.min(self.config.poll),
                        Next::WhenWoken => self.config.poll,
                    };
                    tokio::select! {
                        () = draining.cancelled() => {}
                        _ = timeout(sleep, logged.changed()) => {}
                    }
                }
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

fn traced(batch: &[LogEntry]) -> Option<Traced> {
    if !spans::are_recorded() {
        return None;
    }
    let travellers = batch.iter().map(|entry| {
        let said = envelope::trace_of(&entry.envelope)?;
        Some(Traveller {
            said,
            span_id: spans::new_child(said)?.span_id,
            topic: entry.topic.clone(),
            event_id: None,
        })
    });
    let travellers: Option<Vec<Traveller>> = travellers.collect();
    Traced::begin(Stage::Send, travellers?)
}
