//! Short-lived state that replicas share: which events were handled lately. It only spares work:
//! the inbox is the truth, and an answer without it is slower and still right.

/// State in the memory of this process.
pub mod embedded;

use std::collections::HashSet;

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
    ///
    /// # Errors
    /// This build does not have it.
    pub fn open(config: &config::State) -> anyhow::Result<Self> {
        match config.kind {
            StateKind::Embedded => Ok(Self::Embedded(EmbeddedState::new(config.entries_max))),
            StateKind::Redis | StateKind::Dapr => {
                anyhow::bail!("state.kind: this build has only \"embedded\"")
            }
        }
    }

    /// Which of the events the consumer is known to have handled. That one is missing says nothing.
    pub async fn processed(&self, consumer: &'static str, event_ids: &[Uuid]) -> HashSet<Uuid> {
        match self {
            Self::Embedded(state) => state.processed(consumer, event_ids),
        }
    }

    /// Notes that the consumer's effects of the events are committed.
    pub async fn mark_processed(&self, consumer: &'static str, event_ids: &[Uuid]) {
        match self {
            Self::Embedded(state) => state.mark_processed(consumer, event_ids),
        }
    }
}
