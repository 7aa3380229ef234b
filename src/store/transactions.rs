//! Bookings. Each function writes the row, the wallet's balance and the event in one unit of work:
//! there is no way to have one without the others. After the commit the relay takes the event on.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Value as DbValue,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::entities::transactions;
use super::event_log::{self, LogPosition};
use super::sql::{execute, list as placeholders};
use super::users::check_version;
use super::{Page, PageRequest, StoreError, Tx, categories, users, wallets};
use crate::domain::money::{AmountText, Currency, Money};
use crate::domain::transaction::TransactionType;
use crate::events::catalogue::{
    Booking, Change, TransactionCreated, TransactionDeleted, TransactionUpdated,
};
use crate::events::{Cause, Event, EventData, Source};

/// A booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The booking's id.
    pub id: Uuid,
    /// The wallet that the money went into or came out of.
    pub wallet_id: Uuid,
    /// Income or expense.
    pub transaction_type: TransactionType,
    /// Above zero, in the wallet's currency.
    pub amount: Money,
    /// The day, in the user's calendar.
    pub date: NaiveDate,
    /// What it was earned by or spent on.
    pub category_id: Option<Uuid>,
    /// What it was.
    pub description: Option<String>,
    /// Who was paid, or who paid.
    pub payee: Option<String>,
    /// Anything else.
    pub notes: Option<String>,
    /// Counts changes.
    pub version: i64,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Transaction {
    /// What it moves the wallet's balance by, in minor units.
    pub(super) fn signed_minor(&self) -> i64 {
        self.transaction_type.signed(self.amount.minor())
    }

    fn booking(&self, category: Option<String>) -> Booking {
        Booking {
            amount: self.amount.into(),
            currency: self.amount.currency(),
            transaction_type: self.transaction_type,
            category,
            category_id: self.category_id,
            wallet_id: self.wallet_id,
            date: self.date,
        }
    }
}

impl TryFrom<transactions::Model> for Transaction {
    type Error = StoreError;

    fn try_from(row: transactions::Model) -> Result<Self, StoreError> {
        let currency = Currency::parse(&row.currency).map_err(StoreError::defect)?;
        Ok(Self {
            id: row.id,
            wallet_id: row.wallet_id,
            transaction_type: row.r#type.parse().map_err(StoreError::defect)?,
            amount: Money::new(row.amount_minor, currency),
            date: row.date,
            category_id: row.category_id,
            description: row.description,
            payee: row.payee,
            notes: row.notes,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Who does it, when, and with which event it is said.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// Whose books.
    pub user_id: Uuid,
    /// When.
    pub now: DateTime<Utc>,
    /// The id of the event.
    pub event_id: Uuid,
    /// What led to it.
    pub cause: Cause,
}

impl Act {
    /// What is said of it.
    pub(super) fn event(&self, subject: Uuid, data: impl Into<EventData>) -> Event {
        Event::new(
            self.event_id,
            Source::Api,
            subject,
            self.now,
            self.cause,
            data,
        )
    }

    async fn say(
        &self,
        tx: &Tx,
        subject: Uuid,
        data: impl Into<EventData>,
    ) -> Result<Option<LogPosition>, StoreError> {
        event_log::append(tx, &[self.event(subject, data)]).await
    }
}

/// A booking to be made. The amount is read in the wallet's currency.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The wallet.
    pub wallet_id: Uuid,
    /// Income or expense.
    pub transaction_type: TransactionType,
    /// As it was written.
    pub amount: AmountText,
    /// The day.
    pub date: NaiveDate,
    /// The category.
    pub category_id: Option<Uuid>,
    /// What it was.
    pub description: Option<String>,
    /// Who was paid, or who paid.
    pub payee: Option<String>,
    /// Anything else.
    pub notes: Option<String>,
}

/// Books it.
///
/// # Errors
/// A wallet or category that is not the user's, an amount that does not fit the wallet's currency.
pub async fn book(
    tx: &Tx,
    act: Act,
    id: Uuid,
    draft: Draft,
) -> Result<(Transaction, Option<LogPosition>), StoreError> {
    let currency = wallets::hold_for_booking(tx, act.user_id, draft.wallet_id).await?;
    let category = categories::name_for_booking(tx, act.user_id, draft.category_id).await?;
    let transaction = drafted(act, id, draft, currency)?;
    insert(tx, act.user_id, &transaction).await?;
    wallets::move_balance(
        tx,
        act.user_id,
        transaction.wallet_id,
        transaction.signed_minor(),
    )
    .await?;
    let created = created(&act, &transaction, category);
    let position = act.say(tx, id, created).await?;
    Ok((transaction, position))
}

/// The booking that a draft makes, in the wallet's currency.
pub(super) fn drafted(
    act: Act,
    id: Uuid,
    draft: Draft,
    currency: Currency,
) -> Result<Transaction, StoreError> {
    Ok(Transaction {
        id,
        wallet_id: draft.wallet_id,
        transaction_type: draft.transaction_type,
        amount: read_amount(&draft.amount, currency)?,
        date: draft.date,
        category_id: draft.category_id,
        description: draft.description,
        payee: draft.payee,
        notes: draft.notes,
        version: 1,
        created_at: act.now,
        updated_at: act.now,
    })
}

/// What is said of a new booking.
pub(super) fn created(
    act: &Act,
    transaction: &Transaction,
    category: Option<String>,
) -> TransactionCreated {
    TransactionCreated {
        transaction_id: transaction.id,
        user_id: act.user_id,
        amount: transaction.amount.into(),
        currency: transaction.amount.currency(),
        transaction_type: transaction.transaction_type,
        category,
        category_id: transaction.category_id,
        description: transaction.description.clone(),
        wallet_id: transaction.wallet_id,
        date: transaction.date,
        timestamp: act.now,
        version: transaction.version,
    }
}

fn read_amount(text: &AmountText, currency: Currency) -> Result<Money, StoreError> {
    text.amount(currency)
        .map_err(|error| StoreError::invalid("amount", error.to_string()))
}

/// The columns of a booking, in the order of [`row_of`].
pub(super) const COLUMNS: &str = "id, user_id, wallet_id, type, amount_minor, currency, date, category_id, \
     description, payee, notes, version, created_at, updated_at";

/// A booking as a row.
pub(super) fn row_of(user_id: Uuid, transaction: &Transaction) -> [DbValue; 14] {
    [
        transaction.id.into(),
        user_id.into(),
        transaction.wallet_id.into(),
        transaction.transaction_type.as_str().into(),
        transaction.amount.minor().into(),
        transaction.amount.currency().code().into(),
        transaction.date.into(),
        transaction.category_id.into(),
        transaction.description.clone().into(),
        transaction.payee.clone().into(),
        transaction.notes.clone().into(),
        transaction.version.into(),
        transaction.created_at.into(),
        transaction.updated_at.into(),
    ]
}

async fn insert(tx: &Tx, user_id: Uuid, transaction: &Transaction) -> Result<(), StoreError> {
    let row = row_of(user_id, transaction);
    let text = format!(
        "INSERT INTO transactions ({COLUMNS}) VALUES ({})",
        placeholders(row.len(), 1)
    );
    execute(&**tx, text, row).await?;
    Ok(())
}

/// What may change of a booking; what is none stays, `Some(None)` removes.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// The wallet.
    pub wallet_id: Option<Uuid>,
    /// Income or expense.
    pub transaction_type: Option<TransactionType>,
    /// As it was written.
    pub amount: Option<AmountText>,
    /// The day.
    pub date: Option<NaiveDate>,
    /// The category.
    pub category_id: Option<Option<Uuid>>,
    /// What it was.
    pub description: Option<Option<String>>,
    /// Who was paid, or who paid.
    pub payee: Option<Option<String>>,
    /// Anything else.
    pub notes: Option<Option<String>>,
}

/// Changes a booking, and moves the balances of the wallets by the difference. A change that
/// changes nothing writes nothing.
///
/// # Errors
/// No such booking, a stale version, and whatever [`book`] refuses.
pub async fn amend(
    tx: &Tx,
    act: Act,
    id: Uuid,
    expected: Option<i64>,
    amendment: Amendment,
) -> Result<(Transaction, Option<LogPosition>), StoreError> {
    let before = get_to_change(tx, act.user_id, id).await?;
    check_version(expected, before.version)?;
    let mut after = amended(tx, act.user_id, &before, amendment).await?;
    let changes = changes(&before, &after);
    if changes.is_empty() {
        return Ok((before, None));
    }
    after.version += 1;
    after.updated_at = act.now;
    update(tx, act.user_id, &after).await?;
    if before.wallet_id == after.wallet_id {
        let minor = after.signed_minor() - before.signed_minor();
        wallets::move_balance(tx, act.user_id, after.wallet_id, minor).await?;
    } else {
        // They are held in the order of their ids, see `wallets::hold_for_move`; here none matters.
        let (from, to) = (before.signed_minor(), after.signed_minor());
        wallets::move_balance(tx, act.user_id, before.wallet_id, -from).await?;
        wallets::move_balance(tx, act.user_id, after.wallet_id, to).await?;
    }
    let category_before = categories::name_for_booking(tx, act.user_id, before.category_id).await?;
    let category_after = categories::name_for_booking(tx, act.user_id, after.category_id).await?;
    let updated = TransactionUpdated {
        transaction_id: id,
        user_id: act.user_id,
        changes,
        before: before.booking(category_before),
        after: after.booking(category_after),
        version: after.version,
        updated_at: act.now,
    };
    let position = act.say(tx, id, updated).await?;
    Ok((after, position))
}

async fn amended(
    tx: &Tx,
    user_id: Uuid,
    before: &Transaction,
    amendment: Amendment,
) -> Result<Transaction, StoreError> {
    let mut after = before.clone();
    let mut currency = before.amount.currency();
    if let Some(wallet_id) = amendment.wallet_id {
        currency = wallets::hold_for_move(tx, user_id, before.wallet_id, wallet_id).await?;
        after.wallet_id = wallet_id;
    }
    match amendment.amount {
        Some(text) => after.amount = read_amount(&text, currency)?,
        None if currency != before.amount.currency() => {
            let detail =
                format!("the other wallet is in {currency}: give the amount in {currency}");
            return Err(StoreError::invalid("amount", detail));
        }
        None => {}
    }
    after.transaction_type = amendment.transaction_type.unwrap_or(after.transaction_type);
    after.date = amendment.date.unwrap_or(after.date);
    after.category_id = amendment.category_id.unwrap_or(after.category_id);
    after.description = amendment.description.unwrap_or(after.description);
    after.payee = amendment.payee.unwrap_or(after.payee);
    after.notes = amendment.notes.unwrap_or(after.notes);
    Ok(after)
}

/// Each field that differs, under its name in event data.
fn changes(before: &Transaction, after: &Transaction) -> BTreeMap<String, Change> {
    let fields = |transaction: &Transaction| {
        [
            ("walletId", json!(transaction.wallet_id)),
            ("type", json!(transaction.transaction_type)),
            (
                "amount",
                json!(crate::events::Amount::from(transaction.amount)),
            ),
            ("currency", json!(transaction.amount.currency())),
            ("date", json!(transaction.date)),
            ("categoryId", json!(transaction.category_id)),
            ("description", json!(transaction.description)),
            ("payee", json!(transaction.payee)),
            ("notes", json!(transaction.notes)),
        ]
    };
    let differs = |((name, before), (_, after)): ((&str, Value), (&str, Value))| {
        (before != after).then(|| (name.to_owned(), Change { before, after }))
    };
    fields(before)
        .into_iter()
        .zip(fields(after))
        .filter_map(differs)
        .collect()
}

async fn update(tx: &Tx, user_id: Uuid, transaction: &Transaction) -> Result<(), StoreError> {
    let text = "UPDATE transactions SET wallet_id = $3, type = $4, amount_minor = $5, currency = $6, date = $7, \
         category_id = $8, description = $9, payee = $10, notes = $11, version = $12, created_at = $13, \
         updated_at = $14 WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, row_of(user_id, transaction)).await?;
    Ok(())
}

/// Removes a booking, and takes it out of the wallet's balance.
///
/// # Errors
/// No such booking, a stale version.
pub async fn delete(
    tx: &Tx,
    act: Act,
    id: Uuid,
    expected: Option<i64>,
) -> Result<Option<LogPosition>, StoreError> {
    let before = get_to_change(tx, act.user_id, id).await?;
    check_version(expected, before.version)?;
    execute(
        &**tx,
        "DELETE FROM transactions WHERE id = $1 AND user_id = $2",
        [id.into(), act.user_id.into()],
    )
    .await?;
    wallets::move_balance(tx, act.user_id, before.wallet_id, -before.signed_minor()).await?;
    let category = categories::name_for_booking(tx, act.user_id, before.category_id).await?;
    let deleted = TransactionDeleted {
        transaction_id: id,
        user_id: act.user_id,
        before: before.booking(category),
        version: before.version,
        deleted_at: act.now,
    };
    act.say(tx, id, deleted).await
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
    transactions::Entity::find_by_id(id)
        .filter(transactions::Column::UserId.eq(user_id))
        .one(db)
        .await?
        .ok_or(StoreError::NotFound("transaction"))?
        .try_into()
}

/// The user's booking of this id, to be changed. With it the user is held until the unit of work ends,
/// so that whoever counts all their bookings sees this one as it was or as it will be.
async fn get_to_change(tx: &Tx, user_id: Uuid, id: Uuid) -> Result<Transaction, StoreError> {
    users::hold(tx, user_id).await?;
    get(&**tx, user_id, id).await
}

/// Which bookings a list shows; what is none does not filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this wallet.
    pub wallet_id: Option<Uuid>,
    /// In this category.
    pub category_id: Option<Uuid>,
    /// Income or expense.
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
}

/// The key of a list of bookings: the newest day first, on a day the last recorded first.
pub type ByDate = (NaiveDate, Uuid);

/// The user's bookings, newest first. A page walks one index from where the last one ended.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    filter: &Filter,
    page: PageRequest<ByDate>,
) -> Result<Page<Transaction, ByDate>, StoreError> {
    use transactions::Column;
    // Of a wallet or a category it is asked once whose it is, not of each of its bookings: PostgreSQL, where
    // it plans for anybody, takes two conditions for far fewer rows than one, and would sort all there are.
    let of_user = (filter.wallet_id.is_none() && filter.category_id.is_none())
        .then(|| Column::UserId.eq(user_id));
    let of_wallet = filter.wallet_id.map(|id| {
        Column::WalletId
            .eq(id)
            .and(Expr::exists(wallets::own(user_id, id)))
    });
    let of_category = filter.category_id.map(|id| {
        Column::CategoryId
            .eq(id)
            .and(Expr::exists(categories::own(user_id, id)))
    });
    let mut wanted = Condition::all()
        .add_option(of_user)
        .add_option(of_wallet)
        .add_option(of_category)
        .add_option(
            filter
                .transaction_type
                .map(|kind| Column::Type.eq(kind.as_str())),
        )
        .add_option(filter.from.map(|day| Column::Date.gte(day)))
        .add_option(filter.to.map(|day| Column::Date.lte(day)))
        .add_option(filter.min_minor.map(|minor| Column::AmountMinor.gte(minor)))
        .add_option(filter.max_minor.map(|minor| Column::AmountMinor.lte(minor)))
        .add_option(
            filter
                .currency
                .map(|currency| Column::Currency.eq(currency.code())),
        );
    if let Some((date, id)) = page.after {
        // As one row value, so that the database begins in the index exactly where the page begins.
        let key = Expr::tuple([Expr::col(Column::Date), Expr::col(Column::Id)]);
        wanted = wanted.add(key.lt(Expr::tuple([Expr::val(date), Expr::val(id)])));
    }
    let rows = transactions::Entity::find()
        .filter(wanted)
        .order_by_desc(Column::Date)
        .order_by_desc(Column::Id)
        .limit(page.fetch())
        .all(db)
        .await?;
    let transactions = rows
        .into_iter()
        .map(Transaction::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(transactions, page.limit, |transaction| {
        (transaction.date, transaction.id)
    }))
}
