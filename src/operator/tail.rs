//! Events as they pass.

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::moment::Moment;
use crate::config::Config;
use crate::events::{Event, EventType};
use crate::kafka::Record;
use crate::kafka::reader::{Reader, Until};

/// Records that are looked at together.
const BATCH: usize = 500;
/// How long to wait for more.
const WAIT: Duration = Duration::from_millis(200);

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct Tail {
    /// Of which topics, without the prefix; empty: all of the catalogue.
    pub topics: Vec<String>,
    /// Of which user only.
    pub user: Option<Uuid>,
    /// From where on.
    pub from: Moment,
    /// Whether to wait for more at the end.
    pub follow: bool,
    /// How many at the most.
    pub limit: Option<u64>,
}

/// A record as it passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passed {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// When it was written.
    pub written_at: Option<DateTime<Utc>>,
    /// Its key, where it is text.
    pub key: Option<String>,
    /// What it says: JSON, or a text of what is none; null of a tombstone.
    pub value: Value,
    /// Why it is no event of the catalogue; none of one that is.
    pub wrong: Option<String>,
}

impl Passed {
    fn of(record: &Record) -> Self {
        let bytes = record.value.as_deref();
        let wrong = match bytes {
            None => Some("a tombstone".to_owned()),
            Some(bytes) => Event::parse(bytes).err().map(|error| error.to_string()),
        };
        let value = bytes.map_or(Value::Null, |bytes| {
            serde_json::from_slice(bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
        });
        Self {
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            written_at: record.written_at,
            key: record.key_text().map(str::to_owned),
            value,
            wrong,
        }
    }

    fn is_of(&self, user: Uuid) -> bool {
        let user = user.to_string();
        self.key.as_deref() == Some(&user) || self.value["data"]["userId"] == user.as_str()
    }

    /// A text of the event, by its key.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }
}

/// Hands over each record that is wanted, until it says that it has seen enough.
///
/// # Errors
/// The brokers do not answer; a topic is not of the catalogue, or is not there.
pub async fn run(
    config: &Config,
    tail: &Tail,
    now: DateTime<Utc>,
    mut show: impl FnMut(Passed) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let topics = topics(config, &tail.topics)?;
    let until = if tail.follow {
        Until::Forever
    } else {
        Until::Now
    };
    let reader = Reader::open(&config.kafka, topics, tail.from.reader(now), until).await?;
    let mut shown = 0;
    while let Some(records) = reader.batch(BATCH, WAIT).await? {
        for record in &records {
            let passed = Passed::of(record);
            if tail.user.is_some_and(|user| !passed.is_of(user)) {
                continue;
            }
            if tail.limit.is_some_and(|limit| shown >= limit) || !show(passed)? {
                return Ok(());
            }
            shown += 1;
        }
        if tail.limit.is_some_and(|limit| shown >= limit) {
            return Ok(());
        }
    }
    Ok(())
}

/// The topics that are meant, with the prefix.
fn topics(config: &Config, wanted: &[String]) -> anyhow::Result<Vec<String>> {
    let prefix = &config.bus.topic_prefix;
    if wanted.is_empty() {
        return Ok(EventType::ALL.iter().map(|it| it.topic(prefix)).collect());
    }
    let mut topics = Vec::new();
    for name in wanted {
        let is_known = |name: &str| {
            EventType::of_topic("", name).is_some()
                || EventType::of_dead_letter_topic("", name).is_some()
        };
        let plain = name.strip_prefix(prefix.as_str()).unwrap_or(name);
        if !is_known(plain) {
            let known: Vec<&str> = EventType::ALL.iter().map(|it| it.as_str()).collect();
            bail!(
                "there is no topic {name:?}; there are {}, and each with dlq. before it",
                known.join(", ")
            );
        }
        topics.push(format!("{prefix}{plain}"));
    }
    Ok(topics)
}
