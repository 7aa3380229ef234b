//! Repeatable chance: the same seed gives the same household and the same idempotency keys.

use std::ops::RangeInclusive;

use uuid::{Builder, Uuid};

/// A stream of numbers from a seed (SplitMix64). For variety, not for secrets.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    /// The stream that belongs to a text (FNV-1a of its bytes is the seed).
    pub(super) fn of(text: &str) -> Self {
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    /// A number of the range, both ends included.
    pub(super) fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        let span = range.end().saturating_sub(*range.start());
        range.start() + self.next() % span.saturating_add(1).max(1)
    }

    /// A day of the month from the 1st to the last that is allowed.
    pub(super) fn day_up_to(&mut self, last: u32) -> u32 {
        u32::try_from(self.between(1..=u64::from(last))).unwrap_or(1)
    }

    /// One of the choices; an empty text if there are none.
    pub(super) fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        let last = u64::try_from(choices.len().saturating_sub(1)).unwrap_or(0);
        let index = usize::try_from(self.between(0..=last)).unwrap_or(0);
        choices.get(index).copied().unwrap_or_default()
    }

    /// A version 4 UUID.
    pub(super) fn uuid(&mut self) -> Uuid {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Chance;

    #[test]
    fn the_same_text_gives_the_same_stream_and_another_text_another() {
        let (mut one, mut again, mut other) = (Chance::of("a"), Chance::of("a"), Chance::of("b"));
        let first = one.uuid();
        assert_eq!(first, again.uuid());
        assert_ne!(first, other.uuid());
        assert_eq!(first.get_version_num(), 4);
    }

    #[test]
    fn ranges_include_both_ends_and_nothing_else() {
        let mut chance = Chance::of("range");
        let seen: HashSet<u64> = (0..200).map(|_| chance.between(3..=6)).collect();
        assert_eq!(seen, HashSet::from([3, 4, 5, 6]));
        assert_eq!(chance.between(9..=9), 9);
        assert_eq!(chance.one_of(&[]), "");
    }
}
