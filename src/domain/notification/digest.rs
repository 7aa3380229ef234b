use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::word::words;

/// How alerts reach somebody by mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// Each in a mail of its own, at once.
    #[default]
    None,
    /// All of a day in one mail.
    Daily,
}

words!(Digest {
    None = "none",
    Daily = "daily",
});
