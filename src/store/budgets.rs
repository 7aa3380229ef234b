//! Budgets: a limit on spending in a period, and where it stands.
//!
//! What was spent in a period is kept by the projector in `budget_periods`. A period that it has
//! not touched yet (of a new or changed budget) is summed up from the days' spending, which is
//! bounded by the length of the period.

/// What the periods before carry over into one.
mod rollover;
/// What was spent of budgets in their periods.
mod standing;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Value};
use uuid::Uuid;

use rollover::keep_whole_past;
pub use rollover::{carried, keep_whole_pasts};
pub use standing::{PeriodSum, Standing, history, keep_periods, list, standings};
pub(super) use standing::{all_kept, spent_by_days};

use super::entities::budgets;
use super::given::Given;
use super::sql::{self, all, execute, list as placeholders};
use super::users::check_version;
use super::{StoreError, Tx, users};
use crate::domain::budget::{FormerLimit, Thresholds};
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
    /// The first day of the first period that carries what is left of it over; none: nothing is
    /// carried over.
    pub rollover_from: Option<NaiveDate>,
    /// Limits of periods that began earlier, by their days.
    pub former_limits: Vec<FormerLimit>,
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

    /// The period that is current on a day: of a budget whose first day is still to come, its first.
    #[must_use]
    pub fn current_period(&self, today: NaiveDate) -> Period {
        let day = self.starts_on.map_or(today, |first| first.max(today));
        Period::containing(self.period, self.starts_on, day)
    }

    /// The limit that holds in the period of this first day.
    #[must_use]
    pub fn limit_of(&self, period_start: NaiveDate) -> Money {
        let held = |former: &&FormerLimit| period_start < former.before;
        self.former_limits
            .iter()
            .find(held)
            .map_or(self.limit, |former| {
                Money::new(former.minor, self.currency())
            })
    }

    /// Notes the limit that held in the periods before the current one, if it is another now.
    fn keep_limit(&mut self, before: Money, today: NaiveDate) {
        let start = self.current_period(today).start;
        let is_later = |last: &FormerLimit| last.before < start;
        if before != self.limit && self.former_limits.last().is_none_or(is_later) {
            let (before, minor) = (start, before.minor());
            self.former_limits.push(FormerLimit { before, minor });
        }
    }

    /// Turns the carrying over on or off. It begins with the budget's first day if it has one, and
    /// with the current period otherwise.
    pub fn set_rollover(&mut self, is_on: bool, today: NaiveDate) {
        let first = self.starts_on.unwrap_or(today);
        let first = Period::containing(self.period, self.starts_on, first).start;
        self.rollover_from = is_on.then_some(first);
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
            rollover_from: row.rollover_from,
            former_limits: row
                .former_limits
                .map_or(Ok(Vec::new()), |text| serde_json::from_str(&text))
                .map_err(StoreError::defect)?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Adds a budget.
///
/// # Errors
/// A category that is not the user's, or too long a past to carry over.
pub async fn create(tx: &Tx, budget: &Budget, today: NaiveDate) -> Result<(), StoreError> {
    rollover::check(budget, today)?;
    users::hold(tx, budget.user_id).await?;
    execute(
        &**tx,
        "INSERT INTO budgets (id, user_id, name, amount_minor, currency, period, starts_on, alert_at, \
         version, created_at, updated_at, rollover_from, former_limits) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        values_of(budget)?,
    )
    .await?;
    set_categories(tx, budget).await?;
    keep_whole_past(tx, budget, budget.created_at).await
}

fn values_of(budget: &Budget) -> Result<[Value; 13], StoreError> {
    let former = &budget.former_limits;
    let former = (!former.is_empty()).then(|| serde_json::to_string(former));
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
        budget.rollover_from.into(),
        former.transpose().map_err(StoreError::defect)?.into(),
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
    let text = format!("{} WHERE id = $1 AND user_id = $2", select(db, ""));
    let rows = all(db, text, [id.into(), user_id.into()]).await?;
    let found = from_rows(&rows)?.pop();
    found.ok_or(StoreError::NotFound("budget"))
}

/// All budgets of many users, across users: for the projector.
///
/// # Errors
/// The database cannot be read.
pub async fn of_many_users(
    db: &impl ConnectionTrait,
    user_ids: &[Uuid],
) -> Result<Vec<Budget>, StoreError> {
    let select = select(db, "");
    let text = format!("{select} WHERE user_id IN (SELECT id FROM given) ORDER BY id");
    let given = Given::new(["id"], user_ids.iter().map(|id| [(*id).into()]));
    from_rows(&given.run(db, &text, []).await?)
}

/// Budgets with their categories and more columns, to be followed by which.
fn select(db: &impl ConnectionTrait, more: &str) -> String {
    let (list, aggregate) = match db.get_database_backend() {
        DbBackend::Postgres => ("category_id::text", "string_agg"),
        _ => ("hex(category_id)", "group_concat"),
    };
    format!(
        "SELECT id, user_id, name, amount_minor, currency, period, starts_on, alert_at, version, \
         created_at, updated_at, rollover_from, former_limits, (SELECT {aggregate}({list}, ',') FROM budget_categories \
         WHERE budget_id = budgets.id) AS category_ids{more} FROM budgets"
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
pub async fn count(db: &impl ConnectionTrait, user_id: Uuid) -> Result<u64, StoreError> {
    let text = "SELECT COUNT(*) FROM budgets WHERE user_id = $1";
    sql::count(db, text, [user_id.into()]).await
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
    /// Whether what is left of a period is carried over into the next.
    pub rollover: Option<bool>,
}

/// Changes a budget. A new limit holds from the period on that is current today; those before keep
/// theirs. When what counts has changed, the periods kept so far are dropped: they are summed up anew
/// from the days. With other periods or another currency, limits and carrying over begin anew too.
///
/// # Errors
/// No such budget, a stale version, an amount or a category that does not fit, or too long a past to
/// carry over.
pub async fn change(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
    change: BudgetChange,
    (today, now): (NaiveDate, DateTime<Utc>),
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
    let has_other_periods = before.currency() != after.currency()
        || before.period != after.period
        || before.starts_on != after.starts_on;
    if has_other_periods {
        after.former_limits.clear();
    } else {
        after.keep_limit(before.limit, today);
    }
    let rollover = change.rollover.unwrap_or(before.rollover_from.is_some());
    if has_other_periods || rollover != before.rollover_from.is_some() {
        after.set_rollover(rollover, today);
    }
    rollover::check(&after, today)?;
    after.version += 1;
    after.updated_at = now;
    execute(
        &**tx,
        "UPDATE budgets SET name = $3, amount_minor = $4, currency = $5, period = $6, starts_on = $7, \
         alert_at = $8, version = $9, created_at = $10, updated_at = $11, rollover_from = $12, former_limits = $13 WHERE id = $1 AND user_id = $2",
        values_of(&after)?,
    )
    .await?;
    set_categories(tx, &after).await?;
    let counts_anew = has_other_periods || before.category_ids != after.category_ids;
    if counts_anew {
        execute(
            &**tx,
            "DELETE FROM budget_periods WHERE budget_id = $1",
            [id.into()],
        )
        .await?;
    }
    if counts_anew || before.rollover_from != after.rollover_from {
        keep_whole_past(tx, &after, now).await?;
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
