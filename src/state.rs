//! Short-lived state that replicas share: which events were handled lately. It only spares work:
//! the inbox is the truth, and an answer without it is slower and still right.

/// Going on without a store that is away.
mod absence;
/// State in the state store of the Dapr sidecar.
pub mod dapr;
/// State in the memory of this process.
pub mod embedded;
/// State in Redis.
pub mod redis;

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use uuid::Uuid;

use crate::config::{Config, StateKind};
use crate::dapr::Sidecar;
use crate::redis::Redis;
use dapr::DaprState;
use embedded::EmbeddedState;
use redis::RedisState;

/// How long a handled event is remembered: as long as the bus may deliver it again.
const PROCESSED_TTL: Duration = Duration::from_secs(604_800);

/// The name under which a store that processes share notes that a consumer has handled an event.
fn key(consumer: &str, event_id: Uuid) -> String {
    format!("processed:{consumer}:{event_id}")
}

/// The state store of the configuration.
#[derive(Debug, Clone)]
pub enum State {
    /// In this process.
    Embedded(EmbeddedState),
    /// In Redis.
    Redis(RedisState),
    /// In the state store of the Dapr sidecar.
    Dapr(DaprState),
}

impl State {
    /// The store of this kind.
    ///
    /// # Errors
    /// There is no Redis, or the sidecar cannot be spoken to.
    pub fn open(config: &Config, redis: Option<&Redis>) -> anyhow::Result<Self> {
        match config.state.kind {
            StateKind::Embedded => {
                let state = EmbeddedState::new(config.state.entries_max);
                Ok(Self::Embedded(state))
            }
            StateKind::Redis => {
                let redis = redis.context("state.kind: \"redis\" needs state.redis_url")?;
                Ok(Self::Redis(RedisState::new(redis.clone())))
            }
            StateKind::Dapr => {
                let sidecar = Sidecar::new(&config.dapr)?;
                Ok(Self::Dapr(DaprState::new(sidecar, config)))
            }
        }
    }

    /// Which of the events the consumer is known to have handled. That one is missing says nothing.
    pub async fn processed(&self, consumer: &'static str, event_ids: &[Uuid]) -> HashSet<Uuid> {
        match self {
            Self::Embedded(state) => state.processed(consumer, event_ids),
            Self::Redis(state) => state.processed(consumer, event_ids).await,
            Self::Dapr(state) => state.processed(consumer, event_ids).await,
        }
    }

    /// Notes that the consumer's effects of the events are committed.
    pub async fn mark_processed(&self, consumer: &'static str, event_ids: &[Uuid]) {
        match self {
            Self::Embedded(state) => state.mark_processed(consumer, event_ids),
            Self::Redis(state) => state.mark_processed(consumer, event_ids).await,
            Self::Dapr(state) => state.mark_processed(consumer, event_ids).await,
        }
    }
}
