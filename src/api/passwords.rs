//! Passwords: argon2id, on threads of their own, so many at once and no more.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Ids;
use crate::config::Auth;
use crate::http::Problem;
use crate::telemetry::metrics::names;

/// Lanes of argon2id: as OWASP recommends.
const LANES: u32 = 1;
/// Bytes of salt, as RFC 9106 recommends.
const SALT_BYTES: usize = 16;

/// How far threads that hash step back, of 19.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    params: Params,
    threads: Arc<Threads>,
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
        let threads = Threads::new(config.hash_parallel_max).context("threads that hash")?;
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
            threads: Arc::new(threads),
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
            metrics::counter!(names::PASSWORDS_HASHED_TOTAL).increment(1);
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
                metrics::counter!(names::PASSWORDS_HASHED_TOTAL).increment(1);
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        })
        .await
    }

    /// Whether a hash was made when hashing cost something else than it does now.
    #[must_use]
    pub fn is_of_another_cost(&self, hash: &str) -> bool {
        let cost = |hash| {
            let hash = PasswordHash::new(hash).ok()?;
            Some((hash.algorithm, hash.version, hash.params))
        };
        cost(hash) != cost(&self.nobody)
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        // What nobody waits for any more does not begin; what has begun goes on, and keeps its thread.
        AbortOnDropHandle::new(self.threads.0.spawn_blocking(work))
            .await
            .map_err(|error| match error.is_cancelled() {
                true => Problem::unavailable("the server is stopping"),
                false => Problem::defect(format!("hashing: {error}")),
            })
    }
}

/// Threads that do nothing else: as many passwords are hashed at once as there are of them, and the
/// memory that hashing takes is taken once for each.
#[derive(Debug)]
struct Threads(Handle, Option<Runtime>);

impl Threads {
    fn new(count: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(count)
            .thread_name("hash")
            .on_thread_start(step_back)
            .build()?;
        Ok(Self(runtime.handle().clone(), Some(runtime)))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.1.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lets every other thread go first: hashing takes all of a processor, and who signs in waits for it
/// anyway.
fn step_back() {
    // Elsewhere it would be the whole process that steps back.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "hashing has the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use argon2::password_hash::phc::Output;
    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;
    use crate::config::{Config, LoadArgs};

    #[tokio::test]
    async fn the_hash_that_nobody_has_costs_what_others_cost() {
        let args = LoadArgs::new()
            .flag("auth.jwt_secret_key", "k".repeat(32), "--set")
            .flag("auth.hash_memory_kib", "64", "--set")
            .flag("auth.hash_iterations", "3", "--set");
        let config = Config::load(&args).expect("a configuration").config;
        let passwords = Passwords::new(&config.auth, Ids::seeded(1)).expect("parameters");
        let hash = passwords.hash("correct horse battery".to_owned()).await;
        let (hash, nobody) = (hash.expect("a hash"), passwords.nobody.to_string());
        let hash = PasswordHash::new(&hash).expect("a PHC string");
        let nobody = PasswordHash::new(&nobody).expect("a PHC string");
        assert_eq!(
            (nobody.algorithm, nobody.version, &nobody.params),
            (hash.algorithm, hash.version, &hash.params)
        );
        let bytes = |hash: &PasswordHash| {
            let salt = hash.salt.as_ref().map(|it| it.len());
            (salt, hash.hash.as_ref().map(Output::len))
        };
        assert_eq!(bytes(&nobody), bytes(&hash));
        assert_eq!(bytes(&nobody), (Some(SALT_BYTES), Some(32)));
    }

    #[tokio::test]
    async fn hashing_that_nobody_waits_for_counts_until_it_has_ended() {
        let args = LoadArgs::new()
            .flag("auth.jwt_secret_key", "k".repeat(32), "--set")
            .flag("auth.hash_parallel_max", "1", "--set");
        let config = Config::load(&args).expect("a configuration").config;
        let passwords = Passwords::new(&config.auth, Ids::seeded(1)).expect("parameters");
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let mut first = Box::pin(passwords.off_thread(move || {
            begin.send(()).expect("it is waited for");
            ended.recv()
        }));
        assert!((&mut first).now_or_never().is_none());
        begun.recv().expect("the first has begun");
        drop(first);
        let mut second = Box::pin(passwords.off_thread(|| ()));
        // A thread too many would be done with it long before.
        let waited = timeout(Duration::from_millis(100), &mut second).await;
        assert!(waited.is_err(), "there is no thread for a second");
        end.send(()).expect("it goes on");
        second.await.expect("the first has ended");
    }
}
