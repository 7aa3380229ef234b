//! A record in hand: out of the client's memory, and not yet done.

use rdkafka::Message;

use crate::bus::Delivery;
use crate::events::EventType;
use crate::kafka::offsets::Partition;

/// A record in hand.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) event_type: EventType,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

impl Held {
    /// Copies a record out of the client's memory; nothing of a topic that is not ours.
    pub(super) fn of(message: &impl Message, prefix: &str) -> Option<Self> {
        Some(Self {
            event_type: EventType::of_topic(prefix, message.topic())?,
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        })
    }

    pub(super) fn partition(&self, prefix: &str) -> Partition {
        (self.event_type.topic(prefix), self.partition)
    }

    /// As the consumer gets it. Headers say nothing that the event does not: whoever wrote it, the
    /// value is the CloudEvent.
    pub(super) fn delivery(&self) -> Delivery {
        Delivery {
            topic: self.event_type.as_str().to_owned(),
            payload: self.value.clone().unwrap_or_default(),
            position: None,
        }
    }
}
