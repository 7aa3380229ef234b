//! Books what is due, again and again: recurring bookings whose day has begun where their user is. Every replica does
//! it; the rows say what is done ([`crate::store::recurring::due`]).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::events::Cause;
use crate::store::recurring::due::{self, Due, Step};
use crate::store::transactions::Act;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::handles::{JobMetrics, RecurringMetrics};
use crate::telemetry::spans;

/// How often it is looked for what has become due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How soon it is looked again when something is left.
const LEFT_AFTER: Duration = Duration::from_secs(1);

/// Rules that are asked for at a time.
const PAGE: u32 = 100;

/// Days of one rule that are booked before it is another one's turn, however much it has to catch up on.
const IN_A_ROW_MAX: u32 = 32;

/// Faults of the database after which a round ends: it is away.
const FAULTS_MAX: u32 = 5;

/// What a round has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Days that were booked.
    pub booked: u64,
    /// Rules that were paused, since a day could not be booked.
    pub refused: u64,
    /// Whether something is due still.
    pub left: bool,
    faults: u32,
}

/// The bookkeeper of what comes again.
#[derive(Debug, Clone)]
pub struct DueBookings {
    store: Store,
    clock: Clock,
    ids: Ids,
    metrics: RecurringMetrics,
}

impl DueBookings {
    /// Over this database.
    #[must_use]
    pub fn new(store: Store, clock: Clock, ids: Ids) -> Self {
        Self {
            store,
            clock,
            ids,
            metrics: RecurringMetrics::new(),
        }
    }

    /// Goes on until the process is told to stop: each day is booked whole or not at all.
    ///
    /// # Errors
    /// None: what the database cannot do now is tried again.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let job = JobMetrics::new("recurring");
        let mut due = self.store.signals().due();
        while !stop.is_cancelled() {
            due.mark_unchanged();
            let wait = match self.round(&stop).await {
                Ok(round) if round.left => LEFT_AFTER,
                Ok(_) => {
                    job.succeeded(self.clock.now());
                    LOOK_EVERY
                }
                Err(error) => {
                    job.failed();
                    tracing::warn!(%error, "recurring bookings: will try again");
                    LEFT_AFTER
                }
            };
            let woken = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = due.changed() => {}
                }
            };
            let _ = timeout(wait, woken).await;
        }
        Ok(())
    }

    /// Books what is due, each rule's days in their order; of what there is much, the rest is left for the next round.
    ///
    /// # Errors
    /// The database cannot do it now. What was booked stays booked.
    pub async fn round(&self, stop: &CancellationToken) -> Result<Round, StoreError> {
        let now = self.clock.now();
        let mut round = Round::default();
        let mut after: Option<Due> = None;
        loop {
            let page = due::of_all_users(self.store.reads(), now, after, PAGE).await?;
            if after.is_none() {
                let oldest = page.first().map_or(TimeDelta::zero(), |it| now - it.at);
                self.metrics.lag(oldest);
            }
            for rule in &page {
                if stop.is_cancelled() {
                    round.left = true;
                    return Ok(round);
                }
                if let Err(error) = self.catch_up(*rule, &mut round).await {
                    // It may be that rule alone: the others have their turn.
                    round.faults += 1;
                    if round.faults >= FAULTS_MAX {
                        return Err(error);
                    }
                }
            }
            after = page.last().copied();
            if page.len() < PAGE as usize {
                break;
            }
        }
        if !round.left {
            self.metrics.lag(TimeDelta::zero());
        }
        Ok(round)
    }

    async fn catch_up(&self, rule: Due, round: &mut Round) -> Result<(), StoreError> {
        for _ in 0..IN_A_ROW_MAX {
            match self.book_next(rule).await {
                Ok(Step::Booked) => {
                    round.booked += 1;
                    self.metrics.booked();
                }
                Ok(Step::Done) => return Ok(()),
                Ok(Step::Taken) => {
                    round.left = true;
                    return Ok(());
                }
                Err(StoreError::Busy(cause)) => {
                    round.left = true;
                    return Err(StoreError::Busy(cause));
                }
                Err(error) => return self.give_up(rule, &error, round).await,
            }
        }
        round.left = true;
        Ok(())
    }

    async fn book_next(&self, rule: Due) -> Result<Step, StoreError> {
        let act = self.act(rule, self.clock.now());
        let transaction_id = self.ids.v7(act.now);
        self.store
            .write(move |tx| async move { due::book_next(&tx, act, rule.id, transaction_id).await })
            .await
    }

    /// It will not work however often it is tried: it is the user's turn.
    async fn give_up(
        &self,
        rule: Due,
        error: &StoreError,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let reason = match error {
            StoreError::Invalid { detail, .. } => detail.clone(),
            _ => "it could not be booked, and that is our fault: it has been logged".to_owned(),
        };
        let act = self.act(rule, self.clock.now());
        let told = reason.clone();
        let unit = self
            .store
            .write(move |tx| async move { due::fail(&tx, act, rule, told).await });
        if unit.await? {
            round.refused += 1;
            self.metrics.refused();
            let (recurring_id, user_id) = (rule.id, rule.user_id);
            match error {
                StoreError::Invalid { .. } => {
                    tracing::info!(%recurring_id, %user_id, reason, "a recurring booking is paused");
                }
                _ => {
                    tracing::error!(%recurring_id, %user_id, %error, "a recurring booking is paused");
                }
            }
        } else {
            round.left = true;
        }
        Ok(())
    }

    /// A chain of events begins here: nobody has asked for it.
    fn act(&self, rule: Due, now: DateTime<Utc>) -> Act {
        Act {
            user_id: rule.user_id,
            now,
            event_id: self.ids.v4(),
            cause: Cause::first(self.ids.v4(), spans::begun(&self.ids)),
        }
    }
}
