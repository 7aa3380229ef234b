//! One question without an answer, and nobody asks for a while: then one does, and if that is in vain as well, for
//! twice as long. How long is the other side's to say, where it says so.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Fault;

/// How long nobody asks after the first fault.
const PAUSE: Duration = Duration::from_secs(30);
/// After many of them.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// After a fault that only a person can mend.
const PAUSE_NOT_SET_UP: Duration = Duration::from_secs(3_600);
/// The longest pause that is granted to whoever asks for one.
const ASKED_MAX: Duration = Duration::from_secs(86_400);

/// Whether it is asked.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Faults since the last answer.
    faults: u32,
    /// Nobody asks before.
    until: Option<DateTime<Utc>>,
    /// Whether it was said that a person is needed.
    said_not_set_up: bool,
}

impl Breaker {
    /// Whether somebody may ask now. Of those who come when a pause is over, the first one may; the others find
    /// it begun again.
    pub(super) fn lets_through(&self, now: DateTime<Utc>) -> bool {
        let mut state = self.lock();
        match state.until {
            Some(until) if now < until => false,
            Some(_) => {
                state.until = Some(later(now, PAUSE));
                true
            }
            None => true,
        }
    }

    /// There was an answer; says whether there was none before.
    pub(super) fn close(&self) -> bool {
        let mut state = self.lock();
        let was_open = state.until.is_some();
        *state = State::default();
        was_open
    }

    /// There was none; says whether that is worth a line in the log.
    pub(super) fn open(&self, now: DateTime<Utc>, fault: &Fault) -> bool {
        let mut state = self.lock();
        let doubled = PAUSE
            .saturating_mul(1 << state.faults.min(5))
            .min(PAUSE_MAX);
        let pause = match fault {
            Fault::NotSetUp { .. } => PAUSE_NOT_SET_UP,
            Fault::Busy {
                pause: Some(asked), ..
            } => doubled.max((*asked).min(ASKED_MAX)),
            _ => doubled,
        };
        let is_not_set_up = matches!(fault, Fault::NotSetUp { .. });
        let is_news = state.faults == 0 || (is_not_set_up && !state.said_not_set_up);
        state.said_not_set_up |= is_not_set_up;
        state.faults = state.faults.saturating_add(1);
        state.until = Some(later(now, pause));
        is_news
    }

    /// Whether the last question had no answer.
    pub(super) fn is_open(&self) -> bool {
        self.lock().until.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(now: DateTime<Utc>, pause: Duration) -> DateTime<Utc> {
    let pause = TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(pause)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(secs, 0).expect("a moment")
    }

    fn away() -> Fault {
        Fault::Away(String::new())
    }

    #[test]
    fn pauses_double_and_one_tries() {
        let breaker = Breaker::default();
        assert!(breaker.lets_through(at(0)));
        assert!(breaker.open(at(0), &away()), "the first is news");
        assert!(!breaker.lets_through(at(29)));
        assert!(breaker.lets_through(at(30)));
        assert!(!breaker.lets_through(at(30)), "one is on its way");
        assert!(!breaker.open(at(30), &away()), "no news");
        assert!(!breaker.lets_through(at(89)));
        assert!(breaker.lets_through(at(90)));
        assert!(breaker.close(), "the end is news");
        assert!(!breaker.is_open());
        assert!(!breaker.close());
        for _ in 0..40 {
            breaker.open(at(100), &away());
        }
        assert!(!breaker.lets_through(at(699)));
        assert!(breaker.lets_through(at(700)));
    }

    #[test]
    fn whoever_asks_for_a_pause_gets_it_within_a_day() {
        let busy = |secs| Fault::Busy {
            status: 429,
            pause: Some(Duration::from_secs(secs)),
        };
        let breaker = Breaker::default();
        breaker.open(at(0), &busy(1));
        assert!(!breaker.lets_through(at(29)), "not less than ours");
        breaker.open(at(0), &busy(3_000));
        assert!(!breaker.lets_through(at(2_999)));
        breaker.open(at(0), &busy(u64::MAX));
        assert!(breaker.lets_through(at(86_400)));
    }

    #[test]
    fn that_a_person_is_needed_is_said_once() {
        let not_set_up = Fault::NotSetUp {
            status: 403,
            reason: String::new(),
        };
        let breaker = Breaker::default();
        assert!(breaker.open(at(0), &away()));
        assert!(breaker.open(at(0), &not_set_up));
        assert!(!breaker.open(at(0), &not_set_up));
        assert!(!breaker.lets_through(at(3_599)));
        assert!(breaker.lets_through(at(3_600)));
    }
}
