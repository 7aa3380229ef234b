//! First answers to requests with an Idempotency-Key, written in the transaction of the write that
//! they guard: a crash between the two cannot happen.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, EntityTrait};
use uuid::Uuid;

use super::entities::idempotency_keys;
use super::sql::execute;
use super::{Conflict, StoreError, Tx};

/// A client's key for one request, with the SHA-256 of that request.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    /// What the client calls it.
    pub key: String,
    /// Tells the same request from another one with the same key.
    pub request_hash: [u8; 32],
}

/// The saved answer to the request, if it was answered before.
///
/// # Errors
/// [`Conflict::KeyReused`] when the key belongs to another request.
pub async fn find(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    request: &KeyedRequest,
) -> Result<Option<Vec<u8>>, StoreError> {
    let saved = idempotency_keys::Entity::find_by_id((user_id, request.key.clone()))
        .one(db)
        .await?;
    match saved {
        None => Ok(None),
        Some(saved) if saved.request_hash == request.request_hash => Ok(Some(saved.answer)),
        Some(_) => Err(StoreError::Conflict(Conflict::KeyReused)),
    }
}

/// Saves the answer.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn save(
    tx: &Tx,
    user_id: Uuid,
    request: KeyedRequest,
    answer: Vec<u8>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute(
        &**tx,
        "INSERT INTO idempotency_keys (user_id, key, request_hash, answer, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
        [
            user_id.into(),
            request.key.into(),
            request.request_hash.to_vec().into(),
            answer.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(())
}
