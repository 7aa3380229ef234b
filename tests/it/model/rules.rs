//! Rules in a life: a run of one sorts what was booked, and is undone but for what was changed since.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::Rng as _;
use uuid::Uuid;
use wealth_companion::api::rules::worker::Worker;
use wealth_companion::domain::rule::{Condition, Field, Labels, Mode, Operator, Rule};
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::store::rule_runs::{self, Run, State};
use wealth_companion::store::rules::{self, StoredRule, labels};
use wealth_companion::store::transactions::Transaction;

use super::{Life, wallets_of};

/// What a run has changed: the labels that each booking had, and the version that it has since.
pub(super) type Noted = BTreeMap<Uuid, (Labels, i64)>;

/// What a rule asks.
#[derive(Debug, Clone, Copy)]
enum Asks {
    AtLeast(i64),
    Wallet(Uuid),
    Kind(TransactionType),
}

impl Asks {
    fn condition(self) -> Condition {
        let (field, operator, value) = match self {
            Self::AtLeast(whole) => (Field::Amount, Operator::AtLeast, whole.to_string()),
            Self::Wallet(id) => (Field::WalletId, Operator::Equals, id.to_string()),
            Self::Kind(kind) => (Field::Type, Operator::Equals, kind.as_str().to_owned()),
        };
        Condition {
            field,
            operator,
            value,
        }
    }

    fn holds(self, booking: &Transaction) -> bool {
        match self {
            Self::AtLeast(whole) => {
                let digits = u32::from(booking.amount.currency().exponent());
                booking.amount.minor() >= whole * 10_i64.pow(digits)
            }
            Self::Wallet(id) => wallets_of(booking).any(|wallet| wallet == id),
            Self::Kind(kind) => booking.transaction_type == kind,
        }
    }
}

impl Life {
    pub(super) async fn sort(&mut self) {
        let asks = match self.number(3) {
            0 => Asks::AtLeast(self.rng.random_range(1..150)),
            1 => Asks::Wallet(self.wallet()),
            _ => Asks::Kind(
                [
                    TransactionType::Income,
                    TransactionType::Expense,
                    TransactionType::Transfer,
                ][self.number(3)],
            ),
        };
        let mode = [Mode::Fill, Mode::Overwrite][self.number(2)];
        let category_id = self.category();
        let is_tagged = category_id.is_none() || self.rng.random_bool(0.5);
        let tags = if is_tagged {
            vec!["sorted".to_owned()]
        } else {
            Vec::new()
        };
        let now = self.chain.clock.now();
        let rule = StoredRule {
            rule: Rule {
                id: self.chain.ids.v7(now),
                conditions: vec![asks.condition()],
                category_id,
                payee: None,
                tags,
                stops: false,
            },
            user_id: self.who.user_id,
            name: "A rule".to_owned(),
            position: 1,
            is_enabled: true,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let wanted = self.sorted_by(asks, &rule.rule, mode);
        let run = self.begin_run(rule, mode).await;
        self.work().await;
        let run = self.run(run).await;
        if (run.state, run.changed) != (State::Done, i64::try_from(wanted.len()).expect("few")) {
            self.wrong
                .push(format!("{run:?} should have changed {wanted:?}"));
        }
        let noted = wanted.keys().map(|id| {
            let before = &self.bookings[id];
            (*id, (labels(before), before.version + 1))
        });
        self.runs.insert(run.id, noted.collect());
        self.take_over(wanted).await;
    }

    /// The bookings that a rule changes, with the labels that it gives them.
    fn sorted_by(&self, asks: Asks, rule: &Rule, mode: Mode) -> BTreeMap<Uuid, Labels> {
        let mut changed = BTreeMap::new();
        for booking in self.bookings.values().filter(|it| asks.holds(it)) {
            let mut after = labels(booking);
            let takes_category = booking.transaction_type != TransactionType::Transfer
                && booking.parts.splits.is_empty()
                && (mode == Mode::Overwrite || booking.category_id.is_none());
            if takes_category && rule.category_id.is_some() {
                after.category_id = rule.category_id;
            }
            after.tags.extend(rule.tags.iter().cloned());
            after.tags.sort_unstable();
            after.tags.dedup();
            if after != labels(booking) {
                changed.insert(booking.id, after);
            }
        }
        changed
    }

    async fn begin_run(&mut self, rule: StoredRule, mode: Mode) -> Uuid {
        let now = self.chain.clock.now();
        let (id, rules) = (self.chain.ids.v7(now), vec![rule.rule.clone()]);
        let run = Run {
            rule_id: Some(rule.rule.id),
            ..Run::new(id, self.who.user_id, rules, mode, now)
        };
        let what = format!("sort by {rule:?} {mode:?}");
        let unit = move |tx| async move {
            let (user_id, rule_id) = (rule.user_id, rule.rule.id);
            rules::create(&tx, rule, None).await?;
            rule_runs::begin(&tx, &run).await?;
            // It goes on without the rule.
            rules::delete(&tx, user_id, rule_id, None).await
        };
        self.attempt(&what, unit).await.expect("a run");
        id
    }

    /// Until no run goes on.
    async fn work(&self) {
        let (clock, ids) = (self.chain.clock.clone(), self.chain.ids.clone());
        let worker = Worker::new(self.chain.store.clone(), clock, ids, Arc::default());
        while worker.step().await.expect("a step") {}
    }

    async fn run(&self, id: Uuid) -> Run {
        let run = rule_runs::get(self.chain.store.reads(), self.who.user_id, id).await;
        run.expect("a run")
    }

    pub(super) async fn undo_sorting(&mut self) {
        let all: Vec<Uuid> = self.runs.keys().copied().collect();
        let Some(id) = self.some(&all) else {
            return;
        };
        let noted = self.runs.remove(&id).expect("a run");
        let (user_id, now) = (self.who.user_id, self.chain.clock.now());
        let unit = move |tx| async move { rule_runs::undo(&tx, user_id, id, None, now).await };
        let begun = self.attempt(&format!("undo {id}"), unit).await;
        begun.expect("a run that can be undone");
        self.work().await;
        let changes = i64::try_from(noted.len()).expect("few");
        let is_as_it_was = |id: &Uuid, version: i64| {
            let booking = self.bookings.get(id);
            booking.is_some_and(|booking| booking.version == version)
        };
        let noted = noted.into_iter();
        let wanted: BTreeMap<Uuid, Labels> = noted
            .filter(|(id, (_, version))| is_as_it_was(id, *version))
            .map(|(id, (labels, _))| (id, labels))
            .collect();
        let run = self.run(id).await;
        let restored = i64::try_from(wanted.len()).expect("few");
        if (run.state, run.restored, run.kept) != (State::Undone, restored, changes - restored) {
            self.wrong
                .push(format!("{run:?} should have restored {wanted:?}"));
        }
        self.take_over(wanted).await;
    }

    /// These have other labels now, and all others are as they were.
    async fn take_over(&mut self, mut wanted: BTreeMap<Uuid, Labels>) {
        for booked in self.booked().await {
            let before = &self.bookings[&booked.id];
            let is_right = match wanted.remove(&booked.id) {
                Some(after) => labels(&booked) == after && booked.version == before.version + 1,
                None => booked == *before,
            };
            if !is_right {
                self.wrong.push(format!("{before:?} became {booked:?}"));
            }
            self.bookings.insert(booked.id, booked);
        }
        if !wanted.is_empty() {
            self.wrong.push(format!("these are not there: {wanted:?}"));
        }
    }
}
