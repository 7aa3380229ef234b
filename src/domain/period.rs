//! Calendar time: recurring periods, months, and what a day is in a time zone.
//!
//! Days are local to whoever asks, so anything that meets the clock takes a time zone. Every
//! function is total: at the ends of the calendar, some 262 000 years away, results are cut off
//! there instead of failing.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc,
    Weekday,
};
use chrono_tz::{GapInfo, Tz};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::word::{string_type, words};

/// How often a period comes around.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PeriodKind {
    /// Seven days.
    Weekly,
    /// From a day of one month to the day before it in the next.
    Monthly,
    /// From a day of one year to the day before it in the next.
    Yearly,
}

words!(PeriodKind {
    Weekly = "weekly",
    Monthly = "monthly",
    Yearly = "yearly",
});

/// A run of whole days, first and last included.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    JsonSchema,
)]
pub struct Period {
    /// The first day.
    pub start: NaiveDate,
    /// The last day, still part of the period.
    pub end: NaiveDate,
}

impl Period {
    /// The period of this kind that `date` falls into.
    ///
    /// The anchor says where periods start: on its weekday, on its day of the month, or on its
    /// month and day of the year. Where a month is too short for that day, its last day stands in
    /// (31 becomes 30, 28 or 29; 29 February becomes 28). Without an anchor periods start on
    /// Monday, on the first, or on 1 January. Only this much of the anchor counts: periods before
    /// its date exist as well.
    ///
    /// For one kind and anchor the periods cover all days without gap or overlap. A period that
    /// would begin before [`NaiveDate::MIN`] or end after [`NaiveDate::MAX`] is cut off there.
    #[must_use]
    pub fn containing(kind: PeriodKind, anchor: Option<NaiveDate>, date: NaiveDate) -> Self {
        match kind {
            PeriodKind::Weekly => {
                let first_weekday = anchor.map_or(Weekday::Mon, |anchor| anchor.weekday());
                Self::week_of(date, first_weekday)
            }
            PeriodKind::Monthly => {
                let day = anchor.map_or(1, |anchor| anchor.day());
                Self::of_months(date, month_index(date), 1, day)
            }
            PeriodKind::Yearly => {
                let (month0, day) = anchor.map_or((0, 1), |anchor| (anchor.month0(), anchor.day()));
                Self::of_months(
                    date,
                    month_index(date) - signed(date.month0()) + signed(month0),
                    12,
                    day,
                )
            }
        }
    }

    /// The period after this one. After the very last of the calendar comes that one again.
    #[must_use]
    pub fn following(kind: PeriodKind, anchor: Option<NaiveDate>, period: &Self) -> Self {
        Self::containing(
            kind,
            anchor,
            day_after(period.end).unwrap_or(NaiveDate::MAX),
        )
    }

    /// The period before this one. Before the very first of the calendar comes that one again.
    #[must_use]
    pub fn preceding(kind: PeriodKind, anchor: Option<NaiveDate>, period: &Self) -> Self {
        let day_before = period.start.pred_opt().unwrap_or(NaiveDate::MIN);
        Self::containing(kind, anchor, day_before)
    }

    /// Whether the day is part of the period.
    #[must_use]
    pub fn contains(&self, date: NaiveDate) -> bool {
        (self.start..=self.end).contains(&date)
    }

    /// The instants that the period covers in a time zone, half open: from the start of the first
    /// day up to, and without, the start of the day after the last.
    ///
    /// Instants of consecutive periods meet exactly, whatever clocks do in between.
    #[must_use]
    pub fn instants(&self, tz: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
        let end = day_after(self.end).map_or(DateTime::<Utc>::MAX_UTC, |day| start_of_day(day, tz));
        (start_of_day(self.start, tz), end)
    }

    fn week_of(date: NaiveDate, first_weekday: Weekday) -> Self {
        let days_before = u64::from(date.weekday().days_since(first_weekday));
        Self {
            start: date
                .checked_sub_days(Days::new(days_before))
                .unwrap_or(NaiveDate::MIN),
            end: date
                .checked_add_days(Days::new(6 - days_before))
                .unwrap_or(NaiveDate::MAX),
        }
    }

    /// The period of `months` months, starting on `day` of a month, that `date` falls into.
    /// `candidate` is the month of the start in the month or year of `date`, which may be later
    /// than `date` itself.
    fn of_months(date: NaiveDate, candidate: i32, months: i32, day: u32) -> Self {
        let is_later = day_in_month(candidate, day).is_some_and(|start| start > date);
        let first = if is_later {
            candidate - months
        } else {
            candidate
        };
        let next_start = day_in_month(first + months, day);
        Self {
            start: day_in_month(first, day).unwrap_or(NaiveDate::MIN),
            end: next_start
                .and_then(|start| start.pred_opt())
                .unwrap_or(NaiveDate::MAX),
        }
    }
}

/// Months since January of year 0. The years of the calendar keep it far inside `i32`.
fn month_index(date: NaiveDate) -> i32 {
    date.year() * 12 + signed(date.month0())
}

/// The day of the month with this index, or its last day when it is shorter; `None` outside the
/// calendar.
fn day_in_month(index: i32, day: u32) -> Option<NaiveDate> {
    let month = u32::try_from(index.rem_euclid(12)).ok()? + 1;
    let first = NaiveDate::from_ymd_opt(index.div_euclid(12), month, 1)?;
    first.with_day(day.min(u32::from(first.num_days_in_month())))
}

/// A zero-based month as a signed number.
fn signed(month0: u32) -> i32 {
    month0.cast_signed()
}

fn day_after(date: NaiveDate) -> Option<NaiveDate> {
    date.succ_opt()
}

/// Why a month was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed month: send four digits of the year and two of the month, such as 2026-02")]
pub struct MonthError;

/// A calendar month. Ordered by time; as text and in JSON `2026-02`.
///
/// Only months of the years 0000 to 9999 read back from their text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month {
    first_day: NaiveDate,
}

impl Month {
    /// The month that a day is in.
    #[must_use]
    pub fn of(date: NaiveDate) -> Self {
        // Every month has a first day, and the calendar begins and ends with whole years.
        Self {
            first_day: date.with_day(1).unwrap_or(date),
        }
    }

    /// Reads `YYYY-MM`, with exactly four digits of the year.
    ///
    /// # Errors
    ///
    /// [`MonthError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, MonthError> {
        let (year, month) = text.split_once('-').ok_or(MonthError)?;
        let year: i32 = fixed_digits(year, 4).ok_or(MonthError)?;
        let month: u32 = fixed_digits(month, 2).ok_or(MonthError)?;
        let first_day = NaiveDate::from_ymd_opt(year, month, 1).ok_or(MonthError)?;
        Ok(Self { first_day })
    }

    /// The first day of the month.
    #[must_use]
    pub const fn first_day(self) -> NaiveDate {
        self.first_day
    }

    /// The last day of the month: 28 to 31.
    #[must_use]
    pub fn last_day(self) -> NaiveDate {
        // Every month of the calendar is whole, so the fallback is never taken.
        day_in_month(month_index(self.first_day), 31).unwrap_or(self.first_day)
    }

    /// The month so many months later, or earlier for a negative number. Stops at the ends of the
    /// calendar.
    #[must_use]
    pub fn plus(self, months: i32) -> Self {
        let count = Months::new(months.unsigned_abs());
        if months < 0 {
            Self::of(
                self.first_day
                    .checked_sub_months(count)
                    .unwrap_or(NaiveDate::MIN),
            )
        } else {
            Self::of(
                self.first_day
                    .checked_add_months(count)
                    .unwrap_or(NaiveDate::MAX),
            )
        }
    }

    /// The days of the month.
    #[must_use]
    pub fn period(self) -> Period {
        Period {
            start: self.first_day,
            end: self.last_day(),
        }
    }
}

fn fixed_digits<T: FromStr>(text: &str, count: usize) -> Option<T> {
    let is_plain = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04}-{:02}",
            self.first_day.year(),
            self.first_day.month()
        )
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Month {
    type Err = MonthError;

    /// As [`Month::parse`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

string_type!(
    Month,
    parse = Month::parse,
    pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$",
    example = "2026-02",
    "A calendar month as year and month."
);

/// The date on calendars in the time zone at this instant.
#[must_use]
pub fn today(now: DateTime<Utc>, tz: Tz) -> NaiveDate {
    local_time(now, tz).date()
}

/// What calendars and clocks in the time zone show at this instant.
#[must_use]
pub fn local_time(now: DateTime<Utc>, tz: Tz) -> NaiveDateTime {
    let utc = now.naive_utc();
    let offset = tz.offset_from_utc_datetime(&utc).fix();
    utc.checked_add_offset(offset).unwrap_or(utc)
}

/// The first instant of a local day.
///
/// Mostly midnight. When clocks skip midnight, it is the instant they skip it; when they show
/// midnight twice, it is the first time. A day that a time zone left out altogether starts, and
/// ends, where the next one starts.
#[must_use]
pub fn start_of_day(date: NaiveDate, tz: Tz) -> DateTime<Utc> {
    first_instant(date.and_time(NaiveTime::MIN), tz)
}

/// The first instant at which clocks in the time zone show this time, or have skipped it: see [`start_of_day`].
#[must_use]
pub fn first_instant(local: NaiveDateTime, tz: Tz) -> DateTime<Utc> {
    tz.from_local_datetime(&local)
        .earliest()
        .or_else(|| GapInfo::new(&local, &tz)?.end)
        // Only at the ends of the calendar, where UTC cannot express the local time.
        .map_or_else(|| local.and_utc(), |start| start.with_timezone(&Utc))
}

/// Why a time zone was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone: send a name of the IANA time zone database, such as Europe/Berlin")]
pub struct TimeZoneError;

/// Finds a time zone by its IANA name, such as `Europe/Berlin`; upper and lower case matter.
///
/// # Errors
///
/// [`TimeZoneError`] when the database has no such name.
pub fn parse_time_zone(name: &str) -> Result<Tz, TimeZoneError> {
    name.parse().map_err(|_| TimeZoneError)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, TimeZone, Utc};
    use chrono_tz::Tz;
    use proptest::prelude::{
        Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    use super::{
        Month, MonthError, Period, PeriodKind, TimeZoneError, parse_time_zone, start_of_day, today,
    };

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn period(start: &str, end: &str) -> Period {
        Period {
            start: day(start),
            end: day(end),
        }
    }

    fn days_from_ce(days: i32) -> NaiveDate {
        NaiveDate::from_num_days_from_ce_opt(days).unwrap()
    }

    /// Days of this era, days of all time, and the first and last ones of the calendar.
    fn dates() -> impl Strategy<Value = NaiveDate> {
        let (first, last) = (
            NaiveDate::MIN.num_days_from_ce(),
            NaiveDate::MAX.num_days_from_ce(),
        );
        prop_oneof![
            6 => modern_dates(),
            2 => (first..=last).prop_map(days_from_ce),
            1 => (first..first + 800).prop_map(days_from_ce),
            1 => (last - 800..=last).prop_map(days_from_ce),
        ]
    }

    fn modern_dates() -> impl Strategy<Value = NaiveDate> {
        let (first, last) = (
            day("1850-01-01").num_days_from_ce(),
            day("2100-12-31").num_days_from_ce(),
        );
        (first..=last).prop_map(days_from_ce)
    }

    /// Short months and leap days come up often as anchors.
    fn anchors() -> impl Strategy<Value = Option<NaiveDate>> {
        let ends = prop_oneof![
            Just(day("2024-02-29")),
            Just(day("2026-01-31")),
            Just(day("2026-12-31"))
        ];
        prop::option::of(prop_oneof![dates(), ends])
    }

    fn kinds() -> impl Strategy<Value = PeriodKind> {
        prop::sample::select(PeriodKind::ALL)
    }

    /// Zones whose clocks do awkward things around midnight, and every other one.
    fn zones() -> impl Strategy<Value = Tz> {
        let awkward = [
            Tz::America__Sao_Paulo,
            Tz::Europe__Berlin,
            Tz::Pacific__Apia,
            Tz::Asia__Beirut,
            Tz::America__St_Johns,
            Tz::America__Toronto,
            Tz::America__Havana,
            Tz::Asia__Manila,
            Tz::Pacific__Kwajalein,
            Tz::UTC,
        ];
        prop_oneof![
            prop::sample::select(awkward.to_vec()),
            prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec())
        ]
    }

    #[test]
    fn weeks_start_on_the_anchors_weekday() {
        let sunday = day("2026-02-01");
        assert_eq!(
            Period::containing(PeriodKind::Weekly, None, sunday),
            period("2026-01-26", "2026-02-01")
        );
        assert_eq!(
            Period::containing(PeriodKind::Weekly, Some(sunday), day("2020-01-01")),
            period("2019-12-29", "2020-01-04")
        );
    }

    #[test]
    fn months_start_on_the_anchors_day_or_the_last_there_is() {
        let anchor = Some(day("2026-01-31"));
        let mut current = Period::containing(PeriodKind::Monthly, anchor, day("2026-01-31"));
        for expected in [
            period("2026-01-31", "2026-02-27"),
            period("2026-02-28", "2026-03-30"),
            period("2026-03-31", "2026-04-29"),
            period("2026-04-30", "2026-05-30"),
        ] {
            assert_eq!(current, expected);
            current = Period::following(PeriodKind::Monthly, anchor, &current);
        }
        assert_eq!(
            Period::containing(PeriodKind::Monthly, anchor, day("2024-03-15")),
            period("2024-02-29", "2024-03-30")
        );
        assert_eq!(
            Period::containing(PeriodKind::Monthly, None, day("2024-02-29")),
            period("2024-02-01", "2024-02-29")
        );
        assert_eq!(
            Period::containing(
                PeriodKind::Monthly,
                Some(day("2020-06-25")),
                day("2026-01-24")
            ),
            period("2025-12-25", "2026-01-24")
        );
    }

    #[test]
    fn years_start_on_the_anchors_day_and_leap_days_fall_back() {
        let leap_day = Some(day("2024-02-29"));
        let first = Period::containing(PeriodKind::Yearly, leap_day, day("2024-02-29"));
        assert_eq!(first, period("2024-02-29", "2025-02-27"));
        assert_eq!(
            Period::following(PeriodKind::Yearly, leap_day, &first),
            period("2025-02-28", "2026-02-27")
        );
        assert_eq!(
            Period::containing(PeriodKind::Yearly, leap_day, day("2028-02-28")),
            period("2027-02-28", "2028-02-28")
        );
        assert_eq!(
            Period::containing(PeriodKind::Yearly, None, day("2026-07-01")),
            period("2026-01-01", "2026-12-31")
        );
    }

    #[test]
    fn the_calendars_ends_cut_periods_off() {
        for &kind in PeriodKind::ALL {
            for anchor in [None, Some(day("2024-02-29")), Some(day("2023-12-31"))] {
                let first = Period::containing(kind, anchor, NaiveDate::MIN);
                assert_eq!(first.start, NaiveDate::MIN);
                let last = Period::containing(kind, anchor, NaiveDate::MAX);
                assert_eq!(last.end, NaiveDate::MAX);
                assert_eq!(Period::following(kind, anchor, &last), last);
            }
        }
    }

    #[test]
    fn months_are_read_and_printed() {
        let month = Month::parse("2024-02").unwrap();
        assert_eq!(
            (month.first_day(), month.last_day()),
            (day("2024-02-01"), day("2024-02-29"))
        );
        assert_eq!(month.to_string(), "2024-02");
        assert_eq!(Month::of(day("2024-02-17")), month);
        assert_eq!(month.period(), period("2024-02-01", "2024-02-29"));
        assert_eq!(serde_json::to_string(&month).unwrap(), "\"2024-02\"");
        assert_eq!(serde_json::from_str::<Month>("\"2024-02\"").unwrap(), month);
        for text in [
            "",
            "2024",
            "2024-2",
            "2024-00",
            "2024-13",
            "24-02",
            "+024-02",
            "2024-02-01",
            "12024-02",
            "2024-+2",
        ] {
            assert_eq!(Month::parse(text), Err(MonthError), "{text:?}");
        }
    }

    #[test]
    fn month_lengths_follow_the_leap_rule() {
        for (month, last) in [
            ("2023-02", 28),
            ("2024-02", 29),
            ("1900-02", 28),
            ("2000-02", 29),
            ("2026-04", 30),
        ] {
            assert_eq!(
                Month::parse(month).unwrap().last_day().day(),
                last,
                "{month}"
            );
        }
    }

    #[test]
    fn months_add_up_and_stop_at_the_ends() {
        let month = Month::parse("2026-02").unwrap();
        assert_eq!(month.plus(11).to_string(), "2027-01");
        assert_eq!(month.plus(-2).to_string(), "2025-12");
        assert_eq!(month.plus(0), month);
        assert_eq!(month.plus(i32::MAX), Month::of(NaiveDate::MAX));
        assert_eq!(month.plus(i32::MIN), Month::of(NaiveDate::MIN));
        assert_eq!(Month::of(NaiveDate::MAX).last_day(), NaiveDate::MAX);
    }

    #[test]
    fn time_zones_have_iana_names() {
        assert_eq!(parse_time_zone("Europe/Berlin"), Ok(Tz::Europe__Berlin));
        for name in ["", "Berlin", "europe/berlin", "+02:00", "Europe/Berlin "] {
            assert_eq!(parse_time_zone(name), Err(TimeZoneError), "{name:?}");
        }
    }

    #[test]
    fn today_depends_on_the_zone() {
        let now = instant("2026-01-31T23:30:00Z");
        assert_eq!(today(now, Tz::UTC), day("2026-01-31"));
        assert_eq!(today(now, Tz::Europe__Berlin), day("2026-02-01"));
        assert_eq!(
            today(DateTime::<Utc>::MAX_UTC, Tz::Pacific__Kiritimati),
            NaiveDate::MAX
        );
        assert_eq!(
            today(DateTime::<Utc>::MIN_UTC, Tz::America__Los_Angeles),
            NaiveDate::MIN
        );
    }

    #[test]
    fn a_day_starts_at_its_first_instant() {
        for (date, tz, expected) in [
            ("2026-07-01", Tz::Europe__Berlin, "2026-06-30T22:00:00Z"),
            ("2026-03-29", Tz::Europe__Berlin, "2026-03-28T23:00:00Z"),
            ("2026-03-30", Tz::Europe__Berlin, "2026-03-29T22:00:00Z"),
            // Midnight was skipped: the day began at one o'clock.
            ("2018-11-04", Tz::America__Sao_Paulo, "2018-11-04T03:00:00Z"),
            ("2022-03-27", Tz::Asia__Beirut, "2022-03-26T22:00:00Z"),
            // At midnight clocks went back to eleven, so midnight came once, an hour late.
            ("2018-02-18", Tz::America__Sao_Paulo, "2018-02-18T03:00:00Z"),
            // From one o'clock back to midnight: the first of two.
            ("2018-11-04", Tz::America__Havana, "2018-11-04T04:00:00Z"),
            // One minute past midnight, back to eleven: the first of two again.
            ("2006-10-29", Tz::America__St_Johns, "2006-10-29T02:30:00Z"),
            // From half past eleven to half past midnight.
            ("1919-03-31", Tz::America__Toronto, "1919-03-31T04:30:00Z"),
            // Samoa left out the thirtieth.
            ("2011-12-29", Tz::Pacific__Apia, "2011-12-29T10:00:00Z"),
            ("2011-12-30", Tz::Pacific__Apia, "2011-12-30T10:00:00Z"),
            ("2011-12-31", Tz::Pacific__Apia, "2011-12-30T10:00:00Z"),
        ] {
            assert_eq!(
                start_of_day(day(date), tz),
                instant(expected),
                "{date} in {tz}"
            );
        }
    }

    proptest! {
        #[test]
        fn periods_cover_time_without_gap_or_overlap(
            kind in kinds(),
            anchor in anchors(),
            date in dates(),
        ) {
            let period = Period::containing(kind, anchor, date);
            prop_assert!(period.contains(date));
            for day in period.start.iter_days().take_while(|day| *day <= period.end) {
                prop_assert_eq!(Period::containing(kind, anchor, day), period);
            }
            if let Some(next_day) = period.end.succ_opt() {
                let next = Period::following(kind, anchor, &period);
                prop_assert_eq!(next.start, next_day);
                prop_assert!(next.end >= next.start);
            }
            if let Some(day_before) = period.start.pred_opt() {
                prop_assert_eq!(Period::containing(kind, anchor, day_before).end, day_before);
            }
        }

        #[test]
        fn periods_have_the_length_of_their_kind(
            kind in kinds(),
            anchor in anchors(),
            date in modern_dates(),
        ) {
            let period = Period::containing(kind, anchor, date);
            let days = (period.end - period.start).num_days() + 1;
            let expected = match kind {
                PeriodKind::Weekly => 7..=7,
                PeriodKind::Monthly => 28..=31,
                PeriodKind::Yearly => 365..=366,
            };
            prop_assert!(expected.contains(&days), "{} days", days);
        }

        #[test]
        fn instants_of_consecutive_periods_meet(
            kind in kinds(),
            anchor in anchors(),
            date in dates(),
            tz in zones(),
        ) {
            let period = Period::containing(kind, anchor, date);
            let (start, end) = period.instants(tz);
            prop_assert!(start < end);
            if period.end < NaiveDate::MAX {
                let next = Period::following(kind, anchor, &period);
                prop_assert_eq!(next.instants(tz).0, end);
            }
        }

        #[test]
        fn a_day_begins_where_the_one_before_ends(date in modern_dates(), tz in zones()) {
            let start = start_of_day(date, tz);
            prop_assert!(start <= start_of_day(date + Days::new(1), tz));
            prop_assert!(today(start, tz) >= date);
            prop_assert!(today(start - TimeDelta::seconds(1), tz) < date);
        }

        #[test]
        fn today_is_the_day_on_local_calendars(
            seconds in -2_000_000_000_i64..4_000_000_000,
            tz in zones(),
        ) {
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            prop_assert_eq!(today(now, tz), tz.from_utc_datetime(&now.naive_utc()).date_naive());
        }

        #[test]
        fn months_round_trip(date in modern_dates(), months in -1_000..1_000) {
            let month = Month::of(date);
            prop_assert_eq!(Month::parse(&month.to_string()), Ok(month));
            prop_assert_eq!(month.plus(months).plus(-months), month);
            prop_assert_eq!(month.last_day().succ_opt(), Some(month.plus(1).first_day()));
            prop_assert_eq!(Period::containing(PeriodKind::Monthly, None, date), month.period());
        }

        #[test]
        fn any_text_is_answered(text: String) {
            let _ = (Month::parse(&text), parse_time_zone(&text));
        }
    }
}
