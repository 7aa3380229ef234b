//! Bookings on their way into the database.
//!
//! When nothing is being written, a booking is written at once. Those that come meanwhile wait, and are
//! then written together: as soon as the others are through, or as soon as there are enough of them for a
//! batch beside the others. So the busier it is, the less each costs.
//!
//! Each booking has a verdict of its own: when the database refuses a batch, its bookings are written
//! one by one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::CREATED;
use super::statement::{self, Places, Row};
use crate::store::event_log::LogPosition;
use crate::store::postgres::Postgres;
use crate::store::sqlite::writer::Writer;
use crate::store::{Connection, Signal, Signals, StoreError, caught};
use crate::telemetry::metrics::names;

/// Batches that are written side by side: while some wait for their flush, others are worked on. (An
/// embedded database has one writer.)
const LANES: usize = 4;
/// As many must wait for a batch beside the others.
const WORTH_A_LANE: usize = 8;
/// Bookings of a batch at the most.
const BATCH_MAX: usize = 64;
/// Bytes of the texts of a server's batch at the most, but for a batch of one: with the other columns they
/// stay one piece, see [`super::super::given`].
const BATCH_BYTES_MAX: usize = 9_000;

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
    },
    Embedded(Writer),
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Batches that are being written.
    lanes: usize,
    lanes_max: usize,
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
    /// The batch that is to be written beside those that are, in the order in which they came; none yet.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let enough = if self.lanes == 0 { 1 } else { WORTH_A_LANE };
        if self.waiting.len() < enough || self.lanes == self.lanes_max {
            return None;
        }
        self.lanes += 1;
        let mut bytes = 0;
        let fits = |it: &&Waiting| {
            bytes += it.row.text_bytes();
            bytes <= self.bytes_max
        };
        let all = self.waiting.iter().take(BATCH_MAX);
        let count = all.take_while(fits).count().max(1);
        Some(self.waiting.drain(..count).collect())
    }
}

impl Combiner {
    /// Into a server's database, from this runtime.
    pub(in crate::store) fn on_server(
        pool: Postgres,
        relayed: bool,
        signals: Arc<Signals>,
    ) -> Self {
        let database = Database::Server {
            pool,
            relayed,
            signals,
        };
        Self::new(database, LANES, BATCH_BYTES_MAX)
    }

    /// Into an embedded database, from this runtime.
    pub(in crate::store) fn embedded(writer: Writer) -> Self {
        Self::new(Database::Embedded(writer), 1, usize::MAX)
    }

    fn new(database: Database, lanes_max: usize, bytes_max: usize) -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            lanes: 0,
            lanes_max,
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
            queue.waiting.push_back(Waiting { row, verdict });
            queue.next()
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

    /// Writes this batch, and then what has come meanwhile.
    async fn write_from(self, mut batch: Vec<Waiting>) {
        loop {
            let (rows, waiting): (Vec<Row>, Vec<_>) =
                batch.into_iter().map(|it| (it.row, it.verdict)).unzip();
            for (told, waiting) in self.write(rows).await.into_iter().zip(waiting) {
                // Whoever stopped waiting does not hear of it: the booking stands all the same.
                let _ = waiting.send(told);
            }
            let mut queue = self.queue();
            queue.lanes -= 1;
            match queue.next() {
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
            // One of them is at fault: alone each is told its own.
            Err(_) => {
                let mut verdicts = Vec::with_capacity(rows.len());
                for row in rows.iter() {
                    let alone = self.run([row.clone()].into()).await;
                    verdicts.push(alone.map(|places| row.place_in(&places)));
                }
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
            } => {
                let db = Connection::Postgres(pool.clone());
                let places = caught(statement::on_server(&db, &rows, *relayed)).await?;
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
