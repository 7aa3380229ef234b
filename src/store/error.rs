//! What can go wrong in the store, decided here once and mapped once to HTTP and to the bus.

use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// A write that contradicts what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Somebody is registered with this e-mail address.
    Email,
    /// The user has a wallet of this name.
    WalletName,
    /// The user has a category of this kind and name.
    CategoryName,
    /// Something still refers to what was to be deleted.
    InUse,
    /// The Idempotency-Key was used for another request.
    KeyReused,
    /// A unique key that no client can choose.
    Other,
}

/// Why the store did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing, or it is somebody else's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The version that the change was made for is not the current one.
    #[error("the version is {current} by now")]
    Stale {
        /// The current version.
        current: i64,
    },
    /// It contradicts what is there.
    #[error("conflict: {0:?}")]
    Conflict(Conflict),
    /// A field of the input does not fit what is there.
    #[error("{field}: {detail}")]
    Invalid {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it, for the client.
        detail: String,
    },
    /// A fault that passes: locked, full, unreachable. Nothing was written; try again.
    #[error("the database cannot do it now: {0}")]
    Busy(String),
    /// The database that was to be looked at is not there.
    #[error("there is no database at {0}: start the server once, or set data_dir or database.url")]
    Absent(String),
    /// Our fault: the database or a row is not what the code believes.
    #[error("defect: {0}")]
    Defect(String),
}

impl StoreError {
    /// A field that does not fit what is there.
    pub(crate) fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            detail: detail.into(),
        }
    }

    /// A row that is not what the code believes.
    pub(crate) fn defect(detail: impl std::fmt::Display) -> Self {
        Self::Defect(detail.to_string())
    }
}

/// SQLite's result codes that pass by themselves, or when somebody makes room: busy, locked,
/// I/O error, full, cannot open, read-only (<https://www.sqlite.org/rescode.html>).
const SQLITE_PASSING: [i32; 6] = [5, 6, 10, 13, 14, 8];
/// SQLITE_CONSTRAINT_CHECK.
const SQLITE_CHECK: i32 = 275;

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(message)) => {
                return Self::Conflict(unique_key_of(&message));
            }
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => {
                return Self::Conflict(Conflict::InUse);
            }
            _ => {}
        }
        let code = sqlite_code(&error);
        if code == Some(SQLITE_CHECK) {
            return Self::invalid("amount", "a sum would leave the range of amounts");
        }
        let passes = code.map_or_else(
            || is_connection(&error),
            |code| SQLITE_PASSING.contains(&(code & 0xff)),
        );
        if passes {
            Self::Busy(error.to_string())
        } else {
            Self::Defect(error.to_string())
        }
    }
}

/// SQLite names the columns of a unique key, not the key.
fn unique_key_of(message: &str) -> Conflict {
    let named = |column: &str| message.contains(column);
    if named("users.email") {
        Conflict::Email
    } else if named("wallets.name") {
        Conflict::WalletName
    } else if named("categories.name") {
        Conflict::CategoryName
    } else {
        Conflict::Other
    }
}

fn sqlite_code(error: &DbErr) -> Option<i32> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))
    | DbErr::Conn(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    let sqlx::Error::Database(error) = error.as_ref() else {
        return None;
    };
    error.code()?.parse().ok()
}

fn is_connection(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            matches!(
                error.as_ref(),
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed
            )
        }
        _ => false,
    }
}
