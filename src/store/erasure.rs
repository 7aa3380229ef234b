//! Erasure of a user: all that is theirs, everywhere in the database.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::event_log::{self, LogPosition};
use super::sql::{execute, one};
use super::{StoreError, Tx, dead_letters, users, wallets};

/// Removes a user and all that is theirs, with what the log says of them: `said`, from
/// [`event_log::positions_of`], and what came since. What the bus still carries will be skipped.
///
/// # Errors
/// There is no such user.
pub async fn erase(
    tx: &Tx,
    user_id: Uuid,
    said: &[LogPosition],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    hold_out(tx, user_id).await?;
    // What refers to others of the user's goes before them.
    for table in [
        "transactions",
        "recurring",
        "rule_runs",
        "rules",
        "goals",
        "budgets",
        "categories",
        "wallets",
    ] {
        let text = format!("DELETE FROM {table} WHERE user_id = $1");
        execute(&**tx, text, [user_id.into()]).await?;
    }
    let done = execute(&**tx, "DELETE FROM users WHERE id = $1", [user_id.into()]).await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::NotFound("user"));
    }
    event_log::forget(tx, user_id, said).await?;
    dead_letters::forget(tx, user_id).await?;
    execute(
        &**tx,
        "INSERT INTO deleted_users (id, deleted_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        [user_id.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Nothing is written any more of the user's books, nor said of them, from here on. The order matters: a booking holds its
/// wallet before its rows point at the user, so it is let through before the user is closed.
async fn hold_out(tx: &Tx, user_id: Uuid) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    wallets::hold_all(tx, user_id).await?;
    if tx.get_database_backend() == DbBackend::Postgres {
        let text = "SELECT 1 FROM users WHERE id = $1 FOR UPDATE";
        one(&**tx, text, [user_id.into()]).await?;
    }
    Ok(())
}
