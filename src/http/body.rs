//! Reads JSON bodies: bounded in size and time, unknown fields refused, errors with a pointer.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::Problem;
use crate::config::Http;

/// A JSON body, read into the type, with the bytes it was read from. It cannot be printed: passwords
/// come in by it.
pub struct Body<T> {
    /// What was read.
    pub value: T,
    /// The bytes as they came.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let config = request
                .app_data::<web::Data<Http>>()
                .ok_or_else(|| Problem::defect("the server has no http configuration"))?;
            if !is_json(&request) {
                return Err(Problem::not_json());
            }
            let bytes_max = config.body_max_bytes;
            let bytes = tokio::time::timeout(config.client_timeout, collect(payload, bytes_max))
                .await
                .map_err(|_| Problem::too_slow())??;
            Ok(Self {
                value: parse(&bytes)?,
                bytes,
            })
        })
    }
}

fn is_json(request: &HttpRequest) -> bool {
    request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
}

async fn collect(mut payload: Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::unreadable("the body broke off"))?;
        if body.len() + chunk.len() > bytes_max {
            return Err(Problem::too_large(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// JSON that cannot be read is 400; JSON that says something else than it should is 422.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde would take an array for the fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        require_json(bytes)?;
        return Err(Problem::field("", "the body must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value =
        serde_path_to_error::deserialize(&mut json).map_err(|error| wrong_field(bytes, &error))?;
    json.end().map_err(|error| unreadable(&error))?;
    Ok(value)
}

/// The parser stops at the first wrong field: what comes after it may not even be JSON.
fn wrong_field(bytes: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    if let Err(broken) = require_json(bytes) {
        return broken;
    }
    let detail = without_place(error.inner());
    let mut pointer = pointer_of(error.path());
    // A field that is missing has no place in the body, but a name.
    let missing = detail.strip_prefix("missing field `");
    if let Some(name) = missing.and_then(|rest| rest.strip_suffix('`')) {
        pointer = format!("{pointer}/{name}");
    }
    Problem::field(pointer, detail)
}

fn require_json(bytes: &[u8]) -> Result<(), Problem> {
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map(drop)
        .map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::unreadable(format!("the body is not JSON: {error}"))
}

/// RFC 6901.
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => "/?".to_owned(),
        })
        .collect()
}

/// The pointer says where; the line and column of a body on one line say nothing.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(place) => text[..place].to_owned(),
        None => text,
    }
}
