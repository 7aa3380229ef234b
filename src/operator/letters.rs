//! Dead letters: what a consumer has refused for good, whichever bus brought it.
//!
//! A letter is re-driven by handing it to the consumer that refused it, here and now, as the bus would:
//! that works with every bus, tells at once what came of it, and the inbox lets it work once. What it
//! leads to is said in the log, and the roles that run carry that on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::HearingRole;
use super::handing::Hands;
use crate::bus::kafka::{LETTER_CONSUMER, LETTER_REASON, group};
use crate::bus::{Delivery, Verdict};
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::events::{Event, EventType};
use crate::kafka::Record;
use crate::kafka::reader::{From, Reader, Until};
use crate::store::dead_letters::{self, DeadLetter, Kept, Which};
use crate::store::users::{self, Concerned};
use crate::store::{Store, StoreError, Tx};

/// Letters that are worked on together.
const BATCH: u32 = 200;
/// How long to wait for more letters before the end.
const WAIT: Duration = Duration::from_millis(200);
/// Why a letter is one that came from its topic without a reason.
const NO_REASON: &str = "no reason came with it: it stands on the topic of dead letters alone";

/// The topics that letters are of: those that somebody hears, without prefix.
#[must_use]
pub fn topics() -> Vec<&'static str> {
    EventType::heard().map(EventType::as_str).collect()
}

/// A letter, as it is listed: nothing of what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: Uuid,
    /// When it was kept.
    pub kept_at: DateTime<Utc>,
    /// Who refused it.
    pub consumer: String,
    /// Where it came from.
    pub topic: String,
    /// The event's id.
    pub event_id: Uuid,
    /// Why it was refused.
    pub reason: String,
}

impl std::convert::From<Kept> for Listed {
    fn from(kept: Kept) -> Self {
        Self {
            id: kept.id,
            kept_at: kept.created_at,
            consumer: kept.consumer,
            topic: kept.topic,
            event_id: kept.event_id,
            reason: kept.reason,
        }
    }
}

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The letter.
    #[serde(flatten)]
    pub letter: Listed,
    /// The event: JSON, or a text of what is none.
    pub payload: serde_json::Value,
}

/// What became of a letter that was re-driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redriven {
    /// The letter's id.
    pub id: Uuid,
    /// Its topic.
    pub topic: String,
    /// Why it is a letter still; none of one that is done with.
    pub refused: Option<String>,
}

/// What was found on the topics of dead letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Records read.
    pub read: u64,
    /// Letters that were not known.
    pub new: u64,
}

/// Works on dead letters.
pub struct Letters {
    store: Store,
    clock: Clock,
    ids: Ids,
    config: Config,
}

impl Letters {
    /// Of this database.
    #[must_use]
    pub fn new(store: Store, clock: Clock, ids: Ids, config: &Config) -> Self {
        Self {
            store,
            clock,
            ids,
            config: config.clone(),
        }
    }

    /// The oldest letters, and how many there are in all.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn list(&self, which: &Which, limit: u32) -> Result<(Vec<Listed>, u64), StoreError> {
        let reads = self.store.reads();
        let letters = dead_letters::of_all(reads, which, None, limit).await?;
        let total = dead_letters::count(reads, which).await?;
        Ok((letters.into_iter().map(Into::into).collect(), total))
    }

    /// One letter with what it says.
    ///
    /// # Errors
    /// The database cannot be read; there is no such letter.
    pub async fn show(&self, id: Uuid) -> anyhow::Result<Shown> {
        let (letter, payload) = self.get(id).await?;
        let value = serde_json::from_str(&payload);
        Ok(Shown {
            letter: letter.into(),
            payload: value.unwrap_or_else(|_| payload.into()),
        })
    }

    async fn get(&self, id: Uuid) -> anyhow::Result<(Kept, String)> {
        let found = dead_letters::get(self.store.reads(), id).await?;
        found.with_context(|| {
            format!(
                "there is no dead letter {id} (any more); `dlq list` shows those that there are"
            )
        })
    }

    /// Removes letters for good, and notes that their events are done with; gives those that were there
    /// until now.
    ///
    /// # Errors
    /// One of them is not there: nothing is removed. The database cannot do it now: those before are
    /// removed.
    pub async fn discard(&self, ids: &[Uuid]) -> anyhow::Result<Vec<Uuid>> {
        let mut letters = Vec::with_capacity(ids.len());
        for id in ids {
            letters.push(self.get(*id).await?.0);
        }
        let now = self.clock.now();
        // A unit of work for each: whoever settles a user's letters goes through them in another order.
        let mut gone = Vec::with_capacity(letters.len());
        for letter in letters {
            let id = letter.id;
            let is_gone = self
                .store
                .write(move |tx| async move { dead_letters::discard(&tx, &letter, now).await });
            if is_gone.await? {
                gone.push(id);
            }
        }
        Ok(gone)
    }

    /// Hands letters to the consumers that refused them. Those that are handled now, or were by
    /// somebody else meanwhile, are letters no more.
    ///
    /// # Errors
    /// One of them is not there: nothing is done. The database cannot do it now.
    pub async fn redrive(&self, ids: &[Uuid]) -> anyhow::Result<Vec<Redriven>> {
        for id in ids {
            self.get(*id).await?;
        }
        let mut done = Vec::with_capacity(ids.len());
        for batch in ids.chunks(usize::try_from(BATCH)?) {
            done.extend(self.redrive_batch(batch).await?);
        }
        Ok(done)
    }

    /// Hands all letters over that there are now.
    ///
    /// # Errors
    /// The database cannot do it now.
    pub async fn redrive_all(
        &self,
        which: &Which,
        mut progress: impl FnMut(u64, u64),
    ) -> anyhow::Result<Vec<Redriven>> {
        let total = dead_letters::count(self.store.reads(), which).await?;
        let (mut done, mut after) = (Vec::new(), None);
        loop {
            let reads = self.store.reads();
            let letters = dead_letters::of_all(reads, which, after, BATCH).await?;
            let Some(last) = letters.last() else {
                return Ok(done);
            };
            after = Some(last.id);
            let ids: Vec<Uuid> = letters.iter().map(|letter| letter.id).collect();
            done.extend(self.redrive_batch(&ids).await?);
            progress(done.len() as u64, total);
        }
    }

    async fn redrive_batch(&self, ids: &[Uuid]) -> anyhow::Result<Vec<Redriven>> {
        let mut by_consumer: BTreeMap<String, Vec<(Kept, String)>> = BTreeMap::new();
        for id in ids {
            // One that is gone by now was dealt with by somebody else.
            if let Some((letter, payload)) = dead_letters::get(self.store.reads(), *id).await? {
                let of_consumer = by_consumer.entry(letter.consumer.clone()).or_default();
                of_consumer.push((letter, payload));
            }
        }
        let mut done = Vec::with_capacity(ids.len());
        for (consumer, letters) in by_consumer {
            let Some(role) = HearingRole::named(&consumer) else {
                bail!(
                    "the letters of {consumer:?} are for a consumer that this release does not have"
                );
            };
            done.extend(self.hand_over(role, letters).await?);
        }
        done.sort_by_key(|it| it.id);
        Ok(done)
    }

    async fn hand_over(
        &self,
        role: HearingRole,
        letters: Vec<(Kept, String)>,
    ) -> anyhow::Result<Vec<Redriven>> {
        let hands = Hands::new(role, &self.store, &self.clock, &self.ids, &self.config)?;
        let (mut done, mut handed, mut deliveries) = (Vec::new(), Vec::new(), Vec::new());
        let mut unreadable = Vec::new();
        for (letter, payload) in letters {
            // What is no event now will be none then; and its id is made of bytes that may not have
            // been kept as they were.
            if let Err(error) = Event::parse(payload.as_bytes()) {
                unreadable.push((letter.id, error.to_string()));
                done.push(redriven(&letter, Some(error.to_string())));
                continue;
            }
            deliveries.push(Delivery {
                topic: letter.topic.clone(),
                payload: payload.into_bytes(),
                position: None,
            });
            handed.push(letter);
        }
        let verdicts = hands.take(deliveries).await?;
        let mut gone = Vec::new();
        for (letter, verdict) in handed.iter().zip(verdicts) {
            match verdict {
                Verdict::Done => {
                    gone.push(letter.id);
                    done.push(redriven(letter, None));
                }
                Verdict::Dead(reason) => done.push(redriven(letter, Some(reason))),
            }
        }
        self.store
            .write(move |tx| async move {
                for id in gone {
                    dead_letters::remove(&tx, id).await?;
                }
                for (id, reason) in unreadable {
                    dead_letters::refuse(&tx, id, &reason).await?;
                }
                Ok(())
            })
            .await?;
        Ok(done)
    }

    /// Takes letters off their topics that the table does not know: what a sidecar gives up by itself it
    /// writes there and nowhere else. How far it came is noted in a group of its own.
    ///
    /// # Errors
    /// The brokers or the database do not answer. It may be begun again.
    pub async fn import(&self) -> anyhow::Result<Imported> {
        let prefix = &self.config.bus.topic_prefix;
        let topics = EventType::heard().map(|it| it.dead_letter_topic(prefix));
        let topics = topics.collect();
        let from = From::Noted(group(&self.config.kafka.group_prefix, "dead-letters"));
        let reader = Reader::open(&self.config.kafka, topics, from, Until::Now).await?;
        let mut done = Imported::default();
        while let Some(records) = reader.batch(usize::try_from(BATCH)?, WAIT).await? {
            done.read += records.len() as u64;
            let letters: Vec<Found> = records
                .iter()
                .flat_map(|record| self.found(record))
                .collect();
            if !letters.is_empty() {
                let now = self.clock.now();
                done.new += self
                    .store
                    .write(move |tx| async move { add(&tx, letters, now).await })
                    .await?;
            }
            reader.note().await?;
        }
        Ok(done)
    }

    /// The letters that a record stands for: one for each consumer that may have given it up.
    fn found(&self, record: &Record) -> Vec<Found> {
        let prefix = &self.config.bus.topic_prefix;
        let of_topic = EventType::of_dead_letter_topic(prefix, &record.topic);
        // One without a value is told by its headers; the table has what it was.
        let (Some(event_type), Some(value)) = (of_topic, record.value.as_deref()) else {
            return Vec::new();
        };
        let event = Event::parse(value).ok();
        let event_id = match &event {
            Some(event) => event.id,
            None => dead_letters::id_of_bytes(value),
        };
        let who = record.header(LETTER_CONSUMER);
        let now = self.clock.now();
        let consumers = event_type
            .heard_by()
            .filter(|name| who.is_none_or(|who| who == *name));
        consumers
            .map(|consumer| Found {
                user_id: event.as_ref().map(|event| event.data.user_id()),
                letter: DeadLetter {
                    id: self.ids.v7(now),
                    consumer,
                    topic: event_type.as_str().to_owned(),
                    event_id,
                    payload: String::from_utf8_lossy(value).into_owned(),
                    reason: record.header(LETTER_REASON).unwrap_or(NO_REASON).to_owned(),
                },
            })
            .collect()
    }
}

/// A letter that was found on a topic.
struct Found {
    user_id: Option<Uuid>,
    letter: DeadLetter,
}

/// Adds those that are new. Nothing of somebody who has left comes back.
async fn add(tx: &Tx, found: Vec<Found>, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let concerned = users::concerned(&**tx, found.iter().filter_map(|it| it.user_id)).await?;
    let mut new = 0;
    for it in found {
        let who = it.user_id.and_then(|user_id| concerned.get(&user_id));
        if who != Some(&Concerned::Left) && dead_letters::add(tx, it.letter, now).await? {
            new += 1;
        }
    }
    Ok(new)
}

fn redriven(letter: &Kept, refused: Option<String>) -> Redriven {
    Redriven {
        id: letter.id,
        topic: letter.topic.clone(),
        refused,
    }
}
