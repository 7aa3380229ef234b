//! The single writer: combines units of work that wait into one commit.
//!
//! A commit costs a flush to the disk; the statements before it cost little. So the writer takes
//! what is waiting, runs each unit behind a savepoint, and commits them together. Each unit gets
//! its own verdict, and only after the commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::Database;
use crate::store::connection::{Transaction, fault};
use crate::store::{Signals, StoreError, Tx, caught};
use crate::telemetry::metrics::handles::WriterMetrics;

/// The queue in front of the writer.
#[derive(Debug, Clone)]
pub(in crate::store) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    wait_max: Duration,
}

impl Writer {
    /// Starts the writer on its connection.
    pub(in crate::store) fn start(
        db: DatabaseConnection,
        signals: Arc<Signals>,
        config: &Database,
    ) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(config.write_queue_max);
        let task = tokio::spawn(run(db, jobs, signals, config.write_batch_max));
        (
            Self {
                queue,
                wait_max: config.busy_timeout,
            },
            task,
        )
    }

    pub(in crate::store) async fn write<T, F, U>(&self, unit: U) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        U: FnOnce(Tx) -> F + Send + 'static,
    {
        let (reply, verdict) = oneshot::channel();
        let job = Box::new(UnitJob {
            unit: Some(unit),
            outcome: None,
            reply,
        });
        tokio::time::timeout(self.wait_max, self.queue.send(job))
            .await
            .map_err(|_| StoreError::Busy("too many writes are waiting".to_owned()))?
            .map_err(|_| StoreError::Busy("the writer has stopped".to_owned()))?;
        verdict
            .await
            .map_err(|_| StoreError::Busy("the writer has stopped".to_owned()))?
    }
}

/// A unit of work with whoever waits for it.
trait Job: Send {
    fn is_abandoned(&self) -> bool;
    fn run(&mut self, tx: Tx) -> BoxFuture<'_, Result<(), StoreError>>;
    fn settle(self: Box<Self>, commit: Result<(), StoreError>);
}

struct UnitJob<T, U> {
    unit: Option<U>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F, U> Job for UnitJob<T, U>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
    U: FnOnce(Tx) -> F + Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, tx: Tx) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let Some(unit) = self.unit.take() else {
                return Ok(());
            };
            // The writer goes on whatever a unit does.
            let outcome = caught(async move { unit(tx).await }).await;
            let verdict = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
            self.outcome = Some(outcome);
            verdict
        })
    }

    fn settle(self: Box<Self>, commit: Result<(), StoreError>) {
        let verdict = match (self.outcome, commit) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(outcome), Ok(())) => outcome,
            (None, Ok(())) => Err(StoreError::defect("a unit was settled before it ran")),
        };
        // Whoever stopped waiting while the unit ran does not hear of it: the commit stands all the same.
        let _ = self.reply.send(verdict);
    }
}

async fn run(
    db: DatabaseConnection,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
    signals: Arc<Signals>,
    batch_max: usize,
) {
    let metrics = WriterMetrics::new();
    let mut batch = Vec::with_capacity(batch_max);
    while jobs.recv_many(&mut batch, batch_max).await > 0 {
        metrics.queue_depth(jobs.len() as u64);
        let begun = Instant::now();
        let bits = Arc::new(AtomicU8::new(0));
        let commit = match commit_together(&db, &mut batch, &bits).await {
            Ok(()) => Ok(()),
            Err(Failure::Undone(error)) => Err(error),
            Err(Failure::Unknown(error)) => {
                if let Err(fault) = super::renew(&db).await {
                    tracing::error!(%fault, "the writer cannot leave a broken connection");
                    return;
                }
                Err(error)
            }
        };
        metrics.committed(batch.len() as u64, begun.elapsed());
        if commit.is_ok() {
            signals.send(bits.load(Ordering::Relaxed));
        }
        for job in batch.drain(..) {
            job.settle(commit.clone());
        }
    }
}

/// Why nothing of a batch was committed.
enum Failure {
    /// The transaction has ended in order.
    Undone(StoreError),
    /// SQLite may have ended the transaction by itself, as it does after a full disk. The driver
    /// still counts it, would nest every later one in it, and would never commit again.
    Unknown(StoreError),
}

async fn commit_together(
    db: &DatabaseConnection,
    batch: &mut [Box<dyn Job>],
    bits: &Arc<AtomicU8>,
) -> Result<(), Failure> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let begun = db.begin_with_options(options).await;
    let tx = Arc::new(begun.map_err(|error| Failure::Undone(error.into()))?);
    let ran = run_each(&tx, batch, bits).await;
    let ran = ran.and_then(|()| Ok(fault()?));
    let tx = owned(tx).map_err(Failure::Unknown)?;
    match ran {
        Ok(()) => tx
            .commit()
            .await
            .map_err(|error| Failure::Unknown(error.into())),
        Err(error) => match tx.rollback().await {
            Ok(()) => Err(Failure::Undone(error)),
            Err(_) => Err(Failure::Unknown(error)),
        },
    }
}

/// Runs the units one after another; those that fail undo what is theirs. An error ends the batch:
/// after a full disk or a lost file SQLite may have rolled back everything by itself.
async fn run_each(
    tx: &Arc<DatabaseTransaction>,
    batch: &mut [Box<dyn Job>],
    bits: &Arc<AtomicU8>,
) -> Result<(), StoreError> {
    let alone = batch.len() == 1;
    for job in batch.iter_mut() {
        // Whoever was told that time ran out may ask again: it should not happen twice.
        if job.is_abandoned() {
            continue;
        }
        if !alone {
            tx.execute_unprepared("SAVEPOINT unit").await?;
        }
        let signals = Arc::new(AtomicU8::new(0));
        let verdict = job
            .run(Tx::new(
                Transaction::Sqlite(Arc::clone(tx)),
                Arc::clone(&signals),
                false,
            ))
            .await;
        match verdict {
            Ok(()) => {
                bits.fetch_or(signals.load(Ordering::Relaxed), Ordering::Relaxed);
                if !alone {
                    tx.execute_unprepared("RELEASE unit").await?;
                }
            }
            Err(error @ StoreError::Busy(_)) => return Err(error),
            Err(error) if alone => return Err(error),
            Err(_) => {
                tx.execute_unprepared("ROLLBACK TO unit").await?;
                tx.execute_unprepared("RELEASE unit").await?;
            }
        }
    }
    Ok(())
}

/// Units own their handle only while they run.
fn owned(tx: Arc<DatabaseTransaction>) -> Result<DatabaseTransaction, StoreError> {
    Arc::try_unwrap(tx).map_err(|_| StoreError::defect("a unit of work kept its transaction"))
}
