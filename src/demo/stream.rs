//! The live stream of alerts, read in the background so that the moment of each arrival is exact.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use futures_util::StreamExt;
use reqwest::Response;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answers::Alert;
use super::client::Client;
use super::sse::{SseEvent, SseParser};

/// Alerts that may wait to be told; beyond it the stream is read no further.
const WAITING_MAX: usize = 64;

/// An alert, and when it came.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) alert: Alert,
    pub(super) at: Instant,
}

/// The open stream; dropping it closes the connection.
pub(super) struct AlertStream {
    arrivals: mpsc::Receiver<anyhow::Result<Arrival>>,
    _reader: JoinSet<()>,
}

impl AlertStream {
    /// Opens the stream.
    pub(super) async fn open(client: &Client) -> anyhow::Result<Self> {
        let response = client.open_stream("/v1/alerts/stream").await?;
        let (sender, arrivals) = mpsc::channel(WAITING_MAX);
        let mut reader = JoinSet::new();
        reader.spawn(read(response, sender));
        Ok(Self {
            arrivals,
            _reader: reader,
        })
    }

    /// The next alert; none if there is none for so long.
    pub(super) async fn next(&mut self, longest: Duration) -> anyhow::Result<Option<Arrival>> {
        match timeout(longest, self.arrivals.recv()).await {
            Ok(arrival) => arrival.context("the stream of alerts has ended")?.map(Some),
            Err(_) => Ok(None),
        }
    }
}

async fn read(response: Response, sender: mpsc::Sender<anyhow::Result<Arrival>>) {
    let mut chunks = response.bytes_stream();
    let mut parser = SseParser::default();
    while let Some(chunk) = chunks.next().await {
        let at = Instant::now();
        let arrivals = match chunk {
            Ok(chunk) => parser
                .push(&chunk)
                .into_iter()
                .filter_map(|it| arrival(&it, at))
                .collect(),
            Err(error) => vec![Err(
                anyhow!(error).context("the stream of alerts has broken")
            )],
        };
        for arrival in arrivals {
            if sender.send(arrival).await.is_err() {
                return;
            }
        }
    }
}

fn arrival(event: &SseEvent, at: Instant) -> Option<anyhow::Result<Arrival>> {
    (event.name == "alert").then(|| {
        let alert = serde_json::from_str(&event.data).context("an alert cannot be read")?;
        Ok(Arrival { alert, at })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{SseEvent, arrival};

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn only_alerts_are_alerts_and_a_garbled_one_is_an_error() {
        let at = Instant::now();
        assert!(arrival(&event("message", "{}"), at).is_none());
        assert!(arrival(&event("alert", "{"), at).unwrap().is_err());
        let data = r#"{"kind":"budget_warning","title":"t","message":"m","budget_id":null,"historic":false}"#;
        let arrival = arrival(&event("alert", data), at).unwrap().unwrap();
        assert_eq!((arrival.alert.title.as_str(), arrival.at), ("t", at));
    }
}
