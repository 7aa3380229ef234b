//! Counts what is a user's, and compares. Differences are found by the database: what comes back is
//! bounded by what is wrong, not by how long a history is.
//!
//! A cell of zero is as good as none: the projector leaves some behind when bookings move away.

use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use super::deliveries::Deliveries;
use super::pending::Pending;
use super::{Finding, references};
use crate::domain::money::Currency;
use crate::domain::transaction::TransactionType;
use crate::store::read_models::{DailyKey, MonthlyKey, Total};
use crate::store::search::Tally;
use crate::store::sql::{all, count, month_of};
use crate::store::transactions::PARTS;
use crate::store::{NO_CATEGORY, StoreError};

/// What was counted of one user, and what differs.
#[derive(Debug, Default)]
pub(super) struct Recount {
    pub(super) wallets: u64,
    pub(super) goals: u64,
    pub(super) monthly_cells: u64,
    pub(super) daily_cells: u64,
    pub(super) budget_periods: u64,
    pub(super) crossings: u64,
    pub(super) words: u64,
    pub(super) deliveries: u64,
    pub(super) findings: Vec<Finding>,
    sums_pending: bool,
    alerts_pending: bool,
}

impl Recount {
    pub(super) async fn of(
        db: &impl ConnectionTrait,
        user_id: Uuid,
        pending: &Pending,
        deliveries: &Deliveries,
    ) -> Result<Self, StoreError> {
        let mut recount = Self {
            sums_pending: pending.bookings(user_id),
            alerts_pending: pending.crossings(user_id),
            findings: references::findings(db, user_id).await?,
            ..Self::default()
        };
        recount.wallets(db, user_id).await?;
        recount.goals(db, user_id).await?;
        if !recount.sums_pending {
            recount.monthly(db, user_id).await?;
            recount.daily(db, user_id).await?;
            recount.periods(db, user_id).await?;
            recount.words(db, user_id).await?;
        }
        if !recount.alerts_pending {
            recount.crossings(db, user_id).await?;
        }
        let (count, misfits) = deliveries.of_user(user_id);
        recount.deliveries = count;
        recount.findings.extend(misfits);
        Ok(recount)
    }

    /// Whether something of the user's could not be told.
    pub(super) fn is_pending(&self) -> bool {
        self.sums_pending || self.alerts_pending
    }

    /// Whether there is something to repair, and nothing on its way that it would be added to.
    pub(super) fn can_repair(&self) -> bool {
        !self.sums_pending && self.findings.iter().any(Finding::can_repair)
    }

    async fn wallets(
        &mut self,
        db: &impl ConnectionTrait,
        user_id: Uuid,
    ) -> Result<(), StoreError> {
        let rows = all(
            db,
            "SELECT w.id, w.balance_minor, w.opening_balance_minor, COALESCE(b.minor, 0) FROM wallets w \
             LEFT JOIN (SELECT wallet_id, \
             CAST(SUM(minor) AS BIGINT) AS minor FROM ( \
             SELECT wallet_id, CASE type WHEN $2 THEN amount_minor ELSE -amount_minor END AS minor \
             FROM transactions WHERE user_id = $1 UNION ALL \
             SELECT to_wallet_id, amount_minor FROM transfers WHERE user_id = $1) moves \
             GROUP BY wallet_id) b ON b.wallet_id = w.id \
             WHERE w.user_id = $1 ORDER BY w.id",
            [user_id.into(), TransactionType::Income.as_str().into()],
        )
        .await?;
        self.wallets = rows.len() as u64;
        for row in &rows {
            let wallet_id = row.try_get_by_index(0)?;
            let kept_minor = row.try_get_by_index(1)?;
            let counted_minor = sum(
                [row.try_get_by_index(2)?, row.try_get_by_index(3)?],
                user_id,
            )?;
            if kept_minor != counted_minor {
                let found = Finding::WalletBalance {
                    user_id,
                    wallet_id,
                    kept_minor,
                    counted_minor,
                };
                self.findings.push(found);
            }
        }
        Ok(())
    }

    async fn goals(&mut self, db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), StoreError> {
        let text = "SELECT g.id, g.contributed_minor, CAST(COALESCE(SUM(c.amount_minor), 0) AS BIGINT) \
             FROM goals g LEFT JOIN goal_contributions c ON c.goal_id = g.id AND c.user_id = g.user_id \
             WHERE g.user_id = $1 GROUP BY g.id, g.contributed_minor ORDER BY g.id";
        for row in all(db, text, [user_id.into()]).await? {
            let (goal_id, kept_minor) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let counted_minor = row.try_get_by_index(2)?;
            self.goals += 1;
            if kept_minor != counted_minor {
                self.findings.push(Finding::GoalSum {
                    user_id,
                    goal_id,
                    kept_minor,
                    counted_minor,
                });
            }
        }
        Ok(())
    }

    async fn monthly(
        &mut self,
        db: &impl ConnectionTrait,
        user_id: Uuid,
    ) -> Result<(), StoreError> {
        self.monthly_cells = count(
            db,
            "SELECT COUNT(*) FROM monthly_totals WHERE user_id = $1",
            [user_id.into()],
        )
        .await?;
        let statement = format!(
            "SELECT currency, month, type, category_id, wallet_id, CAST(SUM(kept) AS BIGINT), \
             CAST(SUM(kept_bookings) AS BIGINT), CAST(SUM(counted) AS BIGINT), \
             CAST(SUM(counted_bookings) AS BIGINT) FROM ( \
             SELECT currency, month, type, category_id, wallet_id, \
             amount_minor AS kept, bookings AS kept_bookings, 0 AS counted, 0 AS counted_bookings \
             FROM monthly_totals WHERE user_id = $1 UNION ALL \
             SELECT currency, {}, type, COALESCE(category_id, $2), wallet_id, \
             0, 0, amount_minor, 1 FROM {PARTS}) cells \
             GROUP BY currency, month, type, category_id, wallet_id \
             HAVING SUM(kept) <> SUM(counted) OR SUM(kept_bookings) <> SUM(counted_bookings) \
             ORDER BY currency, month, type, category_id, wallet_id",
            month_of(db, "date")
        );
        let rows = all(db, statement, [user_id.into(), NO_CATEGORY.into()]).await?;
        for row in &rows {
            let key = MonthlyKey {
                user_id,
                currency: currency(row, 0, user_id)?,
                month: row.try_get_by_index(1)?,
                transaction_type: text(row, 2)?
                    .parse()
                    .map_err(|error| unreadable(user_id, "a type", error))?,
                category_id: category(row, 3)?,
                wallet_id: row.try_get_by_index(4)?,
            };
            let total = |amount, bookings| {
                Ok::<_, DbErr>(Total {
                    amount_minor: row.try_get_by_index(amount)?,
                    bookings: row.try_get_by_index(bookings)?,
                })
            };
            let (kept, counted) = (total(5, 6)?, total(7, 8)?);
            self.findings
                .push(Finding::MonthlyTotal { key, kept, counted });
        }
        Ok(())
    }

    async fn words(&mut self, db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), StoreError> {
        let kept = Tally::kept(db, user_id).await?;
        let counted = Tally::counted(db, user_id).await?;
        self.words = kept.words;
        if kept != counted {
            self.findings.push(Finding::Words {
                user_id,
                kept: kept.words,
                counted: counted.words,
            });
        }
        Ok(())
    }

    async fn daily(&mut self, db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), StoreError> {
        self.daily_cells = count(
            db,
            "SELECT COUNT(*) FROM daily_spending WHERE user_id = $1",
            [user_id.into()],
        )
        .await?;
        let statement = format!(
            "SELECT currency, date, category_id, CAST(SUM(kept) AS BIGINT), CAST(SUM(counted) AS BIGINT) FROM ( \
             SELECT currency, date, category_id, amount_minor AS kept, 0 AS counted \
             FROM daily_spending WHERE user_id = $1 UNION ALL \
             SELECT currency, date, COALESCE(category_id, $2), 0, amount_minor \
             FROM {PARTS} WHERE type = $3) cells \
             GROUP BY currency, date, category_id HAVING SUM(kept) <> SUM(counted) \
             ORDER BY currency, date, category_id"
        );
        let rows = all(
            db,
            statement,
            [
                user_id.into(),
                NO_CATEGORY.into(),
                TransactionType::Expense.as_str().into(),
            ],
        )
        .await?;
        for row in &rows {
            let key = DailyKey {
                user_id,
                currency: currency(row, 0, user_id)?,
                date: row.try_get_by_index(1)?,
                category_id: category(row, 2)?,
            };
            let (kept_minor, counted_minor) = (row.try_get_by_index(3)?, row.try_get_by_index(4)?);
            self.findings.push(Finding::DailySpending {
                key,
                kept_minor,
                counted_minor,
            });
        }
        Ok(())
    }
}

pub(super) fn sum(minors: impl IntoIterator<Item = i64>, user_id: Uuid) -> Result<i64, StoreError> {
    minors
        .into_iter()
        .try_fold(0_i64, i64::checked_add)
        .ok_or_else(|| {
            StoreError::defect(format!(
                "user {user_id}: a recounted sum leaves the range of amounts"
            ))
        })
}

fn currency(row: &QueryResult, index: usize, user_id: Uuid) -> Result<Currency, StoreError> {
    Currency::parse(&text(row, index)?).map_err(|error| unreadable(user_id, "a currency", error))
}

fn category(row: &QueryResult, index: usize) -> Result<Option<Uuid>, DbErr> {
    let id: Uuid = row.try_get_by_index(index)?;
    Ok((id != NO_CATEGORY).then_some(id))
}

fn text(row: &QueryResult, index: usize) -> Result<String, DbErr> {
    row.try_get_by_index(index)
}

fn unreadable(user_id: Uuid, what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::defect(format!("user {user_id}: {what} cannot be read: {error}"))
}
