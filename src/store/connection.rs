//! What statements run on: a database to read from, or an open unit of work on either.
//!
//! Everything above asks through sea-orm's `ConnectionTrait` and does not know which it is.

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement, TransactionTrait,
};
use std::sync::Arc;

use opentelemetry::KeyValue;

use super::StoreError;
use super::postgres::{Postgres, PostgresTransaction};
use crate::crash;
use crate::telemetry::metrics::handles::PoolMetrics;
use crate::telemetry::spans::{self, Begun, SpanKind};

/// The database, to ask.
#[derive(Debug, Clone)]
pub enum Connection {
    /// A pool on an SQLite file.
    Sqlite(DatabaseConnection),
    /// A pool on a PostgreSQL server.
    Postgres(Postgres),
}

/// An open transaction.
#[derive(Debug, Clone)]
pub enum Transaction {
    /// On SQLite.
    Sqlite(Arc<DatabaseTransaction>),
    /// On PostgreSQL.
    Postgres(PostgresTransaction),
}

impl Connection {
    /// Whether it is a server's: others may use it too.
    #[must_use]
    pub fn is_server(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// A transaction that sees the database as it is at this moment, whatever others write. It ends
    /// when it is dropped.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) async fn snapshot(&self) -> Result<Transaction, StoreError> {
        match self {
            Self::Sqlite(db) => Ok(Transaction::Sqlite(Arc::new(db.begin().await?))),
            Self::Postgres(db) => {
                let begin = format!(
                    "BEGIN ISOLATION LEVEL {} {}",
                    IsolationLevel::RepeatableRead,
                    AccessMode::ReadOnly
                );
                Ok(Transaction::Postgres(db.begin(begin).await?))
            }
        }
    }

    /// Tells how many of its connections are in use.
    pub(super) fn tell_connections(&self, pool: &'static str) {
        match self {
            Self::Sqlite(db) => {
                let open = db.get_sqlite_connection_pool();
                let max = open.options().get_max_connections();
                PoolMetrics::new(pool).tell(open.size(), open.num_idle(), max);
            }
            Self::Postgres(db) => db.tell_connections(pool),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(db) => Ok(db.ping().await?),
            Self::Postgres(db) => Ok(db.ping().await?),
        }
    }
}

/// By OpenTelemetry's conventions for databases. A statement's text holds no values: they go beside it.
fn span_of(statement: &Statement) -> Option<Begun> {
    spans::begin(SpanKind::Client, || {
        let text = statement.sql.trim_start();
        let verb = text.split_ascii_whitespace().next().unwrap_or_default();
        let attributes = vec![
            KeyValue::new("db.system.name", system_name(statement.db_backend)),
            KeyValue::new("db.query.text", text.to_owned()),
        ];
        (verb.to_owned().into(), attributes)
    })
}

/// What a database is called in spans.
pub(super) fn system_name(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "postgresql",
        _ => "sqlite",
    }
}

/// A fault on purpose, where a simulation wants one here.
pub(super) fn fault() -> Result<(), DbErr> {
    if crash::statement_fails() {
        return Err(DbErr::Conn(RuntimeErr::Internal(
            "a fault on purpose".to_owned(),
        )));
    }
    Ok(())
}

/// Both ask the database that they are of.
macro_rules! ask_either {
    ($connection:ty) => {
        #[async_trait]
        impl ConnectionTrait for $connection {
            fn get_database_backend(&self) -> DbBackend {
                match self {
                    Self::Sqlite(_) => DbBackend::Sqlite,
                    Self::Postgres(_) => DbBackend::Postgres,
                }
            }

            async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
                fault()?;
                let span = span_of(&statement);
                let work = async {
                    match self {
                        Self::Sqlite(db) => db.execute_raw(statement).await,
                        Self::Postgres(db) => db.execute(statement).await,
                    }
                };
                spans::told(span, work).await
            }

            async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
                match self {
                    Self::Sqlite(db) => db.execute_unprepared(sql).await,
                    Self::Postgres(db) => db.execute_unprepared(sql).await,
                }
            }

            async fn query_one_raw(
                &self,
                statement: Statement,
            ) -> Result<Option<QueryResult>, DbErr> {
                fault()?;
                let span = span_of(&statement);
                let work = async {
                    match self {
                        Self::Sqlite(db) => db.query_one_raw(statement).await,
                        Self::Postgres(db) => db.query_one(statement).await,
                    }
                };
                spans::told(span, work).await
            }

            async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
                fault()?;
                let span = span_of(&statement);
                let work = async {
                    match self {
                        Self::Sqlite(db) => db.query_all_raw(statement).await,
                        Self::Postgres(db) => db.query_all(statement).await,
                    }
                };
                spans::told(span, work).await
            }
        }
    };
}

ask_either!(Connection);
ask_either!(Transaction);
