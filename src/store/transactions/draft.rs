//! What is asked for: a new booking, or a change of one; and what may go with what.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use uuid::Uuid;

use super::{Act, Parts, Split, Transaction, Transfer};
use crate::domain::money::{AmountText, Currency, Money};
use crate::domain::transaction::{TAGS_MAX, TransactionType};
use crate::store::{StoreError, Tx, wallets};

/// Splits of a booking: one would be the booking itself.
const SPLITS: std::ops::RangeInclusive<usize> = 2..=50;

/// A booking to be made. Amounts are read in the wallets' currencies.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The wallet.
    pub wallet_id: Uuid,
    /// Income, expense or transfer.
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
    /// Of a transfer: the wallet that the money goes to.
    pub to_wallet_id: Option<Uuid>,
    /// Of a transfer into another currency: what arrives, as it was written.
    pub to_amount: Option<AmountText>,
    /// Parts with categories of their own.
    pub splits: Vec<SplitDraft>,
    /// Tags.
    pub tags: Vec<String>,
}

/// A part of a booking to be made.
#[derive(Debug, Clone)]
pub struct SplitDraft {
    /// The category.
    pub category_id: Option<Uuid>,
    /// As it was written.
    pub amount: AmountText,
    /// What it was.
    pub description: Option<String>,
}

impl Draft {
    /// With nothing but what each booking has.
    #[must_use]
    pub const fn new(
        wallet_id: Uuid,
        transaction_type: TransactionType,
        amount: AmountText,
        date: NaiveDate,
    ) -> Self {
        Self {
            wallet_id,
            transaction_type,
            amount,
            date,
            category_id: None,
            description: None,
            payee: None,
            notes: None,
            to_wallet_id: None,
            to_amount: None,
            splits: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// Whether it is in one wallet and at most one category, and no more than that.
    pub(in crate::store) fn is_plain(&self) -> bool {
        self.transaction_type != TransactionType::Transfer
            && self.to_wallet_id.is_none()
            && self.to_amount.is_none()
            && self.splits.is_empty()
            && self.tags.is_empty()
    }
}

/// What may change of a booking; what is none stays, `Some(None)` removes.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// The wallet.
    pub wallet_id: Option<Uuid>,
    /// Income, expense or transfer.
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
    /// The wallet that the money of a transfer goes to.
    pub to_wallet_id: Option<Option<Uuid>>,
    /// What arrives there, as it was written.
    pub to_amount: Option<Option<AmountText>>,
    /// All parts; an empty list removes them.
    pub splits: Option<Vec<SplitDraft>>,
    /// All tags; an empty list removes them.
    pub tags: Option<Vec<String>>,
}

/// The booking that a draft makes, in the currency of its wallet and in that of the one that a transfer goes to.
pub(in crate::store) fn drafted(
    act: Act,
    id: Uuid,
    draft: Draft,
    currency: Currency,
    to_currency: Option<Currency>,
) -> Result<Transaction, StoreError> {
    let amount = read("amount", &draft.amount, currency)?;
    let arrives = Arriving {
        wallet_id: draft.to_wallet_id,
        currency: to_currency,
        amount: match (&draft.to_amount, to_currency) {
            (Some(text), Some(currency)) => Some(read("to_amount", text, currency)?),
            (Some(_), None) => return Err(no_transfer("to_amount")),
            (None, _) => None,
        },
    };
    let transaction = Transaction {
        id,
        wallet_id: draft.wallet_id,
        transaction_type: draft.transaction_type,
        amount,
        date: draft.date,
        category_id: draft.category_id,
        description: draft.description,
        payee: draft.payee,
        notes: draft.notes,
        parts: Parts {
            transfer: None,
            splits: splits(draft.splits, currency)?,
            tags: tags(draft.tags)?,
        },
        occurrence: None,
        version: 1,
        created_at: act.now,
        updated_at: act.now,
    };
    fitting(transaction, arrives)
}

/// The booking as a change makes it. Wallets that it comes into are held with those that it leaves.
pub(in crate::store) async fn amended(
    tx: &Tx,
    user_id: Uuid,
    before: &Transaction,
    amendment: Amendment,
) -> Result<Transaction, StoreError> {
    let mut after = before.clone();
    let (mut currency, before_to) = (before.amount.currency(), before.parts.transfer);
    let to_wallet_id = match amendment.to_wallet_id {
        Some(changed) => changed,
        None => before_to.map(|to| to.to_wallet_id),
    };
    let mut to_currency = before_to.map(|to| to.to_amount.currency());
    after.wallet_id = amendment.wallet_id.unwrap_or(after.wallet_id);
    let moves = after.wallet_id != before.wallet_id;
    let arrives_elsewhere = to_wallet_id != before_to.map(|to| to.to_wallet_id);
    if moves || arrives_elsewhere {
        let wanted = before
            .wallets()
            .chain([after.wallet_id])
            .chain(to_wallet_id);
        let held = wallets::hold(tx, user_id, wanted).await?;
        if moves {
            currency = held.open("wallet_id", after.wallet_id)?;
        }
        if arrives_elsewhere {
            let opened = to_wallet_id.map(|id| held.open("to_wallet_id", id));
            to_currency = opened.transpose()?;
        }
    }
    match amendment.amount {
        Some(text) => after.amount = read("amount", &text, currency)?,
        None if currency != before.amount.currency() => {
            let detail =
                format!("the other wallet is in {currency}: give the amount in {currency}");
            return Err(StoreError::invalid("amount", detail));
        }
        None => {}
    }
    let arriving = match (amendment.to_amount, to_currency) {
        (Some(Some(text)), Some(currency)) => Some(read("to_amount", &text, currency)?),
        (Some(Some(_)), None) => return Err(no_transfer("to_amount")),
        (Some(None), _) => None,
        // Within one currency it is the amount, whatever that becomes.
        (None, _) => before_to
            .map(|to| to.to_amount)
            .filter(|to| Some(to.currency()) == to_currency && to.currency() != currency),
    };
    after.transaction_type = amendment.transaction_type.unwrap_or(after.transaction_type);
    after.date = amendment.date.unwrap_or(after.date);
    after.category_id = amendment.category_id.unwrap_or(after.category_id);
    after.description = amendment.description.unwrap_or(after.description);
    after.payee = amendment.payee.unwrap_or(after.payee);
    after.notes = amendment.notes.unwrap_or(after.notes);
    if let Some(drafts) = amendment.splits {
        after.parts.splits = splits(drafts, currency)?;
    }
    if let Some(changed) = amendment.tags {
        after.parts.tags = tags(changed)?;
    }
    let arrives = Arriving {
        wallet_id: to_wallet_id,
        currency: to_currency,
        amount: arriving,
    };
    fitting(after, arrives)
}

/// What is said of the other side of a transfer.
#[derive(Clone, Copy)]
struct Arriving {
    wallet_id: Option<Uuid>,
    currency: Option<Currency>,
    amount: Option<Money>,
}

/// The booking with its other side, if all that is said of it goes together.
fn fitting(mut transaction: Transaction, arrives: Arriving) -> Result<Transaction, StoreError> {
    transaction.parts.transfer = match transaction.transaction_type {
        TransactionType::Transfer => Some(transfer(&transaction, arrives)?),
        TransactionType::Income | TransactionType::Expense => {
            if arrives.wallet_id.is_some() {
                return Err(no_transfer("to_wallet_id"));
            }
            None
        }
    };
    check_splits(&transaction)?;
    Ok(transaction)
}

fn transfer(transaction: &Transaction, arrives: Arriving) -> Result<Transfer, StoreError> {
    let refused = |field, detail: String| Err(StoreError::invalid(field, detail));
    if transaction.category_id.is_some() {
        let detail = "a transfer is neither earned nor spent, and has no category";
        return refused("category_id", detail.to_owned());
    }
    if !transaction.parts.splits.is_empty() {
        let detail = "a transfer is neither earned nor spent, and has no splits";
        return refused("splits", detail.to_owned());
    }
    let (Some(to_wallet_id), Some(to_currency)) = (arrives.wallet_id, arrives.currency) else {
        let detail = "a transfer names the wallet that the money goes to";
        return refused("to_wallet_id", detail.to_owned());
    };
    if to_wallet_id == transaction.wallet_id {
        return refused(
            "to_wallet_id",
            "a transfer goes to another wallet".to_owned(),
        );
    }
    let (amount, currency) = (transaction.amount, transaction.amount.currency());
    let to_amount = match arrives.amount {
        None if to_currency == currency => amount,
        None => {
            let detail = format!("the other wallet is in {to_currency}: give what arrives there");
            return refused("to_amount", detail);
        }
        Some(other) if to_currency == currency && other != amount => {
            let detail =
                format!("both wallets are in {currency}, so {amount} arrives: leave this out");
            return refused("to_amount", detail);
        }
        Some(other) => other,
    };
    Ok(Transfer {
        to_wallet_id,
        to_amount,
    })
}

fn no_transfer(field: &'static str) -> StoreError {
    StoreError::invalid(field, "only a transfer has this")
}

fn splits(drafts: Vec<SplitDraft>, currency: Currency) -> Result<Vec<Split>, StoreError> {
    let read = |(place, draft): (usize, SplitDraft)| {
        let amount = draft.amount.amount(currency).map_err(|error| {
            StoreError::invalid(format!("splits/{place}/amount"), error.to_string())
        })?;
        Ok(Split {
            category_id: draft.category_id,
            amount,
            description: draft.description,
        })
    };
    drafts.into_iter().enumerate().map(read).collect()
}

/// Splits make their booking to the last digit.
fn check_splits(transaction: &Transaction) -> Result<(), StoreError> {
    let (splits, amount) = (&transaction.parts.splits, transaction.amount);
    let refused = |field, detail: String| Err(StoreError::invalid(field, detail));
    if splits.is_empty() {
        return Ok(());
    }
    if !SPLITS.contains(&splits.len()) {
        let (least, most) = (SPLITS.start(), SPLITS.end());
        return refused(
            "splits",
            format!("a booking is split into {least} to {most}"),
        );
    }
    if transaction.category_id.is_some() {
        let detail = "the categories are those of the splits: leave this out, or set it to null";
        return refused("category_id", detail.to_owned());
    }
    let mut made = Money::zero(amount.currency());
    for split in splits {
        made = match made.checked_add(split.amount) {
            Ok(more) => more,
            Err(error) => return refused("splits", error.to_string()),
        };
    }
    if made != amount {
        let currency = amount.currency();
        return refused(
            "splits",
            format!("they make {made} {currency}, the booking is {amount} {currency}"),
        );
    }
    Ok(())
}

/// In the order of the alphabet, each once.
fn tags(given: Vec<String>) -> Result<Vec<String>, StoreError> {
    if given.len() > TAGS_MAX {
        let detail = format!("a booking has at most {TAGS_MAX} tags");
        return Err(StoreError::invalid("tags", detail));
    }
    let tags: BTreeSet<String> = given.into_iter().collect();
    Ok(tags.into_iter().collect())
}

fn read(field: &'static str, text: &AmountText, currency: Currency) -> Result<Money, StoreError> {
    text.amount(currency)
        .map_err(|error| StoreError::invalid(field, error.to_string()))
}
