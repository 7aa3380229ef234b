//! The types of the configuration. Bounds are checked before a value gets here (see the table in
//! `keys.rs`); `default.toml` says more about each key.

mod decode;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;

use crate::config::email::{Sender, SmtpServer};
use crate::config::secrets::{self, ConnectionUrl, SigningKey};

/// The name of the database file in the data directory.
const DATABASE_FILE: &str = "wealth.db";

/// The whole configuration, valid. Made by [`Config::load`]; its Debug form holds no secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Directory of everything the process keeps.
    pub data_dir: PathBuf,
    /// The HTTP servers.
    pub http: Http,
    /// The database.
    pub database: Database,
    /// What carries events between the roles.
    pub bus: Bus,
    /// The Dapr sidecar.
    pub dapr: Dapr,
    /// Kafka.
    pub kafka: Kafka,
    /// Short-lived shared state.
    pub state: State,
    /// Passwords and tokens.
    pub auth: Auth,
    /// Rate limits.
    pub limits: Limits,
    /// Event streams to clients.
    pub streams: Streams,
    /// How long data is kept.
    pub retention: Retention,
    /// Shutdown.
    pub lifecycle: Lifecycle,
    /// Logging.
    pub log: Log,
    /// Spans.
    pub traces: Traces,
    /// What is worth knowing of somebody's books.
    pub insights: Insights,
    /// The AI provider.
    pub ai: Ai,
    /// Mail that goes out.
    pub email: Email,
}

impl Config {
    /// The URL of the database: `database.url`, or else that of the SQLite file `wealth.db` in the
    /// data directory, which is created when missing. May hold a password.
    #[must_use]
    pub fn database_url(&self) -> String {
        match &self.database.url {
            Some(url) => url.expose().to_owned(),
            None => sqlite_url(&self.data_dir),
        }
    }

    /// Whether the database is a PostgreSQL server's, which other processes share.
    #[must_use]
    pub fn is_server_database(&self) -> bool {
        let scheme = secrets::url_scheme(&self.database_url());
        scheme.is_some_and(|scheme| scheme.starts_with("postgres"))
    }
}

fn sqlite_url(data_dir: &Path) -> String {
    // Through components, since SQLite drivers take a leading `//` for the beginning of a URL's
    // authority.
    let path: PathBuf = data_dir.join(DATABASE_FILE).components().collect();
    let path = path
        .to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23");
    format!("sqlite:{path}?mode=rwc")
}

/// `[http]`: the HTTP servers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address of the public API. Port 0 takes any free port.
    pub public_addr: SocketAddr,
    /// Address of health probes and metrics. Port 0 takes any free port.
    pub internal_addr: SocketAddr,
    /// Worker threads, at most 64; `None` (0 in the file) starts one for each core.
    #[serde(deserialize_with = "decode::count_or_default")]
    pub workers: Option<NonZeroUsize>,
    /// Largest request body, bytes: 1024 to 20971520.
    pub body_max_bytes: usize,
    /// How long a client may take to send its headers and body: 1 ms to 10 min
    /// (`client_timeout_ms`).
    #[serde(rename = "client_timeout_ms", deserialize_with = "decode::millis")]
    pub client_timeout: Duration,
    /// How long the server may work on one request: 1 ms to 10 min (`request_timeout_ms`).
    #[serde(rename = "request_timeout_ms", deserialize_with = "decode::millis")]
    pub request_timeout: Duration,
    /// How long an idle connection stays open: up to 1 h, zero for not at all (`keep_alive_secs`).
    #[serde(rename = "keep_alive_secs", deserialize_with = "decode::secs")]
    pub keep_alive: Duration,
    /// Open connections at most, all workers together: 1 to 1000000.
    pub connections_max: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "decode::networks")]
    pub trusted_proxies: Vec<IpNet>,
}

/// `[database]`: the database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Where the data is; `None` (empty in the file) is a file in the data directory, see
    /// [`Config::database_url`].
    #[serde(deserialize_with = "decode::url")]
    pub url: Option<ConnectionUrl>,
    /// The same PostgreSQL database without a pooler in between, for migrations; `None` (empty in
    /// the file) takes `url`.
    #[serde(deserialize_with = "decode::url")]
    pub direct_url: Option<ConnectionUrl>,
    /// Connections that only read: 1 to 64.
    pub read_connections_max: u32,
    /// Connections that write, with PostgreSQL: 1 to 64.
    pub write_connections_max: u32,
    /// Statements that each connection keeps prepared, up to 10000; zero prepares none.
    pub statements_max: usize,
    /// How long to wait for a lock held by another process, or for a connection: up to 10 min
    /// (`busy_timeout_ms`).
    #[serde(rename = "busy_timeout_ms", deserialize_with = "decode::millis")]
    pub busy_timeout: Duration,
    /// Writes waiting for their turn at most (on PostgreSQL: bookings): 1 to 1000000.
    pub write_queue_max: usize,
    /// Waiting writes committed together at most: 1 to 10000.
    pub write_batch_max: usize,
}

/// `[bus]`: what carries events between the roles.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// Which bus.
    pub kind: BusKind,
    /// What the names of all topics begin with; may be empty.
    pub topic_prefix: String,
    /// Events that a consumer takes at a time: 1 to 1000.
    pub batch_max: u32,
    /// Longest sleep between two looks at the log when no wake-up comes: 1 ms to 1 min (`poll_ms`).
    #[serde(rename = "poll_ms", deserialize_with = "decode::millis")]
    pub poll: Duration,
    /// Pause before the first retry of a failed event: 1 ms to 1 h (`retry_min_ms`).
    #[serde(rename = "retry_min_ms", deserialize_with = "decode::millis")]
    pub retry_min: Duration,
    /// Longest pause between two retries: `retry_min` to 1 h (`retry_max_ms`).
    #[serde(rename = "retry_max_ms", deserialize_with = "decode::millis")]
    pub retry_max: Duration,
}

/// The kinds of bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusKind {
    /// The log inside the database.
    Embedded,
    /// Kafka through the Dapr sidecar.
    Dapr,
    /// Kafka without a sidecar.
    Kafka,
}

/// `[dapr]`: the sidecar of this process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dapr {
    /// Port of the sidecar's HTTP API on 127.0.0.1.
    pub http_port: u16,
    /// What the sidecar asks of us; `None` (empty in the file) sends nothing.
    #[serde(deserialize_with = "decode::secret")]
    pub api_token: Option<SecretString>,
    /// What we ask of the sidecar; `None` (empty in the file) asks nothing.
    #[serde(deserialize_with = "decode::secret")]
    pub app_token: Option<SecretString>,
    /// Name of the pub/sub component.
    pub pubsub: String,
    /// Name of the state store component.
    pub statestore: String,
    /// Name of the secret store component; empty: secrets come from the configuration.
    pub secretstore: String,
    /// Name of the secret that has those of the product as its keys.
    pub secret: String,
    /// How long a call of the sidecar may take: 1 ms to 10 min (`timeout_ms`).
    #[serde(rename = "timeout_ms", deserialize_with = "decode::millis")]
    pub timeout: Duration,
    /// How long the sidecar may wait for a batch to fill: 1 ms to 1 min (`bulk_wait_ms`).
    #[serde(rename = "bulk_wait_ms", deserialize_with = "decode::millis")]
    pub bulk_wait: Duration,
}

/// `[kafka]`: the brokers, and how topics should be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `HOST:PORT` of brokers to begin with, separated by commas.
    pub brokers: String,
    /// What the names of consumer groups begin with: `{group_prefix}-{consumer}`.
    pub group_prefix: String,
    /// How long a request to the brokers may take: 100 ms to 10 min (`timeout_ms`).
    #[serde(rename = "timeout_ms", deserialize_with = "decode::millis")]
    pub timeout: Duration,
    /// Partitions of each topic: 1 to 1000.
    pub partitions: i32,
    /// Copies of each partition: 1 to 100.
    pub replication: i32,
    /// Copies that must have a record before it counts as written: 1 to `replication`.
    pub min_insync: i32,
    /// How long topics keep records: 1 h to 10 years (`retention_hours`).
    #[serde(rename = "retention_hours", deserialize_with = "decode::hours")]
    pub retention: Duration,
}

/// `[state]`: short-lived shared state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Which store.
    pub kind: StateKind,
    /// Entries kept in memory at most: 1 to 100000000.
    pub entries_max: u64,
    /// How long the store may take to answer before we go on without it: 1 ms to 1 min
    /// (`timeout_ms`).
    #[serde(rename = "timeout_ms", deserialize_with = "decode::millis")]
    pub timeout: Duration,
    /// A Redis URL, when one is given; not used by the embedded kind.
    #[serde(deserialize_with = "decode::url")]
    pub redis_url: Option<ConnectionUrl>,
    /// Certificates of those whom a `rediss:` URL trusts; `None` (empty in the file) trusts the
    /// public authorities.
    #[serde(deserialize_with = "decode::file")]
    pub redis_ca_file: Option<PathBuf>,
}

/// The kinds of store for short-lived state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateKind {
    /// The memory of the process.
    Embedded,
    /// Redis.
    Redis,
    /// The state store of the Dapr sidecar.
    Dapr,
}

/// `[auth]`: passwords and tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The keys of access tokens (`jwt_secret_key`), names unique: the first signs, all verify.
    /// Empty: the process generates one and keeps it in the data directory.
    #[serde(rename = "jwt_secret_key", deserialize_with = "decode::signing_keys")]
    pub signing_keys: Vec<SigningKey>,
    /// Life of an access token: 1 min to 1 h (`access_token_secs`).
    #[serde(rename = "access_token_secs", deserialize_with = "decode::secs")]
    pub access_token: Duration,
    /// Life of a refresh token: 1 to 365 days (`refresh_token_days`).
    #[serde(rename = "refresh_token_days", deserialize_with = "decode::days")]
    pub refresh_token: Duration,
    /// Memory that hashing one password takes, KiB: 8 to 1048576.
    pub hash_memory_kib: u32,
    /// Passes over that memory: 1 to 100.
    pub hash_iterations: u32,
    /// Passwords hashed at the same time at most: 1 to 64.
    pub hash_parallel_max: usize,
}

/// `[limits]`: rate limits. `None` (0 in the file) turns one off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests of one user in a minute, at most 1000000.
    #[serde(deserialize_with = "decode::limit")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Attempts to register, sign in or refresh in a minute, for each client address and for each
    /// e-mail address, at most 1000000.
    #[serde(deserialize_with = "decode::limit")]
    pub sign_in_per_minute: Option<NonZeroU32>,
}

/// `[streams]`: event streams to clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    /// Open streams of one user at most: 1 to 1000.
    pub per_user_max: usize,
    /// Pause between two heartbeats on a quiet stream: 1 ms to 10 min (`heartbeat_ms`).
    #[serde(rename = "heartbeat_ms", deserialize_with = "decode::millis")]
    pub heartbeat: Duration,
    /// Longest sleep between two looks for news when no wake-up comes: 1 ms to 1 min (`poll_ms`).
    #[serde(rename = "poll_ms", deserialize_with = "decode::millis")]
    pub poll: Duration,
}

/// `[retention]`: how long data is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How long events stay in the log: 1 to 3650 days (`log_days`).
    #[serde(rename = "log_days", deserialize_with = "decode::days")]
    pub log: Duration,
    /// How long a consumer remembers the events it has handled: more than `log`, to 3650 days
    /// (`inbox_days`).
    #[serde(rename = "inbox_days", deserialize_with = "decode::days")]
    pub inbox: Duration,
    /// How long the answer to an idempotency key is kept: 1 to 8760 h (`idempotency_hours`).
    #[serde(rename = "idempotency_hours", deserialize_with = "decode::hours")]
    pub idempotency: Duration,
}

/// `[insights]`: what is worth knowing of somebody's books.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Insights {
    /// Books are looked at after a booking, but not again before: 1 ms to a day (`every_ms`); none (0 in
    /// the file): never.
    #[serde(rename = "every_ms", deserialize_with = "decode::some_millis")]
    pub every: Option<Duration>,
}

/// `[lifecycle]`: shutdown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// Pause between reporting "not ready" and refusing connections: less than `drain_deadline`
    /// (`drain_pause_ms`).
    #[serde(rename = "drain_pause_ms", deserialize_with = "decode::millis")]
    pub drain_pause: Duration,
    /// How long a whole shutdown may take: 1 ms to 10 min (`drain_deadline_ms`).
    #[serde(rename = "drain_deadline_ms", deserialize_with = "decode::millis")]
    pub drain_deadline: Duration,
}

/// `[log]`: logging.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Form of the lines.
    pub format: LogFormat,
    /// What to log, a directive string of a tracing `EnvFilter`; not empty.
    pub level: String,
    /// The Loki that lines are pushed to; `None` (empty in the file) for none.
    #[serde(deserialize_with = "decode::url")]
    pub loki_url: Option<ConnectionUrl>,
    /// The label `namespace` of those lines; not empty.
    pub loki_namespace: String,
}

/// The forms of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// `[traces]`: what is recorded of traces, and where it goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// How spans are sent.
    pub exporter: TraceExporter,
    /// The collector of OTLP over HTTP; `None` (empty in the file) is one on this machine.
    #[serde(deserialize_with = "decode::url")]
    pub otlp_endpoint: Option<ConnectionUrl>,
    /// `HOST:PORT` of a Jaeger agent.
    pub jaeger_agent: String,
    /// Of a hundred traces that begin here, how many are recorded: 0 to 100.
    pub sample_percent: u8,
    /// What takes as long is slow: 1 ms to 10 min (`slow_ms`).
    #[serde(rename = "slow_ms", deserialize_with = "decode::millis")]
    pub slow: Duration,
}

/// The ways to send spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceExporter {
    /// OpenTelemetry's protocol over HTTP.
    Otlp,
    /// Jaeger's own, over UDP.
    Jaeger,
    /// Not at all.
    None,
}

/// `[ai]`: the AI provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ai {
    /// Whether anybody's insights are put into words by it.
    pub enabled: bool,
    /// Key of the Gemini API; `None` (empty in the file) turns the features that need it off.
    #[serde(deserialize_with = "decode::secret")]
    pub gemini_api_key: Option<SecretString>,
    /// Where the Gemini API is; `None` (empty in the file): nowhere.
    #[serde(deserialize_with = "decode::url")]
    pub url: Option<ConnectionUrl>,
    /// The model's name.
    pub model: String,
    /// How long one look at somebody's books may wait for words in all: 1 ms to 1 min (`timeout_ms`).
    #[serde(rename = "timeout_ms", deserialize_with = "decode::millis")]
    pub timeout: Duration,
    /// Tokens of an answer at most: 1 to 10000.
    pub output_tokens_max: u32,
    /// Questions for one user in a day (UTC) at most, of each process: up to 10000; zero asks none.
    pub calls_per_user_per_day: u32,
    /// Tokens in a day (UTC) at most, of each process, questions and answers together: up to 1000000000.
    pub tokens_per_day: u64,
}

/// `[email]`: mail that goes out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// The server that takes it (`smtp_url`); `None` (empty in the file): no mail.
    #[serde(rename = "smtp_url", deserialize_with = "decode::smtp_server")]
    pub server: Option<SmtpServer>,
    /// Certificates of those whom it trusts; `None` (empty in the file) trusts the public authorities.
    #[serde(deserialize_with = "decode::file")]
    pub ca_file: Option<PathBuf>,
    /// Whom mail is from; `None` (empty in the file) only where no server is named.
    #[serde(deserialize_with = "decode::sender")]
    pub from: Option<Sender>,
    /// How long the server may take for one mail, connecting included: 1 ms to 1 min (`timeout_ms`).
    #[serde(rename = "timeout_ms", deserialize_with = "decode::millis")]
    pub timeout: Duration,
    /// Where people reach the public API; `None` (empty in the file) where no mail is sent.
    #[serde(deserialize_with = "decode::url")]
    pub public_url: Option<ConnectionUrl>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::sqlite_url;

    #[test]
    fn the_database_url_escapes_what_would_end_the_path() {
        assert_eq!(
            sqlite_url(Path::new("data")),
            "sqlite:data/wealth.db?mode=rwc"
        );
        assert_eq!(
            sqlite_url(Path::new("//srv/a?b%c#d")),
            "sqlite:/srv/a%3Fb%25c%23d/wealth.db?mode=rwc"
        );
    }
}
