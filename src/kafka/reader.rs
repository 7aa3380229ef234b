//! Reads topics from a place to the end that they have now, or on and on. It is a member of no group,
//! and notes how far it came only when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::offsets::Onlooker;
use super::{Context, KafkaFault, Record, blocking, settings};
use crate::config;

/// How long to wait between two looks when there is nothing.
const IDLE: Duration = Duration::from_millis(20);
/// How long nothing may come before the end, at least.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nobody's group: it is never joined, and nothing is noted in it.
const NOBODY: &str = "wealth-companion-operator-reads";

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// With the oldest record that is kept.
    Beginning,
    /// With what comes from now on.
    End,
    /// With the first record that was written then or later.
    Moment(DateTime<Utc>),
    /// Where this group has noted that it was; [`Reader::note`] notes it anew.
    Noted(String),
}

/// Whether to go on behind the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To where the topics end when reading begins.
    Now,
    /// On and on.
    Forever,
}

/// Reads topics.
pub struct Reader {
    sources: Arc<Mutex<Vec<Source>>>,
    /// Sources that are read to their end.
    over: Arc<Mutex<Vec<Source>>>,
    config: config::Kafka,
    total: u64,
    forever: bool,
    /// When something was read the last time.
    moved: Mutex<Instant>,
}

/// One topic. Each has a client of its own: that a partition ends is told without its topic.
struct Source {
    consumer: BaseConsumer<Context>,
    topic: String,
    open: BTreeMap<i32, Stretch>,
    /// What comes behind the records that were handed out.
    next: BTreeMap<i32, i64>,
    forever: bool,
}

/// What is still to be read of a partition.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    next: i64,
    end: i64,
}

impl Stretch {
    fn left(self) -> u64 {
        u64::try_from(self.end - self.next).unwrap_or(0)
    }
}

impl Reader {
    /// Reads these topics.
    ///
    /// # Errors
    /// The brokers do not answer; a topic is not there.
    pub async fn open(
        config: &config::Kafka,
        topics: Vec<String>,
        from: From,
        until: Until,
    ) -> Result<Self, KafkaFault> {
        let settings = config.clone();
        let sources = blocking(config, move || open(&settings, &topics, &from, until)).await?;
        let total = sources.iter().map(Source::left).sum();
        Ok(Self {
            sources: Arc::new(Mutex::new(sources)),
            over: Arc::default(),
            config: config.clone(),
            total,
            forever: until == Until::Forever,
            moved: Mutex::new(Instant::now()),
        })
    }

    /// How many records there were to read when it began, at most.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many are still to be read, at most.
    #[must_use]
    pub fn left(&self) -> u64 {
        lock(&self.sources).iter().map(Source::left).sum()
    }

    /// The next records, at most so many, of those that are there within a while; an empty batch when
    /// there are none yet. None at the end.
    ///
    /// # Errors
    /// The brokers do not answer. Who reads on and on waits until they do.
    pub async fn batch(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Record>>, KafkaFault> {
        let found = self.look(max, wait).await?;
        let mut moved = lock(&self.moved);
        if found.as_ref().is_none_or(|found| !found.is_empty()) {
            *moved = Instant::now();
        } else if !self.forever && moved.elapsed() > PATIENCE.max(self.config.timeout * 2) {
            return Err(KafkaFault::Unreachable {
                brokers: self.config.brokers.clone(),
                detail: format!("{} records were still to come", self.left()),
            });
        }
        Ok(found)
    }

    async fn look(&self, max: usize, wait: Duration) -> Result<Option<Vec<Record>>, KafkaFault> {
        let (sources, config) = (Arc::clone(&self.sources), self.config.clone());
        let over = Arc::clone(&self.over);
        blocking(&self.config, move || {
            let mut sources = lock(&sources);
            let deadline = Instant::now() + wait;
            loop {
                let found = take(&mut sources, max, &config)?;
                lock(&over).extend(sources.extract_if(.., |source| source.is_over()));
                match (found.is_empty(), sources.is_empty()) {
                    (true, true) => return Ok(None),
                    (true, false) if Instant::now() < deadline => std::thread::sleep(IDLE),
                    _ => return Ok(Some(found)),
                }
            }
        })
        .await
    }
}

impl Reader {
    /// Notes, in the group that it began with, that all that was handed out is done.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub async fn note(&self) -> Result<(), KafkaFault> {
        let (sources, over) = (Arc::clone(&self.sources), Arc::clone(&self.over));
        let config = self.config.clone();
        blocking(&self.config, move || {
            for source in lock(&sources).iter().chain(lock(&over).iter()) {
                source.note(&config)?;
            }
            Ok(())
        })
        .await
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(
    config: &config::Kafka,
    topics: &[String],
    from: &From,
    until: Until,
) -> Result<Vec<Source>, KafkaFault> {
    let group = match from {
        From::Noted(group) => group.clone(),
        _ => NOBODY.to_owned(),
    };
    let onlooker = Onlooker::new(config, &group)?;
    let partitions = onlooker.partitions(topics)?;
    let standings = onlooker.standings(&partitions)?;
    let since = match from {
        From::Moment(moment) => Some(onlooker.since(&partitions, moment.timestamp_millis())?),
        _ => None,
    };
    let mut open: BTreeMap<&String, BTreeMap<i32, Stretch>> = BTreeMap::new();
    for (partition, standing) in &standings {
        let next = match (from, &since) {
            (From::End, _) => standing.end,
            (From::Noted(_), _) => standing.next(),
            (_, Some(since)) => since.get(partition).copied().unwrap_or(standing.end),
            _ => standing.begin,
        };
        let stretch = Stretch {
            next,
            end: standing.end,
        };
        let of_topic = open.entry(&partition.0).or_default();
        if until == Until::Forever || stretch.left() > 0 {
            of_topic.insert(partition.1, stretch);
        }
    }
    open.retain(|_, stretches| !stretches.is_empty());
    open.into_iter()
        .map(|(topic, open)| Source::begin(config, &group, topic, open, until))
        .collect()
}

/// Takes what is there, from each source in turn.
fn take(
    sources: &mut [Source],
    max: usize,
    config: &config::Kafka,
) -> Result<Vec<Record>, KafkaFault> {
    let mut found = VecDeque::new();
    let mut before = usize::MAX;
    while found.len() < max && found.len() != before {
        before = found.len();
        for source in sources.iter_mut() {
            if found.len() < max
                && let Some(record) = source.poll(config)?
            {
                found.push_back(record);
            }
        }
    }
    Ok(found.into())
}

impl Source {
    fn begin(
        config: &config::Kafka,
        group: &str,
        topic: &str,
        open: BTreeMap<i32, Stretch>,
        until: Until,
    ) -> Result<Self, KafkaFault> {
        let fault = |error: KafkaError| KafkaFault::of(config, &error);
        let consumer: BaseConsumer<Context> = settings::onlooker(config, group)
            .create_with_context(Context)
            .map_err(fault)?;
        let mut list = TopicPartitionList::new();
        for (partition, stretch) in &open {
            let next = Offset::Offset(stretch.next);
            list.add_partition_offset(topic, *partition, next)
                .map_err(fault)?;
        }
        consumer.assign(&list).map_err(fault)?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            open,
            next: BTreeMap::new(),
            forever: until == Until::Forever,
        })
    }

    fn is_over(&self) -> bool {
        !self.forever && self.open.is_empty()
    }

    fn left(&self) -> u64 {
        self.open.values().map(|stretch| stretch.left()).sum()
    }

    fn poll(&mut self, config: &config::Kafka) -> Result<Option<Record>, KafkaFault> {
        // A look that finds an event instead of a record is made again; there are few of them.
        for _ in 0..8 {
            match self.consumer.poll(Duration::ZERO) {
                None => return Ok(None),
                Some(Ok(message)) => {
                    let record = Record::of(&message);
                    if self.wants(&record) {
                        self.next.insert(record.partition, record.offset + 1);
                        return Ok(Some(record));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.ended(partition),
                Some(Err(error)) => match KafkaFault::of(config, &error) {
                    // The client connects again by itself.
                    KafkaFault::Unreachable { detail, .. } => {
                        tracing::debug!(detail, "a connection is lost");
                    }
                    fault => return Err(fault),
                },
            }
        }
        Ok(None)
    }

    fn note(&self, config: &config::Kafka) -> Result<(), KafkaFault> {
        if self.next.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (partition, next) in &self.next {
            let next = Offset::Offset(*next);
            list.add_partition_offset(&self.topic, *partition, next)
                .map_err(|error| KafkaFault::of(config, &error))?;
        }
        self.consumer
            .commit(&list, CommitMode::Sync)
            .map_err(|error| KafkaFault::of(config, &error))
    }

    /// Takes note that a record was read; whether it lies before the end.
    fn wants(&mut self, record: &Record) -> bool {
        if self.forever {
            return true;
        }
        let Some(stretch) = self.open.get_mut(&record.partition) else {
            return false;
        };
        stretch.next = record.offset + 1;
        if stretch.left() == 0 {
            let is_before = record.offset < stretch.end;
            self.close(record.partition);
            return is_before;
        }
        true
    }

    /// The partition has nothing more, though its last places may have held no record.
    fn ended(&mut self, partition: i32) {
        if !self.forever {
            self.close(partition);
        }
    }

    /// Fetches no more of a partition that others go on writing to.
    fn close(&mut self, partition: i32) {
        if self.open.remove(&partition).is_some() {
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.topic, partition);
            if let Err(error) = self.consumer.pause(&list) {
                tracing::debug!(%error, partition, "cannot pause");
            }
        }
    }
}
