//! What is kept of budgets: the sums of their periods, and the crossings that were told of.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::Finding;
use super::recount::{Recount, sum};
use crate::domain::period::Period;
use crate::domain::transaction::TransactionType;
use crate::store::StoreError;
use crate::store::budgets::{self, Budget};
use crate::store::entities::budget_periods;
use crate::store::sql::{all, count, list};
use crate::store::transactions::PARTS;

impl Recount {
    pub(super) async fn periods(
        &mut self,
        db: &impl ConnectionTrait,
        user_id: Uuid,
    ) -> Result<(), StoreError> {
        for budget in budgets::of_many_users(db, &[user_id]).await? {
            let kept = budgets::all_kept(db, budget.id).await?;
            if kept.is_empty() && budget.rollover_from.is_none() {
                continue;
            }
            self.budget_periods += kept.len() as u64;
            let days = spent_on_days(db, &budget).await?;
            self.missing_periods(&budget, &kept, &days)?;
            for row in kept {
                let (budget_id, period_start, period_end) =
                    (budget.id, row.period_start, row.period_end);
                let period = budget.period_of(period_start).filter(|period| {
                    *period
                        == Period {
                            start: period_start,
                            end: period_end,
                        }
                });
                let Some(period) = period.filter(|_| row.user_id == user_id) else {
                    let found = Finding::StrayPeriod {
                        user_id,
                        budget_id,
                        period_start,
                        period_end,
                    };
                    self.findings.push(found);
                    continue;
                };
                let within = days.range(period.start..=period.end);
                let counted_minor = sum(within.map(|(_, minor)| *minor), user_id)?;
                let kept_minor = row.spent_minor;
                if kept_minor != counted_minor {
                    self.findings.push(Finding::BudgetPeriod {
                        user_id,
                        budget_id,
                        period_start,
                        kept_minor,
                        counted_minor,
                    });
                }
            }
        }
        Ok(())
    }

    /// Of a budget that carries over, no period with spending may be missing.
    fn missing_periods(
        &mut self,
        budget: &Budget,
        kept: &[budget_periods::Model],
        days: &BTreeMap<NaiveDate, i64>,
    ) -> Result<(), StoreError> {
        let Some(first) = budget.rollover_from else {
            return Ok(());
        };
        let mut missing: BTreeMap<NaiveDate, Vec<i64>> = BTreeMap::new();
        for (day, minor) in days.range(first..) {
            let Some(period) = budget.period_of(*day) else {
                continue;
            };
            if !kept.iter().any(|row| row.period_start == period.start) {
                missing.entry(period.start).or_default().push(*minor);
            }
        }
        for (period_start, minors) in missing {
            self.findings.push(Finding::BudgetPeriod {
                user_id: budget.user_id,
                budget_id: budget.id,
                period_start,
                kept_minor: 0,
                counted_minor: sum(minors, budget.user_id)?,
            });
        }
        Ok(())
    }

    /// Each crossing was said by one event, and each such event becomes one alert, historic or not;
    /// alerts go only with their user. Who has ever chosen of what to be told may have turned it off.
    pub(super) async fn crossings(
        &mut self,
        db: &impl ConnectionTrait,
        user_id: Uuid,
    ) -> Result<(), StoreError> {
        let of_user = "FROM (SELECT budget_id, period_start, threshold, event_id FROM budget_crossings \
             UNION ALL SELECT budget_id, period_start, threshold, event_id FROM budget_crossings_past) c \
             JOIN budgets b ON b.id = c.budget_id WHERE b.user_id = $1";
        self.crossings = count(db, format!("SELECT COUNT(*) {of_user}"), [user_id.into()]).await?;
        let text = format!(
            "SELECT c.budget_id, c.period_start, c.threshold, c.event_id {of_user} AND NOT EXISTS \
             (SELECT 1 FROM alerts a WHERE a.user_id = $1 AND a.source_event_id = c.event_id) \
             AND NOT EXISTS (SELECT 1 FROM notification_choices n WHERE n.user_id = $1) \
             ORDER BY c.budget_id, c.period_start, c.threshold"
        );
        for row in all(db, text, [user_id.into()]).await? {
            self.findings.push(Finding::UntoldCrossing {
                user_id,
                budget_id: row.try_get_by_index(0)?,
                period_start: row.try_get_by_index(1)?,
                threshold: row.try_get_by_index(2)?,
                event_id: row.try_get_by_index(3)?,
            });
        }
        Ok(())
    }
}

/// What counts against the budget, by day, from the bookings themselves.
async fn spent_on_days(
    db: &impl ConnectionTrait,
    budget: &Budget,
) -> Result<BTreeMap<NaiveDate, i64>, StoreError> {
    let mut text = format!(
        "SELECT date, CAST(SUM(amount_minor) AS BIGINT) FROM {PARTS} WHERE type = $2 AND currency = $3"
    );
    let mut values: Vec<Value> = vec![
        budget.user_id.into(),
        TransactionType::Expense.as_str().into(),
        budget.currency().code().into(),
    ];
    if !budget.category_ids.is_empty() {
        text.push_str(" AND category_id IN (");
        text.push_str(&list(budget.category_ids.len(), 4));
        text.push(')');
        values.extend(budget.category_ids.iter().map(|id| (*id).into()));
    }
    text.push_str(" GROUP BY date");
    let days = all(db, text, values).await?;
    days.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}
