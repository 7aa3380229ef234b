//! What periods carry over: of a budget with rollover, all that the periods before left of their limits
//! is added to the limit of the next, and what was spent beyond is taken off.
//!
//! So that no answer adds up years of days, the projector's sums of its periods are whole: where there
//! is none, nothing was spent.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Months, NaiveDate, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::standing::{PeriodSum, keep_periods, spending_by_day};
use super::{Budget, of_many_users};
use crate::domain::period::Period;
use crate::store::given::Given;
use crate::store::{StoreError, Tx};

/// How far back the first day of a budget with rollover may lie.
const YEARS_MAX: u32 = 10;

/// The last day that a booking may have.
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a day");

/// Refuses a budget that would carry over from too long ago.
pub(super) fn check(budget: &Budget, today: NaiveDate) -> Result<(), StoreError> {
    let earliest = today.checked_sub_months(Months::new(12 * YEARS_MAX));
    match (budget.rollover_from, earliest) {
        (Some(first), Some(earliest)) if first < earliest => {
            let detail = format!("with rollover, at most {YEARS_MAX} years ago");
            Err(StoreError::invalid("starts_on", detail))
        }
        _ => Ok(()),
    }
}

/// What is carried over into these periods, in minor units, by budget and first day; nothing where it
/// is none of a budget with rollover.
///
/// # Errors
/// The database cannot be read.
pub async fn carried(
    db: &impl ConnectionTrait,
    periods: &[(&Budget, Period)],
) -> Result<HashMap<(Uuid, NaiveDate), i64>, StoreError> {
    let mut carried = HashMap::new();
    let mut keys = Vec::new();
    for (budget, period) in periods {
        let Some(first) = budget.rollover_from.filter(|first| *first < period.start) else {
            continue;
        };
        carried.insert(
            (budget.id, period.start),
            limits(budget, first, period.start),
        );
        keys.push([budget.id.into(), first.into(), period.start.into()]);
    }
    let text = "SELECT given.budget_id, given.period_start, CAST(SUM(kept.spent_minor) AS BIGINT) FROM given \
         JOIN budget_periods kept ON kept.budget_id = given.budget_id \
         AND kept.period_start >= given.first_day AND kept.period_start < given.period_start \
         GROUP BY given.budget_id, given.period_start";
    let given = Given::new(["budget_id", "first_day", "period_start"], keys);
    for row in given.run(db, text, []).await? {
        let key = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let spent: i64 = row.try_get_by_index(2)?;
        if let Some(minor) = carried.get_mut(&key) {
            *minor = minor.saturating_sub(spent);
        }
    }
    Ok(carried)
}

/// The sum of the limits of the periods from a first day on until before another.
fn limits(budget: &Budget, first: NaiveDate, until: NaiveDate) -> i64 {
    let (kind, anchor) = (budget.period, budget.starts_on);
    let mut sum = 0_i64;
    let mut period = Period::containing(kind, anchor, first);
    while period.start < until {
        sum = sum.saturating_add(budget.limit_of(period.start).minor());
        period = Period::following(kind, anchor, &period);
    }
    sum
}

/// Keeps the sums of all periods of a budget with rollover in which something counted, as the days
/// have them. To be called whenever they were dropped, or the budget begins to carry over.
///
/// # Errors
/// The unit of work cannot go on.
pub(super) async fn keep_whole_past(
    tx: &Tx,
    budget: &Budget,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(first) = budget.rollover_from else {
        return Ok(());
    };
    let mut sums: BTreeMap<NaiveDate, PeriodSum> = BTreeMap::new();
    for (day, minor) in spending_by_day(&**tx, budget, first, LAST_DAY).await? {
        let period = Period::containing(budget.period, budget.starts_on, day);
        let empty = PeriodSum {
            budget_id: budget.id,
            user_id: budget.user_id,
            period,
            spent_minor: 0,
        };
        sums.entry(period.start).or_insert(empty).spent_minor += minor;
    }
    let sums: Vec<PeriodSum> = sums.into_values().collect();
    keep_periods(tx, &sums, now).await
}

/// The same of all budgets of a user.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn keep_whole_pasts(
    tx: &Tx,
    user_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for budget in of_many_users(&**tx, &[user_id]).await? {
        keep_whole_past(tx, &budget, now).await?;
    }
    Ok(())
}
