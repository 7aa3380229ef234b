//! How much one user may ask, and how often one address may try to sign in.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use actix_web::http::header::{HeaderName, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use crate::config;
use crate::http::Problem;
use crate::http::request::AnswerHeaders;
use crate::telemetry::metrics::names;

type Limiter<K> =
    RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// The limits of this replica.
pub struct Limits {
    requests: Option<(NonZeroU32, Limiter<Uuid>)>,
    sign_in_by_address: Option<Limiter<IpAddr>>,
    sign_in_by_email: Option<Limiter<String>>,
}

impl Limits {
    /// As configured; zero means no limit.
    #[must_use]
    pub fn new(config: &config::Limits) -> Self {
        fn per_minute<K: std::hash::Hash + Eq + Clone>(count: NonZeroU32) -> Limiter<K> {
            RateLimiter::keyed(Quota::per_minute(count)).with_middleware()
        }
        Self {
            requests: config
                .requests_per_minute
                .map(|count| (count, per_minute(count))),
            sign_in_by_address: config.sign_in_per_minute.map(per_minute),
            sign_in_by_email: config.sign_in_per_minute.map(per_minute),
        }
    }

    /// Counts a request of the user; gives the headers that tell how many are left.
    ///
    /// # Errors
    /// 429: too many.
    pub fn request(&self, user_id: Uuid) -> Result<AnswerHeaders, (Problem, AnswerHeaders)> {
        let Some((count, limiter)) = &self.requests else {
            return Ok(AnswerHeaders::default());
        };
        match limiter.check_key(&user_id) {
            Ok(state) => Ok(headers(*count, state.remaining_burst_capacity(), 0)),
            Err(not_until) => {
                let secs = wait_secs(&not_until);
                let detail = format!("at most {count} requests a minute");
                Err((refused(detail, secs), headers(*count, 0, secs)))
            }
        }
    }

    /// Counts an attempt to sign in from an address, as somebody.
    ///
    /// # Errors
    /// 429: too many.
    pub fn sign_in(&self, address: Option<IpAddr>, email: Option<&str>) -> Result<(), Problem> {
        let detail = || "too many attempts to sign in: wait a little".to_owned();
        if let (Some(limiter), Some(address)) = (&self.sign_in_by_address, address) {
            limiter
                .check_key(&address)
                .map_err(|not_until| refused(detail(), wait_secs(&not_until)))?;
        }
        if let (Some(limiter), Some(email)) = (&self.sign_in_by_email, email) {
            limiter
                .check_key(&email.to_owned())
                .map_err(|not_until| refused(detail(), wait_secs(&not_until)))?;
        }
        Ok(())
    }

    /// Forgets who has been quiet long enough to start afresh.
    pub fn tidy(&self) {
        if let Some((_, limiter)) = &self.requests {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.sign_in_by_address {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.sign_in_by_email {
            limiter.retain_recent();
        }
    }
}

fn wait_secs(not_until: &governor::NotUntil<governor::clock::QuantaInstant>) -> u64 {
    not_until
        .wait_time_from(DefaultClock::default().now())
        .as_secs()
        + 1
}

fn refused(detail: String, secs: u64) -> Problem {
    metrics::counter!(names::RATE_LIMITED_TOTAL).increment(1);
    Problem::too_many(detail, secs)
}

fn headers(count: NonZeroU32, left: u32, reset_secs: u64) -> AnswerHeaders {
    let policy = format!("\"user\";q={count};w=60");
    let state = format!("\"user\";r={left};t={reset_secs}");
    let named = [("ratelimit-policy", policy), ("ratelimit", state)];
    AnswerHeaders(
        named
            .into_iter()
            .filter_map(|(name, value)| {
                Some((
                    HeaderName::from_static(name),
                    HeaderValue::from_str(&value).ok()?,
                ))
            })
            .collect(),
    )
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}
