//! A rule of RFC 5545 is read or refused; what is read comes on days that rise, within its bounds, and the same whichever
//! day one begins to look from.
//!
//! The first bytes are the day on which it begins and how much later one looks, the rest is the rule.
#![no_main]

use chrono::{Days, NaiveDate};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wealth_companion::domain::recurrence::{Recurrence, TEXT_CHARS_MAX};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    day: u32,
    later: u16,
    text: &'a str,
}

/// Days that are looked at.
const MOST: usize = 20;

fuzz_target!(|input: Input<'_>| {
    let starts_on = date(input.day);
    let Ok(rule) = Recurrence::parse(input.text, starts_on) else {
        return;
    };
    assert!(input.text.len() <= TEXT_CHARS_MAX);
    assert_eq!((rule.text(), rule.starts_on()), (input.text, starts_on));
    // What is kept is read again.
    assert_eq!(Recurrence::parse(rule.text(), starts_on), Ok(rule.clone()));
    let days = rule.days_from(starts_on, MOST);
    assert!(days.is_sorted_by(|one, next| one < next), "{days:?}");
    assert!(
        days.first().is_none_or(|first| *first >= starts_on),
        "{days:?}"
    );
    for (place, day) in days.iter().enumerate() {
        let rest = rule.days_from(*day, MOST - place);
        assert!(
            rest.starts_with(&days[place..]),
            "{} from {day}: {rest:?}",
            input.text
        );
    }
    let later = starts_on + Days::new(input.later.into());
    let found = rule.days_from(later, MOST);
    assert!(found.is_sorted_by(|one, next| one < next), "{found:?}");
    if let (Some(last), Some(first)) = (days.last(), found.first())
        && *first <= *last
    {
        assert!(days.contains(first), "{first} of {days:?} from {later}");
    }
});

/// Any day on which a rule may begin, mostly of this era.
fn date(number: u32) -> NaiveDate {
    let days = if number.is_multiple_of(16) {
        2_900_000
    } else {
        60_000
    };
    let first = NaiveDate::from_ymd_opt(1980, 1, 1).expect("a day");
    first + Days::new(u64::from(number % days))
}
