//! Whatever the bus does to the order, the number and the grouping of events: the sums are those of
//! the books, and each threshold is told once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use sea_orm::EntityTrait;
use uuid::Uuid;
use wealth_companion::bus::Delivery;
use wealth_companion::domain::budget::Thresholds;
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::period::{Month, PeriodKind};
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::store::budgets::{self, Budget};
use wealth_companion::store::entities;
use wealth_companion::store::transactions::{self, Transaction};

use crate::support::chain::Chain;
use crate::support::recount;

mod history;

use history::{Books, Step, steps};

/// How the bus misbehaves: an order, repeats, sizes of batches, and when the consumer forgets.
#[derive(Debug, Clone)]
struct Mishaps {
    shuffle: u64,
    repeats: Vec<prop::sample::Index>,
    sizes: Vec<usize>,
    forgets: Vec<bool>,
}

fn mishaps() -> impl Strategy<Value = Mishaps> {
    let repeats = prop::collection::vec(any::<prop::sample::Index>(), 0..12);
    let sizes = prop::collection::vec(1_usize..9, 1..6);
    let forgets = prop::collection::vec(any::<bool>(), 1..6);
    (any::<u64>(), repeats, sizes, forgets).prop_map(|(shuffle, repeats, sizes, forgets)| Mishaps {
        shuffle,
        repeats,
        sizes,
        forgets,
    })
}

impl Mishaps {
    /// The deliveries in batches, each with whether the consumer forgets before it.
    fn befall(&self, mut deliveries: Vec<Delivery>) -> Vec<(Vec<Delivery>, bool)> {
        if deliveries.is_empty() {
            return Vec::new();
        }
        for repeat in &self.repeats {
            let again = repeat.get(&deliveries).clone();
            deliveries.push(again);
        }
        // Zero leaves the order, so that a failure shrinks to one in order.
        if self.shuffle != 0 {
            let mut state = self.shuffle;
            deliveries.sort_by_cached_key(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state >> 16
            });
        }
        let mut batches = Vec::new();
        let (mut sizes, mut forgets) = (self.sizes.iter().cycle(), self.forgets.iter().cycle());
        let mut left = deliveries.as_slice();
        while let (false, Some(size), Some(forgets)) =
            (left.is_empty(), sizes.next(), forgets.next())
        {
            let (batch, rest) = left.split_at((*size).min(left.len()));
            batches.push((batch.to_vec(), *forgets));
            left = rest;
        }
        batches
    }
}

/// User, currency, month, type, category, wallet.
type MonthlyCell = (Uuid, String, String, &'static str, Option<Uuid>, Uuid);

/// What the read models should show, by the books alone.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    monthly: BTreeMap<MonthlyCell, (i64, i64)>,
    daily: BTreeMap<(Uuid, String, String, Option<Uuid>), i64>,
    periods: BTreeMap<(Uuid, String), i64>,
}

impl Sums {
    fn of(budgets: &[Budget], books: &BTreeMap<Uuid, (Uuid, Transaction)>) -> Self {
        let mut sums = Self::default();
        for (user, booked) in books.values() {
            let (minor, currency) = (booked.amount.minor(), booked.amount.currency());
            let month = Month::of(booked.date).first_day().to_string();
            let kind = booked.transaction_type;
            let code = currency.code().to_owned();
            let key = (
                *user,
                code.clone(),
                month,
                kind.as_str(),
                booked.category_id,
                booked.wallet_id,
            );
            let total = sums.monthly.entry(key).or_default();
            *total = (total.0 + minor, total.1 + 1);
            if kind != TransactionType::Expense {
                continue;
            }
            let key = (*user, code, booked.date.to_string(), booked.category_id);
            *sums.daily.entry(key).or_default() += minor;
            for budget in budgets {
                let counts = budget.user_id == *user
                    && budget.limit.currency() == currency
                    && (budget.category_ids.is_empty()
                        || booked
                            .category_id
                            .is_some_and(|id| budget.category_ids.contains(&id)));
                if let (true, Some(period)) = (counts, budget.period_of(booked.date)) {
                    *sums
                        .periods
                        .entry((budget.id, period.start.to_string()))
                        .or_default() += minor;
                }
            }
        }
        sums
    }

    /// What the read models do show; sums of nothing are left out.
    async fn kept(chain: &Chain) -> Self {
        let db = chain.store.reads();
        let some = |id: Uuid| (!id.is_nil()).then_some(id);
        let mut sums = Self::default();
        for row in entities::monthly_totals::Entity::find()
            .all(db)
            .await
            .expect("rows")
        {
            let kind: TransactionType = row.r#type.parse().expect("a type");
            let key = (
                row.user_id,
                row.currency,
                row.month.to_string(),
                kind.as_str(),
                some(row.category_id),
                row.wallet_id,
            );
            sums.monthly.insert(key, (row.amount_minor, row.bookings));
        }
        for row in entities::daily_spending::Entity::find()
            .all(db)
            .await
            .expect("rows")
        {
            let key = (
                row.user_id,
                row.currency,
                row.date.to_string(),
                some(row.category_id),
            );
            sums.daily.insert(key, row.amount_minor);
        }
        for row in entities::budget_periods::Entity::find()
            .all(db)
            .await
            .expect("rows")
        {
            let key = (row.budget_id, row.period_start.to_string());
            sums.periods.insert(key, row.spent_minor);
        }
        sums.monthly.retain(|_, total| *total != (0, 0));
        sums.daily.retain(|_, minor| *minor != 0);
        sums.periods.retain(|_, minor| *minor != 0);
        sums
    }
}

/// Thresholds that were told of, each as often as it was.
async fn told(chain: &Chain) -> Vec<(Uuid, String, i16)> {
    let rows = entities::budget_crossings::Entity::find()
        .all(chain.store.reads())
        .await;
    let rows = rows.expect("rows");
    let mut told: Vec<_> = rows
        .into_iter()
        .map(|row| (row.budget_id, row.period_start.to_string(), row.threshold))
        .collect();
    told.sort_unstable();
    told
}

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(story)
}

/// Delivers the log to the projector as the bus would on a bad day.
async fn project(chain: &mut Chain, mishaps: &Mishaps) {
    let mut deliveries = Chain::deliveries(&chain.log().await);
    deliveries.retain(|delivery| chain.projector.hears(&delivery.topic));
    for (batch, forgets) in mishaps.befall(deliveries) {
        if forgets {
            chain.forget();
        }
        chain.projector.take(batch).await.expect("handled");
    }
}

proptest! {
    #![proptest_config(Config { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn sums_are_those_of_the_books_in_any_order(steps in steps(), mishaps in mishaps()) {
        run(async {
            let mut chain = Chain::new().await;
            let books = Books::of(&chain, &steps).await;
            project(&mut chain, &mishaps).await;
            prop_assert_eq!(Sums::kept(&chain).await, Sums::of(&books.budgets, &books.booked));
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn growing_spending_tells_each_threshold_once_in_any_order(
        steps in steps(), first in mishaps(), second in mishaps()
    ) {
        run(async {
            let mut chain = Chain::new().await;
            let growing: Vec<Step> = steps.into_iter().filter(Step::grows).collect();
            let books = Books::of(&chain, &growing).await;
            project(&mut chain, &first).await;
            let mut expected = BTreeSet::new();
            for ((id, start), spent) in Sums::of(&books.budgets, &books.booked).periods {
                let budget = books.budgets.iter().find(|budget| budget.id == id).expect("a budget");
                for threshold in budget.alert_at.iter() {
                    if i128::from(spent) * 100 >= i128::from(budget.limit.minor()) * i128::from(threshold) {
                        let threshold = i16::try_from(threshold).expect("a percentage");
                        expected.insert((id, start.clone(), threshold));
                    }
                }
            }
            prop_assert_eq!(told(&chain).await, expected.iter().cloned().collect::<Vec<_>>());

            // The notifier hears of each; badly, too.
            let mut deliveries = Chain::deliveries(&chain.log().await);
            deliveries.retain(|delivery| chain.notifier.hears(&delivery.topic));
            prop_assert_eq!(deliveries.len(), expected.len());
            for (batch, forgets) in second.befall(deliveries) {
                if forgets {
                    chain.forget();
                }
                chain.notifier.take(batch).await.expect("handled");
            }
            let counted = recount(chain.data_dir.path()).await;
            prop_assert_eq!(counted.differences, Vec::<String>::new());
            prop_assert_eq!(usize::try_from(counted.alerts), Ok(expected.len()));
            Ok(())
        })?;
    }
}
