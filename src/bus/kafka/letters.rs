//! What is refused, on a topic of its own, beside the table of dead letters: for consoles and other
//! programs, and to have the letters again where the table was lost.

use super::CONTENT_TYPE;
use super::held::Held;
use crate::config::Config;
use crate::kafka::KafkaFault;
use crate::kafka::producer::{Outgoing, Producer, SendFault};

/// The header of a dead letter that says why it was refused.
pub const REASON: &str = "dead-letter-reason";
/// The header of a dead letter that says who refused it.
pub const CONSUMER: &str = "dead-letter-consumer";
const TOPIC: &str = "dead-letter-topic";
const PARTITION: &str = "dead-letter-partition";
const OFFSET: &str = "dead-letter-offset";

/// Writes dead letters.
pub(super) struct Letters {
    producer: Producer,
    prefix: String,
    consumer: &'static str,
}

impl Letters {
    pub(super) fn new(config: &Config, consumer: &'static str) -> Result<Self, KafkaFault> {
        Ok(Self {
            producer: Producer::new(&config.kafka, "wealth-companion-dead-letters")?,
            prefix: config.bus.topic_prefix.clone(),
            consumer,
        })
    }

    /// Writes them with the reasons. What can never be written there is passed over: the table has
    /// it, and the others must go on.
    ///
    /// # Errors
    /// A fault that passes.
    pub(super) async fn write(&self, refused: &[(&Held, String)]) -> Result<(), SendFault> {
        if refused.is_empty() {
            return Ok(());
        }
        let mut letters: Vec<Outgoing<'_>> = refused
            .iter()
            .map(|(held, reason)| self.letter(held, reason))
            .collect();
        letters = self.send(letters).await?;
        // One that is too large goes without its value: the headers tell where it is.
        for letter in &mut letters {
            letter.value = None;
        }
        for letter in self.send(letters).await? {
            let topic = letter.topic;
            tracing::error!(topic, "a dead letter is in the table only");
        }
        Ok(())
    }

    /// Writes letters; gives those that can never be written like this.
    async fn send<'a>(&self, letters: Vec<Outgoing<'a>>) -> Result<Vec<Outgoing<'a>>, SendFault> {
        let sent = self.producer.send(&letters).await;
        let mut never = Vec::new();
        for (letter, sent) in letters.into_iter().zip(sent) {
            match sent {
                Ok(()) => {}
                Err(SendFault::Never(reason)) => {
                    tracing::warn!(reason, "a dead letter is refused");
                    never.push(letter);
                }
                Err(fault @ SendFault::Passing(_)) => return Err(fault),
            }
        }
        Ok(never)
    }

    fn letter<'a>(&self, held: &'a Held, reason: &str) -> Outgoing<'a> {
        Outgoing {
            topic: held.event_type.dead_letter_topic(&self.prefix),
            key: held.key.as_deref(),
            value: held.value.as_deref(),
            headers: vec![
                (CONTENT_TYPE.0, CONTENT_TYPE.1.to_owned()),
                (REASON, reason.to_owned()),
                (CONSUMER, self.consumer.to_owned()),
                (TOPIC, held.event_type.topic(&self.prefix)),
                (PARTITION, held.partition.to_string()),
                (OFFSET, held.offset.to_string()),
            ],
        }
    }
}
