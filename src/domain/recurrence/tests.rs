#![allow(clippy::unwrap_used)]

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use super::{Recurrence, RecurrenceError, TEXT_CHARS_MAX};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The first days of a rule.
fn days(text: &str, starts_on: &str, most: usize) -> Vec<String> {
    let rule = Recurrence::parse(text, day(starts_on)).unwrap();
    let days = rule.days_from(day(starts_on), most);
    days.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_that_people_have_come_on_the_days_that_they_mean() {
    for (text, starts_on, expected) in [
        (
            "FREQ=DAILY",
            "2026-02-27",
            &["2026-02-27", "2026-02-28", "2026-03-01"][..],
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2",
            "2026-02-10",
            &["2026-02-10", "2026-02-24", "2026-03-10"],
        ),
        (
            "FREQ=WEEKLY;BYDAY=MO,FR",
            "2026-02-10",
            &["2026-02-13", "2026-02-16", "2026-02-20"],
        ),
        // A day that a month does not have is left out.
        (
            "FREQ=MONTHLY",
            "2026-01-31",
            &["2026-01-31", "2026-03-31", "2026-05-31"],
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=-1",
            "2028-01-31",
            &["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"],
        ),
        // The last day on which one works.
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "2026-01-01",
            &["2026-01-30", "2026-02-27", "2026-03-31"],
        ),
        (
            "FREQ=MONTHLY;BYDAY=-1FR",
            "2026-01-01",
            &["2026-01-30", "2026-02-27", "2026-03-27"],
        ),
        (
            "FREQ=MONTHLY;INTERVAL=3",
            "2025-11-15",
            &["2025-11-15", "2026-02-15", "2026-05-15"],
        ),
        (
            "FREQ=YEARLY",
            "2024-02-29",
            &["2024-02-29", "2028-02-29", "2032-02-29"],
        ),
        (
            "FREQ=YEARLY;BYMONTH=3,9;BYMONTHDAY=1",
            "2026-02-10",
            &["2026-03-01", "2026-09-01", "2027-03-01"],
        ),
        (
            "FREQ=DAILY;COUNT=2",
            "2026-02-10",
            &["2026-02-10", "2026-02-11"],
        ),
        // The last day is one of them, whatever hour is written with it.
        (
            "FREQ=DAILY;UNTIL=20260211",
            "2026-02-10",
            &["2026-02-10", "2026-02-11"],
        ),
        (
            "FREQ=DAILY;UNTIL=20260211T000000Z",
            "2026-02-10",
            &["2026-02-10", "2026-02-11"],
        ),
    ] {
        let most = expected.len() + usize::from(text.contains("UNTIL") || text.contains("COUNT"));
        assert_eq!(days(text, starts_on, most), expected, "{text}");
    }
}

#[test]
fn what_is_no_rule_for_bookings_is_refused_with_what_is_wrong() {
    let long = format!("FREQ=MONTHLY;BYMONTHDAY={}1", "1,".repeat(100));
    assert!(long.len() > TEXT_CHARS_MAX);
    for (text, part) in [
        ("", "not a rule"),
        ("FREQ", "not a rule"),
        ("RRULE:FREQ=DAILY", "not a rule"),
        ("freq=daily", "not a rule"),
        ("FREQ=DAILY;", "not a rule"),
        ("FREQ=DAILY;COLOR=RED", "not a rule"),
        ("FREQ=WEEKLY;BYDAY=MONDAY", "not a rule"),
        ("FREQ=WEEKLY;BYDAY=", "not a rule"),
        ("FREQ=WEEKLY;WKST=1MO", "not a rule"),
        ("FREQ=MONTHLY;BYDAY=9MO", "not a rule"),
        ("FREQ=DAILY\nFREQ=DAILY", "FREQ is"),
        (long.as_str(), "at most 200 characters"),
        ("COUNT=3", "FREQ is"),
        ("FREQ=SECONDLY", "FREQ is"),
        ("FREQ=MINUTELY;INTERVAL=5", "FREQ is"),
        ("FREQ=HOURLY", "FREQ is"),
        ("FREQ=DAILY;BYHOUR=1,2,3", "BYHOUR is not for bookings"),
        ("FREQ=DAILY;BYSECOND=1", "BYSECOND is not for bookings"),
        ("FREQ=YEARLY;BYWEEKNO=20", "BYWEEKNO is not for bookings"),
        ("FREQ=YEARLY;BYYEARDAY=200", "BYYEARDAY is not for bookings"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is said twice"),
        ("FREQ=DAILY;COUNT=1;COUNT=2", "COUNT is said twice"),
        (
            "FREQ=DAILY;INTERVAL=0",
            "INTERVAL is a number from 1 to 366",
        ),
        ("FREQ=DAILY;INTERVAL=65536", "INTERVAL is a number"),
        ("FREQ=DAILY;COUNT=0", "COUNT is a number from 1 to 1000"),
        ("FREQ=DAILY;COUNT=4294967296", "COUNT is a number"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY is a number"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY is a number"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH is a number"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY is a number"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "BYSETPOS is a number"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS chooses"),
        ("FREQ=WEEKLY;BYDAY=1MO", "counts days of the week"),
        ("FREQ=MONTHLY;BYDAY=MO,1FR", "counted all"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "does not go with FREQ=WEEKLY"),
        ("FREQ=DAILY;COUNT=1;UNTIL=20270101", "COUNT or UNTIL"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL is a day"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL is a day"),
        ("FREQ=DAILY;UNTIL=+2026121", "UNTIL is a day"),
        ("FREQ=DAILY;UNTIL=20270101T25", "UNTIL is a day"),
        ("FREQ=DAILY;UNTIL=00000101", "ends before it begins"),
        ("FREQ=DAILY;UNTIL=20260209", "ends before it begins"),
    ] {
        let error = Recurrence::parse(text, day("2026-02-10")).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(part), "{text}: {told}");
    }
}

#[test]
fn what_never_comes_has_no_days() {
    for text in [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYDAY=1MO;BYSETPOS=2",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    ] {
        // 10 February 2026 is a Tuesday.
        assert_eq!(days(text, "2026-02-10", 3), [""; 0], "{text}");
    }
    // What comes later than anybody plans is as if it never came.
    let once = days("FREQ=YEARLY;INTERVAL=60", "2026-02-10", 3);
    assert_eq!(once, ["2026-02-10"]);
    let at_the_end = days("FREQ=DAILY", "9999-12-30", 9);
    assert_eq!(at_the_end, ["9999-12-30", "9999-12-31"]);
    let error = Recurrence::parse("FREQ=DAILY;UNTIL=20260209", day("2026-02-10"));
    assert_eq!(error, Err(RecurrenceError::EndsBefore));
}

/// A rule in parts, for a model that knows nothing of how the library reckons.
#[derive(Debug, Clone)]
struct Parts {
    frequency: &'static str,
    interval: u32,
    by_month: Vec<u32>,
    by_month_day: Vec<i32>,
    by_day: Vec<(i32, Weekday)>,
    by_set_pos: Vec<i32>,
    week_start: Weekday,
    /// A count, or days until the end.
    count: Option<u32>,
    lasts: Option<u16>,
    starts_on: NaiveDate,
}

const SHORT: [(&str, Weekday); 7] = [
    ("MO", Weekday::Mon),
    ("TU", Weekday::Tue),
    ("WE", Weekday::Wed),
    ("TH", Weekday::Thu),
    ("FR", Weekday::Fri),
    ("SA", Weekday::Sat),
    ("SU", Weekday::Sun),
];

fn short(weekday: Weekday) -> &'static str {
    SHORT.iter().find(|(_, it)| *it == weekday).unwrap().0
}

impl Parts {
    fn text(&self) -> String {
        let list = |numbers: Vec<String>| numbers.join(",");
        let mut text = format!("FREQ={};INTERVAL={}", self.frequency, self.interval);
        let mut add = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                text.push_str(&format!(";{name}={}", list(values)));
            }
        };
        let texts = |numbers: &[i32]| numbers.iter().map(ToString::to_string).collect();
        add(
            "BYMONTH",
            self.by_month.iter().map(ToString::to_string).collect(),
        );
        add("BYMONTHDAY", texts(&self.by_month_day));
        let by_day = self.by_day.iter().map(|(place, weekday)| match place {
            0 => short(*weekday).to_owned(),
            place => format!("{place}{}", short(*weekday)),
        });
        add("BYDAY", by_day.collect());
        add("BYSETPOS", texts(&self.by_set_pos));
        add("WKST", vec![short(self.week_start).to_owned()]);
        add(
            "COUNT",
            self.count.iter().map(ToString::to_string).collect(),
        );
        let until = self.until().map(|day| day.format("%Y%m%d").to_string());
        add("UNTIL", until.into_iter().collect());
        text
    }

    fn until(&self) -> Option<NaiveDate> {
        self.lasts
            .map(|days| self.starts_on + Days::new(days.into()))
    }

    /// The first day of the period that a day is in.
    fn period_of(&self, day: NaiveDate) -> NaiveDate {
        match self.frequency {
            "DAILY" => day,
            "WEEKLY" => day - Days::new(day.weekday().days_since(self.week_start).into()),
            "MONTHLY" => day.with_day(1).unwrap(),
            _ => day.with_ordinal(1).unwrap(),
        }
    }

    fn next_period(&self, period: NaiveDate) -> NaiveDate {
        match self.frequency {
            "DAILY" => period + Days::new(1),
            "WEEKLY" => period + Days::new(7),
            "MONTHLY" => period + Months::new(1),
            _ => period + Months::new(12),
        }
    }

    fn fits(&self, day: NaiveDate) -> bool {
        let start = self.starts_on;
        let unnamed = self.by_month_day.is_empty() && self.by_day.is_empty();
        let length = i32::from(day.num_days_in_month());
        let of_month = i32::try_from(day.day()).unwrap();
        let month = if unnamed && self.frequency == "YEARLY" && self.by_month.is_empty() {
            day.month() == start.month()
        } else {
            self.by_month.is_empty() || self.by_month.contains(&day.month())
        };
        let month_day = match self.frequency {
            "MONTHLY" | "YEARLY" if unnamed => day.day() == start.day(),
            _ => {
                self.by_month_day.is_empty()
                    || self
                        .by_month_day
                        .iter()
                        .any(|it| *it == of_month || *it == of_month - length - 1)
            }
        };
        let weekday = if unnamed && self.frequency == "WEEKLY" {
            day.weekday() == start.weekday()
        } else {
            self.by_day.is_empty() || self.by_day.iter().any(|it| self.is_nth(day, *it))
        };
        month && month_day && weekday
    }

    /// Whether it is the first, second or last such day of its month, or of its year where no month is named.
    fn is_nth(&self, day: NaiveDate, (place, weekday): (i32, Weekday)) -> bool {
        if day.weekday() != weekday {
            return false;
        }
        let (at, length) = if self.frequency == "YEARLY" && self.by_month.is_empty() {
            let year = if day.leap_year() { 366 } else { 365 };
            (day.ordinal(), year)
        } else {
            (day.day(), u32::from(day.num_days_in_month()))
        };
        let from_start = i32::try_from(at.div_ceil(7)).unwrap();
        let from_end = -i32::try_from((length - at) / 7 + 1).unwrap();
        place == 0 || place == from_start || place == from_end
    }

    /// All days in twelve years, found by looking at each.
    fn days(&self) -> Vec<NaiveDate> {
        let end = self.starts_on + Months::new(12 * 12);
        let mut found = Vec::new();
        let (mut period, mut number) = (self.period_of(self.starts_on), 0_u32);
        while period < end {
            let next = self.next_period(period);
            if number.is_multiple_of(self.interval) {
                let mut of_period: Vec<NaiveDate> = period
                    .iter_days()
                    .take_while(|day| *day < next)
                    .filter(|day| self.fits(*day))
                    .collect();
                // In the week of the start the days before it are not there to be chosen.
                if self.frequency == "WEEKLY" {
                    of_period.retain(|day| *day >= self.starts_on);
                }
                found.extend(self.chosen(&of_period));
            }
            (period, number) = (next, number + 1);
        }
        found.retain(|day| {
            *day >= self.starts_on && *day < end && self.until().is_none_or(|last| *day <= last)
        });
        found.truncate(self.count.map_or(usize::MAX, |count| count as usize));
        found
    }

    fn chosen(&self, days: &[NaiveDate]) -> Vec<NaiveDate> {
        if self.by_set_pos.is_empty() {
            return days.to_vec();
        }
        let length = i32::try_from(days.len()).unwrap();
        let places = (0..).zip(days).filter(|(at, _)| {
            let positions = &self.by_set_pos;
            positions.contains(&(at + 1)) || positions.contains(&(at - length))
        });
        places.map(|(_, day)| *day).collect()
    }
}

fn some<T: Clone + std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(of, 1..4),
    ]
}

fn weekdays() -> impl Strategy<Value = Weekday> {
    prop::sample::select(SHORT.map(|(_, weekday)| weekday).to_vec())
}

fn rules() -> impl Strategy<Value = Parts> {
    let frequency = prop::sample::select(vec!["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]);
    let month_day = prop_oneof![-31..=-1_i32, 1..=31_i32, Just(-1), Just(31)];
    let by_day = (prop_oneof![-4..=-1_i32, 1..=4_i32], weekdays());
    let starts_on = (0_u32..3_000, any::<bool>()).prop_map(|(days, is_end)| {
        let day = day("2023-11-30") + Days::new(days.into());
        if is_end {
            day.with_day(day.num_days_in_month().into()).unwrap()
        } else {
            day
        }
    });
    let parts = (
        frequency,
        prop_oneof![3 => Just(1_u32), 1 => 2..=13_u32],
        some(1..=12_u32),
        some(month_day),
        some(by_day),
        some(prop_oneof![-3..=-1_i32, 1..=4_i32]),
        weekdays(),
        any::<bool>(),
        prop::option::weighted(0.2, 1..=40_u32),
        prop::option::weighted(0.2, 0..=2_000_u16),
        starts_on,
    );
    parts.prop_map(
        |(
            frequency,
            interval,
            by_month,
            by_month_day,
            by_day,
            by_set_pos,
            week_start,
            counts_days,
            count,
            lasts,
            starts_on,
        )| {
            let mut parts = Parts {
                frequency,
                interval,
                by_month,
                by_month_day,
                by_day,
                by_set_pos,
                week_start,
                count,
                lasts: lasts.filter(|_| count.is_none()),
                starts_on,
            };
            if frequency == "WEEKLY" {
                parts.by_month_day.clear();
            }
            if !counts_days || ["DAILY", "WEEKLY"].contains(&frequency) {
                parts.by_day.iter_mut().for_each(|it| it.0 = 0);
            }
            let names_days = parts.by_month.len() + parts.by_month_day.len() + parts.by_day.len();
            if names_days == 0 {
                parts.by_set_pos.clear();
            }
            parts
        },
    )
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// Whatever the rule, and from whatever day one asks.
    #[test]
    fn a_rule_comes_on_the_days_of_a_simple_model(parts in rules(), skipped in 0_u32..4_000) {
        let rule = Recurrence::parse(&parts.text(), parts.starts_on).unwrap();
        let end = parts.starts_on + Months::new(12 * 12);
        let from = parts.starts_on + Days::new(skipped.into());
        let expected = parts.days();
        for day in [parts.starts_on, from] {
            let expected: Vec<NaiveDate> = expected.iter().copied().filter(|it| *it >= day).take(40).collect();
            let mut found = rule.days_from(day, 40);
            found.retain(|it| *it < end);
            prop_assert_eq!(&found, &expected, "{} from {}", parts.text(), day);
        }
    }

    /// Whatever is sent is read or refused, in a moment, and days rise.
    #[test]
    fn any_text_is_read_or_refused(text in "[A-Z0-9=;,+-]{0,40}", starts in 0_i32..4_000_000) {
        let starts_on = NaiveDate::from_num_days_from_ce_opt(starts).unwrap();
        for text in [text.clone(), format!("FREQ=MONTHLY;{text}")] {
            if let Ok(rule) = Recurrence::parse(&text, starts_on) {
                let days = rule.days_from(starts_on, 5);
                prop_assert_eq!(days.is_sorted_by(|a, b| a < b), true);
                prop_assert_eq!(rule.text(), text);
            }
        }
    }
}
