//! Google's Gemini, by the REST interface of the Gemini API (`models.generateContent`,
//! <https://ai.google.dev/api/generate-content>): a small client that asks for a few texts and gets them, or not.
//!
//! It knows no insights and no users: what is asked, and what becomes of the answer, is [`crate::projector`]'s.
//! Nothing is tried twice. What did not work says how long nobody should ask (`breaker.rs`).

/// Not asking while it does not answer.
mod breaker;
/// What goes over the wire.
mod wire;

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use metrics::{counter, gauge, histogram};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use secrecy::ExposeSecret;

use crate::clock::Clock;
use crate::config;
use crate::telemetry::metrics::names;
use breaker::Breaker;

pub use wire::Question;
use wire::{Texts, Tokens};

/// The header of the key. It is never a part of the URL, which proxies and servers log.
const KEY_HEADER: &str = "x-goog-api-key";
/// Bytes of an answer that are read at the most.
const ANSWER_BYTES_MAX: usize = 65_536;
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Gemini, for one key and one model.
#[derive(Debug)]
pub struct Gemini {
    http: Client,
    url: Url,
    model: String,
    output_tokens_max: u32,
    clock: Clock,
    breaker: Breaker,
}

/// Why there is no answer. Nothing that it said is repeated: it may hold what it was sent, the key too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody asks it now.
    #[error("it did not answer lately, and is not asked")]
    Resting,
    /// It has too much to do, or we have asked for more than is allowed.
    #[error("it is too busy (HTTP {status})")]
    Busy {
        /// The status of HTTP.
        status: u16,
        /// How long it wants to be left alone, where it says so.
        pause: Option<Duration>,
    },
    /// It could not be reached, was cut off, or has a fault of its own.
    #[error("it is away: {0}")]
    Away(String),
    /// It does not know the key or the model, or may not be used.
    #[error("it refuses the key, the project or the model: HTTP {status} {reason}")]
    NotSetUp {
        /// The status of HTTP.
        status: u16,
        /// A word of Google's.
        reason: String,
    },
    /// It does not want to say anything to this.
    #[error("it gives no text: {0}")]
    Blocked(String),
    /// What it said is not what was asked for.
    #[error("its answer is of no use: {0}")]
    Unreadable(&'static str),
}

impl Fault {
    /// In metrics.
    const fn outcome(&self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Busy { .. } => "busy",
            Self::Away(_) => "away",
            Self::NotSetUp { .. } => "not_set_up",
            Self::Blocked(_) => "blocked",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Whether the same question would end the same way.
    #[must_use]
    pub const fn is_of_the_question(&self) -> bool {
        matches!(self, Self::Blocked(_) | Self::Unreadable(_))
    }
}

impl Gemini {
    /// The one of the configuration; none where it has no key, or is switched off.
    ///
    /// # Errors
    /// The key is no text of a header; the URL is none; no client can be made.
    pub fn of(config: &config::Ai, clock: Clock) -> anyhow::Result<Option<Self>> {
        let (Some(key), Some(base), true) = (&config.gemini_api_key, &config.url, config.enabled)
        else {
            return Ok(None);
        };
        let mut headers = HeaderMap::new();
        let mut key = HeaderValue::from_str(key.expose_secret()).map_err(|_| {
            anyhow::anyhow!("ai.gemini_api_key: it has characters that no header takes")
        })?;
        key.set_sensitive(true);
        headers.insert(KEY_HEADER, key);
        let url = Url::parse(base.expose()).context("ai.url")?;
        let client = Client::builder()
            // It sends nobody elsewhere, and the key would go along.
            .redirect(Policy::none())
            .pool_idle_timeout(IDLE)
            .default_headers(headers);
        // What is on this machine is not behind a proxy.
        let client = if url.scheme() == "http" {
            client.no_proxy()
        } else {
            client
        };
        gauge!(names::AI_BREAKER_OPEN).set(0);
        for direction in ["in", "out"] {
            counter!(names::AI_TOKENS_TOTAL, "direction" => direction).increment(0);
        }
        Ok(Some(Self {
            http: client.build()?,
            url: address(&url, &config.model)?,
            model: config.model.clone(),
            output_tokens_max: config.output_tokens_max,
            clock,
            breaker: Breaker::default(),
        }))
    }

    /// Asks, and waits so long at the most; tells as well how many tokens that took.
    pub async fn ask(
        &self,
        question: &Question<'_>,
        patience: Duration,
    ) -> (Result<Texts, Fault>, u64) {
        let now = self.clock.now();
        if !self.breaker.lets_through(now) {
            return (Err(Fault::Resting), 0);
        }
        let begun = Instant::now();
        let answered = tokio::time::timeout(patience, self.send(question)).await;
        let late = || Err(Fault::Away("no answer in time".to_owned()));
        let (answer, tokens) = match answered.unwrap_or_else(|_| late()) {
            Ok((answer, tokens)) => (answer, tokens.counted()),
            // It may have been answered all the same.
            Err(fault @ Fault::Away(_)) => (Err(fault), self.at_most(question)),
            Err(fault) => (Err(fault), 0),
        };
        histogram!(names::AI_REQUEST_DURATION_SECONDS).record(begun.elapsed());
        let outcome = answer.as_ref().map_or_else(Fault::outcome, |_| "ok");
        counter!(names::AI_REQUESTS_TOTAL, "outcome" => outcome).increment(1);
        self.learn(answer.as_ref().err(), now);
        (answer, tokens)
    }

    /// Tokens that an answer nobody has seen may have taken: a token has several bytes.
    fn at_most(&self, question: &Question<'_>) -> u64 {
        let bytes = question.instruction.len() + question.text.len();
        u64::from(self.output_tokens_max) + u64::try_from(bytes / 2).unwrap_or(u64::MAX / 2)
    }

    /// What was answered and what it took, or that it was not answered.
    async fn send(&self, question: &Question<'_>) -> Result<(Result<Texts, Fault>, Tokens), Fault> {
        let body = wire::request(question, &self.model, self.output_tokens_max);
        let request = self.http.post(self.url.clone()).json(&body);
        let mut answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(away)? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Fault::Unreadable("it is too long"));
            }
            body.extend_from_slice(&piece);
        }
        if status == StatusCode::OK {
            let (answer, tokens) = wire::read(&body, question.fields);
            for (direction, count) in [("in", tokens.sent), ("out", tokens.answered)] {
                counter!(names::AI_TOKENS_TOTAL, "direction" => direction).increment(count);
            }
            Ok((answer, tokens))
        } else {
            Err(wire::refusal(status.as_u16(), &body))
        }
    }

    /// Closes the breaker, or opens it.
    fn learn(&self, fault: Option<&Fault>, now: DateTime<Utc>) {
        let is_news = match fault {
            None => self.breaker.close(),
            Some(fault) if fault.is_of_the_question() => self.breaker.close(),
            Some(fault) => self.breaker.open(now, fault),
        };
        gauge!(names::AI_BREAKER_OPEN).set(u32::from(self.breaker.is_open()));
        if !is_news {
            return;
        }
        match fault {
            Some(fault @ Fault::NotSetUp { .. }) => tracing::error!(
                %fault,
                "gemini: insights keep the rules' words; look at ai.gemini_api_key, ai.model and the project of the key"
            ),
            Some(fault) if !fault.is_of_the_question() => {
                tracing::warn!(%fault, "gemini: insights keep the rules' words for now");
            }
            _ => tracing::info!("gemini: it answers again"),
        }
    }
}

/// `{base}/v1beta/models/{model}:generateContent`
fn address(base: &Url, model: &str) -> anyhow::Result<Url> {
    let mut url = base.clone();
    let method = format!("{model}:generateContent");
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("ai.url: it has no path"))?
        .pop_if_empty()
        .extend(["v1beta", "models", &method]);
    Ok(url)
}

/// In words of ours: an error of the client may hold the URL.
fn away(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let what = if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection broke"
    };
    Fault::Away(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Url, address};

    #[test]
    fn the_model_stays_within_its_part_of_the_path() {
        let base = Url::parse("https://generativelanguage.googleapis.com").expect("a URL");
        let url = address(&base, "gemini-3.5-flash-lite").expect("a URL");
        assert_eq!(
            url.as_str(),
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.5-flash-lite:generateContent"
        );
        let base = Url::parse("http://127.0.0.1:1/proxy/").expect("a URL");
        let url = address(&base, "a/b?c").expect("a URL");
        assert_eq!(url.path(), "/proxy/v1beta/models/a%2Fb%3Fc:generateContent");
    }
}
