//! The Dapr sidecar of this process: a small client of its HTTP API. It knows no events, no roles
//! and no tables; `bus`, `state` and `secrets` do.

/// Publishing many events at once.
pub mod publish;
/// Reading secrets.
pub mod secret;
/// Keys with a time to live.
pub mod store;

use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::config;
use crate::telemetry::metrics::names;
use crate::telemetry::spans;
use crate::telemetry::trace::TRACEPARENT;

/// The header of the tokens, of ours to the sidecar and of the sidecar's to us.
pub const TOKEN_HEADER: &str = "dapr-api-token";

/// How long a connection that nobody uses is kept. The sidecar closes none by itself.
const IDLE: Duration = Duration::from_secs(90);
/// Characters of what the sidecar says of an error that are kept.
const MESSAGE_CHARS_MAX: usize = 300;

/// The sidecar. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Sidecar {
    http: Client,
    base: Url,
}

/// Why the sidecar did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SidecarError {
    /// It is not there, or did not answer in time. It may have done it all the same.
    #[error("the Dapr sidecar does not answer: {0}")]
    Unreachable(String),
    /// It answered that it did not.
    #[error("the Dapr sidecar answered {status}: {message}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It answered something else than it should.
    #[error("the Dapr sidecar's answer is unknown: {0}")]
    Unreadable(String),
}

impl Sidecar {
    /// The sidecar of the configuration. Nothing is asked of it yet.
    ///
    /// # Errors
    /// The token is no text of a header; no client can be made.
    pub fn new(config: &config::Dapr) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &config.api_token {
            let mut token = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
                anyhow::anyhow!("dapr.api_token: it has characters that no header takes")
            })?;
            token.set_sensitive(true);
            headers.insert(TOKEN_HEADER, token);
        }
        // It is on this machine: no proxy stands in between, and small writes must not wait for
        // each other.
        let http = Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(config.timeout)
            .pool_idle_timeout(IDLE)
            .default_headers(headers)
            .build()?;
        let base = Url::parse(&format!("http://127.0.0.1:{}/v1.0/", config.http_port))?;
        Ok(Self { http, base })
    }

    /// Whether publishing, state and secrets work. It does not wait for this process to listen.
    ///
    /// # Errors
    /// Not yet, or it is not there.
    pub async fn check(&self) -> Result<(), SidecarError> {
        let request = self.http.get(self.url(&["healthz", "outbound"])?);
        accepted(send("health", request).await?).await.map(drop)
    }

    /// The address of a path, whose parts may hold any characters.
    fn url(&self, path: &[&str]) -> Result<Url, SidecarError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| SidecarError::Unreadable("its address has no path".to_owned()))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }
}

/// Asks for an operation; its own spans belong below the current one.
async fn send(operation: &'static str, request: RequestBuilder) -> Result<Response, SidecarError> {
    let request = match spans::current() {
        Some(place) => request.header(TRACEPARENT, place.to_string()),
        None => request,
    };
    let begun = Instant::now();
    let answer = request.send().await;
    let outcome = match &answer {
        Ok(answer) if answer.status().is_success() => "ok",
        Ok(_) => "refused",
        Err(_) => "away",
    };
    metrics::counter!(
        names::SIDECAR_REQUESTS_TOTAL,
        "operation" => operation, "outcome" => outcome
    )
    .increment(1);
    metrics::histogram!(names::SIDECAR_REQUEST_DURATION_SECONDS, "operation" => operation)
        .record(begun.elapsed());
    answer.map_err(unreachable)
}

/// The answer, if it is a good one.
async fn accepted(answer: Response) -> Result<Response, SidecarError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(unreachable)?;
    Err(refused(status, &body))
}

/// What the sidecar says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

fn refused(status: u16, body: &[u8]) -> SidecarError {
    let said = serde_json::from_slice(body).map(|Refusal { message }| message);
    let message = said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    SidecarError::Refused {
        status,
        message: message.chars().take(MESSAGE_CHARS_MAX).collect(),
    }
}

/// The error with its causes: by itself it says only that something was sent.
fn unreachable(error: reqwest::Error) -> SidecarError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    SidecarError::Unreachable(text)
}

#[cfg(test)]
mod tests {
    use super::{Sidecar, SidecarError, refused};
    use crate::config::{Config, LoadArgs};

    #[test]
    fn names_stay_within_their_part_of_the_path() {
        let config = Config::load(&LoadArgs::new()).expect("defaults").config;
        let sidecar = Sidecar::new(&config.dapr).expect("a client");
        let url = sidecar.url(&["secrets", "a/b", "c?d"]).expect("a URL");
        let expected = "http://127.0.0.1:3500/v1.0/secrets/a%2Fb/c%3Fd";
        assert_eq!(url.as_str(), expected);
    }

    #[test]
    fn a_refusal_says_what_the_sidecar_said() {
        let said = |body: &str| match refused(500, body.as_bytes()) {
            SidecarError::Refused { message, .. } => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(r#"{"errorCode":"ERR","message":"away"}"#), "away");
        assert_eq!(said("no JSON"), "no JSON");
        assert_eq!(said(&"x".repeat(1_000)).len(), 300);
    }
}
