//! The table of all keys: the one place that says what keys exist, what they hold and within which
//! bounds.
//!
//! A new key needs a row here, a line with a comment in `default.toml` and a field in `schema.rs`;
//! tests hold the three together.

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number within bounds, both included.
    Integer { min: i64, max: i64 },
    /// True or false.
    Switch,
    /// An address to listen on, `IP:PORT`.
    Address,
    /// A path of the file system.
    Path,
    /// A path of the file system; or empty.
    File,
    /// Text that must not be empty.
    Text,
    /// Letters, digits, `.`, `_` and `-`, at most 100; or empty.
    Name,
    /// `HOST:PORT`.
    Host,
    /// `HOST:PORT`, several separated by commas.
    Hosts,
    /// Addresses and networks (`10.0.0.0/8`), several separated by commas; or empty.
    Networks,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A URL, maybe with a password, of one of these schemes; or empty.
    Url { schemes: &'static [&'static str] },
    /// `ADDRESS` or `NAME <ADDRESS>`, of e-mail; or empty.
    Mailbox,
    /// One or several secrets that sign tokens; or empty.
    SigningKeys,
    /// A secret; or empty.
    Secret,
}

impl Kind {
    /// What a value of this kind is called in messages.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Integer { .. } => "an integer",
            Self::Switch => "a boolean",
            _ => "a string",
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeySpec {
    /// Its full name, `section.key`.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// The environment variable without our prefix that sets it too.
    pub(super) bare_env: Option<&'static str>,
}

impl KeySpec {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            bare_env: None,
        }
    }

    const fn integer(name: &'static str, min: i64, max: i64) -> Self {
        Self::new(name, Kind::Integer { min, max })
    }

    const fn or_env(mut self, variable: &'static str) -> Self {
        self.bare_env = Some(variable);
        self
    }
}

/// Ten minutes, the longest time-out.
const TEN_MINUTES_MS: i64 = 600_000;
/// The longest pause between two looks for something.
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const MILLION: i64 = 1_000_000;
const TEN_YEARS_DAYS: i64 = 3_650;

/// All keys, in the order of `default.toml`.
pub(super) const KEYS: &[KeySpec] = &[
    KeySpec::new("data_dir", Kind::Path),
    KeySpec::new("http.public_addr", Kind::Address),
    KeySpec::new("http.internal_addr", Kind::Address),
    KeySpec::integer("http.workers", 0, 64),
    KeySpec::integer("http.body_max_bytes", 1_024, 20_971_520),
    KeySpec::integer("http.client_timeout_ms", 1, TEN_MINUTES_MS),
    KeySpec::integer("http.request_timeout_ms", 1, TEN_MINUTES_MS),
    KeySpec::integer("http.keep_alive_secs", 0, 3_600),
    KeySpec::integer("http.connections_max", 1, MILLION),
    KeySpec::new("http.trusted_proxies", Kind::Networks),
    KeySpec::new(
        "database.url",
        Kind::Url {
            schemes: &["sqlite", "postgres", "postgresql"],
        },
    )
    .or_env("DATABASE_URL"),
    KeySpec::new(
        "database.direct_url",
        Kind::Url {
            schemes: &["postgres", "postgresql"],
        },
    ),
    KeySpec::integer("database.read_connections_max", 1, 64),
    KeySpec::integer("database.write_connections_max", 1, 64),
    KeySpec::integer("database.statements_max", 0, 10_000),
    KeySpec::integer("database.busy_timeout_ms", 0, TEN_MINUTES_MS),
    KeySpec::integer("database.write_queue_max", 1, MILLION),
    KeySpec::integer("database.write_batch_max", 1, 10_000),
    KeySpec::new("bus.kind", Kind::Choice(&["embedded", "dapr", "kafka"])),
    KeySpec::new("bus.topic_prefix", Kind::Name),
    KeySpec::integer("bus.batch_max", 1, 1_000),
    KeySpec::integer("bus.poll_ms", 1, MINUTE_MS),
    KeySpec::integer("bus.retry_min_ms", 1, HOUR_MS),
    KeySpec::integer("bus.retry_max_ms", 1, HOUR_MS),
    KeySpec::integer("dapr.http_port", 1, 65_535).or_env("DAPR_HTTP_PORT"),
    KeySpec::new("dapr.api_token", Kind::Secret).or_env("DAPR_API_TOKEN"),
    KeySpec::new("dapr.app_token", Kind::Secret).or_env("APP_API_TOKEN"),
    KeySpec::new("dapr.pubsub", Kind::Text),
    KeySpec::new("dapr.statestore", Kind::Text),
    KeySpec::new("dapr.secretstore", Kind::Name),
    KeySpec::new("dapr.secret", Kind::Text),
    KeySpec::integer("dapr.timeout_ms", 1, TEN_MINUTES_MS),
    KeySpec::integer("dapr.bulk_wait_ms", 1, MINUTE_MS),
    KeySpec::new("kafka.brokers", Kind::Hosts),
    KeySpec::new("kafka.group_prefix", Kind::Text),
    KeySpec::integer("kafka.timeout_ms", 100, TEN_MINUTES_MS),
    KeySpec::integer("kafka.partitions", 1, 1_000),
    KeySpec::integer("kafka.replication", 1, 100),
    KeySpec::integer("kafka.min_insync", 1, 100),
    KeySpec::integer("kafka.retention_hours", 1, 24 * TEN_YEARS_DAYS),
    KeySpec::new("state.kind", Kind::Choice(&["embedded", "redis", "dapr"])),
    KeySpec::integer("state.entries_max", 1, 100 * MILLION),
    KeySpec::integer("state.timeout_ms", 1, MINUTE_MS),
    KeySpec::new(
        "state.redis_url",
        Kind::Url {
            schemes: &["redis", "rediss"],
        },
    )
    .or_env("REDIS_URL"),
    KeySpec::new("state.redis_ca_file", Kind::File),
    KeySpec::new("auth.jwt_secret_key", Kind::SigningKeys).or_env("JWT_SECRET_KEY"),
    KeySpec::integer("auth.access_token_secs", 60, 3_600),
    KeySpec::integer("auth.refresh_token_days", 1, 365),
    KeySpec::integer("auth.hash_memory_kib", 8, 1_048_576),
    KeySpec::integer("auth.hash_iterations", 1, 100),
    KeySpec::integer("auth.hash_parallel_max", 1, 64),
    KeySpec::integer("limits.requests_per_minute", 0, MILLION),
    KeySpec::integer("limits.sign_in_per_minute", 0, MILLION),
    KeySpec::integer("streams.per_user_max", 1, 1_000),
    KeySpec::integer("streams.heartbeat_ms", 1, TEN_MINUTES_MS),
    KeySpec::integer("streams.poll_ms", 1, MINUTE_MS),
    KeySpec::integer("retention.log_days", 1, TEN_YEARS_DAYS),
    KeySpec::integer("retention.inbox_days", 1, TEN_YEARS_DAYS),
    KeySpec::integer("retention.idempotency_hours", 1, 8_760),
    KeySpec::integer("insights.every_ms", 0, 24 * 60 * MINUTE_MS),
    KeySpec::integer("lifecycle.drain_pause_ms", 0, TEN_MINUTES_MS),
    KeySpec::integer("lifecycle.drain_deadline_ms", 1, TEN_MINUTES_MS),
    KeySpec::new("log.format", Kind::Choice(&["auto", "json", "pretty"])),
    KeySpec::new("log.level", Kind::Text),
    KeySpec::new(
        "log.loki_url",
        Kind::Url {
            schemes: &["http", "https"],
        },
    ),
    KeySpec::new("log.loki_namespace", Kind::Text),
    KeySpec::new("traces.exporter", Kind::Choice(&["otlp", "jaeger", "none"])),
    KeySpec::new(
        "traces.otlp_endpoint",
        Kind::Url {
            schemes: &["http", "https"],
        },
    ),
    KeySpec::new("traces.jaeger_agent", Kind::Host),
    KeySpec::integer("traces.sample_percent", 0, 100),
    KeySpec::integer("traces.slow_ms", 1, TEN_MINUTES_MS),
    KeySpec::new("ai.enabled", Kind::Switch),
    KeySpec::new("ai.gemini_api_key", Kind::Secret).or_env("GEMINI_API_KEY"),
    KeySpec::new(
        "ai.url",
        Kind::Url {
            schemes: &["http", "https"],
        },
    ),
    KeySpec::new("ai.model", Kind::Name),
    KeySpec::integer("ai.timeout_ms", 1, MINUTE_MS),
    KeySpec::integer("ai.output_tokens_max", 1, 10_000),
    KeySpec::integer("ai.calls_per_user_per_day", 0, 10_000),
    KeySpec::integer("ai.tokens_per_day", 0, 1_000 * MILLION),
    KeySpec::new(
        "email.smtp_url",
        Kind::Url {
            schemes: &["smtp", "smtps"],
        },
    )
    .or_env("SMTP_URL"),
    KeySpec::new("email.ca_file", Kind::File),
    KeySpec::new("email.from", Kind::Mailbox),
    KeySpec::integer("email.timeout_ms", 1, MINUTE_MS),
    KeySpec::new(
        "email.public_url",
        Kind::Url {
            schemes: &["http", "https"],
        },
    ),
];

/// What is read from a secret store, where one is named: the same names as in the environment.
pub(super) const STORED: [&str; 5] = [
    "DATABASE_URL",
    "GEMINI_API_KEY",
    "JWT_SECRET_KEY",
    "REDIS_URL",
    "SMTP_URL",
];

impl KeySpec {
    /// Whether it is read from a secret store, where one is named.
    pub(super) fn is_stored(&self) -> bool {
        self.bare_env.is_some_and(|name| STORED.contains(&name))
    }
}

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static KeySpec> {
    KEYS.iter().find(|spec| spec.name == name)
}

/// Whether keys live in a section of this name.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|spec| {
        spec.name
            .split_once('.')
            .is_some_and(|(section, _)| section == name)
    })
}

#[cfg(test)]
mod tests {
    use super::{KEYS, Kind, STORED};
    use crate::config::layers::DEFAULTS;

    /// `default.toml` as (key, comment above it), read without the code under test.
    fn documented() -> Vec<(String, String)> {
        let mut section = String::new();
        let mut comment = String::new();
        let mut found = Vec::new();
        for line in DEFAULTS.lines() {
            if let Some(text) = line.strip_prefix('#') {
                comment.push_str(text);
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                section = format!("{}.", name.trim_end_matches(']'));
            } else if let Some((key, _)) = line.split_once(" = ") {
                found.push((format!("{section}{key}"), comment.clone()));
            }
            comment.clear();
        }
        found
    }

    #[test]
    fn the_defaults_hold_exactly_the_keys_of_the_table_in_its_order() {
        let documented: Vec<String> = documented().into_iter().map(|(key, _)| key).collect();
        let table: Vec<&str> = KEYS.iter().map(|spec| spec.name).collect();
        assert_eq!(documented, table);
    }

    #[test]
    fn every_stored_secret_has_a_key() {
        let stored = KEYS.iter().filter(|spec| spec.is_stored());
        let mut names: Vec<_> = stored.filter_map(|spec| spec.bare_env).collect();
        names.sort_unstable();
        assert_eq!(names, STORED);
    }

    #[test]
    fn every_key_has_a_comment_that_names_its_bounds_and_its_other_name() {
        for (spec, (key, comment)) in KEYS.iter().zip(documented()) {
            assert!(!comment.is_empty(), "{key} has no comment");
            if let Kind::Integer { min, max } = spec.kind {
                let bounds = format!("Bounds: {min} to {max}.");
                assert!(
                    comment.contains(&bounds),
                    "the comment of {key} does not say: {bounds}"
                );
            }
            if let Some(variable) = spec.bare_env {
                assert!(
                    comment.contains(variable),
                    "the comment of {key} does not name {variable}"
                );
            }
        }
    }
}
