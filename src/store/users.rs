//! Users: who they are, their currency and time zone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter};
use uuid::Uuid;

use super::entities::users;
use super::given::Given;
use super::sql::{execute, held, one};
use super::{StoreError, Tx, recurring};
use crate::domain::money::Currency;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// Lower case.
    pub email: String,
    /// What the user wants to be called.
    pub name: Option<String>,
    /// The user's main currency.
    pub currency: Currency,
    /// Where the user's days begin and end.
    pub time_zone: Tz,
    /// Whether figures of theirs may be given to the AI provider, to be put into words.
    pub ai_enabled: bool,
    /// Counts changes.
    pub version: i64,
    /// When the user registered.
    pub created_at: DateTime<Utc>,
    /// When the user was last changed.
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<users::Model> for User {
    type Error = StoreError;

    fn try_from(row: users::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            email: row.email,
            name: row.name,
            currency: Currency::parse(&row.currency).map_err(StoreError::defect)?,
            time_zone: row.time_zone.parse().map_err(StoreError::defect)?,
            ai_enabled: row.ai_enabled,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Registers a user.
///
/// # Errors
/// [`super::Conflict::Email`] when the address is taken.
pub async fn create(tx: &Tx, user: &User, password_hash: String) -> Result<(), StoreError> {
    execute(
        &**tx,
        "INSERT INTO users (id, email, password_hash, name, currency, time_zone, ai_enabled, version, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        [
            user.id.into(),
            user.email.clone().into(),
            password_hash.into(),
            user.name.clone().into(),
            user.currency.code().into(),
            user.time_zone.name().into(),
            user.ai_enabled.into(),
            user.version.into(),
            user.created_at.into(),
            user.updated_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The user of this id.
///
/// # Errors
/// There is none.
pub async fn get(db: &impl ConnectionTrait, id: Uuid) -> Result<User, StoreError> {
    users::Entity::find_by_id(id)
        .one(db)
        .await?
        .ok_or(StoreError::NotFound("user"))?
        .try_into()
}

/// The user of this id, and whether any rule of theirs is enabled.
///
/// # Errors
/// There is none.
pub async fn with_rules(db: &impl ConnectionTrait, id: Uuid) -> Result<(User, bool), StoreError> {
    let text = "SELECT users.*, EXISTS (SELECT 1 FROM rules WHERE user_id = users.id AND is_enabled) AS has_rules \
         FROM users WHERE id = $1";
    let row = one(db, text, [id.into()]).await?;
    let row = row.ok_or(StoreError::NotFound("user"))?;
    let user = users::Model::from_query_result(&row, "")?.try_into()?;
    Ok((user, row.try_get("", "has_rules")?))
}

/// The user of this address with the hash of the password, for signing in.
///
/// # Errors
/// The database cannot be read.
pub async fn by_email(
    db: &impl ConnectionTrait,
    email: &str,
) -> Result<Option<(User, String)>, StoreError> {
    // PostgreSQL has no such text, so nobody has such an address.
    if email.contains('\0') {
        return Ok(None);
    }
    let Some(row) = users::Entity::find()
        .filter(users::Column::Email.eq(email))
        .one(db)
        .await?
    else {
        return Ok(None);
    };
    let hash = row.password_hash.clone();
    Ok(Some((row.try_into()?, hash)))
}

/// Replaces the hash of a password by another of the same one, unless it is another's by now.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn hash_anew(tx: &Tx, id: Uuid, old: String, new: String) -> Result<(), StoreError> {
    let text = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
    execute(&**tx, text, [id.into(), old.into(), new.into()]).await?;
    Ok(())
}

/// Holds the user until the unit of work ends: of those who change what they have read of the user's
/// settings or of a booking, and consumers with events of theirs, one works at a time. New bookings are
/// not held up: they hold their wallet alone. Says whether there is such a user.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn hold(tx: &Tx, id: Uuid) -> Result<bool, StoreError> {
    let text = format!("SELECT 1 FROM users WHERE id = $1{}", held(&**tx));
    Ok(one(&**tx, text, [id.into()]).await?.is_some())
}

/// Holds the user until the unit of work ends, unless somebody else does or there is no such user; gives where the
/// user's days begin and end.
///
/// # Errors
/// The unit of work cannot go on.
pub(super) async fn hold_if_free(tx: &Tx, id: Uuid) -> Result<Option<Tz>, StoreError> {
    let held = match tx.get_database_backend() {
        DbBackend::Postgres => " FOR NO KEY UPDATE SKIP LOCKED",
        _ => "",
    };
    let text = format!("SELECT time_zone FROM users WHERE id = $1{held}");
    let row = one(&**tx, text, [id.into()]).await?;
    let zone: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    zone.map(|zone| zone.parse().map_err(StoreError::defect))
        .transpose()
}

/// What a user may change of themselves; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// The main currency.
    pub currency: Option<Currency>,
    /// The time zone.
    pub time_zone: Option<Tz>,
    /// The name; `Some(None)` removes it.
    pub name: Option<Option<String>>,
    /// Whether figures may be given to the AI provider.
    pub ai_enabled: Option<bool>,
}

/// Changes the user.
///
/// # Errors
/// [`StoreError::Stale`] when the version is not the expected one.
pub async fn change(
    tx: &Tx,
    id: Uuid,
    expected: Option<i64>,
    change: UserChange,
    now: DateTime<Utc>,
) -> Result<User, StoreError> {
    hold(tx, id).await?;
    let mut user = get(&**tx, id).await?;
    check_version(expected, user.version)?;
    user.currency = change.currency.unwrap_or(user.currency);
    if let Some(zone) = change.time_zone.filter(|zone| *zone != user.time_zone) {
        user.time_zone = zone;
        recurring::move_to(tx, id, zone).await?;
    }
    user.name = change.name.unwrap_or(user.name);
    user.ai_enabled = change.ai_enabled.unwrap_or(user.ai_enabled);
    user.version += 1;
    user.updated_at = now;
    execute(
        &**tx,
        "UPDATE users SET currency = $2, time_zone = $3, name = $4, version = $5, updated_at = $6, ai_enabled = $7 \
         WHERE id = $1",
        [
            id.into(),
            user.currency.code().into(),
            user.time_zone.name().into(),
            user.name.clone().into(),
            user.version.into(),
            now.into(),
            user.ai_enabled.into(),
        ],
    )
    .await?;
    Ok(user)
}

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concerned {
    /// A user.
    User {
        /// Where the user's days begin and end.
        time_zone: Tz,
        /// Whether a goal follows a wallet of theirs, and is not achieved yet.
        saves: bool,
    },
    /// Somebody who has left: nothing more is to be done for them.
    Left,
    /// Nobody that we ever knew.
    Nobody,
}

/// Whom events are about, across users: for consumers. The users are held until the unit of work
/// ends, so that of two consumers with events of one user one works at a time: sums that are read and
/// written back stay right, and a user's alerts are numbered in the order of their commits.
///
/// # Errors
/// The database cannot be read.
pub async fn concerned(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<BTreeMap<Uuid, Concerned>, StoreError> {
    let mut concerned: BTreeMap<Uuid, Concerned> =
        ids.into_iter().map(|id| (id, Concerned::Nobody)).collect();
    // In the order of their ids, through all pieces: two consumers do not wait for each other.
    let given = Given::new(["id"], concerned.keys().map(|id| [(*id).into()]));
    let held = held(db);
    let text = format!(
        "SELECT id, time_zone, EXISTS (SELECT 1 FROM goals WHERE goals.user_id = users.id \
         AND goals.wallet_id IS NOT NULL AND goals.achieved_at IS NULL) FROM users WHERE id IN (SELECT id FROM given) ORDER BY id{held}"
    );
    for row in given.run(db, &text, []).await? {
        let time_zone: String = row.try_get_by_index(1)?;
        let time_zone = time_zone.parse().map_err(StoreError::defect)?;
        let saves = row.try_get_by_index(2)?;
        concerned.insert(
            row.try_get_by_index(0)?,
            Concerned::User { time_zone, saves },
        );
    }
    let missing = concerned
        .iter()
        .filter(|(_, who)| **who == Concerned::Nobody);
    let missing = Given::new(["id"], missing.map(|(id, _)| [(*id).into()]));
    let text = "SELECT id FROM deleted_users WHERE id IN (SELECT id FROM given)";
    for row in missing.run(db, text, []).await? {
        concerned.insert(row.try_get_by_index(0)?, Concerned::Left);
    }
    Ok(concerned)
}

/// The version that a change was made for must be the current one; none accepts any.
pub(super) fn check_version(expected: Option<i64>, current: i64) -> Result<(), StoreError> {
    match expected {
        Some(version) if version != current => Err(StoreError::Stale { current }),
        _ => Ok(()),
    }
}
