//! The unit of work: what is done through it is committed together or not at all.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::FutureExt;

use super::connection::Transaction;
use super::postgres::Postgres;
use super::{Signal, Signals, StoreError};
use crate::lifecycle::panic_message;

/// An open unit of work.
#[derive(Debug, Clone)]
pub struct Tx {
    db: Transaction,
    signals: Arc<AtomicU8>,
    relayed: bool,
}

impl Tx {
    pub(super) fn new(db: Transaction, signals: Arc<AtomicU8>, relayed: bool) -> Self {
        Self {
            db,
            signals,
            relayed,
        }
    }

    /// Wakes whom it concerns, after the commit.
    pub(super) fn after_commit(&self, signal: Signal) {
        self.signals.fetch_or(signal as u8, Ordering::Relaxed);
    }

    /// Whether events go to a bus outside of the database, and so into the outbox.
    pub(super) fn is_relayed(&self) -> bool {
        self.relayed
    }
}

impl Deref for Tx {
    type Target = Transaction;

    fn deref(&self) -> &Self::Target {
        &self.db
    }
}

/// Runs work that somebody has handed in; if it panics, that is a defect like any other, which does not
/// take its neighbours along.
///
/// # Errors
/// The work's own; [`StoreError::Defect`] with the message of a panic.
pub(crate) async fn caught<T>(
    work: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    ended.unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        Err(StoreError::defect(format!("it panicked: {message}")))
    })
}

/// Runs a unit of work in a transaction of its own: PostgreSQL lets many write at once.
pub(super) async fn write_alone<T, F, U>(
    db: &Postgres,
    signals: &Signals,
    relayed: bool,
    unit: U,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>> + Send,
    U: FnOnce(Tx) -> F + Send,
{
    let open = db.begin("BEGIN".to_owned()).await?;
    let bits = Arc::new(AtomicU8::new(0));
    let tx = Tx::new(
        Transaction::Postgres(open.clone()),
        Arc::clone(&bits),
        relayed,
    );
    let done = match caught(async move { unit(tx).await }).await {
        Ok(done) => done,
        Err(error) => {
            // Whoever hears of the error may try something else at once, and must not meet the locks of this.
            open.rollback().await;
            return Err(error);
        }
    };
    open.commit().await?;
    signals.send(bits.load(Ordering::Relaxed));
    Ok(done)
}
