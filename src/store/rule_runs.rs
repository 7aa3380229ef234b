//! Runs of rules over what was booked before: a step at a time, each a unit of work, so that a run that is
//! interrupted goes on where it was. What a run changes is noted with the change, and can be undone.
//!
//! A step holds the user, as whoever changes a booking does: of two replicas with the same run the second finds
//! that it has moved, and does nothing.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::entities::{rule_changes, rule_runs};
use super::rules::{amendment, apply, labels};
use super::sql::{all, count, execute, one, row_id};
use super::transactions::{self, Act, ByDate};
use super::users::check_version;
use super::{Page, PageRequest, StoreError, Tx, users};
use crate::domain::rule::{Labels, Mode, Rule, Ruleset};

/// Runs of one user that are kept; the oldest that are through go before a new one begins.
const RUNS_KEPT: i64 = 20;
/// Bookings that a step undoes at the most.
const UNDONE_PER_STEP: i64 = 25;
/// Notes that a step removes at the most.
const FORGOTTEN_PER_STEP: i64 = 500;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RuleRunState)]
pub enum State {
    /// It goes on.
    Running,
    /// It is through, and can be undone.
    Done,
    /// It is being undone.
    Undoing,
    /// It is undone.
    Undone,
    /// It could not go on, and can be undone.
    Failed,
    /// It is not shown any more, and goes away.
    #[serde(skip)]
    Forgotten,
}

impl State {
    /// As it is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Failed => "failed",
            Self::Forgotten => "forgotten",
        }
    }

    fn read(word: &str) -> Result<Self, StoreError> {
        Ok(match word {
            "running" => Self::Running,
            "done" => Self::Done,
            "undoing" => Self::Undoing,
            "undone" => Self::Undone,
            "failed" => Self::Failed,
            "forgotten" => Self::Forgotten,
            _ => return Err(StoreError::defect(format!("a run is {word}"))),
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run's id.
    pub id: Uuid,
    /// Whose bookings.
    pub user_id: Uuid,
    /// Where it is.
    pub state: State,
    /// The rules as they were when it began.
    pub rules: Vec<Rule>,
    /// The one that it is about; none: all that were enabled.
    pub rule_id: Option<Uuid>,
    /// What is done with what is there already.
    pub mode: Mode,
    /// Bookings on or after this day.
    pub from: Option<NaiveDate>,
    /// Bookings on or before this day.
    pub to: Option<NaiveDate>,
    /// The last booking that was looked at.
    pub cursor: Option<ByDate>,
    /// Counts what moves it.
    pub steps: i64,
    /// Bookings that were looked at.
    pub examined: i64,
    /// Bookings that were changed.
    pub changed: i64,
    /// Bookings that could not be changed.
    pub skipped: i64,
    /// Bookings that have again what they had.
    pub restored: i64,
    /// Bookings that were changed or removed since, and left alone when it was undone.
    pub kept: i64,
    /// When it was through.
    pub finished_at: Option<DateTime<Utc>>,
    /// Counts changes by people.
    pub version: i64,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
}

impl Run {
    /// One that is about to begin, over all bookings.
    #[must_use]
    pub const fn new(
        id: Uuid,
        user_id: Uuid,
        rules: Vec<Rule>,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            user_id,
            state: State::Running,
            rules,
            rule_id: None,
            mode,
            from: None,
            to: None,
            cursor: None,
            steps: 0,
            examined: 0,
            changed: 0,
            skipped: 0,
            restored: 0,
            kept: 0,
            finished_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

impl TryFrom<rule_runs::Model> for Run {
    type Error = StoreError;

    fn try_from(row: rule_runs::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            state: State::read(&row.state)?,
            rules: serde_json::from_str(&row.rules).map_err(StoreError::defect)?,
            rule_id: row.rule_id,
            mode: if row.overwrite {
                Mode::Overwrite
            } else {
                Mode::Fill
            },
            from: row.from_date,
            to: row.to_date,
            cursor: row.cursor_date.zip(row.cursor_id),
            steps: row.steps,
            examined: row.examined,
            changed: row.changed,
            skipped: row.skipped,
            restored: row.restored,
            kept: row.kept,
            finished_at: row.finished_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Begins a run.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn begin(tx: &Tx, run: &Run) -> Result<(), StoreError> {
    if !users::hold(tx, run.user_id).await? {
        return Err(StoreError::NotFound("user"));
    }
    let text = "SELECT COUNT(*) FROM rule_runs WHERE user_id = $1 AND state <> 'forgotten'";
    let there = count(&**tx, text, [run.user_id.into()]).await?;
    let there = i64::try_from(there).map_err(StoreError::defect)?;
    let text = "UPDATE rule_runs SET state = 'forgotten', updated_at = $2, steps = steps + 1 WHERE id IN ( \
         SELECT id FROM rule_runs WHERE user_id = $1 AND state IN ('done', 'undone', 'failed') ORDER BY id LIMIT $3)";
    let too_many = (there - RUNS_KEPT + 1).max(0);
    let values = [run.user_id.into(), run.created_at.into(), too_many.into()];
    let gone = execute(&**tx, text, values).await?.rows_affected();
    if i64::try_from(gone).map_err(StoreError::defect)? < too_many {
        let detail = format!("{RUNS_KEPT} runs are going on, no more fit: wait for one");
        return Err(StoreError::invalid("overwrite", detail));
    }
    let rules = serde_json::to_string(&run.rules).map_err(StoreError::defect)?;
    execute(
        &**tx,
        "INSERT INTO rule_runs (id, user_id, state, rules, rule_id, overwrite, from_date, to_date, steps, examined, changed, \
         skipped, restored, kept, version, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, 0, 0, 0, $9, $10, $10)",
        [
            run.id.into(),
            run.user_id.into(),
            run.state.as_str().into(),
            rules.into(),
            run.rule_id.into(),
            (run.mode == Mode::Overwrite).into(),
            run.from.into(),
            run.to.into(),
            run.version.into(),
            run.created_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The user's run of this id.
///
/// # Errors
/// There is none.
pub async fn get(db: &impl ConnectionTrait, user_id: Uuid, id: Uuid) -> Result<Run, StoreError> {
    let text = "SELECT * FROM rule_runs WHERE id = $1 AND user_id = $2 AND state <> 'forgotten'";
    let row = one(db, text, [id.into(), user_id.into()]).await?;
    let row = row.ok_or(StoreError::NotFound("run"))?;
    rule_runs::Model::from_query_result(&row, "")?.try_into()
}

/// The user's runs, newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<Run, Uuid>, StoreError> {
    let text = "SELECT * FROM rule_runs WHERE user_id = $1 AND id < $2 AND state <> 'forgotten' \
         ORDER BY id DESC LIMIT $3";
    let before = page.after.unwrap_or(Uuid::max());
    let fetch = i64::try_from(page.fetch()).map_err(StoreError::defect)?;
    let mut runs: Vec<Run> = Vec::new();
    for row in all(db, text, [user_id.into(), before.into(), fetch.into()]).await? {
        runs.push(rule_runs::Model::from_query_result(&row, "")?.try_into()?);
    }
    Ok(Page::cut(runs, page.limit, |run| run.id))
}

/// Lets a run be undone: one that goes on ends where it is. One that is undone, or is being undone, stays so.
///
/// # Errors
/// No such run, a stale version.
pub async fn undo(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
    now: DateTime<Utc>,
) -> Result<Run, StoreError> {
    users::hold(tx, user_id).await?;
    let mut run = get(&**tx, user_id, id).await?;
    check_version(expected, run.version)?;
    if !matches!(run.state, State::Undoing | State::Undone) {
        run.state = State::Undoing;
        run.version += 1;
        run.finished_at = None;
        keep(tx, &mut run, now).await?;
    }
    Ok(run)
}

/// Forgets a run: it ends where it is, what it has changed stays and cannot be undone any more.
///
/// # Errors
/// No such run, a stale version.
pub async fn forget(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let mut run = get(&**tx, user_id, id).await?;
    check_version(expected, run.version)?;
    run.state = State::Forgotten;
    keep(tx, &mut run, now).await
}

/// Writes down where a run is.
async fn keep(tx: &Tx, run: &mut Run, now: DateTime<Utc>) -> Result<(), StoreError> {
    run.steps += 1;
    run.updated_at = now;
    execute(
        &**tx,
        "UPDATE rule_runs SET state = $3, cursor_date = $4, cursor_id = $5, examined = $6, changed = $7, skipped = $8, \
         restored = $9, kept = $10, finished_at = $11, version = $12, updated_at = $13, steps = $14 WHERE id = $1 AND user_id = $2",
        [
            run.id.into(),
            run.user_id.into(),
            run.state.as_str().into(),
            run.cursor.map(|(date, _)| date).into(),
            run.cursor.map(|(_, id)| id).into(),
            run.examined.into(),
            run.changed.into(),
            run.skipped.into(),
            run.restored.into(),
            run.kept.into(),
            run.finished_at.into(),
            run.version.into(),
            run.updated_at.into(),
            run.steps.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The run that has waited longest for its next step, across users: for the task that takes them on. Of one user
/// the oldest comes first.
///
/// # Errors
/// The database cannot be read.
pub async fn next(db: &impl ConnectionTrait) -> Result<Option<Run>, StoreError> {
    let text = "SELECT r.* FROM rule_runs r WHERE r.state IN ('running', 'undoing', 'forgotten') AND NOT EXISTS ( \
           SELECT 1 FROM rule_runs o WHERE o.user_id = r.user_id AND o.id < r.id AND o.state IN ('running', 'undoing')) \
         ORDER BY r.updated_at LIMIT 1";
    let row = one(db, text, []).await?;
    row.map(|row| rule_runs::Model::from_query_result(&row, "")?.try_into())
        .transpose()
}

/// Bookings that a step has looked at.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// How many.
    pub examined: i64,
    /// Those that would change, as they were when it looked.
    pub changing: Vec<Uuid>,
    /// The last one.
    pub cursor: Option<ByDate>,
    /// None is left.
    pub is_last: bool,
}

/// The run, if it is where it was; the user is held then.
async fn held(tx: &Tx, run: &Run) -> Result<Option<Run>, StoreError> {
    if !users::hold(tx, run.user_id).await? {
        return Ok(None);
    }
    let text = "SELECT * FROM rule_runs WHERE id = $1 AND user_id = $2 AND steps = $3";
    let values = [run.id.into(), run.user_id.into(), run.steps.into()];
    let row = one(&**tx, text, values).await?;
    row.map(|row| rule_runs::Model::from_query_result(&row, "")?.try_into())
        .transpose()
}

/// Changes what a step has found, and notes what it was; none when the run is not where it was.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn step(
    tx: &Tx,
    run: &Run,
    rules: &Ruleset,
    looked: Looked,
    mut act: impl FnMut() -> Act,
) -> Result<Option<Run>, StoreError> {
    let Some(mut run) = held(tx, run).await? else {
        return Ok(None);
    };
    for id in looked.changing {
        match change(tx, &run, rules, id, act()).await {
            Ok(true) => run.changed += 1,
            Ok(false) => {}
            Err(error) if does_not_fit(&error) => run.skipped += 1,
            Err(error) => return Err(error),
        }
    }
    run.examined += looked.examined;
    run.cursor = looked.cursor.or(run.cursor);
    let now = act().now;
    if looked.is_last {
        run.state = State::Done;
        run.finished_at = Some(now);
    }
    keep(tx, &mut run, now).await?;
    Ok(Some(run))
}

/// What the booking, or what is there by now, does not allow: nothing was written of it.
fn does_not_fit(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Invalid { .. } | StoreError::NotFound(_) | StoreError::Stale { .. }
    )
}

/// Says whether it has changed the booking.
async fn change(
    tx: &Tx,
    run: &Run,
    rules: &Ruleset,
    id: Uuid,
    act: Act,
) -> Result<bool, StoreError> {
    let before = transactions::get(&**tx, run.user_id, id).await?;
    let had = labels(&before);
    let Some(made) = apply(rules, &before, &had, run.mode) else {
        return Ok(false);
    };
    let changed = amendment(made.labels);
    let (after, _) = transactions::amend(tx, act, id, Some(before.version), changed).await?;
    let had = serde_json::to_string(&had).map_err(StoreError::defect)?;
    // One that was moved to an earlier day meanwhile may come a second time.
    execute(
        &**tx,
        "INSERT INTO rule_changes (run_id, transaction_id, user_id, labels, version) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (run_id, transaction_id) DO UPDATE SET labels = excluded.labels, version = excluded.version",
        [
            run.id.into(),
            id.into(),
            run.user_id.into(),
            had.into(),
            after.version.into(),
        ],
    )
    .await?;
    Ok(true)
}

/// Takes some of what a run has changed back, but for what was changed since; none when the run is not where it
/// was.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn undo_step(
    tx: &Tx,
    run: &Run,
    mut act: impl FnMut() -> Act,
) -> Result<Option<Run>, StoreError> {
    let Some(mut run) = held(tx, run).await? else {
        return Ok(None);
    };
    let text = "SELECT * FROM rule_changes WHERE run_id = $1 AND user_id = $2 ORDER BY transaction_id LIMIT $3";
    let values = [run.id.into(), run.user_id.into(), UNDONE_PER_STEP.into()];
    let rows = all(&**tx, text, values).await?;
    for row in &rows {
        let noted = rule_changes::Model::from_query_result(row, "")?;
        let labels: Labels = serde_json::from_str(&noted.labels).map_err(StoreError::defect)?;
        let (id, version) = (noted.transaction_id, noted.version);
        match transactions::amend(tx, act(), id, Some(version), amendment(labels)).await {
            Ok(_) => run.restored += 1,
            Err(error) if does_not_fit(&error) => run.kept += 1,
            Err(error) => return Err(error),
        }
        let text =
            "DELETE FROM rule_changes WHERE run_id = $1 AND transaction_id = $2 AND user_id = $3";
        let values = [run.id.into(), id.into(), run.user_id.into()];
        execute(&**tx, text, values).await?;
    }
    let now = act().now;
    if i64::try_from(rows.len()).map_err(StoreError::defect)? < UNDONE_PER_STEP {
        run.state = State::Undone;
        run.finished_at = Some(now);
    }
    keep(tx, &mut run, now).await?;
    Ok(Some(run))
}

/// Removes some of what is kept of a run that is forgotten, and at last the run.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn forget_step(tx: &Tx, run: &Run) -> Result<(), StoreError> {
    let row_id = row_id(&**tx);
    let text = format!(
        "DELETE FROM rule_changes WHERE {row_id} IN ( \
         SELECT {row_id} FROM rule_changes WHERE run_id = $1 AND user_id = $2 LIMIT $3)"
    );
    let values = [run.id.into(), run.user_id.into(), FORGOTTEN_PER_STEP.into()];
    if execute(&**tx, text, values).await?.rows_affected() == 0 {
        let text = "DELETE FROM rule_runs WHERE id = $1 AND user_id = $2";
        execute(&**tx, text, [run.id.into(), run.user_id.into()]).await?;
    }
    Ok(())
}

/// Ends a run that cannot go on.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn fail(tx: &Tx, run: &Run, now: DateTime<Utc>) -> Result<(), StoreError> {
    let Some(mut run) = held(tx, run).await? else {
        return Ok(());
    };
    run.state = State::Failed;
    run.finished_at = Some(now);
    keep(tx, &mut run, now).await
}
