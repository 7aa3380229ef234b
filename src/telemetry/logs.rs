//! Structured logs: JSON lines on stdout for machines, readable lines on stderr for people.
//!
//! Turned on once by the composition root; every other part logs through `tracing`. Lines are
//! written by a thread of their own, so a reader that stalls or goes away never holds up the work.

mod json;
mod output;

use std::fmt;
use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::json::JsonLayer;
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

/// Turns logging on for the whole process: JSON lines on stdout if `json`, readable lines on stderr
/// otherwise (stdout then stays free for a command's own output).
///
/// `level` is a level (`off`, `error`, `warn`, `info`, `debug`, `trace`) for everything,
/// `target=level` for a module path and what is under it, or several of these with commas between:
/// `info,sqlx=warn`. Without a level for everything, only the named targets log.
///
/// # Errors
///
/// If `level` cannot be understood, if logging is already on, or if no thread can be started.
pub fn init(json: bool, level: &str) -> Result<LogGuard, TelemetryError> {
    let targets = parse_level(level)?;
    let clock = Clock::system();
    if json {
        let output = Output::start(io::stdout()).map_err(TelemetryError::NoThread)?;
        let layer = JsonLayer::new(clock, output.clone());
        turn_on(
            tracing_subscriber::registry().with(targets).with(layer),
            output,
        )
    } else {
        let output = Output::start(io::stderr()).map_err(TelemetryError::NoThread)?;
        let to_output = output.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(io::stderr().is_terminal())
            .with_timer(ClockTime(clock))
            .log_internal_errors(false)
            .with_writer(move || to_output.clone());
        turn_on(
            tracing_subscriber::registry().with(targets).with(layer),
            output,
        )
    }
}

/// Whether a person is likely to be reading stdout; what `auto` as the log format goes by.
#[must_use]
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

fn turn_on(subscriber: impl SubscriberInitExt, output: Output) -> Result<LogGuard, TelemetryError> {
    subscriber
        .try_init()
        .map_err(|_| TelemetryError::AlreadyOn)?;
    Ok(LogGuard(output))
}

/// Stricter than the filter's own parser, which takes a misspelt level for a target's name and so
/// logs nothing.
fn parse_level(setting: &str) -> Result<Targets, TelemetryError> {
    let mut targets = Targets::new();
    for part in setting.split(',').map(str::trim) {
        let bad = || TelemetryError::BadLevel {
            setting: setting.to_owned(),
            part: part.to_owned(),
        };
        targets = match part.split_once('=') {
            Some((target, level)) if !target.trim().is_empty() => {
                targets.with_target(target.trim(), level_named(level).ok_or_else(bad)?)
            }
            Some(_) => return Err(bad()),
            None => targets.with_default(level_named(part).ok_or_else(bad)?),
        };
    }
    Ok(targets)
}

fn level_named(name: &str) -> Option<LevelFilter> {
    match name.trim().to_ascii_lowercase().as_str() {
        "off" => Some(LevelFilter::OFF),
        "error" => Some(LevelFilter::ERROR),
        "warn" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" => Some(LevelFilter::TRACE),
        _ => None,
    }
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
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_for_everything_and_a_target_overrides_it() {
        let targets = parse_level("info, sqlx=warn,app::relay=DEBUG").unwrap();
        assert!(targets.would_enable("anything", &Level::INFO));
        assert!(!targets.would_enable("anything", &Level::DEBUG));
        assert!(!targets.would_enable("sqlx::query", &Level::INFO));
        assert!(targets.would_enable("app::relay", &Level::DEBUG));
    }

    #[test]
    fn off_is_a_level() {
        assert!(
            !parse_level("off")
                .unwrap()
                .would_enable("anything", &Level::ERROR)
        );
    }

    #[test]
    fn a_bad_level_is_named_in_the_error() {
        for (setting, part) in [
            ("luod", "luod"),
            ("", ""),
            ("info,sqlx=quiet", "sqlx=quiet"),
            ("=info", "=info"),
            ("info,", ""),
        ] {
            let error = parse_level(setting).unwrap_err();
            let TelemetryError::BadLevel { part: named, .. } = &error else {
                panic!("{setting}: {error}");
            };
            assert_eq!(named, part);
            assert!(
                error
                    .to_string()
                    .contains("off, error, warn, info, debug, trace")
            );
        }
    }

    #[test]
    fn logging_is_turned_on_once() {
        let _guard = init(false, "off").unwrap();
        assert!(matches!(init(true, "off"), Err(TelemetryError::AlreadyOn)));
    }
}
