//! A record as it was read.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, Utc};
use rdkafka::Message;
use rdkafka::message::Headers;

/// A record as it was read. It may hold anything: others write to topics too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its topic, with the prefix.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// When it was written, by whom wrote it.
    pub written_at: Option<DateTime<Utc>>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; none of a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers; what is no text in them is replaced.
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// Copies a record out of the client's memory.
    pub(crate) fn of(message: &impl Message) -> Self {
        let written_at = message.timestamp().to_millis();
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            written_at: written_at.and_then(DateTime::from_timestamp_millis),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers(message),
        }
    }

    /// The text of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The key, where it is text.
    #[must_use]
    pub fn key_text(&self) -> Option<&str> {
        std::str::from_utf8(self.key.as_deref()?).ok()
    }
}

fn headers(message: &impl Message) -> Vec<(String, String)> {
    // The library panics on a header whose own name is no text. Such a record has none that we know.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        headers
            .map(|header| {
                (
                    header.key.to_owned(),
                    header.value.map(text).unwrap_or_default(),
                )
            })
            .collect()
    }));
    read.unwrap_or_default()
}
