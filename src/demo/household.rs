//! The household: its wallets, its budgets and a year of its bookings. Pure: the same seed and the
//! same day give the same year.
//!
//! Eleven months run their course. The twelfth, in which today falls, stops short of what two
//! budgets allow, and the live bookings take both over 80 % and then over 100 %.

use std::collections::BTreeSet;

use chrono::{Datelike, Months, NaiveDate};
use uuid::Uuid;

use super::chance::Chance;
use super::habits::{Days, HABITS, Habit, OCCASIONS};

mod current;

/// What everything is paid in. Its minor unit is the cent.
pub(super) const CURRENCY: &str = "USD";
/// Months of the year that is played, the current one included.
const MONTHS: u32 = 12;

/// Which way the money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// In.
    Income,
    /// Out.
    Expense,
}

impl Kind {
    /// As the API spells it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Income => "income",
            Self::Expense => "expense",
        }
    }
}

/// A wallet to be opened.
#[derive(Debug)]
pub(super) struct WalletPlan {
    pub(super) name: &'static str,
    pub(super) wallet_type: &'static str,
    pub(super) opening_cents: u64,
}

/// The household's wallets.
pub(super) const WALLETS: [WalletPlan; 3] = [
    WalletPlan {
        name: "Checking",
        wallet_type: "bank",
        opening_cents: 420_000,
    },
    WalletPlan {
        name: "Credit card",
        wallet_type: "credit_card",
        opening_cents: 0,
    },
    WalletPlan {
        name: "Cash",
        wallet_type: "cash",
        opening_cents: 15_000,
    },
];

/// A monthly budget to be set.
#[derive(Debug)]
pub(super) struct BudgetPlan {
    pub(super) name: &'static str,
    pub(super) categories: &'static [&'static str],
    pub(super) limit_cents: u64,
}

const GROCERIES: BudgetPlan = BudgetPlan {
    name: "Groceries",
    categories: &["Groceries"],
    limit_cents: 52_000,
};
const EATING_OUT: BudgetPlan = BudgetPlan {
    name: "Eating out",
    categories: &["Restaurants"],
    limit_cents: 20_000,
};

/// The household's budgets. Of the last two, this month's habits spend less than 80 %.
pub(super) const BUDGETS: [BudgetPlan; 4] = [
    GROCERIES,
    EATING_OUT,
    BudgetPlan {
        name: "Getting around",
        categories: &["Transport"],
        limit_cents: 18_000,
    },
    BudgetPlan {
        name: "Fun",
        categories: &["Entertainment", "Subscriptions"],
        limit_cents: 16_000,
    },
];

/// A booking to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Booking {
    pub(super) wallet: &'static str,
    pub(super) kind: Kind,
    pub(super) category: &'static str,
    pub(super) cents: u64,
    pub(super) date: NaiveDate,
    pub(super) description: &'static str,
    pub(super) payee: &'static str,
    /// Its `Idempotency-Key`.
    pub(super) key: Uuid,
}

/// A month of bookings, in the order of their dates.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MonthPlan {
    pub(super) first_day: NaiveDate,
    pub(super) bookings: Vec<Booking>,
}

/// A booking that takes a budget over a threshold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LiveBooking {
    pub(super) booking: Booking,
    pub(super) budget: &'static str,
    /// Percent of the budget.
    pub(super) threshold: u64,
}

/// A year.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The oldest month first; the last is the current one, as far as it has come.
    pub(super) months: Vec<MonthPlan>,
    /// What is booked today, one at a time.
    pub(super) live: Vec<LiveBooking>,
}

impl Plan {
    /// The year that ends today; none at the end of the calendar.
    pub(super) fn of(chance: &mut Chance, today: NaiveDate) -> Option<Self> {
        let this_month = today.with_day(1)?;
        let mut months = (1..MONTHS)
            .rev()
            .map(|ago| {
                Some(past_month(
                    chance,
                    this_month.checked_sub_months(Months::new(ago))?,
                ))
            })
            .collect::<Option<Vec<_>>>()?;
        let (current, live) = current::up_to(chance, today, this_month);
        months.push(current);
        Some(Self { months, live })
    }

    /// The categories that are booked to or watched, each once.
    pub(super) fn categories(&self) -> BTreeSet<(&'static str, Kind)> {
        let live = self.live.iter().map(|live| &live.booking);
        let booked = self
            .months
            .iter()
            .flat_map(|month| &month.bookings)
            .chain(live);
        let watched = BUDGETS.iter().flat_map(|budget| budget.categories);
        booked
            .map(|booking| (booking.category, booking.kind))
            .chain(watched.map(|category| (*category, Kind::Expense)))
            .collect()
    }

    /// How many bookings there are before the live ones.
    pub(super) fn len(&self) -> usize {
        self.months.iter().map(|month| month.bookings.len()).sum()
    }

    /// What is spent in the current month before the live bookings, cents.
    pub(super) fn spent_before_live(&self) -> u64 {
        let current = self.months.last().map_or(&[][..], |month| &month.bookings);
        current
            .iter()
            .filter(|booking| booking.kind == Kind::Expense)
            .map(|it| it.cents)
            .sum()
    }

    /// What the live bookings spend, cents.
    pub(super) fn spent_live(&self) -> u64 {
        self.live.iter().map(|live| live.booking.cents).sum()
    }
}

fn past_month(chance: &mut Chance, first_day: NaiveDate) -> MonthPlan {
    let occasions = OCCASIONS
        .iter()
        .filter(|(month, _)| *month == first_day.month());
    let habits = HABITS.iter().chain(occasions.map(|(_, habit)| habit));
    let bookings = habits
        .flat_map(|habit| act_out(chance, habit, first_day))
        .collect();
    in_order(first_day, bookings)
}

fn act_out(chance: &mut Chance, habit: &Habit, first_day: NaiveDate) -> Vec<Booking> {
    let last = u32::from(first_day.num_days_in_month());
    let days: Vec<u32> = match habit.days {
        Days::On(days) => days.to_vec(),
        Days::Any(times) => (0..times).map(|_| chance.day_up_to(last)).collect(),
    };
    let dates = days.into_iter().filter_map(|day| first_day.with_day(day));
    dates
        .map(|date| {
            let cents = chance.between(habit.cents.clone());
            book(chance, habit, date, cents)
        })
        .collect()
}

fn book(chance: &mut Chance, habit: &Habit, date: NaiveDate, cents: u64) -> Booking {
    Booking {
        wallet: habit.wallet,
        kind: habit.kind,
        category: habit.category,
        cents,
        date,
        description: habit.description,
        payee: chance.one_of(habit.payees),
        key: chance.uuid(),
    }
}

fn in_order(first_day: NaiveDate, mut bookings: Vec<Booking>) -> MonthPlan {
    bookings.sort_by_key(|booking| (booking.date, booking.kind));
    MonthPlan {
        first_day,
        bookings,
    }
}

#[cfg(test)]
mod tests;
