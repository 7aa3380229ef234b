//! Opening the embedded database: WAL, one writer, a pool of readers, every commit on the disk.

pub(super) mod writer;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::{DatabaseConnection, SqlxSqliteConnector};

use super::StoreError;
use crate::config::Config;

/// Statements that each connection keeps prepared.
const STATEMENTS_MAX: usize = 256;

/// The pages of 4 KiB in the WAL from which on a commit moves them into the database's file. (Usually
/// after a thousand of them: with many bookings that was a seventh of the writer's work.)
const CHECKPOINT_PAGES: u32 = 4_000;

/// An error if the database's file is not there.
pub(super) fn expect_existing(config: &Config) -> Result<(), StoreError> {
    let url = config.database_url();
    let options = connect_options(&url)?;
    let file = options.get_filename();
    if file.exists() {
        return Ok(());
    }
    Err(StoreError::Absent(file.display().to_string()))
}

fn connect_options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    SqliteConnectOptions::from_str(url)
        .map_err(|error| StoreError::Busy(format!("database.url: {error}")))
}

/// The connection that writes, and the pool that only reads.
pub(super) async fn open(
    config: &Config,
) -> Result<(DatabaseConnection, DatabaseConnection), StoreError> {
    let options = connect_options(&config.database_url())?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(config.database.busy_timeout)
        .statement_cache_capacity(STATEMENTS_MAX);
    // What a statement would undo is kept in memory: a file of it was another seventh.
    let writes = options
        .clone()
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string());
    let writes = pool(writes, 1).await?;
    let reads = pool(
        options.pragma("query_only", "1"),
        config.database.read_connections_max,
    )
    .await?;
    Ok((writes, reads))
}

/// A connection that only reads, outside of the pools.
pub(super) async fn reader(config: &Config) -> Result<SqliteConnection, StoreError> {
    let options =
        connect_options(&config.database_url())?.busy_timeout(config.database.busy_timeout);
    connect(options).await
}

/// The same, on another file.
pub(super) async fn reader_of(file: &Path) -> Result<SqliteConnection, StoreError> {
    connect(SqliteConnectOptions::new().filename(file)).await
}

async fn connect(options: SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    options
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|error| StoreError::Busy(format!("cannot open the database: {error}")))
}

async fn pool(
    options: SqliteConnectOptions,
    connections_max: u32,
) -> Result<DatabaseConnection, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections_max)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .connect_with(options.disable_statement_logging())
        .await
        .map_err(|error| StoreError::Busy(format!("cannot open the database: {error}")))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// Closes the only connection of a pool, whatever its state; the next use opens another.
pub(super) async fn renew(db: &DatabaseConnection) -> Result<(), StoreError> {
    let pool = db.get_sqlite_connection_pool();
    let connection = pool
        .acquire()
        .await
        .map_err(|error| StoreError::Busy(error.to_string()))?;
    // Closing rolls back what is open. What closing has to complain of is moot.
    let _ = connection.close().await;
    Ok(())
}
