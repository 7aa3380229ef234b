//! Our settings as librdkafka's. Each line that is not plain has its reason beside it.

use std::time::Duration;

use rdkafka::ClientConfig;

use crate::config;
use crate::events::envelope::ENVELOPE_BYTES_MAX;

/// How soon new topics and new partitions are seen.
const METADATA_EVERY: Duration = Duration::from_secs(30);
/// A member that was not heard of for so long is out of its group; Dapr's sidecars have the same.
const SESSION: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(3);
/// A consumer that does not come for more within this is out of its group.
const POLL_MAX: Duration = Duration::from_secs(300);
/// What is fetched at the most before it is asked for, kilobytes.
const QUEUE_KIB: u32 = 16 * 1_024;
/// Bytes of one answer to a fetch at the most. A larger record comes alone, whatever its size.
const FETCH_BYTES: u32 = 8 << 20;
/// Records that wait to be sent at the most, and their kilobytes.
const SEND_RECORDS: u32 = 10_000;
const SEND_KIB: u32 = 64 * 1_024;
/// How long records wait for others to share a request with: the relay sends all it has at once.
const LINGER: Duration = Duration::ZERO;

/// The largest batch that topics must take: the largest envelope that is read, with a record's key
/// and headers around it.
pub const RECORD_BYTES_MAX: usize = ENVELOPE_BYTES_MAX + 64 * 1_024;

/// What all clients share. `client` is the name by which brokers' logs and quotas know it.
#[must_use]
pub fn client(config: &config::Kafka, client: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    let setup = config.timeout.max(Duration::from_secs(1));
    settings
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", client)
        .set("socket.connection.setup.timeout.ms", millis(setup))
        .set("socket.keepalive.enable", "true")
        // Left out, a broker that comes back is found after up to ten seconds.
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", millis(METADATA_EVERY))
        .set("log.connection.close", "false");
    settings
}

/// A member of a group that says itself what is done.
#[must_use]
pub fn member(config: &config::Kafka, group: &str) -> ClientConfig {
    let mut settings = reading(config, group, group);
    settings
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", millis(SESSION))
        .set("heartbeat.interval.ms", millis(HEARTBEAT))
        .set("max.poll.interval.ms", millis(POLL_MAX));
    settings
}

/// Reads without being a member of any group; the group is only asked about.
#[must_use]
pub fn onlooker(config: &config::Kafka, group: &str) -> ClientConfig {
    let mut settings = reading(config, group, "wealth-companion-operator");
    // The end of a partition is an event, so that reading can end there.
    settings.set("enable.partition.eof", "true");
    settings
}

fn reading(config: &config::Kafka, group: &str, name: &str) -> ClientConfig {
    let mut settings = client(config, name);
    settings
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A group that is new reads all there is.
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .set("check.crcs", "true")
        .set("queued.max.messages.kbytes", QUEUE_KIB.to_string())
        .set("fetch.max.bytes", FETCH_BYTES.to_string())
        .set("max.partition.fetch.bytes", ENVELOPE_BYTES_MAX.to_string())
        // Left out, a full queue would stop fetching for a second.
        .set("fetch.queue.backoff.ms", "10");
    settings
}

/// Writes each record once and in order, and says so when all replicas in sync have it.
#[must_use]
pub fn producer(config: &config::Kafka, name: &str) -> ClientConfig {
    let mut settings = client(config, name);
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", millis(LINGER))
        .set("queue.buffering.max.messages", SEND_RECORDS.to_string())
        .set("queue.buffering.max.kbytes", SEND_KIB.to_string())
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set("compression.type", "lz4")
        // How long it tries by itself; what fails then goes back to the outbox.
        .set("delivery.timeout.ms", millis(config.timeout))
        // A topic that is missing is said to be so before that, not just late.
        .set(
            "topic.metadata.propagation.max.ms",
            millis(config.timeout / 2),
        )
        // As the sidecar's: a user's events stay in one partition, whichever way they came.
        .set("partitioner", "fnv1a_random");
    settings
}

/// Whole milliseconds.
fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
