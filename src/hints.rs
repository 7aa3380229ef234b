//! Wake-ups between processes: what one has committed, those who wait in another hear of by a
//! channel of Redis.
//!
//! A hint carries no news, only that looking at the database may be worth while; one that is lost
//! costs the rest of a poll interval. So nothing is kept and nothing waits: commits leave bits
//! behind, and one message tells of all since the last.

use std::time::Duration;

use deadpool_redis::redis::cmd;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::redis::Redis;
use crate::store::Store;
use crate::telemetry::metrics::handles::HintMetrics;

/// Pause between two messages at least. The first of a burst goes at once.
const PAUSE: Duration = Duration::from_millis(1);
/// Pause before the channel is joined again.
const RECONNECT: Duration = Duration::from_secs(1);
/// Every bit: what was said while nobody listened is not known.
const ALL: u8 = u8::MAX;

/// Tells and hears.
#[derive(Debug)]
pub struct Hints {
    redis: Redis,
    store: Store,
    channel: String,
    me: Uuid,
    metrics: HintMetrics,
}

impl Hints {
    /// For the processes that share this database and this Redis. `me` is for this process alone.
    #[must_use]
    pub fn new(redis: Redis, store: Store, installation: &str, me: Uuid) -> Self {
        Self {
            redis,
            store,
            channel: format!("wealth-companion:hints:{installation}"),
            me,
            metrics: HintMetrics::new(),
        }
    }

    /// Tells and hears until draining begins.
    ///
    /// # Errors
    /// None: what cannot be told or heard is not missed.
    pub async fn run(self, draining: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = draining.cancelled() => {}
            () = self.tell() => {}
            () = self.hear() => {}
        }
        Ok(())
    }

    async fn tell(&self) {
        loop {
            let bits = self.store.signals().to_tell().await;
            let told_at = Instant::now();
            let hint = Hint {
                from: self.me,
                bits,
            }
            .to_string();
            let told = self.redis.ask(|mut connection| {
                let mut publish = cmd("PUBLISH");
                publish.arg(&self.channel).arg(&hint);
                async move { publish.query_async::<i64>(&mut connection).await }
            });
            if told.await.is_some() {
                self.metrics.sent();
            }
            sleep_until(told_at + PAUSE).await;
        }
    }

    async fn hear(&self) {
        let mut said = false;
        loop {
            let joined_at = Instant::now();
            match self.redis.listen(&self.channel).await {
                Ok(mut messages) => {
                    said = false;
                    self.store.signals().wake_for_others(ALL);
                    while let Some(message) = messages.next().await {
                        self.take(message.get_payload_bytes());
                    }
                }
                // While Redis is away, that has been said.
                Err(error) if !said && !self.redis.is_away() => {
                    tracing::warn!(%error, channel = self.channel, "hears no wake-ups of other processes: polls");
                    said = true;
                }
                Err(_) => {}
            }
            sleep_until(joined_at + RECONNECT).await;
        }
    }

    fn take(&self, message: &[u8]) {
        if let Some(hint) = Hint::parse(message)
            && hint.from != self.me
        {
            self.metrics.heard();
            self.store.signals().wake_for_others(hint.bits);
        }
    }
}

/// A message: who has committed, and the bits of what.
#[derive(Debug, PartialEq, Eq)]
struct Hint {
    from: Uuid,
    bits: u8,
}

impl Hint {
    /// None for what a later version may have to say.
    fn parse(message: &[u8]) -> Option<Self> {
        let (from, bits) = std::str::from_utf8(message).ok()?.split_once(' ')?;
        Some(Self {
            from: from.parse().ok()?,
            bits: bits.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, bits } = self;
        write!(f, "{from} {bits}")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::Hint;

    #[test]
    fn a_hint_reads_as_it_was_written() {
        let hint = Hint {
            from: Uuid::from_u128(7),
            bits: 12,
        };
        assert_eq!(Hint::parse(hint.to_string().as_bytes()), Some(hint));
    }

    #[test]
    fn what_is_no_hint_is_passed_over() {
        let id = Uuid::nil();
        for text in [
            "",
            " ",
            "x 1",
            &format!("{id}"),
            &format!("{id} "),
            &format!("{id} 256"),
        ] {
            assert_eq!(Hint::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Hint::parse(&[0xff, b' ', b'1']), None);
    }
}
