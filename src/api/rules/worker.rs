//! Takes runs of rules on, step by step: each is a unit of work that changes a few bookings and moves the run. What is
//! interrupted goes on where it was; every replica may take the next step.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::preview::{Bounds, Walk};
use crate::clock::{Clock, Ids};
use crate::domain::rule::Ruleset;
use crate::events::Cause;
use crate::store::rule_runs::{self, Looked, Run, State};
use crate::store::transactions::{Act, Filter};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::handles::JobMetrics;
use crate::telemetry::spans;

/// How often to look for a run of which nobody has told: of another replica, or from before a restart.
const POLL: Duration = Duration::from_secs(5);
/// How far a step goes: what it changes holds the user, and on SQLite all who write.
const STEP: Bounds = Bounds {
    read: 500,
    found: 25,
    asked: Duration::from_millis(250),
};

/// What takes runs on.
#[derive(Debug, Clone)]
pub struct Worker {
    store: Store,
    clock: Clock,
    ids: Ids,
    woken: Arc<Notify>,
}

impl Worker {
    /// A worker that is woken when there is something to do.
    #[must_use]
    pub fn new(store: Store, clock: Clock, ids: Ids, woken: Arc<Notify>) -> Self {
        Self {
            store,
            clock,
            ids,
            woken,
        }
    }

    /// Takes runs on until it is told to stop.
    ///
    /// # Errors
    /// None: what cannot be done now is done later.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let job = JobMetrics::new("rules");
        while !stop.is_cancelled() {
            match self.step().await {
                Ok(true) => continue,
                Ok(false) => job.succeeded(self.clock.now()),
                Err(error) => {
                    job.failed();
                    tracing::warn!(%error, "rules: will try again");
                }
            }
            let pause = timeout(POLL, self.woken.notified());
            tokio::select! {
                _ = pause => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Takes the run that has waited longest one step on; says whether there was one.
    ///
    /// # Errors
    /// The database cannot do it now.
    pub async fn step(&self) -> Result<bool, StoreError> {
        let Some(run) = rule_runs::next(self.store.reads()).await? else {
            return Ok(false);
        };
        let stepped = match run.state {
            State::Running => self.go_on(run.clone()).await,
            State::Undoing => self.undo(run.clone()).await,
            _ => {
                let forgotten = run.clone();
                let unit = move |tx| async move { rule_runs::forget_step(&tx, &forgotten).await };
                self.store.write(unit).await
            }
        };
        let Err(StoreError::Defect(cause)) = stepped else {
            return stepped.map(|()| true);
        };
        tracing::error!(run_id = %run.id, cause, "a run of rules cannot go on");
        let now = self.clock.now();
        let unit = move |tx| async move { rule_runs::fail(&tx, &run, now).await };
        self.store.write(unit).await.map(|()| true)
    }

    async fn go_on(&self, run: Run) -> Result<(), StoreError> {
        let rules = run.rules.clone();
        let ready = tokio::task::spawn_blocking(|| Ruleset::new(rules)).await;
        let ready = ready.map_err(StoreError::defect)?;
        let rules = Arc::new(ready.map_err(StoreError::defect)?);
        let filter = Filter {
            from: run.from,
            to: run.to,
            ..Filter::default()
        };
        let mut walk = Walk {
            rules: Arc::clone(&rules),
            mode: run.mode,
            examined: 0,
            asked: Duration::ZERO,
            cursor: run.cursor,
            is_last: false,
        };
        let found = walk.step(&self.store, run.user_id, &filter, &STEP).await?;
        let looked = Looked {
            examined: i64::try_from(walk.examined).map_err(StoreError::defect)?,
            changing: found
                .iter()
                .map(|(transaction, ..)| transaction.id)
                .collect(),
            cursor: walk.cursor,
            is_last: walk.is_last,
        };
        let act = self.acts(&run);
        let unit = move |tx| async move { rule_runs::step(&tx, &run, &rules, looked, act).await };
        self.store.write(unit).await.map(drop)
    }

    async fn undo(&self, run: Run) -> Result<(), StoreError> {
        let act = self.acts(&run);
        let unit = move |tx| async move { rule_runs::undo_step(&tx, &run, act).await };
        self.store.write(unit).await.map(drop)
    }

    /// What is done for a run: all of it is one matter.
    fn acts(&self, run: &Run) -> impl FnMut() -> Act + Send + use<> {
        let (ids, now, user_id, run_id) = (self.ids.clone(), self.clock.now(), run.user_id, run.id);
        move || Act {
            user_id,
            now,
            event_id: ids.v4(),
            cause: Cause::first(run_id, spans::begun(&ids)),
        }
    }
}
