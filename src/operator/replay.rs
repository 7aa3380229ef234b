//! Events that are handed over again.
//!
//! They go the ordinary way, so the inbox passes over what was handled. It remembers for some days
//! only, and sums must not be added to twice: so nothing is handed over that it may have forgotten, and
//! to the projector nothing that is not in this database's log, which is the proof that its booking
//! is in these books. See `docs/adr/0006-a-replay-cannot-make-sums-wrong.md`.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::HearingRole;
use super::handing::Hands;
use super::moment::Moment;
use crate::bus::{Delivery, Verdict};
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::events::{Event, EventType};
use crate::kafka::Record;
use crate::kafka::reader::{Reader, Until};
use crate::store::audit::{Audit, Progress};
use crate::store::{Store, StoreError, event_log, inbox};

/// How long to wait for more before the end.
const WAIT: Duration = Duration::from_millis(200);
/// How far clocks may be apart.
const SKEW: TimeDelta = TimeDelta::hours(1);

/// What is to be handed over.
#[derive(Debug, Clone)]
pub struct Replay {
    /// To whom.
    pub role: HearingRole,
    /// From where on.
    pub from: Moment,
    /// Up to when; none: to the end.
    pub until: Option<Moment>,
    /// Only counts.
    pub dry_run: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Records read.
    pub read: u64,
    /// Events that had their effect now; of a dry run, those that would have it, or be refused.
    pub handled: u64,
    /// Events that had had it before.
    pub handled_before: u64,
    /// Records that are among the dead letters now; of a dry run, those that cannot be read.
    pub refused: u64,
    /// Events so old that the inbox may have forgotten them: passed over.
    pub too_old: u64,
    /// Events that are not in the log (any more): passed over.
    pub not_in_log: u64,
}

/// Hands events over again.
pub struct Replayer {
    store: Store,
    clock: Clock,
    ids: Ids,
    config: Config,
}

impl Replayer {
    /// On this database.
    #[must_use]
    pub fn new(store: Store, clock: Clock, ids: Ids, config: &Config) -> Self {
        Self {
            store,
            clock,
            ids,
            config: config.clone(),
        }
    }

    /// Counts everybody's sums anew from the bookings; gives how many users there are.
    ///
    /// # Errors
    /// The database cannot be read or written now. It may be begun again.
    pub async fn rebuild(&self, progress: impl FnMut(Progress)) -> Result<u64, StoreError> {
        let audit = Audit::new(&self.store);
        audit.rebuild(self.clock.now(), progress).await
    }

    /// Reads the role's topics up to where they end now, and hands over. `progress` gets how many
    /// records are read, and of how many.
    ///
    /// # Errors
    /// The brokers or the database do not answer. It may be begun again.
    pub async fn run(
        &self,
        replay: &Replay,
        mut progress: impl FnMut(u64, u64),
    ) -> anyhow::Result<Replayed> {
        let prefix = &self.config.bus.topic_prefix;
        let topics = replay.role.hears().iter().map(|it| it.topic(prefix));
        let from = replay.from.reader(self.clock.now());
        let reader = Reader::open(&self.config.kafka, topics.collect(), from, Until::Now).await?;
        let until = replay.until.and_then(|until| until.at(self.clock.now()));
        let hands = Hands::new(
            replay.role,
            &self.store,
            &self.clock,
            &self.ids,
            &self.config,
        )?;
        let max = usize::try_from(self.config.bus.batch_max)?;
        let mut done = Replayed::default();
        while let Some(records) = reader.batch(max, WAIT).await? {
            done.read += records.len() as u64;
            let wanted = records
                .into_iter()
                .filter(|record| until.is_none_or(|until| record.written_at < Some(until)));
            let chosen = self
                .choose(replay.role, wanted.collect(), &mut done)
                .await?;
            if replay.dry_run {
                self.count(replay.role, &chosen, &mut done).await?;
            } else if !chosen.is_empty() {
                let deliveries = chosen.into_iter().map(|it| it.delivery).collect();
                let verdicts = hands.take(deliveries).await?;
                let dead = |verdict: &&Verdict| matches!(verdict, Verdict::Dead(_));
                done.refused += verdicts.iter().filter(dead).count() as u64;
                done.handled = hands.handled();
                done.handled_before = hands.duplicates();
            }
            progress(reader.total() - reader.left(), reader.total());
        }
        Ok(done)
    }

    /// Those that cannot make anything wrong. What cannot be read is refused as ever.
    async fn choose(
        &self,
        role: HearingRole,
        records: Vec<Record>,
        done: &mut Replayed,
    ) -> Result<Vec<Chosen>, StoreError> {
        let chosen: Vec<Chosen> = records
            .into_iter()
            .filter_map(|record| Chosen::of(record, &self.config.bus.topic_prefix))
            .collect();
        let forgotten = self.forgotten_before();
        let known = match role {
            HearingRole::Projector => {
                let ids: Vec<Uuid> = chosen.iter().filter_map(Chosen::id).collect();
                let places = event_log::places(self.store.reads(), &ids).await?;
                Some(places.into_keys().collect::<HashSet<Uuid>>())
            }
            // Others may tell of insights too; an alert is one for each event.
            HearingRole::Notifier => None,
        };
        let mut kept = Vec::with_capacity(chosen.len());
        for it in chosen {
            match &it.event {
                Some(event) if event.time < forgotten => done.too_old += 1,
                Some(event)
                    if known
                        .as_ref()
                        .is_some_and(|known| !known.contains(&event.id)) =>
                {
                    done.not_in_log += 1;
                }
                _ => kept.push(it),
            }
        }
        Ok(kept)
    }

    /// What was said before may be handled and forgotten.
    fn forgotten_before(&self) -> DateTime<Utc> {
        let inbox = TimeDelta::from_std(self.config.retention.inbox).unwrap_or(TimeDelta::MAX);
        let forgotten = self.clock.now().checked_sub_signed(inbox - SKEW);
        forgotten.unwrap_or(DateTime::UNIX_EPOCH)
    }

    async fn count(
        &self,
        role: HearingRole,
        chosen: &[Chosen],
        done: &mut Replayed,
    ) -> Result<(), StoreError> {
        let ids: HashSet<Uuid> = chosen.iter().filter_map(Chosen::id).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let known = inbox::known(self.store.reads(), role.name(), &ids).await?;
        for it in chosen {
            match it.id() {
                None => done.refused += 1,
                Some(id) if known.contains(&id) => done.handled_before += 1,
                Some(_) => done.handled += 1,
            }
        }
        Ok(())
    }
}

/// A record that may be handed over.
struct Chosen {
    event: Option<Event>,
    delivery: Delivery,
}

impl Chosen {
    fn of(record: Record, prefix: &str) -> Option<Self> {
        let topic = EventType::of_topic(prefix, &record.topic)?;
        let payload = record.value.unwrap_or_default();
        Some(Self {
            event: Event::parse(&payload).ok(),
            delivery: Delivery {
                topic: topic.as_str().to_owned(),
                payload,
                position: None,
            },
        })
    }

    fn id(&self) -> Option<Uuid> {
        self.event.as_ref().map(|event| event.id)
    }
}
