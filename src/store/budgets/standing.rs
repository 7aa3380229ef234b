//! What was spent of budgets in their periods, and how that is kept.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Value};
use uuid::Uuid;

use super::rollover::carried;
use super::{Budget, from_rows, select};
use crate::domain::money::Money;
use crate::domain::period::Period;
use crate::store::entities::budget_periods;
use crate::store::given::Given;
use crate::store::sql::{all, list as placeholders, one};
use crate::store::{Page, PageRequest, StoreError, Tx};

/// What was spent of a budget in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The period.
    pub period: Period,
    /// The limit that holds in it.
    pub limit: Money,
    /// What the periods before left of theirs, or were spent beyond; zero without carrying over.
    pub carried: Money,
    /// The sum of what counts.
    pub spent: Money,
}

impl Standing {
    /// What may be spent in the period: the limit, and what is carried over.
    #[must_use]
    pub fn available_minor(&self) -> i64 {
        self.limit.minor().saturating_add(self.carried.minor())
    }
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
    let periods = budgets
        .iter()
        .map(|budget| (budget.id, budget.current_period(day)));
    let kept = kept_periods(db, &periods.collect::<Vec<_>>()).await?;
    stand(db, budgets, day, &kept).await
}

/// The user's budgets, oldest first, each with where it stands in the period of a day: what is kept of that comes with
/// them, in one question.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
    day: NaiveDate,
) -> Result<Page<(Budget, Standing), Uuid>, StoreError> {
    let latest = |column| {
        format!(
            ", (SELECT {column} FROM budget_periods WHERE budget_id = budgets.id AND period_start <= $4 \
             ORDER BY period_start DESC LIMIT 1) AS latest_{column}"
        )
    };
    let select = select(db, &(latest("period_start") + &latest("spent_minor")));
    let text = format!("{select} WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let after = page.after.unwrap_or_default();
    let fetch = i64::try_from(page.fetch()).map_err(StoreError::defect)?;
    let values = [user_id.into(), after.into(), fetch.into(), day.into()];
    let rows = all(db, text, values).await?;
    let budgets = from_rows(&rows)?;
    let mut kept = HashMap::new();
    for (budget, row) in budgets.iter().zip(&rows) {
        let start: Option<NaiveDate> = row.try_get("", "latest_period_start")?;
        if let Some(start) = start {
            kept.insert((budget.id, start), row.try_get("", "latest_spent_minor")?);
        }
    }
    let shown = Page::cut(budgets, page.limit, |budget| budget.id);
    let standings = stand(db, &shown.items, day, &kept).await?;
    Ok(Page {
        items: shown.items.into_iter().zip(standings).collect(),
        next: shown.next,
    })
}

/// Where budgets stand, by what is kept of periods and, where nothing is, by the days' spending.
async fn stand(
    db: &impl ConnectionTrait,
    budgets: &[Budget],
    day: NaiveDate,
    kept: &HashMap<(Uuid, NaiveDate), i64>,
) -> Result<Vec<Standing>, StoreError> {
    let wanted = budgets
        .iter()
        .map(|budget| (budget, budget.current_period(day)));
    let wanted: Vec<(&Budget, Period)> = wanted.collect();
    let carried = carried(db, &wanted).await?;
    let mut standings = Vec::with_capacity(budgets.len());
    for (budget, period) in wanted {
        let minor = match kept.get(&(budget.id, period.start)) {
            Some(minor) => *minor,
            None => spent_by_days(db, budget, period).await?,
        };
        let carried = carried.get(&(budget.id, period.start));
        let carried = carried.copied().unwrap_or_default();
        standings.push(standing(budget, period, carried, minor));
    }
    Ok(standings)
}

fn standing(budget: &Budget, period: Period, carried: i64, spent: i64) -> Standing {
    Standing {
        period,
        limit: budget.limit_of(period.start),
        carried: Money::new(carried, budget.currency()),
        spent: Money::new(spent, budget.currency()),
    }
}

/// The sums that the projector keeps of these periods, by budget and first day.
async fn kept_periods(
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
pub(in crate::store) async fn spent_by_days(
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
pub(super) async fn spending_by_day(
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
/// first day on which something counted, or from which on periods carry over. The current one is always there, once it has begun.
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
    let first_day = budget
        .rollover_from
        .map_or(first_day, |first| first.min(first_day));
    let newest = match page.after {
        Some(start) => {
            let seen = Period::containing(budget.period, budget.starts_on, start);
            Period::preceding(budget.period, budget.starts_on, &seen)
        }
        None => budget.current_period(today),
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
    let mut left = carried(db, &[(budget, *oldest)]).await?;
    let mut left = left.remove(&(budget.id, oldest.start)).unwrap_or_default();
    let mut standings = Vec::with_capacity(periods.len());
    for period in periods.iter().rev() {
        let within = days.iter().filter(|(day, _)| period.contains(*day));
        let at = standing(budget, *period, left, within.map(|(_, minor)| minor).sum());
        if budget
            .rollover_from
            .is_some_and(|first| period.start >= first)
        {
            left = at.available_minor().saturating_sub(at.spent.minor());
        }
        standings.push(at);
    }
    standings.reverse();
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

/// A period with the sum it has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodSum {
    /// Of which budget.
    pub budget_id: Uuid,
    /// Whose budget.
    pub user_id: Uuid,
    /// The period.
    pub period: Period,
    /// Minor units.
    pub spent_minor: i64,
}

/// Keeps the sums of periods.
///
/// # Errors
/// A sum would leave the range of amounts.
pub async fn keep_periods(
    tx: &Tx,
    sums: &[PeriodSum],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let columns = [
        "budget_id",
        "period_start",
        "period_end",
        "user_id",
        "spent_minor",
    ];
    let rows = sums.iter().map(|sum| {
        [
            sum.budget_id.into(),
            sum.period.start.into(),
            sum.period.end.into(),
            sum.user_id.into(),
            sum.spent_minor.into(),
        ]
    });
    let text = "INSERT INTO budget_periods (budget_id, period_start, period_end, user_id, spent_minor, updated_at) \
         SELECT budget_id, period_start, period_end, user_id, spent_minor, $1 FROM given WHERE true \
         ON CONFLICT (budget_id, period_start) DO UPDATE SET \
         spent_minor = excluded.spent_minor, updated_at = excluded.updated_at";
    Given::new(columns, rows)
        .run(&**tx, text, [now.into()])
        .await?;
    Ok(())
}

/// Periods as they are kept, across users: for a recount.
pub(in crate::store) async fn all_kept(
    db: &impl ConnectionTrait,
    budget_id: Uuid,
) -> Result<Vec<budget_periods::Model>, StoreError> {
    Ok(budget_periods::Entity::find()
        .filter(budget_periods::Column::BudgetId.eq(budget_id))
        .all(db)
        .await?)
}
