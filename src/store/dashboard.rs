//! What the dashboard shows of a month: read from the monthly totals, whose size does not depend on
//! how many bookings there are.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait, DbErr};
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

/// What the dashboard shows of the bookings in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Of the months up to the one that is shown.
    pub months: Vec<MonthSum>,
    /// Of that month by category, the largest first.
    pub by_category: Vec<NamedSum>,
    /// Of that month by wallet, the largest first.
    pub by_wallet: Vec<NamedSum>,
}

/// Sums of the months from one to another, both included, with what the last is made of: in one statement, since each
/// costs as much by itself as what it reads.
///
/// # Errors
/// The database cannot be read.
pub async fn sums(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    currency: Currency,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Sums, StoreError> {
    let rows = all(
        db,
        "SELECT t.month, t.type, t.amount_minor, t.bookings, t.category_id, c.name, t.wallet_id, w.name \
         FROM monthly_totals t \
         LEFT JOIN categories c ON c.id = t.category_id AND c.user_id = t.user_id \
         LEFT JOIN wallets w ON w.id = t.wallet_id AND w.user_id = t.user_id \
         WHERE t.user_id = $1 AND t.currency = $2 AND t.month = $4 \
         UNION ALL \
         SELECT month, type, CAST(SUM(amount_minor) AS BIGINT), NULL, NULL, NULL, NULL, NULL FROM monthly_totals \
         WHERE user_id = $1 AND currency = $2 AND month >= $3 AND month < $4 GROUP BY month, type",
        [
            user_id.into(),
            currency.code().into(),
            from.into(),
            to.into(),
        ],
    )
    .await?;
    let mut months: BTreeMap<(NaiveDate, TransactionType), i64> = BTreeMap::new();
    let (mut by_category, mut by_wallet) = (Groups::default(), Groups::default());
    for row in &rows {
        let kind: String = row.try_get_by_index(1)?;
        let kind: TransactionType = kind.parse().map_err(StoreError::defect)?;
        let minor = row.try_get_by_index(2)?;
        raise(
            months.entry((row.try_get_by_index(0)?, kind)).or_default(),
            minor,
        )?;
        if let Some(bookings) = row.try_get_by_index(3)? {
            let (category_id, wallet_id) = (row.try_get_by_index(4)?, row.try_get_by_index(6)?);
            by_category.add((category_id, kind), (minor, bookings), || {
                row.try_get_by_index(5)
            })?;
            by_wallet.add((wallet_id, kind), (minor, bookings), || {
                row.try_get_by_index(7)
            })?;
        }
    }
    let months = months.into_iter();
    Ok(Sums {
        months: months
            .map(|((month, transaction_type), amount_minor)| MonthSum {
                month,
                transaction_type,
                amount_minor,
            })
            .collect(),
        by_category: by_category.largest_first(),
        by_wallet: by_wallet.largest_first(),
    })
}

fn raise(sum: &mut i64, minor: i64) -> Result<(), StoreError> {
    let raised = sum.checked_add(minor);
    *sum = raised.ok_or_else(|| StoreError::defect("a month's sum is too large"))?;
    Ok(())
}

/// Sums by what they are of, and by kind.
#[derive(Debug, Default)]
struct Groups(BTreeMap<(Uuid, TransactionType), NamedSum>);

impl Groups {
    fn add(
        &mut self,
        (id, transaction_type): (Uuid, TransactionType),
        (minor, bookings): (i64, i64),
        name: impl FnOnce() -> Result<Option<String>, DbErr>,
    ) -> Result<(), StoreError> {
        let group = match self.0.entry((id, transaction_type)) {
            Entry::Occupied(group) => group.into_mut(),
            Entry::Vacant(group) => group.insert(NamedSum {
                id: (id != NO_CATEGORY).then_some(id),
                name: name()?,
                transaction_type,
                amount_minor: 0,
                bookings: 0,
            }),
        };
        group.bookings += bookings;
        raise(&mut group.amount_minor, minor)
    }

    /// Those of one size in the order of their ids. What no booking is left of is nothing.
    fn largest_first(self) -> Vec<NamedSum> {
        let mut sums: Vec<NamedSum> = self.0.into_values().filter(|it| it.bookings != 0).collect();
        sums.sort_by_key(|it| Reverse(it.amount_minor));
        sums
    }
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
