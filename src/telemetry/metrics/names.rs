//! Every metric of the product: its name, type, unit, labels and meaning. A name that is not here
//! does not exist.
//!
//! Names follow Prometheus' conventions: base units, counters end in `_total`, histograms in what
//! they count. Labels take few values, all known to the code; nothing of a user's ever becomes one.

use metrics::Unit;

/// What a metric is, and for a histogram the upper bounds of its buckets, rising, in the metric's
/// unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only rises; starts at zero with the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The type's name in Prometheus' text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric of the product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its full name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What one of it is.
    pub unit: Unit,
    /// Its labels.
    pub labels: &'static [Label],
    /// What it says, in one line.
    pub help: &'static str,
}

/// A label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// All its values, where they are known beforehand.
    pub values: &'static [&'static str],
}

impl Metric {
    /// All series that it can have, where the values of all its labels are known beforehand: one
    /// without labels, where it has none.
    #[must_use]
    pub fn series(&self) -> Vec<Vec<(&'static str, &'static str)>> {
        self.labels.iter().fold(vec![Vec::new()], |series, label| {
            let with = |so_far: &Vec<_>| {
                let so_far = so_far.clone();
                let values = label.values.iter();
                values.map(move |value| [so_far.clone(), vec![(label.name, *value)]].concat())
            };
            series.iter().flat_map(with).collect()
        })
    }

    /// Whether it is read from the operating system at each scrape, not recorded as things happen.
    #[must_use]
    pub fn read_at_scrape(&self) -> bool {
        self.name.starts_with("process_") || self.name.starts_with("wealth_data_dir_")
    }
}

/// An answer to a request: from a cache hit to the limit of patience.
const REQUEST_SECONDS: Kind = Kind::Histogram(&[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
]);
/// The way of an event: from a hop within the process to an outage.
const EVENT_SECONDS: Kind = Kind::Histogram(&[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0,
]);
/// Work on the database: from a commit to memory to a disk in trouble.
const STORE_SECONDS: Kind = Kind::Histogram(&[
    0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
]);
/// Sizes that double.
const SIZES: Kind = Kind::Histogram(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]);

/// Makes of each line a constant with the metric's name and an entry in the catalogue, so that
/// neither can lack the other. A counter whose labels have all their values listed shows them at once,
/// at zero: what has not happened yet is not the same as what nobody counts.
macro_rules! catalogue {
    ($($constant:ident = $name:literal, $kind:expr, $unit:ident,
        [$($label:literal $(in [$($value:literal),*])?),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*

        /// Every metric of the product, in the order of this file.
        pub const CATALOGUE: &[Metric] = &[$(Metric {
            name: $constant,
            kind: $kind,
            unit: Unit::$unit,
            labels: &[$(Label { name: $label, values: &[$($($value),*)?] }),*],
            help: $help,
        }),*];
    };
}

catalogue! {
    // The HTTP interface. `route` is the pattern (`/accounts/{id}`), never the path.
    HTTP_REQUESTS_TOTAL = "wealth_http_requests_total",
        Kind::Counter, Count, ["method", "route", "status"], "HTTP requests answered";
    HTTP_REQUEST_DURATION_SECONDS = "wealth_http_request_duration_seconds",
        REQUEST_SECONDS, Seconds, ["method", "route"], "Time from a request's head to its answer's head";
    HTTP_REQUESTS_IN_FLIGHT = "wealth_http_requests_in_flight",
        Kind::Gauge, Count, [], "HTTP requests whose answer has not begun";
    STREAMS_OPEN = "wealth_streams_open",
        Kind::Gauge, Count, [], "Event streams open to clients";
    RATE_LIMITED_TOTAL = "wealth_rate_limited_total",
        Kind::Counter, Count, [], "Requests refused because the caller sent too many";
    SIGN_IN_TOTAL = "wealth_sign_in_total",
        Kind::Counter, Count, ["outcome"], "Attempts to sign in";
    PASSWORDS_HASHED_TOTAL = "wealth_passwords_hashed_total",
        Kind::Counter, Count, [], "Passwords hashed, to keep them or to compare; as often for an address that nobody has";

    // The database and the event log.
    LOG_EVENTS_APPENDED_TOTAL = "wealth_log_events_appended_total",
        Kind::Counter, Count, ["type"], "Events appended to the event log";
    DB_WRITE_BATCH_UNITS = "wealth_db_write_batch_units",
        SIZES, Count, [], "Units of work committed together";
    DB_COMMIT_DURATION_SECONDS = "wealth_db_commit_duration_seconds",
        STORE_SECONDS, Seconds, [], "Time to write units of work together, their commit included";
    DB_WRITE_QUEUE_DEPTH = "wealth_db_write_queue_depth",
        Kind::Gauge, Count, [], "Units of work waiting for the writer";
    DB_FAILURES_TOTAL = "wealth_db_failures_total",
        Kind::Counter, Count, ["reason" in ["busy", "other"]], "Units of work that the database did not take: it was away or too busy, or of another cause";
    DB_CONNECTIONS = "wealth_db_connections",
        Kind::Gauge, Count, ["pool" in ["read", "write"], "state" in ["busy", "idle"]], "Open connections to the database";
    DB_CONNECTIONS_MAX = "wealth_db_connections_max",
        Kind::Gauge, Count, ["pool" in ["read", "write"]], "Connections to the database that may be open";

    // The relay, from the event log to the bus.
    RELAY_BATCHES_TOTAL = "wealth_relay_batches_total",
        Kind::Counter, Count, [], "Batches of events published";
    RELAY_PUBLISHED_EVENTS_TOTAL = "wealth_relay_published_events_total",
        Kind::Counter, Count, [], "Events published";
    RELAY_FAILURES_TOTAL = "wealth_relay_failures_total",
        Kind::Counter, Count, [], "Attempts to publish a batch that failed";
    RELAY_UNPUBLISHED_EVENTS = "wealth_relay_unpublished_events",
        Kind::Gauge, Count, [], "Events in the log that are not published yet";
    RELAY_OLDEST_UNPUBLISHED_SECONDS = "wealth_relay_oldest_unpublished_seconds",
        Kind::Gauge, Seconds, [], "Age of the oldest event that is not published yet, 0 when there is none";

    // The consumers, from the bus on.
    CONSUMER_EVENTS_HANDLED_TOTAL = "wealth_consumer_events_handled_total",
        Kind::Counter, Count, ["consumer", "type"], "Events handled to the end";
    CONSUMER_DUPLICATES_TOTAL = "wealth_consumer_duplicates_total",
        Kind::Counter, Count, ["consumer"], "Events skipped because they were handled before";
    CONSUMER_REJECTED_TOTAL = "wealth_consumer_rejected_total",
        Kind::Counter, Count, ["consumer"], "Events that can never be handled";
    CONSUMER_RETRIES_TOTAL = "wealth_consumer_retries_total",
        Kind::Counter, Count, ["consumer"], "Attempts to handle an event that failed and were made again";
    CONSUMER_BATCH_DURATION_SECONDS = "wealth_consumer_batch_duration_seconds",
        STORE_SECONDS, Seconds, ["consumer"], "Time to handle a batch of events";
    CONSUMER_LAG_EVENTS = "wealth_consumer_lag_events",
        Kind::Gauge, Count, ["consumer"], "Events published that the consumer has not handled yet; not with the bus dapr, where the group's lag in Kafka tells";
    CONSUMER_LAG_SECONDS = "wealth_consumer_lag_seconds",
        Kind::Gauge, Seconds, ["consumer"], "Age of the oldest event that the consumer has in hand, 0 when it has none";
    CONSUMER_EVENT_AGE_SECONDS = "wealth_consumer_event_age_seconds",
        EVENT_SECONDS, Seconds, ["consumer"], "Time from when an event was said until it was handled";
    STATE_FAILURES_TOTAL = "wealth_state_failures_total",
        Kind::Counter, Count, [], "Calls of the state store that failed: it is away, and spares no work";
    DEAD_LETTERS_TOTAL = "wealth_dead_letters_total",
        Kind::Counter, Count, ["topic"], "Events set aside for a person to look at";

    // The Dapr sidecar.
    SIDECAR_REQUESTS_TOTAL = "wealth_sidecar_requests_total",
        Kind::Counter, Count, ["operation", "outcome"], "Requests to the sidecar: to publish, state, secret or health; ok, refused or away";
    SIDECAR_REQUEST_DURATION_SECONDS = "wealth_sidecar_request_duration_seconds",
        REQUEST_SECONDS, Seconds, ["operation"], "Time until the sidecar answers";

    // Redis, and what this process tells others by it.
    REDIS_AWAY = "wealth_redis_away",
        Kind::Gauge, Count, [], "1 while Redis does not answer and is not asked, else 0";
    REDIS_FAILURES_TOTAL = "wealth_redis_failures_total",
        Kind::Counter, Count, [], "Questions to Redis that failed, took too long or were refused";
    HINTS_SENT_TOTAL = "wealth_hints_sent_total",
        Kind::Counter, Count, [], "Wake-ups sent to other processes, each for all commits since the last";
    HINTS_HEARD_TOTAL = "wealth_hints_heard_total",
        Kind::Counter, Count, [], "Wake-ups heard from other processes";

    // Alerts.
    ALERTS_CREATED_TOTAL = "wealth_alerts_created_total",
        Kind::Counter, Count, ["kind"], "Alerts created";
    INSIGHTS_TOTAL = "wealth_insights_total",
        Kind::Counter, Count, ["kind"], "Insights found that were not known before";
    ALERTS_DELIVERED_TOTAL = "wealth_alerts_delivered_total",
        Kind::Counter, Count, [], "Alerts delivered to a client";
    ALERT_DELAY_SECONDS = "wealth_alert_delay_seconds",
        EVENT_SECONDS, Seconds, [], "Time from a booking to the alert that it caused, on an open stream";
    ALERTS_FAILED_TOTAL = "wealth_alerts_failed_total",
        Kind::Counter, Count, [], "Attempts to make alerts that failed and are made again";

    // Gemini, which puts insights into words.
    AI_REQUESTS_TOTAL = "wealth_ai_requests_total",
        Kind::Counter, Count, ["outcome" in ["ok", "busy", "away", "not_set_up", "blocked", "unreadable"]], "Questions to Gemini: answered; it was too busy or away, did not accept the key, the project or the model, gave no text, or something else than was asked for";
    AI_REQUEST_DURATION_SECONDS = "wealth_ai_request_duration_seconds",
        REQUEST_SECONDS, Seconds, [], "Time until Gemini has answered, or nobody waited any more";
    AI_TOKENS_TOTAL = "wealth_ai_tokens_total",
        Kind::Counter, Count, ["direction" in ["in", "out"]], "Tokens of questions to Gemini and of its answers, as it counts them";
    AI_BREAKER_OPEN = "wealth_ai_breaker_open",
        Kind::Gauge, Count, [], "1 while Gemini does not answer and is hardly asked, else 0; of processes that have a key";
    AI_WORDINGS_TOTAL = "wealth_ai_wordings_total",
        Kind::Counter, Count, ["outcome" in ["used", "remembered", "refused", "failed", "resting", "limited"]], "Insights that Gemini was to put into words: its words are used, or were remembered; they were refused for what they say, or there are none: it failed, is not asked for a while, or a limit was reached";

    // Recurring bookings.
    RECURRING_BOOKINGS_TOTAL = "wealth_recurring_bookings_total",
        Kind::Counter, Count, ["outcome" in ["booked", "refused"]], "Days of recurring bookings that were booked, or could not be: then the recurring booking is paused";
    RECURRING_LAG_SECONDS = "wealth_recurring_lag_seconds",
        Kind::Gauge, Seconds, [], "How long the oldest recurring booking that is due has waited when this process looked, 0 when none does";

    // Alerts that go out by mail.
    DELIVERIES_TOTAL = "wealth_deliveries_total",
        Kind::Counter, Count, ["channel" in ["email"], "outcome" in ["delivered", "failed", "bounced", "suppressed", "retried"]], "Alerts, and questions whether an address is its user's, that were taken to be sent: the mail server has taken them; they are not tried any more; nothing is taken for the address; they are not wanted any more; they are tried again later";
    DELIVERIES_OLDEST_DUE_SECONDS = "wealth_deliveries_oldest_due_seconds",
        Kind::Gauge, Seconds, ["channel" in ["email"]], "How long the oldest mail that is due has waited when this process looked, 0 when none does";

    // What is done again and again, beside the work.
    JOB_RUNS_TOTAL = "wealth_job_runs_total",
        Kind::Counter, Count, ["task", "outcome" in ["ok", "failed"]], "Runs of what is done again and again: trim removes what has grown old, limits forgets who has been quiet, insights looks at books, recurring books what is due, rules sorts what was booked, mail sends alerts";
    JOB_LAST_SUCCESS_TIMESTAMP_SECONDS = "wealth_job_last_success_timestamp_seconds",
        Kind::Gauge, Seconds, ["task"], "When it was done last, in seconds since 1970";

    // The process.
    READY = "wealth_ready",
        Kind::Gauge, Count, [], "1 while the process takes work, else 0";
    LOG_LINES_DROPPED_TOTAL = "wealth_log_lines_dropped_total",
        Kind::Counter, Count, ["output" in ["stream", "loki"]], "Lines of the process's own log dropped because nothing read them, or Loki did not take them: then all of those that may be lost";
    SPANS_EXPORTED_TOTAL = "wealth_spans_exported_total",
        Kind::Counter, Count, [], "Spans that the collector of traces took";
    SPANS_DROPPED_TOTAL = "wealth_spans_dropped_total",
        Kind::Counter, Count, ["reason" in ["queue_full", "collector_away", "not_taken"]], "Spans dropped: the queue was full, the collector away, or it did not take them";
    BUILD_INFO = "wealth_build_info",
        Kind::Gauge, Count, ["version"], "Always 1; the label tells what is running";
    PROCESS_START_TIME_SECONDS = "process_start_time_seconds",
        Kind::Gauge, Seconds, [], "When the process started, in seconds since 1970";
    PROCESS_CPU_SECONDS_TOTAL = "process_cpu_seconds_total",
        Kind::Counter, Seconds, [], "Processor time used, by the program and by the system for it";
    PROCESS_RESIDENT_MEMORY_BYTES = "process_resident_memory_bytes",
        Kind::Gauge, Bytes, [], "Memory held in RAM";
    PROCESS_OPEN_FDS = "process_open_fds",
        Kind::Gauge, Count, [], "Files that are open, connections among them";
    PROCESS_MAX_FDS = "process_max_fds",
        Kind::Gauge, Count, [], "Files that may be open";
    DATA_DIR_FREE_BYTES = "wealth_data_dir_free_bytes",
        Kind::Gauge, Bytes, [], "Room left on the file system of the data folder; with the embedded database only";
    DATA_DIR_SIZE_BYTES = "wealth_data_dir_size_bytes",
        Kind::Gauge, Bytes, [], "Size of that file system";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn is_snake_case(name: &str) -> bool {
        name.split('_').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
    }

    #[test]
    fn names_are_distinct_and_begin_with_their_owner() {
        let mut seen = HashSet::new();
        for Metric {
            name, labels, help, ..
        } in CATALOGUE
        {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(is_snake_case(name), "{name}");
            assert!(
                name.starts_with("wealth_") || name.starts_with("process_"),
                "{name}"
            );
            assert!(
                labels.iter().all(|label| is_snake_case(label.name)),
                "{name}: {labels:?}"
            );
            // The text format would need a backslash or a line feed escaped.
            assert!(
                !help.is_empty() && !help.contains(['\\', '\n']),
                "{name}: {help}"
            );
        }
    }

    #[test]
    fn names_end_as_their_type_and_unit_ask() {
        for Metric {
            name, kind, unit, ..
        } in CATALOGUE
        {
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let base = name.trim_end_matches("_total");
            assert_eq!(base.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
            assert_eq!(base.ends_with("_bytes"), *unit == Unit::Bytes, "{name}");
            if matches!(kind, Kind::Histogram(_)) {
                assert!(
                    ["_seconds", "_bytes", "_units"]
                        .iter()
                        .any(|end| name.ends_with(end)),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn every_histogram_has_rising_buckets() {
        for Metric { name, kind, .. } in CATALOGUE {
            if let Kind::Histogram(buckets) = kind {
                assert!(
                    !buckets.is_empty() && buckets.is_sorted_by(|a, b| a < b),
                    "{name}: {buckets:?}"
                );
            }
        }
    }
}
