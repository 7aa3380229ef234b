//! Structured logs: JSON lines on stdout for machines, readable lines on stderr for people.
//!
//! Turned on once by the composition root; every other part logs through `tracing`. Lines are
//! written by a thread of their own, so a reader that stalls or goes away never holds up the work.
//! Where the configuration names a Loki, lines are pushed there as well.

mod json;
mod level;
mod loki;
mod output;

use std::fmt;
use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::json::JsonLayer;
use self::level::Control;
pub use self::level::{level, reset_level, set_level};
pub use self::loki::{Loki, LokiSending, LokiSettings};
use self::output::Output;
use super::TelemetryError;
use crate::clock::Clock;

/// How long the end of the process waits for its last log lines to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Holds on to the log until the end of `main`: dropped, it waits up to two seconds for the lines
/// still to be written. Logging goes on after that.
#[must_use = "dropped at the end of `main`, it sees the last log lines written"]
#[derive(Debug)]
pub struct LogGuard(Output);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.flush(FLUSH_LIMIT);
    }
}

/// What is logged, and where it goes.
#[derive(Debug)]
pub struct LogSettings<'a> {
    /// JSON lines on stdout; otherwise readable lines on stderr (stdout then stays free for a command's
    /// own output).
    pub json: bool,
    /// A level (`off`, `error`, `warn`, `info`, `debug`, `trace`) for everything, `target=level` for a
    /// module path and what is under it, or several of these with commas between: `info,sqlx=warn`.
    /// Without a level for everything, only the named targets log.
    pub level: &'a str,
    /// Where lines are pushed to beside.
    pub loki: Option<LokiSettings>,
}

/// Turns logging on for the whole process. What pushes to Loki must be started.
///
/// # Errors
///
/// If the level cannot be understood or Loki's URL not be used, if logging is already on, or if no
/// thread can be started.
pub fn init(settings: LogSettings<'_>) -> Result<(LogGuard, Option<Loki>), TelemetryError> {
    let (filter, control) = Control::new(settings.level)?;
    let (to_loki, loki) = settings.loki.map(Loki::new).transpose()?.unzip();
    let clock = Clock::system();
    let output = if settings.json {
        let output = Output::start(io::stdout()).map_err(TelemetryError::NoThread)?;
        let layer = JsonLayer::new(clock, output.clone());
        let lines = tracing_subscriber::registry().with(filter).with(layer);
        turn_on(lines.with(to_loki))?;
        output
    } else {
        let output = Output::start(io::stderr()).map_err(TelemetryError::NoThread)?;
        let to_output = output.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(io::stderr().is_terminal())
            .with_timer(ClockTime(clock))
            .log_internal_errors(false)
            .with_writer(move || to_output.clone());
        let lines = tracing_subscriber::registry().with(filter).with(layer);
        turn_on(lines.with(to_loki))?;
        output
    };
    control.install();
    Ok((LogGuard(output), loki))
}

/// Whether a person is likely to be reading stdout; what `auto` as the log format goes by.
#[must_use]
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

fn turn_on(subscriber: impl SubscriberInitExt) -> Result<(), TelemetryError> {
    subscriber.try_init().map_err(|_| TelemetryError::AlreadyOn)
}

/// Stamps readable lines with the same clock as JSON lines.
struct ClockTime(Clock);

impl FormatTime for ClockTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", json::timestamp(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(level: &str) -> LogSettings<'_> {
        LogSettings {
            json: false,
            level,
            loki: None,
        }
    }

    #[test]
    fn logging_is_turned_on_once_and_its_level_can_be_changed() {
        assert!(matches!(set_level("debug"), Err(TelemetryError::NotOn)));
        assert_eq!(level(), None);
        let _guard = init(settings("off")).unwrap();
        assert!(matches!(
            init(settings("off")),
            Err(TelemetryError::AlreadyOn)
        ));

        let is_on = || tracing::enabled!(target: "somebody", tracing::Level::WARN);
        assert!(!is_on());
        set_level("error,somebody=warn").unwrap();
        assert!(is_on());
        assert!(matches!(
            set_level("loud"),
            Err(TelemetryError::BadLevel { .. })
        ));
        assert_eq!(level().unwrap(), "error,somebody=warn");
        assert!(is_on());
        reset_level().unwrap();
        assert_eq!(level().unwrap(), "off");
        assert!(!is_on());
    }
}
