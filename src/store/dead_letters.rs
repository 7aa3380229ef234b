//! Dead letters: events that will never work, kept with the reason for an operator to look at.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::sql::execute;
use super::{StoreError, Tx};

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

/// Keeps a dead letter; the same one again changes nothing.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn keep(tx: &Tx, letter: DeadLetter, now: DateTime<Utc>) -> Result<(), StoreError> {
    execute(
        &**tx,
        "INSERT INTO dead_letters (id, consumer, topic, event_id, payload, reason, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (consumer, event_id) DO NOTHING",
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
    Ok(())
}

/// PostgreSQL's texts hold no NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
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
