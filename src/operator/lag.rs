//! How far consumers are behind.

use serde::Serialize;

use crate::bus::kafka::group;
use crate::config::Config;
use crate::events::catalogue::CONSUMERS;
use crate::kafka::KafkaFault;
use crate::kafka::offsets::Onlooker;

/// A partition of a topic that a consumer hears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// The consumer's group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What the group reads next; none when it has not said so.
    pub committed: Option<i64>,
    /// Behind the newest record.
    pub end: i64,
    /// Records that the group has still to read.
    pub lag: u64,
}

/// How far all are behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// Each partition.
    pub partitions: Vec<Behind>,
    /// Records that groups have still to read.
    pub total: u64,
}

/// Asks the brokers.
///
/// # Errors
/// The brokers do not answer; a topic is not there.
pub async fn read(config: &Config) -> anyhow::Result<Lag> {
    let config = config.clone();
    let partitions = tokio::task::spawn_blocking(move || read_blocking(&config)).await??;
    Ok(Lag {
        total: partitions.iter().map(|behind| behind.lag).sum(),
        partitions,
    })
}

fn read_blocking(config: &Config) -> Result<Vec<Behind>, KafkaFault> {
    let mut all = Vec::new();
    for (consumer, hears) in CONSUMERS {
        let group = group(&config.kafka.group_prefix, consumer);
        let prefix = &config.bus.topic_prefix;
        let topics: Vec<String> = hears.iter().map(|it| it.topic(prefix)).collect();
        let onlooker = Onlooker::new(&config.kafka, &group)?;
        let partitions = onlooker.partitions(&topics)?;
        let standings = onlooker.standings(&partitions)?;
        all.extend(
            standings
                .into_iter()
                .map(|((topic, partition), it)| Behind {
                    group: group.clone(),
                    topic,
                    partition,
                    committed: it.committed,
                    end: it.end,
                    lag: it.lag(),
                }),
        );
    }
    Ok(all)
}
