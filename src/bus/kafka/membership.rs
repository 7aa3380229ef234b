//! A consumer's place in its group: which partitions it has, and what is done of them.
//!
//! librdkafka calls from within a poll, in the thread of the subscription: between two polls nothing
//! changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::kafka::context;
use crate::kafka::offsets::Partition;

/// Which partitions are ours, and what is done of them.
#[derive(Debug)]
pub(super) struct Membership {
    consumer: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ours: BTreeSet<Partition>,
    /// What comes next, of partitions that are ours.
    done: BTreeMap<Partition, i64>,
    /// Taken away since somebody asked.
    taken: BTreeSet<Partition>,
    paused: bool,
}

impl Membership {
    pub(super) fn new(consumer: &'static str) -> Self {
        Self {
            consumer,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our partitions.
    pub(super) fn ours(&self) -> Vec<Partition> {
        self.state().ours.iter().cloned().collect()
    }

    /// The partitions that were taken from us since this was asked.
    pub(super) fn taken(&self) -> BTreeSet<Partition> {
        std::mem::take(&mut self.state().taken)
    }

    /// Notes that all before these places is done, and tells the group, where they are still ours. It
    /// does not wait for the answer: what is not noted is delivered again, and does no harm.
    pub(super) fn done(&self, member: &BaseConsumer<Self>, next: BTreeMap<Partition, i64>) {
        let mut state = self.state();
        let ours: BTreeMap<Partition, i64> = next
            .into_iter()
            .filter(|(partition, _)| state.ours.contains(partition))
            .collect();
        state.done.extend(ours.clone());
        drop(state);
        self.commit(member, &ours, CommitMode::Async);
    }

    /// Tells the group what is done, and waits until it knows.
    pub(super) fn settle(&self, member: &BaseConsumer<Self>) {
        let done = self.state().done.clone();
        self.commit(member, &done, CommitMode::Sync);
    }

    fn commit(
        &self,
        member: &BaseConsumer<Self>,
        next: &BTreeMap<Partition, i64>,
        how: CommitMode,
    ) {
        if next.is_empty() {
            return;
        }
        let committed = list(next).and_then(|list| member.commit(&list, how));
        if let Err(error) = committed {
            self.not_committed(&error);
        }
    }

    fn not_committed(&self, error: &KafkaError) {
        let consumer = self.consumer;
        match error.rdkafka_error_code() {
            // The group has gone on without us: whoever has the partition now reads it again.
            Some(Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress) => {
                tracing::info!(consumer, %error, "what was done is not noted");
            }
            Some(Code::NoOffset) => {}
            _ => tracing::warn!(consumer, %error, "what was done is not noted"),
        }
    }

    /// Fetches nothing, of any partition that is or becomes ours, until [`resume`](Self::resume).
    pub(super) fn pause(&self, member: &BaseConsumer<Self>) {
        let mut state = self.state();
        if !state.paused {
            state.paused = true;
            let ours = plain(&state.ours);
            drop(state);
            self.tried("pause", member.pause(&ours));
        }
    }

    /// Fetches again.
    pub(super) fn resume(&self, member: &BaseConsumer<Self>) {
        let mut state = self.state();
        if state.paused {
            state.paused = false;
            let ours = plain(&state.ours);
            drop(state);
            self.tried("resume", member.resume(&ours));
        }
    }

    fn tried(&self, what: &str, result: KafkaResult<()>) {
        if let Err(error) = result {
            tracing::warn!(consumer = self.consumer, %error, "cannot {what}");
        }
    }

    fn give_up(&self, member: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let mut state = self.state();
        let mut done = BTreeMap::new();
        for partition in named(partitions) {
            state.ours.remove(&partition);
            if let Some(next) = state.done.remove(&partition) {
                done.insert(partition.clone(), next);
            }
            state.taken.insert(partition);
        }
        drop(state);
        tracing::info!(
            consumer = self.consumer,
            partitions = partitions.count(),
            "partitions go"
        );
        // When it is too late to say so, somebody else has them already.
        if !member.assignment_lost() {
            self.commit(member, &done, CommitMode::Sync);
        }
    }

    fn take_up(&self, member: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let mut state = self.state();
        state.ours.extend(named(partitions));
        let paused = state.paused;
        drop(state);
        tracing::info!(
            consumer = self.consumer,
            partitions = partitions.count(),
            "partitions come"
        );
        if paused {
            self.tried("pause", member.pause(partitions));
        }
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::report(&error, reason);
    }
}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, member: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            self.give_up(member, partitions);
        }
    }

    fn post_rebalance(&self, member: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.take_up(member, partitions);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            self.not_committed(&error);
        }
    }
}

fn named(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements().into_iter();
    elements
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

fn plain(partitions: &BTreeSet<Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

fn list(next: &BTreeMap<Partition, i64>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(next.len());
    for ((topic, partition), offset) in next {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}
