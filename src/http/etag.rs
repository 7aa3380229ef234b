//! `ETag` shows a resource's version; `If-Match` says which version a change is for.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{ETAG, HeaderValue, IF_MATCH};
use actix_web::{FromRequest, HttpRequest};

use super::Problem;

/// The `ETag` of a version.
#[must_use]
pub fn value(version: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// The header of an answer that shows a version.
#[must_use]
pub fn header(version: i64) -> (actix_web::http::header::HeaderName, HeaderValue) {
    (ETAG, value(version))
}

/// The version that a change is for; none for any (`If-Match: *`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub Option<i64>);

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.headers().get(IF_MATCH) {
            None => Err(Problem::if_match_required()),
            Some(header) => parse(header),
        })
    }
}

/// A tag that we never gave out matches nothing: version -1.
fn parse(header: &HeaderValue) -> Result<IfMatch, Problem> {
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(IfMatch(None));
    }
    let tag = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let Some(tag) = tag else {
        return Err(Problem::header(
            "If-Match",
            "send one ETag in quotes as you read it, or *",
        ));
    };
    Ok(IfMatch(Some(tag.parse().unwrap_or(-1))))
}
