#![allow(clippy::unwrap_used)]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, prop_assume, proptest};

use super::{Choices, Digest, Hour, Minute, QuietHours, TimeError, due_at};
use crate::domain::period::local_time;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn quiet(start: &str, end: &str) -> QuietHours {
    QuietHours::new(Minute::parse(start).unwrap(), Minute::parse(end).unwrap()).unwrap()
}

fn hour(text: &str) -> Hour {
    Hour::parse(text).unwrap()
}

#[test]
fn times_are_read_as_they_are_written() {
    for text in ["00:00", "07:05", "23:59"] {
        assert_eq!(Minute::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "", "7:00", "24:00", "12:60", "12:5", "12:00:00", "+1:00", "1２:00", "12.00", " 2:00",
    ] {
        assert_eq!(Minute::parse(text), Err(TimeError::Malformed), "{text}");
        assert_eq!(Hour::parse(text), Err(TimeError::Malformed), "{text}");
    }
    assert_eq!(hour("08:00").to_string(), "08:00");
    assert_eq!(Hour::parse("08:30"), Err(TimeError::NotOnTheHour));
    assert_eq!(Hour::of_day(24), None);
    assert_eq!(Hour::of_day(-1), None);
    assert_eq!(Minute::of_day(1_440), None);
    let noon = Minute::parse("12:00").unwrap();
    assert_eq!(QuietHours::new(noon, noon), Err(TimeError::Empty));
}

#[test]
fn who_has_chosen_nothing_is_told_at_once() {
    let now = at("2026-02-10T03:00:00Z");
    let choices = Choices::default();
    assert_eq!(choices.due_at(now, Tz::Europe__Berlin), now);
    assert!(choices.email_on.is_empty() && choices.in_app_off.is_empty());
}

#[test]
fn quiet_hours_hold_back_until_they_are_over() {
    let night = Some(quiet("22:00", "07:00"));
    let noon = Some(quiet("12:00", "14:00"));
    for (now, zone, hours, expected) in [
        // In Berlin it is an hour later.
        (
            "2026-02-10T20:59:59Z",
            Tz::Europe__Berlin,
            night,
            "2026-02-10T20:59:59Z",
        ),
        (
            "2026-02-10T21:00:00Z",
            Tz::Europe__Berlin,
            night,
            "2026-02-11T06:00:00Z",
        ),
        (
            "2026-02-11T05:59:59Z",
            Tz::Europe__Berlin,
            night,
            "2026-02-11T06:00:00Z",
        ),
        (
            "2026-02-11T06:00:00Z",
            Tz::Europe__Berlin,
            night,
            "2026-02-11T06:00:00Z",
        ),
        (
            "2026-02-10T21:00:00Z",
            Tz::America__New_York,
            night,
            "2026-02-10T21:00:00Z",
        ),
        (
            "2026-02-10T12:00:00Z",
            Tz::UTC,
            noon,
            "2026-02-10T14:00:00Z",
        ),
        (
            "2026-02-10T14:00:00Z",
            Tz::UTC,
            noon,
            "2026-02-10T14:00:00Z",
        ),
    ] {
        assert_eq!(
            due_at(at(now), zone, hours, None),
            at(expected),
            "{now} {zone}"
        );
    }
}

#[test]
fn a_digest_is_sent_at_its_hour() {
    let morning = Some(hour("08:00"));
    for (now, zone, expected) in [
        ("2026-02-10T07:00:00Z", Tz::UTC, "2026-02-10T08:00:00Z"),
        ("2026-02-10T08:00:00Z", Tz::UTC, "2026-02-10T08:00:00Z"),
        ("2026-02-10T08:00:01Z", Tz::UTC, "2026-02-11T08:00:00Z"),
        (
            "2026-02-10T08:00:00Z",
            Tz::Asia__Kolkata,
            "2026-02-11T02:30:00Z",
        ),
    ] {
        assert_eq!(due_at(at(now), zone, None, morning), at(expected), "{now}");
    }
    // Within quiet hours it waits until they are over.
    let (night, early) = (Some(quiet("22:00", "07:00")), Some(hour("05:00")));
    let held = due_at(at("2026-02-10T12:00:00Z"), Tz::UTC, night, early);
    assert_eq!(held, at("2026-02-11T07:00:00Z"));
    let choices = Choices {
        digest: Digest::Daily,
        digest_hour: hour("05:00"),
        quiet_hours: night,
        ..Choices::default()
    };
    assert_eq!(choices.due_at(at("2026-02-10T12:00:00Z"), Tz::UTC), held);
    let awake = choices.awake_at(at("2026-02-10T12:00:00Z"), Tz::UTC);
    assert_eq!(awake, at("2026-02-10T12:00:00Z"));
}

/// In Berlin, on 29 March 2026, clocks skip from 02:00 to 03:00: at 01:00 UTC.
#[test]
fn an_hour_that_is_skipped_is_when_it_is_skipped() {
    let berlin = Tz::Europe__Berlin;
    let now = at("2026-03-28T23:30:00Z");
    let skipped = Some(quiet("22:00", "02:30"));
    assert_eq!(
        due_at(now, berlin, skipped, None),
        at("2026-03-29T01:00:00Z")
    );
    let digest = Some(hour("02:00"));
    assert_eq!(
        due_at(now, berlin, None, digest),
        at("2026-03-29T01:00:00Z")
    );
    // What is just after it may be quiet again: then it is the day after.
    let nearly_all_day = Some(quiet("02:45", "02:30"));
    assert_eq!(
        due_at(now, berlin, nearly_all_day, None),
        at("2026-03-30T00:30:00Z")
    );
    // Quiet hours that are skipped altogether hold back nothing.
    let none = Some(quiet("02:00", "03:00"));
    assert_eq!(
        due_at(at("2026-03-29T01:00:00Z"), berlin, none, None),
        at("2026-03-29T01:00:00Z")
    );
}

/// In Berlin, on 25 October 2026, clocks go back from 03:00 to 02:00: at 01:00 UTC.
#[test]
fn an_hour_that_comes_twice_is_its_first_time() {
    let berlin = Tz::Europe__Berlin;
    let until = Some(quiet("22:00", "02:30"));
    let first = at("2026-10-25T00:30:00Z");
    assert_eq!(
        due_at(at("2026-10-24T23:00:00Z"), berlin, until, None),
        first
    );
    assert_eq!(due_at(first, berlin, until, None), first);
    // What comes when clocks show the night again waits until its second end.
    let second = at("2026-10-25T01:30:00Z");
    assert_eq!(
        due_at(at("2026-10-25T01:10:00Z"), berlin, until, None),
        second
    );
    // A digest is sent once.
    let digest = Some(hour("02:00"));
    let before = at("2026-10-24T23:00:00Z");
    assert_eq!(
        due_at(before, berlin, None, digest),
        at("2026-10-25T00:00:00Z")
    );
    let between = at("2026-10-25T00:30:00Z");
    assert_eq!(
        due_at(between, berlin, None, digest),
        at("2026-10-26T01:00:00Z")
    );
}

/// Samoa had no 30 December 2011.
#[test]
fn a_day_that_a_zone_left_out_holds_nothing_back_for_good() {
    let apia = Tz::Pacific__Apia;
    // 29 December, 23:00 there; after it comes 31 December.
    let now = at("2011-12-30T09:00:00Z");
    let night = Some(quiet("22:00", "07:00"));
    assert_eq!(due_at(now, apia, night, None), at("2011-12-30T17:00:00Z"));
    let digest = Some(hour("08:00"));
    assert_eq!(due_at(now, apia, None, digest), at("2011-12-30T10:00:00Z"));
}

fn zones() -> impl Strategy<Value = Tz> {
    prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec())
}

fn moments() -> impl Strategy<Value = DateTime<Utc>> {
    let (first, last) = (at("1970-01-01T00:00:00Z"), at("2060-01-01T00:00:00Z"));
    (first.timestamp()..last.timestamp()).prop_map(|it| DateTime::from_timestamp(it, 0).unwrap())
}

fn quiet_hours() -> impl Strategy<Value = QuietHours> {
    let minutes = || 0..1_440_i16;
    (minutes(), minutes()).prop_filter_map("they differ", |(start, end)| {
        QuietHours::new(Minute::of_day(start)?, Minute::of_day(end)?).ok()
    })
}

fn hours() -> impl Strategy<Value = Hour> {
    (0..24_i16).prop_map(|hour| Hour::of_day(hour).unwrap())
}

proptest! {
    /// Never before, never in quiet hours, and not much more than a day later: a day may be left out by the zone.
    #[test]
    fn what_is_held_back_is_sent_when_it_is_no_longer_quiet(
        now in moments(), zone in zones(), quiet in quiet_hours()
    ) {
        let due = due_at(now, zone, Some(quiet), None);
        prop_assert!(due >= now);
        prop_assert!(due - now <= TimeDelta::hours(50), "{}", due - now);
        prop_assert!(!quiet.contain(local_time(due, zone).time()));
        let is_quiet = quiet.contain(local_time(now, zone).time());
        prop_assert_eq!(due == now, !is_quiet);
        prop_assert_eq!(due_at(due, zone, Some(quiet), None), due, "it is settled");
    }

    /// Where clocks do not change, it is the very end of the quiet hours.
    #[test]
    fn it_is_sent_as_soon_as_they_are_over(now in moments(), quiet in quiet_hours()) {
        let due = due_at(now, Tz::UTC, Some(quiet), None);
        prop_assume!(due > now);
        prop_assert_eq!(local_time(due, Tz::UTC).time(), quiet.end().0);
        prop_assert!(due - now <= TimeDelta::hours(24));
    }

    /// A digest comes within a day or so, and at its hour unless clocks skip that.
    #[test]
    fn a_digest_comes_once_a_day(now in moments(), zone in zones(), hour in hours()) {
        let due = due_at(now, zone, None, Some(hour));
        prop_assert!(due >= now);
        prop_assert!(due - now <= TimeDelta::hours(50), "{}", due - now);
        prop_assert_eq!(due_at(due, zone, None, Some(hour)), due);
        // Nothing between the two would be sent at another time.
        let between = now + (due - now) / 2;
        prop_assert_eq!(due_at(between, zone, None, Some(hour)), due);
    }

    #[test]
    fn both_together_are_neither_early_nor_loud(
        now in moments(), zone in zones(), quiet in quiet_hours(), hour in hours()
    ) {
        let due = due_at(now, zone, Some(quiet), Some(hour));
        prop_assert!(due >= due_at(now, zone, None, Some(hour)));
        prop_assert!(!quiet.contain(local_time(due, zone).time()));
    }

    #[test]
    fn minutes_read_back(minutes in 0..1_440_i16) {
        let minute = Minute::of_day(minutes).unwrap();
        prop_assert_eq!(minute.since_midnight(), minutes);
        prop_assert_eq!(Minute::parse(&minute.to_string()), Ok(minute));
    }
}
