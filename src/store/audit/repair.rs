//! Puts recounted sums in the place of those that differ, in the unit of work in which they were
//! counted.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Finding;
use super::deliveries::Deliveries;
use super::pending::Pending;
use super::recount::Recount;
use crate::domain::transaction::TransactionType;
use crate::events::catalogue::PROJECTOR;
use crate::store::sql::{execute, month_of};
use crate::store::transactions::PARTS;
use crate::store::{NO_CATEGORY, StoreError, Tx, budgets, dead_letters, search, users, wallets};

/// Counts the user again and repairs what differs; gives the count and how many differences are
/// gone. Whoever has got bookings on their way since is left alone.
pub(super) async fn user(
    tx: &Tx,
    user_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(Recount, u64), StoreError> {
    users::hold(tx, user_id).await?;
    wallets::hold_all(tx, user_id).await?;
    let pending = Pending::of(&**tx, &[user_id]).await?;
    let deliveries = Deliveries::of(&**tx, &[user_id], now).await?;
    let recount = Recount::of(&**tx, user_id, &pending, &deliveries).await?;
    if !recount.can_repair() {
        return Ok((recount, 0));
    }
    let (mut monthly, mut daily, mut words) = (false, false, false);
    for finding in &recount.findings {
        match finding {
            Finding::MonthlyTotal { .. } => monthly = true,
            Finding::DailySpending { .. } => daily = true,
            Finding::Words { .. } => words = true,
            other => repair_row(tx, other, now).await?,
        }
    }
    if monthly {
        replace_monthly(tx, user_id).await?;
    }
    if daily {
        replace_daily(tx, user_id).await?;
    }
    if words {
        search::replace(tx, user_id).await?;
    }
    // What was dropped or is missing of a budget that carries over.
    budgets::keep_whole_pasts(tx, user_id, now).await?;
    // What was refused is counted now: re-driven, it would be counted twice.
    dead_letters::settle(tx, PROJECTOR, user_id, now).await?;
    let repaired = recount
        .findings
        .iter()
        .filter(|finding| finding.can_repair())
        .count();
    Ok((recount, repaired as u64))
}

async fn repair_row(tx: &Tx, finding: &Finding, now: DateTime<Utc>) -> Result<(), StoreError> {
    match finding {
        Finding::WalletBalance {
            user_id,
            wallet_id,
            counted_minor,
            ..
        } => {
            execute(
                &**tx,
                "UPDATE wallets SET balance_minor = $3 WHERE id = $1 AND user_id = $2",
                [
                    (*wallet_id).into(),
                    (*user_id).into(),
                    (*counted_minor).into(),
                ],
            )
            .await?;
        }
        Finding::BudgetPeriod {
            budget_id,
            period_start,
            counted_minor,
            ..
        } => {
            execute(
                &**tx,
                "UPDATE budget_periods SET spent_minor = $3, updated_at = $4 \
                 WHERE budget_id = $1 AND period_start = $2",
                [
                    (*budget_id).into(),
                    (*period_start).into(),
                    (*counted_minor).into(),
                    now.into(),
                ],
            )
            .await?;
        }
        // What stood in its place is summed up from the days, as for a new budget.
        Finding::StrayPeriod {
            budget_id,
            period_start,
            ..
        } => {
            execute(
                &**tx,
                "DELETE FROM budget_periods WHERE budget_id = $1 AND period_start = $2",
                [(*budget_id).into(), (*period_start).into()],
            )
            .await?;
        }
        Finding::GoalSum {
            user_id,
            goal_id,
            counted_minor,
            ..
        } => {
            execute(
                &**tx,
                "UPDATE goals SET contributed_minor = $3 WHERE id = $1 AND user_id = $2",
                [
                    (*goal_id).into(),
                    (*user_id).into(),
                    (*counted_minor).into(),
                ],
            )
            .await?;
        }
        Finding::MonthlyTotal { .. }
        | Finding::DailySpending { .. }
        | Finding::Words { .. }
        | Finding::UntoldCrossing { .. }
        | Finding::Foreign { .. }
        | Finding::Currency { .. }
        | Finding::Splits { .. }
        | Finding::StrayPart { .. }
        | Finding::Recurring { .. }
        | Finding::Delivery { .. } => {}
    }
    Ok(())
}

pub(super) async fn replace_monthly(tx: &Tx, user_id: Uuid) -> Result<(), StoreError> {
    execute(
        &**tx,
        "DELETE FROM monthly_totals WHERE user_id = $1",
        [user_id.into()],
    )
    .await?;
    let text = format!(
        "INSERT INTO monthly_totals (user_id, currency, month, type, category_id, wallet_id, amount_minor, bookings) \
         SELECT $1, currency, {}, type, COALESCE(category_id, $2), wallet_id, \
         SUM(amount_minor), COUNT(*) FROM {PARTS} GROUP BY 2, 3, 4, 5, 6",
        month_of(&**tx, "date")
    );
    execute(&**tx, text, [user_id.into(), NO_CATEGORY.into()]).await?;
    Ok(())
}

pub(super) async fn replace_daily(tx: &Tx, user_id: Uuid) -> Result<(), StoreError> {
    execute(
        &**tx,
        "DELETE FROM daily_spending WHERE user_id = $1",
        [user_id.into()],
    )
    .await?;
    let text = format!(
        "INSERT INTO daily_spending (user_id, currency, date, category_id, amount_minor) \
         SELECT $1, currency, date, COALESCE(category_id, $2), SUM(amount_minor) FROM {PARTS} \
         WHERE type = $3 GROUP BY 2, 3, 4"
    );
    execute(
        &**tx,
        text,
        [
            user_id.into(),
            NO_CATEGORY.into(),
            TransactionType::Expense.as_str().into(),
        ],
    )
    .await?;
    Ok(())
}
