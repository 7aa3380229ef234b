//! What is said between the roles: the catalogue of events and the envelope they travel in.
//!
//! `store` writes these into the event log, `bus` moves them, `projector` and `notifier` hear them.

/// Exact decimal numbers in event data.
pub mod amount;
/// A booking as events tell of it.
mod booking;
/// Every event type: its name, its data, who hears it.
pub mod catalogue;
/// The CloudEvents 1.0 envelope.
pub mod envelope;
/// JSON Schemas of the catalogue, for other programs.
pub mod schema;

pub use amount::Amount;
pub use catalogue::{EventData, EventType};
pub use envelope::{Cause, Event, EventError, LOG_POSITION, Source, with_log_position};
