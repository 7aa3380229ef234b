//! What is due, booked: each day in a unit of work of its own, with the row that says so, so that it is booked once
//! however many processes do it, and whenever one of them ends.
//!
//! The user is held before the wallets, as by everybody who holds both. One whom somebody else holds is passed over:
//! that may be another process at the same work.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{BOOKED, Failure, Recurring, done, get, next_open, update};
use crate::domain::money::AmountText;
use crate::domain::period;
use crate::store::sql::all;
use crate::store::transactions::{self, Act, Draft, Occurrence};
use crate::store::{StoreError, Tx, users};

/// A rule that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The rule.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Its version.
    pub version: i64,
}

/// Rules that are due, across users: those that have waited longest first, after this one.
///
/// # Errors
/// The database cannot be read.
pub async fn of_all_users(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    after: Option<Due>,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let (at, id) = after.map_or((DateTime::UNIX_EPOCH, Uuid::nil()), |it| (it.at, it.id));
    let text = "SELECT id, user_id, due_at, version FROM recurring \
         WHERE due_at <= $1 AND (due_at, id) > ($2, $3) ORDER BY due_at, id LIMIT $4";
    let values = [now.into(), at.into(), id.into(), i64::from(limit).into()];
    let rows = all(db, text, values).await?;
    rows.iter()
        .map(|row| {
            Ok(Due {
                id: row.try_get_by_index(0)?,
                user_id: row.try_get_by_index(1)?,
                at: row.try_get_by_index(2)?,
                version: row.try_get_by_index(3)?,
            })
        })
        .collect()
}

/// What became of a rule that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A day was booked; there may be another.
    Booked,
    /// Nothing is due any more.
    Done,
    /// Somebody else is at work on this user's books.
    Taken,
}

/// Books the rule's next day, if it is due.
///
/// # Errors
/// It cannot be booked: what a booking by hand would be refused for. Then nothing is written.
pub async fn book_next(
    tx: &Tx,
    act: Act,
    id: Uuid,
    transaction_id: Uuid,
) -> Result<Step, StoreError> {
    let Some(zone) = users::hold_if_free(tx, act.user_id).await? else {
        return Ok(Step::Taken);
    };
    let Some((mut rule, on)) = due(tx, act, id, zone).await? else {
        return Ok(Step::Done);
    };
    let occurrence = Occurrence {
        recurring_id: id,
        on,
    };
    done(tx, act.user_id, id, on, BOOKED).await?;
    transactions::book_of(tx, act, transaction_id, draft(&rule, on), Some(occurrence)).await?;
    rule.next_on = match on.succ_opt() {
        Some(day) => next_open(tx, &rule, day).await?,
        None => None,
    };
    update(tx, act.user_id, &rule, zone).await?;
    Ok(Step::Booked)
}

/// The rule and its next day, where that is due by now.
async fn due(
    tx: &Tx,
    act: Act,
    id: Uuid,
    zone: chrono_tz::Tz,
) -> Result<Option<(Recurring, NaiveDate)>, StoreError> {
    let rule = match get(&**tx, act.user_id, id).await {
        Err(StoreError::NotFound(_)) => return Ok(None),
        rule => rule?,
    };
    let today = period::today(act.now, zone);
    let next_on = rule.next_on.filter(|day| !rule.paused && *day <= today);
    Ok(next_on.map(|day| (rule, day)))
}

/// The booking of a day.
fn draft(rule: &Recurring, on: NaiveDate) -> Draft {
    let template = &rule.template;
    let transfer = template.parts.transfer;
    let amount = |amount: crate::domain::money::Money| AmountText::Text(amount.to_string());
    Draft {
        category_id: template.category_id,
        description: template.description.clone(),
        payee: template.payee.clone(),
        notes: template.notes.clone(),
        to_wallet_id: transfer.map(|to| to.to_wallet_id),
        to_amount: transfer.map(|to| amount(to.to_amount)),
        tags: template.parts.tags.clone(),
        ..Draft::new(
            template.wallet_id,
            template.transaction_type,
            amount(template.amount),
            on,
        )
    }
}

/// Pauses a rule whose next day could not be booked, and says why. One that was changed meanwhile is left as it is: it
/// may be booked now.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn fail(tx: &Tx, act: Act, was: Due, reason: String) -> Result<bool, StoreError> {
    let Some(zone) = users::hold_if_free(tx, act.user_id).await? else {
        return Ok(false);
    };
    let found = due(tx, act, was.id, zone).await?;
    let unchanged = |rule: &Recurring| rule.template.version == was.version;
    let Some((mut rule, on)) = found.filter(|(rule, _)| unchanged(rule)) else {
        return Ok(false);
    };
    rule.paused = true;
    rule.failure = Some(Failure { on, reason });
    rule.template.version += 1;
    rule.template.updated_at = act.now;
    update(tx, act.user_id, &rule, zone).await?;
    Ok(true)
}
