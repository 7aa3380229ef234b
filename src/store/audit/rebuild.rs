//! Counts a user's sums anew from the bookings, in one unit of work with the note that the events of
//! those bookings are done with. So events that are still on their way, or are brought again, add
//! nothing to a sum that has them already.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::repair::{replace_daily, replace_monthly};
use crate::events::catalogue::{PROJECTOR, PROJECTOR_HEARS};
use crate::store::event_log::{self, LogPosition};
use crate::store::sql::execute;
use crate::store::{
    StoreError, Tx, budgets, dead_letters, inbox, read_models, search, users, wallets,
};

/// Events that one statement records at the most.
const BATCH: usize = 1_000;

/// What is known of users' events before their units of work, so that those need not read the whole
/// log.
pub(super) struct Known {
    horizon: LogPosition,
    events: HashMap<Uuid, Vec<(Uuid, LogPosition)>>,
}

/// What is known of one user's events: all before the horizon.
pub(super) struct KnownOfUser {
    horizon: LogPosition,
    events: Vec<(Uuid, LogPosition)>,
}

impl Known {
    pub(super) async fn of(db: &impl ConnectionTrait, users: &[Uuid]) -> Result<Self, StoreError> {
        // First the horizon: what is found after it is at least all before it.
        let horizon = event_log::horizon(db).await?;
        let all = LogPosition::default();
        let said = event_log::said_by(db, users, PROJECTOR_HEARS, all).await?;
        let mut events: HashMap<Uuid, Vec<(Uuid, LogPosition)>> = HashMap::new();
        for (user_id, event_id, place) in said {
            events.entry(user_id).or_default().push((event_id, place));
        }
        Ok(Self { horizon, events })
    }

    pub(super) fn of_user(&self, user_id: Uuid) -> KnownOfUser {
        KnownOfUser {
            horizon: self.horizon,
            events: self.events.get(&user_id).cloned().unwrap_or_default(),
        }
    }
}

/// Rebuilds the sums of a user.
pub(super) async fn user(
    tx: &Tx,
    user_id: Uuid,
    known: KnownOfUser,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if !users::hold(tx, user_id).await? {
        return Ok(());
    }
    wallets::hold_all(tx, user_id).await?;
    replace_monthly(tx, user_id).await?;
    replace_daily(tx, user_id).await?;
    search::replace(tx, user_id).await?;
    // Periods are summed up from the days by whoever needs them, but for those that carry over.
    let text = "DELETE FROM budget_periods WHERE user_id = $1";
    execute(&**tx, text, [user_id.into()]).await?;
    budgets::keep_whole_pasts(tx, user_id, now).await?;
    let mut events = known.events;
    let late = event_log::said_by(&**tx, &[user_id], PROJECTOR_HEARS, known.horizon).await?;
    events.extend(
        late.into_iter()
            .map(|(_, event_id, place)| (event_id, place)),
    );
    let ids: Vec<Uuid> = events.iter().map(|(id, _)| *id).collect();
    for batch in ids.chunks(BATCH) {
        inbox::record(tx, PROJECTOR, batch, now).await?;
    }
    dead_letters::settle(tx, PROJECTOR, user_id, now).await?;
    let reached = events.iter().map(|(_, place)| *place).max();
    let reached: BTreeMap<Uuid, LogPosition> =
        reached.map(|place| (user_id, place)).into_iter().collect();
    read_models::reach(tx, &reached).await
}
