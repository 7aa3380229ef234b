//! What to do while a store of short-lived state is away: go on without it, ask again after a
//! while, and say so now and then.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::metrics::names;

/// How long after a fault the store is not asked.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is said that the store is away.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Whether a store is away, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Absence(Mutex<Option<Seen>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    last: Instant,
    said: Instant,
}

impl Absence {
    /// Whether it was away a moment ago, so that asking again would be waiting in vain.
    pub(super) fn is_assumed(&self) -> bool {
        self.lock().is_some_and(|seen| seen.last.elapsed() < PAUSE)
    }

    /// It did not answer.
    pub(super) fn seen(&self, error: &impl Display) {
        metrics::counter!(names::STATE_FAILURES_TOTAL).increment(1);
        let now = Instant::now();
        let mut seen = self.lock();
        let said = seen.map(|seen| seen.said);
        let is_news = said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY);
        *seen = Some(Seen {
            last: now,
            said: said.filter(|_| !is_news).unwrap_or(now),
        });
        drop(seen);
        if is_news {
            tracing::warn!(%error, "the state store is away: it goes on without it, slower");
        }
    }

    /// It answered.
    pub(super) fn ended(&self) {
        if self.lock().take().is_some() {
            tracing::info!("the state store is back");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Absence;

    #[test]
    fn a_store_that_was_away_is_left_alone_for_a_moment() {
        let absence = Absence::default();
        assert!(!absence.is_assumed());
        absence.seen(&"away");
        absence.seen(&"away");
        assert!(absence.is_assumed());
        absence.ended();
        assert!(!absence.is_assumed());
    }
}
