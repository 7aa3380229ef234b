//! Sessions: one for each sign-in, with a refresh token that is exchanged at each use.
//!
//! Only the SHA-256 of a token is kept. A token that comes a second time was copied: the whole
//! session ends.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::LockType;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, QuerySelect};
use uuid::Uuid;

use super::entities::{refresh_tokens, sessions};
use super::given::Given;
use super::sql::execute;
use super::{StoreError, Tx};

/// SHA-256 of a refresh token.
pub type TokenHash = [u8; 32];

/// Begins a session with its first refresh token.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn begin(
    tx: &Tx,
    session_id: Uuid,
    user_id: Uuid,
    token: TokenHash,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute(
        &**tx,
        "INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        [
            session_id.into(),
            user_id.into(),
            now.into(),
            expires_at.into(),
        ],
    )
    .await?;
    add_token(tx, session_id, token, now).await
}

async fn add_token(
    tx: &Tx,
    session_id: Uuid,
    token: TokenHash,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute(
        &**tx,
        "INSERT INTO refresh_tokens (token_hash, session_id, used, created_at) VALUES ($1, $2, $3, $4)",
        [token.to_vec().into(), session_id.into(), false.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// What became of an exchange. The unit of work commits in every case: a re-used token must end its
/// session for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// The new token is good; the session and whose it is.
    Done {
        /// The session.
        session_id: Uuid,
        /// Whose it is.
        user_id: Uuid,
    },
    /// No such token, or its session has ended.
    Refused,
    /// The token had been used: its session, now ended.
    Reused {
        /// The session.
        session_id: Uuid,
    },
}

/// Exchanges a refresh token for a new one.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn exchange(
    tx: &Tx,
    old: TokenHash,
    new: TokenHash,
    now: DateTime<Utc>,
) -> Result<Exchange, StoreError> {
    let Some(token) = refresh_tokens::Entity::find_by_id(old.to_vec())
        .one(&**tx)
        .await?
    else {
        return Ok(Exchange::Refused);
    };
    // Held before the token, in the order in which an erasure goes through them.
    let mut session = sessions::Entity::find_by_id(token.session_id);
    if tx.get_database_backend() == DbBackend::Postgres {
        session = session.lock(LockType::KeyShare);
    }
    let Some(session) = session.one(&**tx).await? else {
        return Ok(Exchange::Refused);
    };
    if session.revoked_at.is_some() || session.expires_at <= now {
        return Ok(Exchange::Refused);
    }
    let taken = execute(
        &**tx,
        "UPDATE refresh_tokens SET used = $2 WHERE token_hash = $1 AND used = $3",
        [old.to_vec().into(), true.into(), false.into()],
    )
    .await?;
    if taken.rows_affected() == 0 {
        end(tx, session.user_id, session.id, now).await?;
        return Ok(Exchange::Reused {
            session_id: session.id,
        });
    }
    add_token(tx, session.id, new, now).await?;
    Ok(Exchange::Done {
        session_id: session.id,
        user_id: session.user_id,
    })
}

/// Ends a session: its refresh tokens are good no more.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn end(
    tx: &Tx,
    user_id: Uuid,
    session_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute(
        &**tx,
        "UPDATE sessions SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL",
        [session_id.into(), user_id.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Whether the session is the user's and has not ended.
///
/// # Errors
/// The database cannot be read.
pub async fn is_open(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    session_id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let session = sessions::Entity::find_by_id(session_id).one(db).await?;
    Ok(session.is_some_and(|session| {
        session.user_id == user_id && session.revoked_at.is_none() && session.expires_at > now
    }))
}

/// Those of the sessions and personal access tokens that have ended, or are gone, across users: for the streams of a
/// replica. Their ids are unique together.
///
/// # Errors
/// The database cannot be read.
pub async fn ended_of_all_users(
    db: &impl ConnectionTrait,
    session_ids: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    let text = "SELECT given.id FROM given LEFT JOIN sessions ON sessions.id = given.id \
         LEFT JOIN personal_tokens ON personal_tokens.id = given.id \
         WHERE (sessions.id IS NULL OR sessions.revoked_at IS NOT NULL) AND personal_tokens.id IS NULL";
    let given = Given::new(["id"], session_ids.iter().map(|id| [(*id).into()]));
    let rows = given.run(db, text, []).await?;
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}
