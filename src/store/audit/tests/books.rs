//! A database with people whose books went the whole way: booked, relayed, projected, alerted.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::bus::consumer::Consumer;
use crate::bus::embedded::{EmbeddedPublisher, EmbeddedSubscription};
use crate::bus::relay::Relay;
use crate::bus::{Handler, Publisher};
use crate::clock::{Clock, Ids};
use crate::config::{Config, LoadArgs};
use crate::domain::money::Currency;
use crate::notifier::Notifier;
use crate::projector::Projector;
use crate::state::State;
use crate::store::audit::{Audit, Report, repair};
use crate::store::sql::{all, execute};
use crate::store::{Store, StoreError};

pub(super) fn day(month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, month, day).unwrap()
}

pub(super) fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// Somebody with two wallets, a category and two budgets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) cash: Uuid,
    pub(super) bank: Uuid,
    pub(super) food: Uuid,
    /// All spending of a calendar month.
    pub(super) monthly: Uuid,
    /// Food, by the week from Wednesday, 4 November.
    pub(super) weekly: Uuid,
}

pub(super) struct Books {
    pub(super) store: Store,
    clock: Clock,
    pub(super) ids: Ids,
    relay: Relay,
    projector: EmbeddedSubscription,
    notifier: EmbeddedSubscription,
    _dir: TempDir,
}

impl Books {
    pub(super) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let args = LoadArgs::new().flag("data_dir", path, "--data-dir");
        let config = Config::load(&args).unwrap().config;
        let (store, _writer) = Store::open(&config).await.unwrap();
        let clock = Clock::fixed("2026-11-20T12:00:00Z".parse().unwrap());
        let ids = Ids::seeded(7);
        let publisher: Arc<dyn Publisher> =
            Arc::new(EmbeddedPublisher::new(store.clone(), clock.clone()));
        let relay = Relay::new(store.clone(), publisher, clock.clone(), config.bus.clone());
        let state = State::open(&config, None).expect("embedded");
        let subscription = |handler: Arc<dyn Handler>| {
            let (store, clock) = (store.clone(), clock.clone());
            let consumer = Consumer::new(
                handler,
                store.clone(),
                state.clone(),
                clock.clone(),
                ids.clone(),
            );
            EmbeddedSubscription::new(Arc::new(consumer), store, clock, config.bus.clone())
        };
        let projector = Projector::new(store.clone(), clock.clone(), ids.clone());
        let projector = subscription(Arc::new(projector));
        let notifier = Notifier::new(store.clone(), clock.clone(), ids.clone());
        let notifier = subscription(Arc::new(notifier));
        Self {
            store,
            clock,
            ids,
            relay,
            projector,
            notifier,
            _dir: dir,
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Lets everybody hear everything.
    pub(super) async fn settle(&self) {
        loop {
            let said = self.publish().await;
            let heard = self.projector.tick().await.unwrap() + self.notifier.tick().await.unwrap();
            if said + heard == 0 {
                return;
            }
        }
    }

    /// Lets the bus have everything; nobody hears it yet.
    pub(super) async fn publish(&self) -> usize {
        self.relay.tick().await.unwrap()
    }

    /// Lets the projector hear what is published.
    pub(super) async fn project(&self) {
        while self.projector.tick().await.unwrap() > 0 {}
    }

    pub(super) async fn audit(&self, repair: bool) -> Report {
        Audit::new(&self.store)
            .run(repair, self.now(), |_| {})
            .await
            .unwrap()
    }

    /// Changes the database behind everybody's back.
    pub(super) async fn tamper(&self, text: impl Into<String>, values: impl Into<Vec<Value>>) {
        let (text, values) = (text.into(), values.into());
        let shown = text.clone();
        let done = self
            .store
            .write(move |tx| async move { Ok(execute(&*tx, text, values).await?) })
            .await
            .unwrap();
        assert!(done.rows_affected() > 0, "nothing to tamper with: {shown}");
    }

    /// All that is kept of a person and is not zero, as text.
    pub(super) async fn kept(&self, person: Person) -> Vec<String> {
        let mut kept = Vec::new();
        for text in [
            "SELECT hex(id) || balance_minor || version || updated_at FROM wallets \
             WHERE user_id = $1 ORDER BY 1",
            "SELECT month || type || hex(category_id) || hex(wallet_id) || amount_minor || bookings \
             FROM monthly_totals WHERE user_id = $1 AND bookings <> 0 ORDER BY 1",
            "SELECT date || hex(category_id) || amount_minor FROM daily_spending \
             WHERE user_id = $1 AND amount_minor <> 0 ORDER BY 1",
            "SELECT hex(budget_id) || period_start || period_end || spent_minor FROM budget_periods \
             WHERE user_id = $1 ORDER BY 1",
        ] {
            let rows = all(self.store.reads(), text, [person.id.into()])
                .await
                .unwrap();
            assert!(!rows.is_empty());
            kept.extend(
                rows.iter()
                    .map(|row| row.try_get_by_index::<String>(0).unwrap()),
            );
        }
        kept
    }

    /// The repair of one user, whatever a comparison said before.
    pub(super) async fn repair_now(&self, user_id: Uuid) -> u64 {
        let now = self.now();
        let done: Result<_, StoreError> = self
            .store
            .write(move |tx| async move { repair::user(&tx, user_id, now).await })
            .await;
        done.unwrap().1
    }
}
