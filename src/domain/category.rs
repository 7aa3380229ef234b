//! Categories of transactions, and the usual ones that exist from registration on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::word::words;

/// Which transactions a category is for.
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
pub enum CategoryKind {
    /// Money spent.
    Expense,
    /// Money received.
    Income,
}

words!(CategoryKind {
    Expense = "expense",
    Income = "income",
});

/// The categories everyone starts with: name, kind, icon (one emoji) and color (`#rrggbb`), in the
/// order of display.
///
/// Names are unique. The list is only a start: people rename, recolor and remove their own copies.
pub const USUAL: &[(&str, CategoryKind, &str, &str)] = &[
    ("Groceries", CategoryKind::Expense, "🛒", "#43a047"),
    ("Restaurants", CategoryKind::Expense, "🍽️", "#fb8c00"),
    ("Rent & Mortgage", CategoryKind::Expense, "🏠", "#6d4c41"),
    ("Utilities", CategoryKind::Expense, "💡", "#fdd835"),
    ("Transport", CategoryKind::Expense, "🚌", "#1e88e5"),
    ("Health", CategoryKind::Expense, "🩺", "#e53935"),
    ("Shopping", CategoryKind::Expense, "🛍️", "#d81b60"),
    ("Entertainment", CategoryKind::Expense, "🎬", "#8e24aa"),
    ("Travel", CategoryKind::Expense, "✈️", "#00acc1"),
    ("Education", CategoryKind::Expense, "🎓", "#3949ab"),
    ("Insurance", CategoryKind::Expense, "🛡️", "#546e7a"),
    ("Subscriptions", CategoryKind::Expense, "🔁", "#5e35b1"),
    ("Gifts", CategoryKind::Expense, "🎁", "#ec407a"),
    ("Other", CategoryKind::Expense, "📦", "#757575"),
    ("Salary", CategoryKind::Income, "💼", "#2e7d32"),
    ("Interest", CategoryKind::Income, "🏦", "#00897b"),
    ("Other income", CategoryKind::Income, "💰", "#7cb342"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{CategoryKind, USUAL};
    use crate::domain::text::{check_color, check_text};

    #[test]
    fn usual_categories_pass_the_checks_of_any_category() {
        for &(name, _, icon, color) in USUAL {
            assert_eq!(check_text(name, 1..=60).as_deref(), Ok(name));
            assert_eq!(check_text(icon, 1..=8).as_deref(), Ok(icon));
            assert_eq!(check_color(color).as_deref(), Ok(color));
        }
    }

    #[test]
    fn usual_categories_have_unique_names_and_serve_both_kinds() {
        let names: HashSet<_> = USUAL.iter().map(|usual| usual.0).collect();
        assert_eq!(names.len(), USUAL.len());
        for &kind in CategoryKind::ALL {
            assert!(USUAL.iter().any(|usual| usual.1 == kind));
        }
    }
}
