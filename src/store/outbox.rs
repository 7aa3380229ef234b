//! The outbox: what of the log is still to be published on a bus outside of the database.
//!
//! A row is written with its event, and taken away in a transaction that is open while the bus is
//! told. So each event is taken by one publisher at a time, whichever process it belongs to; when
//! that dies, the row is there again at once. It needs no order of commits: what was committed late
//! is found all the same, and an old transaction that stays open holds nothing up.

use super::connection::Transaction;
use super::given::Given;
use super::log_entry::{LogEntry, LogPosition};
use super::postgres::PostgresTransaction;
use super::sql::{all, count};
use super::{Store, StoreError, Writes};
use crate::events::with_log_position;

/// Events taken to be published. Dropped, they are back in the outbox.
#[derive(Debug)]
pub struct Claim {
    /// The events, in the order in which they were written; each envelope tells its place in the log.
    pub entries: Vec<LogEntry>,
    /// Rows that were taken, those of events that are gone with their user included.
    pub rows: usize,
    open: PostgresTransaction,
}

/// Puts what a statement finds as `said` into the outbox.
pub(super) const SENT: &str =
    ", sent AS (INSERT INTO outbox (xid, position) SELECT xid, position FROM said)";

async fn put(db: &Transaction, positions: &[LogPosition]) -> Result<(), StoreError> {
    let text = "INSERT INTO outbox (xid, position) SELECT xid, position FROM given";
    let rows = positions.iter().map(|at| at.values());
    Given::new(["xid", "position"], rows)
        .run(db, text, [])
        .await?;
    Ok(())
}

/// Takes the next rows that nobody else has taken, at most so many; none when there are none.
///
/// # Errors
/// The database cannot do it now.
pub async fn claim(store: &Store, limit: u32) -> Result<Option<Claim>, StoreError> {
    let Writes::Postgres { pool, .. } = &store.writes else {
        return Err(StoreError::defect("an embedded database has no outbox"));
    };
    let open = pool.begin("BEGIN".to_owned()).await?;
    let text = "WITH next AS (SELECT position, xid FROM outbox ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED), \
         taken AS (DELETE FROM outbox USING next \
         WHERE outbox.position = next.position AND outbox.xid = next.xid RETURNING next.xid, next.position) \
         SELECT log.xid, log.position, log.type, log.user_id, log.envelope, log.created_at \
         FROM taken LEFT JOIN event_log log ON log.xid = taken.xid AND log.position = taken.position \
         ORDER BY log.position";
    let db = Transaction::Postgres(open.clone());
    let found = all(&db, text, [i64::from(limit).into()]).await?;
    drop(db);
    if found.is_empty() {
        open.commit().await?;
        return Ok(None);
    }
    let mut entries = Vec::with_capacity(found.len());
    for row in &found {
        if row.try_get_by_index::<Option<i64>>(0)?.is_none() {
            continue;
        }
        let mut entry = LogEntry::of(row)?;
        entry.envelope = with_log_position(&entry.envelope, &entry.position);
        entries.push(entry);
    }
    Ok(Some(Claim {
        entries,
        rows: found.len(),
        open,
    }))
}

impl Claim {
    /// Notes that the bus has them; but for these, which go back.
    ///
    /// # Errors
    /// The database did not say that it did: all may be back.
    pub async fn settle(self, unpublished: &[LogPosition]) -> Result<(), StoreError> {
        put(&Transaction::Postgres(self.open.clone()), unpublished).await?;
        Ok(self.open.commit().await?)
    }
}

/// How many events are still to be published, counted up to a bound.
///
/// # Errors
/// The database cannot be read.
pub async fn depth(store: &Store, up_to: u32) -> Result<u64, StoreError> {
    let text = "SELECT COUNT(*) FROM (SELECT 1 FROM outbox LIMIT $1) AS waiting";
    count(store.reads(), text, [i64::from(up_to).into()]).await
}
