//! Random lives of one household, all that can be done with books in any order: wallets opened, corrected
//! and put away, money earned, spent, split and moved between currencies, changed and taken back, budgets that
//! carry over and are changed, goals, bookings that come again, rules that sort what was booked. What does not fit is
//! refused. Afterwards `verify` finds nothing, and balances, budgets, goals, days and labels are what a model of a few
//! lines says, which knows nothing of deltas and read models.
//!
//! `tools/simulate books` plays more of them.

mod goals;
mod recurring;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;
use wealth_companion::domain::budget::Thresholds;
use wealth_companion::domain::category::CategoryKind;
use wealth_companion::domain::money::{AmountText, Currency, Money};
use wealth_companion::domain::period::{Period, PeriodKind};
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::domain::wallet::WalletType;
use wealth_companion::store::audit::Audit;
use wealth_companion::store::budgets::{self, Budget, BudgetChange};
use wealth_companion::store::goals::settle_of_wallet;
use wealth_companion::store::transactions::{
    self, Act, Amendment, Draft, Filter, SplitDraft, Transaction,
};
use wealth_companion::store::wallets::{self, Wallet, WalletChange};
use wealth_companion::store::{PageRequest, StoreError, Tx};

use crate::support::chain::{Chain, Household};
use crate::support::recount::recount_of;
use crate::support::seeds;

use recurring::Coming;
use rules::Noted;

/// Lives of a run of the tests.
const SEEDS: u64 = 40;
/// Things that happen in each.
const STEPS: usize = 40;
const CURRENCIES: [&str; 3] = ["USD", "EUR", "JPY"];
const DAYS: [&str; 7] = [
    "2025-11-30",
    "2025-12-31",
    "2026-01-01",
    "2026-01-31",
    "2026-02-09",
    "2026-02-10",
    "2026-03-01",
];

/// What there should be.
struct Life {
    chain: Chain,
    who: Household,
    rng: StdRng,
    wallets: BTreeMap<Uuid, Money>,
    /// Nothing is booked in them any more.
    archived: BTreeSet<Uuid>,
    other_category: Uuid,
    bookings: BTreeMap<Uuid, Transaction>,
    budgets: BTreeMap<Uuid, Limits>,
    goals: BTreeMap<Uuid, Vec<(Uuid, i64)>>,
    coming: BTreeMap<Uuid, Coming>,
    runs: BTreeMap<Uuid, Noted>,
    /// What was not as it should be on the way.
    wrong: Vec<String>,
    story: Vec<String>,
}

/// The limits that a budget had: each with the first period that it held in.
#[derive(Debug, Clone)]
struct Limits(Vec<(NaiveDate, i64)>);

impl Life {
    async fn begin(seed: u64) -> Self {
        let chain = Chain::new().await;
        let who = chain.household("ada").await;
        let other_category = chain.category(who, "Other", CategoryKind::Expense).await;
        let mut wallets = BTreeMap::new();
        wallets.insert(who.wallet_id, Money::new(100_000, currency("USD")));
        Self {
            chain,
            who,
            rng: StdRng::seed_from_u64(seed),
            wallets,
            archived: BTreeSet::new(),
            other_category,
            bookings: BTreeMap::new(),
            budgets: BTreeMap::new(),
            goals: BTreeMap::new(),
            coming: BTreeMap::new(),
            runs: BTreeMap::new(),
            wrong: Vec::new(),
            story: Vec::new(),
        }
    }

    fn today(&self) -> NaiveDate {
        self.chain.clock.now().date_naive()
    }

    fn number(&mut self, below: usize) -> usize {
        self.rng.random_range(0..below)
    }

    fn day(&mut self) -> NaiveDate {
        let day = DAYS[self.number(DAYS.len())];
        day.parse().expect("a day")
    }

    /// Digits that fit most currencies, and now and then none.
    fn amount(&mut self) -> AmountText {
        let cents = self.rng.random_range(1..20_000);
        let text = match self.number(8) {
            0 => "0".to_owned(),
            1 => format!("{}.{:02}", cents / 100, cents % 100),
            2 => format!("{}.{:03}", cents / 1_000, cents % 1_000),
            _ => (cents / 10 + 1).to_string(),
        };
        AmountText::Text(text)
    }

    fn some<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.rng.random_range(0..of.len())])
    }

    fn wallet(&mut self) -> Uuid {
        let wallets: Vec<Uuid> = self.wallets.keys().copied().collect();
        self.some(&wallets).expect("there is one from the start")
    }

    fn category(&mut self) -> Option<Uuid> {
        let (one, other) = (self.who.category_id, self.other_category);
        [Some(one), Some(one), Some(other), None][self.number(4)]
    }

    /// What the unit makes; none when it refuses, and then nothing is written.
    async fn attempt<T, F, U>(&mut self, what: &str, unit: U) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        U: FnOnce(Tx) -> F + Send + 'static,
    {
        let done = self.chain.store.write(unit).await;
        let said = match &done {
            Ok(_) => "done".to_owned(),
            Err(error @ (StoreError::Invalid { .. } | StoreError::Conflict(_))) => {
                error.to_string()
            }
            Err(error) => panic!("{what}: {error}\n{}", self.story.join("\n")),
        };
        self.story.push(format!("{what}: {said}"));
        done.ok()
    }

    async fn step(&mut self) {
        match self.number(32) {
            0..=5 => self.book().await,
            6..=8 => self.amend().await,
            9 => self.take_back().await,
            10 => self.open().await,
            11..=13 => self.change_wallet().await,
            14 => self.make_budget().await,
            15 | 16 => self.change_budget().await,
            17 => self.make_goal().await,
            18 => self.contribute().await,
            19..=21 => self.make_coming().await,
            22..=24 => self.change_coming().await,
            25 => self.sort().await,
            26 => self.undo_sorting().await,
            _ => self.let_time_pass().await,
        }
    }

    async fn book(&mut self) {
        let kind = [
            TransactionType::Expense,
            TransactionType::Expense,
            TransactionType::Income,
            TransactionType::Transfer,
        ][self.number(4)];
        let (wallet, amount, day) = (self.wallet(), self.amount(), self.day());
        let mut draft = Draft::new(wallet, kind, amount, day);
        if kind == TransactionType::Transfer {
            draft.to_wallet_id = Some(self.wallet());
            draft.to_amount = self.rng.random_bool(0.4).then(|| self.amount());
        } else if self.rng.random_bool(0.2) {
            draft.amount = AmountText::Text("100".to_owned());
            for part in [["40", "60"], ["1", "99"], ["40", "59"]][self.number(3)] {
                draft.splits.push(SplitDraft {
                    category_id: self.category(),
                    amount: AmountText::Text(part.to_owned()),
                    description: None,
                });
            }
        } else {
            draft.category_id = self.category();
        }
        draft.tags = vec!["tag".to_owned(); self.number(2)];
        let (act, id) = (
            self.chain.act(self.who),
            self.chain.ids.v7(self.chain.clock.now()),
        );
        let what = format!("book {draft:?}");
        let unit = move |tx| async move { transactions::book(&tx, act, id, draft).await };
        if let Some((booked, _)) = self.attempt(&what, unit).await {
            self.bookings.insert(booked.id, booked);
        }
    }

    async fn amend(&mut self) {
        let all: Vec<Uuid> = self.bookings.keys().copied().collect();
        let Some(id) = self.some(&all) else {
            return;
        };
        let mut amendment = Amendment::default();
        for _ in 0..=self.number(2) {
            match self.number(6) {
                0 => amendment.amount = Some(self.amount()),
                1 => amendment.date = Some(self.day()),
                2 => amendment.category_id = Some(self.category()),
                3 => amendment.wallet_id = Some(self.wallet()),
                4 => amendment.to_amount = Some(Some(self.amount())),
                _ => amendment.splits = Some(Vec::new()),
            }
        }
        let act = self.chain.act(self.who);
        let what = format!("amend {id} {amendment:?}");
        let unit =
            move |tx| async move { transactions::amend(&tx, act, id, None, amendment).await };
        if let Some((amended, _)) = self.attempt(&what, unit).await {
            self.bookings.insert(id, amended);
        }
    }

    async fn take_back(&mut self) {
        let all: Vec<Uuid> = self.bookings.keys().copied().collect();
        let Some(id) = self.some(&all) else {
            return;
        };
        let act = self.chain.act(self.who);
        let unit = move |tx| async move { transactions::delete(&tx, act, id, None).await };
        self.attempt(&format!("take back {id}"), unit)
            .await
            .expect("it is there");
        self.bookings.remove(&id);
    }

    async fn open(&mut self) {
        let now = self.chain.clock.now();
        let code = CURRENCIES[self.number(CURRENCIES.len())];
        let opening = Money::new(self.rng.random_range(-5_000..5_000), currency(code));
        let name = format!("Wallet {}", self.number(6));
        let wallet = Wallet::new(self.chain.ids.v7(now), name, WalletType::Cash, opening, now);
        let (id, user_id) = (wallet.id, self.who.user_id);
        let unit = move |tx| async move { wallets::create(&tx, user_id, &wallet).await };
        if self
            .attempt(&format!("open {id} in {code}"), unit)
            .await
            .is_some()
        {
            self.wallets.insert(id, opening);
        }
    }

    async fn change_wallet(&mut self) {
        let (id, user_id, now) = (self.wallet(), self.who.user_id, self.chain.clock.now());
        if self.number(4) == 0 && self.wallets.len() > 1 {
            let unit = move |tx| async move { wallets::delete(&tx, user_id, id, None).await };
            if self.attempt(&format!("close {id}"), unit).await.is_some() {
                self.wallets.remove(&id);
                self.archived.remove(&id);
            }
            return;
        }
        let change = WalletChange {
            name: None,
            wallet_type: None,
            opening_balance: self.rng.random_bool(0.5).then(|| self.amount()),
            archived: Some(self.rng.random_bool(0.3)),
        };
        let what = format!("change wallet {id} {change:?}");
        let (act, ids) = (self.chain.act(self.who), self.chain.ids.clone());
        let unit = move |tx| async move {
            let wallet = wallets::change(&tx, user_id, id, None, change, now).await?;
            let act = || Act {
                event_id: ids.v4(),
                ..act
            };
            settle_of_wallet(&tx, user_id, id, act).await?;
            Ok(wallet)
        };
        if let Some(wallet) = self.attempt(&what, unit).await {
            self.wallets.insert(id, wallet.opening_balance);
            if wallet.archived_at.is_some() {
                self.archived.insert(id);
            } else {
                self.archived.remove(&id);
            }
        }
    }

    async fn make_budget(&mut self) {
        let now = self.chain.clock.now();
        let kind = PeriodKind::ALL[self.number(PeriodKind::ALL.len())];
        let starts_on = self.rng.random_bool(0.6).then(|| self.day());
        let code = CURRENCIES[self.number(2)];
        let mut budget = Budget {
            id: self.chain.ids.v7(now),
            user_id: self.who.user_id,
            name: "Budget".to_owned(),
            limit: Money::new(self.rng.random_range(1..30_000), currency(code)),
            period: kind,
            starts_on,
            alert_at: Thresholds::default(),
            category_ids: self.category().into_iter().collect(),
            rollover_from: None,
            former_limits: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let today = self.today();
        budget.set_rollover(self.rng.random_bool(0.7), today);
        let (id, limit) = (budget.id, budget.limit.minor());
        let what = format!("budget {budget:?}");
        let unit = move |tx| async move { budgets::create(&tx, &budget, today).await };
        if self.attempt(&what, unit).await.is_some() {
            self.budgets
                .insert(id, Limits(vec![(NaiveDate::MIN, limit)]));
        }
    }

    async fn change_budget(&mut self) {
        let all: Vec<Uuid> = self.budgets.keys().copied().collect();
        let Some(id) = self.some(&all) else {
            return;
        };
        let (user_id, now, today) = (self.who.user_id, self.chain.clock.now(), self.today());
        let mut change = BudgetChange::default();
        match self.number(6) {
            0 | 1 => change.amount = Some(self.amount()),
            2 => change.starts_on = Some(self.rng.random_bool(0.7).then(|| self.day())),
            3 => change.period = Some(PeriodKind::ALL[self.number(PeriodKind::ALL.len())]),
            4 => change.category_ids = Some(self.category().into_iter().collect()),
            _ => change.rollover = Some(self.rng.random_bool(0.7)),
        }
        let what = format!("change budget {id} {change:?}");
        let before = self.budget(id).await;
        let unit = move |tx| async move {
            budgets::change(&tx, user_id, id, None, change, (today, now)).await
        };
        let Some(after) = self.attempt(&what, unit).await else {
            return;
        };
        let limits = self.budgets.get_mut(&id).expect("it was made");
        if (before.period, before.starts_on) != (after.period, after.starts_on) {
            limits.0 = vec![(NaiveDate::MIN, after.limit.minor())];
        } else {
            let from = after.current_period(today).start;
            limits.0.retain(|(since, _)| *since < from);
            limits.0.push((from, after.limit.minor()));
        }
    }

    /// The projector hears what was said, what is due is booked, or days go by.
    async fn let_time_pass(&mut self) {
        match self.number(3) {
            0 => self.chain.settle().await,
            1 => self.book_due().await,
            _ => {
                let days = self.rng.random_range(1..40);
                let span = std::time::Duration::from_secs(days * 86_400);
                self.chain.clock.advance(span);
                self.story.push(format!("{days} days later"));
            }
        }
    }

    /// All that is booked, as it stands there.
    async fn booked(&self) -> Vec<Transaction> {
        let page = PageRequest::first(10_000);
        let (db, user_id) = (self.chain.store.reads(), self.who.user_id);
        let all = transactions::list(db, user_id, &Filter::default(), page).await;
        all.expect("bookings").items
    }

    async fn budget(&self, id: Uuid) -> Budget {
        budgets::get(self.chain.store.reads(), self.who.user_id, id)
            .await
            .expect("a budget")
    }

    async fn end(mut self) -> Result<(), String> {
        self.book_due().await;
        self.chain.settle().await;
        let store = &self.chain.store;
        let verified = Audit::new(store)
            .run(false, self.chain.clock.now(), |_| {})
            .await
            .expect("a recount");
        let mut wrong: Vec<String> = verified.findings.iter().map(ToString::to_string).collect();
        if !verified.is_complete() {
            wrong.push("events are still on their way".to_owned());
        }
        wrong.extend(recount_of(store).await.differences);
        wrong.extend(self.balances().await);
        wrong.extend(self.standings().await);
        wrong.extend(self.saved().await);
        wrong.extend(self.days_to_come().await);
        wrong.append(&mut self.wrong);
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("{wrong:#?}\n{}", self.story.join("\n")))
    }

    async fn balances(&self) -> Vec<String> {
        let mut sums: BTreeMap<Uuid, i64> = self
            .wallets
            .iter()
            .map(|(id, opening)| (*id, opening.minor()))
            .collect();
        for booking in self.bookings.values() {
            let minor = booking.amount.minor();
            let signed = match booking.transaction_type {
                TransactionType::Income => minor,
                TransactionType::Expense | TransactionType::Transfer => -minor,
            };
            *sums.entry(booking.wallet_id).or_default() += signed;
            if let Some(to) = booking.parts.transfer {
                *sums.entry(to.to_wallet_id).or_default() += to.to_amount.minor();
            }
        }
        let page = wallets::list(
            self.chain.store.reads(),
            self.who.user_id,
            PageRequest::first(200),
        );
        let found = page.await.expect("wallets").items;
        let found: BTreeMap<Uuid, i64> = found
            .iter()
            .map(|wallet| (wallet.id, wallet.balance.minor()))
            .collect();
        if found == sums {
            return Vec::new();
        }
        vec![format!(
            "balances are {found:?}, the bookings make {sums:?}"
        )]
    }

    /// What counted against a budget on these days.
    fn spent(&self, budget: &Budget, days: Period) -> i64 {
        let counted: BTreeSet<Uuid> = budget.category_ids.iter().copied().collect();
        let counts = |category: Option<Uuid>| {
            counted.is_empty() || category.is_some_and(|id| counted.contains(&id))
        };
        let mut sum = 0;
        for booking in self.bookings.values() {
            let is_its = booking.transaction_type == TransactionType::Expense
                && booking.amount.currency() == budget.currency()
                && days.contains(booking.date)
                && budget.starts_on.is_none_or(|first| booking.date >= first);
            if !is_its {
                continue;
            }
            if booking.parts.splits.is_empty() {
                sum += if counts(booking.category_id) {
                    booking.amount.minor()
                } else {
                    0
                };
            }
            for split in &booking.parts.splits {
                sum += if counts(split.category_id) {
                    split.amount.minor()
                } else {
                    0
                };
            }
        }
        sum
    }

    async fn standings(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, Limits(limits)) in &self.budgets {
            let budget = self.budget(*id).await;
            let limit_of = |period: &Period| {
                let held = limits
                    .iter()
                    .rev()
                    .find(|(since, _)| *since <= period.start);
                held.map_or(limits[0].1, |(_, minor)| *minor)
            };
            let current = budget.current_period(self.today());
            let mut carried = 0;
            if let Some(first) = budget.rollover_from {
                let mut period = Period::containing(budget.period, budget.starts_on, first);
                while period.start < current.start {
                    carried += limit_of(&period) - self.spent(&budget, period);
                    period = Period::following(budget.period, budget.starts_on, &period);
                }
            }
            let wanted = [limit_of(&current), carried, self.spent(&budget, current)];
            let of_one = std::slice::from_ref(&budget);
            let at = budgets::standings(self.chain.store.reads(), of_one, self.today()).await;
            let at = at.expect("a standing")[0];
            let found = [at.limit.minor(), at.carried.minor(), at.spent.minor()];
            if found != wanted {
                wrong.push(format!(
                    "budget {id} stands at {found:?}, its bookings make {wanted:?}"
                ));
            }
            let page = PageRequest::first(200);
            let history = budgets::history(self.chain.store.reads(), &budget, self.today(), page);
            for at in history.await.expect("periods").items {
                let spent = self.spent(&budget, at.period);
                if (at.spent.minor(), at.limit.minor()) != (spent, limit_of(&at.period)) {
                    wrong.push(format!("budget {id} has {at:?}, its bookings make {spent}"));
                }
            }
        }
        wrong
    }
}

/// The wallets that a booking is in.
fn wallets_of(booking: &Transaction) -> impl Iterator<Item = Uuid> {
    let to = booking.parts.transfer.map(|to| to.to_wallet_id);
    [booking.wallet_id].into_iter().chain(to)
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a currency")
}

#[tokio::test]
async fn whatever_is_done_the_books_are_those_of_the_model() {
    let steps = seeds::steps(STEPS);
    for seed in seeds::seeds(SEEDS) {
        let mut life = Life::begin(seed).await;
        for _ in 0..steps {
            life.step().await;
        }
        if let Err(wrong) = Box::pin(life.end()).await {
            panic!("{wrong}\nagain: tools/simulate books --seed {seed} --steps {steps}");
        }
    }
}
