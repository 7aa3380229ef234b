//! From the topics to a consumer.
//!
//! A thread of its own polls, hands over, and notes what is done: in that order, so that between two
//! polls no partition comes or goes. When the database is away it fetches nothing, keeps what it has in
//! hand, and goes on polling: its place in the group stays, and nobody else gets the same trouble.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::group;
use super::held::Held;
use super::lag::Lag;
use super::letters::Letters;
use super::membership::Membership;
use crate::bus::Verdict;
use crate::bus::consumer::Consumer;
use crate::config::{Bus, Config, Kafka};
use crate::kafka::offsets::Partition;
use crate::kafka::settings;

/// How long a poll waits for something to come; draining is noticed as soon.
const POLL: Duration = Duration::from_millis(50);
/// Bytes of a batch at the most, but for one event that is larger.
const BATCH_BYTES: usize = 8 << 20;
/// How long a batch may take before the group is told that we live.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long leaving the group may take. Without brokers librdkafka now and then waits for good.
const LEAVE_AT_MOST: Duration = Duration::from_secs(5);

/// Brings a consumer what is published on its topics.
pub struct KafkaSubscription {
    consumer: Arc<Consumer>,
    letters: Letters,
    bus: Bus,
    kafka: Kafka,
}

type Member = BaseConsumer<Membership>;

impl KafkaSubscription {
    /// A subscription of this consumer.
    ///
    /// # Errors
    /// librdkafka does not want the settings.
    pub fn new(consumer: Arc<Consumer>, config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            letters: Letters::new(config, consumer.name())?,
            consumer,
            bus: config.bus.clone(),
            kafka: config.kafka.clone(),
        })
    }

    /// Brings batches until draining begins; then finishes the one in hand and leaves the group.
    ///
    /// # Errors
    /// The group will not have us.
    pub async fn run(self, draining: CancellationToken) -> anyhow::Result<()> {
        let runtime = Handle::current();
        let stop = draining.child_token();
        // When this is cut off, the thread ends as well.
        let _cut_off = stop.clone().drop_guard();
        let name = self.consumer.name();
        let (tell, ended) = oneshot::channel();
        let (tell_left, left) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("kafka {name}"))
            .spawn(move || {
                let member = match self.join() {
                    Ok(member) => member,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                tell.send(self.work(&member, &runtime, &stop)).ok();
                // Dropped, it leaves the group.
                drop(member);
                tell_left.send(()).ok();
            })?;
        let ended = ended.await;
        let ended = ended.unwrap_or_else(|_| Err(anyhow!("the thread of the consumer panicked")));
        if timeout(LEAVE_AT_MOST, left).await.is_err() {
            tracing::warn!(
                consumer = name,
                "no broker hears that it leaves: its partitions are another's when its session is over"
            );
        }
        ended
    }

    /// A member of the consumer's group, which has asked for its topics.
    fn join(&self) -> anyhow::Result<Member> {
        let name = self.consumer.name();
        let group = group(&self.kafka.group_prefix, name);
        let member: Member =
            settings::member(&self.kafka, &group).create_with_context(Membership::new(name))?;
        let topics: Vec<String> = self
            .consumer
            .topics()
            .map(|heard| heard.topic(&self.bus.topic_prefix))
            .collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        member
            .subscribe(&topics)
            .with_context(|| format!("group {group}"))?;
        Ok(member)
    }

    /// Brings batches until it is to stop.
    fn work(
        &self,
        member: &Member,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let group = group(&self.kafka.group_prefix, self.consumer.name());
        let mut lag = Lag::begin(&self.kafka, &group, self.consumer.metrics().clone())?;
        while !stop.is_cancelled() {
            let batch = self.collect(member)?;
            if !batch.is_empty() {
                self.bring(member, batch, &mut lag, runtime, stop)?;
            }
            lag.tell(|| member.context().ours());
        }
        member.context().settle(member);
        Ok(())
    }

    /// What is there, up to a full batch, without waiting for one.
    fn collect(&self, member: &Member) -> anyhow::Result<Vec<Held>> {
        let max = usize::try_from(self.bus.batch_max)?;
        let (mut batch, mut bytes, mut wait) = (Vec::new(), 0, POLL);
        while batch.len() < max && bytes < BATCH_BYTES {
            let Some(held) = self.poll(member, wait)? else {
                break;
            };
            bytes += held.value.as_ref().map_or(0, Vec::len);
            batch.push(held);
            wait = Duration::ZERO;
        }
        Ok(batch)
    }

    fn poll(&self, member: &Member, wait: Duration) -> anyhow::Result<Option<Held>> {
        match member.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Held::of(&message, &self.bus.topic_prefix)),
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(error.into()),
            Some(Err(error)) => {
                let consumer = self.consumer.name();
                tracing::warn!(consumer, %error, "the bus does not deliver; will try again");
                Ok(None)
            }
        }
    }

    /// Hands a batch over until it is taken; then notes that it is.
    fn bring(
        &self,
        member: &Member,
        mut batch: Vec<Held>,
        lag: &mut Lag,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        // What was taken away before these came says nothing of them.
        member.context().taken();
        let mut pause = self.bus.retry_min;
        loop {
            let mut late = Vec::new();
            let tried = self.hand_over(member, &batch, &mut late, lag, runtime);
            match tried {
                Ok(()) => {
                    member.context().done(member, next_of(&batch, self));
                    batch = late;
                    if batch.is_empty() {
                        member.context().resume(member);
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.consumer.metrics().retried();
                    let consumer = self.consumer.name();
                    tracing::warn!(consumer, %error, pause_ms = pause.as_millis(), "will try again");
                    batch.append(&mut late);
                    lag.tell(|| member.context().ours());
                    self.wait(member, &mut batch, pause, stop)?;
                    pause = (pause * 2).min(self.bus.retry_max);
                    if stop.is_cancelled() {
                        // It is not noted as done: whoever comes next gets it.
                        return Ok(());
                    }
                }
            }
            let taken = member.context().taken();
            batch.retain(|held| !taken.contains(&held.partition(&self.bus.topic_prefix)));
        }
    }

    /// Fetches nothing and stays in the group for a while.
    fn wait(
        &self,
        member: &Member,
        batch: &mut Vec<Held>,
        pause: Duration,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        member.context().pause(member);
        let until = Instant::now() + pause;
        while !stop.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // A partition that comes now may still bring something.
            batch.extend(self.poll(member, left.min(POLL))?);
        }
        Ok(())
    }

    /// Hands a batch to the consumer, and writes what it refuses to the topics of dead letters.
    fn hand_over(
        &self,
        member: &Member,
        batch: &[Held],
        late: &mut Vec<Held>,
        lag: &mut Lag,
        runtime: &Handle,
    ) -> anyhow::Result<()> {
        if batch.is_empty() {
            // All of it was taken away, and is somebody else's now.
            self.consumer.metrics().nothing_in_hand();
            return Ok(());
        }
        let deliveries = batch.iter().map(Held::delivery).collect();
        runtime.block_on(async {
            let mut taking = pin!(async {
                let verdicts = self.consumer.take(deliveries).await?;
                let refused = batch.iter().zip(verdicts).filter_map(|it| match it {
                    (held, Verdict::Dead(reason)) => Some((held, reason)),
                    (_, Verdict::Done) => None,
                });
                let refused: Vec<(&Held, String)> = refused.collect();
                anyhow::Ok(self.letters.write(&refused).await?)
            });
            loop {
                match timeout(KEEP_ALIVE, &mut taking).await {
                    Ok(done) => return done,
                    Err(_) => {
                        member.context().pause(member);
                        late.extend(self.poll(member, Duration::ZERO)?);
                        lag.tell(|| member.context().ours());
                    }
                }
            }
        })
    }
}

/// What comes behind a batch, of each partition.
fn next_of(batch: &[Held], subscription: &KafkaSubscription) -> BTreeMap<Partition, i64> {
    let mut next = BTreeMap::new();
    for held in batch {
        let of_partition = next
            .entry(held.partition(&subscription.bus.topic_prefix))
            .or_default();
        *of_partition = (held.offset + 1).max(*of_partition);
    }
    next
}
