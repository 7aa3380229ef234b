//! The client of Kafka: our settings into librdkafka's, its logs and errors into ours, and what can be
//! asked of brokers. What it carries is nothing to it but bytes.
//!
//! librdkafka waits in the calling thread. What is `async` here waits in a thread of its own; what is
//! not says that it blocks.

/// What librdkafka tells of itself, into our logs.
pub mod context;
/// Why brokers did not do what they were asked to.
pub mod fault;
/// Where partitions begin and end, and how far a group is.
pub mod offsets;
/// Writes records, and says what became of each.
pub mod producer;
/// Reads topics from a place to their end, for nobody's account.
pub mod reader;
/// A record as it was read.
pub mod record;
/// Our settings as librdkafka's.
pub mod settings;
/// Topics as they are: read, made, changed.
pub mod topics;

pub use context::Context;
pub use fault::KafkaFault;
pub use record::Record;

use crate::config;

/// Runs what blocks where it holds up nobody.
async fn blocking<T: Send + 'static>(
    config: &config::Kafka,
    work: impl FnOnce() -> Result<T, KafkaFault> + Send + 'static,
) -> Result<T, KafkaFault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(KafkaFault::other(config, &error)))
}
