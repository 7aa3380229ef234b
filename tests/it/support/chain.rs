//! The chain without a server: the steps of relay and consumers are taken by the test, so that
//! nothing runs when it is not looking.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder, Statement};
use tempfile::TempDir;
use uuid::Uuid;
use wealth_companion::bus::consumer::Consumer;
use wealth_companion::bus::embedded::{EmbeddedPublisher, EmbeddedSubscription};
use wealth_companion::bus::relay::Relay;
use wealth_companion::bus::{Delivery, Handler};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::config::Config;
use wealth_companion::domain::budget::Thresholds;
use wealth_companion::domain::category::CategoryKind;
use wealth_companion::domain::money::{AmountText, Currency, Money};
use wealth_companion::domain::period::PeriodKind;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::domain::wallet::WalletType;
use wealth_companion::events::Cause;
use wealth_companion::notifier::Notifier;
use wealth_companion::projector::Projector;
use wealth_companion::state::State;
use wealth_companion::store::at_once::{self, KeptAnswer};
use wealth_companion::store::budgets::{self, Budget};
use wealth_companion::store::categories::{self, Category};
use wealth_companion::store::entities::dead_letters;
use wealth_companion::store::event_log::{self, Cursor, LogEntry, LogPosition};
use wealth_companion::store::transactions::{self, Act, Draft, Transaction};
use wealth_companion::store::users::{self, User};
use wealth_companion::store::wallets::{self, Wallet};
use wealth_companion::store::{Store, StoreError};
use wealth_companion::telemetry::trace::TraceContext;

use super::{Stack, stack};

/// The parts of the chain, stepped by hand, on a clock that stands still.
pub(crate) struct Chain {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) config: Config,
    pub(crate) relay: Relay,
    pub(crate) projector: Arc<Consumer>,
    pub(crate) notifier: Arc<Consumer>,
    pub(crate) projector_bus: EmbeddedSubscription,
    pub(crate) notifier_bus: EmbeddedSubscription,
    pub(crate) data_dir: TempDir,
}

/// Everything in the log of a database after a place.
pub(crate) async fn log_of(store: &Store, place: LogPosition) -> Vec<LogEntry> {
    loop {
        let found = event_log::read_after(store.reads(), place, None, 10_000).await;
        let found = found.expect("the log");
        if found.held_back.is_none() {
            return found.entries;
        }
    }
}

/// Noon of 10 February 2026, UTC.
pub(crate) fn noon() -> DateTime<Utc> {
    "2026-02-10T12:00:00Z".parse().expect("a moment")
}

/// A day.
pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

impl Chain {
    /// An empty database.
    pub(crate) async fn new() -> Self {
        Self::on(TempDir::new().expect("a folder"), &[], 1).await
    }

    /// A chain on a folder that may have been used before.
    pub(crate) async fn on(data_dir: TempDir, set: &[(&str, &str)], seed: u64) -> Self {
        let config = super::config(data_dir.path(), set);
        let clock = Clock::fixed(noon());
        let ids = Ids::seeded(seed);
        let (store, _writer) = Store::open(&config).await.expect("it opens");
        let publisher = Arc::new(EmbeddedPublisher::new(store.clone(), clock.clone()));
        let relay = Relay::new(store.clone(), publisher, clock.clone(), config.bus.clone());
        let parts = (store.clone(), clock.clone(), ids.clone());
        let (projector, notifier) = consumers(parts, &config);
        let bus = |consumer: &Arc<Consumer>| {
            EmbeddedSubscription::new(
                Arc::clone(consumer),
                store.clone(),
                clock.clone(),
                config.bus.clone(),
            )
        };
        let (projector_bus, notifier_bus) = (bus(&projector), bus(&notifier));
        Self {
            store,
            clock,
            ids,
            config,
            relay,
            projector,
            notifier,
            projector_bus,
            notifier_bus,
            data_dir,
        }
    }

    /// An empty database on PostgreSQL, whatever the other stories run on.
    pub(crate) async fn on_postgres(set: &[(&str, &str)]) -> Self {
        let url = Stack::get().database_url(&stack::fresh_database());
        Self::at(&url, set).await
    }

    /// A database of a server.
    pub(crate) async fn at(url: &str, set: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("database.url", url),
            ("auth.jwt_secret_key", stack::SIGNING_KEY),
        ];
        all.extend(set);
        Self::on(TempDir::new().expect("a folder"), &all, 1).await
    }

    /// The consumers forget what they have handled; the inbox does not.
    pub(crate) fn forget(&mut self) {
        let parts = (self.store.clone(), self.clock.clone(), self.ids.clone());
        (self.projector, self.notifier) = consumers(parts, &self.config);
    }

    /// Steps everything until nobody has anything to do.
    pub(crate) async fn settle(&self) {
        loop {
            let moved = self.relay.tick().await.expect("the relay")
                + self.projector_bus.tick().await.expect("the projector")
                + self.notifier_bus.tick().await.expect("the notifier");
            if moved == 0 && !self.is_behind().await {
                return;
            }
        }
    }

    /// Whether the relay has not read to the end: on PostgreSQL, a transaction of somebody else's holds
    /// back what it may read.
    async fn is_behind(&self) -> bool {
        let reads = self.store.reads();
        let relayed = event_log::cursor(reads, Cursor::Relay).await;
        let found = event_log::read_after(reads, relayed.expect("a cursor"), None, 1).await;
        let found = found.expect("the log");
        found.held_back.is_some() || !found.entries.is_empty()
    }

    /// Steps the relay until everything is published.
    pub(crate) async fn publish(&self) {
        while self.relay.tick().await.expect("the relay") > 0 || self.is_behind().await {}
    }

    /// Everything in the log.
    pub(crate) async fn log(&self) -> Vec<LogEntry> {
        self.log_after(LogPosition::default()).await
    }

    /// Everything in the log after a place.
    pub(crate) async fn log_after(&self, place: LogPosition) -> Vec<LogEntry> {
        log_of(&self.store, place).await
    }

    /// The dead letters that were kept, oldest first.
    pub(crate) async fn letters(&self) -> Vec<dead_letters::Model> {
        dead_letters::Entity::find()
            .order_by_asc(dead_letters::Column::Id)
            .all(self.store.reads())
            .await
            .expect("dead letters")
    }

    /// Entries of the log as a bus would deliver them.
    pub(crate) fn deliveries(entries: &[LogEntry]) -> Vec<Delivery> {
        entries
            .iter()
            .map(|entry| Delivery {
                topic: entry.topic.clone(),
                payload: entry.envelope.clone().into_bytes(),
                position: Some(entry.position),
            })
            .collect()
    }

    /// Somebody with a wallet and a category.
    pub(crate) async fn household(&self, name: &str) -> Household {
        let now = self.clock.now();
        let usd = Currency::parse("USD").expect("a currency");
        let user = User {
            id: self.ids.v7(now),
            email: format!("{name}@example.com"),
            name: None,
            currency: usd,
            time_zone: chrono_tz::UTC,
            ai_enabled: false,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let wallet = Wallet::new(
            self.ids.v7(now),
            "Checking".to_owned(),
            WalletType::Bank,
            Money::new(100_000, usd),
            now,
        );
        let category = category(self.ids.v7(now), "Groceries", CategoryKind::Expense, now);
        let household = Household {
            user_id: user.id,
            wallet_id: wallet.id,
            category_id: category.id,
        };
        self.store
            .write(move |tx| async move {
                users::create(&tx, &user, "no password".to_owned()).await?;
                wallets::create(&tx, user.id, &wallet).await?;
                categories::create(&tx, user.id, &category).await
            })
            .await
            .expect("a household");
        household
    }

    /// What the next change of the household is done with.
    pub(crate) fn act(&self, household: Household) -> Act {
        let trace = TraceContext {
            trace_id: self.ids.trace_id(),
            span_id: self.ids.span_id(),
            sampled: true,
        };
        Act {
            user_id: household.user_id,
            now: self.clock.now(),
            event_id: self.ids.v4(),
            cause: Cause {
                correlation_id: self.ids.v4(),
                causation_id: None,
                begun_at: None,
                trace,
            },
        }
    }

    /// An expense in the household's category.
    pub(crate) async fn spend(
        &self,
        household: Household,
        amount: &str,
        date: &str,
    ) -> Transaction {
        self.book(household, expense(household, amount, day(date)))
            .await
    }

    /// Whatever it is.
    pub(crate) async fn book(&self, household: Household, draft: Draft) -> Transaction {
        let (act, id) = (self.act(household), self.ids.v7(self.clock.now()));
        self.store
            .write(move |tx| async move { transactions::book(&tx, act, id, draft).await })
            .await
            .expect("booked")
            .0
    }

    /// Books the short way; none when it was passed over.
    pub(crate) async fn book_at_once(
        &self,
        who: Household,
        draft: &Draft,
        kept: Option<KeptAnswer>,
    ) -> Result<Option<LogPosition>, StoreError> {
        let (act, id) = (self.act(who), self.ids.v7(self.clock.now()));
        match at_once::prepare(&self.store, act, id, draft).await? {
            Some(ready) => at_once::book(&self.store, &ready, kept).await,
            None => Ok(None),
        }
    }

    /// Sets the balance of somebody's wallets, whatever was booked.
    pub(crate) async fn set_balance(&self, who: Household, minor: i64) {
        let unit = self.store.write(move |tx| async move {
            let text = "UPDATE wallets SET balance_minor = $1 WHERE user_id = $2";
            let values = [minor.into(), who.user_id.into()];
            let backend = tx.get_database_backend();
            tx.execute_raw(Statement::from_sql_and_values(backend, text, values))
                .await?;
            Ok(())
        });
        unit.await.expect("set");
    }

    /// Another wallet of the household, with nothing in it.
    pub(crate) async fn wallet(&self, household: Household, name: &str, code: &str) -> Uuid {
        let (now, currency) = (self.clock.now(), Currency::parse(code).expect("a currency"));
        let wallet = Wallet::new(
            self.ids.v7(now),
            name.to_owned(),
            WalletType::Cash,
            Money::zero(currency),
            now,
        );
        let id = wallet.id;
        let unit = move |tx| async move { wallets::create(&tx, household.user_id, &wallet).await };
        self.store.write(unit).await.expect("a wallet");
        id
    }

    /// Another category of the household.
    pub(crate) async fn category(
        &self,
        household: Household,
        name: &str,
        kind: CategoryKind,
    ) -> Uuid {
        let category = category(self.ids.v7(self.clock.now()), name, kind, self.clock.now());
        let id = category.id;
        let unit =
            move |tx| async move { categories::create(&tx, household.user_id, &category).await };
        self.store.write(unit).await.expect("a category");
        id
    }

    /// A monthly budget for the household's category.
    pub(crate) async fn budget(&self, household: Household, limit_minor: i64) -> Uuid {
        let now = self.clock.now();
        let budget = Budget {
            id: self.ids.v7(now),
            user_id: household.user_id,
            name: "Food".to_owned(),
            limit: Money::new(limit_minor, Currency::parse("USD").expect("a currency")),
            period: PeriodKind::Monthly,
            starts_on: None,
            alert_at: Thresholds::default(),
            category_ids: vec![household.category_id],
            rollover_from: None,
            former_limits: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let id = budget.id;
        self.store
            .write(move |tx| async move { budgets::create(&tx, &budget, now.date_naive()).await })
            .await
            .expect("a budget");
        id
    }
}

fn category(id: Uuid, name: &str, kind: CategoryKind, now: DateTime<Utc>) -> Category {
    Category {
        id,
        name: name.to_owned(),
        kind,
        parent_id: None,
        color: None,
        icon: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// An expense in the household's category.
pub(crate) fn expense(household: Household, amount: &str, date: NaiveDate) -> Draft {
    Draft {
        category_id: Some(household.category_id),
        ..Draft::new(
            household.wallet_id,
            TransactionType::Expense,
            AmountText::Text(amount.to_owned()),
            date,
        )
    }
}

/// The consumers of both roles, with a state store of their own.
fn consumers(parts: (Store, Clock, Ids), config: &Config) -> (Arc<Consumer>, Arc<Consumer>) {
    let (store, clock, ids) = parts;
    let consumer = |handler: Arc<dyn Handler>| {
        let state = State::open(config, None).expect("embedded");
        let (store, clock, ids) = (store.clone(), clock.clone(), ids.clone());
        Arc::new(Consumer::new(handler, store, state, clock, ids))
    };
    let projector = Projector::new(store.clone(), clock.clone(), ids.clone());
    let notifier = Notifier::new(store.clone(), clock.clone(), ids.clone())
        .sending_email(config.email.server.is_some());
    (consumer(Arc::new(projector)), consumer(Arc::new(notifier)))
}

/// Ids of somebody with a wallet and a category.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Household {
    pub(crate) user_id: Uuid,
    pub(crate) wallet_id: Uuid,
    pub(crate) category_id: Uuid,
}
