//! Role `projector`: keeps the read models and watches the budgets.
//!
//! It hears bookings from the bus. One unit of work for a batch records the events in the inbox,
//! adds their deltas to the sums, and says what was crossed; the notifier hears that.

/// What a batch of bookings does to the sums and the budgets: pure.
pub mod fold;
/// What is worth knowing of somebody's books.
pub mod insights;
/// Insights in the words of Gemini, within limits.
pub mod wording;
/// What is said of a crossing.
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::bus::{Handler, Heard, Outcome};
use crate::clock::{Clock, Ids};
use crate::crash;
use crate::domain::period;
use crate::events::{Event, EventType, Source, catalogue};
use crate::store::users::{self, Concerned};
use crate::store::{Store, StoreError, Tx, budgets, event_log, goals, inbox, read_models, search};
use fold::{Crossing, Fold, Movement};
use insights::Looks;

/// The handler of the role.
#[derive(Debug, Clone)]
pub struct Projector {
    store: Store,
    clock: Clock,
    ids: Ids,
    looks: Option<Arc<Looks>>,
}

impl Projector {
    /// A projector on this database.
    #[must_use]
    pub fn new(store: Store, clock: Clock, ids: Ids) -> Self {
        Self {
            store,
            clock,
            ids,
            looks: None,
        }
    }

    /// One that tells these whose books have changed.
    #[must_use]
    pub fn telling(mut self, looks: Arc<Looks>) -> Self {
        self.looks = Some(looks);
        self
    }
}

impl Handler for Projector {
    fn consumer(&self) -> &'static str {
        catalogue::PROJECTOR
    }

    fn hears(&self) -> &'static [EventType] {
        catalogue::PROJECTOR_HEARS
    }

    fn handle(&self, batch: Arc<[Heard]>) -> BoxFuture<'_, Result<Vec<Outcome>, StoreError>> {
        let unit = Unit {
            now: self.clock.now(),
            ids: self.ids.clone(),
        };
        async move {
            let heard = Arc::clone(&batch);
            let outcomes = self
                .store
                .write(move |tx| async move { unit.project(&tx, &batch).await })
                .await?;
            if let Some(looks) = &self.looks {
                looks.ask(heard.iter().map(|heard| heard.event.data.user_id()));
            }
            crash::point("projector.after_commit_before_ack");
            Ok(outcomes)
        }
        .boxed()
    }
}

/// One batch, at one moment.
struct Unit {
    now: DateTime<Utc>,
    ids: Ids,
}

impl Unit {
    async fn project(&self, tx: &Tx, batch: &[Heard]) -> Result<Vec<Outcome>, StoreError> {
        let owners = batch.iter().map(|heard| heard.event.data.user_id());
        let concerned = users::concerned(&**tx, owners).await?;
        let mut accepted: Vec<(usize, Movement)> = Vec::new();
        let mut outcomes = vec![Outcome::Duplicate; batch.len()];
        for (index, heard) in batch.iter().enumerate() {
            match (
                Movement::of(&heard.event.data),
                concerned.get(&heard.event.data.user_id()),
            ) {
                (_, Some(Concerned::Left)) => outcomes[index] = Outcome::Handled,
                (Err(error), _) => outcomes[index] = Outcome::Rejected(error.to_string()),
                (Ok(movement), Some(Concerned::User { .. })) => accepted.push((index, movement)),
                (Ok(_), _) => outcomes[index] = Outcome::nobody(),
            }
        }
        // What the inbox knows already stays a duplicate.
        let ids: Vec<Uuid> = accepted
            .iter()
            .map(|(index, _)| batch[*index].event.id)
            .collect();
        let mut fresh = inbox::record(tx, catalogue::PROJECTOR, &ids, self.now).await?;
        accepted.retain(|(index, _)| fresh.remove(&batch[*index].event.id));
        for (index, _) in &accepted {
            outcomes[*index] = Outcome::Handled;
        }
        self.apply(tx, batch, &concerned, &accepted).await?;
        crash::point("projector.before_commit");
        Ok(outcomes)
    }

    async fn apply(
        &self,
        tx: &Tx,
        batch: &[Heard],
        users: &BTreeMap<Uuid, Concerned>,
        accepted: &[(usize, Movement)],
    ) -> Result<(), StoreError> {
        if accepted.is_empty() {
            return Ok(());
        }
        let movements: Vec<&Movement> = accepted.iter().map(|(_, movement)| movement).collect();
        let owners: BTreeSet<Uuid> = movements.iter().map(|movement| movement.user_id).collect();
        let owners: Vec<Uuid> = owners.into_iter().collect();
        let budgets = budgets::of_many_users(&**tx, &owners).await?;
        let watched = fold::watched(&budgets, &movements, |user_id| self.today(users, user_id));
        let standings = read_models::standings(tx, &watched).await?;
        let mut fold = Fold::new(&budgets, standings);
        for movement in movements {
            fold.apply(movement)?;
        }
        read_models::add(tx, fold.deltas()).await?;
        search::add(tx, fold.words()).await?;
        budgets::keep_periods(tx, &fold.period_sums(), self.now).await?;
        read_models::rearm(tx, fold.rearmed(), self.now).await?;
        let caused: Vec<&Heard> = accepted.iter().map(|(index, _)| &batch[*index]).collect();
        self.say_crossings(tx, users, &caused, &fold.crossings())
            .await?;
        let saves = |id: &Uuid| matches!(users.get(id), Some(Concerned::User { saves: true, .. }));
        let savers: Vec<Uuid> = owners.iter().copied().filter(saves).collect();
        self.say_goals(tx, &savers, &caused).await?;
        read_models::reach(tx, &positions(batch, accepted)).await
    }

    /// Records the crossings, and says those that nobody recorded before.
    async fn say_crossings(
        &self,
        tx: &Tx,
        users: &BTreeMap<Uuid, Concerned>,
        caused: &[&Heard],
        crossings: &[&Crossing<'_>],
    ) -> Result<(), StoreError> {
        let mut events = Vec::with_capacity(crossings.len());
        let mut rows = Vec::with_capacity(crossings.len());
        for crossing in crossings {
            let event = self.event_of(users, caused[crossing.movement], crossing);
            rows.push((crossing.key(), crossing.budget.user_id, event.id));
            events.push(event);
        }
        let recorded = read_models::record_crossings(tx, &rows, self.now).await?;
        let mut new = rows.iter().map(|(key, _, _)| recorded.contains(key));
        events.retain(|_| new.next().unwrap_or(false));
        event_log::append(tx, &events).await?;
        Ok(())
    }

    /// Says which goals the wallets' balances have reached.
    async fn say_goals(
        &self,
        tx: &Tx,
        owners: &[Uuid],
        caused: &[&Heard],
    ) -> Result<(), StoreError> {
        let mut events = Vec::new();
        for goal in goals::reached_by_wallets(&**tx, owners).await? {
            let of_owner = |heard: &&&Heard| heard.event.data.user_id() == goal.user_id;
            let Some(last) = caused.iter().rev().find(of_owner) else {
                continue;
            };
            goals::mark_achieved(tx, goal.user_id, goal.id, self.now).await?;
            let (id, cause) = (self.ids.v4(), last.as_cause());
            let data = goal.achieved(self.now);
            events.push(Event::new(
                id,
                Source::Projector,
                goal.id,
                self.now,
                cause,
                data,
            ));
        }
        event_log::append(tx, &events).await?;
        Ok(())
    }

    fn event_of(
        &self,
        users: &BTreeMap<Uuid, Concerned>,
        cause: &Heard,
        crossing: &Crossing<'_>,
    ) -> Event {
        let today = self.today(users, crossing.budget.user_id);
        let historic = crossing.period.end < today;
        let data = words::event_data(crossing, historic, || self.ids.v4());
        let cause = cause.as_cause();
        let id = self.ids.v4();
        Event::new(
            id,
            Source::Projector,
            crossing.budget.id,
            self.now,
            cause,
            data,
        )
    }

    fn today(&self, users: &BTreeMap<Uuid, Concerned>, user_id: Uuid) -> NaiveDate {
        let zone = match users.get(&user_id) {
            Some(Concerned::User { time_zone, .. }) => *time_zone,
            _ => chrono_tz::UTC,
        };
        period::today(self.now, zone)
    }
}

fn positions(
    batch: &[Heard],
    accepted: &[(usize, Movement)],
) -> BTreeMap<Uuid, event_log::LogPosition> {
    let mut positions = BTreeMap::new();
    for (index, movement) in accepted {
        if let Some(position) = batch[*index].position {
            let reached = positions.entry(movement.user_id).or_insert(position);
            *reached = position.max(*reached);
        }
    }
    positions
}
