//! Read models: sums that the projector keeps, so that no answer costs more as a history grows.
//!
//! The projector loads what a batch of events touches, folds the events in memory, and writes the
//! result back: one statement a table a batch, or a few for a large batch on PostgreSQL.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, EntityTrait};
use uuid::Uuid;

use super::budgets::{self, Budget};
use super::entities::read_model_positions;
use super::event_log::{Cursor, LogPosition};
use super::given::Given;
use super::sql::all;
use super::{NO_CATEGORY, Signal, StoreError, Tx};
use crate::domain::money::Currency;
use crate::domain::period::Period;
use crate::domain::transaction::TransactionType;

/// A cell of the monthly totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthlyKey {
    /// Whose.
    pub user_id: Uuid,
    /// In which currency.
    pub currency: Currency,
    /// The month's first day.
    pub month: NaiveDate,
    /// Income or expense.
    pub transaction_type: TransactionType,
    /// In which category.
    pub category_id: Option<Uuid>,
    /// In which wallet.
    pub wallet_id: Uuid,
}

/// A cell of the days' spending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DailyKey {
    /// Whose.
    pub user_id: Uuid,
    /// In which currency.
    pub currency: Currency,
    /// On which day.
    pub date: NaiveDate,
    /// In which category.
    pub category_id: Option<Uuid>,
}

/// A sum and how many bookings it is of; both may be negative in a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Minor units.
    pub amount_minor: i64,
    /// Bookings.
    pub bookings: i64,
}

/// Deltas of the sums, by cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deltas {
    /// Of the monthly totals.
    pub monthly: BTreeMap<MonthlyKey, Total>,
    /// Of the days' spending, in minor units.
    pub daily: BTreeMap<DailyKey, i64>,
}

/// A threshold that is reached: a row, and so one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrossingKey {
    /// Of which budget.
    pub budget_id: Uuid,
    /// In which period.
    pub period_start: NaiveDate,
    /// Which threshold, in percent.
    pub threshold: u16,
}

/// Adds the deltas to the sums.
///
/// # Errors
/// A sum would leave the range of amounts.
pub async fn add(tx: &Tx, deltas: &Deltas) -> Result<(), StoreError> {
    add_monthly(tx, &deltas.monthly).await?;
    add_daily(tx, &deltas.daily).await
}

async fn add_monthly(tx: &Tx, deltas: &BTreeMap<MonthlyKey, Total>) -> Result<(), StoreError> {
    let columns = [
        "user_id",
        "currency",
        "month",
        "type",
        "category_id",
        "wallet_id",
        "amount_minor",
        "bookings",
    ];
    let rows = deltas.iter().map(|(key, total)| {
        [
            key.user_id.into(),
            key.currency.code().into(),
            key.month.into(),
            key.transaction_type.as_str().into(),
            key.category_id.unwrap_or(NO_CATEGORY).into(),
            key.wallet_id.into(),
            total.amount_minor.into(),
            total.bookings.into(),
        ]
    });
    let text = "INSERT INTO monthly_totals (user_id, currency, month, type, category_id, wallet_id, amount_minor, bookings) \
         SELECT user_id, currency, month, type, category_id, wallet_id, amount_minor, bookings FROM given WHERE true \
         ON CONFLICT (user_id, currency, month, type, category_id, wallet_id) DO UPDATE SET \
         amount_minor = monthly_totals.amount_minor + excluded.amount_minor, \
         bookings = monthly_totals.bookings + excluded.bookings";
    Given::new(columns, rows).run(&**tx, text, []).await?;
    Ok(())
}

async fn add_daily(tx: &Tx, deltas: &BTreeMap<DailyKey, i64>) -> Result<(), StoreError> {
    let columns = ["user_id", "currency", "date", "category_id", "amount_minor"];
    let rows = deltas.iter().map(|(key, minor)| {
        [
            key.user_id.into(),
            key.currency.code().into(),
            key.date.into(),
            key.category_id.unwrap_or(NO_CATEGORY).into(),
            (*minor).into(),
        ]
    });
    let text = "INSERT INTO daily_spending (user_id, currency, date, category_id, amount_minor) \
         SELECT user_id, currency, date, category_id, amount_minor FROM given WHERE true \
         ON CONFLICT (user_id, currency, date, category_id) DO UPDATE SET \
         amount_minor = daily_spending.amount_minor + excluded.amount_minor";
    Given::new(columns, rows).run(&**tx, text, []).await?;
    Ok(())
}

/// Where budgets stand in periods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings {
    /// What was spent, in minor units, by budget and first day.
    pub spent: HashMap<(Uuid, NaiveDate), i64>,
    /// What may be spent, in minor units, likewise.
    pub available: BTreeMap<(Uuid, NaiveDate), i64>,
    /// The thresholds that were crossed already, with the event that told of each.
    pub crossed: HashMap<CrossingKey, Uuid>,
}

impl Standings {
    /// Those of periods in which nothing was spent, nor carried over.
    #[must_use]
    pub fn untouched(periods: &[(&Budget, Period)]) -> Self {
        let available = periods.iter().map(|(budget, period)| {
            let limit = budget.limit_of(period.start);
            ((budget.id, period.start), limit.minor())
        });
        Self {
            available: available.collect(),
            ..Self::default()
        }
    }
}

/// Where these budgets stand in these periods, before the batch.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn standings(tx: &Tx, wanted: &[(&Budget, Period)]) -> Result<Standings, StoreError> {
    let keys = wanted
        .iter()
        .map(|(budget, period)| [budget.id.into(), period.start.into()]);
    let text = "SELECT given.budget_id, given.period_start, kept.spent_minor, crossing.threshold, crossing.event_id FROM given \
         LEFT JOIN budget_periods kept \
         ON kept.budget_id = given.budget_id AND kept.period_start = given.period_start \
         LEFT JOIN budget_crossings crossing \
         ON crossing.budget_id = given.budget_id AND crossing.period_start = given.period_start";
    let given = Given::new(["budget_id", "period_start"], keys);
    let mut standings = Standings::untouched(wanted);
    for row in given.run(&**tx, text, []).await? {
        let (budget_id, period_start) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if let Some(minor) = row.try_get_by_index(2)? {
            standings.spent.insert((budget_id, period_start), minor);
        }
        if let Some(threshold) = row.try_get_by_index::<Option<i16>>(3)? {
            let key = CrossingKey {
                budget_id,
                period_start,
                threshold: u16::try_from(threshold).map_err(StoreError::defect)?,
            };
            standings.crossed.insert(key, row.try_get_by_index(4)?);
        }
    }
    for (key, minor) in budgets::carried(&**tx, wanted).await? {
        let available = standings.available.entry(key).or_default();
        *available = available.saturating_add(minor);
    }
    for (budget, period) in wanted {
        let key = (budget.id, period.start);
        if let Entry::Vacant(missing) = standings.spent.entry(key) {
            missing.insert(budgets::spent_by_days(&**tx, budget, *period).await?);
        }
    }
    Ok(standings)
}

/// Arms thresholds again: what was said of them stays known, and the next crossing is told of anew. One
/// that another event has told of since stays as it is.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn rearm(
    tx: &Tx,
    crossed: &[(CrossingKey, Uuid)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(crossed.len());
    for (key, event_id) in crossed {
        let threshold = i16::try_from(key.threshold).map_err(StoreError::defect)?;
        let (budget_id, start) = (key.budget_id.into(), key.period_start.into());
        rows.push([budget_id, start, threshold.into(), (*event_id).into()]);
    }
    let given = |rows| Given::new(["budget_id", "period_start", "threshold", "event_id"], rows);
    let which = "(budget_id, period_start, threshold, event_id) IN \
         (SELECT budget_id, period_start, threshold, event_id FROM given)";
    let text = format!(
        "INSERT INTO budget_crossings_past (event_id, budget_id, period_start, threshold, user_id, crossed_at, rearmed_at) \
         SELECT event_id, budget_id, period_start, threshold, user_id, crossed_at, $1 \
         FROM budget_crossings WHERE {which}"
    );
    given(rows.clone()).run(&**tx, &text, [now.into()]).await?;
    let text = format!("DELETE FROM budget_crossings WHERE {which}");
    given(rows).run(&**tx, &text, []).await?;
    Ok(())
}

/// Records crossings with the event that tells of each; gives those that are new.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn record_crossings(
    tx: &Tx,
    crossings: &[(CrossingKey, Uuid, Uuid)],
    now: DateTime<Utc>,
) -> Result<HashSet<CrossingKey>, StoreError> {
    let columns = [
        "budget_id",
        "period_start",
        "threshold",
        "user_id",
        "event_id",
    ];
    let mut rows = Vec::with_capacity(crossings.len());
    for (key, user_id, event_id) in crossings {
        let threshold = i16::try_from(key.threshold).map_err(StoreError::defect)?;
        rows.push([
            key.budget_id.into(),
            key.period_start.into(),
            threshold.into(),
            (*user_id).into(),
            (*event_id).into(),
        ]);
    }
    let text = "INSERT INTO budget_crossings (budget_id, period_start, threshold, user_id, event_id, crossed_at) \
         SELECT budget_id, period_start, threshold, user_id, event_id, $1 FROM given WHERE true \
         ON CONFLICT (budget_id, period_start, threshold) DO NOTHING RETURNING event_id";
    let mut recorded = HashSet::new();
    let given = Given::new(columns, rows);
    for row in given.run(&**tx, text, [now.into()]).await? {
        recorded.insert(row.try_get_by_index::<Uuid>(0)?);
    }
    let is_new = |(_, _, event_id): &&(CrossingKey, Uuid, Uuid)| recorded.contains(event_id);
    Ok(crossings
        .iter()
        .filter(is_new)
        .map(|(key, _, _)| *key)
        .collect())
}

/// Notes how far in the log the users' read models have come.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn reach(tx: &Tx, positions: &BTreeMap<Uuid, LogPosition>) -> Result<(), StoreError> {
    if positions.is_empty() {
        return Ok(());
    }
    let rows = positions.iter().map(|(user, at)| {
        let [xid, position] = at.values();
        [(*user).into(), xid, position]
    });
    let text = "INSERT INTO read_model_positions (user_id, xid, position) \
         SELECT user_id, xid, position FROM given WHERE true \
         ON CONFLICT (user_id) DO UPDATE SET xid = excluded.xid, position = excluded.position \
         WHERE (excluded.xid, excluded.position) > (read_model_positions.xid, read_model_positions.position)";
    Given::new(["user_id", "xid", "position"], rows)
        .run(&**tx, text, [])
        .await?;
    tx.after_commit(Signal::Projected);
    Ok(())
}

/// How far the user's read models have come, and how far the consumer has that keeps them.
///
/// # Errors
/// The database cannot be read.
pub async fn reached_and_passed(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    consumer: &'static str,
) -> Result<(LogPosition, LogPosition), StoreError> {
    let text = "SELECT 1, xid, position FROM read_model_positions WHERE user_id = $1 \
         UNION ALL SELECT 2, xid, position FROM log_cursors WHERE name = $2";
    let cursor = Cursor::Consumer(consumer).name();
    let (mut reached, mut passed) = (LogPosition::default(), LogPosition::default());
    for row in all(db, text, [user_id.into(), cursor.into()]).await? {
        let whose: i32 = row.try_get_by_index(0)?;
        let place = if whose == 1 {
            &mut reached
        } else {
            &mut passed
        };
        *place = LogPosition::from_row(row.try_get_by_index(1)?, row.try_get_by_index(2)?);
    }
    Ok((reached, passed))
}

/// How far in the log the user's read models have come.
///
/// # Errors
/// The database cannot be read.
pub async fn reached(db: &impl ConnectionTrait, user_id: Uuid) -> Result<LogPosition, StoreError> {
    let row = read_model_positions::Entity::find_by_id(user_id)
        .one(db)
        .await?;
    Ok(row.map_or_else(LogPosition::default, |row| {
        LogPosition::from_row(row.xid, row.position)
    }))
}
