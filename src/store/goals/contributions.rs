//! Contributions: a ledger of each goal, whose sum the goal keeps.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Goal, get, settle};
use crate::domain::money::{AmountText, Currency, Money};
use crate::store::entities::goal_contributions;
use crate::store::event_log::LogPosition;
use crate::store::sql::{execute, one};
use crate::store::transactions::Act;
use crate::store::users::{self, check_version};
use crate::store::{Page, PageRequest, StoreError, Tx};

/// Something that was put aside, or taken out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The contribution's id.
    pub id: Uuid,
    /// For which goal.
    pub goal_id: Uuid,
    /// Below zero where it was taken out.
    pub amount: Money,
    /// On which day.
    pub date: NaiveDate,
    /// What the user wrote.
    pub note: Option<String>,
    /// Contributions do not change: always 1.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Contribution {
    fn of(row: goal_contributions::Model, currency: Currency) -> Self {
        Self {
            id: row.id,
            goal_id: row.goal_id,
            amount: Money::new(row.amount_minor, currency),
            date: row.date,
            note: row.note,
            version: row.version,
            created_at: row.created_at,
        }
    }
}

/// A contribution to be made.
#[derive(Debug, Clone)]
pub struct NewContribution {
    /// Its id.
    pub id: Uuid,
    /// More than zero, read in the goal's currency.
    pub amount: AmountText,
    /// Whether it is taken out.
    pub is_withdrawal: bool,
    /// On which day.
    pub date: NaiveDate,
    /// What the user wrote.
    pub note: Option<String>,
}

/// Puts something aside for a goal, or takes it out.
///
/// # Errors
/// No such goal, one that follows a wallet, an amount that does not fit, more taken out than is there.
pub async fn contribute(
    tx: &Tx,
    act: Act,
    goal_id: Uuid,
    new: NewContribution,
) -> Result<(Contribution, Option<LogPosition>), StoreError> {
    users::hold(tx, act.user_id).await?;
    let goal = get(&**tx, act.user_id, goal_id).await?;
    let amount = new
        .amount
        .amount(goal.currency())
        .map_err(|error| StoreError::invalid("amount", error.to_string()))?;
    let signed = if new.is_withdrawal {
        -amount.minor()
    } else {
        amount.minor()
    };
    move_sum(tx, &goal, signed).await?;
    let row = goal_contributions::Model {
        id: new.id,
        user_id: act.user_id,
        goal_id,
        amount_minor: signed,
        date: new.date,
        note: new.note,
        version: 1,
        created_at: act.now,
        updated_at: act.now,
    };
    execute(
        &**tx,
        "INSERT INTO goal_contributions (id, user_id, goal_id, amount_minor, date, note, version, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            row.id.into(),
            row.user_id.into(),
            row.goal_id.into(),
            row.amount_minor.into(),
            row.date.into(),
            row.note.clone().into(),
            row.version.into(),
            row.created_at.into(),
            row.updated_at.into(),
        ],
    )
    .await?;
    let (_, position) = settle(tx, act, goal_id).await?;
    Ok((Contribution::of(row, goal.currency()), position))
}

/// The sum of a goal's contributions, whatever it follows.
async fn contributed(tx: &Tx, goal: &Goal) -> Result<Money, StoreError> {
    let text = "SELECT contributed_minor FROM goals WHERE id = $1 AND user_id = $2";
    let row = one(&**tx, text, [goal.id.into(), goal.user_id.into()]).await?;
    let minor = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(Money::new(minor, goal.currency()))
}

/// Moves the sum of a goal of a user who is held.
async fn move_sum(tx: &Tx, goal: &Goal, minor: i64) -> Result<(), StoreError> {
    if goal.wallet_id.is_some() {
        let detail = "this goal follows a wallet: what counts is what is booked there";
        return Err(StoreError::invalid("amount", detail));
    }
    match goal.saved.minor().checked_add(minor) {
        Some(sum) if sum >= 0 => {}
        Some(_) => {
            let detail = format!("there are only {} in this goal", goal.saved);
            return Err(StoreError::invalid("amount", detail));
        }
        None => {
            let detail = "a sum would leave the range of amounts";
            return Err(StoreError::invalid("amount", detail));
        }
    }
    let text = "UPDATE goals SET contributed_minor = contributed_minor + $3 WHERE id = $1 AND user_id = $2";
    execute(
        &**tx,
        text,
        [goal.id.into(), goal.user_id.into(), minor.into()],
    )
    .await?;
    Ok(())
}

/// The user's contribution of this id.
///
/// # Errors
/// There is none.
pub async fn contribution(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    id: Uuid,
) -> Result<Contribution, StoreError> {
    let row = goal_contributions::Entity::find_by_id(id)
        .filter(goal_contributions::Column::UserId.eq(user_id))
        .one(db)
        .await?
        .ok_or(StoreError::NotFound("contribution"))?;
    let goal = get(db, user_id, row.goal_id).await?;
    Ok(Contribution::of(row, goal.currency()))
}

/// The contributions to a goal, newest first.
///
/// # Errors
/// There is no such goal.
pub async fn contributions(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    goal_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<Contribution, Uuid>, StoreError> {
    let goal = get(db, user_id, goal_id).await?;
    let mut query = goal_contributions::Entity::find()
        .filter(goal_contributions::Column::GoalId.eq(goal_id))
        .filter(goal_contributions::Column::UserId.eq(user_id));
    if let Some(after) = page.after {
        query = query.filter(goal_contributions::Column::Id.lt(after));
    }
    let rows = query
        .order_by_desc(goal_contributions::Column::Id)
        .limit(page.fetch())
        .all(db)
        .await?;
    let contributions = rows
        .into_iter()
        .map(|row| Contribution::of(row, goal.currency()));
    Ok(Page::cut(contributions.collect(), page.limit, |it| it.id))
}

/// Takes a contribution back, as if it had never been made.
///
/// # Errors
/// No such contribution, a stale version, or what it put in was taken out since.
pub async fn take_back(
    tx: &Tx,
    act: Act,
    id: Uuid,
    expected: Option<i64>,
) -> Result<Option<LogPosition>, StoreError> {
    users::hold(tx, act.user_id).await?;
    let contribution = contribution(&**tx, act.user_id, id).await?;
    check_version(expected, contribution.version)?;
    let goal = get(&**tx, act.user_id, contribution.goal_id).await?;
    // Its sum is kept whatever the goal follows today.
    let goal = Goal {
        wallet_id: None,
        saved: contributed(tx, &goal).await?,
        ..goal
    };
    move_sum(tx, &goal, -contribution.amount.minor()).await?;
    let text = "DELETE FROM goal_contributions WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, [id.into(), act.user_id.into()]).await?;
    let (_, position) = settle(tx, act, goal.id).await?;
    Ok(position)
}
