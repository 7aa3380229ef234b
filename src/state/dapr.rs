//! State in the state store of the Dapr sidecar. While it is away nothing is known, and nobody
//! waits for it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::absence::Absence;
use super::{PROCESSED_TTL, key};
use crate::config::Config;
use crate::dapr::{Sidecar, SidecarError};

/// See [`super::State`].
#[derive(Debug, Clone)]
pub struct DaprState {
    sidecar: Sidecar,
    store: String,
    timeout: Duration,
    absence: Arc<Absence>,
}

impl DaprState {
    pub(super) fn new(sidecar: Sidecar, config: &Config) -> Self {
        Self {
            sidecar,
            store: config.dapr.statestore.clone(),
            timeout: config.state.timeout,
            absence: Arc::default(),
        }
    }

    pub(super) async fn processed(&self, consumer: &str, event_ids: &[Uuid]) -> HashSet<Uuid> {
        if event_ids.is_empty() || self.absence.is_assumed() {
            return HashSet::new();
        }
        let keys = keys(consumer, event_ids);
        let asked = self.sidecar.existing(&self.store, &keys, self.timeout);
        let existing = self.noted(asked.await).unwrap_or_default();
        let existing: HashSet<String> = existing.into_iter().collect();
        let known = keys.iter().zip(event_ids);
        known
            .filter(|(key, _)| existing.contains(*key))
            .map(|(_, id)| *id)
            .collect()
    }

    pub(super) async fn mark_processed(&self, consumer: &str, event_ids: &[Uuid]) {
        if event_ids.is_empty() || self.absence.is_assumed() {
            return;
        }
        let keys = keys(consumer, event_ids);
        let (ttl, timeout) = (PROCESSED_TTL, self.timeout);
        let written = self.sidecar.write(&self.store, &keys, ttl, timeout);
        self.noted(written.await);
    }

    fn noted<T>(&self, answer: Result<T, SidecarError>) -> Option<T> {
        match answer {
            Ok(value) => {
                self.absence.ended();
                Some(value)
            }
            Err(error) => {
                self.absence.seen(&error);
                None
            }
        }
    }
}

fn keys(consumer: &str, event_ids: &[Uuid]) -> Vec<String> {
    event_ids.iter().map(|id| key(consumer, *id)).collect()
}
