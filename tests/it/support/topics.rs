//! Topics of Kafka that belong to one test, read and written without a sidecar.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use wealth_companion::clock::Ids;
use wealth_companion::events::EventType;

use super::Stack;

const PARTITIONS: i32 = 3;
const PATIENCE: Duration = Duration::from_secs(20);

/// The topics of one test.
pub(crate) struct Topics {
    /// What their names begin with.
    pub(crate) prefix: String,
}

/// A record as it stands in a topic.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) key: Option<String>,
    pub(crate) payload: Vec<u8>,
    pub(crate) headers: HashMap<String, String>,
}

impl Topics {
    /// A topic for each type, and its dead-letter topic, which nobody else knows.
    pub(crate) async fn create() -> Self {
        let prefix = format!("it-{}.", Ids::system().v4().simple());
        let admin: AdminClient<DefaultClientContext> =
            client().create().expect("run `make stack`: Kafka's client");
        let names: Vec<String> = EventType::ALL
            .iter()
            .flat_map(|event_type| ["", "dlq."].map(|dlq| format!("{prefix}{dlq}{event_type}")))
            .collect();
        let topic = |name| {
            NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))
                // So that a test can write a record that is too long for an event.
                .set("max.message.bytes", "4000000")
        };
        let topics: Vec<NewTopic<'_>> = names.iter().map(|name| topic(name)).collect();
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let made = admin.create_topics(&topics, &options).await;
        for topic in made.expect("run `make stack`: Kafka answers") {
            topic.expect("a topic");
        }
        tokio::task::spawn_blocking(move || led(&names))
            .await
            .expect("they have leaders");
        Self { prefix }
    }

    /// A name for a sidecar that belongs to the test: of its consumers too.
    pub(crate) fn app_id(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix.trim_end_matches('.'))
    }

    /// Writes a record as any program could.
    pub(crate) async fn write(
        &self,
        topic: &str,
        key: &[u8],
        payload: &[u8],
        headers: &[(&str, &str)],
    ) {
        let producer: FutureProducer = client()
            .set("message.max.bytes", "4000000")
            // As the sidecar does: a key's records stand in one partition, whoever writes them.
            .set("partitioner", "fnv1a_random")
            .create()
            .expect("a producer");
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header {
                    key,
                    value: Some(*value),
                })
            });
        let topic = format!("{}{topic}", self.prefix);
        let record = FutureRecord::to(&topic)
            .key(key)
            .payload(payload)
            .headers(headers);
        producer.send(record, PATIENCE).await.expect("written");
    }

    /// All records of a topic, partition by partition.
    pub(crate) async fn read(&self, topic: &str) -> Vec<Record> {
        let topic = format!("{}{topic}", self.prefix);
        tokio::task::spawn_blocking(move || read(&topic))
            .await
            .expect("read")
    }

    /// Waits until a topic has so many records; gives them. Fails when they do not come.
    pub(crate) async fn wait_for(&self, topic: &str, count: usize) -> Vec<Record> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let records = self.read(topic).await;
            if records.len() >= count {
                return records;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{topic} has {} records, not {count}",
                records.len()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", Stack::get().text("/kafka/brokers"));
    config
}

/// Waits until all partitions answer: a broker that has told of a topic may not lead all of it yet.
fn led(topics: &[String]) {
    let asked: BaseConsumer = client().create().expect("a client");
    let deadline = Instant::now() + PATIENCE;
    for (topic, partition) in topics
        .iter()
        .flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)))
    {
        while let Err(error) = asked.fetch_watermarks(topic, partition, PATIENCE) {
            assert!(
                Instant::now() < deadline,
                "{topic}, partition {partition}: {error}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn read(topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = client()
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut from = TopicPartitionList::new();
    let mut left = 0;
    for partition in 0..PARTITIONS {
        let marks = consumer.fetch_watermarks(topic, partition, PATIENCE);
        let (low, high) = marks.expect("watermarks");
        left += high - low;
        let offset = Offset::Offset(low);
        from.add_partition_offset(topic, partition, offset)
            .expect("a partition");
    }
    consumer.assign(&from).expect("assigned");
    let mut records = Vec::new();
    while left > 0 {
        let message = consumer
            .poll(PATIENCE)
            .expect("a record")
            .expect("a record");
        left -= 1;
        let headers = message.headers().map(|headers| {
            let text = |value: Option<&[u8]>| {
                String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
            };
            let pair = |header: Header<'_, &[u8]>| (header.key.to_owned(), text(header.value));
            headers.iter().map(pair).collect()
        });
        records.push(Record {
            key: message
                .key()
                .map(|key| String::from_utf8_lossy(key).into_owned()),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        });
    }
    records
}
