//! Who has events on their way: in the log, and not handled yet.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::events::EventType;
use crate::events::catalogue::{NOTIFIER, NOTIFIER_HEARS, PROJECTOR, PROJECTOR_HEARS};
use crate::store::StoreError;
use crate::store::event_log::{self, Cursor};
use crate::store::sql::{all, list};

/// Of whom events are still on their way.
#[derive(Debug)]
pub(super) struct Pending {
    bookings: HashSet<Uuid>,
    crossings: HashSet<Uuid>,
}

impl Pending {
    /// Looks for events of these users.
    pub(super) async fn of(db: &impl ConnectionTrait, users: &[Uuid]) -> Result<Self, StoreError> {
        Ok(Self {
            bookings: not_handled(db, PROJECTOR, PROJECTOR_HEARS, users).await?,
            crossings: not_handled(db, NOTIFIER, NOTIFIER_HEARS, users).await?,
        })
    }

    /// Whether the projector has bookings of the user to handle: the sums cannot be told.
    pub(super) fn bookings(&self, user_id: Uuid) -> bool {
        self.bookings.contains(&user_id)
    }

    /// Whether the notifier has crossings of the user to handle: the alerts cannot be told.
    pub(super) fn crossings(&self, user_id: Uuid) -> bool {
        self.crossings.contains(&user_id)
    }
}

/// Those of the users of whom the consumer has events to handle. What is before its cursor is
/// handled, what is after may be; a dead letter will never be. The log loses nothing before every
/// reader has passed it, and the inbox keeps longer than the log.
async fn not_handled(
    db: &impl ConnectionTrait,
    consumer: &'static str,
    hears: &[EventType],
    users: &[Uuid],
) -> Result<HashSet<Uuid>, StoreError> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let heard = event_log::cursor(db, Cursor::Consumer(consumer)).await?;
    let text = format!(
        "SELECT DISTINCT user_id FROM event_log \
         WHERE (xid, position) > ($1, $2) AND type IN ({}) AND user_id IN ({}) \
         AND NOT EXISTS (SELECT 1 FROM inbox \
         WHERE inbox.consumer = $3 AND inbox.event_id = event_log.event_id) \
         AND NOT EXISTS (SELECT 1 FROM dead_letters \
         WHERE dead_letters.consumer = $3 AND dead_letters.event_id = event_log.event_id)",
        list(hears.len(), 4),
        list(users.len(), 4 + hears.len())
    );
    let mut values: Vec<Value> = heard.values().to_vec();
    values.push(consumer.into());
    values.extend(hears.iter().map(|event_type| event_type.as_str().into()));
    values.extend(users.iter().map(|user_id| (*user_id).into()));
    let rows = all(db, text, values).await?;
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}
