//! What the process tells of itself: logs, metrics, and the trace it takes part in.
//!
//! Stands on `clock` alone. The composition root turns it on before anything that logs or counts;
//! every other part then uses `tracing` and `metrics` directly, with the metric names kept here.

pub mod logs;
pub mod metrics;
pub mod spans;
pub mod trace;

pub use logs::{LogGuard, LogSettings, init, stdout_is_terminal};

/// Why telemetry could not be turned on.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log level setting cannot be understood.
    #[error(
        "log level `{setting}`: `{part}` is neither a level (off, error, warn, info, debug, trace) nor target=level"
    )]
    BadLevel {
        /// The setting as given.
        setting: String,
        /// The part of it that is wrong.
        part: String,
    },
    /// The settings of Loki cannot be used.
    #[error("log.loki_url: {0}")]
    Loki(String),
    /// Logging is not on in this process.
    #[error("logging is not on in this process")]
    NotOn,
    /// Logging was turned on before in this process.
    #[error("logging is already turned on in this process")]
    AlreadyOn,
    /// The operating system gave no thread to write logs on.
    #[error("no thread to write logs on")]
    NoThread(#[source] std::io::Error),
}
