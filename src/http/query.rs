//! Reads query strings: unknown fields refused.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use super::Problem;

/// A query, read into the type.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = serde_urlencoded::Deserializer::new(form_pairs(request.query_string()));
        let read = serde_path_to_error::deserialize(pairs)
            .map(Self)
            .map_err(|error| {
                let name = error.path().to_string();
                let name = if name == "." { String::new() } else { name };
                Problem::field(format!("?{name}"), error.into_inner().to_string())
            });
        ready(read)
    }
}

fn form_pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}
