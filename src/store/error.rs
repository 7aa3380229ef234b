//! What can go wrong in the store, decided here once and mapped once to HTTP and to the bus.

use std::borrow::Cow;

use sea_orm::sqlx::postgres::PgDatabaseError;
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
    /// The user has a rate of these currencies and day.
    Rate,
    /// Something still refers to what was to be deleted.
    InUse,
    /// The Idempotency-Key was used for another request.
    KeyReused,
    /// The Idempotency-Key was used a moment ago, by another replica.
    KeyTaken,
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
        /// The field's name; `splits/0/amount` for one within others.
        field: Cow<'static, str>,
        /// What is wrong with it, for the client.
        detail: String,
    },
    /// A fault that passes: locked, full, unreachable. Try again; where the answer to a commit was lost,
    /// nobody knows whether it was made.
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
    pub(crate) fn invalid(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
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
/// PostgreSQL's codes for a sum that leaves the range of amounts: check_violation,
/// numeric_value_out_of_range (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
const POSTGRES_RANGE: [&str; 2] = ["23514", "22003"];
/// Classes and codes of PostgreSQL that pass by themselves, or when somebody makes room: connection,
/// rollback by a deadlock or a conflict, resources, a lock that was not to be had, a server that
/// stops or starts, a system error, a standby that only reads, and a password that is being changed.
const POSTGRES_PASSING: [&str; 8] = ["08", "40", "53", "55", "57", "58", "25006", "28"];

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
        match fault_of(&error) {
            Fault::Range => Self::invalid("amount", "a sum would leave the range of amounts"),
            Fault::Passing => Self::Busy(error.to_string()),
            Fault::Ours => Self::Defect(error.to_string()),
        }
    }
}

/// Both name the key in their way: SQLite by its columns, PostgreSQL by its name.
fn unique_key_of(message: &str) -> Conflict {
    let named = |names: [&str; 2]| names.iter().any(|name| message.contains(name));
    if named(["users.email", "ux_users_email"]) {
        Conflict::Email
    } else if named(["wallets.name", "ux_wallets_user_id_name"]) {
        Conflict::WalletName
    } else if named(["categories.name", "ux_categories_user_id_kind_name"]) {
        Conflict::CategoryName
    } else if named([
        "user_rates.from_currency",
        "ux_user_rates_user_id_from_currency_to_currency_date",
    ]) {
        Conflict::Rate
    } else if named(["idempotency_keys.key", "idempotency_keys_pkey"]) {
        Conflict::KeyTaken
    } else {
        Conflict::Other
    }
}

enum Fault {
    /// A sum would leave the range of amounts.
    Range,
    /// It passes.
    Passing,
    /// The database is not what the code believes.
    Ours,
}

fn fault_of(error: &DbErr) -> Fault {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))
    | DbErr::Conn(RuntimeErr::SqlxError(cause))) = error
    else {
        return match error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Fault::Passing,
            _ => Fault::Ours,
        };
    };
    match cause.as_ref() {
        sqlx::Error::Database(answer) => {
            let code = answer.code().unwrap_or_default();
            if answer.try_downcast_ref::<PgDatabaseError>().is_some() {
                of_postgres(&code)
            } else {
                of_sqlite(&code)
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Fault::Passing,
        _ if matches!(error, DbErr::Conn(_)) => Fault::Passing,
        _ => Fault::Ours,
    }
}

/// Whether PostgreSQL gave up waiting for a lock: lock_not_available.
pub(super) fn is_lock_wait(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) =
        error
    else {
        return false;
    };
    let answer = cause.as_database_error();
    answer.is_some_and(|answer| answer.code().as_deref() == Some("55P03"))
}

fn of_sqlite(code: &str) -> Fault {
    match code.parse::<i32>() {
        Ok(SQLITE_CHECK) => Fault::Range,
        Ok(code) if SQLITE_PASSING.contains(&(code & 0xff)) => Fault::Passing,
        _ => Fault::Ours,
    }
}

fn of_postgres(code: &str) -> Fault {
    if POSTGRES_RANGE.contains(&code) {
        Fault::Range
    } else if POSTGRES_PASSING
        .iter()
        .any(|passing| code.starts_with(passing))
    {
        Fault::Passing
    } else {
        Fault::Ours
    }
}
