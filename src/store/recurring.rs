//! Bookings that come again: what is to be booked, and on which days. Each day is booked once or left out once, which a
//! row with a unique key says; what is due is booked by `due`.
//!
//! A change holds from the next day on that is neither booked nor left out: what was booked stays as it is.

/// What is due, booked.
pub mod due;
/// The days to come.
pub mod upcoming;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::entities::recurring;
use super::owned::Owned;
use super::sql::{all, count, execute, list as placeholders};
use super::transactions::{self, Act, Amendment, Draft, Parts, Transaction, Transfer};
use super::users::check_version;
use super::{Page, PageRequest, Signal, StoreError, Tx, categories, users, wallets};
use crate::domain::money::{Currency, Money};
use crate::domain::period;
use crate::domain::recurrence::Recurrence;

const OWNED: Owned<recurring::Entity> = Owned {
    id: recurring::Column::Id,
    user_id: recurring::Column::UserId,
    what: "recurring booking",
};

/// Recurring bookings of one user at the most.
const RULES_MAX: u64 = 200;

/// Days to come of one rule that are left out at the most.
const SKIPPED_MAX: usize = 366;

/// What is said of a rule that never comes.
pub const NEVER: &str = "the rule comes on no day from today on, nor within fifty years";

/// A day that is booked.
const BOOKED: &str = "booked";
/// A day that is left out.
const SKIPPED: &str = "skipped";

/// A booking that comes again.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurring {
    /// The booking as it is made, with the rule's id, version and times; its day is the first on which it may come.
    pub template: Transaction,
    /// On which days.
    pub recurrence: Recurrence,
    /// The first day that is neither booked nor left out; none at the end.
    pub next_on: Option<NaiveDate>,
    /// Nothing is booked for now.
    pub paused: bool,
    /// The day that could not be booked, and why: it is paused since then.
    pub failure: Option<Failure>,
}

/// A day that could not be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The day.
    pub on: NaiveDate,
    /// Why, for the user.
    pub reason: String,
}

impl Recurring {
    /// When the next day begins where the user is, if it is to be booked then.
    fn due_at(&self, zone: Tz) -> Option<DateTime<Utc>> {
        let next_on = self.next_on.filter(|_| !self.paused)?;
        Some(period::start_of_day(next_on, zone))
    }
}

impl TryFrom<recurring::Model> for Recurring {
    type Error = StoreError;

    fn try_from(row: recurring::Model) -> Result<Self, StoreError> {
        let currency = |code: &str| Currency::parse(code).map_err(StoreError::defect);
        let transfer = match (row.to_wallet_id, row.to_amount_minor, &row.to_currency) {
            (Some(to_wallet_id), Some(minor), Some(code)) => Some(Transfer {
                to_wallet_id,
                to_amount: Money::new(minor, currency(code)?),
            }),
            _ => None,
        };
        let tags = row.tags.as_deref().map(serde_json::from_str).transpose();
        let recurrence = Recurrence::parse(&row.rrule, row.starts_on);
        Ok(Self {
            template: Transaction {
                id: row.id,
                wallet_id: row.wallet_id,
                transaction_type: row.r#type.parse().map_err(StoreError::defect)?,
                amount: Money::new(row.amount_minor, currency(&row.currency)?),
                date: row.starts_on,
                category_id: row.category_id,
                description: row.description,
                payee: row.payee,
                notes: row.notes,
                parts: Parts {
                    transfer,
                    splits: Vec::new(),
                    tags: tags.map_err(StoreError::defect)?.unwrap_or_default(),
                },
                occurrence: None,
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
            },
            recurrence: recurrence.map_err(StoreError::defect)?,
            next_on: row.next_on,
            paused: row.paused,
            failure: row
                .failed_on
                .zip(row.failure)
                .map(|(on, reason)| Failure { on, reason }),
        })
    }
}

/// Makes a rule. What was before today is not booked: it counts alone.
///
/// # Errors
/// What a booking of it would be refused for; a rule that is none, or never comes; one too many.
pub async fn create(
    tx: &Tx,
    act: Act,
    id: Uuid,
    draft: Draft,
    recurrence: Recurrence,
) -> Result<Recurring, StoreError> {
    let user_id = act.user_id;
    users::hold(tx, user_id).await?;
    let text = "SELECT COUNT(*) FROM recurring WHERE user_id = $1";
    if count(&**tx, text, [user_id.into()]).await? >= RULES_MAX {
        let detail = format!("you have {RULES_MAX} recurring bookings, no more fit");
        return Err(StoreError::invalid("rrule", detail));
    }
    let wanted = [Some(draft.wallet_id), draft.to_wallet_id];
    let held = wallets::hold(tx, user_id, wanted.into_iter().flatten()).await?;
    let currency = held.open("wallet_id", draft.wallet_id)?;
    let to_currency = (draft.to_wallet_id)
        .map(|id| held.open("to_wallet_id", id))
        .transpose()?;
    let template = transactions::drafted(act, id, draft, currency, to_currency)?;
    categories::names_for_booking(tx, user_id, template.categories()).await?;
    let zone = users::get(&**tx, user_id).await?.time_zone;
    let today = period::today(act.now, zone);
    let next_on = recurrence.days_from(today, 1).pop().ok_or_else(never)?;
    let rule = Recurring {
        template,
        recurrence,
        next_on: Some(next_on),
        paused: false,
        failure: None,
    };
    let row = row_of(user_id, &rule, zone)?;
    let text = format!(
        "INSERT INTO recurring ({COLUMNS}) VALUES ({})",
        placeholders(row.len(), 1)
    );
    execute(&**tx, text, row).await?;
    tx.after_commit(Signal::Due);
    Ok(rule)
}

fn never() -> StoreError {
    StoreError::invalid("rrule", NEVER)
}

/// The columns of a rule, in the order of [`row_of`].
const COLUMNS: &str = "id, user_id, wallet_id, type, amount_minor, currency, category_id, description, payee, notes, \
     tags, to_wallet_id, to_amount_minor, to_currency, rrule, starts_on, next_on, due_at, paused, failed_on, failure, \
     version, created_at, updated_at";

fn row_of(user_id: Uuid, rule: &Recurring, zone: Tz) -> Result<[Value; 24], StoreError> {
    let template = &rule.template;
    let (transfer, tags) = (template.parts.transfer, &template.parts.tags);
    let tags = (!tags.is_empty()).then(|| serde_json::to_string(tags));
    let failure = rule.failure.as_ref();
    Ok([
        template.id.into(),
        user_id.into(),
        template.wallet_id.into(),
        template.transaction_type.as_str().into(),
        template.amount.minor().into(),
        template.amount.currency().code().into(),
        template.category_id.into(),
        template.description.clone().into(),
        template.payee.clone().into(),
        template.notes.clone().into(),
        tags.transpose().map_err(StoreError::defect)?.into(),
        transfer.map(|to| to.to_wallet_id).into(),
        transfer.map(|to| to.to_amount.minor()).into(),
        transfer.map(|to| to.to_amount.currency().code()).into(),
        rule.recurrence.text().into(),
        rule.recurrence.starts_on().into(),
        rule.next_on.into(),
        rule.due_at(zone).into(),
        rule.paused.into(),
        failure.map(|it| it.on).into(),
        failure.map(|it| it.reason.clone()).into(),
        template.version.into(),
        template.created_at.into(),
        template.updated_at.into(),
    ])
}

async fn update(tx: &Tx, user_id: Uuid, rule: &Recurring, zone: Tz) -> Result<(), StoreError> {
    let text = "UPDATE recurring SET wallet_id = $3, type = $4, amount_minor = $5, currency = $6, category_id = $7, \
         description = $8, payee = $9, notes = $10, tags = $11, to_wallet_id = $12, to_amount_minor = $13, \
         to_currency = $14, rrule = $15, starts_on = $16, next_on = $17, due_at = $18, paused = $19, failed_on = $20, \
         failure = $21, version = $22, created_at = $23, updated_at = $24 WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, row_of(user_id, rule, zone)?).await?;
    Ok(())
}

/// The user's rule of this id.
///
/// # Errors
/// There is none.
pub async fn get(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    id: Uuid,
) -> Result<Recurring, StoreError> {
    OWNED.get(db, user_id, id).await
}

/// The user's rules, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<Recurring, Uuid>, StoreError> {
    OWNED
        .list(db, user_id, page, |it: &Recurring| it.template.id)
        .await
}

/// What may change of a rule; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct RecurringChange {
    /// What is booked.
    pub booking: Amendment,
    /// On which days.
    pub rrule: Option<String>,
    /// From which day on.
    pub starts_on: Option<NaiveDate>,
    /// Whether anything is booked for now.
    pub paused: Option<bool>,
}

/// Changes a rule from here on. Days that came while it was paused by hand are not booked any more; where a day could
/// not be booked, it goes on with that day.
///
/// # Errors
/// No such rule, a stale version, and whatever [`create`] refuses.
pub async fn change(
    tx: &Tx,
    act: Act,
    id: Uuid,
    expected: Option<i64>,
    change: RecurringChange,
) -> Result<Recurring, StoreError> {
    let user_id = act.user_id;
    users::hold(tx, user_id).await?;
    let before = get(&**tx, user_id, id).await?;
    check_version(expected, before.template.version)?;
    let zone = users::get(&**tx, user_id).await?.time_zone;
    let today = period::today(act.now, zone);
    let mut after = before.clone();
    after.template = transactions::amended(tx, user_id, &before.template, change.booking).await?;
    categories::names_for_booking(tx, user_id, after.template.categories()).await?;
    after.recurrence = rescheduled(
        &before.recurrence,
        change.rrule.as_deref(),
        change.starts_on,
    )?;
    after.template.date = after.recurrence.starts_on();
    after.paused = change.paused.unwrap_or(before.paused);
    let is_rescheduled = after.recurrence != before.recurrence;
    let passed_by = before.paused && before.failure.is_none();
    if is_rescheduled || (passed_by && !after.paused) {
        // What is due and was not booked yet is still to come.
        let open = before.next_on.filter(|_| !passed_by);
        let from = open.map_or(today, |day| day.min(today));
        after.next_on = next_open(tx, &after, from).await?;
    }
    if is_rescheduled && after.next_on.is_none() {
        return Err(never());
    }
    if !after.paused {
        after.failure = None;
    }
    after.template.version += 1;
    after.template.updated_at = act.now;
    update(tx, user_id, &after, zone).await?;
    tx.after_commit(Signal::Due);
    Ok(after)
}

fn rescheduled(
    before: &Recurrence,
    rrule: Option<&str>,
    starts_on: Option<NaiveDate>,
) -> Result<Recurrence, StoreError> {
    let field = if rrule.is_some() || starts_on.is_none() {
        "rrule"
    } else {
        "starts_on"
    };
    let text = rrule.unwrap_or(before.text());
    Recurrence::parse(text, starts_on.unwrap_or(before.starts_on()))
        .map_err(|error| StoreError::invalid(field, error.to_string()))
}

/// The first day from this one on that is neither booked nor left out.
async fn next_open(
    tx: &Tx,
    rule: &Recurring,
    from: NaiveDate,
) -> Result<Option<NaiveDate>, StoreError> {
    let done = done_from(tx, rule.template.id, from).await?;
    let days = rule.recurrence.days_from(from, done.len() + 1);
    Ok(days.into_iter().find(|day| !done.contains_key(day)))
}

/// What became of a rule's days, from this one on.
async fn done_from(
    tx: &Tx,
    id: Uuid,
    from: NaiveDate,
) -> Result<BTreeMap<NaiveDate, String>, StoreError> {
    let text =
        "SELECT date, outcome FROM recurring_occurrences WHERE recurring_id = $1 AND date >= $2";
    let rows = all(&**tx, text, [id.into(), from.into()]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}

async fn done(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    day: NaiveDate,
    outcome: &'static str,
) -> Result<(), StoreError> {
    let text = "INSERT INTO recurring_occurrences (recurring_id, date, user_id, outcome) VALUES ($1, $2, $3, $4)";
    let values = [id.into(), day.into(), user_id.into(), outcome.into()];
    execute(&**tx, text, values).await?;
    Ok(())
}

/// Leaves a day to come out. One that is left out already stays so.
///
/// # Errors
/// No such rule; a day that is booked, or on which it does not come.
pub async fn skip(tx: &Tx, act: Act, id: Uuid, day: NaiveDate) -> Result<Recurring, StoreError> {
    let refused = |detail: &str| Err(StoreError::invalid("date", detail));
    let user_id = act.user_id;
    users::hold(tx, user_id).await?;
    let mut rule = get(&**tx, user_id, id).await?;
    let from = rule.next_on.map_or(day, |next_on| next_on.min(day));
    let done_days = done_from(tx, id, from).await?;
    match done_days.get(&day).map(String::as_str) {
        Some(SKIPPED) => return Ok(rule),
        Some(_) => return refused("this day is booked already"),
        None => {}
    }
    let comes = rule.recurrence.days_from(day, 1).first() == Some(&day);
    if !comes || rule.next_on.is_none_or(|next_on| day < next_on) {
        return refused("the rule does not come on this day any more");
    }
    if done_days.len() >= SKIPPED_MAX {
        let detail = format!("{SKIPPED_MAX} days to come are left out, no more fit");
        return refused(&detail);
    }
    done(tx, user_id, id, day, SKIPPED).await?;
    rule.next_on = next_open(tx, &rule, from).await?;
    rule.template.version += 1;
    rule.template.updated_at = act.now;
    let zone = users::get(&**tx, user_id).await?.time_zone;
    update(tx, user_id, &rule, zone).await?;
    Ok(rule)
}

/// Removes a rule. What it has booked stays.
///
/// # Errors
/// No such rule, a stale version.
pub async fn delete(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let rule = get(&**tx, user_id, id).await?;
    check_version(expected, rule.template.version)?;
    let text = "DELETE FROM recurring WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, [id.into(), user_id.into()]).await?;
    Ok(())
}

/// Days of a user who is held begin at other moments from now on.
pub(super) async fn move_to(tx: &Tx, user_id: Uuid, zone: Tz) -> Result<(), StoreError> {
    let text =
        "SELECT id, next_on FROM recurring WHERE user_id = $1 AND due_at IS NOT NULL ORDER BY id";
    for row in all(&**tx, text, [user_id.into()]).await? {
        let (id, next_on): (Uuid, NaiveDate) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let due_at = period::start_of_day(next_on, zone);
        let text = "UPDATE recurring SET due_at = $3 WHERE id = $1 AND user_id = $2";
        execute(&**tx, text, [id.into(), user_id.into(), due_at.into()]).await?;
    }
    tx.after_commit(Signal::Due);
    Ok(())
}
