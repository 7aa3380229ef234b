//! Kafka without a sidecar.
//!
//! Records are those that the sidecars write and read: the CloudEvent as value, the user as key, topics
//! and groups of the same names. So an event published one way is heard the other way, and an
//! installation can change from one to the other; what is handled then once more is known to the inbox.

/// A record in hand.
mod held;
/// How far a consumer is behind.
mod lag;
/// What is refused, on a topic of its own.
mod letters;
/// A consumer's place in its group: which partitions it has, and what is done of them.
mod membership;
/// From the log to the topics.
mod publisher;
/// From the topics to a consumer.
mod subscription;

use crate::events::envelope::MEDIA_TYPE;
pub use letters::{CONSUMER as LETTER_CONSUMER, REASON as LETTER_REASON};
pub use publisher::KafkaPublisher;
pub use subscription::KafkaSubscription;

/// The mode in which CloudEvents are carried.
const CONTENT_TYPE: (&str, &str) = ("content-type", MEDIA_TYPE);

/// The group of a consumer.
#[must_use]
pub fn group(prefix: &str, consumer: &str) -> String {
    format!("{prefix}-{consumer}")
}
