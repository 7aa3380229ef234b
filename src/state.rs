//! Short-lived state that replicas share: which events were handled lately. It only spares work:
//! the inbox is the truth, and an answer without it is slower and still right.

/// State in the memory of this process.
pub mod embedded;

use uuid::Uuid;

use crate::config::{self, StateKind};
use embedded::EmbeddedState;

/// The state store of the configuration.
#[derive(Debug, Clone)]
pub enum State {
    /// In this process.
    Embedded(EmbeddedState),
}

impl State {
    /// The store of this kind.
    #[must_use]
    pub fn open(config: &config::State) -> Self {
        match config.kind {
            StateKind::Embedded => Self::Embedded(EmbeddedState::new(config.entries_max)),
        }
    }

    /// Whether the consumer is known to have handled the event. `false` says nothing.
    #[must_use]
    pub fn is_processed(&self, consumer: &'static str, event_id: Uuid) -> bool {
        match self {
            Self::Embedded(state) => state.is_processed(consumer, event_id),
        }
    }

    /// Notes that the consumer's effects of the events are committed.
    pub fn mark_processed(&self, consumer: &'static str, event_ids: &[Uuid]) {
        match self {
            Self::Embedded(state) => state.mark_processed(consumer, event_ids),
        }
    }
}
