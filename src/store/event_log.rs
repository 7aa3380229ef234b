//! The event log: what was said, in commit order, and the cursors of those who read it.
//!
//! SQLite has one writer, so the order of positions is the order of commits. PostgreSQL has many: a
//! position that was given out early may be committed late, behind a reader who has passed it. There
//! a place in the log is the transaction and the position, and readers stop before the oldest
//! transaction that is still open.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait};
use uuid::Uuid;

use super::entities::log_cursors;
use super::given::Given;
pub use super::log_entry::{LogEntry, LogPosition};
use super::sql::{all, execute, list, one};
use super::{Signal, StoreError, Tx, outbox, read_models};
use crate::events::{Event, EventType};
use crate::telemetry::metrics::names;

/// Events that one statement removes at the most.
const FORGET_BATCH: usize = 500;

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
    pub(super) fn name(self) -> String {
        match self {
            Self::Relay => "relay".to_owned(),
            Self::HighWatermark => "bus.high_watermark".to_owned(),
            Self::Consumer(name) => format!("consumer.{name}"),
        }
    }
}

/// Appends events, in this order; gives the position of the last.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn append(tx: &Tx, events: &[Event]) -> Result<Option<LogPosition>, StoreError> {
    if events.is_empty() {
        return Ok(None);
    }
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        let event_type = event.data.event_type();
        metrics::counter!(names::LOG_EVENTS_APPENDED_TOTAL, "type" => event_type.as_str())
            .increment(1);
        rows.push([
            event.id.into(),
            event_type.as_str().into(),
            event.data.user_id().into(),
            event.to_json().map_err(StoreError::defect)?.into(),
            event.time.into(),
        ]);
    }
    let columns = ["event_id", "type", "user_id", "envelope", "created_at"];
    let mut text = "INSERT INTO event_log (event_id, type, user_id, envelope, created_at) \
         SELECT event_id, type, user_id, envelope, created_at FROM given RETURNING xid, position"
        .to_owned();
    if tx.is_relayed() {
        let sent = outbox::SENT;
        text = format!(", said AS ({text}){sent} SELECT xid, position FROM said");
    }
    let mut positions = Vec::with_capacity(events.len());
    for row in Given::new(columns, rows).run(&**tx, &text, []).await? {
        positions.push(LogPosition::of(&row, 0)?);
    }
    tx.after_commit(Signal::Logged);
    Ok(positions.into_iter().max())
}

/// What a reader finds.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The next entries, in commit order.
    pub entries: Vec<LogEntry>,
    /// When the next was written, where it cannot be read yet: a transaction that may say something
    /// before it is still open. It wakes nobody when it ends.
    pub held_back: Option<DateTime<Utc>>,
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
) -> Result<Found, StoreError> {
    // SQLite walks its key, PostgreSQL the pair.
    let (key, closed) = match db.get_database_backend() {
        DbBackend::Postgres => ("(xid, position)", "xid < log_horizon()"),
        _ => ("(position)", "true"),
    };
    let place = |at: LogPosition| match db.get_database_backend() {
        DbBackend::Postgres => at.values().to_vec(),
        _ => vec![at.sequence().into()],
    };
    let mut values = place(after);
    let mut text = format!(
        "SELECT xid, position, type, user_id, envelope, created_at, {closed} FROM event_log \
         WHERE {key} > ({})",
        list(values.len(), 1)
    );
    if let Some(up_to) = up_to {
        let bound = place(up_to);
        text.push_str(&format!(
            " AND {key} <= ({})",
            list(bound.len(), values.len() + 1)
        ));
        values.extend(bound);
    }
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let order = key.trim_matches(['(', ')']);
    text.push_str(&format!(" ORDER BY {order} LIMIT ${}", values.len()));
    let mut found = Found::default();
    for row in all(db, text, values).await? {
        if !row.try_get_by_index::<bool>(6)? {
            found.held_back = Some(LogEntry::of(&row)?.created_at);
            break;
        }
        found.entries.push(LogEntry::of(&row)?);
    }
    Ok(found)
}

/// The newest position: never before one that was given out, even when the newest rows are trimmed.
///
/// # Errors
/// The database cannot be read.
pub async fn end(db: &impl ConnectionTrait) -> Result<LogPosition, StoreError> {
    let text = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT xid, position FROM (\
             (SELECT xid, position FROM event_log ORDER BY xid DESC, position DESC LIMIT 1) UNION ALL \
             (SELECT xid, position FROM log_cursors ORDER BY xid DESC, position DESC LIMIT 1)) AS known \
             ORDER BY xid DESC, position DESC LIMIT 1"
        }
        _ => {
            "SELECT 0, COALESCE(MAX(position), 0) FROM (SELECT MAX(position) AS position FROM event_log \
             UNION ALL SELECT MAX(position) FROM log_cursors) AS known"
        }
    };
    let row = one(db, text, []).await?;
    let end = row.map(|row| LogPosition::of(&row, 0)).transpose()?;
    Ok(end.unwrap_or_default())
}

/// Lets the log go on after what it holds, where it was restored on a server that has counted fewer
/// transactions than the one on which it was written: what is said there would be put before it, and what
/// it holds would not be read. Gives by how much more the numbers of transactions are raised from now on,
/// if so; nobody may be writing.
///
/// # Errors
/// The unit of work cannot go on.
pub(super) async fn go_on(tx: &impl ConnectionTrait) -> Result<Option<i64>, StoreError> {
    if tx.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    // What is there was written by a transaction that has ended, so by one before the snapshot's end.
    let text = "WITH known AS (SELECT max(xid) AS xid FROM ( \
           SELECT max(xid) AS xid FROM event_log UNION ALL SELECT max(xid) FROM outbox UNION ALL \
           SELECT max(xid) FROM log_cursors UNION ALL SELECT max(xid) FROM read_model_positions) AS each), \
         here AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS begun, \
           pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS ended) \
         SELECT known.xid + 1 - begun, known.xid + 1 - log_horizon() FROM known, here \
         WHERE known.xid >= ended + log_horizon() - begun";
    let Some(row) = one(tx, text, []).await? else {
        return Ok(None);
    };
    let (offset, more): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    for (name, counted) in [
        ("log_xid", "pg_current_xact_id()"),
        ("log_horizon", "pg_snapshot_xmin(pg_current_snapshot())"),
    ] {
        let safe = if name == "log_xid" {
            "RESTRICTED"
        } else {
            "SAFE"
        };
        let text = format!(
            "CREATE OR REPLACE FUNCTION {name}() RETURNS bigint LANGUAGE sql STABLE PARALLEL {safe} \
             AS 'SELECT {counted}::text::bigint + {offset}'"
        );
        execute(tx, text, []).await?;
    }
    Ok(Some(more))
}

/// The place that a write stands for which says nothing: all that was said before it. With a bus
/// outside of the database nobody knows who has heard what of others, so it is what the user's read
/// models have reached.
///
/// # Errors
/// The database cannot be read.
pub async fn place_of_silence(tx: &Tx, user_id: Uuid) -> Result<LogPosition, StoreError> {
    if tx.is_relayed() {
        read_models::reached(&**tx, user_id).await
    } else {
        end(&**tx).await
    }
}

/// Where a user's events are. This reads the whole log: not for a unit of work, in which others wait.
///
/// # Errors
/// The database cannot be read.
pub async fn positions_of(
    db: &impl ConnectionTrait,
    user_id: Uuid,
) -> Result<Vec<LogPosition>, StoreError> {
    let text = "SELECT xid, position FROM event_log WHERE user_id = $1 ORDER BY position";
    let found = all(db, text, [user_id.into()]).await?;
    found
        .iter()
        .map(|row| Ok(LogPosition::of(row, 0)?))
        .collect()
}

/// Where these events are; those that the log does not have (any more) are left out.
///
/// # Errors
/// The database cannot be read.
pub async fn places(
    db: &impl ConnectionTrait,
    event_ids: &[Uuid],
) -> Result<HashMap<Uuid, LogPosition>, StoreError> {
    let text = "SELECT xid, position, event_id FROM event_log \
         WHERE event_id IN (SELECT event_id FROM given)";
    let given = Given::new(["event_id"], event_ids.iter().map(|id| [(*id).into()]));
    let found = given.run(db, text, []).await?;
    found
        .iter()
        .map(|row| Ok((row.try_get_by_index(2)?, LogPosition::of(row, 0)?)))
        .collect()
}

/// A place before which nothing is said any more.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn horizon(db: &impl ConnectionTrait) -> Result<LogPosition, StoreError> {
    let text = match db.get_database_backend() {
        DbBackend::Postgres => "SELECT log_horizon(), CAST(0 AS BIGINT)",
        _ => "SELECT 0, COALESCE(MAX(position), 0) + 1 FROM event_log",
    };
    let row = one(db, text, []).await?;
    let horizon = row.map(|row| LogPosition::of(&row, 0)).transpose()?;
    Ok(horizon.unwrap_or_default())
}

/// Whose event it is, the event, and its place.
pub(super) type Said = (Uuid, Uuid, LogPosition);

/// What was said of these types by these users, from a place on. From the beginning on this reads the
/// whole log: not for a unit of work, in which others wait.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn said_by(
    db: &impl ConnectionTrait,
    users: &[Uuid],
    types: &[EventType],
    from: LogPosition,
) -> Result<Vec<Said>, StoreError> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    // SQLite walks its key, PostgreSQL the pair.
    let key = match db.get_database_backend() {
        DbBackend::Postgres => "(xid, position) >= ($1, $2)",
        _ => "position >= $2 AND xid = $1",
    };
    let text = format!(
        "SELECT user_id, event_id, xid, position FROM event_log \
         WHERE {key} AND type IN ({}) AND user_id IN ({})",
        list(types.len(), 3),
        list(users.len(), 3 + types.len())
    );
    let mut values = from.values().to_vec();
    values.extend(types.iter().map(|it| it.as_str().into()));
    values.extend(users.iter().map(|id| (*id).into()));
    let rows = all(db, text, values).await?;
    rows.iter()
        .map(|row| {
            let (user_id, event_id) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            Ok((user_id, event_id, LogPosition::of(row, 2)?))
        })
        .collect()
}

/// Removes a user's events: those found before, and what came since. Readers pass over the gaps, for
/// no position is used twice.
///
/// # Errors
/// The unit of work cannot go on.
pub(super) async fn forget(
    tx: &Tx,
    user_id: Uuid,
    found: &[LogPosition],
) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        // Nobody waits for this unit, and what was committed late may lie before what was found.
        let text = "DELETE FROM event_log WHERE user_id = $1";
        execute(&**tx, text, [user_id.into()]).await?;
        return Ok(());
    }
    for positions in found.chunks(FORGET_BATCH) {
        let text = format!(
            "DELETE FROM event_log WHERE user_id = $1 AND position IN ({})",
            list(positions.len(), 2)
        );
        let mut values = vec![user_id.into()];
        values.extend(positions.iter().map(|at| at.sequence().into()));
        execute(&**tx, text, values).await?;
    }
    let last = found.last().copied().unwrap_or_default();
    execute(
        &**tx,
        "DELETE FROM event_log WHERE position > $1 AND user_id = $2",
        [last.sequence().into(), user_id.into()],
    )
    .await?;
    Ok(())
}

/// Whether the user's event at this place is in the log, and the consumer has not handled it.
///
/// # Errors
/// The database cannot be read.
pub async fn is_outstanding(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    place: LogPosition,
    consumer: &str,
) -> Result<bool, StoreError> {
    let text = "SELECT 1 FROM event_log log WHERE log.xid = $1 AND log.position = $2 AND log.user_id = $3 \
         AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.consumer = $4 AND inbox.event_id = log.event_id)";
    let [xid, position] = place.values();
    let values = [xid, position, user_id.into(), consumer.into()];
    Ok(one(db, text, values).await?.is_some())
}

/// How far a reader has come; the beginning for one that never read.
///
/// # Errors
/// The database cannot be read.
pub async fn cursor(db: &impl ConnectionTrait, cursor: Cursor) -> Result<LogPosition, StoreError> {
    let row = log_cursors::Entity::find_by_id(cursor.name())
        .one(db)
        .await?;
    Ok(row.map_or_else(LogPosition::default, |row| {
        LogPosition::from_row(row.xid, row.position)
    }))
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
    let [xid, position] = to.values();
    execute(
        &**tx,
        "INSERT INTO log_cursors (name, xid, position, updated_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (name) DO UPDATE SET xid = excluded.xid, position = excluded.position, \
         updated_at = excluded.updated_at \
         WHERE (excluded.xid, excluded.position) > (log_cursors.xid, log_cursors.position)",
        [cursor.name().into(), xid, position, now.into()],
    )
    .await?;
    match cursor {
        Cursor::Relay => {}
        Cursor::HighWatermark => tx.after_commit(Signal::Published),
        Cursor::Consumer(_) => tx.after_commit(Signal::Projected),
    }
    Ok(())
}
