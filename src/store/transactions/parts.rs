//! What a booking may have besides: the other side of a transfer, splits, tags. Each is rows of a table of its own,
//! written with the booking and read with it.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult};
use serde::Deserialize;
use uuid::Uuid;

use super::Transaction;
use crate::domain::money::{Currency, Money};
use crate::store::given::Given;
use crate::store::sql::execute;
use crate::store::{NO_CATEGORY, StoreError, Tx};

/// The other side of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The wallet that the money goes to.
    pub to_wallet_id: Uuid,
    /// What arrives there, above zero, in that wallet's currency.
    pub to_amount: Money,
}

/// A part of a booking, in a category of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What it was earned by or spent on.
    pub category_id: Option<Uuid>,
    /// Above zero, in the wallet's currency.
    pub amount: Money,
    /// What it was.
    pub description: Option<String>,
}

/// What a booking has besides; most have none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Where the money of a transfer goes.
    pub transfer: Option<Transfer>,
    /// Two or more that make the amount, or none.
    pub splits: Vec<Split>,
    /// In the order of the alphabet, each once.
    pub tags: Vec<String>,
}

impl Parts {
    fn is_empty(&self) -> bool {
        self.transfer.is_none() && self.splits.is_empty() && self.tags.is_empty()
    }
}

/// The bookings that are earned or spent, in the parts that sums are made of: `user_id`, `wallet_id`, `type`,
/// `currency`, `date`, `category_id`, `amount_minor`. For a statement that names it `parts`, of the user who is its
/// first value.
pub(in crate::store) const PARTS: &str = "(SELECT t.user_id, t.wallet_id, t.type, t.currency, t.date, \
     CASE WHEN s.transaction_id IS NULL THEN t.category_id ELSE s.category_id END AS category_id, \
     COALESCE(s.amount_minor, t.amount_minor) AS amount_minor \
     FROM transactions t LEFT JOIN transaction_splits s ON s.transaction_id = t.id \
     WHERE t.user_id = $1 AND t.type <> 'transfer') AS parts";

/// The columns `transfer` and `splits`, each a text of JSON, for a statement on `transactions`. Looked up row by row,
/// where there can be some: a page has few. Tags stand in the booking's own row as well.
pub(super) fn columns(db: &impl ConnectionTrait) -> String {
    let (array, all, id) = match db.get_database_backend() {
        DbBackend::Postgres => ("json_build_array", "json_agg", ""),
        _ => ("json_array", "json_group_array", "hex"),
    };
    format!(
        "CASE WHEN transactions.type = 'transfer' THEN \
           (SELECT CAST({array}({id}(to_wallet_id), amount_minor, currency) AS TEXT) FROM transfers \
             WHERE transaction_id = transactions.id) END AS transfer, \
         CASE WHEN transactions.category_id IS NULL AND transactions.type <> 'transfer' THEN (SELECT CAST({all}({array}({id}(category_id), amount_minor, description)) AS TEXT) \
           FROM (SELECT category_id, amount_minor, description FROM transaction_splits \
             WHERE transaction_id = transactions.id ORDER BY place) AS ordered) END AS splits"
    )
}

/// As [`columns`] writes them; SQLite gives no rows as an empty array.
pub(super) fn of_row(row: &QueryResult, currency: Currency) -> Result<Parts, StoreError> {
    let transfer: Option<(Uuid, i64, String)> = json(row, "transfer")?;
    let transfer = transfer.map(|(to_wallet_id, minor, code)| {
        let currency = Currency::parse(&code).map_err(StoreError::defect)?;
        Ok::<_, StoreError>(Transfer {
            to_wallet_id,
            to_amount: Money::new(minor, currency),
        })
    });
    let splits: Option<Vec<(CategoryId, i64, Option<String>)>> = json(row, "splits")?;
    let splits = splits.unwrap_or_default().into_iter();
    let splits = splits.map(|(category_id, minor, description)| {
        Ok::<_, StoreError>(Split {
            category_id: category_id.read()?,
            amount: Money::new(minor, currency),
            description,
        })
    });
    let tags: Option<Vec<String>> = json(row, "tags")?;
    Ok(Parts {
        transfer: transfer.transpose()?,
        splits: splits.collect::<Result<_, _>>()?,
        tags: tags.unwrap_or_default(),
    })
}

fn json<T: for<'a> Deserialize<'a>>(
    row: &QueryResult,
    column: &str,
) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.try_get("", column)?;
    let read = |text: String| serde_json::from_str(&text).map_err(StoreError::defect);
    text.map(read).transpose()
}

/// A uuid, or null, which SQLite's `hex` makes an empty text of.
#[derive(Deserialize)]
struct CategoryId(Option<String>);

impl CategoryId {
    fn read(self) -> Result<Option<Uuid>, StoreError> {
        let id = self.0.filter(|id| !id.is_empty());
        id.map(|id| Uuid::parse_str(&id).map_err(StoreError::defect))
            .transpose()
    }
}

/// Writes what the booking has.
pub(super) async fn insert(
    tx: &Tx,
    user_id: Uuid,
    transaction: &Transaction,
) -> Result<(), StoreError> {
    let (id, date, parts) = (transaction.id, transaction.date, &transaction.parts);
    if let Some(transfer) = parts.transfer {
        let values = [
            id.into(),
            user_id.into(),
            transfer.to_wallet_id.into(),
            transfer.to_amount.minor().into(),
            transfer.to_amount.currency().code().into(),
            date.into(),
        ];
        let text = "INSERT INTO transfers (transaction_id, user_id, to_wallet_id, amount_minor, currency, date) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        execute(&**tx, text, values).await?;
    }
    let splits = (0_i16..).zip(&parts.splits).map(|(place, split)| {
        [
            place.into(),
            split.category_id.unwrap_or(NO_CATEGORY).into(),
            split.amount.minor().into(),
            split.description.clone().unwrap_or_default().into(),
        ]
    });
    let text = "INSERT INTO transaction_splits \
         (transaction_id, place, user_id, category_id, amount_minor, description, date) \
         SELECT $1, place, $2, NULLIF(category_id, $3), amount_minor, NULLIF(description, ''), $4 FROM given";
    let values = [id.into(), user_id.into(), NO_CATEGORY.into(), date.into()];
    Given::new(
        ["place", "category_id", "amount_minor", "description"],
        splits,
    )
    .run(&**tx, text, values)
    .await?;
    let tags = parts.tags.iter().map(|tag| [tag.clone().into()]);
    let text = "INSERT INTO transaction_tags (user_id, tag, date, transaction_id) SELECT $2, tag, $3, $1 FROM given";
    Given::new(["tag"], tags)
        .run(&**tx, text, [id.into(), user_id.into(), date.into()])
        .await?;
    Ok(())
}

/// Puts what the booking has now in the place of what it had.
pub(super) async fn replace(
    tx: &Tx,
    user_id: Uuid,
    before: &Transaction,
    after: &Transaction,
) -> Result<(), StoreError> {
    let is_same =
        before.parts == after.parts && (before.date == after.date || after.parts.is_empty());
    if is_same {
        return Ok(());
    }
    let parts = [
        ("transfers", before.parts.transfer.is_some()),
        ("transaction_splits", !before.parts.splits.is_empty()),
        ("transaction_tags", !before.parts.tags.is_empty()),
    ];
    for (table, has_some) in parts {
        if has_some {
            let text = format!("DELETE FROM {table} WHERE transaction_id = $1 AND user_id = $2");
            execute(&**tx, text, [before.id.into(), user_id.into()]).await?;
        }
    }
    insert(tx, user_id, after).await
}
