//! A small client of the HTTP API: sends JSON, waits when it is asked to, and says in words why a
//! request was refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep_until;
use uuid::Uuid;

use super::answers::Problem;
use super::story::Teller;

/// How long to try to connect.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long to wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long to pause at the most when the server asks for a pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often to send a request at the most.
const ATTEMPTS_MAX: u32 = 10;

/// An answer, with what its headers say.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) body: T,
    /// When the request was sent, for the last time if it was sent again.
    pub(super) sent: Instant,
    /// `X-Log-Position`.
    pub(super) position: Option<String>,
    /// `Idempotent-Replayed`: the first answer once more.
    pub(super) replayed: bool,
}

/// The client of one server, of one user once [`Client::signed_in`].
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    teller: Arc<Teller>,
    pause: Mutex<Pause>,
}

/// Until when nothing is sent, and the longest pause that was told.
#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    told: Duration,
}

impl Client {
    /// A client of the server at the URL.
    pub(super) fn new(url: &str, teller: Arc<Teller>) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let parsed = Url::parse(&base)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(parsed) = parsed else {
            bail!("--url takes an address such as http://127.0.0.1:8080, not `{url}`");
        };
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_MAX);
        if is_loopback(&parsed) {
            http = http.no_proxy();
        }
        let http = http.build().context("cannot set up an HTTP client")?;
        Ok(Self {
            http,
            base,
            token: None,
            teller,
            pause: Mutex::default(),
        })
    }

    /// The server's address, without a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends the token with every request from here on.
    pub(super) fn signed_in(&mut self, access_token: String) {
        self.token = Some(access_token);
    }

    /// Whether it has a token.
    pub(super) fn is_signed_in(&self) -> bool {
        self.token.is_some()
    }

    /// Deletes a resource.
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = self.http.delete(self.url(path)).timeout(ANSWER_MAX);
        self.send("DELETE", path, request).await?;
        Ok(())
    }

    /// Gets a resource.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<Answer<T>> {
        let request = self
            .http
            .get(self.url(path))
            .query(query)
            .timeout(ANSWER_MAX);
        self.answer("GET", path, request).await
    }

    /// Creates a resource, once for each key.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        key: Option<Uuid>,
    ) -> anyhow::Result<Answer<T>> {
        let mut request = self
            .http
            .post(self.url(path))
            .json(body)
            .timeout(ANSWER_MAX);
        if let Some(key) = key {
            request = request.header("idempotency-key", key.to_string());
        }
        self.answer("POST", path, request).await
    }

    /// Opens a stream of server-sent events, which has no end.
    pub(super) async fn open_stream(&self, path: &str) -> anyhow::Result<Response> {
        let request = self
            .http
            .get(self.url(path))
            .header("accept", "text/event-stream");
        Ok(self.send("GET", path, request).await?.0)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        request: RequestBuilder,
    ) -> anyhow::Result<Answer<T>> {
        let (response, sent) = self.send(method, path, request).await?;
        let position = text_of(response.headers(), "x-log-position");
        let replayed =
            text_of(response.headers(), "idempotent-replayed").as_deref() == Some("true");
        let body = response.bytes().await.map_err(|error| self.silent(error))?;
        let body = serde_json::from_slice(&body)
            .with_context(|| format!("{method} {path}: the answer is not what the API promises"))?;
        Ok(Answer {
            body,
            sent,
            position,
            replayed,
        })
    }

    /// Sends until there is an answer other than "later".
    async fn send(
        &self,
        method: &str,
        path: &str,
        mut request: RequestBuilder,
    ) -> anyhow::Result<(Response, Instant)> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for _ in 0..ATTEMPTS_MAX {
            self.wait_out_the_pause().await;
            let attempt = request
                .try_clone()
                .context("a request cannot be sent twice")?;
            let sent = Instant::now();
            let response = attempt.send().await.map_err(|error| self.silent(error))?;
            match asked_pause(&response) {
                Some(pause) => self.pause_for(response.status(), pause)?,
                None if response.status().is_success() => return Ok((response, sent)),
                None => bail!("{method} {path}: {}", refusal(response).await),
            }
        }
        bail!("{method} {path}: the server has no room for it, even after {ATTEMPTS_MAX} attempts")
    }

    async fn wait_out_the_pause(&self) {
        let until = self
            .pause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .until;
        if let Some(until) = until {
            sleep_until(until.into()).await;
        }
    }

    /// Pauses all requests, and tells of it unless a pause as long was told before.
    fn pause_for(&self, status: StatusCode, pause: Duration) -> anyhow::Result<()> {
        let mut state = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        state.until = state.until.max(Some(Instant::now() + pause));
        if pause > state.told {
            state.told = pause;
            let secs = pause.as_secs();
            self.teller.note(&format!(
                "the server asks for a pause ({status}): going on in {secs} s, as it says"
            ))?;
        }
        Ok(())
    }

    fn silent(&self, error: reqwest::Error) -> anyhow::Error {
        let base = &self.base;
        if error.is_connect() {
            return anyhow::anyhow!(
                "nobody answers at {base}: start the server with `make run` in another terminal, \
                 or say with --url where it runs"
            );
        }
        anyhow::Error::new(error.without_url()).context(format!("{base} stopped answering"))
    }
}

/// A proxy would look for `127.0.0.1` on its own host.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn asked_pause(response: &Response) -> Option<Duration> {
    let secs = text_of(response.headers(), RETRY_AFTER.as_str());
    let secs = secs.and_then(|secs| secs.trim().parse().ok());
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => Some(secs.unwrap_or(1)),
        StatusCode::SERVICE_UNAVAILABLE => secs,
        _ => None,
    }
    .map(|secs| Duration::from_secs(secs).clamp(Duration::from_secs(1), PAUSE_MAX))
}

async fn refusal(response: Response) -> String {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => problem.in_words(),
        Err(_) => format!("answered {status}; is this the address of a wealth-companion?"),
    }
}

#[cfg(test)]
mod tests;
