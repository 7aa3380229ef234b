//! Cursors of lists: the key of the last row that was seen, opaque to clients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Problem;
use crate::store::PageRequest;

/// Rows of a page when the client does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Rows of a page at the most.
pub const LIMIT_MAX: u32 = 200;

/// A key as clients see it.
///
/// # Errors
/// A key that is no JSON: a defect.
pub fn encode<K: Serialize>(key: &K) -> Result<String, Problem> {
    let json = serde_json::to_vec(key).map_err(|error| Problem::defect(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// What the query asks for.
///
/// # Errors
/// 422: a limit out of bounds, or a cursor that is not one of ours.
pub fn page<K: DeserializeOwned>(
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<PageRequest<K>, Problem> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::field("?limit", format!("from 1 to {LIMIT_MAX}")));
    }
    let after = cursor.map(decode).transpose()?;
    Ok(PageRequest { limit, after })
}

fn decode<K: DeserializeOwned>(cursor: &str) -> Result<K, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| {
            Problem::field(
                "?cursor",
                "not a cursor of this list: take the next_cursor of its last page",
            )
        })
}
