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

/// Where the next page of this list begins, as clients see it.
///
/// # Errors
/// A key that is no JSON: a defect.
pub fn next<K: Serialize>(list: &str, key: Option<&K>) -> Result<Option<String>, Problem> {
    let Some(key) = key else {
        return Ok(None);
    };
    let json =
        serde_json::to_vec(&(list, key)).map_err(|error| Problem::defect(error.to_string()))?;
    Ok(Some(URL_SAFE_NO_PAD.encode(json)))
}

/// What the query asks for of this list.
///
/// # Errors
/// 422: a limit out of bounds, or a cursor that is not one of this list.
pub fn page<K: DeserializeOwned>(
    list: &str,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<PageRequest<K>, Problem> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::field("?limit", format!("from 1 to {LIMIT_MAX}")));
    }
    let after = cursor.map(|cursor| decode(list, cursor)).transpose()?;
    Ok(PageRequest { limit, after })
}

/// The keys of many lists look alike: the cursor names its list.
fn decode<K: DeserializeOwned>(list: &str, cursor: &str) -> Result<K, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|json| serde_json::from_slice::<(String, K)>(&json).ok())
        .filter(|(of_list, _)| of_list == list)
        .map(|(_, key)| key)
        .ok_or_else(|| {
            Problem::field(
                "?cursor",
                "not a cursor of this list: take the next_cursor of its last page",
            )
        })
}
