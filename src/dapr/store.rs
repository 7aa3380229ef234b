//! Keys of the state store, with a time to live.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Sidecar, SidecarError, accepted, send, unreachable};

#[derive(Serialize)]
struct Keys<'a> {
    keys: &'a [String],
}

#[derive(Deserialize)]
struct Item {
    key: String,
    #[serde(default)]
    data: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Serialize)]
struct Operations<'a> {
    operations: Vec<Operation<'a>>,
}

#[derive(Serialize)]
struct Operation<'a> {
    operation: &'static str,
    request: Set<'a>,
}

#[derive(Serialize)]
struct Set<'a> {
    key: &'a str,
    value: u8,
    metadata: TimeToLive<'a>,
}

#[derive(Serialize)]
struct TimeToLive<'a> {
    #[serde(rename = "ttlInSeconds")]
    seconds: &'a str,
}

impl Sidecar {
    /// Which of the keys are there.
    ///
    /// # Errors
    /// The store did not answer for each of them in time.
    pub async fn existing(
        &self,
        store: &str,
        keys: &[String],
        timeout: Duration,
    ) -> Result<Vec<String>, SidecarError> {
        let url = self.url(&["state", store, "bulk"])?;
        let request = self.http.post(url).timeout(timeout).json(&Keys { keys });
        let answer = accepted(send("state", request).await?).await?;
        let body = answer.bytes().await.map_err(unreachable)?;
        existing(&body)
    }

    /// Writes keys that go away by themselves.
    ///
    /// In one transaction: with Redis that is one round trip, where a bulk write makes two for each
    /// key, and could stop between a key and its time to live.
    ///
    /// # Errors
    /// They may not be written.
    pub async fn write(
        &self,
        store: &str,
        keys: &[String],
        time_to_live: Duration,
        timeout: Duration,
    ) -> Result<(), SidecarError> {
        let seconds = time_to_live.as_secs().to_string();
        let operation = |key| Operation {
            operation: "upsert",
            request: Set {
                key,
                value: 1,
                metadata: TimeToLive { seconds: &seconds },
            },
        };
        let keys = keys.iter().map(String::as_str);
        let body = Operations {
            operations: keys.map(operation).collect(),
        };
        let url = self.url(&["state", store, "transaction"])?;
        let request = self.http.post(url).timeout(timeout).json(&body);
        accepted(send("state", request).await?).await.map(drop)
    }
}

/// A store that is away answers 200 all the same, with an error for each key.
fn existing(body: &[u8]) -> Result<Vec<String>, SidecarError> {
    let items: Vec<Item> = serde_json::from_slice(body)
        .map_err(|error| SidecarError::Unreadable(error.to_string()))?;
    let mut found = Vec::new();
    for item in items {
        match item {
            Item {
                error: Some(message),
                ..
            } if !message.is_empty() => {
                return Err(SidecarError::Refused {
                    status: 200,
                    message,
                });
            }
            Item {
                key, data: Some(_), ..
            } => found.push(key),
            Item { .. } => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::existing;

    #[test]
    fn a_key_is_there_when_it_has_data() {
        let body = br#"[{"key":"a","data":1,"etag":"1"},{"key":"b"},{"key":"c","data":null}]"#;
        assert_eq!(existing(body).expect("an answer"), ["a"]);
    }

    #[test]
    fn one_key_in_error_makes_the_whole_answer_worthless() {
        let body = br#"[{"key":"a","data":1},{"key":"b","error":"away"}]"#;
        let error = existing(body).expect_err("it is away").to_string();
        assert!(error.contains("away"), "{error}");
        assert!(existing(b"{}").is_err());
    }
}
