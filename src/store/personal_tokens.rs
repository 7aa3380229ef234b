//! Personal access tokens, with which scripts come in.
//!
//! Only the SHA-256 of a secret is kept, and its last characters, by which the user knows it again. One that is
//! revoked is gone.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::entities::personal_tokens;
use super::owned::Owned;
use super::sessions::TokenHash;
use super::sql::{count, execute};
use super::users::{self, check_version};
use super::{Page, PageRequest, StoreError, Tx};
use crate::domain::scope::Scopes;

const OWNED: Owned<personal_tokens::Entity> = Owned {
    id: personal_tokens::Column::Id,
    user_id: personal_tokens::Column::UserId,
    what: "token",
};

/// Tokens of one user at the most, those that have expired among them.
const TOKENS_MAX: u64 = 50;

/// How old what is known of a token's last use may be.
const USE_NOTED_EVERY: TimeDelta = TimeDelta::hours(1);

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalToken {
    /// The token's id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// What it is for.
    pub name: String,
    /// The last characters of its secret.
    pub last_four: String,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it is good no more.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used, at the most an hour ago or not again since.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Counts changes by people: there are none.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When people last changed it.
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<personal_tokens::Model> for PersonalToken {
    type Error = StoreError;

    fn try_from(row: personal_tokens::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            name: row.name,
            last_four: row.last_four,
            scopes: row.scopes.parse().map_err(StoreError::defect)?,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl PersonalToken {
    /// Whether it opens anything at this moment.
    #[must_use]
    pub fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }

    /// Whether a use at this moment is to be noted.
    #[must_use]
    pub fn is_use_news(&self, now: DateTime<Utc>) -> bool {
        self.last_used_at
            .is_none_or(|at| now - at >= USE_NOTED_EVERY)
    }
}

/// Adds a token.
///
/// # Errors
/// One too many.
pub async fn create(tx: &Tx, token: &PersonalToken, hash: TokenHash) -> Result<(), StoreError> {
    users::hold(tx, token.user_id).await?;
    let text = "SELECT COUNT(*) FROM personal_tokens WHERE user_id = $1";
    if count(&**tx, text, [token.user_id.into()]).await? >= TOKENS_MAX {
        let detail = format!("you have {TOKENS_MAX} tokens, no more fit: delete one");
        return Err(StoreError::invalid("name", detail));
    }
    execute(
        &**tx,
        "INSERT INTO personal_tokens (id, user_id, name, token_hash, last_four, scopes, expires_at, version, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        [
            token.id.into(),
            token.user_id.into(),
            token.name.clone().into(),
            hash.to_vec().into(),
            token.last_four.clone().into(),
            token.scopes.to_string().into(),
            token.expires_at.into(),
            token.version.into(),
            token.created_at.into(),
            token.updated_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The user's token of this id.
///
/// # Errors
/// There is none.
pub async fn get(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    id: Uuid,
) -> Result<PersonalToken, StoreError> {
    OWNED.get(db, user_id, id).await
}

/// The user's tokens, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<PersonalToken, Uuid>, StoreError> {
    OWNED
        .list(db, user_id, page, |it: &PersonalToken| it.id)
        .await
}

/// The token of this secret, of all users: it tells whose it is.
///
/// # Errors
/// The database cannot be read.
pub async fn by_hash_of_all_users(
    db: &impl ConnectionTrait,
    hash: TokenHash,
) -> Result<Option<PersonalToken>, StoreError> {
    personal_tokens::Entity::find()
        .filter(personal_tokens::Column::TokenHash.eq(hash.to_vec()))
        .one(db)
        .await?
        .map(PersonalToken::try_from)
        .transpose()
}

/// Notes that it is used now, unless somebody has lately.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn note_use(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let text = "UPDATE personal_tokens SET last_used_at = $3 WHERE id = $1 AND user_id = $2 \
         AND (last_used_at IS NULL OR last_used_at <= $4)";
    let lately = now - USE_NOTED_EVERY;
    let values = [id.into(), user_id.into(), now.into(), lately.into()];
    execute(&**tx, text, values).await?;
    Ok(())
}

/// Revokes a token: it is gone, and opens nothing any more.
///
/// # Errors
/// No such token, a stale version.
pub async fn revoke(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let token = get(&**tx, user_id, id).await?;
    check_version(expected, token.version)?;
    let text = "DELETE FROM personal_tokens WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, [id.into(), user_id.into()]).await?;
    Ok(())
}
