//! Moments as operators write them.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::kafka::reader::From;

/// A moment, or a place that is one by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The oldest that is kept.
    Beginning,
    /// Now.
    End,
    /// A moment.
    At(DateTime<Utc>),
    /// So long ago.
    Ago(TimeDelta),
}

/// Why a text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write beginning, end, a time (2026-02-10T12:00:00Z), a day (2026-02-10) or how long ago (-90s, -30m, -1h, -2d)"
)]
pub struct NotAMoment;

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        match text.to_ascii_lowercase().as_str() {
            "beginning" => return Ok(Self::Beginning),
            "end" | "now" => return Ok(Self::End),
            _ => {}
        }
        if let Some(ago) = text.strip_prefix('-') {
            return Ok(Self::Ago(duration(ago).ok_or(NotAMoment)?));
        }
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(moment.with_timezone(&Utc)));
        }
        let day: NaiveDate = text.parse().map_err(|_| NotAMoment)?;
        Ok(Self::At(day.and_time(NaiveTime::MIN).and_utc()))
    }
}

fn duration(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().last()?;
    let count: i64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    if count < 0 || text.starts_with('+') {
        return None;
    }
    match unit {
        's' => TimeDelta::try_seconds(count),
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        'w' => TimeDelta::try_weeks(count),
        _ => None,
    }
}

impl Moment {
    /// The moment itself; none of the beginning and the end.
    #[must_use]
    pub fn at(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Beginning | Self::End => None,
            Self::At(moment) => Some(moment),
            // Longer ago than time itself is the beginning of time.
            Self::Ago(ago) => Some(now.checked_sub_signed(ago).unwrap_or(DateTime::UNIX_EPOCH)),
        }
    }

    /// Where a reader begins.
    #[must_use]
    pub fn reader(self, now: DateTime<Utc>) -> From {
        match (self, self.at(now)) {
            (_, Some(moment)) => From::Moment(moment),
            (Self::End, None) => From::End,
            _ => From::Beginning,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-02-10T12:00:00Z".parse().expect("a moment")
    }

    #[test]
    fn places_times_days_and_ages_are_moments() {
        for (text, at) in [
            ("beginning", None),
            ("END", None),
            ("now", None),
            ("2026-02-10", Some("2026-02-10T00:00:00Z")),
            ("2026-02-10T12:00:00+01:00", Some("2026-02-10T11:00:00Z")),
            ("-90s", Some("2026-02-10T11:58:30Z")),
            ("-30m", Some("2026-02-10T11:30:00Z")),
            ("-1h", Some("2026-02-10T11:00:00Z")),
            ("-2d", Some("2026-02-08T12:00:00Z")),
            ("-1w", Some("2026-02-03T12:00:00Z")),
            ("-100000000d", Some("1970-01-01T00:00:00Z")),
        ] {
            let moment: Moment = text.parse().expect(text);
            let wanted = at.map(|at| at.parse::<DateTime<Utc>>().expect(at));
            assert_eq!(moment.at(now()), wanted, "{text}");
        }
        let moment: Moment = "beginning".parse().expect("a moment");
        assert_eq!(moment.reader(now()), From::Beginning);
    }

    #[test]
    fn anything_else_is_refused_with_what_could_be_meant() {
        for text in [
            "",
            "-",
            "1h",
            "-h",
            "--1h",
            "-+1h",
            "-1y",
            "-1é",
            "yesterday",
            "2026-02-30",
            "-99999999999999999999d",
        ] {
            let refused = text.parse::<Moment>().expect_err(text).to_string();
            assert!(refused.contains("-30m"), "{refused}");
        }
    }
}
