//! The only place with SQL: the books, the event log, the inbox, the read models, the alerts.
//!
//! Reads go to a pool; every write is a unit of work that [`Store::write`] commits whole or not at
//! all. A function that changes state takes a [`Tx`] and appends its event to the log in the same
//! unit, so that no caller can write one without the other. Every function that touches somebody's
//! data takes the user's id; what must look across users says so in its name.

/// Alerts of the notifier, and the cursor of the live streams.
pub mod alerts;
/// Recounts what is kept, and repairs it.
pub mod audit;
/// Budgets and their standing in a period.
pub mod budgets;
/// Categories of bookings.
pub mod categories;
/// What the dashboard shows.
pub mod dashboard;
/// Events that will never work.
pub mod dead_letters;
/// Tables as sea-orm knows them.
pub mod entities;
/// The event log and the cursors of its readers.
pub mod event_log;
/// First answers to requests with an Idempotency-Key.
pub mod idempotency;
/// Which events a consumer has handled.
pub mod inbox;
/// Sums that the projector keeps.
pub mod read_models;
/// Sessions and their refresh tokens.
pub mod sessions;
/// Wake-ups between those who write and those who wait.
pub mod signals;
/// Bookings: the row, the wallet's balance and the event, together.
pub mod transactions;
/// Removes what nobody needs any more.
pub mod trim;
/// Users.
pub mod users;
/// Wallets and their balances.
pub mod wallets;

mod error;
mod page;
mod sql;
mod sqlite;
mod writer;

use std::sync::Arc;

use migrations::{Migrator, MigratorTrait};
use sea_orm::DatabaseConnection;
use tokio::task::JoinHandle;

pub use error::{Conflict, StoreError};
pub use page::{Page, PageRequest};
pub use signals::Signals;
pub use writer::Tx;

use crate::config::Config;
use signals::Signal;
use writer::Writer;

/// The nil uuid in key columns that cannot be null: "no category".
pub(crate) const NO_CATEGORY: uuid::Uuid = uuid::Uuid::nil();

/// The database: a pool to read from, and the writer.
#[derive(Debug, Clone)]
pub struct Store {
    reads: DatabaseConnection,
    writer: Writer,
    signals: Arc<Signals>,
}

impl Store {
    /// Opens the database of the configuration and brings its schema up to date; an embedded
    /// database is made where there is none. The handle ends when the writer does: watch it.
    ///
    /// # Errors
    /// The database cannot be opened or migrated.
    pub async fn open(config: &Config) -> Result<(Self, JoinHandle<()>), StoreError> {
        let (writes, reads) = sqlite::open(config).await?;
        Migrator::up(&writes, None).await?;
        let signals = Arc::new(Signals::default());
        let (writer, task) = Writer::start(writes, Arc::clone(&signals), &config.database);
        Ok((
            Self {
                reads,
                writer,
                signals,
            },
            task,
        ))
    }

    /// Opens a database that is there: for looking at it.
    ///
    /// # Errors
    /// There is none, or as [`Self::open`].
    pub async fn open_existing(config: &Config) -> Result<(Self, JoinHandle<()>), StoreError> {
        sqlite::expect_existing(config)?;
        Self::open(config).await
    }

    /// Where queries go that change nothing.
    #[must_use]
    pub fn reads(&self) -> &DatabaseConnection {
        &self.reads
    }

    /// Wake-ups of what was committed.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Commits what the unit does, whole or not at all. Units that wait at the same time share one
    /// commit; one that fails takes nothing of its neighbours with it.
    ///
    /// # Errors
    /// The unit's own, with nothing written; or [`StoreError::Busy`] when the database could not
    /// commit.
    pub async fn write<T, F, U>(&self, unit: U) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        U: FnOnce(Tx) -> F + Send + 'static,
    {
        self.writer.write(unit).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.reads.ping().await?)
    }
}
