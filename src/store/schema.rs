//! The schema: which migrations the database has, and bringing it up to date.
//!
//! The embedded database is migrated when it is opened. A server's is migrated by `migrate up`: the
//! roles wait until it is. Migrations only expand in one release and contract in a later one, so a
//! database that is ahead of this binary is fine.

use std::collections::BTreeSet;

use migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, SqlxPostgresConnector, TransactionTrait};
use sha2::{Digest, Sha256};

use super::sql::{all, execute, one};
use super::{Store, StoreError, postgres, sqlite};
use crate::config::Config;

/// The lock of PostgreSQL under which one migrates at a time; a number of our own.
const LOCK: i64 = 0x7765_616c_7468;

/// A migration of this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Brings the schema up to date.
pub(super) async fn up(db: &DatabaseConnection) -> Result<(), StoreError> {
    Ok(Migrator::up(db, None).await?)
}

/// The migrations that the database lacks, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn pending(store: &Store) -> Result<Vec<String>, StoreError> {
    let steps = steps_of(store.reads()).await?;
    let pending = steps.into_iter().filter(|step| !step.applied);
    Ok(pending.map(|step| step.name).collect())
}

async fn steps_of(db: &impl ConnectionTrait) -> Result<Vec<Step>, StoreError> {
    let applied = applied(db).await?;
    let steps = Migrator::migrations().into_iter().map(|migration| {
        let name = migration.name().to_owned();
        let applied = applied.contains(&name);
        Step { name, applied }
    });
    Ok(steps.collect())
}

async fn applied(db: &impl ConnectionTrait) -> Result<BTreeSet<String>, StoreError> {
    let is_there = match db.get_database_backend() {
        sea_orm::DbBackend::Postgres => {
            "SELECT 1 WHERE to_regclass('seaql_migrations') IS NOT NULL"
        }
        _ => "SELECT 1 FROM sqlite_master WHERE name = 'seaql_migrations'",
    };
    if one(db, is_there, []).await?.is_none() {
        return Ok(BTreeSet::new());
    }
    let rows = all(db, "SELECT version FROM seaql_migrations", []).await?;
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}

/// What tells this database from others: the same in every process that uses it, by whatever way it
/// connects. It is a word of hexadecimal digits, and tells nothing of where the database is.
///
/// # Errors
/// The database cannot be read, or was never migrated.
pub async fn installation(store: &Store) -> Result<String, StoreError> {
    let db = store.reads();
    // Clones on one server differ by their names, databases of one name by when they were made.
    let name = match db.get_database_backend() {
        sea_orm::DbBackend::Postgres => "current_database()::text",
        _ => "(SELECT file FROM pragma_database_list WHERE name = 'main')",
    };
    let text = format!("SELECT {name}, min(applied_at) FROM seaql_migrations");
    let row = one(db, text, [])
        .await?
        .ok_or_else(|| StoreError::defect("no migration was applied"))?;
    let (name, made): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let digest = Sha256::digest(format!("{made} {name}"));
    Ok(digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// A database whose schema is looked at or changed: the one of the configuration, without a pooler
/// in between.
#[derive(Debug)]
pub struct Schema {
    db: DatabaseConnection,
}

impl Schema {
    /// Connects to it; an embedded database is made where there is none.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, StoreError> {
        let db = if config.is_server_database() {
            let pool = postgres::open_direct(config).await?;
            SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
        } else {
            sqlite::open(config).await?.0
        };
        Ok(Self { db })
    }

    /// Connects to one that is there.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub async fn open_existing(config: &Config) -> Result<Self, StoreError> {
        if !config.is_server_database() {
            sqlite::expect_existing(config)?;
        }
        Self::open(config).await
    }

    /// All migrations of this binary, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn steps(&self) -> Result<Vec<Step>, StoreError> {
        steps_of(&self.db).await
    }

    /// Applies what is pending, all or nothing; gives the names. Of two who do so at once, one waits
    /// for the other and then finds nothing to do.
    ///
    /// # Errors
    /// The database refuses; nothing is changed.
    pub async fn up(&self) -> Result<Vec<String>, StoreError> {
        let tx = self.db.begin().await?;
        lock(&tx).await?;
        let before = applied(&tx).await?;
        Migrator::up(&tx, None).await?;
        let steps = steps_of(&tx).await?;
        tx.commit().await?;
        let new = steps
            .into_iter()
            .filter(|step| !before.contains(&step.name));
        Ok(new.map(|step| step.name).collect())
    }

    /// Takes back the newest migrations, so many, with the data that only they had room for; gives
    /// the names, newest first.
    ///
    /// # Errors
    /// The database refuses; nothing is changed.
    pub async fn down(&self, count: u32) -> Result<Vec<String>, StoreError> {
        let tx = self.db.begin().await?;
        lock(&tx).await?;
        let before = applied(&tx).await?;
        Migrator::down(&tx, Some(count)).await?;
        let after = applied(&tx).await?;
        tx.commit().await?;
        let mut gone: Vec<String> = before.difference(&after).cloned().collect();
        gone.reverse();
        Ok(gone)
    }
}

/// Held until the transaction ends, so that it survives no crash, and works behind a pooler.
async fn lock(tx: &impl ConnectionTrait) -> Result<(), StoreError> {
    if tx.get_database_backend() == sea_orm::DbBackend::Postgres {
        execute(tx, "SELECT pg_advisory_xact_lock($1)", [LOCK.into()]).await?;
    }
    Ok(())
}
