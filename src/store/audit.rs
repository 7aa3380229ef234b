//! The recount: whether what is kept still is what the bookings say, user by user.
//!
//! A balance moves in the unit of work of its booking, so it must always be right. The read models
//! follow behind the log: a user with bookings that the projector has not handled yet cannot be
//! told, and is `pending`: no difference, and nothing of theirs is repaired, because what is still
//! on its way would be added to the repaired sums once more. So a recount is for a server that is
//! stopped or quiet; on a busy one it is no less right, only with more users pending.
//!
//! All of a page of users is compared in one snapshot. A repair counts again in its own unit of
//! work, one for each user, and rests on that count alone.

mod budget_sums;
mod deliveries;
mod finding;
mod pending;
mod rebuild;
mod recount;
mod recurring;
mod references;
mod repair;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::sql::{all, count};
use super::{Store, StoreError};
use deliveries::Deliveries;
pub use finding::{Finding, Misfit, Thing};
use pending::Pending;
use rebuild::Known;
use recount::Recount;

/// Users that are compared in one snapshot: a snapshot holds back the checkpoint of the database.
const PAGE: i64 = 50;

/// Findings and pending users that a report lists; all are counted.
const LISTED_MAX: usize = 1_000;

/// Compares what is kept with what the bookings say.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    store: &'a Store,
}

/// How far a recount has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Users that are done.
    pub users_done: u64,
    /// Users that there were when it began, or are done by now when that is more.
    pub users_total: u64,
}

/// What a recount has looked at, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Users looked at.
    pub users: u64,
    /// Wallets whose balances were recounted.
    pub wallets: u64,
    /// Goals whose contributions were added up.
    pub goals: u64,
    /// Cells kept of the monthly totals that were recounted.
    pub monthly_cells: u64,
    /// Cells kept of the days' spending that were recounted.
    pub daily_cells: u64,
    /// Periods kept of budgets that were recounted.
    pub budget_periods: u64,
    /// Crossings whose alerts were looked for.
    pub crossings: u64,
    /// Words kept of bookings that were compared.
    pub words: u64,
    /// Alerts that were to be sent, of which was looked at what became of them.
    pub deliveries: u64,
    /// Users of whom events are still on their way: not everything of theirs could be told.
    pub pending_users: u64,
    /// The first of them.
    pub pending: Vec<Uuid>,
    /// Differences.
    pub found: u64,
    /// The first of them, those that were repaired included.
    pub findings: Vec<Finding>,
    /// Differences that were repaired.
    pub repaired: u64,
}

impl Report {
    /// Whether nothing was found, whatever was repaired. Says nothing of pending users.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found == 0
    }

    /// Whether everything of everybody could be told.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.pending_users == 0
    }

    /// Differences that are still there.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.found - self.repaired
    }

    fn add(&mut self, user_id: Uuid, recount: Recount, repaired: u64) {
        self.users += 1;
        self.wallets += recount.wallets;
        self.goals += recount.goals;
        self.monthly_cells += recount.monthly_cells;
        self.daily_cells += recount.daily_cells;
        self.budget_periods += recount.budget_periods;
        self.crossings += recount.crossings;
        self.words += recount.words;
        self.deliveries += recount.deliveries;
        if recount.is_pending() {
            self.pending_users += 1;
            if self.pending.len() < LISTED_MAX {
                self.pending.push(user_id);
            }
        }
        self.found += recount.findings.len() as u64;
        let room = LISTED_MAX - self.findings.len();
        self.findings
            .extend(recount.findings.into_iter().take(room));
        self.repaired += repaired;
    }
}

impl<'a> Audit<'a> {
    /// A recount of this database.
    #[must_use]
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Recounts everybody; with `repair`, puts the recounted sums in the place of those that differ.
    /// What was repaired before an error stays repaired.
    ///
    /// # Errors
    /// The database cannot be read or written now; a row that the code cannot read.
    pub async fn run(
        &self,
        repair: bool,
        now: DateTime<Utc>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Report, StoreError> {
        let users_total = users_total(self.store.reads()).await?;
        let mut report = Report::default();
        let mut after = None;
        loop {
            let snapshot = self.store.reads().snapshot().await?;
            let users = users_after(&snapshot, after).await?;
            let pending = Pending::of(&snapshot, &users).await?;
            let deliveries = Deliveries::of(&snapshot, &users, now).await?;
            for user_id in &users {
                let mut recount = Recount::of(&snapshot, *user_id, &pending, &deliveries).await?;
                let mut repaired = 0;
                if repair && recount.can_repair() {
                    (recount, repaired) = self.repair(*user_id, now).await?;
                }
                report.add(*user_id, recount, repaired);
                let users_total = users_total.max(report.users);
                progress(Progress {
                    users_done: report.users,
                    users_total,
                });
            }
            drop(snapshot);
            let Some(last) = users.last() else {
                return Ok(report);
            };
            after = Some(*last);
        }
    }

    /// Counts everybody's sums anew from the bookings, whatever stood there, and notes that the
    /// events of those bookings are done with: those on their way too. Each user is one unit of work,
    /// so it may be stopped anywhere and begun again, beside running roles.
    ///
    /// # Errors
    /// The database cannot be read or written now.
    pub async fn rebuild(
        &self,
        now: DateTime<Utc>,
        mut progress: impl FnMut(Progress),
    ) -> Result<u64, StoreError> {
        let users_total = users_total(self.store.reads()).await?;
        let (mut users_done, mut after) = (0, None);
        loop {
            let users = users_after(self.store.reads(), after).await?;
            let known = Known::of(self.store.reads(), &users).await?;
            for user_id in &users {
                let known = known.of_user(*user_id);
                let user_id = *user_id;
                self.store
                    .write(move |tx| async move { rebuild::user(&tx, user_id, known, now).await })
                    .await?;
                users_done += 1;
                progress(Progress {
                    users_done,
                    users_total: users_total.max(users_done),
                });
            }
            let Some(last) = users.last() else {
                return Ok(users_done);
            };
            after = Some(*last);
        }
    }

    async fn repair(
        &self,
        user_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(Recount, u64), StoreError> {
        self.store
            .write(move |tx| async move { repair::user(&tx, user_id, now).await })
            .await
    }
}

async fn users_total(db: &impl ConnectionTrait) -> Result<u64, StoreError> {
    count(db, "SELECT COUNT(*) FROM users", []).await
}

async fn users_after(
    db: &impl ConnectionTrait,
    after: Option<Uuid>,
) -> Result<Vec<Uuid>, StoreError> {
    let text = "SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = all(db, text, [after.unwrap_or_default().into(), PAGE.into()]).await?;
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}
