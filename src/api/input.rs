//! How amounts, changes and pages are asked for.

use std::borrow::Cow;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::domain::money::AmountText;

/// What stands where digits belong that are read exactly.
pub(super) enum Digits {
    /// In quotes.
    Text(String),
    /// As a JSON number: the digits as they were sent.
    Number(String),
}

/// A decimal string or a JSON number; the message says what else it must be.
pub(super) fn digits<'de, D: Deserializer<'de>>(
    deserializer: D,
    message: &str,
) -> Result<Digits, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(Digits::Text(text)),
        Value::Number(number) => Ok(Digits::Number(number.as_str().to_owned())),
        _ => Err(serde::de::Error::custom(message)),
    }
}

/// What such a field may be.
pub(super) fn digits_schema(pattern: &str, description: &str, example: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .description(Some(description));
    let number = ObjectBuilder::new()
        .schema_type(Type::Number)
        .description(Some("A number; its digits are read exactly."));
    OneOfBuilder::new()
        .item(text)
        .item(number)
        .examples([serde_json::json!(example)])
        .into()
}

/// An amount: a decimal string, or a JSON number whose digits are read exactly.
#[derive(Debug, Clone)]
pub struct AmountInput(pub AmountText);

impl<'de> Deserialize<'de> for AmountInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match digits(
            deserializer,
            "an amount is a decimal string such as \"12.34\"",
        )? {
            Digits::Text(text) => Ok(Self(AmountText::Text(text))),
            Digits::Number(number) => Ok(Self(AmountText::Number(number))),
        }
    }
}

impl PartialSchema for AmountInput {
    fn schema() -> RefOr<Schema> {
        digits_schema(
            r"^-?[0-9]+(\.[0-9]+)?$",
            "A decimal, with no more fraction digits than the currency has.",
            "12.34",
        )
    }
}

impl ToSchema for AmountInput {
    fn name() -> Cow<'static, str> {
        "Amount".into()
    }
}

/// A day as on a bank statement: `YYYY-MM-DD`, and nobody's money is older than 1900.
#[derive(Debug, Clone, Copy)]
pub struct DayInput(pub NaiveDate);

impl<'de> Deserialize<'de> for DayInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .ok()
            // The parser takes `2026-2-1` and years of five digits too.
            .filter(|day: &NaiveDate| {
                (1900..=9999).contains(&day.year()) && day.to_string() == text
            })
            .map(Self)
            .ok_or_else(|| {
                serde::de::Error::custom(
                    "a day is written YYYY-MM-DD, from 1900-01-01 to 9999-12-31",
                )
            })
    }
}

/// A whole number as JSON Schema has it: `80.0` is one too, and some clients write it so.
#[derive(Debug, Clone, Copy)]
pub struct WholeInput(pub i64);

impl<'de> Deserialize<'de> for WholeInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = value.as_number().map_or("", |number| number.as_str());
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        whole
            .parse()
            .ok()
            .filter(|_| fraction.bytes().all(|digit| digit == b'0'))
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not a whole number of 64 bits"))
    }
}

/// For a field of a change that may be null: tells `null` (remove) from absent (stays).
///
/// # Errors
/// The value is not of the type.
pub(super) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// For a field of a change that may be absent but not null.
///
/// # Errors
/// The value is null, or not of the type.
pub(super) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items on the page, 1 to 200; 50 if left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<String>,
}
