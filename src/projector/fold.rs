//! What a batch of bookings does to the sums and the budgets. Pure: the projector loads what is
//! needed before, and writes the result after.
//!
//! Sums are of deltas, so their order does not matter. A threshold is looked at after each booking,
//! in the order in which they came. Once it is not reached any more, since a booking went away or the
//! limit was raised, it is armed again: the next crossing is told of anew.

use std::collections::BTreeMap;
use std::ops::Bound;

use chrono::NaiveDate;
use uuid::Uuid;

use crate::domain::budget;
use crate::domain::money::Money;
use crate::domain::period::{Month, Period};
use crate::domain::transaction::TransactionType;
use crate::events::catalogue::Booking;
use crate::events::{EventData, EventError};
use crate::store::StoreError;
use crate::store::budgets::Budget;
use crate::store::budgets::PeriodSum;
use crate::store::read_models::{CrossingKey, DailyKey, Deltas, MonthlyKey, Standings};
use crate::store::search::{WordDeltas, WordKey};

/// What one event takes out of the sums, and what it adds to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Whose books.
    pub user_id: Uuid,
    out: Vec<Entry>,
    into: Vec<Entry>,
    words: WordDeltas,
}

/// What is earned or spent by a booking in one category, read exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    transaction_type: TransactionType,
    amount: Money,
    date: NaiveDate,
    category_id: Option<Uuid>,
    wallet_id: Uuid,
}

impl Entry {
    /// None of a transfer, which is neither earned nor spent.
    fn all_of(booking: &Booking) -> Result<Vec<Self>, EventError> {
        let parts = booking.parts()?;
        if booking.transaction_type == TransactionType::Transfer {
            return Ok(Vec::new());
        }
        let entry = |(category_id, amount)| Self {
            transaction_type: booking.transaction_type,
            amount,
            date: booking.date,
            category_id,
            wallet_id: booking.wallet_id,
        };
        Ok(parts.into_iter().map(entry).collect())
    }

    fn is_spending(&self) -> bool {
        self.transaction_type == TransactionType::Expense
    }
}

impl Movement {
    /// What an event moves.
    ///
    /// # Errors
    /// It is no booking, or its amounts cannot be read.
    pub fn of(data: &EventData) -> Result<Self, EventError> {
        let created;
        let (transaction_id, out, into) = match data {
            EventData::TransactionCreated(data) => {
                created = data.booking();
                (data.transaction_id, None, Some(&created))
            }
            EventData::TransactionUpdated(data) => {
                (data.transaction_id, Some(&data.before), Some(&data.after))
            }
            EventData::TransactionDeleted(data) => (data.transaction_id, Some(&data.before), None),
            other => {
                return Err(EventError::NotForThis(other.event_type().as_str()));
            }
        };
        let user_id = data.user_id();
        let mut words = WordDeltas::new();
        for (booking, times) in [(out, -1), (into, 1)] {
            let searched = booking.map(|it| (it.date, it.searched()));
            for (date, word) in searched
                .into_iter()
                .flat_map(|(date, all)| all.into_iter().map(move |it| (date, it)))
            {
                let key = WordKey {
                    user_id,
                    word,
                    date,
                    transaction_id,
                };
                *words.entry(key).or_default() += times;
            }
        }
        let entries = |booking: Option<&Booking>| booking.map(Entry::all_of).transpose();
        Ok(Self {
            user_id,
            out: entries(out)?.unwrap_or_default(),
            into: entries(into)?.unwrap_or_default(),
            words,
        })
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.out.iter().chain(&self.into)
    }
}

/// The periods of budgets that the movements touch; where something is carried over, the current one
/// as well, which an earlier one changes.
#[must_use]
pub fn watched<'a>(
    budgets: &'a [Budget],
    movements: &[&Movement],
    today: impl Fn(Uuid) -> NaiveDate,
) -> Vec<(&'a Budget, Period)> {
    let mut watched = BTreeMap::new();
    for movement in movements {
        for entry in movement.entries() {
            for (budget, period) in touched(budgets, movement.user_id, entry) {
                watched.insert((budget.id, period.start), (budget, period));
                let current = budget.current_period(today(movement.user_id));
                if budget.rollover_from.is_some() && period.start < current.start {
                    watched.insert((budget.id, current.start), (budget, current));
                }
            }
        }
    }
    watched.into_values().collect()
}

fn touched<'a>(
    budgets: &'a [Budget],
    user_id: Uuid,
    entry: &Entry,
) -> impl Iterator<Item = (&'a Budget, Period)> {
    let (date, category_id, currency) = (entry.date, entry.category_id, entry.amount.currency());
    let is_spending = entry.is_spending();
    budgets
        .iter()
        .filter(move |budget| {
            is_spending && budget.user_id == user_id && budget.counts(currency, category_id)
        })
        .filter_map(move |budget| Some((budget, budget.period_of(date)?)))
}

/// A threshold that a movement reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing<'a> {
    /// Of which budget.
    pub budget: &'a Budget,
    /// In which period.
    pub period: Period,
    /// Which threshold, in percent.
    pub threshold: u16,
    /// What had been spent in the period by then.
    pub spent: Money,
    /// What could be spent in it: the limit, and what was carried over.
    pub available: Money,
    /// The place of the movement in the batch.
    pub movement: usize,
}

impl Crossing<'_> {
    /// The limit of the period.
    #[must_use]
    pub fn limit(&self) -> Money {
        self.budget.limit_of(self.period.start)
    }

    /// What was carried over into it; none of a budget without rollover.
    #[must_use]
    pub fn carried(&self) -> Option<Money> {
        let minor = self.available.minor().saturating_sub(self.limit().minor());
        self.budget.rollover_from?;
        Some(Money::new(minor, self.budget.currency()))
    }

    /// The key of the crossing's row.
    #[must_use]
    pub fn key(&self) -> CrossingKey {
        CrossingKey {
            budget_id: self.budget.id,
            period_start: self.period.start,
            threshold: self.threshold,
        }
    }
}

/// The state of the batch while its movements are applied.
#[derive(Debug)]
pub struct Fold<'a> {
    budgets: &'a [Budget],
    standings: Standings,
    deltas: Deltas,
    words: WordDeltas,
    sums: BTreeMap<(Uuid, NaiveDate), PeriodSum>,
    crossings: BTreeMap<CrossingKey, Crossing<'a>>,
    rearmed: Vec<(CrossingKey, Uuid)>,
    applied: usize,
}

impl<'a> Fold<'a> {
    /// Begins with where the budgets stood in the watched periods before the batch. A limit may have
    /// been raised since.
    #[must_use]
    pub fn new(budgets: &'a [Budget], standings: Standings) -> Self {
        let mut fold = Self {
            budgets,
            standings,
            deltas: Deltas::default(),
            words: WordDeltas::new(),
            sums: BTreeMap::new(),
            crossings: BTreeMap::new(),
            rearmed: Vec::new(),
            applied: 0,
        };
        fold.rearm(|_| true);
        fold
    }

    /// Applies the next movement.
    ///
    /// # Errors
    /// A sum leaves the range of amounts.
    pub fn apply(&mut self, movement: &Movement) -> Result<(), StoreError> {
        for entry in &movement.out {
            self.add(movement.user_id, entry, -1)?;
        }
        for entry in &movement.into {
            self.add(movement.user_id, entry, 1)?;
        }
        for entry in movement.entries() {
            for (budget, period) in touched(self.budgets, movement.user_id, entry) {
                self.rearm(|key| key.budget_id == budget.id && key.period_start >= period.start);
            }
        }
        for entry in movement.entries() {
            for (budget, period) in touched(self.budgets, movement.user_id, entry) {
                self.look_at_thresholds(budget, period);
            }
        }
        for (key, times) in &movement.words {
            *self.words.entry(key.clone()).or_default() += times;
        }
        self.applied += 1;
        Ok(())
    }

    fn add(&mut self, user_id: Uuid, entry: &Entry, sign: i64) -> Result<(), StoreError> {
        let minor = entry.amount.minor() * sign;
        let currency = entry.amount.currency();
        let monthly = MonthlyKey {
            user_id,
            currency,
            month: Month::of(entry.date).first_day(),
            transaction_type: entry.transaction_type,
            category_id: entry.category_id,
            wallet_id: entry.wallet_id,
        };
        let total = self.deltas.monthly.entry(monthly).or_default();
        add_to(&mut total.amount_minor, minor)?;
        total.bookings += sign;
        if entry.is_spending() {
            let daily = DailyKey {
                user_id,
                currency,
                date: entry.date,
                category_id: entry.category_id,
            };
            add_to(self.deltas.daily.entry(daily).or_default(), minor)?;
        }
        for (budget, period) in touched(self.budgets, user_id, entry) {
            let key = (budget.id, period.start);
            let spent = self.standings.spent.entry(key).or_default();
            add_to(spent, minor)?;
            let sum = PeriodSum {
                budget_id: budget.id,
                user_id,
                period,
                spent_minor: *spent,
            };
            self.sums.insert(key, sum);
            if budget
                .rollover_from
                .is_some_and(|first| period.start >= first)
            {
                for available in self.later(budget, period) {
                    *available = available.saturating_sub(minor);
                }
            }
        }
        Ok(())
    }

    /// What may be spent in the watched periods of the budget after this one.
    fn later(&mut self, budget: &Budget, period: Period) -> impl Iterator<Item = &mut i64> {
        let after = (
            Bound::Excluded((budget.id, period.start)),
            Bound::Included((budget.id, NaiveDate::MAX)),
        );
        self.standings
            .available
            .range_mut(after)
            .map(|(_, available)| available)
    }

    /// Of the thresholds that were crossed, those that are not reached any more are armed again. What
    /// was crossed in this batch was not told yet, and is not told then.
    fn rearm(&mut self, which: impl Fn(&CrossingKey) -> bool) {
        let (standings, rearmed) = (&mut self.standings, &mut self.rearmed);
        let Standings {
            spent,
            available,
            crossed,
        } = standings;
        let is_reached = |key: &CrossingKey| {
            let period = (key.budget_id, key.period_start);
            let spent = spent.get(&period).copied().unwrap_or_default();
            available
                .get(&period)
                .is_some_and(|minor| budget::reached(spent, *minor, key.threshold))
        };
        self.crossings
            .retain(|key, _| !which(key) || is_reached(key));
        crossed.retain(|key, event_id| {
            let stays = !which(key) || is_reached(key);
            if !stays {
                rearmed.push((*key, *event_id));
            }
            stays
        });
    }

    /// Where something is carried over, later periods are looked at as well.
    fn look_at_thresholds(&mut self, budget: &'a Budget, period: Period) {
        let last = if budget.rollover_from.is_some() {
            NaiveDate::MAX
        } else {
            period.start
        };
        let periods = (budget.id, period.start)..=(budget.id, last);
        for ((_, start), available) in self.standings.available.range(periods) {
            let period = Period::containing(budget.period, budget.starts_on, *start);
            let spent = self
                .standings
                .spent
                .get(&(budget.id, *start))
                .copied()
                .unwrap_or_default();
            for threshold in budget.alert_at.iter() {
                let crossing = Crossing {
                    budget,
                    period,
                    threshold,
                    spent: Money::new(spent, budget.currency()),
                    available: Money::new(*available, budget.currency()),
                    movement: self.applied,
                };
                let key = crossing.key();
                if budget::reached(spent, *available, threshold)
                    && !self.standings.crossed.contains_key(&key)
                {
                    self.crossings.entry(key).or_insert(crossing);
                }
            }
        }
    }

    /// What the sums are to be moved by.
    #[must_use]
    pub fn deltas(&self) -> &Deltas {
        &self.deltas
    }

    /// What the words of bookings are to be moved by.
    #[must_use]
    pub fn words(&self) -> &WordDeltas {
        &self.words
    }

    /// The sums that the touched periods have reached.
    #[must_use]
    pub fn period_sums(&self) -> Vec<PeriodSum> {
        self.sums.values().copied().collect()
    }

    /// What was crossed and still is, in the order in which it was.
    #[must_use]
    pub fn crossings(&self) -> Vec<&Crossing<'a>> {
        let mut crossings: Vec<_> = self.crossings.values().collect();
        // Of one movement in the order of their keys, and so of their thresholds.
        crossings.sort_by_key(|crossing| crossing.movement);
        crossings
    }

    /// What is not crossed any more, with the event that told of it.
    #[must_use]
    pub fn rearmed(&self) -> &[(CrossingKey, Uuid)] {
        &self.rearmed
    }
}

fn add_to(sum: &mut i64, minor: i64) -> Result<(), StoreError> {
    *sum = sum
        .checked_add(minor)
        .ok_or_else(|| StoreError::invalid("amount", "a sum would leave the range of amounts"))?;
    Ok(())
}
