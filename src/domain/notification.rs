//! What people are told of, how, and when: their choices, hours in which nothing is sent, and mails that gather a
//! day's alerts.
//!
//! Hours are those that clocks show where the user is. In the night in which clocks go forward, an hour that is skipped
//! is the instant at which they skip it; in the one in which they go back, an hour that comes twice is its first time.

/// Showing that an address is its user's.
pub mod confirming;
mod digest;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use digest::Digest;

use super::period;
use super::word::words;

/// What an alert tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A budget is about to break.
    BudgetWarning,
    /// A budget's limit was reached.
    BudgetExceeded,
    /// A goal is reached.
    GoalAchieved,
    /// A category differs from its own past.
    SpendingPattern,
    /// A charge differs from what is usual, or may have been made twice.
    Anomaly,
    /// A payment comes back, or costs more than it did.
    Subscription,
    /// How a month or a budget will end.
    Forecast,
    /// Where something may be saved.
    SavingsTip,
}

words!(AlertKind {
    BudgetWarning = "budget_warning",
    BudgetExceeded = "budget_exceeded",
    GoalAchieved = "goal_achieved",
    SpendingPattern = "spending_pattern",
    Anomaly = "anomaly",
    Subscription = "subscription",
    Forecast = "forecast",
    SavingsTip = "savings_tip",
});

/// What somebody wants to be told of, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// Kinds that are not shown in the application.
    pub in_app_off: BTreeSet<AlertKind>,
    /// Kinds that are sent by mail.
    pub email_on: BTreeSet<AlertKind>,
    /// When no mail is sent.
    pub quiet_hours: Option<QuietHours>,
    /// Whether mails gather alerts.
    pub digest: Digest,
    /// The hour of the day at which they do, 0 to 23.
    pub digest_hour: Hour,
}

impl Default for Choices {
    /// All in the application, nothing by mail.
    fn default() -> Self {
        Self {
            in_app_off: BTreeSet::new(),
            email_on: BTreeSet::new(),
            quiet_hours: None,
            digest: Digest::None,
            digest_hour: Hour(8),
        }
    }
}

impl Choices {
    /// When what is to be told now is sent by mail.
    #[must_use]
    pub fn due_at(&self, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let digest = match self.digest {
            Digest::None => None,
            Digest::Daily => Some(self.digest_hour),
        };
        due_at(now, zone, self.quiet_hours, digest)
    }

    /// When a mail may be sent that is ready now: at once, or when the quiet hours are over.
    #[must_use]
    pub fn awake_at(&self, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        due_at(now, zone, self.quiet_hours, None)
    }
}

/// Why an hour or a time of the day was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// No time of the day.
    #[error("a time of the day is written HH:MM, from 00:00 to 23:59")]
    Malformed,
    /// Not on the hour.
    #[error("a digest is sent on the hour: HH:00, from 00:00 to 23:00")]
    NotOnTheHour,
    /// They would last all day, or not at all.
    #[error("quiet hours end at another time than they begin")]
    Empty,
}

/// A time of the day, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute(NaiveTime);

impl Minute {
    /// Reads `HH:MM`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let is_plain = text.len() == 5 && text.is_ascii();
        let number = |digits: &str| {
            let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
            is_number.then(|| digits.parse::<u32>().ok()).flatten()
        };
        let (hour, minute) = text
            .split_once(':')
            .filter(|(hour, _)| is_plain && hour.len() == 2)
            .ok_or(TimeError::Malformed)?;
        number(hour)
            .zip(number(minute))
            .and_then(|(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0))
            .map(Self)
            .ok_or(TimeError::Malformed)
    }

    /// The one so many minutes after midnight, 0 to 1439.
    #[must_use]
    pub fn of_day(minutes: i16) -> Option<Self> {
        let minutes = u32::try_from(minutes).ok()?;
        NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).map(Self)
    }

    /// Minutes since midnight.
    #[must_use]
    pub fn since_midnight(self) -> i16 {
        let minutes = self.0.hour() * 60 + self.0.minute();
        i16::try_from(minutes).unwrap_or(i16::MAX)
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

/// An hour of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour(u8);

impl Hour {
    /// Reads `HH:00`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let Minute(time) = Minute::parse(text)?;
        let hour = u8::try_from(time.hour()).map_err(|_| TimeError::Malformed)?;
        let is_full = time.minute() == 0;
        is_full.then_some(Self(hour)).ok_or(TimeError::NotOnTheHour)
    }

    /// The one of this number, 0 to 23.
    #[must_use]
    pub fn of_day(hour: i16) -> Option<Self> {
        let hour = u8::try_from(hour).ok()?;
        (hour < 24).then_some(Self(hour))
    }

    /// 0 to 23.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    fn time(self) -> NaiveTime {
        NaiveTime::from_hms_opt(u32::from(self.0), 0, 0).unwrap_or(NaiveTime::MIN)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:00", self.0)
    }
}

/// Hours of each day in which no mail is sent: from the first minute on, until the second; over midnight where the
/// second is the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    start: Minute,
    end: Minute,
}

impl QuietHours {
    /// From one time until another.
    ///
    /// # Errors
    /// The two are the same.
    pub fn new(start: Minute, end: Minute) -> Result<Self, TimeError> {
        let differ = start != end;
        differ
            .then_some(Self { start, end })
            .ok_or(TimeError::Empty)
    }

    /// When they begin.
    #[must_use]
    pub const fn start(self) -> Minute {
        self.start
    }

    /// When they are over.
    #[must_use]
    pub const fn end(self) -> Minute {
        self.end
    }

    /// Whether a time of the day is within them.
    #[must_use]
    pub fn contain(self, time: NaiveTime) -> bool {
        let (after, before) = (time >= self.start.0, time < self.end.0);
        if self.start < self.end {
            after && before
        } else {
            after || before
        }
    }

    /// When they are over that are at this instant; the instant itself where none are.
    fn over(self, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = period::local_time(now, zone);
        if !self.contain(local.time()) {
            return now;
        }
        // Where clocks skip the end, it may be within the next quiet hours; and one that comes twice may have passed.
        let ends = (0..=ENDS_MAX).filter_map(|days| self.end_after(local, days));
        let mut ends = ends.flat_map(|end| {
            let first = period::first_instant(end, zone);
            let again = zone.from_local_datetime(&end).latest();
            [first, again.map_or(first, |it| it.with_timezone(&Utc))]
        });
        let is_over = |end: &DateTime<Utc>| {
            *end >= now && !self.contain(period::local_time(*end, zone).time())
        };
        ends.find(is_over).unwrap_or(now)
    }

    /// The end of the quiet hours that begin so many days later.
    fn end_after(self, local: NaiveDateTime, days: u64) -> Option<NaiveDateTime> {
        let is_tomorrow = local.time() >= self.end.0;
        let days = days + u64::from(is_tomorrow);
        let date = local.date().checked_add_days(Days::new(days))?;
        Some(date.and_time(self.end.0))
    }
}

/// Ends of quiet hours that are looked at: one may be skipped, or be on a day that a time zone left out.
const ENDS_MAX: u64 = 3;

/// When what is to be told now is sent: at the hour of the digest where there is one, and not within quiet hours.
#[must_use]
pub fn due_at(
    now: DateTime<Utc>,
    zone: Tz,
    quiet: Option<QuietHours>,
    digest: Option<Hour>,
) -> DateTime<Utc> {
    let gathered = digest.map_or(now, |hour| next(now, zone, hour));
    quiet.map_or(gathered, |quiet| quiet.over(gathered, zone))
}

/// The next time that it is this hour, now included. Once a day: an hour that comes twice is its first time.
fn next(now: DateTime<Utc>, zone: Tz, hour: Hour) -> DateTime<Utc> {
    let today = period::today(now, zone);
    let days = (0..=ENDS_MAX).filter_map(|days| today.checked_add_days(Days::new(days)));
    let mut at = days.map(|day| period::first_instant(day.and_time(hour.time()), zone));
    at.find(|at| *at >= now).unwrap_or(now)
}
