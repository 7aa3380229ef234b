//! The metrics of the busiest parts, looked up once: recording is then an atomic operation, not a
//! search by name.
//!
//! Make one when the part is made, after [`install`](super::install): one made earlier records
//! nothing.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::names;

/// What the relay counts.
#[derive(Clone)]
pub struct RelayMetrics {
    batches: Counter,
    published: Counter,
    failures: Counter,
    unpublished: Gauge,
    oldest: Gauge,
}

impl RelayMetrics {
    /// Looks the metrics up.
    #[must_use]
    pub fn new() -> Self {
        Self {
            batches: counter!(names::RELAY_BATCHES_TOTAL),
            published: counter!(names::RELAY_PUBLISHED_EVENTS_TOTAL),
            failures: counter!(names::RELAY_FAILURES_TOTAL),
            unpublished: gauge!(names::RELAY_UNPUBLISHED_EVENTS),
            oldest: gauge!(names::RELAY_OLDEST_UNPUBLISHED_SECONDS),
        }
    }

    /// A batch of `events` was published.
    pub fn published(&self, events: u64) {
        self.batches.increment(1);
        self.published.increment(events);
    }

    /// An attempt to publish failed.
    pub fn failed(&self) {
        self.failures.increment(1);
    }

    /// So many events wait to be published now.
    pub fn unpublished(&self, events: u64) {
        self.unpublished.set(level(events));
        if events == 0 {
            self.oldest.set(0);
        }
    }

    /// The oldest event that waits to be published has this age.
    pub fn oldest(&self, age: TimeDelta) {
        self.oldest.set(seconds(age));
    }
}

impl Default for RelayMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What one consumer counts.
#[derive(Clone)]
pub struct ConsumerMetrics {
    consumer: &'static str,
    duplicates: Counter,
    rejected: Counter,
    retries: Counter,
    batch_duration: Histogram,
    lag: Gauge,
    in_hand: Gauge,
    age: Histogram,
}

impl ConsumerMetrics {
    /// Looks the metrics of `consumer` up.
    #[must_use]
    pub fn new(consumer: &'static str) -> Self {
        Self {
            consumer,
            duplicates: counter!(names::CONSUMER_DUPLICATES_TOTAL, "consumer" => consumer),
            rejected: counter!(names::CONSUMER_REJECTED_TOTAL, "consumer" => consumer),
            retries: counter!(names::CONSUMER_RETRIES_TOTAL, "consumer" => consumer),
            batch_duration: histogram!(names::CONSUMER_BATCH_DURATION_SECONDS, "consumer" => consumer),
            lag: gauge!(names::CONSUMER_LAG_EVENTS, "consumer" => consumer),
            in_hand: gauge!(names::CONSUMER_LAG_SECONDS, "consumer" => consumer),
            age: histogram!(names::CONSUMER_EVENT_AGE_SECONDS, "consumer" => consumer),
        }
    }

    /// The oldest event in hand has this age.
    pub fn in_hand(&self, age: TimeDelta) {
        self.in_hand.set(seconds(age));
    }

    /// No event is in hand.
    pub fn nothing_in_hand(&self) {
        self.in_hand.set(0);
    }

    /// An event of a type of the catalogue was handled, so long after it was said. Looked up each time,
    /// as the type is known only then.
    pub fn handled(&self, event_type: &'static str, age: TimeDelta) {
        self.age.record(seconds(age));
        counter!(names::CONSUMER_EVENTS_HANDLED_TOTAL, "consumer" => self.consumer, "type" => event_type).increment(1);
    }

    /// An event was skipped: it had been handled before.
    pub fn duplicate(&self) {
        self.duplicates.increment(1);
    }

    /// An event can never be handled.
    pub fn rejected(&self) {
        self.rejected.increment(1);
    }

    /// An attempt failed and is made again.
    pub fn retried(&self) {
        self.retries.increment(1);
    }

    /// A batch was handled in `took`.
    pub fn batch(&self, took: Duration) {
        self.batch_duration.record(took);
    }

    /// So many published events wait to be handled now.
    pub fn lag(&self, events: u64) {
        self.lag.set(level(events));
    }
}

/// What the database's writer counts.
#[derive(Clone)]
pub struct WriterMetrics {
    batch_units: Histogram,
    commit_duration: Histogram,
    queue_depth: Gauge,
}

impl WriterMetrics {
    /// Looks the metrics up.
    #[must_use]
    pub fn new() -> Self {
        Self {
            batch_units: histogram!(names::DB_WRITE_BATCH_UNITS),
            commit_duration: histogram!(names::DB_COMMIT_DURATION_SECONDS),
            queue_depth: gauge!(names::DB_WRITE_QUEUE_DEPTH),
        }
    }

    /// A batch of so many units of work was committed, which took `took`.
    pub fn committed(&self, units: u64, took: Duration) {
        self.batch_units.record(level(units));
        self.commit_duration.record(took);
    }

    /// So many units of work wait for the writer now.
    pub fn queue_depth(&self, units: u64) {
        self.queue_depth.set(level(units));
    }
}

impl Default for WriterMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What is counted about Redis.
#[derive(Clone)]
pub struct RedisMetrics {
    away: Gauge,
    failures: Counter,
}

impl RedisMetrics {
    /// Looks the metrics up.
    #[must_use]
    pub fn new() -> Self {
        Self {
            away: gauge!(names::REDIS_AWAY),
            failures: counter!(names::REDIS_FAILURES_TOTAL),
        }
    }

    /// It does not answer, or does again.
    pub fn away(&self, is_away: bool) {
        self.away.set(u32::from(is_away));
    }

    /// A question has no answer that can be used.
    pub fn failed(&self) {
        self.failures.increment(1);
    }
}

impl Default for RedisMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What is counted about wake-ups between processes.
#[derive(Clone)]
pub struct HintMetrics {
    sent: Counter,
    heard: Counter,
}

impl HintMetrics {
    /// Looks the metrics up.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sent: counter!(names::HINTS_SENT_TOTAL),
            heard: counter!(names::HINTS_HEARD_TOTAL),
        }
    }

    /// Others were told.
    pub fn sent(&self) {
        self.sent.increment(1);
    }

    /// Another told us.
    pub fn heard(&self) {
        self.heard.increment(1);
    }
}

impl Default for HintMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What is counted of something that is done again and again.
#[derive(Clone)]
pub struct JobMetrics {
    succeeded: Counter,
    failed: Counter,
    last_success: Gauge,
}

impl JobMetrics {
    /// Looks the metrics of `task` up.
    #[must_use]
    pub fn new(task: &'static str) -> Self {
        Self {
            succeeded: counter!(names::JOB_RUNS_TOTAL, "task" => task, "outcome" => "ok"),
            failed: counter!(names::JOB_RUNS_TOTAL, "task" => task, "outcome" => "failed"),
            last_success: gauge!(names::JOB_LAST_SUCCESS_TIMESTAMP_SECONDS, "task" => task),
        }
    }

    /// It was done, and was through at this moment.
    pub fn succeeded(&self, now: DateTime<Utc>) {
        self.succeeded.increment(1);
        self.last_success
            .set(level(u64::try_from(now.timestamp()).unwrap_or(0)));
    }

    /// It could not be done.
    pub fn failed(&self) {
        self.failed.increment(1);
    }
}

/// What is counted of recurring bookings.
#[derive(Clone)]
pub struct RecurringMetrics {
    booked: Counter,
    refused: Counter,
    lag: Gauge,
}

impl RecurringMetrics {
    /// Looks the metrics up.
    #[must_use]
    pub fn new() -> Self {
        let outcome = |outcome| counter!(names::RECURRING_BOOKINGS_TOTAL, "outcome" => outcome);
        Self {
            booked: outcome("booked"),
            refused: outcome("refused"),
            lag: gauge!(names::RECURRING_LAG_SECONDS),
        }
    }

    /// A day was booked.
    pub fn booked(&self) {
        self.booked.increment(1);
    }

    /// A day could not be booked.
    pub fn refused(&self) {
        self.refused.increment(1);
    }

    /// The oldest that is due has waited so long.
    pub fn lag(&self, age: TimeDelta) {
        self.lag.set(seconds(age));
    }
}

impl Default for RecurringMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What is counted of alerts that go out by a channel.
#[derive(Clone)]
pub struct DeliveryMetrics {
    channel: &'static str,
    oldest: Gauge,
}

impl DeliveryMetrics {
    /// Looks the metrics of `channel` up.
    #[must_use]
    pub fn new(channel: &'static str) -> Self {
        Self {
            channel,
            oldest: gauge!(names::DELIVERIES_OLDEST_DUE_SECONDS, "channel" => channel),
        }
    }

    /// So many came to this end, or are tried again.
    pub fn settled(&self, outcome: &'static str, count: usize) {
        counter!(names::DELIVERIES_TOTAL, "channel" => self.channel, "outcome" => outcome)
            .increment(count as u64);
    }

    /// The oldest that is due has waited so long.
    pub fn oldest(&self, age: TimeDelta) {
        self.oldest.set(seconds(age));
    }
}

/// What is told of a pool of connections to the database.
#[derive(Clone)]
pub struct PoolMetrics {
    busy: Gauge,
    idle: Gauge,
    max: Gauge,
}

impl PoolMetrics {
    /// Looks the metrics of `pool` up.
    #[must_use]
    pub fn new(pool: &'static str) -> Self {
        Self {
            busy: gauge!(names::DB_CONNECTIONS, "pool" => pool, "state" => "busy"),
            idle: gauge!(names::DB_CONNECTIONS, "pool" => pool, "state" => "idle"),
            max: gauge!(names::DB_CONNECTIONS_MAX, "pool" => pool),
        }
    }

    /// So many are open, so many of these not in use, and so many may be open.
    pub fn tell(&self, open: u32, idle: usize, max: u32) {
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(open);
        self.busy.set(open - idle);
        self.idle.set(idle);
        self.max.set(max);
    }
}

/// Samples are floating point; beyond four billion a level says no more than "too many".
fn level(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Clocks differ: what comes from the future has no age.
fn seconds(age: TimeDelta) -> f64 {
    age.to_std().unwrap_or_default().as_secs_f64()
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(
    RelayMetrics,
    ConsumerMetrics,
    WriterMetrics,
    RedisMetrics,
    HintMetrics,
    JobMetrics,
    RecurringMetrics,
    DeliveryMetrics,
    PoolMetrics
);

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_happens_is_recorded_under_its_name() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let relay = RelayMetrics::new();
            relay.published(5);
            relay.failed();
            relay.unpublished(u64::MAX);
            relay.oldest(TimeDelta::milliseconds(2_500));
            let consumer = ConsumerMetrics::new("projector");
            consumer.handled("account.opened", TimeDelta::milliseconds(1_500));
            consumer.in_hand(TimeDelta::milliseconds(-5));
            consumer.lag(2);
            WriterMetrics::new().queue_depth(4);
            RecurringMetrics::new().lag(TimeDelta::seconds(90));
            PoolMetrics::new("read").tell(3, 1, 8);
            JobMetrics::new("trim").succeeded(DateTime::UNIX_EPOCH + TimeDelta::seconds(7));
        });
        let text = handle.render();
        for line in [
            "wealth_relay_batches_total 1",
            "wealth_relay_published_events_total 5",
            "wealth_relay_failures_total 1",
            "wealth_relay_unpublished_events 4294967295",
            "wealth_consumer_events_handled_total{consumer=\"projector\",type=\"account.opened\"} 1",
            "wealth_consumer_lag_events{consumer=\"projector\"} 2",
            "wealth_db_write_queue_depth 4",
            "wealth_relay_oldest_unpublished_seconds 2.5",
            "wealth_consumer_event_age_seconds_sum{consumer=\"projector\"} 1.5",
            "wealth_consumer_lag_seconds{consumer=\"projector\"} 0",
            "wealth_db_connections{pool=\"read\",state=\"busy\"} 2",
            "wealth_db_connections_max{pool=\"read\"} 8",
            "wealth_recurring_lag_seconds 90",
            "wealth_job_runs_total{task=\"trim\",outcome=\"ok\"} 1",
            "wealth_job_last_success_timestamp_seconds{task=\"trim\"} 7",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
