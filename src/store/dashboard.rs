//! What the dashboard shows of a month: read from the monthly totals, whose size does not depend on
//! how many bookings there are.

use chrono::NaiveDate;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::given::Given;
use super::sql::all;
use super::{NO_CATEGORY, StoreError};
use crate::domain::money::{Currency, Money};
use crate::domain::transaction::TransactionType;

/// A sum of one kind of bookings in a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthSum {
    /// The month's first day.
    pub month: NaiveDate,
    /// Income or expense.
    pub transaction_type: TransactionType,
    /// Minor units.
    pub amount_minor: i64,
}

/// Sums of a month in a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrencySums {
    /// What came in.
    pub income: Money,
    /// What went out.
    pub spending: Money,
}

/// A sum by something that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSum {
    /// What it is; none for bookings without a category.
    pub id: Option<Uuid>,
    /// Its name; none for what exists no more.
    pub name: Option<String>,
    /// Income or expense.
    pub transaction_type: TransactionType,
    /// Minor units.
    pub amount_minor: i64,
    /// How many bookings.
    pub bookings: i64,
}

/// Sums of the months from one to another, both included.
///
/// # Errors
/// The database cannot be read.
pub async fn months(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    currency: Currency,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<MonthSum>, StoreError> {
    let rows = all(
        db,
        "SELECT month, type, CAST(SUM(amount_minor) AS BIGINT) FROM monthly_totals \
         WHERE user_id = $1 AND currency = $2 AND month >= $3 AND month <= $4 GROUP BY month, type",
        [
            user_id.into(),
            currency.code().into(),
            from.into(),
            to.into(),
        ],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let kind: String = row.try_get_by_index(1)?;
            Ok(MonthSum {
                month: row.try_get_by_index(0)?,
                transaction_type: kind.parse().map_err(StoreError::defect)?,
                amount_minor: row.try_get_by_index(2)?,
            })
        })
        .collect()
}

/// Sums of a month in each of these currencies. Each is looked up by itself: joined, PostgreSQL would walk through the
/// user's months in all currencies.
///
/// # Errors
/// The database cannot be read.
pub async fn by_currency(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    currencies: &[Currency],
    month: NaiveDate,
) -> Result<Vec<CurrencySums>, StoreError> {
    let codes = currencies.iter().map(|it| [it.code().into()]);
    let sum = |kind: TransactionType| {
        format!(
            "COALESCE((SELECT CAST(SUM(t.amount_minor) AS BIGINT) FROM monthly_totals t WHERE t.user_id = $1 \
             AND t.currency = given.currency AND t.month = $2 AND t.type = '{kind}'), 0)"
        )
    };
    let text = format!(
        "SELECT given.currency, {}, {} FROM given",
        sum(TransactionType::Income),
        sum(TransactionType::Expense)
    );
    let values = [user_id.into(), month.into()];
    let rows = Given::new(["currency"], codes);
    let rows = rows.run(db, &text, values).await?;
    rows.iter()
        .map(|row| {
            let code: String = row.try_get_by_index(0)?;
            let currency = Currency::parse(&code).map_err(StoreError::defect)?;
            Ok(CurrencySums {
                income: Money::new(row.try_get_by_index(1)?, currency),
                spending: Money::new(row.try_get_by_index(2)?, currency),
            })
        })
        .collect()
}

/// Sums of a month by category, the largest first.
///
/// # Errors
/// The database cannot be read.
pub async fn by_category(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    currency: Currency,
    month: NaiveDate,
) -> Result<Vec<NamedSum>, StoreError> {
    named(db, "category_id", "categories", user_id, currency, month).await
}

/// Sums of a month by wallet, the largest first.
///
/// # Errors
/// The database cannot be read.
pub async fn by_wallet(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    currency: Currency,
    month: NaiveDate,
) -> Result<Vec<NamedSum>, StoreError> {
    named(db, "wallet_id", "wallets", user_id, currency, month).await
}

async fn named(
    db: &impl ConnectionTrait,
    column: &'static str,
    table: &'static str,
    user_id: Uuid,
    currency: Currency,
    month: NaiveDate,
) -> Result<Vec<NamedSum>, StoreError> {
    let text = format!(
        "SELECT t.{column}, n.name, t.type, CAST(SUM(t.amount_minor) AS BIGINT), CAST(SUM(t.bookings) AS BIGINT) FROM monthly_totals t \
         LEFT JOIN {table} n ON n.id = t.{column} AND n.user_id = t.user_id \
         WHERE t.user_id = $1 AND t.currency = $2 AND t.month = $3 \
         GROUP BY t.{column}, n.name, t.type HAVING SUM(t.bookings) <> 0 \
         ORDER BY SUM(t.amount_minor) DESC, t.{column}"
    );
    let rows = all(
        db,
        text,
        [user_id.into(), currency.code().into(), month.into()],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let id: Uuid = row.try_get_by_index(0)?;
            let kind: String = row.try_get_by_index(2)?;
            Ok(NamedSum {
                id: (id != NO_CATEGORY).then_some(id),
                name: row.try_get_by_index(1)?,
                transaction_type: kind.parse().map_err(StoreError::defect)?,
                amount_minor: row.try_get_by_index(3)?,
                bookings: row.try_get_by_index(4)?,
            })
        })
        .collect()
}
