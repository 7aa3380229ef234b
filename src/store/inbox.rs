//! The inbox: the truth about which events a consumer has handled.
//!
//! A row is written in the transaction of the event's effect, so an event that is delivered twice
//! has its effect once, whatever crashed in between.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use super::given::Given;
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
    let text = "INSERT INTO inbox (consumer, event_id, handled_at) \
         SELECT $1, event_id, $2 FROM given WHERE true \
         ON CONFLICT (consumer, event_id) DO NOTHING RETURNING event_id";
    let values = [consumer.into(), now.into()];
    ids(&given(event_ids).run(&**tx, text, values).await?)
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
    let text = "SELECT event_id FROM inbox \
         WHERE consumer = $1 AND event_id IN (SELECT event_id FROM given)";
    ids(&given(event_ids).run(db, text, [consumer.into()]).await?)
}

fn given(event_ids: &[Uuid]) -> Given<1> {
    Given::new(["event_id"], event_ids.iter().map(|id| [(*id).into()]))
}

fn ids(rows: &[QueryResult]) -> Result<HashSet<Uuid>, StoreError> {
    let ids = rows.iter().map(|row| row.try_get_by_index(0));
    Ok(ids.collect::<Result<_, DbErr>>()?)
}
