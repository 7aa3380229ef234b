//! Whether the process should be sent requests, and if not, why.
//!
//! Components report into it as their state changes; the readiness probe reads it. A failing check
//! means "send nothing for now", never "restart me".

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The component named when the reason lies with the process as a whole.
pub const PROCESS: &str = "process";

/// The registry of reasons not to send requests here. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<State>);

#[derive(Debug)]
struct State {
    started: AtomicBool,
    shutting_down: CancellationToken,
    reasons: Mutex<BTreeMap<&'static str, String>>,
}

impl Readiness {
    /// Not ready until [`started`](Self::started), and never again once `shutting_down` is
    /// cancelled.
    #[must_use]
    pub fn new(shutting_down: CancellationToken) -> Self {
        Self(Arc::new(State {
            started: AtomicBool::new(false),
            shutting_down,
            reasons: Mutex::default(),
        }))
    }

    /// Says that start-up is over: from here on only components and shutdown can make the process
    /// unready.
    pub fn started(&self) {
        self.0.started.store(true, Ordering::Release);
    }

    /// Sets the state of `component`: ready, or the reason why it is not, in words an operator can
    /// act on. A component never heard of counts as ready.
    pub fn set(&self, component: &'static str, state: Result<(), String>) {
        let mut reasons = self
            .0
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match state {
            Ok(()) => reasons.remove(component),
            Err(reason) => reasons.insert(component, reason),
        };
    }

    /// Whether requests should be sent here.
    ///
    /// # Errors
    ///
    /// Every reason against it, with the component it comes from: the process first, the others by
    /// name.
    pub fn check(&self) -> Result<(), Vec<(&'static str, String)>> {
        let mut reasons = Vec::new();
        if self.0.shutting_down.is_cancelled() {
            reasons.push((PROCESS, "shutting down".to_owned()));
        } else if !self.0.started.load(Ordering::Acquire) {
            reasons.push((PROCESS, "starting".to_owned()));
        }
        let components = self
            .0
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reasons.extend(
            components
                .iter()
                .map(|(component, reason)| (*component, reason.clone())),
        );
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_ready_until_started() {
        let readiness = Readiness::new(CancellationToken::new());
        assert_eq!(
            readiness.check(),
            Err(vec![(PROCESS, "starting".to_owned())])
        );
        readiness.started();
        assert_eq!(readiness.check(), Ok(()));
    }

    #[test]
    fn not_ready_while_any_component_has_a_reason() {
        let readiness = Readiness::new(CancellationToken::new());
        readiness.started();
        readiness.set("relay", Err("no connection".to_owned()));
        readiness.set("database", Err("locked".to_owned()));
        let expected = vec![
            ("database", "locked".to_owned()),
            ("relay", "no connection".to_owned()),
        ];
        assert_eq!(readiness.check(), Err(expected));
        readiness.set("relay", Ok(()));
        assert_eq!(
            readiness.check(),
            Err(vec![("database", "locked".to_owned())])
        );
        readiness.set("database", Ok(()));
        assert_eq!(readiness.check(), Ok(()));
    }

    #[test]
    fn never_ready_once_shutdown_has_begun() {
        let shutting_down = CancellationToken::new();
        let readiness = Readiness::new(shutting_down.clone());
        readiness.started();
        shutting_down.cancel();
        assert_eq!(
            readiness.check(),
            Err(vec![(PROCESS, "shutting down".to_owned())])
        );
    }
}
