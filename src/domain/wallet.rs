//! The sorts of wallets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::word::words;

/// What a wallet stands for in the owner's life. It never changes how amounts are counted.
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
pub enum WalletType {
    /// Notes and coins.
    Cash,
    /// A current account.
    Bank,
    /// A credit card; its balance is usually negative.
    CreditCard,
    /// A savings account.
    Savings,
    /// Money set aside for investing.
    Investment,
    /// A loan; its balance is usually negative.
    Loan,
}

words!(WalletType {
    Cash = "cash",
    Bank = "bank",
    CreditCard = "credit_card",
    Savings = "savings",
    Investment = "investment",
    Loan = "loan",
});
