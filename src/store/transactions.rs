//! Bookings. Each function writes the row, the wallets' balances and the event in one unit of work:
//! there is no way to have one without the others. After the commit the relay takes the event on.

/// What is asked for, and what may go with what.
mod draft;
/// Lists of bookings.
mod list;
/// Transfers, splits and tags.
mod parts;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::Value as DbValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::categories::Names;
use super::entities::transactions;
use super::event_log::{self, LogPosition};
use super::sql::{execute, list as placeholders};
use super::users::check_version;
use super::{StoreError, Tx, categories, users, wallets};
use crate::domain::money::{Currency, Money};
use crate::domain::transaction::TransactionType;
use crate::events::catalogue::{
    BookedSplit, Booking, Change, TransactionCreated, TransactionDeleted, TransactionUpdated, Words,
};
use crate::events::{Amount, Cause, Event, EventData, Source};
pub use draft::{Amendment, Draft, SplitDraft};
pub(super) use draft::{amended, drafted};
pub(super) use list::of_keys;
pub use list::{ByDate, Filter, get, list};
pub(super) use parts::PARTS;
pub use parts::{Parts, Split, Transfer};

/// A day of a recurring booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// The recurring booking, which may be gone by now.
    pub recurring_id: Uuid,
    /// The day on which it was due, wherever the booking is now.
    pub on: NaiveDate,
}

/// A booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The booking's id.
    pub id: Uuid,
    /// The wallet that the money went into or came out of.
    pub wallet_id: Uuid,
    /// Income, expense or transfer.
    pub transaction_type: TransactionType,
    /// Above zero, in the wallet's currency.
    pub amount: Money,
    /// The day, in the user's calendar.
    pub date: NaiveDate,
    /// What it was earned by or spent on; none where splits say it.
    pub category_id: Option<Uuid>,
    /// What it was.
    pub description: Option<String>,
    /// Who was paid, or who paid.
    pub payee: Option<String>,
    /// Anything else.
    pub notes: Option<String>,
    /// The other side of a transfer, splits, tags.
    pub parts: Parts,
    /// What has made it, unless somebody has.
    pub occurrence: Option<Occurrence>,
    /// Counts changes.
    pub version: i64,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Transaction {
    fn of(row: transactions::Model, parts: Parts) -> Result<Self, StoreError> {
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
            parts,
            occurrence: row
                .recurring_id
                .zip(row.occurs_on)
                .map(|(recurring_id, on)| Occurrence { recurring_id, on }),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }

    /// What it moves its wallet's balance by, in minor units.
    pub(super) fn signed_minor(&self) -> i64 {
        self.transaction_type.signed(self.amount.minor())
    }

    /// What it moves balances by, wallet by wallet.
    fn moves(&self) -> impl Iterator<Item = (Uuid, i64)> {
        let arrives = self
            .parts
            .transfer
            .map(|to| (to.to_wallet_id, to.to_amount.minor()));
        [(self.wallet_id, self.signed_minor())]
            .into_iter()
            .chain(arrives)
    }

    /// The wallets that it is in.
    fn wallets(&self) -> impl Iterator<Item = Uuid> {
        self.moves().map(|(wallet_id, _)| wallet_id)
    }

    /// The categories that it is in, each under the name of its field.
    pub(super) fn categories(&self) -> impl Iterator<Item = (String, Uuid)> {
        let whole = self.category_id.map(|id| ("category_id".to_owned(), id));
        let splits = self.parts.splits.iter().enumerate();
        whole.into_iter().chain(splits.filter_map(|(place, split)| {
            Some((format!("splits/{place}/category_id"), split.category_id?))
        }))
    }

    /// The words by which it is found: those of the events that tell of it, by which the projector keeps them.
    pub(super) fn searched(&self) -> BTreeSet<String> {
        self.booking(&Names::default()).searched()
    }

    fn booking(&self, names: &Names) -> Booking {
        let transfer = self.parts.transfer;
        Booking {
            amount: self.amount.into(),
            currency: self.amount.currency(),
            transaction_type: self.transaction_type,
            category: names.of(self.category_id),
            category_id: self.category_id,
            splits: self.booked_splits(names),
            wallet_id: self.wallet_id,
            to_wallet_id: transfer.map(|it| it.to_wallet_id),
            to_amount: transfer.map(|it| it.to_amount.into()),
            to_currency: transfer.map(|it| it.to_amount.currency()),
            date: self.date,
            words: Words {
                description: self.description.clone(),
                payee: self.payee.clone(),
                notes: self.notes.clone(),
                tags: self.parts.tags.clone(),
            },
        }
    }

    fn booked_splits(&self, names: &Names) -> Vec<BookedSplit> {
        let booked = |split: &Split| BookedSplit {
            amount: split.amount.into(),
            category: names.of(split.category_id),
            category_id: split.category_id,
            description: split.description.clone(),
        };
        self.parts.splits.iter().map(booked).collect()
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

/// Books it.
///
/// # Errors
/// A wallet or category that is not the user's, a wallet that is put away, amounts that do not fit the
/// wallets' currencies, what does not go together.
pub async fn book(
    tx: &Tx,
    act: Act,
    id: Uuid,
    draft: Draft,
) -> Result<(Transaction, Option<LogPosition>), StoreError> {
    book_of(tx, act, id, draft, None).await
}

/// The same for a day of a recurring booking.
pub(super) async fn book_of(
    tx: &Tx,
    act: Act,
    id: Uuid,
    draft: Draft,
    occurrence: Option<Occurrence>,
) -> Result<(Transaction, Option<LogPosition>), StoreError> {
    let wanted = [Some(draft.wallet_id), draft.to_wallet_id];
    let held = wallets::hold(tx, act.user_id, wanted.into_iter().flatten()).await?;
    let currency = held.open("wallet_id", draft.wallet_id)?;
    let to_currency = (draft.to_wallet_id)
        .map(|id| held.open("to_wallet_id", id))
        .transpose()?;
    let mut transaction = drafted(act, id, draft, currency, to_currency)?;
    transaction.occurrence = occurrence;
    let names = categories::names_for_booking(tx, act.user_id, transaction.categories()).await?;
    insert(tx, act.user_id, &transaction).await?;
    parts::insert(tx, act.user_id, &transaction).await?;
    wallets::move_balances(tx, act.user_id, transaction.moves()).await?;
    let created = created(&act, &transaction, &names);
    let position = act.say(tx, id, created).await?;
    Ok((transaction, position))
}

/// What is said of a new booking.
pub(super) fn created(act: &Act, transaction: &Transaction, names: &Names) -> TransactionCreated {
    let booking = transaction.booking(names);
    TransactionCreated {
        transaction_id: transaction.id,
        user_id: act.user_id,
        amount: booking.amount,
        currency: booking.currency,
        transaction_type: booking.transaction_type,
        category: booking.category,
        category_id: booking.category_id,
        splits: booking.splits,
        description: booking.words.description,
        payee: booking.words.payee,
        notes: booking.words.notes,
        tags: booking.words.tags,
        wallet_id: booking.wallet_id,
        to_wallet_id: booking.to_wallet_id,
        to_amount: booking.to_amount,
        to_currency: booking.to_currency,
        date: booking.date,
        timestamp: act.now,
        version: transaction.version,
    }
}

/// The columns of a booking, but for what has made it, in the order of [`row_of`].
pub(super) const COLUMNS: &str = "id, user_id, wallet_id, type, amount_minor, currency, date, category_id, \
     description, payee, notes, version, created_at, updated_at, tags";

/// A booking as a row.
fn row_of(user_id: Uuid, transaction: &Transaction) -> Result<[DbValue; 15], StoreError> {
    let tags = &transaction.parts.tags;
    let tags = (!tags.is_empty()).then(|| serde_json::to_string(tags));
    Ok([
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
        tags.transpose().map_err(StoreError::defect)?.into(),
    ])
}

async fn insert(tx: &Tx, user_id: Uuid, transaction: &Transaction) -> Result<(), StoreError> {
    let occurrence = transaction.occurrence;
    let of_rule = [
        occurrence.map(|it| it.recurring_id).into(),
        occurrence.map(|it| it.on).into(),
    ];
    let row = row_of(user_id, transaction)?.into_iter().chain(of_rule);
    let row: Vec<DbValue> = row.collect();
    let text = format!(
        "INSERT INTO transactions ({COLUMNS}, recurring_id, occurs_on) VALUES ({})",
        placeholders(row.len(), 1)
    );
    execute(&**tx, text, row).await?;
    Ok(())
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
    let mut after = draft::amended(tx, act.user_id, &before, amendment).await?;
    let changes = changes(&before, &after);
    if changes.is_empty() {
        return Ok((before, None));
    }
    after.version += 1;
    after.updated_at = act.now;
    let names = categories::names_for_booking(tx, act.user_id, after.categories()).await?;
    let names_before = categories::names_for_booking(tx, act.user_id, before.categories()).await?;
    update(tx, act.user_id, &after).await?;
    parts::replace(tx, act.user_id, &before, &after).await?;
    let undone = before.moves().map(|(wallet_id, minor)| (wallet_id, -minor));
    wallets::move_balances(tx, act.user_id, undone.chain(after.moves())).await?;
    let updated = TransactionUpdated {
        transaction_id: id,
        user_id: act.user_id,
        changes,
        before: before.booking(&names_before),
        after: after.booking(&names),
        version: after.version,
        updated_at: act.now,
    };
    let position = act.say(tx, id, updated).await?;
    Ok((after, position))
}

/// Each field that differs, under its name in event data.
fn changes(before: &Transaction, after: &Transaction) -> BTreeMap<String, Change> {
    let fields = |transaction: &Transaction| {
        let transfer = transaction.parts.transfer;
        let split = |split: &Split| {
            json!({
                "categoryId": split.category_id, "amount": Amount::from(split.amount),
                "description": split.description,
            })
        };
        let splits: Vec<Value> = transaction.parts.splits.iter().map(split).collect();
        [
            ("walletId", json!(transaction.wallet_id)),
            ("type", json!(transaction.transaction_type)),
            ("amount", json!(Amount::from(transaction.amount))),
            ("currency", json!(transaction.amount.currency())),
            ("date", json!(transaction.date)),
            ("categoryId", json!(transaction.category_id)),
            ("description", json!(transaction.description)),
            ("payee", json!(transaction.payee)),
            ("notes", json!(transaction.notes)),
            ("toWalletId", json!(transfer.map(|it| it.to_wallet_id))),
            (
                "toAmount",
                json!(transfer.map(|it| Amount::from(it.to_amount))),
            ),
            (
                "toCurrency",
                json!(transfer.map(|it| it.to_amount.currency())),
            ),
            ("splits", json!(splits)),
            ("tags", json!(transaction.parts.tags)),
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
         updated_at = $14, tags = $15 WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, row_of(user_id, transaction)?).await?;
    Ok(())
}

/// Removes a booking, and takes it out of the wallets' balances.
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
    let names = categories::names_for_booking(tx, act.user_id, before.categories()).await?;
    execute(
        &**tx,
        "DELETE FROM transactions WHERE id = $1 AND user_id = $2",
        [id.into(), act.user_id.into()],
    )
    .await?;
    let undone = before.moves().map(|(wallet_id, minor)| (wallet_id, -minor));
    wallets::move_balances(tx, act.user_id, undone).await?;
    let deleted = TransactionDeleted {
        transaction_id: id,
        user_id: act.user_id,
        before: before.booking(&names),
        version: before.version,
        deleted_at: act.now,
    };
    act.say(tx, id, deleted).await
}

/// The user's booking of this id, to be changed. With it the user is held until the unit of work ends,
/// so that whoever counts all their bookings sees this one as it was or as it will be.
async fn get_to_change(tx: &Tx, user_id: Uuid, id: Uuid) -> Result<Transaction, StoreError> {
    users::hold(tx, user_id).await?;
    get(&**tx, user_id, id).await
}
