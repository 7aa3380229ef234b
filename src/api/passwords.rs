//! Passwords: argon2id, off the async threads, so many at once and no more.

use std::sync::Arc;

use anyhow::Context;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use tokio::sync::Semaphore;

use crate::clock::Ids;
use crate::config::Auth;
use crate::http::Problem;

/// Lanes of argon2id: as OWASP recommends.
const LANES: u32 = 1;
/// Bytes of salt, as RFC 9106 recommends.
const SALT_BYTES: usize = 16;

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    params: Params,
    parallel: Arc<Semaphore>,
    ids: Ids,
    /// A hash that no password has: verifying against it takes as long as against a real one.
    nobody: Arc<str>,
}

impl Passwords {
    /// As configured.
    ///
    /// # Errors
    /// Argon2 does not take the parameters.
    pub fn new(config: &Auth, ids: Ids) -> anyhow::Result<Self> {
        let params = Params::new(config.hash_memory_kib, config.hash_iterations, LANES, None)
            .map_err(|error| anyhow::anyhow!("auth.hash_*: {error}"))?;
        let parallel = Arc::new(Semaphore::new(config.hash_parallel_max));
        // Only its parameters matter: the digest is of nothing, and nothing hashes to it.
        let nobody = format!(
            "$argon2id$v=19$m={},t={},p={LANES}$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            config.hash_memory_kib, config.hash_iterations
        );
        PasswordHash::new(&nobody)
            .map_err(|error| anyhow::anyhow!("{error}"))
            .context("argon2")?;
        Ok(Self {
            params,
            parallel,
            ids,
            nobody: nobody.into(),
        })
    }

    /// The hash of a password, as a PHC string.
    ///
    /// # Errors
    /// Hashing failed.
    pub async fn hash(&self, password: String) -> Result<String, Problem> {
        let params = self.params.clone();
        let salt = self.ids.secret();
        self.off_thread(move || {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_with_salt(password.as_bytes(), &salt[..SALT_BYTES])
                .map(|hash| hash.to_string())
                .map_err(|error| Problem::defect(format!("argon2: {error}")))
        })
        .await?
    }

    /// Whether the password is the one of the hash; without a hash it is not, and takes as long.
    ///
    /// # Errors
    /// Hashing failed.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        let hash = hash.unwrap_or_else(|| self.nobody.to_string());
        self.off_thread(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.parallel)
            .acquire_owned()
            .await
            .map_err(|_| Problem::unavailable("the server is stopping"))?;
        // It goes on when nobody waits for it any more, and counts until it has ended.
        let counted = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(counted)
            .await
            .map_err(|error| Problem::defect(format!("hashing: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;
    use crate::config::{Config, LoadArgs};

    #[tokio::test]
    async fn hashing_that_nobody_waits_for_counts_until_it_has_ended() {
        let args = LoadArgs::new()
            .flag("auth.jwt_secret_key", "k".repeat(32), "--set")
            .flag("auth.hash_parallel_max", "1", "--set");
        let config = Config::load(&args).expect("a configuration").config;
        let passwords = Passwords::new(&config.auth, Ids::seeded(1)).expect("parameters");
        let (end, ended) = mpsc::channel();
        let mut hashing = Box::pin(passwords.off_thread(move || ended.recv()));
        assert!((&mut hashing).now_or_never().is_none());
        drop(hashing);
        assert_eq!(passwords.parallel.available_permits(), 0);
        end.send(()).expect("it goes on");
        let again = passwords.parallel.acquire().await;
        drop(again.expect("it has ended"));
    }
}
