//! Removes what nobody needs any more, in bounded batches, so that no other write waits long.
//!
//! The log is never trimmed ahead of anyone who still has to read it.

use chrono::{DateTime, Duration, Utc};
use sea_orm::Value;

use super::event_log::{self, Cursor, LogPosition};
use super::sql::{execute, row_id};
use super::{Store, StoreError, Tx};
use crate::config::Retention;

/// Rows that one batch removes at the most.
const BATCH_MAX: i64 = 1_000;

/// How long it is kept what became of an alert that was to be sent: a month, so that somebody can be told.
pub(super) const SENT_KEPT: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// How old things grow, and who still reads the log.
#[derive(Debug, Clone)]
pub struct Trim {
    retention: Retention,
    readers: Readers,
}

/// Who still reads the log.
#[derive(Debug, Clone)]
enum Readers {
    /// Those whose cursors hold it.
    Cursors(Vec<Cursor>),
    /// The relay, which takes what is in the outbox.
    Outbox,
}

impl Trim {
    /// The embedded bus, with these consumers: their cursors hold the log.
    #[must_use]
    pub fn new(retention: Retention, consumers: &[&'static str]) -> Self {
        let mut readers = vec![Cursor::Relay, Cursor::HighWatermark];
        readers.extend(consumers.iter().map(|name| Cursor::Consumer(name)));
        Self {
            retention,
            readers: Readers::Cursors(readers),
        }
    }

    /// A bus outside of the database: what it has, nobody reads here any more.
    #[must_use]
    pub fn of_relayed(retention: Retention) -> Self {
        Self {
            retention,
            readers: Readers::Outbox,
        }
    }

    /// Removes one batch of each; gives how many rows went. Call again while there are any.
    ///
    /// # Errors
    /// The database cannot do it now.
    pub async fn step(&self, store: &Store, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let read_by_all = match &self.readers {
            Readers::Cursors(readers) => Some(read_by_all(store, readers).await?),
            Readers::Outbox => None,
        };
        let age = |duration| now - Duration::from_std(duration).unwrap_or(Duration::MAX);
        let log_before = age(self.retention.log);
        let inbox_before = age(self.retention.inbox);
        let keys_before = age(self.retention.idempotency);
        let sent_before = age(SENT_KEPT);
        let mut gone = store
            .write(move |tx| async move { trim_log(&tx, read_by_all, log_before).await })
            .await?;
        // A unit of work for each: an erasure goes through them in another order, and would wait for
        // what we hold while we wait for what it holds.
        for (table, column, before) in [
            ("inbox", "handled_at", inbox_before),
            ("idempotency_keys", "created_at", keys_before),
            ("sessions", "expires_at", now),
            ("deleted_users", "deleted_at", inbox_before),
            ("deliveries", "finished_at", sent_before),
        ] {
            gone += store
                .write(move |tx| async move { old(&tx, table, column, before).await })
                .await?;
        }
        Ok(gone)
    }
}

async fn read_by_all(store: &Store, readers: &[Cursor]) -> Result<LogPosition, StoreError> {
    let mut least: Option<LogPosition> = None;
    for reader in readers {
        let at = event_log::cursor(store.reads(), *reader).await?;
        least = Some(least.map_or(at, |least| least.min(at)));
    }
    Ok(least.unwrap_or_default())
}

async fn trim_log(
    tx: &Tx,
    read_by_all: Option<LogPosition>,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let mut values: Vec<Value> = vec![before.into(), BATCH_MAX.into()];
    let (looked_at, is_read) = match read_by_all {
        Some(at) => {
            values.extend(at.values());
            ("(xid, position) <= ($3, $4)", "true")
        }
        None => (
            "true",
            "NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.position = oldest.position)",
        ),
    };
    // No more than the oldest are looked at: where none of them has grown old, none has.
    let row = row_id(&**tx);
    let text = format!(
        "DELETE FROM event_log WHERE {row} IN (SELECT place FROM \
         (SELECT {row} AS place, position, created_at FROM event_log WHERE {looked_at} \
         ORDER BY xid, position LIMIT $2) AS oldest WHERE created_at < $1 AND {is_read})"
    );
    Ok(execute(&**tx, text, values).await?.rows_affected())
}

async fn old(
    tx: &Tx,
    table: &'static str,
    column: &'static str,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let row = row_id(&**tx);
    let text = format!(
        "DELETE FROM {table} WHERE {row} IN (SELECT {row} FROM {table} WHERE {column} < $1 LIMIT $2)"
    );
    let done = execute(&**tx, text, [before.into(), BATCH_MAX.into()]).await?;
    Ok(done.rows_affected())
}
