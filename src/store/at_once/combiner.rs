//! Bookings on their way into the database.
//!
//! When nothing is being written, a booking is written at once. Those that come meanwhile wait, and are
//! then written together: as soon as the others are through, or as soon as there are enough of them for a
//! batch beside the others. So the busier it is, the less each costs.
//!
//! Each booking has a verdict of its own: when the database refuses a batch, its halves are written, and so
//! on. A wallet that somebody holds for long stops no other: its bookings are passed over.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::CREATED;
use super::statement::{self, Places, Row};
use crate::store::event_log::LogPosition;
use crate::store::postgres::Postgres;
use crate::store::sqlite::writer::Writer;
use crate::store::{Connection, Signal, Signals, StoreError, caught, given};
use crate::telemetry::metrics::handles::WriterMetrics;
use crate::telemetry::metrics::names;

/// Batches that are written side by side: while some wait for their flush, others are worked on. (An
/// embedded database has one writer.)
const LANES: usize = 4;
/// As many must wait for a batch beside the others.
const WORTH_A_LANE: usize = 8;
/// Bookings of a batch at the most. A server's batch is one piece of [`given`] as well.
const BATCH_MAX: usize = 64;

/// Writes bookings together.
#[derive(Debug, Clone)]
pub(in crate::store) struct Combiner {
    database: Database,
    queue: Arc<Mutex<Queue>>,
    /// Batches are written here: who waits for one may be gone before it is through.
    home: Handle,
}

/// Where they are written.
#[derive(Debug, Clone)]
enum Database {
    Server {
        pool: Postgres,
        relayed: bool,
        signals: Arc<Signals>,
        metrics: WriterMetrics,
    },
    /// Its writer counts by itself.
    Embedded(Writer),
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Waiting>,
    waiting_max: usize,
    /// Batches that are being written.
    lanes: usize,
    lanes_max: usize,
    /// The wallets of those batches. No two lanes wait for each other.
    wallets: HashSet<Uuid>,
    bytes_max: usize,
}

/// A booking, and who waits for its verdict.
#[derive(Debug)]
struct Waiting {
    row: Row,
    verdict: oneshot::Sender<Verdict>,
}

/// A booking's place in the log; none when it was passed over.
type Verdict = Result<Option<LogPosition>, StoreError>;

impl Queue {
    /// Those who are to be written beside the others; none yet. They count until their lane is dropped.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        self.waiting.retain(|it| !it.row.is_abandoned());
        let enough = if self.lanes == 0 { 1 } else { WORTH_A_LANE };
        if self.waiting.len() < enough || self.lanes == self.lanes_max {
            return None;
        }
        let (mut batch, mut left, mut bytes) = (Vec::new(), VecDeque::new(), 0);
        for it in self.waiting.drain(..) {
            if batch.len() == BATCH_MAX || self.wallets.contains(&it.row.wallet_id) {
                left.push_back(it);
                continue;
            }
            let more = bytes + it.row.bytes();
            if batch.is_empty() || more <= self.bytes_max {
                bytes = more;
                batch.push(it);
            } else {
                left.push_back(it);
            }
        }
        self.waiting = left;
        if batch.is_empty() {
            return None;
        }
        self.lanes += 1;
        self.wallets.extend(batch.iter().map(|it| it.row.wallet_id));
        Some(batch)
    }
}

/// Bookings that are written together, and on what.
struct Batch {
    waiting: Vec<Waiting>,
    lane: Lane,
}

/// What a batch is written on. However that ends, it is free then.
struct Lane {
    queue: Arc<Mutex<Queue>>,
    wallets: Vec<Uuid>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.lanes -= 1;
        for wallet_id in &self.wallets {
            queue.wallets.remove(wallet_id);
        }
    }
}

impl Combiner {
    /// Into a server's database, from this runtime.
    pub(in crate::store) fn on_server(
        pool: Postgres,
        relayed: bool,
        signals: Arc<Signals>,
        metrics: WriterMetrics,
        waiting_max: usize,
    ) -> Self {
        let database = Database::Server {
            pool,
            relayed,
            signals,
            metrics,
        };
        Self::new(database, LANES, waiting_max, given::PIECE_BYTES)
    }

    /// Into an embedded database, from this runtime.
    pub(in crate::store) fn embedded(writer: Writer, waiting_max: usize) -> Self {
        Self::new(Database::Embedded(writer), 1, waiting_max, usize::MAX)
    }

    fn new(database: Database, lanes_max: usize, waiting_max: usize, bytes_max: usize) -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            waiting_max,
            lanes: 0,
            lanes_max,
            wallets: HashSet::new(),
            bytes_max,
        };
        Self {
            database,
            queue: Arc::new(Mutex::new(queue)),
            home: Handle::current(),
        }
    }

    /// Writes it, with whatever waits beside it.
    pub(super) async fn book(&self, row: Row) -> Verdict {
        let (verdict, told) = oneshot::channel();
        let next = {
            let mut queue = self.queue();
            if queue.waiting.len() >= queue.waiting_max {
                return Err(StoreError::Busy("too many writes are waiting".to_owned()));
            }
            queue.waiting.push_back(Waiting { row, verdict });
            self.next(&mut queue)
        };
        if let Some(batch) = next {
            self.home.spawn(self.clone().write_from(batch));
        }
        let given_up = |_| Err(StoreError::Busy("the process stops".to_owned()));
        told.await.unwrap_or_else(given_up)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, queue: &mut Queue) -> Option<Batch> {
        let waiting = queue.next();
        if let Database::Server { metrics, .. } = &self.database {
            metrics.queue_depth(queue.waiting.len() as u64);
        }
        let waiting = waiting?;
        let lane = Lane {
            queue: Arc::clone(&self.queue),
            wallets: waiting.iter().map(|it| it.row.wallet_id).collect(),
        };
        Some(Batch { waiting, lane })
    }

    /// Writes this batch, and then what has come meanwhile.
    async fn write_from(self, mut batch: Batch) {
        loop {
            let Batch { waiting, lane } = batch;
            let (rows, waiting): (Vec<Row>, Vec<_>) =
                waiting.into_iter().map(|it| (it.row, it.verdict)).unzip();
            for (told, waiting) in self.write(rows).await.into_iter().zip(waiting) {
                // Whoever stopped waiting does not hear of it: the booking stands all the same.
                let _ = waiting.send(told);
            }
            drop(lane);
            let next = self.next(&mut self.queue());
            match next {
                Some(next) => batch = next,
                None => return,
            }
        }
    }

    /// Gives a verdict for each, in order.
    async fn write(&self, rows: Vec<Row>) -> Vec<Verdict> {
        let rows: Arc<[Row]> = rows.into();
        match self.run(Arc::clone(&rows)).await {
            Ok(places) => rows.iter().map(|row| Ok(row.place_in(&places))).collect(),
            Err(error) if rows.len() < 2 || matches!(error, StoreError::Busy(_)) => {
                rows.iter().map(|_| Err(error.clone())).collect()
            }
            // One of them is at fault: it is looked for by halves, and the others go on.
            Err(_) => {
                let (first, then) = rows.split_at(rows.len() / 2);
                let mut verdicts = Box::pin(self.write(first.to_vec())).await;
                verdicts.extend(Box::pin(self.write(then.to_vec())).await);
                verdicts
            }
        }
    }

    async fn run(&self, rows: Arc<[Row]>) -> Result<Places, StoreError> {
        let places = match &self.database {
            Database::Embedded(writer) => {
                let unit = |tx| async move { statement::embedded(&tx, &rows).await };
                writer.write(unit).await?
            }
            Database::Server {
                pool,
                relayed,
                signals,
                metrics,
            } => {
                let db = Connection::Postgres(pool.clone());
                let begun = Instant::now();
                let places = caught(statement::on_server(&db, &rows, *relayed)).await?;
                metrics.committed(places.len() as u64, begun.elapsed());
                if !places.is_empty() {
                    signals.send(Signal::Logged as u8);
                }
                places
            }
        };
        let written = metrics::counter!(
            names::LOG_EVENTS_APPENDED_TOTAL, "type" => CREATED.as_str()
        );
        written.increment(places.len() as u64);
        Ok(places)
    }
}
