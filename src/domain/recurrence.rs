//! On which days a booking comes again: a rule of RFC 5545, such as `FREQ=MONTHLY;BYMONTHDAY=-1`.
//!
//! A booking has a day and no hour, so rules are reckoned in days, all of them at noon UTC, and only "today" asks for
//! the user's time zone. As the RFC has it, a day that a month does not have is left out: `BYMONTHDAY=31` comes seven
//! times a year, and the last day of each month is `BYMONTHDAY=-1`.
//!
//! What comes from outside is bounded: in its length, in what it may say, and in how far is looked.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Days, Month, Months, NaiveDate, NaiveTime, TimeZone};
use rrule::{Frequency, NWeekday, RRule, Tz, Unvalidated};

/// Characters of a rule at the most.
pub const TEXT_CHARS_MAX: usize = 200;

/// Occurrences that a rule may count.
const COUNT_MAX: i64 = 1_000;

/// Days, weeks, months or years from one occurrence to the next at the most.
const INTERVAL_MAX: i64 = 366;

/// What comes later than so many years is as if it never came.
const YEARS_MAX: u32 = 50;

/// The hour of all days.
const NOON: NaiveTime = NaiveTime::from_hms_opt(12, 0, 0).expect("an hour");

/// The last day that there is.
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a day");

/// Why a rule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecurrenceError {
    /// Longer than any sensible one.
    #[error("a rule has at most {TEXT_CHARS_MAX} characters")]
    TooLong,
    /// Not what the RFC describes.
    #[error(
        "not a rule of RFC 5545, in capitals and without RRULE: before it, such as FREQ=MONTHLY;BYMONTHDAY=-1"
    )]
    Malformed,
    /// A part that has no meaning for a day, or that nobody needs.
    #[error(
        "{0} is not for bookings, which have a day and no hour: FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, \
         BYMONTH, BYSETPOS and WKST are"
    )]
    Part(String),
    /// The same part twice.
    #[error("{0} is said twice")]
    Twice(String),
    /// No frequency, or one that is more than daily.
    #[error("FREQ is DAILY, WEEKLY, MONTHLY or YEARLY")]
    Frequency,
    /// A number out of its bounds.
    #[error("{part} is a number from {min} to {max}, and not 0")]
    Number {
        /// The part.
        part: &'static str,
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// The end is no day.
    #[error("UNTIL is a day such as 20261231")]
    Until,
    /// Two ends.
    #[error("give COUNT or UNTIL, not both")]
    TwoEnds,
    /// `-1FR` of a week, or of a day.
    #[error("only a MONTHLY or YEARLY rule counts days of the week, such as BYDAY=-1FR")]
    NumberedDay,
    /// `MO,1FR`, of which the library takes what is both.
    #[error("days of the week are counted all, such as BYDAY=1MO,-1FR, or none of them")]
    MixedDays,
    /// `BYMONTHDAY` of a week.
    #[error("BYMONTHDAY does not go with FREQ=WEEKLY")]
    MonthDayOfWeek,
    /// `BYSETPOS` of nothing.
    #[error("BYSETPOS chooses among days, which BYDAY, BYMONTHDAY or BYMONTH must name")]
    PositionOfNothing,
    /// It is over before it begins.
    #[error("the rule ends before it begins")]
    EndsBefore,
}

/// When a booking comes again.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    text: String,
    starts_on: NaiveDate,
    until: Option<NaiveDate>,
    /// With all that the first day says by itself, and without an end by day.
    rule: RRule<Unvalidated>,
}

impl Recurrence {
    /// Reads a rule that holds from a day on.
    ///
    /// # Errors
    /// It is none, or says what bookings cannot follow.
    pub fn parse(text: &str, starts_on: NaiveDate) -> Result<Self, RecurrenceError> {
        if text.len() > TEXT_CHARS_MAX {
            return Err(RecurrenceError::TooLong);
        }
        let until = check_parts(text)?;
        if until.is_some_and(|last| last < starts_on) {
            return Err(RecurrenceError::EndsBefore);
        }
        // The end is reckoned here: of a day the library would take the midnight with which it begins.
        let parts = text.split(';').filter(|part| !part.starts_with("UNTIL="));
        let parts: Vec<&str> = parts.collect();
        let rule: RRule<Unvalidated> = parts
            .join(";")
            .parse()
            .map_err(|_| RecurrenceError::Malformed)?;
        let rule = explicit(rule, starts_on);
        let checked = rule.clone().validate(noon(starts_on));
        checked.map_err(|_| RecurrenceError::Malformed)?;
        Ok(Self {
            text: text.to_owned(),
            starts_on,
            until,
            rule,
        })
    }

    /// The rule as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first day on which it may come.
    #[must_use]
    pub fn starts_on(&self) -> NaiveDate {
        self.starts_on
    }

    /// The first so many days, from this one on; fewer at its end, and none where it does not come within fifty years.
    #[must_use]
    pub fn days_from(&self, day: NaiveDate, most: usize) -> Vec<NaiveDate> {
        let first = day.max(self.starts_on);
        let horizon = first
            .checked_add_months(Months::new(YEARS_MAX * 12))
            .unwrap_or(LAST_DAY);
        let last = self.until.unwrap_or(LAST_DAY).min(horizon).min(LAST_DAY);
        if first > last {
            return Vec::new();
        }
        let rule = self.rule.clone().until(noon(last));
        let Ok(set) = rule.build(noon(self.begin_before(first))) else {
            return Vec::new();
        };
        // With the library's limits: it gives up on a rule that never comes.
        let set = set.limit();
        (&set)
            .into_iter()
            .map(|at| at.date_naive())
            .skip_while(|day| *day < first)
            .take_while(|day| *day <= last)
            .take(most)
            .collect()
    }

    /// Where to begin, so that what was before need not be gone through again: a whole number of intervals after the
    /// start, and a whole one before the day that is asked for. Who counts begins at the start.
    fn begin_before(&self, day: NaiveDate) -> NaiveDate {
        let start = self.starts_on;
        if self.rule.get_count().is_some() {
            return start;
        }
        let interval = i64::from(self.rule.get_interval());
        let steps = |passed: i64| (passed / interval - 1) * interval;
        let days = |days: i64| {
            let days = u64::try_from(days).ok().filter(|days| *days > 0);
            days.and_then(|days| start.checked_add_days(Days::new(days)))
        };
        let months = |of_start: NaiveDate, months: i64| {
            let months = u32::try_from(months).ok().filter(|months| *months > 0);
            months.and_then(|months| of_start.checked_add_months(Months::new(months)))
        };
        let passed = (day - start).num_days();
        let years = i64::from(day.year()) - i64::from(start.year());
        let begin = match self.rule.get_freq() {
            Frequency::Monthly => {
                let passed = years * 12 + i64::from(day.month()) - i64::from(start.month());
                months(first_of_month(start), steps(passed))
            }
            Frequency::Yearly => months(first_of_year(start), 12 * steps(years)),
            Frequency::Weekly => days(7 * steps(passed / 7)),
            _ => days(steps(passed)),
        };
        begin.unwrap_or(start)
    }
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

fn first_of_year(day: NaiveDate) -> NaiveDate {
    day.with_ordinal(1).unwrap_or(day)
}

fn noon(day: NaiveDate) -> DateTime<Tz> {
    Tz::UTC.from_utc_datetime(&day.and_time(NOON))
}

/// The rule with what it leaves to its first day, so that it can begin on another.
fn explicit(rule: RRule<Unvalidated>, starts_on: NaiveDate) -> RRule<Unvalidated> {
    let names_days = !rule.get_by_weekday().is_empty() || !rule.get_by_month_day().is_empty();
    if names_days {
        return rule;
    }
    let day = i8::try_from(starts_on.day()).unwrap_or(1);
    match rule.get_freq() {
        Frequency::Yearly if rule.get_by_month().is_empty() => {
            let month = u8::try_from(starts_on.month()).ok();
            let month = month.and_then(|month| Month::try_from(month).ok());
            rule.by_month(month.as_slice()).by_month_day(vec![day])
        }
        Frequency::Yearly | Frequency::Monthly => rule.by_month_day(vec![day]),
        Frequency::Weekly => rule.by_weekday(vec![NWeekday::Every(starts_on.weekday())]),
        _ => rule,
    }
}

/// Checks what the parts say, and how they go together; gives the last day, if there is one.
fn check_parts(text: &str) -> Result<Option<NaiveDate>, RecurrenceError> {
    let (mut seen, mut until) = (BTreeSet::new(), None);
    let (mut frequency, mut is_numbered) = ("", false);
    for part in text.split(';') {
        let (name, value) = part.split_once('=').ok_or(RecurrenceError::Malformed)?;
        match name {
            "FREQ" => frequency = value,
            "UNTIL" => until = Some(last_day(value)?),
            "INTERVAL" => number("INTERVAL", value, 1, INTERVAL_MAX)?,
            "COUNT" => number("COUNT", value, 1, COUNT_MAX)?,
            "BYMONTH" => numbers("BYMONTH", value, 1, 12)?,
            "BYMONTHDAY" => numbers("BYMONTHDAY", value, -31, 31)?,
            "BYSETPOS" => numbers("BYSETPOS", value, -366, 366)?,
            "BYDAY" => is_numbered = days(value)?,
            "WKST" => weekday(value)?,
            "BYSECOND" | "BYMINUTE" | "BYHOUR" | "BYYEARDAY" | "BYWEEKNO" => {
                return Err(RecurrenceError::Part(name.to_owned()));
            }
            _ => return Err(RecurrenceError::Malformed),
        }
        if !seen.insert(name) {
            return Err(RecurrenceError::Twice(name.to_owned()));
        }
    }
    let said = |name: &str| seen.contains(name);
    if !["DAILY", "WEEKLY", "MONTHLY", "YEARLY"].contains(&frequency) {
        return Err(RecurrenceError::Frequency);
    }
    if said("COUNT") && said("UNTIL") {
        return Err(RecurrenceError::TwoEnds);
    }
    if is_numbered && !["MONTHLY", "YEARLY"].contains(&frequency) {
        return Err(RecurrenceError::NumberedDay);
    }
    if said("BYMONTHDAY") && frequency == "WEEKLY" {
        return Err(RecurrenceError::MonthDayOfWeek);
    }
    if said("BYSETPOS") && !["BYDAY", "BYMONTHDAY", "BYMONTH"].into_iter().any(said) {
        return Err(RecurrenceError::PositionOfNothing);
    }
    Ok(until)
}

fn number(part: &'static str, value: &str, min: i64, max: i64) -> Result<(), RecurrenceError> {
    match value.parse::<i64>() {
        Ok(number) if number != 0 && (min..=max).contains(&number) => Ok(()),
        _ => Err(RecurrenceError::Number { part, min, max }),
    }
}

fn numbers(part: &'static str, values: &str, min: i64, max: i64) -> Result<(), RecurrenceError> {
    values
        .split(',')
        .try_for_each(|value| number(part, value, min, max))
}

/// Whether the days have numbers, as the last Friday has.
fn days(values: &str) -> Result<bool, RecurrenceError> {
    let (mut plain, mut numbered) = (false, false);
    for value in values.split(',') {
        let at = value.len().saturating_sub(2);
        let (place, day) = value
            .split_at_checked(at)
            .ok_or(RecurrenceError::Malformed)?;
        weekday(day)?;
        if place.is_empty() {
            plain = true;
        } else {
            number("BYDAY", place, -53, 53)?;
            numbered = true;
        }
    }
    if plain && numbered {
        return Err(RecurrenceError::MixedDays);
    }
    Ok(numbered)
}

fn weekday(value: &str) -> Result<(), RecurrenceError> {
    let known = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    known
        .contains(&value)
        .then_some(())
        .ok_or(RecurrenceError::Malformed)
}

/// The day of an end; others write the hour as well, which says nothing of a booking.
fn last_day(value: &str) -> Result<NaiveDate, RecurrenceError> {
    let day = match value.split_once('T') {
        Some((day, hour)) => {
            let hour = hour.strip_suffix('Z').unwrap_or(hour);
            let is_hour = NaiveTime::parse_from_str(hour, "%H%M%S").is_ok() && hour.len() == 6;
            is_hour.then_some(day)
        }
        None => Some(value),
    };
    let is_plain = |day: &&str| day.len() == 8 && day.bytes().all(|digit| digit.is_ascii_digit());
    day.filter(is_plain)
        .and_then(|day| NaiveDate::parse_from_str(day, "%Y%m%d").ok())
        .ok_or(RecurrenceError::Until)
}
