//! How amounts and changes come in.

use std::borrow::Cow;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::money::AmountText;

/// An amount: a decimal string, or a JSON number whose digits are read exactly.
#[derive(Debug, Clone)]
pub struct AmountInput(pub AmountText);

impl<'de> Deserialize<'de> for AmountInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(AmountText::Text(text))),
            Value::Number(number) => Ok(Self(AmountText::Number(number.as_str().to_owned()))),
            _ => Err(serde::de::Error::custom(
                "an amount is a decimal string such as \"12.34\"",
            )),
        }
    }
}

impl PartialSchema for AmountInput {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^-?[0-9]+(\.[0-9]+)?$"))
            .description(Some(
                "A decimal, with no more fraction digits than the currency has.",
            ));
        let number = ObjectBuilder::new()
            .schema_type(schema::Type::Number)
            .description(Some("A number; its digits are read exactly."));
        OneOfBuilder::new()
            .item(text)
            .item(number)
            .examples([serde_json::json!("12.34")])
            .into()
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
