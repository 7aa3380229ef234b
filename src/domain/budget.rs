//! How far a budget is spent, and the thresholds at which its owner wants to hear of it.

use std::borrow::Cow;

use chrono::NaiveDate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// The smallest threshold, in percent of the limit.
pub const THRESHOLD_MIN: u16 = 1;
/// The largest threshold, in percent of the limit.
pub const THRESHOLD_MAX: u16 = 1_000;
/// How many thresholds one budget may have.
pub const THRESHOLDS_MAX: usize = 10;

/// Bound of [`percent`], either way: what is beyond says no more, and programs that read numbers as
/// floating point keep it exactly.
pub const PERCENT_BOUND: i64 = 1_000_000_000;

/// A limit that a budget had once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerLimit {
    /// It held in the periods that began before this day.
    pub before: NaiveDate,
    /// Minor units.
    pub minor: i64,
}

/// Why a list of thresholds was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// The list is empty or too long.
    #[error("send 1 to {THRESHOLDS_MAX} thresholds, not {given}")]
    Count {
        /// The length of the list as it was sent, repeated values included.
        given: usize,
    },
    /// A value is not a percentage in bounds.
    #[error(
        "a threshold is a whole percentage from {THRESHOLD_MIN} to {THRESHOLD_MAX}, not {given}"
    )]
    OutOfRange {
        /// The first value that is out of bounds.
        given: i64,
    },
}

/// The percentages of a budget's limit that are worth a message: 1 to [`THRESHOLDS_MAX`] of them,
/// each [`THRESHOLD_MIN`] to [`THRESHOLD_MAX`], ascending and without repetition. In JSON a list of
/// whole numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<i64>", into = "Vec<u16>")]
pub struct Thresholds(Vec<u16>);

impl Thresholds {
    /// Takes percentages in any order; values sent twice count once in the result.
    ///
    /// # Errors
    ///
    /// [`ThresholdError`] when the list as sent has no or too many values, or one is out of bounds.
    pub fn new(percentages: Vec<i64>) -> Result<Self, ThresholdError> {
        if percentages.is_empty() || percentages.len() > THRESHOLDS_MAX {
            return Err(ThresholdError::Count {
                given: percentages.len(),
            });
        }
        let mut thresholds = percentages
            .into_iter()
            .map(check_threshold)
            .collect::<Result<Vec<_>, _>>()?;
        thresholds.sort_unstable();
        thresholds.dedup();
        Ok(Self(thresholds))
    }

    /// The percentages, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u16> + ExactSizeIterator + '_ {
        self.0.iter().copied()
    }
}

fn check_threshold(percentage: i64) -> Result<u16, ThresholdError> {
    u16::try_from(percentage)
        .ok()
        .filter(|threshold| (THRESHOLD_MIN..=THRESHOLD_MAX).contains(threshold))
        .ok_or(ThresholdError::OutOfRange { given: percentage })
}

impl Default for Thresholds {
    /// A warning at 80 % and word of the limit itself at 100 %.
    fn default() -> Self {
        Self(vec![80, 100])
    }
}

impl TryFrom<Vec<i64>> for Thresholds {
    type Error = ThresholdError;

    fn try_from(percentages: Vec<i64>) -> Result<Self, Self::Error> {
        Self::new(percentages)
    }
}

impl From<Thresholds> for Vec<u16> {
    fn from(thresholds: Thresholds) -> Self {
        thresholds.0
    }
}

// The derives of both schema crates see a bare list of numbers and would lose the bounds.
const ABOUT: &str =
    "Whole percentages of the budget's limit. Sorted, and without repetition, when read back.";

impl JsonSchema for Thresholds {
    fn schema_name() -> Cow<'static, str> {
        "Thresholds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "description": ABOUT,
            "items": { "type": "integer", "minimum": THRESHOLD_MIN, "maximum": THRESHOLD_MAX },
            "minItems": 1,
            "maxItems": THRESHOLDS_MAX,
        })
    }
}

impl PartialSchema for Thresholds {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let threshold = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(THRESHOLD_MIN))
            .maximum(Some(THRESHOLD_MAX));
        ArrayBuilder::new()
            .description(Some(ABOUT))
            .items(threshold)
            .min_items(Some(1))
            .max_items(Some(THRESHOLDS_MAX))
            .examples([serde_json::json!([80, 100])])
            .into()
    }
}

impl ToSchema for Thresholds {
    fn name() -> Cow<'static, str> {
        "Thresholds".into()
    }
}

/// Whether spending has come to `threshold` percent of the limit. Both amounts are minor units of
/// one currency.
///
/// Exact for every input. Nothing spent, or more refunded than spent, reaches no threshold; any
/// spending at all reaches every threshold of a limit that is not positive.
#[must_use]
pub fn reached(spent_minor: i64, limit_minor: i64, threshold: u16) -> bool {
    spent_minor > 0
        && i128::from(spent_minor) * 100 >= i128::from(limit_minor) * i128::from(threshold)
}

/// How much of the limit is spent, in whole percent rounded down. Both amounts are minor units of
/// one currency.
///
/// Rounding down keeps it in step with [`reached`]: for a positive limit and positive spending,
/// `percent` is at least `threshold` exactly when the threshold is reached. A result beyond
/// [`PERCENT_BOUND`] saturates. Of a limit that is not positive, any spending is as much as that and
/// none is zero.
#[must_use]
pub fn percent(spent_minor: i64, limit_minor: i64) -> i64 {
    if limit_minor <= 0 {
        return if spent_minor > 0 { PERCENT_BOUND } else { 0 };
    }
    let percent = (i128::from(spent_minor) * 100).div_euclid(i128::from(limit_minor));
    let bound = if percent < 0 {
        -PERCENT_BOUND
    } else {
        PERCENT_BOUND
    };
    i64::try_from(percent)
        .ok()
        .filter(|percent| percent.abs() <= PERCENT_BOUND)
        .unwrap_or(bound)
}

/// Whether reaching `threshold` (in percent) means that the limit itself is used up, not that it
/// comes near.
#[must_use]
pub const fn is_exceeded(threshold: u16) -> bool {
    threshold >= 100
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{PERCENT_BOUND, ThresholdError, Thresholds, is_exceeded, percent, reached};

    #[test]
    fn thresholds_are_sorted_and_unique() {
        let thresholds = Thresholds::new(vec![100, 50, 100, 1_000, 1]).unwrap();
        assert_eq!(thresholds.iter().collect::<Vec<_>>(), [1, 50, 100, 1_000]);
        assert_eq!(Thresholds::default().iter().collect::<Vec<_>>(), [80, 100]);
    }

    #[test]
    fn thresholds_out_of_bounds_are_refused() {
        assert_eq!(
            Thresholds::new(vec![]),
            Err(ThresholdError::Count { given: 0 })
        );
        assert_eq!(
            Thresholds::new(vec![80; 11]),
            Err(ThresholdError::Count { given: 11 })
        );
        for given in [0, -1, 1_001, 65_616, i64::MAX, i64::MIN] {
            assert_eq!(
                Thresholds::new(vec![80, given]),
                Err(ThresholdError::OutOfRange { given })
            );
        }
    }

    #[test]
    fn thresholds_are_a_checked_list_in_json() {
        let thresholds: Thresholds = serde_json::from_str("[100, 80]").unwrap();
        assert_eq!(serde_json::to_string(&thresholds).unwrap(), "[80,100]");
        let error = serde_json::from_str::<Thresholds>("[0]").unwrap_err();
        assert!(error.to_string().contains("from 1 to 1000"), "{error}");
    }

    #[test]
    fn a_threshold_is_reached_at_the_exact_minor_unit() {
        assert!(!reached(7_999, 10_000, 80));
        assert!(reached(8_000, 10_000, 80));
        assert!(!reached(0, 10_000, 1));
        assert!(!reached(-5, 0, 1));
        assert!(!reached(2, 3, 67));
        assert!(reached(2, 3, 66));
        assert!(is_exceeded(100) && is_exceeded(120) && !is_exceeded(99));
    }

    #[test]
    fn percent_rounds_down_and_saturates() {
        assert_eq!(percent(7_999, 10_000), 79);
        assert_eq!(percent(-1, 200), -1);
        assert_eq!(percent(i64::MAX, 1), PERCENT_BOUND);
        assert_eq!(percent(i64::MIN, 1), -PERCENT_BOUND);
        assert_eq!(percent(i64::MIN, i64::MAX), -101);
        assert_eq!(percent(i64::MAX, i64::MAX), 100);
        assert_eq!(
            (percent(1, 0), percent(0, 0), percent(-1, 0)),
            (PERCENT_BOUND, 0, 0)
        );
    }

    proptest! {
        #[test]
        fn thresholds_accept_exactly_lists_in_bounds(
            list in prop::collection::vec(-5_i64..1_010, 0..13),
        ) {
            let in_bounds = list.iter().all(|percentage| (1..=1_000).contains(percentage));
            let fits = in_bounds && (1..=10).contains(&list.len());
            let thresholds = Thresholds::new(list);
            prop_assert_eq!(thresholds.is_ok(), fits);
            if let Ok(thresholds) = thresholds {
                prop_assert!(thresholds.iter().is_sorted_by(|a, b| a < b));
                let again = Thresholds::new(thresholds.iter().map(i64::from).collect());
                prop_assert_eq!(again, Ok(thresholds));
            }
        }

        #[test]
        fn reached_is_monotonic(
            spent: i64,
            more in 0..i64::MAX,
            limit: i64,
            low in 1_u16..=1_000,
            up in 0_u16..1_000,
        ) {
            let spent_more = spent.saturating_add(more);
            prop_assert!(!reached(spent, limit, low) || reached(spent_more, limit, low));
            if limit >= 0 {
                prop_assert!(!reached(spent, limit, low + up) || reached(spent, limit, low));
            }
        }

        #[test]
        fn percent_and_reached_agree(
            spent in 1..=i64::MAX,
            limit in 1..=i64::MAX,
            threshold in 1_u16..=1_000,
        ) {
            let by_percent = percent(spent, limit) >= i64::from(threshold);
            prop_assert_eq!(by_percent, reached(spent, limit, threshold));
        }

        #[test]
        fn percent_is_total(spent in any::<i64>(), limit in any::<i64>()) {
            let _ = percent(spent, limit);
        }
    }
}
