//! Which seeds are played, and how long each: those of a run of the tests, or those that `tools/simulate` asks for.

use std::env;
use std::ops::RangeInclusive;

/// `SIMULATE_SEEDS` asks for others than the first so many: `1-300`, or one: `7`.
pub(crate) fn seeds(of_tests: u64) -> RangeInclusive<u64> {
    let Ok(text) = env::var("SIMULATE_SEEDS") else {
        return 1..=of_tests;
    };
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let number = |text: &str| text.parse().expect("a number");
    number(first)..=number(last)
}

/// `SIMULATE_STEPS` asks for longer or shorter ones.
pub(crate) fn steps(of_tests: usize) -> usize {
    let text = env::var("SIMULATE_STEPS").ok();
    text.map_or(of_tests, |text| text.parse().expect("a number"))
}
