//! Ways to tamper with what is kept of somebody.

use sea_orm::Value;
use uuid::Uuid;

use super::Finding;
use super::books::{Person, day, eur};
use crate::domain::transaction::TransactionType::{Expense, Income};
use crate::store::NO_CATEGORY;
use crate::store::read_models::{DailyKey, MonthlyKey, Total};

pub(super) const fn total(amount_minor: i64, bookings: i64) -> Total {
    Total {
        amount_minor,
        bookings,
    }
}

pub(super) fn monthly(person: Person, kept: Total, counted: Total) -> Finding {
    let key = MonthlyKey {
        user_id: person.id,
        currency: eur(),
        month: day(11, 1),
        transaction_type: Expense,
        category_id: Some(person.food),
        wallet_id: person.cash,
    };
    Finding::MonthlyTotal { key, kept, counted }
}

pub(super) fn daily(person: Person, date: u32, kept_minor: i64, counted_minor: i64) -> Finding {
    let category_id = (date < 20).then_some(person.food);
    let key = DailyKey {
        user_id: person.id,
        currency: eur(),
        date: day(11, date),
        category_id,
    };
    Finding::DailySpending {
        key,
        kept_minor,
        counted_minor,
    }
}

/// Each way to tamper with what is kept of a person, and what is to be found.
pub(super) fn tamperings(
    person: Person,
    other: Person,
) -> Vec<(&'static str, Vec<Value>, Finding)> {
    let id = Value::from(person.id);
    let food = Value::from(person.food);
    vec![
        (
            "UPDATE wallets SET balance_minor = balance_minor - 1 WHERE id = $1",
            vec![person.bank.into()],
            Finding::WalletBalance {
                user_id: person.id,
                wallet_id: person.bank,
                kept_minor: 90_549,
                counted_minor: 90_550,
            },
        ),
        (
            "UPDATE wallets SET opening_balance_minor = 4999 WHERE id = $1",
            vec![person.cash.into()],
            Finding::WalletBalance {
                user_id: person.id,
                wallet_id: person.cash,
                kept_minor: 25,
                counted_minor: 24,
            },
        ),
        (
            "UPDATE monthly_totals SET amount_minor = 1 WHERE user_id = $1 AND month = '2026-11-01' \
             AND category_id = $2 AND wallet_id = $3",
            vec![id.clone(), food.clone(), person.cash.into()],
            monthly(person, total(1, 2), total(4_250, 2)),
        ),
        (
            "UPDATE monthly_totals SET bookings = 3 WHERE user_id = $1 AND month = '2026-11-01' \
             AND category_id = $2 AND wallet_id = $3",
            vec![id.clone(), food.clone(), person.cash.into()],
            monthly(person, total(4_250, 3), total(4_250, 2)),
        ),
        (
            "DELETE FROM monthly_totals WHERE user_id = $1 AND month = '2026-11-01' \
             AND category_id = $2 AND wallet_id = $3",
            vec![id.clone(), food.clone(), person.cash.into()],
            monthly(person, total(0, 0), total(4_250, 2)),
        ),
        (
            "INSERT INTO monthly_totals (user_id, currency, month, type, category_id, wallet_id, amount_minor, bookings) \
             VALUES ($1, 'EUR', '2026-08-01', 'income', $2, $3, 700, 1)",
            vec![id.clone(), NO_CATEGORY.into(), person.bank.into()],
            Finding::MonthlyTotal {
                key: MonthlyKey {
                    user_id: person.id,
                    currency: eur(),
                    month: day(8, 1),
                    transaction_type: Income,
                    category_id: None,
                    wallet_id: person.bank,
                },
                kept: total(700, 1),
                counted: total(0, 0),
            },
        ),
        (
            "UPDATE daily_spending SET amount_minor = 3001 WHERE user_id = $1 AND date = '2026-11-05'",
            vec![id.clone()],
            daily(person, 5, 3_001, 3_000),
        ),
        (
            "DELETE FROM daily_spending WHERE user_id = $1 AND date = '2026-11-12'",
            vec![id.clone()],
            daily(person, 12, 0, 450),
        ),
        (
            "INSERT INTO daily_spending (user_id, currency, date, category_id, amount_minor) \
             VALUES ($1, 'EUR', '2026-11-20', $2, 9)",
            vec![id.clone(), NO_CATEGORY.into()],
            daily(person, 20, 9, 0),
        ),
        (
            "UPDATE budget_periods SET spent_minor = 0 WHERE budget_id = $1 AND period_start = '2026-11-01'",
            vec![person.monthly.into()],
            Finding::BudgetPeriod {
                user_id: person.id,
                budget_id: person.monthly,
                period_start: day(11, 1),
                kept_minor: 0,
                counted_minor: 13_700,
            },
        ),
        (
            "UPDATE budget_periods SET spent_minor = 4700 WHERE budget_id = $1 AND period_start = '2026-11-04'",
            vec![person.weekly.into()],
            Finding::BudgetPeriod {
                user_id: person.id,
                budget_id: person.weekly,
                period_start: day(11, 4),
                kept_minor: 4_700,
                counted_minor: 3_000,
            },
        ),
        (
            "INSERT INTO budget_periods (budget_id, period_start, period_end, user_id, spent_minor, updated_at) \
             VALUES ($1, '2026-10-28', '2026-11-03', $2, 1250, '2026-11-20 12:00:00+00:00')",
            vec![person.weekly.into(), id.clone()],
            stray(person, person.weekly, 28, 3),
        ),
        (
            "UPDATE budget_periods SET user_id = $2 WHERE budget_id = $1 AND period_start = '2026-10-01'",
            vec![person.monthly.into(), other.id.into()],
            Finding::StrayPeriod {
                user_id: person.id,
                budget_id: person.monthly,
                period_start: day(10, 1),
                period_end: day(10, 31),
            },
        ),
    ]
}

pub(super) fn stray(person: Person, budget_id: Uuid, october: u32, november: u32) -> Finding {
    Finding::StrayPeriod {
        user_id: person.id,
        budget_id,
        period_start: day(10, october),
        period_end: day(11, november),
    }
}
