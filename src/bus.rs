//! Moves events from those who say them to those who hear them.
//!
//! The relay takes them from the log to the bus; a consumer takes them from the bus to a role's
//! handler. Delivery is at least once, and may be out of order; the inbox makes effects happen once.

/// What every consumer does with a delivery, whichever bus brought it.
pub mod consumer;
/// Kafka through the Dapr sidecar.
pub mod dapr;
/// The bus inside the database.
pub mod embedded;
/// Kafka without a sidecar.
pub mod kafka;
/// From the log to the bus.
pub mod relay;
mod traced;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::events::{Cause, Event, EventType};
use crate::store::StoreError;
use crate::store::event_log::{LogEntry, LogPosition};

/// An event as the bus brings it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The topic it came from.
    pub topic: String,
    /// What should be a CloudEvent in structured JSON.
    pub payload: Vec<u8>,
    /// Its place in the log, where the bus knows it.
    pub position: Option<LogPosition>,
}

/// An event that a handler hears.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The event.
    pub event: Event,
    /// The event as it came, with what this version does not know: for the dead letters.
    pub payload: Vec<u8>,
    /// Its place in the log, where the bus knows it.
    pub position: Option<LogPosition>,
    /// The span of its handling.
    pub span_id: [u8; 8],
}

impl Heard {
    /// What events carry as their cause that follow from this one.
    #[must_use]
    pub fn as_cause(&self) -> Cause {
        self.event.as_cause(self.span_id)
    }
}

/// What became of one event of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is committed.
    Handled,
    /// Its effect had been committed before.
    Duplicate,
    /// It will never work; the reason goes with it to the dead letters.
    Rejected(String),
}

impl Outcome {
    /// The event is about nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self::Rejected("the user does not exist".to_owned())
    }
}

/// What became of one delivery, for the bus that brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done with, now or before.
    Done,
    /// It will never work, for this reason. It is kept among the dead letters.
    Dead(String),
}

impl Verdict {
    /// Why it will never work, if it will not.
    fn reason(&self) -> Option<&str> {
        match self {
            Self::Done => None,
            Self::Dead(reason) => Some(reason),
        }
    }
}

/// What a role does with events: its unit of work for a batch.
pub trait Handler: Send + Sync {
    /// The consumer's name: of its cursor, its inbox, its metrics.
    fn consumer(&self) -> &'static str;

    /// What it hears.
    fn hears(&self) -> &'static [EventType];

    /// Handles a batch in one unit of work; gives an outcome for each event, in order.
    ///
    /// An error means that nothing of the batch was committed.
    fn handle(&self, batch: Arc<[Heard]>) -> BoxFuture<'_, Result<Vec<Outcome>, StoreError>>;
}

/// Why a batch could not be published, or not all of it. What is published twice does no harm: every
/// consumer knows an event by its id.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot publish {} events: {reason}", unpublished.len())]
pub struct PublishError {
    /// What went wrong.
    pub reason: String,
    /// The events that the bus does not have for good; it has the others.
    pub unpublished: Vec<LogPosition>,
}

impl PublishError {
    /// Nothing of the batch was published.
    #[must_use]
    pub fn of_all(batch: &[LogEntry], reason: &impl ToString) -> Self {
        Self {
            reason: reason.to_string(),
            unpublished: batch.iter().map(|entry| entry.position).collect(),
        }
    }
}

/// What became of a batch that was published in parts: the last reason stands for all.
fn all_parts(
    parts: impl IntoIterator<Item = Result<(), PublishError>>,
) -> Result<(), PublishError> {
    let failed = parts.into_iter().filter_map(Result::err);
    let all = failed.reduce(|mut all, part| {
        all.unpublished.extend(part.unpublished);
        all.reason = part.reason;
        all
    });
    all.map_or(Ok(()), Err)
}

/// Where the relay takes events.
pub trait Publisher: Send + Sync {
    /// Publishes a batch in its order; returns when the bus has it for good.
    fn publish<'a>(&'a self, batch: &'a [LogEntry]) -> BoxFuture<'a, Result<(), PublishError>>;
}
