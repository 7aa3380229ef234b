//! How much one user may ask, and how often one address may try to sign in.
//!
//! Where replicas share a Redis they count together; else, and while it is away, each counts for
//! itself. What they count together each counts for itself too, so that nobody begins afresh when
//! Redis goes away.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers.

/// Limits of all replicas.
mod shared;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config;
use crate::http::Problem;
use crate::http::request::AnswerHeaders;
use crate::redis::Redis;
use crate::telemetry::metrics::names;
use shared::Shared;

/// Whom a limit is for: an id, or a hash of what is nobody's business.
type Key = [u8; 16];

type Limiter =
    RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// The limits.
pub struct Limits {
    requests: Option<Limit>,
    sign_in_by_address: Option<Limit>,
    sign_in_by_email: Option<Limit>,
}

impl Limits {
    /// As configured; zero means no limit. Replicas of an installation share them by Redis, if they
    /// have one.
    #[must_use]
    pub fn new(config: &config::Limits, redis: Option<(&Redis, &str)>) -> Self {
        let limit = |count: Option<NonZeroU32>, name| {
            let shared = redis.map(|(redis, installation)| Shared::new(redis, installation, name));
            Some(Limit::new(count?, shared))
        };
        Self {
            requests: limit(config.requests_per_minute, "requests"),
            sign_in_by_address: limit(config.sign_in_per_minute, "sign-in-by-address"),
            sign_in_by_email: limit(config.sign_in_per_minute, "sign-in-by-email"),
        }
    }

    /// Counts a request of the user; gives the headers that tell how many are left.
    ///
    /// # Errors
    /// 429: too many.
    pub async fn request(&self, user_id: Uuid) -> Result<AnswerHeaders, (Problem, AnswerHeaders)> {
        let Some(limit) = &self.requests else {
            return Ok(AnswerHeaders::default());
        };
        let count = limit.count;
        match limit.check(user_id.into_bytes()).await {
            Ok(left) => Ok(headers(count, left, 0)),
            Err(wait) => {
                let secs = whole_secs(wait);
                let detail = format!("at most {count} requests a minute");
                Err((refused(detail, secs), headers(count, 0, secs)))
            }
        }
    }

    /// Counts an attempt to sign in from an address, as somebody.
    ///
    /// # Errors
    /// 429: too many.
    pub async fn sign_in(
        &self,
        address: Option<IpAddr>,
        email: Option<&str>,
    ) -> Result<(), Problem> {
        let address = address.map(|address| hash_of(&network_of(address).to_string()));
        let email = email.map(hash_of);
        for (limit, key) in [
            (&self.sign_in_by_address, address),
            (&self.sign_in_by_email, email),
        ] {
            if let (Some(limit), Some(key)) = (limit, key)
                && let Err(wait) = limit.check(key).await
            {
                let detail = "too many attempts to sign in: wait a little".to_owned();
                return Err(refused(detail, whole_secs(wait)));
            }
        }
        Ok(())
    }

    /// Forgets who has been quiet long enough to start afresh.
    pub fn tidy(&self) {
        let all = [
            &self.requests,
            &self.sign_in_by_address,
            &self.sign_in_by_email,
        ];
        for limit in all.into_iter().flatten() {
            limit.here.retain_recent();
        }
    }
}

/// So many a minute for each key.
struct Limit {
    count: NonZeroU32,
    here: Limiter,
    shared: Option<Shared>,
}

impl Limit {
    fn new(count: NonZeroU32, shared: Option<Shared>) -> Self {
        Self {
            count,
            here: RateLimiter::keyed(Quota::per_minute(count)).with_middleware(),
            shared,
        }
    }

    /// Counts one; gives how many are left, or how long to wait.
    async fn check(&self, key: Key) -> Result<u32, Duration> {
        let shared = match &self.shared {
            Some(shared) => shared.check(key, self.count).await,
            None => None,
        };
        match shared {
            Some(Ok(left)) => {
                // Of what all replicas let through, this is a part: it is noted, and not judged.
                let _ = self.here.check_key(&key);
                Ok(left)
            }
            Some(Err(wait)) => Err(wait),
            None => match self.here.check_key(&key) {
                Ok(state) => Ok(state.remaining_burst_capacity()),
                Err(not_until) => Err(not_until.wait_time_from(DefaultClock::default().now())),
            },
        }
    }
}

/// The network of one customer: who has an IPv6 address has all that share its first half.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

fn hash_of(text: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&Sha256::digest(text)[..16]);
    key
}

/// Who waits that long has waited enough.
fn whole_secs(wait: Duration) -> u64 {
    wait.as_secs() + 1
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::network_of;

    #[test]
    fn an_address_counts_with_those_of_the_same_customer() {
        let network = |text: &str| network_of(text.parse::<IpAddr>().unwrap()).to_string();
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            assert_eq!(network(address), expected, "{address}");
        }
    }
}
