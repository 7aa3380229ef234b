//! State in the memory of this process, bounded by count and by age.

use std::collections::HashSet;

use moka::sync::Cache;
use uuid::Uuid;

use super::PROCESSED_TTL;

/// See [`super::State`].
#[derive(Debug, Clone)]
pub struct EmbeddedState {
    processed: Cache<(&'static str, Uuid), ()>,
}

impl EmbeddedState {
    pub(super) fn new(entries_max: u64) -> Self {
        let processed = Cache::builder()
            .max_capacity(entries_max)
            .time_to_live(PROCESSED_TTL)
            .build();
        Self { processed }
    }

    pub(super) fn processed(&self, consumer: &'static str, event_ids: &[Uuid]) -> HashSet<Uuid> {
        let is_known = |id: &Uuid| self.processed.contains_key(&(consumer, *id));
        event_ids.iter().copied().filter(is_known).collect()
    }

    pub(super) fn mark_processed(&self, consumer: &'static str, event_ids: &[Uuid]) {
        for id in event_ids {
            self.processed.insert((consumer, *id), ());
        }
    }
}
