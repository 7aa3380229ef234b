//! PostgreSQL: pools, and the connections that statements run on.
//!
//! With a pooler by transaction in between (PgBouncer before 1.21), a statement that was prepared on
//! one server connection is unknown to the next. `database.statements_max = 0` prepares none: each
//! statement is then parsed without a name, inside a transaction, which stays on one connection.

use std::future::poll_fn;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sea_query::Values;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgQueryResult, PgRow};
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use sea_orm::{DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_query_sqlx::SqlxValues;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::StoreError;
use crate::config::Config;
use crate::telemetry::metrics::handles::PoolMetrics;

/// After how long without use a connection is asked whether it lives.
const RESTED: Duration = Duration::from_millis(500);

/// How long one more try takes, when it is asked why there is no connection.
const ONE_TRY: Duration = Duration::from_secs(2);

/// How long the server may take to say that it has taken a transaction back.
const ROLLBACK_MAX: Duration = Duration::from_secs(1);

/// A pool.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
    prepared: bool,
    /// Where connections live: who asks may do so from a runtime that ends earlier.
    home: Handle,
}

/// An open transaction; it is undone when it is dropped.
#[derive(Debug, Clone)]
pub struct PostgresTransaction {
    open: Arc<Mutex<sqlx::Transaction<'static, sqlx::Postgres>>>,
    prepared: bool,
}

/// The pool that reads, and the pool that writes. Neither takes connections from the other: a
/// client who reads a lot does not keep others from booking.
pub(super) async fn open(config: &Config) -> Result<(Postgres, Postgres), StoreError> {
    let options = connect_options(config, &config.database_url())?;
    let reads = pool(
        config,
        options.clone(),
        config.database.read_connections_max,
    )
    .await?;
    let writes = pool(config, options, config.database.write_connections_max).await?;
    Ok((reads, writes))
}

impl Postgres {
    /// Tells how many of its connections are in use.
    pub(super) fn tell_connections(&self, pool: &'static str) {
        let (open, max) = (&self.pool, self.pool.options().get_max_connections());
        PoolMetrics::new(pool).tell(open.size(), open.num_idle(), max);
    }
}

/// A pool that no pooler stands before, for migrations: one connection keeps others from it, the other does it.
pub(super) async fn open_direct(config: &Config) -> Result<PgPool, StoreError> {
    let url = match &config.database.direct_url {
        Some(url) => url.expose().to_owned(),
        None => config.database_url(),
    };
    let options = connect_options(config, &url)?;
    Ok(pool(config, options, 2).await?.pool)
}

fn connect_options(config: &Config, url: &str) -> Result<PgConnectOptions, StoreError> {
    use sea_orm::sqlx::ConnectOptions as _;
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::Busy(format!("database.url: {error}")))?;
    // The URL may say which process it is.
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("wealth-companion"),
    };
    Ok(options
        .statement_cache_capacity(config.database.statements_max)
        .disable_statement_logging())
}

async fn pool(
    config: &Config,
    options: PgConnectOptions,
    connections_max: u32,
) -> Result<Postgres, StoreError> {
    let pool = PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(config.database.busy_timeout.max(Duration::from_millis(1)))
        .idle_timeout(Duration::from_secs(600))
        .max_lifetime(Duration::from_secs(1_800))
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                // One that rested may have died with its server: a busy one would have told.
                if state.idle_for >= RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options.clone())
        .await;
    let pool = match pool {
        Ok(pool) => pool,
        Err(error) => return Err(unreachable(&options, error).await),
    };
    Ok(Postgres {
        pool,
        prepared: config.database.statements_max > 0,
        home: Handle::current(),
    })
}

/// Why there is no connection. A pool only says that it has waited long enough: what it waited for, one
/// more try tells.
async fn unreachable(options: &PgConnectOptions, error: sqlx::Error) -> StoreError {
    let mut why = error.to_string();
    if matches!(error, sqlx::Error::PoolTimedOut)
        && let Ok(Err(error)) = timeout(ONE_TRY, PgConnection::connect_with(options)).await
    {
        why = error.to_string();
    }
    let (host, port) = (options.get_host(), options.get_port());
    StoreError::Busy(format!("cannot connect to {host}:{port}: {why}"))
}

impl Postgres {
    /// Does what may open a connection, so that the connection belongs to the runtime that opened the
    /// pool.
    async fn at_home<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            let _home = self.home.enter();
            work.as_mut().poll(context)
        })
        .await
    }

    /// Begins a transaction, with a statement that says of which kind.
    pub(super) async fn begin(&self, begin: String) -> Result<PostgresTransaction, DbErr> {
        let open = self
            .at_home(self.pool.begin_with(AssertSqlSafe(begin)))
            .await;
        Ok(PostgresTransaction {
            open: Arc::new(Mutex::new(open.map_err(connection)?)),
            prepared: self.prepared,
        })
    }

    pub(super) async fn ping(&self) -> Result<(), DbErr> {
        let acquired = self.at_home(self.pool.acquire()).await;
        acquired
            .map_err(connection)?
            .ping()
            .await
            .map_err(connection)
    }

    pub(super) async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        if !self.prepared {
            let tx = self.begin("BEGIN".to_owned()).await?;
            let result = tx.execute(statement).await?;
            tx.commit().await?;
            return Ok(result);
        }
        let query = query_of(statement, true);
        let run = async {
            let mut on = self.pool.acquire().await?;
            let result: Result<PgQueryResult, _> = query.execute(&mut *on).await;
            once_let_go(&mut on, result).await
        };
        self.at_home(run).await.map(Into::into).map_err(execution)
    }

    pub(super) async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let execute = self.pool.execute(AssertSqlSafe(sql.to_owned()));
        let result = self.at_home(execute).await;
        result.map(Into::into).map_err(execution)
    }

    pub(super) async fn query_one(
        &self,
        statement: Statement,
    ) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all(statement).await?.into_iter().next())
    }

    pub(super) async fn query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        if !self.prepared {
            let tx = self.begin("BEGIN".to_owned()).await?;
            let rows = tx.query_all(statement).await?;
            tx.commit().await?;
            return Ok(rows);
        }
        let query = query_of(statement, true);
        let run = async {
            let mut on = self.pool.acquire().await?;
            let rows = query.fetch_all(&mut *on).await;
            once_let_go(&mut on, rows).await
        };
        self.at_home(run).await.map(results).map_err(question)
    }
}

impl PostgresTransaction {
    /// Commits it.
    ///
    /// # Errors
    /// The server did not say that it has: it may have.
    pub(super) async fn commit(self) -> Result<(), DbErr> {
        self.into_open()?.commit().await.map_err(execution)
    }

    /// Takes it back, and waits for a moment until that is done: one that is only dropped holds its locks for longer.
    /// Where the server does not say that it has, it will as it finds the connection closed.
    pub(super) async fn rollback(self) {
        if let Ok(open) = self.into_open() {
            let _ = timeout(ROLLBACK_MAX, open.rollback()).await;
        }
    }

    fn into_open(self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, DbErr> {
        let open = Arc::try_unwrap(self.open)
            .map_err(|_| DbErr::Custom("a unit of work kept its transaction".to_owned()))?;
        Ok(open.into_inner())
    }

    pub(super) async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut open = self.open.lock().await;
        let on: &mut PgConnection = &mut open;
        let result = query_of(statement, self.prepared).execute(&mut *on).await;
        let result = once_let_go(on, result).await;
        result.map(Into::into).map_err(execution)
    }

    pub(super) async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut open = self.open.lock().await;
        let on: &mut PgConnection = &mut open;
        let result = on.execute(AssertSqlSafe(sql.to_owned())).await;
        result.map(Into::into).map_err(execution)
    }

    pub(super) async fn query_one(
        &self,
        statement: Statement,
    ) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all(statement).await?.into_iter().next())
    }

    pub(super) async fn query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut open = self.open.lock().await;
        let on: &mut PgConnection = &mut open;
        let rows = query_of(statement, self.prepared).fetch_all(&mut *on).await;
        let rows = once_let_go(on, rows).await;
        rows.map(results).map_err(question)
    }
}

/// The server says that it refuses before it lets go of what the statement held. Whoever tries again
/// would find that held: they hear of it when the server is through.
async fn once_let_go<T>(
    on: &mut PgConnection,
    result: Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    if result.is_err() {
        // What is wrong with a connection has been said by the statement.
        let _ = on.ping().await;
    }
    result
}

fn query_of(statement: Statement, prepared: bool) -> Query<'static, sqlx::Postgres, SqlxValues> {
    let values = statement.values.unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values)).persistent(prepared)
}

fn results(rows: Vec<PgRow>) -> Vec<QueryResult> {
    rows.into_iter().map(Into::into).collect()
}

fn execution(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn question(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

fn connection(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}
