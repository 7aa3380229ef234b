//! What is logged: a level for everything, or for parts of the code; it can be changed while the
//! process runs.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber, callsite};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;

use crate::telemetry::TelemetryError;

/// The filter of this process, once logging is on.
static CONTROL: OnceLock<Control> = OnceLock::new();

/// The filter as a layer. Each place that logs asks it once, and again when it was changed: the layer that
/// `tracing_subscriber` has for filters that change takes a lock whenever a span is entered or left.
pub(super) struct Filter(Arc<RwLock<Targets>>);

/// What changes the filter.
pub(super) struct Control {
    configured: String,
    in_force: Mutex<String>,
    filter: Arc<RwLock<Targets>>,
}

impl Control {
    /// A filter that lets this through.
    pub(super) fn new(level: &str) -> Result<(Filter, Self), TelemetryError> {
        let filter = Arc::new(RwLock::new(parse(level)?));
        let control = Self {
            configured: level.to_owned(),
            in_force: Mutex::new(level.to_owned()),
            filter: Arc::clone(&filter),
        };
        Ok((Filter(filter), control))
    }

    /// From now on it is that of the process.
    pub(super) fn install(self) {
        // Logging is turned on once.
        let _ = CONTROL.set(self);
    }

    fn set(&self, level: &str) -> Result<(), TelemetryError> {
        let targets = parse(level)?;
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = targets;
        callsite::rebuild_interest_cache();
        level.clone_into(&mut in_force);
        Ok(())
    }
}

impl Filter {
    fn targets(&self) -> RwLockReadGuard<'_, Targets> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Filter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&*self.targets(), metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.targets().enabled(metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&*self.targets())
    }
}

/// What is logged now; none before logging is on.
#[must_use]
pub fn level() -> Option<String> {
    let in_force = &CONTROL.get()?.in_force;
    Some(
        in_force
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone(),
    )
}

/// Logs this from now on: see [`init`](super::init) for what it may say.
///
/// # Errors
/// It cannot be understood, and what was logged is logged still; or logging is not on.
pub fn set_level(level: &str) -> Result<(), TelemetryError> {
    CONTROL.get().ok_or(TelemetryError::NotOn)?.set(level)
}

/// Logs again what the configuration says.
///
/// # Errors
/// Logging is not on.
pub fn reset_level() -> Result<(), TelemetryError> {
    let control = CONTROL.get().ok_or(TelemetryError::NotOn)?;
    control.set(&control.configured)
}

/// Stricter than the filter's own parser, which takes a misspelt level for a target's name and so
/// logs nothing.
fn parse(setting: &str) -> Result<Targets, TelemetryError> {
    // A rule that never comes is somebody's mistake, and they are told: it is no error of ours.
    let mut targets = Targets::new().with_target("rrule", LevelFilter::OFF);
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

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_for_everything_and_a_target_overrides_it() {
        let targets = parse("info, sqlx=warn,app::relay=DEBUG").unwrap();
        assert!(targets.would_enable("anything", &Level::INFO));
        assert!(!targets.would_enable("anything", &Level::DEBUG));
        assert!(!targets.would_enable("sqlx::query", &Level::INFO));
        assert!(targets.would_enable("app::relay", &Level::DEBUG));
    }

    #[test]
    fn off_is_a_level() {
        assert!(
            !parse("off")
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
            let error = parse(setting).unwrap_err();
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
}
