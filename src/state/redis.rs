//! State in Redis, for all replicas.
//!
//! A key says all: what it holds is not looked at. So a key is seen whoever wrote it; the sidecar's
//! state store writes hashes under the same names, where a GET would fail.

use std::collections::HashSet;

use deadpool_redis::redis::pipe;
use uuid::Uuid;

use super::{PROCESSED_TTL, key};
use crate::redis::Redis;

/// See [`super::State`].
#[derive(Debug, Clone)]
pub struct RedisState {
    redis: Redis,
}

impl RedisState {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis }
    }

    pub(super) async fn processed(
        &self,
        consumer: &'static str,
        event_ids: &[Uuid],
    ) -> HashSet<Uuid> {
        if event_ids.is_empty() {
            return HashSet::new();
        }
        let mut questions = pipe();
        for id in event_ids {
            questions.cmd("EXISTS").arg(key(consumer, *id));
        }
        let questions = &questions;
        let asked = self.redis.ask(|mut connection| async move {
            questions.query_async::<Vec<bool>>(&mut connection).await
        });
        let known = asked.await.unwrap_or_default();
        let pairs = event_ids.iter().zip(known);
        pairs
            .filter_map(|(id, is_known)| is_known.then_some(*id))
            .collect()
    }

    pub(super) async fn mark_processed(&self, consumer: &'static str, event_ids: &[Uuid]) {
        if event_ids.is_empty() {
            return;
        }
        let mut notes = pipe();
        for id in event_ids {
            let note = notes.cmd("SET").arg(key(consumer, *id)).arg(1);
            note.arg("EX").arg(PROCESSED_TTL.as_secs()).ignore();
        }
        let notes = &notes;
        let noted = self
            .redis
            .ask(|mut connection| async move { notes.exec_async(&mut connection).await });
        noted.await.unwrap_or_default();
    }
}
