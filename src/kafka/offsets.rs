//! Where partitions begin and end, and how far a group is. Everything here blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::{Context, KafkaFault, settings};
use crate::config;

/// Between two questions, while brokers change places.
const PAUSE: Duration = Duration::from_millis(100);

/// A partition of a topic.
pub type Partition = (String, i32);

/// How far a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The oldest record that is kept.
    pub begin: i64,
    /// Behind the newest record.
    pub end: i64,
    /// What the group reads next; none when it has not said so.
    pub committed: Option<i64>,
}

impl Standing {
    /// What the group reads next: the oldest record, where it has not said so, or what it has said is
    /// not kept any more.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.committed.unwrap_or(self.begin).max(self.begin)
    }

    /// Records that the group has still to read.
    #[must_use]
    pub fn lag(&self) -> u64 {
        u64::try_from(self.end - self.next()).unwrap_or(0)
    }
}

/// Stands beside a group, and asks about it.
pub struct Onlooker {
    consumer: BaseConsumer<Context>,
    config: config::Kafka,
}

impl Onlooker {
    /// Asks about this group.
    ///
    /// # Errors
    /// librdkafka does not want the settings.
    pub fn new(config: &config::Kafka, group: &str) -> Result<Self, KafkaFault> {
        let consumer = settings::onlooker(config, group).create_with_context(Context);
        Ok(Self {
            consumer: consumer.map_err(|error| KafkaFault::of(config, &error))?,
            config: config.clone(),
        })
    }

    /// All partitions of these topics, each once.
    ///
    /// # Errors
    /// The brokers do not answer; a topic is not there.
    pub fn partitions(&self, topics: &[String]) -> Result<Vec<Partition>, KafkaFault> {
        let all = self.consumer.fetch_metadata(None, self.config.timeout);
        let all = all.map_err(|error| KafkaFault::of(&self.config, &error))?;
        let mut partitions = BTreeSet::new();
        for name in topics {
            let topic = all.topics().iter().find(|topic| topic.name() == name);
            let topic = topic.ok_or_else(|| KafkaFault::NoTopic(name.clone()))?;
            let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            partitions.extend((0..count).map(|number| (name.clone(), number)));
        }
        Ok(partitions.into_iter().collect())
    }

    /// How far the group is in these partitions.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub fn standings(
        &self,
        partitions: &[Partition],
    ) -> Result<BTreeMap<Partition, Standing>, KafkaFault> {
        // What the client has to say is taken out of its queue: nothing else comes into it.
        while self.consumer.poll(Duration::ZERO).is_some() {}
        patiently(self.config.timeout, || self.asked(partitions))
            .map_err(|error| KafkaFault::of(&self.config, &error))
    }

    fn asked(&self, partitions: &[Partition]) -> KafkaResult<BTreeMap<Partition, Standing>> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let timeout = self.config.timeout;
        let begins = places(&self.consumer, partitions, Offset::Beginning, timeout)?;
        let ends = places(&self.consumer, partitions, Offset::End, timeout)?;
        let committed = list(partitions, Offset::Invalid)?;
        let committed = known(&self.consumer.committed_offsets(committed, timeout)?)?;
        let standing = |partition: &Partition| {
            let standing = Standing {
                begin: *begins.get(partition)?,
                end: *ends.get(partition)?,
                committed: committed.get(partition).copied(),
            };
            Some((partition.clone(), standing))
        };
        Ok(partitions.iter().filter_map(standing).collect())
    }

    /// The first records not older than a moment; the end where there are none.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub fn since(
        &self,
        partitions: &[Partition],
        millis: i64,
    ) -> Result<BTreeMap<Partition, i64>, KafkaFault> {
        let timeout = self.config.timeout;
        let asked = |of| patiently(timeout, || places(&self.consumer, partitions, of, timeout));
        let (ends, found) = (asked(Offset::End), asked(Offset::Offset(millis)));
        let fault = |error| KafkaFault::of(&self.config, &error);
        let (mut ends, found) = (ends.map_err(fault)?, found.map_err(fault)?);
        ends.extend(found);
        Ok(ends)
    }
}

/// Asks until there is an answer: brokers that just started, or changed places, send one away for a moment.
fn patiently<T>(limit: Duration, ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let begun = Instant::now();
    loop {
        match ask() {
            Err(error) if passes(&error) && begun.elapsed() < limit => {
                std::thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
}

fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::UnknownLeaderEpoch
                | Code::FencedLeaderEpoch
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
        )
    )
}

/// Asks for offsets of all partitions at once: their beginnings, their ends, or by time, which is
/// what an offset stands for here.
fn places<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[Partition],
    of: Offset,
    timeout: Duration,
) -> KafkaResult<BTreeMap<Partition, i64>> {
    let found = consumer.offsets_for_times(list(partitions, of)?, timeout)?;
    known(&found)
}

fn list(partitions: &[Partition], offset: Offset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}

/// The partitions whose offsets are numbers.
fn known(list: &TopicPartitionList) -> KafkaResult<BTreeMap<Partition, i64>> {
    let mut known = BTreeMap::new();
    for element in list.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            known.insert((element.topic().to_owned(), element.partition()), offset);
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_passes_is_waited_for_and_what_does_not_is_told() {
        let asked = Cell::new(0);
        let answer = |codes: &'static [Code]| {
            asked.set(0);
            patiently(Duration::from_secs(60), || {
                let nth = asked.replace(asked.get() + 1);
                match codes.get(nth) {
                    Some(code) => Err(KafkaError::MetadataFetch(*code)),
                    None => Ok("there"),
                }
            })
        };
        let moving = &[Code::UnknownLeaderEpoch, Code::UnknownPartition];
        assert_eq!(answer(moving), Ok("there"));
        assert_eq!(asked.get(), 3);
        let refused = answer(&[Code::TopicAuthorizationFailed]);
        assert_eq!(
            refused,
            Err(KafkaError::MetadataFetch(Code::TopicAuthorizationFailed))
        );
        let never: KafkaResult<()> = patiently(Duration::ZERO, || {
            Err(KafkaError::MetadataFetch(Code::NotLeaderForPartition))
        });
        assert!(never.is_err(), "it has its limit");
    }
}
