//! Redis, by which replicas share what they could also do without: which events were handled
//! lately, rate limits, wake-ups.
//!
//! Nobody waits for it longer than `state.timeout_ms`. When it does not answer it is away: it is
//! not asked again until a knock at the door, once a second in the background, is answered. What is
//! lost meanwhile is time, never correctness.

/// Where Redis is.
mod address;
/// What went wrong.
mod fault;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool_redis::redis::aio::{MultiplexedConnection, PubSubStream};
use deadpool_redis::redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisResult, cmd};
use deadpool_redis::{Connection, Manager, Pool, Runtime, Timeouts};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::config::{self, StateKind};
use crate::telemetry::metrics::handles::RedisMetrics;
use fault::Fault;

/// Pause between two knocks while it is away.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause between two lines about what it refuses.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// What the knock writes. It writes because a server may answer and yet take nothing: a replica
/// that was the primary, a disk or a memory that is full.
const KNOCK_KEY: &str = "limit:knock";

/// A Redis. Clones share its connection.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    /// The URL without its password, for the log.
    url: String,
    timeout: Duration,
    pool: Pool,
    client: Client,
    kept: Mutex<Kept>,
    away: AtomicBool,
    complained: std::sync::Mutex<Option<Instant>>,
    metrics: RedisMetrics,
    /// Where connections live: who asks may do so from a runtime that ends earlier.
    runtime: Handle,
}

/// The connection that everybody shares, and how many there were before.
///
/// It carries the questions of all at once and gives each its answer, so one is enough. It stays
/// out of the pool, which would ask for a sign of life before each question: that is a round trip
/// of its own.
#[derive(Default)]
struct Kept {
    count: u64,
    connection: Option<Connection>,
}

/// A handle on the shared connection.
struct Lent {
    connection: MultiplexedConnection,
    count: u64,
    is_new: bool,
}

impl Redis {
    /// The Redis that replicas of this configuration share, if they do. It need not be there.
    ///
    /// # Errors
    /// The URL is malformed, or the file of certificates cannot be used.
    pub async fn of(config: &config::State) -> anyhow::Result<Option<Self>> {
        match (config.kind, &config.redis_url) {
            (StateKind::Embedded, _) | (_, None) => Ok(None),
            (StateKind::Redis | StateKind::Dapr, Some(url)) => {
                let info = address::of(url.expose(), config)?;
                let redis = Self::new(info, url.to_string(), config.timeout)?;
                redis.greet().await;
                Ok(Some(redis))
            }
        }
    }

    fn new(info: ConnectionInfo, url: String, timeout: Duration) -> anyhow::Result<Self> {
        // The limit is around every question as a whole.
        let per_connection = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(None);
        let manager = Manager::new_with_config(info.clone(), per_connection)?;
        let pool = Pool::builder(manager)
            .max_size(1)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(timeout),
                create: Some(timeout),
                recycle: Some(timeout),
            })
            .build()?;
        Ok(Self(Arc::new(Shared {
            url,
            timeout,
            pool,
            client: Client::open(info)?,
            kept: Mutex::default(),
            away: AtomicBool::new(false),
            complained: std::sync::Mutex::default(),
            metrics: RedisMetrics::new(),
            runtime: Handle::current(),
        })))
    }

    /// Whether it did not answer lately, and is not asked.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.0.away.load(Ordering::Acquire)
    }

    /// Asks; none when there is no answer that can be used. A question whose connection was closed
    /// in the meantime is asked twice: it must do no harm when both arrive.
    pub async fn ask<T, F, Q>(&self, question: Q) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
        Q: Fn(MultiplexedConnection) -> F,
    {
        if self.is_away() {
            return None;
        }
        match self.try_ask(&question).await {
            Ok(answer) => Some(answer),
            Err((fault, count)) => {
                self.failed(&fault, count).await;
                None
            }
        }
    }

    /// What is published on a channel, from now on.
    ///
    /// # Errors
    /// It cannot be heard now.
    pub async fn listen(&self, channel: &str) -> anyhow::Result<PubSubStream> {
        let connected = async {
            let mut heard = self.0.client.get_async_pubsub().await?;
            heard.subscribe(channel).await?;
            RedisResult::Ok(heard.into_on_message())
        };
        match timeout(self.0.timeout, connected).await {
            Ok(Ok(heard)) => Ok(heard),
            Ok(Err(error)) => anyhow::bail!("{}", Fault::from(error)),
            Err(_) => anyhow::bail!("{}", Fault::TimedOut),
        }
    }

    /// The answer, or the fault with the number of the connection at fault.
    async fn try_ask<T, F, Q>(&self, question: &Q) -> Result<T, (Fault, u64)>
    where
        F: Future<Output = RedisResult<T>>,
        Q: Fn(MultiplexedConnection) -> F,
    {
        let mut count = 0;
        let asked = async {
            loop {
                let lent = self.lend().await?;
                count = lent.count;
                match question(lent.connection).await.map_err(Fault::from) {
                    Ok(answer) => return Ok(answer),
                    // Servers and load balancers close what was silent for long.
                    Err(fault) if !lent.is_new && fault.is_broken_connection() => {
                        self.discard(count).await;
                    }
                    Err(fault) => return Err(fault),
                }
            }
        };
        let answered = timeout(self.0.timeout, asked).await;
        answered
            .unwrap_or(Err(Fault::TimedOut))
            .map_err(|fault| (fault, count))
    }

    async fn lend(&self) -> Result<Lent, Fault> {
        let mut kept = self.0.kept.lock().await;
        if let Some(connection) = &kept.connection {
            return Ok(Lent {
                connection: MultiplexedConnection::clone(connection),
                count: kept.count,
                is_new: false,
            });
        }
        let pool = self.0.pool.clone();
        let made = self.0.runtime.spawn(async move { pool.get().await });
        let connection = made.await.map_err(|_| Fault::Ending)??;
        let lent = MultiplexedConnection::clone(&connection);
        kept.count += 1;
        kept.connection = Some(connection);
        Ok(Lent {
            connection: lent,
            count: kept.count,
            is_new: true,
        })
    }

    /// Closes the connection of this number; false when it is closed already.
    async fn discard(&self, count: u64) -> bool {
        let mut kept = self.0.kept.lock().await;
        if kept.count != count {
            return false;
        }
        if let Some(connection) = kept.connection.take() {
            // The pool would lend it out again.
            drop(Connection::take(connection));
        }
        true
    }

    async fn failed(&self, fault: &Fault, count: u64) {
        self.0.metrics.failed();
        if fault.is_refusal() {
            self.complain(fault);
        } else if count == 0 || self.discard(count).await {
            self.leave(fault);
        }
    }

    /// Says what it refuses, but not each time.
    fn complain(&self, fault: &Fault) {
        let complained = self.0.complained.lock();
        let mut last = complained.unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
            *last = Some(Instant::now());
            tracing::warn!(redis = self.0.url, error = %fault, "redis refuses what it is asked for");
        }
    }

    async fn greet(&self) {
        if let Err((fault, count)) = self.knock().await {
            self.0.metrics.failed();
            self.discard(count).await;
            self.leave(&fault);
        }
    }

    async fn knock(&self) -> Result<(), (Fault, u64)> {
        let knock = |mut connection| async move {
            let mut set = cmd("SET");
            set.arg(KNOCK_KEY).arg(1).arg("EX").arg(60);
            set.query_async(&mut connection).await
        };
        self.try_ask(&knock).await
    }

    /// From now on it is away, until a knock is answered.
    fn leave(&self, fault: &Fault) {
        if self.0.away.swap(true, Ordering::AcqRel) {
            return;
        }
        self.0.metrics.away(true);
        tracing::warn!(redis = self.0.url, error = %fault, "redis is away: this process goes on without it");
        let shared = Arc::downgrade(&self.0);
        self.0.runtime.spawn(wait_until_back(shared));
    }
}

/// Ends when it is back, or nobody wants to know any more.
async fn wait_until_back(shared: Weak<Shared>) {
    let left = Instant::now();
    loop {
        sleep(PAUSE).await;
        let Some(redis) = shared.upgrade().map(Redis) else {
            return;
        };
        match redis.knock().await {
            Ok(()) => {
                redis.0.metrics.away(false);
                redis.0.away.store(false, Ordering::Release);
                let away_secs = left.elapsed().as_secs();
                tracing::info!(redis = redis.0.url, away_secs, "redis is back");
                return;
            }
            Err((fault, count)) => {
                tracing::debug!(redis = redis.0.url, error = %fault, "redis is still away");
                redis.discard(count).await;
            }
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("url", &self.0.url)
            .field("away", &self.is_away())
            .finish_non_exhaustive()
    }
}
