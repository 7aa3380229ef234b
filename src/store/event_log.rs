//! The event log: what was said, in commit order, and the cursors of those who read it.
//!
//! SQLite has one writer, so the order of positions is the order of commits.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entities::{event_log, log_cursors};
use super::sql::{all, execute, list, one, rows};
use super::{Signal, StoreError, Tx};
use crate::events::Event;
use crate::telemetry::metrics::names;

/// Events that one statement removes at the most.
const FORGET_BATCH: usize = 500;

/// A place in the log. Clients see it as an opaque word that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition(i64);

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for LogPosition {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl LogPosition {
    /// From the column of a row.
    pub(super) const fn from_row(position: i64) -> Self {
        Self(position)
    }

    /// For the column of a row.
    pub(super) const fn get(self) -> i64 {
        self.0
    }

    /// How many events lie between an earlier position and this one, at most.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

/// Who reads the log, each with a cursor of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// The relay: all before it is published.
    Relay,
    /// The embedded bus: all before it may be read by consumers.
    HighWatermark,
    /// A consumer of the embedded bus: all before it is handled.
    Consumer(&'static str),
}

impl Cursor {
    fn name(self) -> String {
        match self {
            Self::Relay => "relay".to_owned(),
            Self::HighWatermark => "bus.high_watermark".to_owned(),
            Self::Consumer(name) => format!("consumer.{name}"),
        }
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

/// Appends events, in this order; gives the position of the last.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn append(tx: &Tx, events: &[Event]) -> Result<Option<LogPosition>, StoreError> {
    if events.is_empty() {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(events.len() * 5);
    for event in events {
        let event_type = event.data.event_type();
        metrics::counter!(names::LOG_EVENTS_APPENDED_TOTAL, "type" => event_type.as_str())
            .increment(1);
        values.push(event.id.into());
        values.push(event_type.as_str().into());
        values.push(event.data.user_id().into());
        values.push(event.to_json().map_err(StoreError::defect)?.into());
        values.push(event.time.into());
    }
    let text = format!(
        "INSERT INTO event_log (event_id, type, user_id, envelope, created_at) VALUES {} RETURNING position",
        rows(5, events.len())
    );
    let mut last = None;
    for row in all(&**tx, text, values).await? {
        last = last.max(Some(LogPosition(row.try_get_by_index(0)?)));
    }
    tx.after_commit(Signal::Logged);
    Ok(last)
}

/// The next entries after a position, in commit order.
///
/// # Errors
/// The database cannot be read.
pub async fn read_after(
    db: &impl ConnectionTrait,
    after: LogPosition,
    up_to: Option<LogPosition>,
    limit: u64,
) -> Result<Vec<LogEntry>, StoreError> {
    let mut query = event_log::Entity::find().filter(event_log::Column::Position.gt(after.0));
    if let Some(up_to) = up_to {
        query = query.filter(event_log::Column::Position.lte(up_to.0));
    }
    let entries = query
        .order_by_asc(event_log::Column::Position)
        .limit(limit)
        .all(db)
        .await?;
    Ok(entries.into_iter().map(LogEntry::from).collect())
}

impl From<event_log::Model> for LogEntry {
    fn from(row: event_log::Model) -> Self {
        Self {
            position: LogPosition(row.position),
            topic: row.r#type,
            user_id: row.user_id,
            envelope: row.envelope,
            created_at: row.created_at,
        }
    }
}

/// The newest position: never before one that was given out, even when the newest rows are trimmed.
///
/// # Errors
/// The database cannot be read.
pub async fn end(db: &impl ConnectionTrait) -> Result<LogPosition, StoreError> {
    let text = "SELECT MAX(position) FROM (SELECT MAX(position) AS position FROM event_log \
         UNION ALL SELECT MAX(position) FROM log_cursors) AS known";
    let row = one(db, text, []).await?;
    let position: Option<i64> = row
        .map(|row| row.try_get_by_index(0))
        .transpose()?
        .flatten();
    Ok(LogPosition(position.unwrap_or(0)))
}

/// Where a user's events are. This reads the whole log: not for a unit of work, in which others wait.
///
/// # Errors
/// The database cannot be read.
pub async fn positions_of(
    db: &impl ConnectionTrait,
    user_id: Uuid,
) -> Result<Vec<LogPosition>, StoreError> {
    let text = "SELECT position FROM event_log WHERE user_id = $1 ORDER BY position";
    let found = all(db, text, [user_id.into()]).await?;
    found
        .iter()
        .map(|row| Ok(LogPosition(row.try_get_by_index(0)?)))
        .collect()
}

/// Removes a user's events: those found before, and what came after the last of them. Readers pass
/// over the gaps, for no position is used twice.
///
/// # Errors
/// The unit of work cannot go on.
pub(super) async fn forget(
    tx: &Tx,
    user_id: Uuid,
    found: &[LogPosition],
) -> Result<(), StoreError> {
    for positions in found.chunks(FORGET_BATCH) {
        let text = format!(
            "DELETE FROM event_log WHERE user_id = $1 AND position IN ({})",
            list(positions.len(), 2)
        );
        let mut values = vec![user_id.into()];
        values.extend(positions.iter().map(|position| position.0.into()));
        execute(&**tx, text, values).await?;
    }
    let last = found.last().copied().unwrap_or_default();
    execute(
        &**tx,
        "DELETE FROM event_log WHERE position > $1 AND user_id = $2",
        [last.0.into(), user_id.into()],
    )
    .await?;
    Ok(())
}

/// How far a reader has come; the beginning for one that never read.
///
/// # Errors
/// The database cannot be read.
pub async fn cursor(db: &impl ConnectionTrait, cursor: Cursor) -> Result<LogPosition, StoreError> {
    let row = log_cursors::Entity::find_by_id(cursor.name())
        .one(db)
        .await?;
    Ok(LogPosition(row.map_or(0, |row| row.position)))
}

/// Moves a reader's cursor on. It never goes back.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn advance(
    tx: &Tx,
    cursor: Cursor,
    to: LogPosition,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute(
        &**tx,
        "INSERT INTO log_cursors (name, position, updated_at) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at \
         WHERE excluded.position > log_cursors.position",
        [cursor.name().into(), to.0.into(), now.into()],
    )
    .await?;
    match cursor {
        Cursor::Relay => {}
        Cursor::HighWatermark => tx.after_commit(Signal::Published),
        Cursor::Consumer(_) => tx.after_commit(Signal::Projected),
    }
    Ok(())
}
