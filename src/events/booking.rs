//! A booking as events tell of it.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Amount, EventError};
use crate::domain::money::{Currency, Money};
use crate::domain::search;
use crate::domain::transaction::TransactionType;

/// The part of a booking that moves sums: enough to add it to a read model or take it out again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// Always above zero; the type tells the direction.
    pub amount: Amount,
    /// ISO 4217 code of the wallet's currency.
    pub currency: Currency,
    /// Income, expense or transfer.
    #[serde(rename = "type")]
    pub transaction_type: TransactionType,
    /// The category's name when the event was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Absent for a booking without a category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<Uuid>,
    /// Where there are some, they make the amount, and the categories are theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub splits: Vec<BookedSplit>,
    /// The wallet that the money went into or came out of.
    pub wallet_id: Uuid,
    /// Of a transfer: the wallet that the money went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_wallet_id: Option<Uuid>,
    /// Of a transfer: what arrived there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_amount: Option<Amount>,
    /// Of a transfer: ISO 4217 code of that wallet's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_currency: Option<Currency>,
    /// The day of the booking, without hour or zone.
    pub date: NaiveDate,
    /// What it is found by: absent for one that nobody has described.
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub words: Words,
}

/// What the user wrote of a booking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Words {
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who was paid, or who paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payee: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// In the order of the alphabet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Words {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A part of a booking in a category of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookedSplit {
    /// Always above zero, in the booking's currency.
    pub amount: Amount,
    /// The category's name when the event was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Absent for a part without a category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<Uuid>,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Booking {
    /// The amount, read exactly.
    ///
    /// # Errors
    /// The digits do not fit the currency, or there is nothing above zero.
    pub fn money(&self) -> Result<Money, EventError> {
        self.read(&self.amount)
    }

    /// The words by which it is found.
    #[must_use]
    pub fn searched(&self) -> BTreeSet<String> {
        let Words {
            description,
            payee,
            notes,
            tags,
        } = &self.words;
        let of_splits = self
            .splits
            .iter()
            .filter_map(|split| split.description.as_ref());
        let texts = [description, payee, notes]
            .into_iter()
            .flatten()
            .chain(tags);
        search::words(texts.chain(of_splits).map(String::as_str))
    }

    /// The categories that it is in, each with its part of the amount: one, or those of the splits.
    ///
    /// # Errors
    /// As for [`Self::money`]; or the splits do not make the amount.
    pub fn parts(&self) -> Result<Vec<(Option<Uuid>, Money)>, EventError> {
        let amount = self.money()?;
        if self.splits.is_empty() {
            return Ok(vec![(self.category_id, amount)]);
        }
        let read = |split: &BookedSplit| Ok((split.category_id, self.read(&split.amount)?));
        let parts: Vec<_> = self.splits.iter().map(read).collect::<Result<_, _>>()?;
        let mut minors = parts.iter().map(|(_, part)| part.minor());
        let made = minors.try_fold(0_i64, i64::checked_add);
        if made == Some(amount.minor()) {
            Ok(parts)
        } else {
            Err(EventError::Data(
                "the splits do not make the amount".to_owned(),
            ))
        }
    }

    fn read(&self, amount: &Amount) -> Result<Money, EventError> {
        let money = amount
            .money(self.currency)
            .map_err(|error| EventError::Data(error.to_string()))?;
        if money.minor() > 0 {
            Ok(money)
        } else {
            Err(EventError::Data("an amount is more than zero".to_owned()))
        }
    }
}
