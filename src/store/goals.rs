//! Goals: what people save for. What is saved is the sum of contributions, or the balance of a wallet.
//!
//! That a goal is achieved is said once, in the unit of work that finds it so: of contributions here, of a
//! wallet's balance by the projector, which hears what moves it.

/// What was put aside for goals, or taken out again.
mod contributions;

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

pub use contributions::{
    Contribution, NewContribution, contribute, contribution, contributions, take_back,
};

use super::event_log::{self, LogPosition};
use super::given::Given;
use super::sql::{all, count, execute, one};
use super::transactions::Act;
use super::users::check_version;
use super::{Page, PageRequest, StoreError, Tx, users, wallets};
use crate::domain::goal::pace_days;
use crate::domain::money::{AmountText, Currency, Money};
use crate::domain::transaction::TransactionType;
use crate::events::catalogue::GoalAchieved;

/// Goals of one user at the most: each booking is held against all of them that follow a wallet.
const GOALS_MAX: u64 = 100;

/// A goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// The goal's id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// What it is for.
    pub name: String,
    /// How much it takes.
    pub target: Money,
    /// By when.
    pub target_date: Option<NaiveDate>,
    /// The wallet whose balance counts; none: contributions do.
    pub wallet_id: Option<Uuid>,
    /// What is there.
    pub saved: Money,
    /// When it was found to be reached.
    pub achieved_at: Option<DateTime<Utc>>,
    /// Counts changes by people, not contributions.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When people last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Goal {
    /// The currency of all that is saved.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.target.currency()
    }

    /// What is said when it is reached.
    #[must_use]
    pub fn achieved(&self, now: DateTime<Utc>) -> GoalAchieved {
        GoalAchieved {
            user_id: self.user_id,
            goal_id: self.id,
            name: self.name.clone(),
            target_amount: self.target.into(),
            currency: self.currency(),
            achieved_at: now,
        }
    }

    fn from_row(row: &QueryResult) -> Result<Self, StoreError> {
        let code: String = row.try_get("", "currency")?;
        let currency = Currency::parse(&code).map_err(StoreError::defect)?;
        Ok(Self {
            id: row.try_get("", "id")?,
            user_id: row.try_get("", "user_id")?,
            name: row.try_get("", "name")?,
            target: Money::new(row.try_get("", "target_minor")?, currency),
            target_date: row.try_get("", "target_date")?,
            wallet_id: row.try_get("", "wallet_id")?,
            saved: Money::new(row.try_get("", "saved_minor")?, currency),
            achieved_at: row.try_get("", "achieved_at")?,
            version: row.try_get("", "version")?,
            created_at: row.try_get("", "created_at")?,
            updated_at: row.try_get("", "updated_at")?,
        })
    }
}

const SELECT: &str = "SELECT g.id, g.user_id, g.name, g.target_minor, g.currency, g.target_date, g.wallet_id, \
     COALESCE(w.balance_minor, g.contributed_minor) AS saved_minor, g.achieved_at, g.version, g.created_at, \
     g.updated_at FROM goals g LEFT JOIN wallets w ON w.id = g.wallet_id AND w.user_id = g.user_id";

/// Adds a goal; one that is reached already is said to be.
///
/// # Errors
/// A wallet that is not the user's, or in another currency; one too many.
pub async fn create(
    tx: &Tx,
    act: Act,
    goal: &Goal,
) -> Result<(Goal, Option<LogPosition>), StoreError> {
    users::hold(tx, act.user_id).await?;
    let text = "SELECT COUNT(*) FROM goals WHERE user_id = $1";
    if count(&**tx, text, [act.user_id.into()]).await? >= GOALS_MAX {
        let detail = format!("you have {GOALS_MAX} goals, no more fit");
        return Err(StoreError::invalid("name", detail));
    }
    check_wallet(tx, goal).await?;
    execute(
        &**tx,
        "INSERT INTO goals (id, user_id, name, target_minor, currency, target_date, wallet_id, contributed_minor, \
         version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10)",
        [
            goal.id.into(),
            goal.user_id.into(),
            goal.name.clone().into(),
            goal.target.minor().into(),
            goal.currency().code().into(),
            goal.target_date.into(),
            goal.wallet_id.into(),
            goal.version.into(),
            goal.created_at.into(),
            goal.updated_at.into(),
        ],
    )
    .await?;
    settle(tx, act, goal.id).await
}

async fn check_wallet(tx: &Tx, goal: &Goal) -> Result<(), StoreError> {
    let Some(id) = goal.wallet_id else {
        return Ok(());
    };
    let wallet = match wallets::get(&**tx, goal.user_id, id).await {
        Err(StoreError::NotFound(_)) => {
            return Err(StoreError::invalid("wallet_id", "there is no such wallet"));
        }
        wallet => wallet?,
    };
    if wallet.currency() != goal.currency() {
        let detail = format!(
            "this wallet is in {}, the goal in {}",
            wallet.currency(),
            goal.currency()
        );
        return Err(StoreError::invalid("wallet_id", detail));
    }
    Ok(())
}

/// Says that the goal is achieved, if it is and was not said to be; gives the goal as it is then.
async fn settle(tx: &Tx, act: Act, id: Uuid) -> Result<(Goal, Option<LogPosition>), StoreError> {
    let mut goal = get(&**tx, act.user_id, id).await?;
    if goal.achieved_at.is_some() || goal.saved.minor() < goal.target.minor() {
        return Ok((goal, None));
    }
    mark_achieved(tx, act.user_id, id, act.now).await?;
    goal.achieved_at = Some(act.now);
    let event = act.event(id, goal.achieved(act.now));
    let position = event_log::append(tx, &[event]).await?;
    Ok((goal, position))
}

/// The same for the goals that a wallet's balance reaches, after people changed it without a booking.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn settle_of_wallet(
    tx: &Tx,
    user_id: Uuid,
    wallet_id: Uuid,
    mut act: impl FnMut() -> Act,
) -> Result<Option<LogPosition>, StoreError> {
    let text = "SELECT id FROM goals WHERE wallet_id = $1 AND user_id = $2 AND achieved_at IS NULL ORDER BY id";
    let mut last = None;
    for row in all(&**tx, text, [wallet_id.into(), user_id.into()]).await? {
        let (_, position) = settle(tx, act(), row.try_get_by_index(0)?).await?;
        last = position.or(last);
    }
    Ok(last)
}

/// Notes that a goal of a user who is held was achieved; whoever does says so in the same unit of work.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn mark_achieved(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let text = "UPDATE goals SET achieved_at = $3 WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, [id.into(), user_id.into(), now.into()]).await?;
    Ok(())
}

/// Goals of many users that the balances of their wallets reach and of which nobody has said so, across
/// users: for the projector.
///
/// # Errors
/// The database cannot be read.
pub async fn reached_by_wallets(
    db: &impl ConnectionTrait,
    user_ids: &[Uuid],
) -> Result<Vec<Goal>, StoreError> {
    let text = format!(
        "{SELECT} WHERE g.user_id IN (SELECT id FROM given) AND g.wallet_id IS NOT NULL \
         AND g.achieved_at IS NULL AND w.balance_minor >= g.target_minor ORDER BY g.id"
    );
    let given = Given::new(["id"], user_ids.iter().map(|id| [(*id).into()]));
    let rows = given.run(db, &text, []).await?;
    rows.iter().map(Goal::from_row).collect()
}

/// The user's goal of this id.
///
/// # Errors
/// There is none.
pub async fn get(db: &impl ConnectionTrait, user_id: Uuid, id: Uuid) -> Result<Goal, StoreError> {
    let text = format!("{SELECT} WHERE g.id = $1 AND g.user_id = $2");
    let row = one(db, text, [id.into(), user_id.into()]).await?;
    Goal::from_row(&row.ok_or(StoreError::NotFound("goal"))?)
}

/// The user's goals, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<Goal, Uuid>, StoreError> {
    let text = format!("{SELECT} WHERE g.user_id = $1 AND g.id > $2 ORDER BY g.id LIMIT $3");
    let after = page.after.unwrap_or_default();
    let fetch = i64::try_from(page.fetch()).map_err(StoreError::defect)?;
    let rows = all(db, text, [user_id.into(), after.into(), fetch.into()]).await?;
    let goals = rows.iter().map(Goal::from_row).collect::<Result<_, _>>()?;
    Ok(Page::cut(goals, page.limit, |goal| goal.id))
}

/// What may change of a goal; what is none stays, `Some(None)` removes.
#[derive(Debug, Clone, Default)]
pub struct GoalChange {
    /// The name.
    pub name: Option<String>,
    /// How much it takes, read in the goal's currency.
    pub target: Option<AmountText>,
    /// By when.
    pub target_date: Option<Option<NaiveDate>>,
    /// The wallet whose balance counts.
    pub wallet_id: Option<Option<Uuid>>,
}

/// Changes a goal. One that was achieved and takes more now than there is can be achieved again.
///
/// # Errors
/// No such goal, a stale version, an amount or a wallet that does not fit.
pub async fn change(
    tx: &Tx,
    act: Act,
    id: Uuid,
    expected: Option<i64>,
    change: GoalChange,
) -> Result<(Goal, Option<LogPosition>), StoreError> {
    users::hold(tx, act.user_id).await?;
    let before = get(&**tx, act.user_id, id).await?;
    check_version(expected, before.version)?;
    let mut goal = before.clone();
    if let Some(text) = change.target {
        goal.target = text
            .amount(goal.currency())
            .map_err(|error| StoreError::invalid("target_amount", error.to_string()))?;
    }
    goal.name = change.name.unwrap_or(goal.name);
    goal.target_date = change.target_date.unwrap_or(goal.target_date);
    goal.wallet_id = change.wallet_id.unwrap_or(goal.wallet_id);
    check_wallet(tx, &goal).await?;
    let takes_more = goal.target.minor() > before.target.minor();
    if takes_more && goal.target.minor() > goal.saved.minor() {
        goal.achieved_at = None;
    }
    let values: [Value; 9] = [
        id.into(),
        act.user_id.into(),
        goal.name.into(),
        goal.target.minor().into(),
        goal.target_date.into(),
        goal.wallet_id.into(),
        goal.achieved_at.into(),
        (goal.version + 1).into(),
        act.now.into(),
    ];
    execute(
        &**tx,
        "UPDATE goals SET name = $3, target_minor = $4, target_date = $5, wallet_id = $6, achieved_at = $7, \
         version = $8, updated_at = $9 WHERE id = $1 AND user_id = $2",
        values,
    )
    .await?;
    settle(tx, act, id).await
}

/// Removes a goal with its contributions.
///
/// # Errors
/// No such goal, a stale version.
pub async fn delete(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let goal = get(&**tx, user_id, id).await?;
    check_version(expected, goal.version)?;
    let text = "DELETE FROM goals WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, [id.into(), user_id.into()]).await?;
    Ok(())
}

/// What was saved lately for goals of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Minor units; below zero if more was taken out.
    pub saved_minor: i64,
    /// In how many days until today.
    pub days: u32,
}

/// The pace of a goal.
///
/// # Errors
/// The database cannot be read.
pub async fn pace(
    db: &impl ConnectionTrait,
    goal: &Goal,
    today: NaiveDate,
) -> Result<Pace, StoreError> {
    let paces = paces(db, std::slice::from_ref(goal), today).await?;
    let pace = paces.into_iter().next();
    pace.ok_or_else(|| StoreError::Defect("a goal without a pace".to_owned()))
}

/// The pace of each of these goals of one user, in their order: what was contributed, or what bookings
/// moved in the wallet.
///
/// # Errors
/// The database cannot be read.
pub async fn paces(
    db: &impl ConnectionTrait,
    goals: &[Goal],
    today: NaiveDate,
) -> Result<Vec<Pace>, StoreError> {
    let days: Vec<u32> = goals
        .iter()
        .map(|goal| pace_days(goal.created_at.date_naive(), today))
        .collect();
    let since = |days: u32| {
        today
            .checked_sub_days(Days::new(days.into()))
            .unwrap_or(today)
    };
    let rows = goals.iter().zip(&days).map(|(goal, days)| {
        let wallet_id = goal.wallet_id.unwrap_or_default();
        [
            goal.id.into(),
            wallet_id.into(),
            goal.user_id.into(),
            since(*days).into(),
        ]
    });
    let given = Given::new(["goal_id", "of_wallet", "owner_id", "since"], rows);
    let text = "SELECT goal_id, CAST(SUM(minor) AS BIGINT) FROM ( \
           SELECT given.goal_id, c.amount_minor AS minor FROM given \
             JOIN goal_contributions c ON c.goal_id = given.goal_id AND c.date >= given.since AND c.date <= $1 \
             WHERE c.user_id = given.owner_id \
           UNION ALL SELECT given.goal_id, CASE t.type WHEN $2 THEN t.amount_minor ELSE -t.amount_minor END \
             FROM given JOIN transactions t ON t.wallet_id = given.of_wallet AND t.date >= given.since AND t.date <= $1 \
             WHERE t.user_id = given.owner_id \
           UNION ALL SELECT given.goal_id, x.amount_minor FROM given \
             JOIN transfers x ON x.to_wallet_id = given.of_wallet AND x.date >= given.since AND x.date <= $1 \
             WHERE x.user_id = given.owner_id) moves GROUP BY goal_id";
    let income = TransactionType::Income.as_str();
    let mut saved: HashMap<Uuid, i64> = HashMap::new();
    for row in given.run(db, text, [today.into(), income.into()]).await? {
        saved.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    }
    let pace = |(goal, days): (&Goal, u32)| Pace {
        saved_minor: saved.get(&goal.id).copied().unwrap_or_default(),
        days,
    };
    Ok(goals.iter().zip(days).map(pace).collect())
}
