//! What insights are about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::word::words;

/// What an insight is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A booking.
    Transaction,
    /// A category.
    Category,
    /// A budget.
    Budget,
}

words!(Thing {
    Transaction = "transaction",
    Category = "category",
    Budget = "budget",
});
