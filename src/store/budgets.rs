//! Budgets: a limit on spending in a period, and where it stands.
//!
//! What was spent in a period is kept by the projector in `budget_periods`. A period that it has
//! not touched yet (of a new or changed budget) is summed up from the days' spending, which is
//! bounded by the length of the period.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter,
    QueryResult, Value,
};
use uuid::Uuid;

use super::entities::{budget_periods, budgets};
use super::given::Given;
use super::sql::{all, execute, list as placeholders, one};
use super::users::check_version;
use super::{Page, PageRequest, StoreError, Tx, users};
use crate::domain::budget::Thresholds;
use crate::domain::money::{AmountText, Currency, Money};
use crate::domain::period::{Period, PeriodKind};

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The budget's id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// What it is called.
    pub name: String,
    /// The limit of a period.
    pub limit: Money,
    /// How long a period is.
    pub period: PeriodKind,
    /// Where periods begin, and the first day that counts; none: the calendar's, and all days count.
    pub starts_on: Option<NaiveDate>,
    /// Percentages at which to warn.
    pub alert_at: Thresholds,
    /// What counts; empty: all spending in the currency.
    pub category_ids: Vec<Uuid>,
    /// Counts changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Budget {
    /// The currency of the limit, and of what counts against it.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.limit.currency()
    }

    /// The period that a day lies in, if the day counts.
    #[must_use]
    pub fn period_of(&self, day: NaiveDate) -> Option<Period> {
        (self.starts_on.is_none_or(|first| day >= first))
            .then(|| Period::containing(self.period, self.starts_on, day))
    }

    /// Whether spending in this currency and category counts.
    #[must_use]
    pub fn counts(&self, currency: Currency, category_id: Option<Uuid>) -> bool {
        currency == self.currency()
            && (self.category_ids.is_empty()
                || category_id.is_some_and(|id| self.category_ids.contains(&id)))
    }

    fn from_row(row: budgets::Model, category_ids: Vec<Uuid>) -> Result<Self, StoreError> {
        let currency = Currency::parse(&row.currency).map_err(StoreError::defect)?;
        let alert_at = serde_json::from_str(&row.alert_at).map_err(StoreError::defect)?;
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            name: row.name,
            limit: Money::new(row.amount_minor, currency),
            period: row.period.parse().map_err(StoreError::defect)?,
            starts_on: row.starts_on,
            alert_at,
            category_ids,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Adds a budget.
///
/// # Errors
/// A category that is not the user's.
pub async fn create(tx: &Tx, budget: &Budget) -> Result<(), StoreError> {
    users::hold(tx, budget.user_id).await?;
    execute(
        &**tx,
        "INSERT INTO budgets (id, user_id, name, amount_minor, currency, period, starts_on, alert_at, \
         version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        values_of(budget)?,
    )
    .await?;
    set_categories(tx, budget).await
}

fn values_of(budget: &Budget) -> Result<[Value; 11], StoreError> {
    Ok([
        budget.id.into(),
        budget.user_id.into(),
        budget.name.clone().into(),
        budget.limit.minor().into(),
        budget.currency().code().into(),
        budget.period.as_str().into(),
        budget.starts_on.into(),
        serde_json::to_string(&budget.alert_at)
            .map_err(StoreError::defect)?
            .into(),
        budget.version.into(),
        budget.created_at.into(),
        budget.updated_at.into(),
    ])
}

/// Only the user's own categories come through the `SELECT`.
async fn set_categories(tx: &Tx, budget: &Budget) -> Result<(), StoreError> {
    execute(
        &**tx,
        "DELETE FROM budget_categories WHERE budget_id = $1",
        [budget.id.into()],
    )
    .await?;
    if budget.category_ids.is_empty() {
        return Ok(());
    }
    let text = format!(
        "INSERT INTO budget_categories (budget_id, category_id) \
         SELECT $1, id FROM categories WHERE user_id = $2 AND id IN ({})",
        placeholders(budget.category_ids.len(), 3)
    );
    let mut values: Vec<Value> = vec![budget.id.into(), budget.user_id.into()];
    values.extend(budget.category_ids.iter().map(|id| (*id).into()));
    let done = execute(&**tx, text, values).await?;
    if done.rows_affected() != budget.category_ids.len() as u64 {
        return Err(StoreError::invalid(
            "category_ids",
            "there is no such category",
        ));
    }
    Ok(())
}

/// The user's budget of this id.
///
/// # Errors
/// There is none.
pub async fn get(db: &impl ConnectionTrait, user_id: Uuid, id: Uuid) -> Result<Budget, StoreError> {
    let text = format!("{} WHERE id = $1 AND user_id = $2", select(db));
    let rows = all(db, text, [id.into(), user_id.into()]).await?;
    let found = from_rows(&rows)?.pop();
    found.ok_or(StoreError::NotFound("budget"))
}

/// The user's budgets, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<Budget, Uuid>, StoreError> {
    let select = select(db);
    let text = format!("{select} WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let after = page.after.unwrap_or_default();
    let fetch = i64::try_from(page.fetch()).map_err(StoreError::defect)?;
    let rows = all(db, text, [user_id.into(), after.into(), fetch.into()]).await?;
    Ok(Page::cut(from_rows(&rows)?, page.limit, |budget| budget.id))
}

/// All budgets of many users, across users: for the projector.
///
/// # Errors
/// The database cannot be read.
pub async fn of_many_users(
    db: &impl ConnectionTrait,
    user_ids: &[Uuid],
) -> Result<Vec<Budget>, StoreError> {
    let select = select(db);
    let text = format!("{select} WHERE user_id IN (SELECT id FROM given) ORDER BY id");
    let given = Given::new(["id"], user_ids.iter().map(|id| [(*id).into()]));
    from_rows(&given.run(db, &text, []).await?)
}

/// Budgets with their categories, to be followed by which.
fn select(db: &impl ConnectionTrait) -> String {
    let (list, aggregate) = match db.get_database_backend() {
        DbBackend::Postgres => ("category_id::text", "string_agg"),
        _ => ("hex(category_id)", "group_concat"),
    };
    format!(
        "SELECT id, user_id, name, amount_minor, currency, period, starts_on, alert_at, version, \
         created_at, updated_at, (SELECT {aggregate}({list}, ',') FROM budget_categories \
         WHERE budget_id = budgets.id) AS category_ids FROM budgets"
    )
}

/// From the rows that [`select`] finds.
fn from_rows(rows: &[QueryResult]) -> Result<Vec<Budget>, StoreError> {
    let from_row = |row: &QueryResult| {
        let listed: Option<String> = row.try_get("", "category_ids")?;
        let listed = listed.unwrap_or_default();
        let ids = listed.split(',').filter(|id| !id.is_empty());
        let ids: Result<BTreeSet<Uuid>, _> = ids.map(Uuid::parse_str).collect();
        let ids = ids.map_err(StoreError::defect)?;
        Budget::from_row(
            budgets::Model::from_query_result(row, "")?,
            ids.into_iter().collect(),
        )
    };
    rows.iter().map(from_row).collect()
}

/// How many budgets the user has.
///
/// # Errors
/// The database cannot be read.
pub async fn count(db: &impl ConnectionTrait, user_id: Uuid) -> Result<i64, StoreError> {
    let text = "SELECT COUNT(*) FROM budgets WHERE user_id = $1";
    let row = one(db, text, [user_id.into()]).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get_by_index(0))?)
}

/// What may change of a budget; what is none stays, `Some(None)` removes.
#[derive(Debug, Clone, Default)]
pub struct BudgetChange {
    /// The name.
    pub name: Option<String>,
    /// The limit, read in the (new) currency.
    pub amount: Option<AmountText>,
    /// The currency; the limit must be given with it.
    pub currency: Option<Currency>,
    /// How long a period is.
    pub period: Option<PeriodKind>,
    /// Where periods begin.
    pub starts_on: Option<Option<NaiveDate>>,
    /// Percentages at which to warn.
    pub alert_at: Option<Thresholds>,
    /// What counts.
    pub category_ids: Option<Vec<Uuid>>,
}

/// Changes a budget. When what counts has changed, the periods kept so far are dropped: they are
/// summed up anew from the days. Thresholds that were crossed stay crossed.
///
/// # Errors
/// No such budget, a stale version, an amount or a category that does not fit.
pub async fn change(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
    change: BudgetChange,
    now: DateTime<Utc>,
) -> Result<Budget, StoreError> {
    users::hold(tx, user_id).await?;
    let before = get(&**tx, user_id, id).await?;
    check_version(expected, before.version)?;
    let mut after = before.clone();
    let currency = change.currency.unwrap_or(before.currency());
    match change.amount {
        Some(text) => {
            after.limit = text
                .amount(currency)
                .map_err(|error| StoreError::invalid("amount", error.to_string()))?;
        }
        None if currency != before.currency() => {
            let detail = format!("give the amount in {currency} together with the new currency");
            return Err(StoreError::invalid("amount", detail));
        }
        None => {}
    }
    after.name = change.name.unwrap_or(after.name);
    after.period = change.period.unwrap_or(after.period);
    after.starts_on = change.starts_on.unwrap_or(after.starts_on);
    after.alert_at = change.alert_at.unwrap_or(after.alert_at);
    after.category_ids = change.category_ids.unwrap_or(after.category_ids);
    after.version += 1;
    after.updated_at = now;
    execute(
        &**tx,
        "UPDATE budgets SET name = $3, amount_minor = $4, currency = $5, period = $6, starts_on = $7, \
         alert_at = $8, version = $9, created_at = $10, updated_at = $11 WHERE id = $1 AND user_id = $2",
        values_of(&after)?,
    )
    .await?;
    set_categories(tx, &after).await?;
    let counts_anew = before.currency() != after.currency()
        || before.period != after.period
        || before.starts_on != after.starts_on
        || before.category_ids != after.category_ids;
    if counts_anew {
        execute(
            &**tx,
            "DELETE FROM budget_periods WHERE budget_id = $1",
            [id.into()],
        )
        .await?;
    }
    Ok(after)
}

/// Removes a budget with its periods and crossings.
///
/// # Errors
/// No such budget, a stale version.
pub async fn delete(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let budget = get(&**tx, user_id, id).await?;
    check_version(expected, budget.version)?;
    execute(
        &**tx,
        "DELETE FROM budgets WHERE id = $1 AND user_id = $2",
        [id.into(), user_id.into()],
    )
    .await?;
    Ok(())
}

/// What was spent of a budget in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The period.
    pub period: Period,
    /// The sum of what counts.
    pub spent: Money,
}

/// Where budgets stand in the period of a day; those whose first day is still to come stand at zero
/// in their first period.
///
/// # Errors
/// The database cannot be read.
pub async fn standings(
    db: &impl ConnectionTrait,
    budgets: &[Budget],
    day: NaiveDate,
) -> Result<Vec<Standing>, StoreError> {
    let periods: Vec<(Uuid, Period)> = budgets
        .iter()
        .map(|budget| (budget.id, current_period(budget, day)))
        .collect();
    let kept = kept_periods(db, &periods).await?;
    let mut standings = Vec::with_capacity(budgets.len());
    for (budget, (_, period)) in budgets.iter().zip(periods) {
        let minor = match kept.get(&(budget.id, period.start)) {
            Some(minor) => *minor,
            None => spent_by_days(db, budget, period).await?,
        };
        standings.push(Standing {
            period,
            spent: Money::new(minor, budget.currency()),
        });
    }
    Ok(standings)
}

fn current_period(budget: &Budget, day: NaiveDate) -> Period {
    let day = budget.starts_on.map_or(day, |first| first.max(day));
    Period::containing(budget.period, budget.starts_on, day)
}

/// The sums that the projector keeps of these periods, by budget and first day.
pub(super) async fn kept_periods(
    db: &impl ConnectionTrait,
    periods: &[(Uuid, Period)],
) -> Result<HashMap<(Uuid, NaiveDate), i64>, StoreError> {
    let keys = periods
        .iter()
        .map(|(id, period)| [(*id).into(), period.start.into()]);
    let text = "SELECT budget_id, period_start, spent_minor FROM budget_periods \
         WHERE (budget_id, period_start) IN (SELECT budget_id, period_start FROM given)";
    let given = Given::new(["budget_id", "period_start"], keys);
    let kept = given.run(db, text, []).await?;
    kept.iter()
        .map(|row| {
            let key = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            Ok((key, row.try_get_by_index(2)?))
        })
        .collect()
}

/// What the days of a period say was spent of a budget.
pub(super) async fn spent_by_days(
    db: &impl ConnectionTrait,
    budget: &Budget,
    period: Period,
) -> Result<i64, StoreError> {
    let days = spending_by_day(db, budget, period.start, period.end).await?;
    Ok(days.iter().map(|(_, minor)| minor).sum())
}

/// Narrows a statement on the days' spending to what counts against the budget.
fn only_its_categories(budget: &Budget, text: &mut String, values: &mut Vec<Value>) {
    if budget.category_ids.is_empty() {
        return;
    }
    text.push_str(" AND category_id IN (");
    text.push_str(&placeholders(budget.category_ids.len(), values.len() + 1));
    text.push(')');
    values.extend(budget.category_ids.iter().map(|id| (*id).into()));
}

/// The days of a span on which something counted against the budget, with the sums.
async fn spending_by_day(
    db: &impl ConnectionTrait,
    budget: &Budget,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<(NaiveDate, i64)>, StoreError> {
    let from = budget.starts_on.map_or(from, |first| first.max(from));
    let mut text = "SELECT date, CAST(SUM(amount_minor) AS BIGINT) FROM daily_spending \
         WHERE user_id = $1 AND currency = $2 AND date >= $3 AND date <= $4"
        .to_owned();
    let mut values: Vec<Value> = vec![
        budget.user_id.into(),
        budget.currency().code().into(),
        from.into(),
        to.into(),
    ];
    only_its_categories(budget, &mut text, &mut values);
    text.push_str(" GROUP BY date ORDER BY date");
    let days = all(db, text, values).await?;
    days.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}

/// The periods of a budget that have begun, newest first, with what was spent in each; down to the
/// first day on which something counted. The current one is always there, once it has begun.
///
/// # Errors
/// The database cannot be read.
pub async fn history(
    db: &impl ConnectionTrait,
    budget: &Budget,
    today: NaiveDate,
    page: PageRequest<NaiveDate>,
) -> Result<Page<Standing, NaiveDate>, StoreError> {
    let first_day = first_spending_day(db, budget).await?.unwrap_or(today);
    let newest = match page.after {
        Some(start) => {
            let seen = Period::containing(budget.period, budget.starts_on, start);
            Period::preceding(budget.period, budget.starts_on, &seen)
        }
        None => current_period(budget, today),
    };
    let mut periods = Vec::new();
    let mut period = newest;
    if newest.start > today {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    }
    while periods.len() as u64 <= u64::from(page.limit) {
        let before_all = period.end < first_day && !(periods.is_empty() && page.after.is_none());
        if before_all || budget.starts_on.is_some_and(|first| period.end < first) {
            break;
        }
        periods.push(period);
        period = Period::preceding(budget.period, budget.starts_on, &period);
    }
    let Some(oldest) = periods.last() else {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    };
    let days = spending_by_day(db, budget, oldest.start, newest.end).await?;
    let standings = periods
        .iter()
        .map(|period| {
            let within = days.iter().filter(|(day, _)| period.contains(*day));
            let minor = within.map(|(_, minor)| minor).sum();
            Standing {
                period: *period,
                spent: Money::new(minor, budget.currency()),
            }
        })
        .collect();
    Ok(Page::cut(standings, page.limit, |standing| {
        standing.period.start
    }))
}

async fn first_spending_day(
    db: &impl ConnectionTrait,
    budget: &Budget,
) -> Result<Option<NaiveDate>, StoreError> {
    let mut text = "SELECT date FROM daily_spending \
         WHERE user_id = $1 AND currency = $2 AND amount_minor <> 0"
        .to_owned();
    let mut values: Vec<Value> = vec![budget.user_id.into(), budget.currency().code().into()];
    only_its_categories(budget, &mut text, &mut values);
    // Not `MIN`: PostgreSQL, where it does not know how much there is, would read all of it.
    text.push_str(" ORDER BY date LIMIT 1");
    let row = one(db, text, values).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Periods as they are kept, across users: for a recount.
pub(super) async fn all_kept(
    db: &impl ConnectionTrait,
    budget_id: Uuid,
) -> Result<Vec<budget_periods::Model>, StoreError> {
    Ok(budget_periods::Entity::find()
        .filter(budget_periods::Column::BudgetId.eq(budget_id))
        .all(db)
        .await?)
}
