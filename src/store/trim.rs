//! Removes what nobody needs any more, in bounded batches, so that no other write waits long.
//!
//! The log is never trimmed ahead of anyone who still has to read it.

use chrono::{DateTime, Duration, Utc};

use super::event_log::{self, Cursor, LogPosition};
use super::sql::execute;
use super::{Store, StoreError, Tx};
use crate::config::Retention;

/// Rows that one batch removes at the most.
const BATCH_MAX: i64 = 1_000;

/// How old things grow, and who still reads the log.
#[derive(Debug, Clone)]
pub struct Trim {
    retention: Retention,
    readers: Vec<Cursor>,
}

impl Trim {
    /// The readers are those whose cursors hold the log.
    #[must_use]
    pub fn new(retention: Retention, consumers: &[&'static str]) -> Self {
        let mut readers = vec![Cursor::Relay, Cursor::HighWatermark];
        readers.extend(consumers.iter().map(|name| Cursor::Consumer(name)));
        Self { retention, readers }
    }

    /// Removes one batch of each; gives how many rows went. Call again while there are any.
    ///
    /// # Errors
    /// The database cannot do it now.
    pub async fn step(&self, store: &Store, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut read_by_all: Option<LogPosition> = None;
        for reader in &self.readers {
            let at = event_log::cursor(store.reads(), *reader).await?;
            read_by_all = Some(read_by_all.map_or(at, |least| least.min(at)));
        }
        let read_by_all = read_by_all.unwrap_or_default();
        let age = |duration| now - Duration::from_std(duration).unwrap_or(Duration::MAX);
        let log_before = age(self.retention.log);
        let inbox_before = age(self.retention.inbox);
        let keys_before = age(self.retention.idempotency);
        store
            .write(move |tx| async move {
                let mut gone = trim_log(&tx, read_by_all, log_before).await?;
                gone += old(&tx, "inbox", "handled_at", inbox_before).await?;
                gone += old(&tx, "idempotency_keys", "created_at", keys_before).await?;
                gone += old(&tx, "sessions", "expires_at", now).await?;
                gone += old(&tx, "deleted_users", "deleted_at", inbox_before).await?;
                Ok(gone)
            })
            .await
    }
}

async fn trim_log(
    tx: &Tx,
    read_by_all: LogPosition,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = execute(
        &**tx,
        "DELETE FROM event_log WHERE position IN (SELECT position FROM event_log \
         WHERE position <= $1 AND created_at < $2 ORDER BY position LIMIT $3)",
        [read_by_all.get().into(), before.into(), BATCH_MAX.into()],
    )
    .await?;
    Ok(done.rows_affected())
}

async fn old(
    tx: &Tx,
    table: &'static str,
    column: &'static str,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    // `rowid` exists in SQLite only; PostgreSQL calls the same thing `ctid`.
    let text = format!(
        "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {column} < $1 LIMIT $2)"
    );
    let done = execute(&**tx, text, [before.into(), BATCH_MAX.into()]).await?;
    Ok(done.rows_affected())
}
