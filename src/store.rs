//! The only place with SQL: the books, the event log, the inbox, the read models, the alerts.
//!
//! Reads go to a pool; every write is a unit of work that [`Store::write`] commits whole or not at
//! all. A function that changes state takes a [`Tx`] and appends its event to the log in the same
//! unit, so that no caller can write one without the other. Every function that touches somebody's
//! data takes the user's id; what must look across users says so in its name.

/// Alerts of the notifier, and the cursor of the live streams.
pub mod alerts;
/// Bookings the short way.
pub mod at_once;
/// Recounts what is kept, and repairs it.
pub mod audit;
/// A copy of the embedded database.
pub mod backup;
/// Budgets and their standing in a period.
pub mod budgets;
/// Categories of bookings.
pub mod categories;
/// What the dashboard shows.
pub mod dashboard;
/// Events that will never work.
pub mod dead_letters;
/// Alerts on their way to people by mail.
pub mod deliveries;
/// Tables as sea-orm knows them.
pub mod entities;
/// All that is somebody's, removed.
pub mod erasure;
/// The event log and the cursors of its readers.
pub mod event_log;
/// What people save for.
pub mod goals;
/// First answers to requests with an Idempotency-Key.
pub mod idempotency;
/// Which events a consumer has handled.
pub mod inbox;
/// What was found worth knowing.
pub mod insights;
/// What people have chosen to be told of, and how.
pub mod notifications;
/// What of the log is still to be published outside of the database.
pub mod outbox;
/// Personal access tokens.
pub mod personal_tokens;
/// Exchange rates.
pub mod rates;
/// Sums that the projector keeps.
pub mod read_models;
/// Bookings that come again.
pub mod recurring;
/// Runs of rules over what was booked before.
pub mod rule_runs;
/// Rules by which bookings get their category, payee and tags.
pub mod rules;
/// Bookings by words.
pub mod search;
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

/// Brings the schema up to date, and tells how far it is.
pub mod schema;

/// What statements run on.
pub mod connection;
mod error;
mod given;
mod log_entry;
mod owned;
mod page;
mod postgres;
mod sql;
mod sqlite;
mod tx;

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::KeyValue;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::task::JoinHandle;

pub use connection::Connection;
pub use error::{Conflict, StoreError};
pub use page::{Page, PageRequest};
/// What can be read from: the connections for reading, or a unit of work.
pub use sea_orm::ConnectionTrait as Readable;
pub use signals::Signals;
pub use tx::Tx;
pub(crate) use tx::caught;

use crate::config::{BusKind, Config};
use crate::telemetry::metrics::handles::WriterMetrics;
use crate::telemetry::metrics::names;
use crate::telemetry::spans::{self, Begun, SpanKind};
use at_once::combiner::Combiner;
use postgres::Postgres;
use signals::Signal;
use sqlite::writer::Writer;

/// The nil uuid in key columns that cannot be null: "no category".
pub(crate) const NO_CATEGORY: uuid::Uuid = uuid::Uuid::nil();

/// The nil uuid among many rows, whose values cannot be null: "no budget".
const NO_BUDGET: uuid::Uuid = uuid::Uuid::nil();

/// The database: where to read, and how to write.
#[derive(Debug, Clone)]
pub struct Store {
    reads: Connection,
    writes: Writes,
    /// Writes bookings together.
    combiner: Combiner,
    signals: Arc<Signals>,
    known: at_once::Known,
}

#[derive(Debug, Clone)]
enum Writes {
    /// One connection, whose writer combines the units that wait.
    Sqlite(Writer),
    /// A pool: units run side by side.
    Postgres {
        pool: Postgres,
        /// Whether events go to a bus outside of the database.
        relayed: bool,
        metrics: WriterMetrics,
    },
}

impl Store {
    /// Opens the database of the configuration. An embedded one is made where there is none, and its
    /// schema brought up to date; a server's is as `migrate up` left it, see [`schema`]. A handle
    /// ends when the embedded writer does: watch it.
    ///
    /// # Errors
    /// The database cannot be opened, or the embedded one not be migrated.
    pub async fn open(config: &Config) -> Result<(Self, Option<JoinHandle<()>>), StoreError> {
        if config.is_server_database() {
            return Ok((Self::on_server(config).await?, None));
        }
        let (writes, reads) = sqlite::open(config).await?;
        schema::up(&writes).await?;
        let (store, writer) = Self::embedded(config, writes, reads);
        Ok((store, Some(writer)))
    }

    /// Opens a database that is there, with the schema that it has: for commands.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub async fn open_existing(config: &Config) -> Result<Self, StoreError> {
        if config.is_server_database() {
            return Self::on_server(config).await;
        }
        sqlite::expect_existing(config)?;
        let (writes, reads) = sqlite::open(config).await?;
        Ok(Self::embedded(config, writes, reads).0)
    }

    async fn on_server(config: &Config) -> Result<Self, StoreError> {
        let (reads, pool) = postgres::open(config).await?;
        let relayed = config.bus.kind != BusKind::Embedded;
        let signals = Arc::new(Signals::default());
        let metrics = WriterMetrics::new();
        let combiner = Combiner::on_server(
            pool.clone(),
            relayed,
            Arc::clone(&signals),
            metrics.clone(),
            config.database.write_queue_max,
        );
        Ok(Self {
            reads: Connection::Postgres(reads),
            writes: Writes::Postgres {
                pool,
                relayed,
                metrics,
            },
            combiner,
            signals,
            known: at_once::Known::new(),
        })
    }

    fn embedded(
        config: &Config,
        writes: DatabaseConnection,
        reads: DatabaseConnection,
    ) -> (Self, JoinHandle<()>) {
        let signals = Arc::new(Signals::default());
        let (writer, task) = Writer::start(writes, Arc::clone(&signals), &config.database);
        let store = Self {
            reads: Connection::Sqlite(reads),
            combiner: Combiner::embedded(writer.clone(), config.database.write_queue_max),
            writes: Writes::Sqlite(writer),
            signals,
            known: at_once::Known::new(),
        };
        (store, task)
    }

    /// Where queries go that change nothing.
    #[must_use]
    pub fn reads(&self) -> &Connection {
        &self.reads
    }

    /// Wake-ups of what was committed.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Commits what the unit does, whole or not at all. On SQLite units that wait at the same time
    /// share one commit; one that fails takes nothing of its neighbours with it.
    ///
    /// # Errors
    /// The unit's own, with nothing written; [`StoreError::Busy`] when the database could not commit, or did
    /// not tell whether it has; [`StoreError::Defect`] when the unit panicked.
    pub async fn write<T, F, U>(&self, unit: U) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        U: FnOnce(Tx) -> F + Send + 'static,
    {
        let span = self.span("write");
        // It may be large: it gets one place.
        let work = Box::pin(async {
            match &self.writes {
                Writes::Sqlite(writer) => writer.write(unit).await,
                Writes::Postgres {
                    pool,
                    relayed,
                    metrics,
                } => {
                    let begun = Instant::now();
                    let done = tx::write_alone(pool, &self.signals, *relayed, unit).await?;
                    metrics.committed(1, begun.elapsed());
                    Ok(done)
                }
            }
        });
        counted(spans::told(span, work).await)
    }

    /// A span of writing, the time in which it waits for its turn included.
    fn span(&self, name: &'static str) -> Option<Begun> {
        spans::begin(SpanKind::Internal, || {
            let system = connection::system_name(self.reads.get_database_backend());
            (name.into(), vec![KeyValue::new("db.system.name", system)])
        })
    }

    /// Tells how many connections are in use.
    pub fn tell_connections(&self) {
        self.reads.tell_connections("read");
        match &self.writes {
            // The writer's own, which it holds all the time.
            Writes::Sqlite(_) => {}
            Writes::Postgres { pool, .. } => pool.tell_connections("write"),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reads.ping().await
    }
}

/// Counts what the database did not take.
fn counted<T>(outcome: Result<T, StoreError>) -> Result<T, StoreError> {
    let reason = match &outcome {
        Err(StoreError::Busy(_)) => "busy",
        Err(StoreError::Defect(_)) => "other",
        _ => return outcome,
    };
    metrics::counter!(names::DB_FAILURES_TOTAL, "reason" => reason).increment(1);
    outcome
}
