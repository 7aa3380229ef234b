//! Access tokens: JWT, HS256, a quarter of an hour by default. Keys rotate: the first signs, all
//! verify, and a token names its key by `kid`.

mod hs256;

use std::fmt;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Auth;
use crate::http::Problem;

const ISSUER: &str = "wealth-companion";

/// Signs and verifies access tokens.
pub struct Tokens {
    keys: Vec<Key>,
    lifetime_secs: i64,
}

struct Key {
    kid: String,
    signs: EncodingKey,
    verifies: DecodingKey,
}

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// The user.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    iat: i64,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
}

impl Tokens {
    /// The keys of the configuration.
    #[must_use]
    pub fn new(config: &Auth) -> Self {
        hs256::install();
        let keys = config
            .signing_keys
            .iter()
            .map(|key| {
                let secret = key.secret.expose_secret().as_bytes();
                Key {
                    kid: key.kid.clone(),
                    signs: EncodingKey::from_secret(secret),
                    verifies: DecodingKey::from_secret(secret),
                }
            })
            .collect();
        let lifetime_secs = i64::try_from(config.access_token.as_secs()).unwrap_or(i64::MAX);
        Self {
            keys,
            lifetime_secs,
        }
    }

    /// Seconds for which a token is good.
    #[must_use]
    pub fn lifetime_secs(&self) -> i64 {
        self.lifetime_secs
    }

    /// A token for a session.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub fn sign(
        &self,
        user_id: Uuid,
        session_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<String, Problem> {
        let key = self
            .keys
            .first()
            .ok_or_else(|| Problem::defect("there is no signing key"))?;
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.kid.clone());
        let iat = now.timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user_id,
            sid: session_id,
            iat,
            exp: iat.saturating_add(self.lifetime_secs),
        };
        jsonwebtoken::encode(&header, &claims, &key.signs)
            .map_err(|error| Problem::defect(error.to_string()))
    }

    /// What a token says, if we signed it and it has not expired.
    ///
    /// # Errors
    /// 401, with what is wrong but not why a forgery failed.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, Problem> {
        let refused = || Problem::unauthorized("the access token is not valid: sign in again");
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused())?;
        let kid = header.kid.ok_or_else(refused)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.kid == kid)
            .ok_or_else(refused)?;
        let mut rules = Validation::new(Algorithm::HS256);
        // The clock comes in by argument; the expiry is checked below.
        rules.validate_exp = false;
        rules.set_issuer(&[ISSUER]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verifies, &rules)
            .map_err(|_| refused())?
            .claims;
        if claims.exp <= now.timestamp() {
            return Err(Problem::unauthorized(
                "the access token has expired: refresh it",
            ));
        }
        Ok(claims)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}
