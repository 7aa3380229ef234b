//! Publishing many events at once, byte for byte.
//!
//! Each event is sent as a text, and as a raw payload. As JSON it would be read and written anew:
//! numbers go through 64 bits of floating point there, and `traceparent` is replaced. All metadata
//! of an entry become headers of the record.

use serde::{Deserialize, Serialize};

use super::{Sidecar, SidecarError, refused, send, unreachable};

/// An event to be published.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// Events of one key stay in their order.
    pub key: String,
    /// The event, as it shall arrive.
    pub payload: &'a str,
    /// What the payload is.
    pub content_type: &'static str,
}

/// An event that the bus did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its place among those that were sent.
    pub index: usize,
    /// Why.
    pub reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    entry_id: String,
    event: &'a str,
    /// Of the event in this request, not of the record.
    content_type: &'static str,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(rename = "partitionKey")]
    key: &'a str,
    #[serde(rename = "content-type")]
    content_type: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    failed_entries: Vec<FailedEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailedEntry {
    entry_id: String,
    #[serde(default)]
    error: String,
}

impl Sidecar {
    /// Publishes events to a topic; gives those that the bus did not take.
    ///
    /// # Errors
    /// Nobody knows whether any was taken.
    pub async fn publish(
        &self,
        pubsub: &str,
        topic: &str,
        events: &[Outgoing<'_>],
    ) -> Result<Vec<Failed>, SidecarError> {
        let entries: Vec<Entry<'_>> = events.iter().enumerate().map(entry).collect();
        let mut url = self.url(&["publish", "bulk", pubsub, topic])?;
        url.set_query(Some("metadata.rawPayload=true"));
        let answer = send("publish", self.http.post(url).json(&entries)).await?;
        if answer.status().is_success() {
            return Ok(Vec::new());
        }
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(unreachable)?;
        failed(&body, events.len()).ok_or_else(|| refused(status, &body))
    }
}

fn entry<'a>((index, event): (usize, &'a Outgoing<'_>)) -> Entry<'a> {
    Entry {
        entry_id: index.to_string(),
        event: event.payload,
        content_type: "text/plain",
        metadata: Metadata {
            key: &event.key,
            content_type: event.content_type,
        },
    }
}

/// The failed entries of an answer; none where it does not name any that were sent.
fn failed(body: &[u8], sent: usize) -> Option<Vec<Failed>> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let read = |entry: FailedEntry| {
        let index = entry.entry_id.parse().ok().filter(|index| *index < sent)?;
        Some(Failed {
            index,
            reason: entry.error,
        })
    };
    let failed: Option<Vec<Failed>> = answer.failed_entries.into_iter().map(read).collect();
    failed.filter(|failed| !failed.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Failed, Outgoing, entry, failed};

    #[test]
    fn an_event_travels_as_a_text_that_nobody_reads() {
        let event = Outgoing {
            key: "u".to_owned(),
            payload: r#"{"amount":12345678901234567.89}"#,
            content_type: "a/b",
        };
        let json = serde_json::to_string(&entry((0, &event))).expect("JSON");
        assert_eq!(
            json,
            r#"{"entryId":"0","event":"{\"amount\":12345678901234567.89}","contentType":"text/plain","metadata":{"partitionKey":"u","content-type":"a/b"}}"#
        );
    }

    #[test]
    fn an_answer_names_the_entries_that_failed() {
        let body = br#"{"failedEntries":[{"entryId":"1","error":"away"}],"errorCode":"E"}"#;
        let away = Failed {
            index: 1,
            reason: "away".to_owned(),
        };
        assert_eq!(failed(body, 2), Some(vec![away]));
        for (body, sent) in [
            (&body[..], 1),
            (br#"{"errorCode":"E","message":"m"}"#, 2),
            (br#"{"failedEntries":[]}"#, 2),
            (br#"{"failedEntries":[{"entryId":"x"}]}"#, 2),
            (b"no JSON", 2),
        ] {
            assert_eq!(failed(body, sent), None);
        }
    }
}
