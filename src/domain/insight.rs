//! What is worth knowing of somebody's spending, computed from figures and said with them.
//!
//! Pure: whoever asks brings the latest expenses and the sums of the months, and gets all that can be said
//! today. The `key` of each tells one from another: what was said under a key is not said again.
//!
//! Amounts are whole minor units of one currency; medians and medians of deviations rather than means, which one
//! large booking moves (Leys et al., "Detecting outliers", Journal of Experimental Social Psychology 49, 2013).

/// Single charges: unusually large, or made twice.
pub mod charge;
/// Months: categories beside their own past, and how the month will end.
pub mod month;
/// Payments that come back.
pub mod regular;
/// What insights are about.
mod thing;
/// An insight in somebody else's words.
pub mod wording;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::money::{Currency, Money};
use super::word::words;
pub use thing::Thing;

/// What kind of insight.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A category differs from its own past.
    SpendingPattern,
    /// A charge differs from what is usual, or may have been made twice.
    Anomaly,
    /// A payment comes back, or costs more than it did.
    Subscription,
    /// How a month or a budget will end.
    Forecast,
    /// Where something may be saved.
    SavingsTip,
}

words!(Kind {
    SpendingPattern = "spending_pattern",
    Anomaly = "anomaly",
    Subscription = "subscription",
    Forecast = "forecast",
    SavingsTip = "savings_tip",
});

/// An insight.
#[derive(Debug, Clone, PartialEq)]
pub struct Insight {
    /// Which kind.
    pub kind: Kind,
    /// What tells it from all others of its user.
    pub key: String,
    /// At most 100 characters.
    pub title: String,
    /// Why, with the figures; at most 500 characters.
    pub message: String,
    /// The figures that it rests on.
    pub facts: Value,
    /// In hundredths, 1 to 100.
    pub confidence: u8,
    /// What it is about.
    pub related: Vec<(Thing, Uuid)>,
    /// The last day on which it is of interest; none: it stays.
    pub expires_on: Option<NaiveDate>,
}

impl Insight {
    /// The confidence as a JSON number with exact digits: 85 is 0.85.
    #[must_use]
    pub fn confidence(&self) -> serde_json::Number {
        let text = format!("{}.{:02}", self.confidence / 100, self.confidence % 100);
        serde_json::Number::from_string_unchecked(text)
    }
}

/// An expense, as far as insights look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expense {
    /// The booking.
    pub id: Uuid,
    /// The day.
    pub date: NaiveDate,
    /// Minor units, above zero.
    pub minor: i64,
    /// Out of which wallet.
    pub wallet_id: Uuid,
    /// In which category; none of split bookings.
    pub category_id: Option<Uuid>,
    /// Who was paid.
    pub payee: Option<Payee>,
}

impl Expense {
    /// By what payments to the same are known.
    #[must_use]
    pub fn payee_key(&self) -> Option<&str> {
        self.payee.as_ref()?.key.as_deref()
    }

    /// Who was paid, as people wrote it.
    #[must_use]
    pub fn payee_written(&self) -> Option<&str> {
        Some(&self.payee.as_ref()?.written)
    }
}

/// Who was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payee {
    written: String,
    key: Option<String>,
}

impl Payee {
    /// As people wrote it: the payee, or the description. It is known by its letters alone, since banks add numbers; by
    /// none where there are none.
    #[must_use]
    pub fn new(written: String) -> Self {
        let text = written.to_lowercase();
        let words = text.split(|letter: char| !letter.is_alphabetic());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).take(6).collect();
        let key = (!words.is_empty()).then(|| words.join(" ").chars().take(60).collect());
        Self { written, key }
    }
}

/// About a coin that is worth talking of: minor units of 1.00, or of 100 where there are no cents.
#[must_use]
pub const fn unit(currency: Currency) -> i64 {
    match currency.exponent() {
        0..=2 => 100,
        3 => 1_000,
        _ => 10_000,
    }
}

/// The middle of some numbers, the lower of two; none of none.
#[must_use]
pub fn median(mut numbers: Vec<i64>) -> Option<i64> {
    if numbers.is_empty() {
        return None;
    }
    let middle = (numbers.len() - 1) / 2;
    let (_, median, _) = numbers.select_nth_unstable(middle);
    Some(*median)
}

/// The median of the distances from the median.
#[must_use]
pub fn median_deviation(numbers: &[i64], median_of: i64) -> Option<i64> {
    median(numbers.iter().map(|it| (it - median_of).abs()).collect())
}

/// Deviations above the median from which a number is unusual.
const UNUSUAL_DEVIATIONS: i128 = 6;
/// Of the normal distribution, a median deviation is 1 / 1.4826 standard deviations.
const NORMAL_TEN_THOUSANDTHS: i128 = 14_826;
/// Where all numbers are alike, this part of the median stands for their deviation, in percent.
const DEVIATION_PERCENT: i64 = 10;

/// Above what numbers are unusual among these, whose median this is; none of none.
fn unusual_from(numbers: &[i64], median_of: i64) -> Option<i128> {
    let deviation = median_deviation(numbers, median_of)?.max(median_of / 100 * DEVIATION_PERCENT);
    let above = UNUSUAL_DEVIATIONS * i128::from(deviation) * NORMAL_TEN_THOUSANDTHS / 10_000;
    Some(i128::from(median_of) + above)
}

fn text(minor: i64, currency: Currency) -> String {
    Money::new(minor, currency).to_string()
}

/// Names are as long as people write them.
fn short(name: &str) -> String {
    name.trim().chars().take(60).collect()
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod pieces {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_middle_of_numbers() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![5]), Some(5));
        assert_eq!(median(vec![9, 1, 5, 7]), Some(5));
        assert_eq!(median_deviation(&[1, 2, 3, 4, 100], 3), Some(1));
    }

    #[test]
    fn payees_are_known_by_their_letters() {
        let key = |text: &str| Payee::new(text.to_owned()).key;
        assert_eq!(key("NETFLIX.COM #4711"), key("Netflix com 0815"));
        assert_eq!(key("12345"), None);
        assert_eq!(key("Café Zoë").unwrap(), "café zoë");
    }
}
