//! Lists of bookings, the newest day first. A page walks one index from where the last one ended, or two: what is in a
//! wallet or a category may be so by the other side of a transfer, or by a split.

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Value};
use uuid::Uuid;

use super::{Transaction, parts};
use crate::domain::money::Currency;
use crate::domain::transaction::TransactionType;
use crate::store::entities::transactions;
use crate::store::sql::{all, one};
use crate::store::{Page, PageRequest, StoreError};

/// Which bookings a list shows; what is none does not filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this wallet, on either side of a transfer.
    pub wallet_id: Option<Uuid>,
    /// In this category, whole or by a split.
    pub category_id: Option<Uuid>,
    /// Income, expenses or transfers.
    pub transaction_type: Option<TransactionType>,
    /// On or after this day.
    pub from: Option<NaiveDate>,
    /// On or before this day.
    pub to: Option<NaiveDate>,
    /// Of at least so many minor units.
    pub min_minor: Option<i64>,
    /// Of at most so many minor units.
    pub max_minor: Option<i64>,
    /// In this currency.
    pub currency: Option<Currency>,
    /// With this tag.
    pub tag: Option<String>,
}

/// The key of a list of bookings: the newest day first, on a day the last recorded first.
pub type ByDate = (NaiveDate, Uuid);

/// The user's bookings, newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    filter: &Filter,
    page: PageRequest<ByDate>,
) -> Result<Page<Transaction, ByDate>, StoreError> {
    let key = |transaction: &Transaction| (transaction.date, transaction.id);
    let mut found = Vec::new();
    let sources = Source::of(filter);
    for source in &sources {
        let mut wanted = Wanted::of(db, *source, user_id, filter);
        wanted.page(db, *source, page);
        let rows = all(db, wanted.text, wanted.values).await?;
        for row in &rows {
            found.push(from_row(row)?);
        }
    }
    if sources.len() > 1 {
        found.sort_unstable_by_key(|transaction| std::cmp::Reverse(key(transaction)));
    }
    Ok(Page::cut(found, page.limit, key))
}

/// The bookings of the keys `date` and `transaction_id` that a statement with its values gives, each with its key; none
/// where it is not the user's, or not as the filter wants.
pub(in crate::store) async fn of_keys(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    filter: &Filter,
    keys: &str,
    values: Vec<Value>,
) -> Result<Vec<(ByDate, Option<Transaction>)>, StoreError> {
    let select = Source::Keys.select(db);
    let text = format!(
        "{select} FROM ({keys}) AS keys LEFT JOIN transactions ON transactions.id = keys.transaction_id"
    );
    let mut wanted = Wanted { text, values };
    wanted.conditions(Source::Keys, user_id, filter);
    let rows = all(db, wanted.text, wanted.values).await?;
    let found = rows.iter().map(|row| {
        let key = (row.try_get("", "key_date")?, row.try_get("", "key_id")?);
        let id: Option<Uuid> = row.try_get("", "id")?;
        Ok((key, id.map(|_| from_row(row)).transpose()?))
    });
    found.collect()
}

/// The user's booking of this id.
///
/// # Errors
/// There is none.
pub async fn get(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    id: Uuid,
) -> Result<Transaction, StoreError> {
    let columns = parts::columns(db);
    let text = format!(
        "SELECT transactions.*, {columns} FROM transactions WHERE id = $1 AND user_id = $2"
    );
    let row = one(db, text, [id.into(), user_id.into()]).await?;
    from_row(&row.ok_or(StoreError::NotFound("transaction"))?)
}

fn from_row(row: &QueryResult) -> Result<Transaction, StoreError> {
    let booked = transactions::Model::from_query_result(row, "")?;
    let currency = Currency::parse(&booked.currency).map_err(StoreError::defect)?;
    let parts = parts::of_row(row, currency)?;
    Transaction::of(booked, parts)
}

/// Where the bookings of a list are found, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Among all of the user's.
    User,
    /// Among those of the wallet.
    Wallet,
    /// Among the transfers to the wallet.
    ToWallet,
    /// Among those of the category.
    Category,
    /// Among the splits of the category.
    Split,
    /// Among those with the tag.
    Tag,
    /// Among those of some keys.
    Keys,
}

impl Source {
    /// The most narrow ones. They have no booking in common, and miss none.
    fn of(filter: &Filter) -> Vec<Self> {
        let may_be_transfer = filter
            .transaction_type
            .is_none_or(|it| it == TransactionType::Transfer);
        match filter {
            Filter { tag: Some(_), .. } => vec![Self::Tag],
            Filter {
                category_id: Some(_),
                ..
            } => vec![Self::Category, Self::Split],
            Filter {
                wallet_id: Some(_), ..
            } if may_be_transfer => vec![Self::Wallet, Self::ToWallet],
            Filter {
                wallet_id: Some(_), ..
            } => vec![Self::Wallet],
            _ => vec![Self::User],
        }
    }

    /// The table whose index is walked, and its columns of the key.
    const fn walked(self) -> (&'static str, &'static str) {
        match self {
            Self::User | Self::Wallet | Self::Category => ("transactions", "id"),
            Self::Keys => ("keys", "transaction_id"),
            Self::ToWallet => ("transfers", "transaction_id"),
            Self::Split => ("transaction_splits", "transaction_id"),
            Self::Tag => ("transaction_tags", "transaction_id"),
        }
    }

    /// What is shown of each booking, and its key as it stands where it is found.
    fn select(self, db: &impl ConnectionTrait) -> String {
        let ((table, id), columns) = (self.walked(), parts::columns(db));
        format!(
            "SELECT transactions.*, {columns}, {table}.date AS key_date, {table}.{id} AS key_id"
        )
    }
}

/// A statement that is being written.
struct Wanted {
    text: String,
    values: Vec<Value>,
}

impl Wanted {
    fn of(db: &impl ConnectionTrait, source: Source, user_id: Uuid, filter: &Filter) -> Self {
        let (table, id) = source.walked();
        let from = match table {
            "transactions" => table.to_owned(),
            _ => format!("{table} JOIN transactions ON transactions.id = {table}.{id}"),
        };
        let mut wanted = Self {
            text: format!("{} FROM {from} WHERE true", source.select(db)),
            values: Vec::new(),
        };
        wanted.conditions(source, user_id, filter);
        wanted
    }

    /// What is wanted of them, behind a condition that is there already.
    fn conditions(&mut self, source: Source, user_id: Uuid, filter: &Filter) {
        let (table, _) = source.walked();
        let walked = format!("{table}.date");
        self.source(source, user_id, filter);
        let days = [(">=", filter.from), ("<=", filter.to)];
        for (is, day) in days {
            self.add(day, |it| format!("{walked} {is} {it}"));
        }
        let kind = filter.transaction_type.map(TransactionType::as_str);
        self.add(kind, |it| format!("transactions.type = {it}"));
        self.add(filter.min_minor, |it| {
            format!("transactions.amount_minor >= {it}")
        });
        self.add(filter.max_minor, |it| {
            format!("transactions.amount_minor <= {it}")
        });
        let currency = filter.currency.map(|it| it.code().to_owned());
        self.add(currency, |it| format!("transactions.currency = {it}"));
    }

    /// Whose they are, and in what. Of a wallet or a category it is asked once whose it is, not of each of its
    /// bookings: PostgreSQL, where it plans for anybody, takes two conditions for far fewer rows than one, and
    /// would sort all there are.
    fn source(&mut self, source: Source, user_id: Uuid, filter: &Filter) {
        let user = self.value(user_id);
        let wallet = filter.wallet_id.map(|id| self.value(id));
        let category = filter.category_id.map(|id| self.value(id));
        let tag = filter.tag.clone().map(|tag| self.value(tag));
        let own = |table, id: &String| {
            format!("EXISTS (SELECT 1 FROM {table} WHERE id = {id} AND user_id = {user})")
        };
        let has = |part, is: String| {
            format!("EXISTS (SELECT 1 FROM {part} WHERE transaction_id = transactions.id AND {is})")
        };
        let (wallet, category, tag) = (wallet.as_ref(), category.as_ref(), tag.as_ref());
        let in_wallet = wallet.map(|it| format!("transactions.wallet_id = {it}"));
        // Which PostgreSQL does not look up in the wallet's index, of however few it thinks: the splits are walked.
        let is_in_wallet =
            wallet.map(|it| format!("transactions.wallet_id IS NOT DISTINCT FROM {it}"));
        let to_wallet = wallet.map(|it| format!("transfers.to_wallet_id = {it}"));
        let in_category = category.map(|it| format!("transactions.category_id = {it}"));
        let of_split = category.map(|it| format!("transaction_splits.category_id = {it}"));
        let own_wallet = wallet.map(|it| own("wallets", it));
        let own_category = category.map(|it| own("categories", it));
        // On either side of it, and whole or by a part.
        let touches = wallet.map(|it| {
            let other = has("transfers", format!("to_wallet_id = {it}"));
            format!("(transactions.wallet_id = {it} OR {other})")
        });
        let is_about = category.map(|it| {
            let part = has("transaction_splits", format!("category_id = {it}"));
            format!("(transactions.category_id = {it} OR {part})")
        });
        let is_first = category.map(|it| {
            format!(
                "NOT EXISTS (SELECT 1 FROM transaction_splits other WHERE other.transaction_id = transactions.id \
                 AND other.category_id = {it} AND other.place < transaction_splits.place)"
            )
        });
        let of_user = Some(format!("transactions.user_id = {user}"));
        let tagged = tag.map(|it| {
            has(
                "transaction_tags",
                format!("user_id = {user} AND tag = {it}"),
            )
        });
        let of_tag = tag
            .map(|it| format!("transaction_tags.user_id = {user} AND transaction_tags.tag = {it}"));
        let conditions = match source {
            Source::User => vec![of_user],
            Source::Wallet => vec![in_wallet, own_wallet],
            Source::ToWallet => vec![to_wallet, own_wallet],
            // What has a category is no transfer. What has two parts in one is listed once.
            Source::Category => vec![in_category, own_category, in_wallet, own_wallet],
            Source::Split => vec![of_split, is_first, own_category, is_in_wallet, own_wallet],
            Source::Tag => vec![of_tag, touches, is_about],
            Source::Keys => vec![of_user, touches, is_about, tagged],
        };
        for condition in conditions.into_iter().flatten() {
            self.text.push_str(" AND ");
            self.text.push_str(&condition);
        }
    }

    fn add(&mut self, value: Option<impl Into<Value>>, condition: impl FnOnce(String) -> String) {
        if let Some(value) = value {
            let place = self.value(value);
            self.text.push_str(" AND ");
            self.text.push_str(&condition(place));
        }
    }

    /// The placeholder of a value.
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// The first of them, in the order of the list. PostgreSQL takes a bound that it does not know for a tenth of all there
    /// is, and would plan each page anew rather than keep a plan for that: so it gets one that it knows, of which
    /// there are few, around which is the one that is wanted.
    fn page(&mut self, db: &impl ConnectionTrait, source: Source, page: PageRequest<ByDate>) {
        let (table, id) = source.walked();
        if let Some((date, last)) = page.after {
            let (date, last) = (self.value(date), self.value(last));
            // As one row value, so that the database begins in the index exactly where the page begins.
            let key = format!(" AND ({table}.date, {table}.{id}) < ({date}, {last})");
            self.text.push_str(&key);
        }
        let limit = self.value(page.fetch());
        let order = format!(" ORDER BY {table}.date DESC, {table}.{id} DESC LIMIT");
        match db.get_database_backend() {
            DbBackend::Postgres => {
                let (text, known) = (&self.text, page.fetch().next_power_of_two());
                self.text = format!(
                    "SELECT * FROM ({text}{order} {known}) AS page ORDER BY key_date DESC, key_id DESC LIMIT {limit}"
                );
            }
            _ => self.text.push_str(&format!("{order} {limit}")),
        }
    }
}
