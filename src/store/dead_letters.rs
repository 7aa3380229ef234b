//! Dead letters: events that will never work, kept with the reason for an operator to look at.
//!
//! A letter is there as long as somebody has to decide. One that is re-driven and then handled, or is
//! discarded, goes; the inbox knows that its event is done with, so that nothing brings it back.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::sql::{self, all, execute, list, one};
use super::users::{self, Concerned};
use super::{StoreError, Tx, inbox};
use crate::events::Event;

/// An event that a consumer has refused for good.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The letter's id.
    pub id: Uuid,
    /// Who refused it.
    pub consumer: &'static str,
    /// Where it came from.
    pub topic: String,
    /// The event's id, or one made from its bytes where it has none: the same letter is kept once.
    pub event_id: Uuid,
    /// The event as it came; bytes that are no text are replaced.
    pub payload: String,
    /// Why it was refused.
    pub reason: String,
}

/// A letter as it was kept, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The letter's id.
    pub id: Uuid,
    /// Who refused it.
    pub consumer: String,
    /// Where it came from.
    pub topic: String,
    /// The event's id, or one made from its bytes.
    pub event_id: Uuid,
    /// Why it was refused.
    pub reason: String,
    /// When it was kept.
    pub created_at: DateTime<Utc>,
}

/// Which letters are meant.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Of this topic only, without prefix.
    pub topic: Option<String>,
    /// Of this consumer only.
    pub consumer: Option<String>,
}

/// The id of what has none: made from its bytes.
#[must_use]
pub fn id_of_bytes(bytes: &[u8]) -> Uuid {
    let digest = Sha256::digest(bytes);
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(id)
}

/// Keeps a letter, or the newest reason of one that is there. Says whether it is one: what the inbox
/// knows is done with, and so is what is `about` somebody who has left.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn keep(
    tx: &Tx,
    letter: DeadLetter,
    about: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let concerned = users::concerned(&**tx, about).await?;
    if concerned.values().any(|who| *who == Concerned::Left) {
        return Ok(false);
    }
    let again = "DO UPDATE SET reason = excluded.reason, payload = excluded.payload \
         WHERE dead_letters.reason IS DISTINCT FROM excluded.reason";
    insert(tx, letter, now, again)
        .await
        .map(|done| done.is_some())
}

/// Adds a letter that was found elsewhere; says whether it was new.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn add(tx: &Tx, letter: DeadLetter, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let written = insert(tx, letter, now, "DO NOTHING").await?;
    Ok(written.is_some_and(|rows| rows > 0))
}

/// Gives the number of rows written; none for what is done with.
async fn insert(
    tx: &Tx,
    letter: DeadLetter,
    now: DateTime<Utc>,
    again: &str,
) -> Result<Option<u64>, StoreError> {
    let done = inbox::known(&**tx, letter.consumer, &[letter.event_id]).await?;
    if !done.is_empty() {
        return Ok(None);
    }
    let text = format!(
        "INSERT INTO dead_letters (id, consumer, topic, event_id, payload, reason, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (consumer, event_id) {again}"
    );
    let done = execute(
        &**tx,
        text,
        [
            letter.id.into(),
            letter.consumer.into(),
            letter.topic.into(),
            letter.event_id.into(),
            storable(&letter.payload).into(),
            storable(&letter.reason).into(),
            now.into(),
        ],
    )
    .await?;
    Ok(Some(done.rows_affected()))
}

/// PostgreSQL's texts hold no NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

const COLUMNS: &str = "id, consumer, topic, event_id, reason, created_at";

impl Kept {
    /// From [`COLUMNS`].
    fn of(row: &QueryResult) -> Result<Self, StoreError> {
        let id = row.try_get_by_index(0)?;
        let event_id: Option<Uuid> = row.try_get_by_index(3)?;
        let reason: Option<String> = row.try_get_by_index(4)?;
        Ok(Self {
            id,
            consumer: row.try_get_by_index(1)?,
            topic: row.try_get_by_index(2)?,
            event_id: event_id.unwrap_or(id),
            reason: reason.unwrap_or_default(),
            created_at: row.try_get_by_index(5)?,
        })
    }
}

impl Which {
    /// The condition with its values, whose places begin here.
    fn condition(&self, first: usize) -> (String, Vec<Value>) {
        let (mut text, mut values) = ("true".to_owned(), Vec::new());
        for (column, value) in [("topic", &self.topic), ("consumer", &self.consumer)] {
            if let Some(value) = value {
                text.push_str(&format!(" AND {column} = ${}", first + values.len()));
                values.push(value.clone().into());
            }
        }
        (text, values)
    }
}

/// The oldest letters after one of them, of all users.
///
/// # Errors
/// The database cannot be read.
pub async fn of_all(
    db: &impl ConnectionTrait,
    which: &Which,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Kept>, StoreError> {
    let (condition, more) = which.condition(3);
    let text = format!(
        "SELECT {COLUMNS} FROM dead_letters WHERE id > $1 AND {condition} ORDER BY id LIMIT $2"
    );
    let mut values: Vec<Value> = vec![after.unwrap_or_default().into(), i64::from(limit).into()];
    values.extend(more);
    let rows = all(db, text, values).await?;
    rows.iter().map(Kept::of).collect()
}

/// How many letters there are, of all users.
///
/// # Errors
/// The database cannot be read.
pub async fn count(db: &impl ConnectionTrait, which: &Which) -> Result<u64, StoreError> {
    let (condition, values) = which.condition(1);
    let text = format!("SELECT COUNT(*) FROM dead_letters WHERE {condition}");
    sql::count(db, text, values).await
}

/// A letter with what it says; none when there is none of this id.
///
/// # Errors
/// The database cannot be read.
pub async fn get(
    db: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<(Kept, String)>, StoreError> {
    let text = format!("SELECT {COLUMNS}, payload FROM dead_letters WHERE id = $1");
    let row = one(db, text, [id.into()]).await?;
    row.map(|row| Ok((Kept::of(&row)?, row.try_get_by_index(6)?)))
        .transpose()
}

/// Removes a letter whose event was handled in the end; says whether it was there.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn remove(tx: &Tx, id: Uuid) -> Result<bool, StoreError> {
    let text = "DELETE FROM dead_letters WHERE id = $1";
    Ok(execute(&**tx, text, [id.into()]).await?.rows_affected() > 0)
}

/// Notes why a letter was refused the last time.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn refuse(tx: &Tx, id: Uuid, reason: &str) -> Result<(), StoreError> {
    let text = "UPDATE dead_letters SET reason = $2 WHERE id = $1";
    execute(&**tx, text, [id.into(), storable(reason).into()]).await?;
    Ok(())
}

/// Removes a letter, and notes that its event is done with; says whether it was there.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn discard(tx: &Tx, letter: &Kept, now: DateTime<Utc>) -> Result<bool, StoreError> {
    inbox::record(tx, &letter.consumer, &[letter.event_id], now).await?;
    remove(tx, letter.id).await
}

/// Those of a consumer's letters about a user that can be read, and so could be re-driven.
async fn readable(
    tx: &Tx,
    consumer: &'static str,
    user_id: Uuid,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let text = "SELECT id, event_id, payload FROM dead_letters \
         WHERE consumer = $1 AND payload LIKE $2";
    let about = format!("%{user_id}%");
    let mut readable = Vec::new();
    for row in all(&**tx, text, [consumer.into(), about.into()]).await? {
        let payload: String = row.try_get_by_index(2)?;
        let event = Event::parse(payload.as_bytes()).ok();
        if event.is_some_and(|event| event.data.user_id() == user_id) {
            readable.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
        }
    }
    Ok(readable)
}

/// Removes a consumer's letters about a user, whose effect has come about in another way, and notes
/// that their events are done with.
///
/// # Errors
/// The unit of work cannot go on.
pub(super) async fn settle(
    tx: &Tx,
    consumer: &'static str,
    user_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let letters = readable(tx, consumer, user_id).await?;
    if letters.is_empty() {
        return Ok(());
    }
    let (ids, events): (Vec<Uuid>, Vec<Uuid>) = letters.into_iter().unzip();
    inbox::record(tx, consumer, &events, now).await?;
    let text = format!(
        "DELETE FROM dead_letters WHERE id IN ({})",
        list(ids.len(), 1)
    );
    execute(&**tx, text, ids.into_iter().map(Into::into)).await?;
    Ok(())
}

/// Removes the letters that speak of a user. There are few: each is an operator's work.
///
/// # Errors
/// The unit of work cannot go on.
pub(super) async fn forget(tx: &Tx, user_id: Uuid) -> Result<(), StoreError> {
    execute(
        &**tx,
        "DELETE FROM dead_letters WHERE payload LIKE $1",
        [format!("%{user_id}%").into()],
    )
    .await?;
    Ok(())
}
