//! What a transaction is: its direction, and what may go with what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::word::words;

/// Tags of a booking at the most.
pub const TAGS_MAX: usize = 20;

/// What a transaction does to its wallet's balance.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TransactionType {
    /// Money comes into the wallet.
    Income,
    /// Money leaves the wallet.
    Expense,
    /// Money leaves the wallet for another one: neither earned nor spent.
    Transfer,
}

words!(TransactionType {
    Income = "income",
    Expense = "expense",
    Transfer = "transfer",
});

impl TransactionType {
    /// The change of its wallet's balance, in minor units, that a booking of `amount_minor`
    /// (positive) makes. What a transfer adds to the other wallet is not in it.
    ///
    /// Total: negating `i64::MIN`, which no booking reaches, saturates.
    #[must_use]
    pub const fn signed(self, amount_minor: i64) -> i64 {
        match self {
            Self::Income => amount_minor,
            Self::Expense | Self::Transfer => amount_minor.saturating_neg(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TransactionType;

    #[test]
    fn income_adds_and_expense_takes() {
        assert_eq!(TransactionType::Income.signed(1_250), 1_250);
        assert_eq!(TransactionType::Expense.signed(1_250), -1_250);
        assert_eq!(TransactionType::Transfer.signed(1_250), -1_250);
        assert_eq!(TransactionType::Expense.signed(i64::MIN), i64::MAX);
    }
}
