//! Amounts in event data: JSON numbers with exact digits, as the event contract says.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::domain::money::{Currency, Money, MoneyError};

/// A JSON number that is never read as floating point: its digits are kept as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(serde_json::Number);

impl Amount {
    /// Reads the number as money of the currency.
    ///
    /// # Errors
    /// More digits than the currency has, or a value out of range.
    pub fn money(&self, currency: Currency) -> Result<Money, MoneyError> {
        Money::parse_number(self.0.as_str(), currency)
    }

    /// The schema of one that may be zero or less.
    pub(super) fn signed(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "description": "Exact decimal; not more fraction digits than the currency has."
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        // A decimal as `Money` prints it is always a JSON number.
        Self(serde_json::Number::from_string_unchecked(money.to_string()))
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "Exact decimal above zero; not more fraction digits than the currency has."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_survive_both_ways() {
        let usd = Currency::parse("USD").expect("a currency");
        for minor in [1, -5, 1234, 900_719_925_474_099_301] {
            let money = Money::new(minor, usd);
            let json = serde_json::to_string(&Amount::from(money)).expect("serialises");
            assert_eq!(json, money.to_string());
            let back: Amount = serde_json::from_str(&json).expect("parses");
            assert_eq!(back.money(usd), Ok(money));
        }
    }
}
