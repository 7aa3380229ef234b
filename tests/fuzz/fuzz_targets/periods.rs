//! Periods of any kind and start day cover all days, without gap or overlap, and so do their instants in any time zone.
#![no_main]

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};
use chrono_tz::TZ_VARIANTS;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wealth_companion::domain::period::{self, Month, Period, PeriodKind};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    kind: u8,
    anchor: Option<i32>,
    day: i32,
    zone: u16,
    second: i64,
    months: i16,
    text: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let kind = PeriodKind::ALL[usize::from(input.kind) % PeriodKind::ALL.len()];
    let (anchor, day) = (input.anchor.map(date), date(input.day));
    let zone = TZ_VARIANTS[usize::from(input.zone) % TZ_VARIANTS.len()];
    covering(kind, anchor, day);
    meeting(kind, anchor, day, zone);
    if (1850..2100).contains(&day.year()) {
        waking(day, zone);
    }
    if let Some(now) = DateTime::from_timestamp(input.second, 0) {
        let today = period::today(now, zone);
        assert!((today - now.date_naive()).num_days().abs() <= 1);
        assert!(period::start_of_day(today, zone) <= now);
    }
    months(Month::of(day), i32::from(input.months));
    if let Ok(month) = Month::parse(input.text) {
        assert_eq!(month.to_string(), input.text);
    }
    if let Ok(zone) = period::parse_time_zone(input.text) {
        assert_eq!(zone.name(), input.text);
    }
});

/// Any day of the calendar, mostly of this era.
fn date(number: i32) -> NaiveDate {
    let (first, last) = (
        NaiveDate::MIN.num_days_from_ce(),
        NaiveDate::MAX.num_days_from_ce(),
    );
    let number = if (first..=last).contains(&number) {
        number
    } else {
        693_000 + number.rem_euclid(100_000)
    };
    NaiveDate::from_num_days_from_ce_opt(number).expect("a day")
}

fn covering(kind: PeriodKind, anchor: Option<NaiveDate>, day: NaiveDate) {
    let period = Period::containing(kind, anchor, day);
    assert!(period.contains(day), "{period:?} {day}");
    for edge in [period.start, period.end] {
        assert_eq!(Period::containing(kind, anchor, edge), period);
    }
    let days = (period.end - period.start).num_days() + 1;
    let whole = match kind {
        PeriodKind::Weekly => 7..=7,
        PeriodKind::Monthly => 28..=31,
        PeriodKind::Yearly => 365..=366,
    };
    let cut = period.start == NaiveDate::MIN || period.end == NaiveDate::MAX;
    assert!(cut || whole.contains(&days), "{period:?}");
    if let Some(next_day) = period.end.succ_opt() {
        let next = Period::following(kind, anchor, &period);
        assert_eq!(
            (next.start, next),
            (next_day, Period::containing(kind, anchor, next_day))
        );
        assert_eq!(Period::preceding(kind, anchor, &next), period);
    }
    if let Some(day_before) = period.start.pred_opt() {
        assert_eq!(Period::preceding(kind, anchor, &period).end, day_before);
    }
}

fn meeting(kind: PeriodKind, anchor: Option<NaiveDate>, day: NaiveDate, zone: chrono_tz::Tz) {
    let period = Period::containing(kind, anchor, day);
    let (start, end) = period.instants(zone);
    assert!(start < end, "{period:?} {zone}");
    if period.end < NaiveDate::MAX {
        assert_eq!(
            Period::following(kind, anchor, &period).instants(zone).0,
            end
        );
    }
}

/// The day that it is, just before a day begins and when it does.
fn waking(day: NaiveDate, zone: chrono_tz::Tz) {
    let start = period::start_of_day(day, zone);
    assert!(period::today(start, zone) >= day);
    assert!(period::today(start - TimeDelta::seconds(1), zone) < day);
}

fn months(month: Month, by: i32) {
    assert_eq!(month.first_day().day(), 1);
    let next = month.plus(1);
    assert!(
        month
            .last_day()
            .succ_opt()
            .is_none_or(|day| day == next.first_day())
    );
    let there = month.plus(by);
    let year = there.first_day().year();
    if there.first_day() > NaiveDate::MIN && year < NaiveDate::MAX.year() {
        assert_eq!(there.plus(-by), month);
    }
    if (0..=9999).contains(&month.first_day().year()) {
        assert_eq!(Month::parse(&month.to_string()), Ok(month));
    }
}
