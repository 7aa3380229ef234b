//! The life of the process: background tasks, readiness, and an end in order.
//!
//! Shutdown goes in steps. At the first signal [`shutting_down`](Lifecycle::shutting_down) is
//! cancelled: readiness fails while requests are still served, so that load balancers turn away
//! first. After a pause [`draining`](Lifecycle::draining) is cancelled: roles take no new work and
//! finish what they hold. A second signal, or the drain deadline, cancels
//! [`stop_now`](Lifecycle::stop_now): what still runs has a moment to let go, then is dropped. The
//! composition root makes one of these before anything else and waits on it last.

pub mod open_files;
mod readiness;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use readiness::{PROCESS, Readiness};

/// How long a task has, once told to stop now, to let go of what it holds before it is dropped.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Why the process should end with a failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleError {
    /// A background task failed, panicked, or ended before the process was draining.
    #[error("background task `{name}` ended: {cause}")]
    TaskEnded {
        /// The name the task was spawned under.
        name: &'static str,
        /// The error with its causes, the panic's message, or that it ended early.
        cause: String,
    },
    /// Tasks were still running at the drain deadline, or would not stop when told to at once.
    #[error("background tasks still running when told to stop: {}", names.join(", "))]
    StillRunning {
        /// The names of those tasks, in the order they were spawned.
        names: Vec<&'static str>,
    },
}

/// Runs background tasks and ends the process in order. Clones share it.
#[derive(Clone, Debug)]
pub struct Lifecycle(Arc<State>);

#[derive(Debug)]
struct State {
    drain_pause: Duration,
    drain_deadline: Duration,
    shutting_down: CancellationToken,
    draining: CancellationToken,
    stop_now: CancellationToken,
    stop_requests: AtomicU64,
    next_task: AtomicU64,
    running: watch::Sender<BTreeMap<u64, Running>>,
    first_failure: OnceLock<LifecycleError>,
    readiness: Readiness,
}

#[derive(Debug)]
struct Running {
    name: &'static str,
    abort: AbortHandle,
}

impl Lifecycle {
    /// A process that waits `drain_pause` between failing readiness and draining, and drains for at
    /// most `drain_deadline` after that. Both may be zero.
    #[must_use]
    pub fn new(drain_pause: Duration, drain_deadline: Duration) -> Self {
        let shutting_down = CancellationToken::new();
        Self(Arc::new(State {
            drain_pause,
            drain_deadline,
            readiness: Readiness::new(shutting_down.clone()),
            shutting_down,
            draining: CancellationToken::new(),
            stop_now: CancellationToken::new(),
            stop_requests: AtomicU64::new(0),
            next_task: AtomicU64::new(0),
            running: watch::Sender::new(BTreeMap::new()),
            first_failure: OnceLock::new(),
        }))
    }

    /// Cancelled at the first signal, at once: readiness fails, but work goes on.
    #[must_use]
    pub fn shutting_down(&self) -> CancellationToken {
        self.0.shutting_down.clone()
    }

    /// Cancelled after the pause: take no new work, finish what is begun, then end.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    /// Cancelled at the second signal, at the drain deadline, and once everything has ended: drop
    /// what is begun.
    #[must_use]
    pub fn stop_now(&self) -> CancellationToken {
        self.0.stop_now.clone()
    }

    /// The process's readiness, which fails as soon as shutdown begins.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.0.readiness.clone()
    }

    /// Runs `task` in the background until it ends by itself after [`draining`](Self::draining) is
    /// cancelled. If it fails or panics, or ends any earlier, the process shuts down with a failure
    /// that names it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let id = self.0.next_task.fetch_add(1, Ordering::Relaxed);
        let work = tokio::spawn(task);
        let abort = work.abort_handle();
        self.0.running.send_modify(|running| {
            running.insert(id, Running { name, abort });
        });
        let lifecycle = self.clone();
        tokio::spawn(async move {
            lifecycle.judge(name, work.await);
            // Last: whoever waits for the tasks to end must see the verdict.
            lifecycle.0.running.send_modify(|running| {
                running.remove(&id);
            });
        });
    }

    /// Asks for shutdown, as a signal does: the first time it begins, from the second time on the
    /// process stops now. `reason` is for the log.
    pub fn trigger(&self, reason: &str) {
        if self.0.stop_requests.fetch_add(1, Ordering::Relaxed) == 0 {
            self.begin_shutdown(reason);
        } else {
            tracing::warn!(reason, "asked again to shut down: stopping now");
            // First: a task that ends because it is told to stop now has not ended early.
            self.0.draining.cancel();
            self.0.stop_now.cancel();
        }
    }

    /// Shuts down on SIGTERM and SIGINT from now on, and stops now on the second of them.
    ///
    /// # Errors
    ///
    /// If the handlers cannot be installed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn handle_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let lifecycle = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => lifecycle.trigger("SIGTERM"),
                    _ = interrupt.recv() => lifecycle.trigger("SIGINT"),
                    () = lifecycle.0.stop_now.cancelled() => break,
                }
            }
        });
        Ok(())
    }

    /// Waits until shutdown is asked for, then sees it through: the pause, the drain, the end of
    /// every task. Takes at most the pause, the drain deadline and a second from the first signal
    /// on.
    ///
    /// # Errors
    ///
    /// [`LifecycleError::TaskEnded`] for the first task whose end was a failure; otherwise
    /// [`LifecycleError::StillRunning`] if tasks had to be cut off.
    pub async fn run_until_stopped(&self) -> Result<(), LifecycleError> {
        let state = &self.0;
        state.shutting_down.cancelled().await;
        tokio::select! {
            () = sleep(state.drain_pause) => {}
            () = state.stop_now.cancelled() => {}
        }
        tracing::info!("draining");
        state.draining.cancel();
        let drained = self.drain().await;
        state.stop_now.cancel();
        tracing::info!("stopped");
        state.first_failure.get().cloned().map_or(drained, Err)
    }

    async fn drain(&self) -> Result<(), LifecycleError> {
        let past_deadline = tokio::select! {
            biased;
            () = self.all_ended() => return Ok(()),
            () = self.0.stop_now.cancelled() => Vec::new(),
            () = sleep(self.0.drain_deadline) => self.names_running(),
        };
        self.0.stop_now.cancel();
        let stopped_in_time = timeout(STOP_GRACE, self.all_ended()).await.is_ok();
        let names = match (past_deadline.is_empty(), stopped_in_time) {
            (true, true) => return Ok(()),
            (true, false) => self.names_running(),
            (false, _) => past_deadline,
        };
        tracing::error!(
            tasks = names.join(", "),
            "background tasks had to be cut off"
        );
        self.abort_running();
        Err(LifecycleError::StillRunning { names })
    }

    async fn all_ended(&self) {
        // The sender lives in `self`, so the only end of this wait is an empty map.
        let _ = self
            .0
            .running
            .subscribe()
            .wait_for(BTreeMap::is_empty)
            .await;
    }

    fn names_running(&self) -> Vec<&'static str> {
        self.0
            .running
            .borrow()
            .values()
            .map(|task| task.name)
            .collect()
    }

    fn abort_running(&self) {
        for task in self.0.running.borrow().values() {
            task.abort.abort();
        }
    }

    fn begin_shutdown(&self, reason: &str) {
        if !self.0.shutting_down.is_cancelled() {
            tracing::info!(reason, "shutting down");
            self.0.shutting_down.cancel();
        }
    }

    /// Decides whether the end of a task is one the process should fail for.
    fn judge(&self, name: &'static str, end: Result<anyhow::Result<()>, JoinError>) {
        let cause = match end {
            Ok(Err(error)) => format!("{error:#}"),
            Ok(Ok(())) if !self.0.draining.is_cancelled() => {
                "it finished before the process was draining".to_owned()
            }
            Ok(Ok(())) => return,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => format!("it panicked: {}", panic_message(panic.as_ref())),
                // Cut off past the deadline, which is reported there.
                Err(_aborted) => return,
            },
        };
        let failure = LifecycleError::TaskEnded { name, cause };
        tracing::error!(task = name, "{failure}");
        // Only the first failure is reported: those after it are most often its consequence.
        let _ = self.0.first_failure.set(failure);
        self.begin_shutdown("a background task ended");
    }
}

/// What somebody panicked with.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
