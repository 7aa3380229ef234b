//! Conditions: what a rule asks of a booking.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Seen, fold};
use crate::domain::money::Money;
use crate::domain::text::{TextError, check_text};
use crate::domain::transaction::TransactionType;

/// Characters of a text to compare with, at the most.
const VALUE_CHARS_MAX: usize = 200;
/// Characters of a pattern at the most.
pub const PATTERN_CHARS_MAX: usize = 100;
/// Bytes of a pattern's automaton at the most.
const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// Bytes that a search may keep to be quicker.
const SEARCH_BYTES_MAX: usize = 256 * 1024;
/// How deep a pattern may be nested.
const NEST_MAX: u32 = 20;
/// Digits after the point that any currency has, at the most.
const FRACTION_DIGITS_MAX: usize = 4;
/// Digits before it.
const WHOLE_DIGITS_MAX: usize = 15;

/// What of a booking is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RuleField)]
pub enum Field {
    /// Who was paid, or who paid.
    Payee,
    /// What it was.
    Description,
    /// How much, in the currency of its wallet.
    Amount,
    /// The wallet, on either side of a transfer.
    WalletId,
    /// Income, expense or transfer.
    Type,
}

/// How it is compared. Upper and lower case of texts are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RuleOperator)]
pub enum Operator {
    /// Of texts.
    Contains,
    /// Of everything.
    Equals,
    /// Of texts.
    StartsWith,
    /// Of texts: a regular expression is found in it.
    Matches,
    /// Of amounts.
    AtLeast,
    /// Of amounts.
    AtMost,
}

/// Something that must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RuleCondition, example = json!({"field": "payee", "operator": "contains", "value": "corner shop"}))]
pub struct Condition {
    /// What of a booking is looked at.
    pub field: Field,
    /// `contains`, `equals`, `starts_with` and `matches` of texts, `at_least`, `at_most` and `equals` of amounts,
    /// `equals` of wallets and types. Upper and lower case are not told apart.
    pub operator: Operator,
    /// What it is compared with: a text, a regular expression (without references back or looks around, so that it
    /// reads a text once), a decimal, the id of a wallet, or a type.
    #[schema(min_length = 1, max_length = 200)]
    pub value: String,
}

/// Why a condition is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// A text that is too long, or has control characters.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The operator is not one for this field.
    #[error(
        "texts are asked with contains, equals, starts_with or matches; amounts with at_least, at_most or equals; \
         wallets and types with equals"
    )]
    Operator,
    /// Not an amount.
    #[error(
        "must be a decimal such as 12.34, with at most {WHOLE_DIGITS_MAX} digits before the point and \
         {FRACTION_DIGITS_MAX} after it"
    )]
    Amount,
    /// Not the id of anything.
    #[error("must be the id of a wallet")]
    Wallet,
    /// Not a type.
    #[error("must be income, expense or transfer")]
    Type,
    /// Not a regular expression.
    #[error(
        "must be a regular expression; references back and looks around are not supported, and groups are nested at \
         most {NEST_MAX} deep"
    )]
    Pattern,
    /// A regular expression that takes too much.
    #[error("this regular expression is too large: repeat less, or name fewer characters")]
    PatternTooLarge,
}

impl Condition {
    /// The condition as it is kept, if it is one.
    ///
    /// # Errors
    /// What is wrong with its value, or with the operator for the field.
    pub fn checked(self) -> Result<Self, ConditionError> {
        let chars = match self.operator {
            Operator::Matches => PATTERN_CHARS_MAX,
            _ => VALUE_CHARS_MAX,
        };
        let checked = Self {
            value: check_text(&self.value, 1..=chars)?,
            ..self
        };
        checked.test()?;
        Ok(checked)
    }

    /// The wallet that it asks for.
    #[must_use]
    pub fn wallet_id(&self) -> Option<Uuid> {
        (self.field == Field::WalletId)
            .then(|| self.value.parse().ok())
            .flatten()
    }

    /// The condition, ready to be asked.
    pub(super) fn test(&self) -> Result<Test, ConditionError> {
        let value = self.value.as_str();
        Ok(match (self.field, self.operator) {
            (Field::Payee, operator) => Test::Payee(text_test(operator, value)?),
            (Field::Description, operator) => Test::Description(text_test(operator, value)?),
            (Field::Amount, operator) => {
                let is = match operator {
                    Operator::AtLeast => Ordering::is_ge,
                    Operator::AtMost => Ordering::is_le,
                    Operator::Equals => Ordering::is_eq,
                    _ => return Err(ConditionError::Operator),
                };
                Test::Amount(is, decimal(value).ok_or(ConditionError::Amount)?)
            }
            (Field::WalletId, Operator::Equals) => {
                Test::Wallet(value.parse().map_err(|_| ConditionError::Wallet)?)
            }
            (Field::Type, Operator::Equals) => {
                Test::Type(value.parse().map_err(|_| ConditionError::Type)?)
            }
            (Field::WalletId | Field::Type, _) => return Err(ConditionError::Operator),
        })
    }
}

/// A condition that is ready to be asked.
#[derive(Debug)]
pub(super) enum Test {
    Payee(TextTest),
    Description(TextTest),
    /// Which orders hold, and the amount in ten thousandths.
    Amount(fn(Ordering) -> bool, i128),
    Wallet(Uuid),
    Type(TransactionType),
}

/// Of a text in lower case.
#[derive(Debug)]
pub(super) enum TextTest {
    Contains(String),
    Equals(String),
    StartsWith(String),
    Matches(Regex),
}

impl Test {
    pub(super) fn holds(&self, seen: &Seen<'_>) -> bool {
        let booked = &seen.booked;
        match self {
            Self::Payee(test) => seen.payee.as_deref().is_some_and(|text| test.holds(text)),
            Self::Description(test) => {
                (seen.description.as_deref()).is_some_and(|text| test.holds(text))
            }
            Self::Amount(is, value) => is(scaled(booked.amount).cmp(value)),
            Self::Wallet(id) => booked.wallet_id == *id || booked.to_wallet_id == Some(*id),
            Self::Type(it) => booked.transaction_type == *it,
        }
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Contains(part) => text.contains(part),
            Self::Equals(whole) => text == whole,
            Self::StartsWith(beginning) => text.starts_with(beginning),
            Self::Matches(pattern) => pattern.is_match(text),
        }
    }
}

fn text_test(operator: Operator, value: &str) -> Result<TextTest, ConditionError> {
    let folded = || fold(value).into_owned();
    Ok(match operator {
        Operator::Contains => TextTest::Contains(folded()),
        Operator::Equals => TextTest::Equals(folded()),
        Operator::StartsWith => TextTest::StartsWith(folded()),
        Operator::Matches => TextTest::Matches(pattern(value)?),
        Operator::AtLeast | Operator::AtMost => return Err(ConditionError::Operator),
    })
}

fn pattern(value: &str) -> Result<Regex, ConditionError> {
    let built = RegexBuilder::new(value)
        .case_insensitive(true)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(SEARCH_BYTES_MAX)
        .nest_limit(NEST_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => ConditionError::PatternTooLarge,
        _ => ConditionError::Pattern,
    })
}

/// An amount in ten thousandths of its currency's unit: exact, whichever currency it is.
fn scaled(amount: Money) -> i128 {
    let digits = amount.currency().exponent();
    let missing = FRACTION_DIGITS_MAX.saturating_sub(usize::from(digits));
    (0..missing).fold(i128::from(amount.minor()), |minor, _| minor * 10)
}

/// A decimal in ten thousandths.
fn decimal(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit())
    };
    if !is_number(whole, WHOLE_DIGITS_MAX) || !is_number(fraction, FRACTION_DIGITS_MAX) {
        return None;
    }
    format!("{whole}{fraction:0<FRACTION_DIGITS_MAX$}")
        .parse()
        .ok()
}
