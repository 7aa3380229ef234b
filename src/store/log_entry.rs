//! An event as it stands in the log, and its place there.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, QueryResult, Value};
use uuid::Uuid;

/// A place in the log. Clients see it as an opaque word that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition {
    /// The transaction that wrote it, with PostgreSQL; zero with SQLite.
    xid: i64,
    /// Counts on.
    sequence: i64,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.xid {
            0 => write!(f, "{}", self.sequence),
            xid => write!(f, "{xid}-{}", self.sequence),
        }
    }
}

/// Why a text is no place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct NotAPosition;

impl FromStr for LogPosition {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .then(|| text.parse().ok())
                .flatten()
                .ok_or(NotAPosition)
        };
        let (xid, sequence) = text.split_once('-').unwrap_or(("0", text));
        Ok(Self {
            xid: number(xid)?,
            sequence: number(sequence)?,
        })
    }
}

impl LogPosition {
    /// From the columns of a row.
    pub(super) const fn from_row(xid: i64, sequence: i64) -> Self {
        Self { xid, sequence }
    }

    /// From two columns of a result, beginning with this one.
    pub(super) fn of(row: &QueryResult, first: usize) -> Result<Self, DbErr> {
        Ok(Self {
            xid: row.try_get_by_index(first)?,
            sequence: row.try_get_by_index(first + 1)?,
        })
    }

    /// The place before this one.
    #[must_use]
    pub const fn before(self) -> Self {
        Self {
            xid: self.xid,
            sequence: self.sequence.saturating_sub(1),
        }
    }

    /// For the columns of a row.
    pub(super) fn values(self) -> [Value; 2] {
        [self.xid.into(), self.sequence.into()]
    }

    /// The column that counts on.
    pub(super) const fn sequence(self) -> i64 {
        self.sequence
    }

    /// How many events lie between an earlier position and this one, at most.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.sequence.saturating_sub(earlier.sequence)).unwrap_or(0)
    }
}

/// An event as it stands in the log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Its place.
    pub position: LogPosition,
    /// The name of its type and topic.
    pub topic: String,
    /// Whose it is: the key under which the bus keeps order.
    pub user_id: Uuid,
    /// The CloudEvent in structured JSON.
    pub envelope: String,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
}

impl LogEntry {
    /// From the columns `xid, position, type, user_id, envelope, created_at`.
    pub(super) fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            position: LogPosition::of(row, 0)?,
            topic: row.try_get_by_index(2)?,
            user_id: row.try_get_by_index(3)?,
            envelope: row.try_get_by_index(4)?,
            created_at: row.try_get_by_index(5)?,
        })
    }
}
