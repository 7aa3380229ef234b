//! What a batch of bookings does to the sums and the budgets. Pure: the projector loads what is
//! needed before, and writes the result after.
//!
//! Sums are of deltas, so their order does not matter. A threshold is looked at after each booking,
//! in the order in which they came.

use std::collections::{BTreeMap, HashMap, HashSet};

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
use crate::store::read_models::{CrossingKey, DailyKey, Deltas, MonthlyKey, PeriodSum};

/// What one event takes out of the sums, and what it adds to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Whose books.
    pub user_id: Uuid,
    out: Option<Entry>,
    into: Option<Entry>,
}

/// A booking, read exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    transaction_type: TransactionType,
    amount: Money,
    date: NaiveDate,
    category_id: Option<Uuid>,
    wallet_id: Uuid,
}

impl Entry {
    fn of(booking: &Booking) -> Result<Self, EventError> {
        Ok(Self {
            transaction_type: booking.transaction_type,
            amount: booking.money()?,
            date: booking.date,
            category_id: booking.category_id,
            wallet_id: booking.wallet_id,
        })
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
        let (out, into) = match data {
            EventData::TransactionCreated(created) => (None, Some(Entry::of(&created.booking())?)),
            EventData::TransactionUpdated(updated) => (
                Some(Entry::of(&updated.before)?),
                Some(Entry::of(&updated.after)?),
            ),
            EventData::TransactionDeleted(deleted) => (Some(Entry::of(&deleted.before)?), None),
            other => {
                return Err(EventError::NotForThis(other.event_type().as_str()));
            }
        };
        Ok(Self {
            user_id: data.user_id(),
            out,
            into,
        })
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.out.iter().chain(&self.into)
    }
}

/// The periods of budgets that the movements touch.
#[must_use]
pub fn watched<'a>(budgets: &'a [Budget], movements: &[&Movement]) -> Vec<(&'a Budget, Period)> {
    let mut watched = BTreeMap::new();
    for movement in movements {
        for entry in movement.entries() {
            for (budget, period) in touched(budgets, movement.user_id, entry) {
                watched.insert((budget.id, period.start), (budget, period));
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
    /// The place of the movement in the batch.
    pub movement: usize,
}

impl Crossing<'_> {
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
    spent: HashMap<(Uuid, NaiveDate), i64>,
    crossed: HashSet<CrossingKey>,
    deltas: Deltas,
    sums: BTreeMap<(Uuid, NaiveDate), PeriodSum>,
    crossings: Vec<Crossing<'a>>,
    applied: usize,
}

impl<'a> Fold<'a> {
    /// Begins with what was spent and crossed in the watched periods before the batch.
    #[must_use]
    pub fn new(
        budgets: &'a [Budget],
        spent: HashMap<(Uuid, NaiveDate), i64>,
        crossed: HashSet<CrossingKey>,
    ) -> Self {
        Self {
            budgets,
            spent,
            crossed,
            deltas: Deltas::default(),
            sums: BTreeMap::new(),
            crossings: Vec::new(),
            applied: 0,
        }
    }

    /// Applies the next movement.
    ///
    /// # Errors
    /// A sum leaves the range of amounts.
    pub fn apply(&mut self, movement: &Movement) -> Result<(), StoreError> {
        if let Some(entry) = &movement.out {
            self.add(movement.user_id, entry, -1)?;
        }
        if let Some(entry) = &movement.into {
            self.add(movement.user_id, entry, 1)?;
            self.look_at_thresholds(movement.user_id, entry);
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
            let spent = self.spent.entry(key).or_default();
            add_to(spent, minor)?;
            let sum = PeriodSum {
                budget_id: budget.id,
                user_id,
                period,
                spent_minor: *spent,
            };
            self.sums.insert(key, sum);
        }
        Ok(())
    }

    fn look_at_thresholds(&mut self, user_id: Uuid, entry: &Entry) {
        for (budget, period) in touched(self.budgets, user_id, entry) {
            let spent = self
                .spent
                .get(&(budget.id, period.start))
                .copied()
                .unwrap_or_default();
            for threshold in budget.alert_at.iter() {
                let crossing = Crossing {
                    budget,
                    period,
                    threshold,
                    spent: Money::new(spent, budget.currency()),
                    movement: self.applied,
                };
                if budget::reached(spent, budget.limit.minor(), threshold)
                    && self.crossed.insert(crossing.key())
                {
                    self.crossings.push(crossing);
                }
            }
        }
    }

    /// What the sums are to be moved by.
    #[must_use]
    pub fn deltas(&self) -> &Deltas {
        &self.deltas
    }

    /// The sums that the touched periods have reached.
    #[must_use]
    pub fn period_sums(&self) -> Vec<PeriodSum> {
        self.sums.values().copied().collect()
    }

    /// What was crossed, in the order in which it was.
    #[must_use]
    pub fn crossings(&self) -> &[Crossing<'a>] {
        &self.crossings
    }
}

fn add_to(sum: &mut i64, minor: i64) -> Result<(), StoreError> {
    *sum = sum
        .checked_add(minor)
        .ok_or_else(|| StoreError::invalid("amount", "a sum would leave the range of amounts"))?;
    Ok(())
}
