//! The inbox: the truth about which events a consumer has handled.
//!
//! A row is written in the transaction of the event's effect, so an event that is delivered twice
//! has its effect once, whatever crashed in between.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::sql::{all, list, rows};
use super::{StoreError, Tx};

/// Records the events as handled by the consumer; gives those that were not yet.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn record(
    tx: &Tx,
    consumer: &str,
    event_ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<HashSet<Uuid>, StoreError> {
    if event_ids.is_empty() {
        return Ok(HashSet::new());
    }
    let mut values = Vec::with_capacity(event_ids.len() * 3);
    for id in event_ids {
        values.extend([consumer.into(), (*id).into(), now.into()]);
    }
    let text = format!(
        "INSERT INTO inbox (consumer, event_id, handled_at) VALUES {} \
         ON CONFLICT (consumer, event_id) DO NOTHING RETURNING event_id",
        rows(3, event_ids.len())
    );
    let recorded = all(&**tx, text, values).await?;
    recorded
        .iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}

/// Those of the events that the consumer is done with.
///
/// # Errors
/// The database cannot be read.
pub async fn known(
    db: &impl ConnectionTrait,
    consumer: &str,
    event_ids: &[Uuid],
) -> Result<HashSet<Uuid>, StoreError> {
    if event_ids.is_empty() {
        return Ok(HashSet::new());
    }
    let text = format!(
        "SELECT event_id FROM inbox WHERE consumer = $1 AND event_id IN ({})",
        list(event_ids.len(), 2)
    );
    let ids = event_ids.iter().map(|id| Value::from(*id));
    let values = [consumer.into()].into_iter().chain(ids);
    let rows = all(db, text, values).await?;
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}
