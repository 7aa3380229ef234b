//! How far a consumer is behind, told every two seconds.
//!
//! It is asked for beside the member, by a client and a thread of its own: on one connection the
//! broker answers in order, so a question of the member's would wait behind its fetch, which waits
//! for something to come; and whatever came meanwhile would wait for the answer.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::config;
use crate::kafka::offsets::{Onlooker, Partition, Standing};
use crate::telemetry::metrics::handles::ConsumerMetrics;

/// How often it is asked for.
const EVERY: Duration = Duration::from_secs(2);

/// Tells how far the partitions of a member are behind.
pub(super) struct Lag {
    ask: SyncSender<Vec<Partition>>,
    due: Instant,
}

impl Lag {
    /// Tells it of this group. The thread ends when this is dropped, and an answer it waits for has
    /// come.
    pub(super) fn begin(
        config: &config::Kafka,
        group: &str,
        metrics: ConsumerMetrics,
    ) -> anyhow::Result<Self> {
        let onlooker = Onlooker::new(config, group)?;
        let (ask, asked) = sync_channel::<Vec<Partition>>(1);
        std::thread::Builder::new()
            .name(format!("lag of {group}"))
            .spawn(move || {
                for ours in asked {
                    match onlooker.standings(&ours) {
                        Ok(standings) => metrics.lag(standings.values().map(Standing::lag).sum()),
                        Err(error) => tracing::debug!(%error, "the lag is not known"),
                    }
                }
            })?;
        Ok(Self {
            ask,
            due: Instant::now(),
        })
    }

    /// Asks, where it is time to; it does not wait for the answer.
    pub(super) fn tell(&mut self, ours: impl FnOnce() -> Vec<Partition>) {
        if self.due <= Instant::now() {
            // While an answer is late, nobody needs another.
            let _ = self.ask.try_send(ours());
            self.due = Instant::now() + EVERY;
        }
    }
}
