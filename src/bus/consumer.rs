//! What every consumer does with a delivery, whichever bus brought it: read it, pass over what was
//! handled, hand the rest to the role, and put what will never work among the dead letters.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;
use uuid::Uuid;

use super::traced::{self, Stage, Traced, Traveller};
use super::{Delivery, Handler, Heard, Outcome, Verdict};
use crate::clock::{Clock, Ids};
use crate::events::envelope::ENVELOPE_BYTES_MAX;
use crate::events::{Event, EventError, EventType};
use crate::state::State;
use crate::store::dead_letters::{self, DeadLetter};
use crate::store::{self, Store, StoreError};
use crate::telemetry::metrics::handles::ConsumerMetrics;
use crate::telemetry::metrics::names;
use crate::telemetry::spans;

/// An event that is younger has hardly been handled before: to ask costs more than it spares, and
/// if it was, the inbox knows. So clocks that differ cost work at the most.
const FRESH: TimeDelta = TimeDelta::seconds(2);
/// How often the age of what is in hand is told, while it is not done.
const AGE_EVERY: Duration = Duration::from_secs(1);

/// A role's handler with what stands around it.
pub struct Consumer {
    handler: Arc<dyn Handler>,
    store: Store,
    state: State,
    clock: Clock,
    ids: Ids,
    metrics: ConsumerMetrics,
}

impl Consumer {
    /// A consumer for this handler.
    #[must_use]
    pub fn new(
        handler: Arc<dyn Handler>,
        store: Store,
        state: State,
        clock: Clock,
        ids: Ids,
    ) -> Self {
        let metrics = ConsumerMetrics::new(handler.consumer());
        for topic in handler.hears() {
            metrics::counter!(names::DEAD_LETTERS_TOTAL, "topic" => topic.as_str()).increment(0);
        }
        Self {
            handler,
            store,
            state,
            clock,
            ids,
            metrics,
        }
    }

    /// The consumer's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.handler.consumer()
    }

    /// Whether it hears this topic.
    #[must_use]
    pub fn hears(&self, topic: &str) -> bool {
        self.handler
            .hears()
            .iter()
            .any(|heard| heard.as_str() == topic)
    }

    /// The types that it hears.
    pub fn topics(&self) -> impl Iterator<Item = EventType> {
        self.handler.hears().iter().copied()
    }

    pub(super) fn metrics(&self) -> &ConsumerMetrics {
        &self.metrics
    }

    /// Takes deliveries; when this returns, each is either handled or among the dead letters: its
    /// verdict says which, in order.
    ///
    /// # Errors
    /// A fault that passes: deliver them again.
    pub async fn take(&self, deliveries: Vec<Delivery>) -> Result<Vec<Verdict>, StoreError> {
        let (begun, now) = (Instant::now(), self.clock.now());
        let mut verdicts = vec![Verdict::Done; deliveries.len()];
        let mut read = Vec::with_capacity(deliveries.len());
        for (index, delivery) in deliveries.into_iter().enumerate() {
            match self.read(&delivery) {
                Ok(event) => {
                    let told = event.log_position.as_deref();
                    let told = told.and_then(|place| place.parse().ok());
                    let heard = Heard {
                        event,
                        payload: delivery.payload,
                        position: delivery.position.or(told),
                        span_id: self.ids.span_id(),
                    };
                    read.push((index, heard));
                }
                Err(error) => verdicts[index] = self.bury_unread(delivery, &error).await?,
            }
        }
        let oldest = read.iter().map(|(_, heard)| heard.event.time).min();
        if let Some(oldest) = oldest {
            self.metrics.in_hand(now - oldest);
        }
        let known = self.known(&read).await;
        read.retain(|(_, heard)| {
            let is_new = !known.contains(&heard.event.id);
            if !is_new {
                self.metrics.duplicate();
            }
            is_new
        });
        if let Some(oldest) = oldest
            && !read.is_empty()
        {
            let (indexes, batch): (Vec<usize>, Vec<Heard>) = read.into_iter().unzip();
            let ids: Vec<Uuid> = batch.iter().map(|heard| heard.event.id).collect();
            let traced = self.traced(&batch);
            let work = self.growing_older(oldest, self.handle(batch.into()));
            let outcomes = traced::within(traced.as_ref(), work).await;
            if let Some(traced) = traced {
                traced.end(|index| match &outcomes {
                    Ok(verdicts) => verdicts[index].reason().map(ToOwned::to_owned),
                    Err(error) => Some(error.to_string()),
                });
            }
            let outcomes = outcomes?;
            // What was refused may be brought again, when an operator has mended what was wrong.
            let done: Vec<Uuid> = ids
                .iter()
                .zip(&outcomes)
                .filter(|(_, verdict)| **verdict == Verdict::Done)
                .map(|(id, _)| *id)
                .collect();
            for (index, verdict) in indexes.into_iter().zip(outcomes) {
                verdicts[index] = verdict;
            }
            self.state.mark_processed(self.name(), &done).await;
        }
        self.metrics.nothing_in_hand();
        self.metrics.batch(begun.elapsed());
        Ok(verdicts)
    }

    /// Does work for events, the oldest of which was said then; while it takes long, their age is told.
    async fn growing_older<T>(&self, oldest: DateTime<Utc>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            match timeout(AGE_EVERY, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.metrics.in_hand(self.clock.now() - oldest),
            }
        }
    }

    fn traced(&self, batch: &[Heard]) -> Option<Traced> {
        if !spans::are_recorded() {
            return None;
        }
        let travellers = batch.iter().map(|heard| Traveller {
            said: heard.event.cause.trace,
            span_id: heard.span_id,
            topic: heard.event.data.event_type().as_str().to_owned(),
            event_id: Some(heard.event.id),
        });
        Traced::begin(Stage::Process(self.name()), travellers.collect())
    }

    /// Those of the events that are known to be handled.
    async fn known(&self, read: &[(usize, Heard)]) -> HashSet<Uuid> {
        let fresh_since = self.clock.now() - FRESH;
        let events = read.iter().map(|(_, heard)| &heard.event);
        let old = events.filter(|event| event.time < fresh_since);
        let ids: Vec<Uuid> = old.map(|event| event.id).collect();
        self.state.processed(self.name(), &ids).await
    }

    fn read(&self, delivery: &Delivery) -> Result<Event, EventError> {
        let event = Event::parse(&delivery.payload)?;
        let event_type = event.data.event_type();
        if self.handler.hears().contains(&event_type) {
            Ok(event)
        } else {
            Err(EventError::NotForThis(event_type.as_str()))
        }
    }

    /// A batch that fails for a reason that does not pass, a panic too, is taken apart, so that the event
    /// at fault is found and the others go on.
    async fn handle(&self, batch: Arc<[Heard]>) -> Result<Vec<Verdict>, StoreError> {
        let handled = store::caught(async { self.handler.handle(Arc::clone(&batch)).await });
        match handled.await {
            Ok(outcomes) => self.settle(&batch, outcomes).await,
            Err(error @ StoreError::Busy(_)) => Err(error),
            Err(error) if batch.len() == 1 => {
                Ok(vec![self.bury(&batch[0], error.to_string()).await?])
            }
            Err(_) => {
                let mut verdicts = Vec::with_capacity(batch.len());
                for heard in batch.iter() {
                    verdicts.extend(Box::pin(self.handle(Arc::new([heard.clone()]))).await?);
                }
                Ok(verdicts)
            }
        }
    }

    async fn settle(
        &self,
        batch: &[Heard],
        outcomes: Vec<Outcome>,
    ) -> Result<Vec<Verdict>, StoreError> {
        let now = self.clock.now();
        let mut verdicts = Vec::with_capacity(batch.len());
        for (heard, outcome) in batch.iter().zip(outcomes) {
            let verdict = match outcome {
                Outcome::Handled => {
                    let event = &heard.event;
                    let event_type = event.data.event_type().as_str();
                    self.metrics.handled(event_type, now - event.time);
                    tracing::debug!(
                        consumer = self.name(),
                        event_id = %event.id,
                        user_id = %event.data.user_id(),
                        correlation_id = %event.cause.correlation_id,
                        trace_id = event.cause.trace.trace_id_hex(),
                        "handled"
                    );
                    Verdict::Done
                }
                Outcome::Duplicate => {
                    self.metrics.duplicate();
                    Verdict::Done
                }
                Outcome::Rejected(reason) => self.bury(heard, reason).await?,
            };
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    async fn bury(&self, heard: &Heard, reason: String) -> Result<Verdict, StoreError> {
        let topic = heard.event.data.event_type().as_str().to_owned();
        let payload = String::from_utf8_lossy(&heard.payload).into_owned();
        let (id, about) = (heard.event.id, heard.event.data.user_id());
        self.keep(topic, id, Some(about), payload, reason).await
    }

    async fn bury_unread(
        &self,
        delivery: Delivery,
        error: &EventError,
    ) -> Result<Verdict, StoreError> {
        let id = dead_letters::id_of_bytes(&delivery.payload);
        // Of what is too large to be an event, the beginning is enough to tell what it was.
        let kept = delivery.payload.len().min(ENVELOPE_BYTES_MAX);
        let payload = String::from_utf8_lossy(&delivery.payload[..kept]).into_owned();
        self.keep(delivery.topic, id, None, payload, error.to_string())
            .await
    }

    async fn keep(
        &self,
        topic: String,
        event_id: Uuid,
        about: Option<Uuid>,
        payload: String,
        reason: String,
    ) -> Result<Verdict, StoreError> {
        let now = self.clock.now();
        let consumer = self.name();
        let id = self.ids.v7(now);
        let letter = DeadLetter {
            id,
            consumer,
            topic: topic.clone(),
            event_id,
            payload,
            reason: reason.clone(),
        };
        let is_letter = self
            .store
            .write(move |tx| async move { dead_letters::keep(&tx, letter, about, now).await })
            .await?;
        if !is_letter {
            return Ok(Verdict::Done);
        }
        self.metrics.rejected();
        metrics::counter!(names::DEAD_LETTERS_TOTAL, "topic" => topic.clone()).increment(1);
        let user_id = about.map(tracing::field::display);
        tracing::error!(consumer, topic, %event_id, user_id, reason, "dead letter");
        Ok(Verdict::Dead(reason))
    }
}
