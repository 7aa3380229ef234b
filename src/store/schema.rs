//! The schema: which migrations the database has, and bringing it up to date.
//!
//! The embedded database is migrated when it is opened. A server's is migrated by `migrate up`: the
//! roles wait until it is. Migrations only expand in one release and contract in a later one, so a
//! database that is ahead of this binary is fine.

use std::collections::BTreeSet;
use std::time::Duration;

use migrations::{Known, Migrations, Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    SqlxPostgresConnector, TransactionOptions, TransactionTrait,
};
use sha2::{Digest, Sha256};

use super::sql::{all, execute, one};
use super::{Store, StoreError, error, event_log, postgres, sqlite};
use crate::config::Config;

/// The lock of PostgreSQL under which one migrates at a time; a number of our own.
const LOCK: i64 = 0x7765_616c_7468;
/// How often it is asked for.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// The lock under which one lets the log go on at a time.
const LOG_LOCK: i64 = LOCK + 1;

/// A migration of this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// How long a step waits for a table that others use: as long as it waits, others wait behind it.
const LOCK_WAIT_MS: u32 = 50;
/// After which pause it tries again, for those others to go on.
const LOCK_PAUSE: Duration = Duration::from_millis(500);
/// How often it tries: minutes, for a table that somebody does not let go of.
const LOCK_TRIES_MAX: u32 = 600;

/// Brings the schema of an embedded database up to date, all or nothing.
pub(super) async fn up(db: &DatabaseConnection) -> Result<(), StoreError> {
    up_at_once(db, Migrator::migrations).await.map(|_| ())
}

async fn up_at_once(
    db: &DatabaseConnection,
    migrations: Migrations,
) -> Result<Vec<String>, StoreError> {
    // Of two processes one waits here.
    let tx = db
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    let before = applied(&tx).await?;
    known(migrations, &before).up(&tx, None).await?;
    tx.commit().await?;
    Ok(names(migrations)
        .filter(|name| !before.contains(name))
        .collect())
}

fn names(migrations: Migrations) -> impl Iterator<Item = String> {
    let all = migrations().into_iter();
    all.map(|migration| migration.name().to_owned())
}

/// The release's migrations, for a database that has these.
fn known(migrations: Migrations, applied: &BTreeSet<String>) -> Known {
    let known: BTreeSet<String> = names(migrations).collect();
    Known {
        migrations,
        newer: applied.difference(&known).cloned().collect(),
    }
}

/// The migrations that the database lacks, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn pending(store: &Store) -> Result<Vec<String>, StoreError> {
    let steps = steps_of(store.reads(), Migrator::migrations).await?;
    let pending = steps.into_iter().filter(|step| !step.applied);
    Ok(pending.map(|step| step.name).collect())
}

async fn steps_of(
    db: &impl ConnectionTrait,
    migrations: Migrations,
) -> Result<Vec<Step>, StoreError> {
    let applied = applied(db).await?;
    let steps = names(migrations).map(|name| {
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

/// Lets the log of a database that was restored on another server go on there. Roles do so before they
/// write; of several that do so at once, one waits for the other.
///
/// # Errors
/// The database cannot do it now.
pub async fn settle_log(store: &Store) -> Result<(), StoreError> {
    store
        .write(|tx| async move {
            if tx.get_database_backend() == DbBackend::Postgres {
                execute(&*tx, "SELECT pg_advisory_xact_lock($1)", [LOG_LOCK.into()]).await?;
            }
            tell_of_move(event_log::go_on(&*tx).await?);
            Ok(())
        })
        .await
}

fn tell_of_move(raised: Option<i64>) {
    if let Some(raised) = raised {
        tracing::warn!(
            raised,
            "the log was written on another server: it goes on after what it holds"
        );
    }
}

/// A database whose schema is looked at or changed: the one of the configuration, without a pooler
/// in between.
#[derive(Debug)]
pub struct Schema {
    db: DatabaseConnection,
    migrations: Migrations,
}

impl Schema {
    /// Connects to it; an embedded database is made where there is none.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, StoreError> {
        Self::of_release(config, Migrator::migrations).await
    }

    /// The same, as a release with these migrations does.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub async fn of_release(config: &Config, migrations: Migrations) -> Result<Self, StoreError> {
        let db = if config.is_server_database() {
            let pool = postgres::open_direct(config).await?;
            SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
        } else {
            sqlite::open(config).await?.0
        };
        Ok(Self { db, migrations })
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
        steps_of(&self.db, self.migrations).await
    }

    /// The names of the migrations that the database has and this binary does not know: it was migrated
    /// by a newer release, on whose schema this one runs as well.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn newer(&self) -> Result<Vec<String>, StoreError> {
        Ok(known(self.migrations, &applied(&self.db).await?).newer)
    }

    /// Applies what is pending; gives the names. Of two who do so at once, one waits for the other and
    /// then finds nothing to do. An embedded database gets all or nothing. On a server's, which others
    /// use meanwhile, each step is a transaction of its own, or an index that is built beside those who
    /// write; one that cannot have its table at once lets them go on, and tries again.
    ///
    /// # Errors
    /// The database refuses; on a server the steps before are done.
    pub async fn up(&self) -> Result<Vec<String>, StoreError> {
        match self.db.get_database_backend() {
            DbBackend::Postgres => self.up_step_by_step().await,
            _ => up_at_once(&self.db, self.migrations).await,
        }
    }

    async fn up_step_by_step(&self) -> Result<Vec<String>, StoreError> {
        let alone = self.alone().await?;
        let before = applied(&self.db).await?;
        let release = known(self.migrations, &before);
        let mut done = Vec::new();
        for step in (self.migrations)() {
            if before.contains(step.name()) {
                continue;
            }
            if step.use_transaction() == Some(false) {
                release.up(&self.db, Some(1)).await?;
            } else {
                self.step_up(&release, step.name()).await?;
            }
            done.push(step.name().to_owned());
        }
        let tx = self.db.begin().await?;
        tell_of_move(event_log::go_on(&tx).await?);
        tx.commit().await?;
        alone.commit().await?;
        Ok(done)
    }

    /// The next step, in a transaction that waits for no table for long.
    async fn step_up(&self, release: &Known, name: &str) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            let tx = self.db.begin().await?;
            let patience = format!("SET LOCAL lock_timeout = {LOCK_WAIT_MS}");
            execute(&tx, patience, []).await?;
            match release.up(&tx, Some(1)).await {
                Ok(()) => return Ok(tx.commit().await?),
                Err(error) if error::is_lock_wait(&error) => {
                    tx.rollback().await?;
                    tries += 1;
                    if tries == LOCK_TRIES_MAX {
                        let text = format!(
                            "{name}: others have held a table of it for minutes: pg_stat_activity tells who"
                        );
                        return Err(StoreError::Busy(text));
                    }
                    if tries == 1 {
                        tracing::info!(name, "others hold a table of this step: it tries again");
                    }
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until nobody else migrates, and keeps others from it until the transaction ends: so the lock
    /// survives no crash, and works behind a pooler. It asks again and again, since one that waits inside
    /// of a statement is waited for by an index that is built beside.
    async fn alone(&self) -> Result<DatabaseTransaction, StoreError> {
        let tx = self.db.begin().await?;
        if tx.get_database_backend() != DbBackend::Postgres {
            return Ok(tx);
        }
        // It does nothing for as long as the steps take.
        let rest = "SET LOCAL idle_in_transaction_session_timeout = 0";
        execute(&tx, rest, []).await?;
        loop {
            let text = "SELECT 1 WHERE pg_try_advisory_xact_lock($1)";
            if one(&tx, text, [LOCK.into()]).await?.is_some() {
                return Ok(tx);
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Takes back the newest migrations, so many, with the data that only they had room for; gives
    /// the names, newest first.
    ///
    /// # Errors
    /// The database refuses, or was migrated by a newer release; nothing is changed.
    pub async fn down(&self, count: u32) -> Result<Vec<String>, StoreError> {
        let tx = self.alone().await?;
        let before = applied(&tx).await?;
        known(self.migrations, &before)
            .down(&tx, Some(count))
            .await?;
        let after = applied(&tx).await?;
        tx.commit().await?;
        let mut gone: Vec<String> = before.difference(&after).cloned().collect();
        gone.reverse();
        Ok(gone)
    }
}
