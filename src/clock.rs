//! Time and chance: the one file that reads the system clock or the system's randomness.
//!
//! Nothing comes before it. Every part that stamps a time, makes an id or a secret is handed a
//! [`Clock`] or an [`Ids`], so a test that fixes both replays a run exactly.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use uuid::Uuid;

/// Tells the time, in whole microseconds: the finest step both databases keep, so a stored time
/// reads back equal.
///
/// Clones of a fixed clock share their time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `at` until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self(Source::Fixed(Arc::new(Mutex::new(at))))
    }

    /// The time now, truncated to microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.0 {
            Source::System => system_now(),
            Source::Fixed(at) => *lock(at),
        };
        now.trunc_subsecs(6)
    }

    /// Moves a fixed clock forward, at most to the last representable time. The system's clock
    /// cannot be moved: a debug build asserts, a release build ignores the call.
    pub fn advance(&self, by: Duration) {
        let Source::Fixed(at) = &self.0 else {
            debug_assert!(false, "only a fixed clock can be moved");
            return;
        };
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        let mut at = lock(at);
        *at = at
            .checked_add_signed(by)
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system clock"
)]
fn system_now() -> DateTime<Utc> {
    Utc::now()
}

/// Makes ids and secrets. Clones draw from the same stream.
#[derive(Clone)]
pub struct Ids(Arc<Mutex<Stream>>);

struct Stream {
    rng: StdRng,
    last_v7: LastV7,
}

/// The last v7 id: its millisecond and the 74 bits behind it.
struct LastV7 {
    millis: u64,
    tail: u128,
}

/// Of a v7 id's 74 free bits, 12 stand before the variant marker and 62 behind it.
const V7_TAIL_BITS: u32 = 74;
const V7_LOW_BITS: u32 = 62;

impl Ids {
    /// Ids from a cryptographically secure generator seeded by the operating system.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give; no secret could be made safely then.
    #[must_use]
    pub fn system() -> Self {
        Self::over(StdRng::from_os_rng())
    }

    /// The same ids in the same order for the same seed, within one build. For tests: its secrets
    /// can be guessed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::over(StdRng::seed_from_u64(seed))
    }

    fn over(rng: StdRng) -> Self {
        let last_v7 = LastV7 { millis: 0, tail: 0 };
        Self(Arc::new(Mutex::new(Stream { rng, last_v7 })))
    }

    /// A time-ordered id (UUID version 7): ids sort by the millisecond of `now`, and consecutive
    /// calls with the same millisecond sort in the order of the calls. A time before 1970 counts as
    /// 1970.
    #[must_use]
    pub fn v7(&self, now: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let tail = lock(&self.0).next_v7_tail(millis);
        // Laid out as the uuid reads it: 12 bits, a gap where the variant goes, 62 bits.
        let low = tail & ((1 << V7_LOW_BITS) - 1);
        let spread = ((tail >> V7_LOW_BITS) << u64::BITS) | low;
        let [_, _, _, _, _, _, tail_bytes @ ..] = spread.to_be_bytes();
        uuid::Builder::from_unix_timestamp_millis(millis, &tail_bytes).into_uuid()
    }

    /// A random id (UUID version 4), which tells nothing of when it was made.
    #[must_use]
    pub fn v4(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// 256 random bits, for tokens and keys.
    #[must_use]
    pub fn secret(&self) -> [u8; 32] {
        self.bytes()
    }

    /// The id of a new trace; never all zeros, which W3C Trace Context reserves for "none".
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.non_zero_bytes()
    }

    /// The id of a new span; never all zeros, which W3C Trace Context reserves for "none".
    #[must_use]
    pub fn span_id(&self) -> [u8; 8] {
        self.non_zero_bytes()
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        lock(&self.0).rng.fill_bytes(&mut bytes);
        bytes
    }

    fn non_zero_bytes<const N: usize>(&self) -> [u8; N] {
        loop {
            let bytes = self.bytes();
            if bytes != [0; N] {
                return bytes;
            }
        }
    }
}

/// Shows nothing of the generator: its state would give away secrets to come.
impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").finish_non_exhaustive()
    }
}

impl Stream {
    /// Random at a new millisecond; within one, a random step up, which keeps order and cannot be
    /// guessed.
    fn next_v7_tail(&mut self, millis: u64) -> u128 {
        let tail = if millis == self.last_v7.millis {
            self.last_v7.tail + 1 + u128::from(self.rng.random::<u32>())
        } else {
            self.rng.random::<u128>()
        };
        let tail = tail & ((1 << V7_TAIL_BITS) - 1);
        self.last_v7 = LastV7 { millis, tail };
        tail
    }
}

/// Nothing done under these locks leaves a value half written, so one poisoned by a panic is still
/// good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00.123456Z".parse().unwrap()
    }

    #[test]
    fn both_clocks_tell_whole_microseconds() {
        let between = noon() + TimeDelta::nanoseconds(999);
        assert_eq!(Clock::fixed(between).now(), noon());
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told_and_for_all_its_clones() {
        let clock = Clock::fixed(noon());
        let clone = clock.clone();
        clock.advance(Duration::from_secs(90));
        assert_eq!(clone.now(), noon() + TimeDelta::seconds(90));
    }

    #[test]
    fn a_fixed_clock_stops_at_the_end_of_time() {
        let clock = Clock::fixed(noon());
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), DateTime::<Utc>::MAX_UTC.trunc_subsecs(6));
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let draw = |ids: Ids| {
            (
                ids.v7(noon()),
                ids.v4(),
                ids.secret(),
                ids.trace_id(),
                ids.span_id(),
            )
        };
        assert_eq!(draw(Ids::seeded(7)), draw(Ids::seeded(7)));
        assert_ne!(draw(Ids::seeded(7)), draw(Ids::seeded(8)));
        assert_ne!(draw(Ids::system()), draw(Ids::system()));
    }

    #[test]
    fn v7_ids_carry_their_version_variant_and_time() {
        let id = Ids::seeded(1).v7(noon());
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        assert_eq!(i64::try_from(seconds).unwrap(), noon().timestamp());
        assert_eq!(nanos, 123_000_000);
    }

    #[test]
    fn v7_ids_rise_within_a_millisecond_and_across_them() {
        let (clock, ids) = (Clock::fixed(noon()), Ids::seeded(3));
        let mut made = Vec::new();
        for _ in 0..50 {
            made.extend((0..1_000).map(|_| ids.v7(clock.now())));
            clock.advance(Duration::from_millis(1));
        }
        assert!(made.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_time_before_the_epoch_still_gives_distinct_ids() {
        let ids = Ids::seeded(4);
        let early = DateTime::<Utc>::UNIX_EPOCH - TimeDelta::days(1);
        let made: HashSet<Uuid> = (0..100).map(|_| ids.v7(early)).collect();
        assert_eq!(made.len(), 100);
    }

    #[test]
    fn v4_ids_carry_their_version() {
        assert_eq!(Ids::seeded(5).v4().get_version_num(), 4);
    }

    #[test]
    fn the_generator_is_not_shown() {
        assert_eq!(format!("{:?}", Ids::seeded(6)), "Ids { .. }");
    }
}
