//! How a goal comes along: what is saved a month, when it will be reached, and what it takes to reach it
//! in time. Whole minor units and days, exact but for the rounding that is named.

use chrono::{Days, NaiveDate};

/// Days over which the pace is measured at the most.
pub const PACE_DAYS: u32 = 90;
/// And at the least, so that a first contribution is no pace.
pub const PACE_DAYS_MIN: u32 = 30;
/// A day further off than so many years is not foreseen.
const YEARS_FORESEEN: u64 = 100;
const DAYS_PER_YEAR: i128 = 365;
const MONTHS_PER_YEAR: i128 = 12;

/// What is known of a goal that is not reached yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is missing, in minor units, above zero.
    pub missing_minor: i64,
    /// What was saved in the last days, in minor units; below zero if more was taken out.
    pub saved_minor: i64,
    /// How many days that were, [`PACE_DAYS_MIN`] to [`PACE_DAYS`].
    pub days: u32,
}

/// What is foreseen of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// The day on which it is reached at this pace; none when the pace leads nowhere, or not within
    /// a hundred years.
    pub foreseen_on: Option<NaiveDate>,
    /// What must be saved a month to reach it in time, in minor units, rounded up; none without a
    /// day, or when it has come.
    pub needed_minor: Option<i64>,
}

/// How many days the pace of a goal that began on a day is measured over.
#[must_use]
pub fn pace_days(began: NaiveDate, today: NaiveDate) -> u32 {
    let days = u32::try_from(today.signed_duration_since(began).num_days()).unwrap_or(0);
    days.clamp(PACE_DAYS_MIN, PACE_DAYS)
}

/// What was saved a month, in minor units: a twelfth of 365 days, rounded toward zero.
#[must_use]
pub fn monthly_pace(saved_minor: i64, days: u32) -> i64 {
    let pace =
        i128::from(saved_minor) * DAYS_PER_YEAR / (MONTHS_PER_YEAR * i128::from(days.max(1)));
    saturated(pace)
}

/// What is foreseen, as of today.
#[must_use]
pub fn outlook(progress: &Progress, today: NaiveDate, target_date: Option<NaiveDate>) -> Outlook {
    let missing = i128::from(progress.missing_minor);
    let saved = i128::from(progress.saved_minor);
    let days = (saved > 0).then(|| ceil(missing * i128::from(progress.days), saved));
    let foreseen_on = days
        .and_then(|days| u64::try_from(days).ok())
        .filter(|days| *days <= YEARS_FORESEEN * 365)
        .and_then(|days| today.checked_add_days(Days::new(days)));
    let left = target_date.map(|day| day.signed_duration_since(today).num_days());
    let needed_minor = left.filter(|days| *days > 0).map(|days| {
        let needed = ceil(missing * DAYS_PER_YEAR, MONTHS_PER_YEAR * i128::from(days));
        saturated(needed.min(missing))
    });
    Outlook {
        foreseen_on,
        needed_minor,
    }
}

/// Of numbers above zero.
fn ceil(dividend: i128, divisor: i128) -> i128 {
    (dividend + divisor - 1) / divisor
}

fn saturated(minor: i128) -> i64 {
    i64::try_from(minor).unwrap_or(if minor < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_steady_pace_arrives() {
        // 300.00 in 90 days; 1,000.00 are missing: 300 days.
        let progress = Progress {
            missing_minor: 100_000,
            saved_minor: 30_000,
            days: 90,
        };
        let outlook = outlook(&progress, day("2026-02-10"), Some(day("2027-02-10")));
        assert_eq!(outlook.foreseen_on, Some(day("2026-12-07")));
        // A twelfth of 1,000.00, since a year is left: rounded up.
        assert_eq!(outlook.needed_minor, Some(8_334));
        assert_eq!(monthly_pace(30_000, 90), 10_138);
    }

    #[test]
    fn nowhere_is_not_foreseen() {
        let today = day("2026-02-10");
        for saved_minor in [0, -5, 1] {
            let progress = Progress {
                missing_minor: 1_000_000,
                saved_minor,
                days: 90,
            };
            let outlook = outlook(&progress, today, Some(today));
            assert_eq!(outlook, Outlook::default(), "{saved_minor}");
        }
    }

    #[test]
    fn less_than_a_month_takes_all_at_once() {
        let progress = Progress {
            missing_minor: 500,
            saved_minor: 0,
            days: 30,
        };
        let outlook = outlook(&progress, day("2026-02-10"), Some(day("2026-02-11")));
        assert_eq!(outlook.needed_minor, Some(500));
    }

    #[test]
    fn a_first_contribution_is_no_pace() {
        assert_eq!(pace_days(day("2026-02-10"), day("2026-02-10")), 30);
        assert_eq!(pace_days(day("2026-01-01"), day("2026-02-10")), 40);
        assert_eq!(pace_days(day("2020-01-01"), day("2026-02-10")), 90);
        assert_eq!(pace_days(day("2027-01-01"), day("2026-02-10")), 30);
    }

    proptest! {
        #[test]
        fn it_is_reached_on_the_day_foreseen_and_not_before(
            missing_minor in 1_i64..1_000_000_000_000_000,
            saved_minor in 1_i64..1_000_000_000_000_000,
            days in 30_u32..=90,
        ) {
            let today = day("2026-02-10");
            let progress = Progress { missing_minor, saved_minor, days };
            if let Some(on) = outlook(&progress, today, None).foreseen_on {
                let after = i128::from(on.signed_duration_since(today).num_days());
                let saved = |after: i128| after * i128::from(saved_minor);
                let wanted = i128::from(missing_minor) * i128::from(days);
                prop_assert!(saved(after) >= wanted && saved(after - 1) < wanted);
            }
        }

        #[test]
        fn what_is_needed_suffices_and_is_no_more_than_is_missing(
            missing_minor in 1_i64..1_000_000_000_000_000,
            left in 1_u64..40_000,
        ) {
            let today = day("2026-02-10");
            let progress = Progress { missing_minor, saved_minor: 0, days: 30 };
            let until = today.checked_add_days(Days::new(left));
            let needed = i128::from(outlook(&progress, today, until).needed_minor.unwrap());
            prop_assert!(needed <= i128::from(missing_minor));
            let saved = needed * 12 * i128::from(left) / 365;
            prop_assert!(saved >= i128::from(missing_minor) || needed == i128::from(missing_minor));
            prop_assert_eq!(outlook(&progress, today, None).needed_minor, None);
        }
    }
}
