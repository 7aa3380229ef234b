//! Bookings on their way into the database.
//!
//! A booking that comes while others are being written waits for them, and is then written together
//! with all that have come meanwhile. When nothing is being written nobody waits, and a batch is of one.
//! Each booking has a verdict of its own: when the database refuses a batch, its bookings are written
//! one by one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::CREATED;
use super::statement::{self, Row};
use crate::store::event_log::LogPosition;
use crate::store::postgres::Postgres;
use crate::store::{Connection, Signal, Signals, StoreError};
use crate::telemetry::metrics::names;

/// Batches that are written side by side: while one waits for its flush, the next is worked on.
const LANES: usize = 2;
/// Bookings of a batch at the most.
const BATCH_MAX: usize = 64;
/// Bytes of the texts of a batch at the most, but for a batch of one: with the other columns they stay
/// one piece, see [`super::super::given`].
const BATCH_BYTES_MAX: usize = 9_000;

/// Writes bookings together.
#[derive(Debug, Clone)]
pub(in crate::store) struct Combiner {
    pool: Postgres,
    relayed: bool,
    signals: Arc<Signals>,
    waiting: Arc<Mutex<VecDeque<Waiting>>>,
    lanes: Arc<Semaphore>,
}

/// A booking's place in the log; none when it was passed over.
type Verdict = Result<Option<LogPosition>, StoreError>;

/// A booking, and who waits for its verdict.
#[derive(Debug)]
struct Waiting {
    row: Row,
    verdict: oneshot::Sender<Verdict>,
}

impl Combiner {
    pub(in crate::store) fn new(pool: Postgres, relayed: bool, signals: Arc<Signals>) -> Self {
        Self {
            pool,
            relayed,
            signals,
            waiting: Arc::default(),
            lanes: Arc::new(Semaphore::new(LANES)),
        }
    }

    /// Writes it, with whatever waits beside it.
    pub(super) async fn book(&self, row: Row) -> Verdict {
        let (verdict, mut told) = oneshot::channel();
        self.waiting().push_back(Waiting { row, verdict });
        tokio::select! {
            biased;
            told = &mut told => return told.unwrap_or_else(|_| Err(given_up())),
            lane = Arc::clone(&self.lanes).acquire_owned() => {
                // Whoever gets a lane writes for all, and to the end, even when its own client is gone.
                let combiner = self.clone();
                tokio::spawn(async move {
                    combiner.write_next().await;
                    drop(lane);
                });
            }
        }
        told.await.unwrap_or_else(|_| Err(given_up()))
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_next(&self) {
        let batch = next(&mut self.waiting());
        let (rows, waiting): (Vec<Row>, Vec<_>) =
            batch.into_iter().map(|it| (it.row, it.verdict)).unzip();
        for (told, waiting) in self.write(rows).await.into_iter().zip(waiting) {
            // Whoever stopped waiting does not hear of it: the booking stands all the same.
            let _ = waiting.send(told);
        }
    }

    /// Gives a verdict for each, in order.
    async fn write(&self, rows: Vec<Row>) -> Vec<Verdict> {
        let together = self.run(&rows).await;
        match together {
            Ok(verdicts) => verdicts.into_iter().map(Ok).collect(),
            Err(error) if rows.len() < 2 || matches!(error, StoreError::Busy(_)) => {
                rows.iter().map(|_| Err(error.clone())).collect()
            }
            // One of them is at fault: alone each is told its own.
            Err(_) => {
                let mut verdicts = Vec::with_capacity(rows.len());
                for row in rows {
                    let alone = self.run(&[row]).await;
                    verdicts.push(alone.map(|verdicts| verdicts.into_iter().next().flatten()));
                }
                verdicts
            }
        }
    }

    async fn run(&self, rows: &[Row]) -> Result<Vec<Option<LogPosition>>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let db = Connection::Postgres(self.pool.clone());
        let places = statement::run(&db, rows, self.relayed).await?;
        if !places.is_empty() {
            let written = metrics::counter!(
                names::LOG_EVENTS_APPENDED_TOTAL, "type" => CREATED.as_str()
            );
            written.increment(places.len() as u64);
            self.signals.send(Signal::Logged as u8);
        }
        let place = |row: &Row| places.get(&row.event_id).copied();
        Ok(rows.iter().map(place).collect())
    }
}

/// The next batch, in the order in which they came.
fn next(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut bytes = 0;
    let fits = |it: &&Waiting| {
        bytes += it.row.text_bytes();
        bytes <= BATCH_BYTES_MAX
    };
    let count = waiting.iter().take(BATCH_MAX).take_while(fits).count();
    let count = count.max(1).min(waiting.len());
    waiting.drain(..count).collect()
}

fn given_up() -> StoreError {
    StoreError::Busy("the process stops, and wrote no more bookings".to_owned())
}
