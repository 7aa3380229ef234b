//! From the parts that tell of spans to the collector: a bounded queue, and a task that empties it.
//!
//! A collector that is away costs the spans of that time, which are counted, and nothing else: while
//! it does not answer, spans are dropped at the door.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::jaeger::JaegerExporter;
use super::{Endpoint, OTLP_URL, Settings};
use crate::telemetry::metrics::names;

/// Spans that wait at the most.
const QUEUE_MAX: usize = 4_096;
/// Spans that are sent at a time.
const BATCH_MAX: usize = 512;
/// How long the first of a batch waits for others.
const LINGER: Duration = Duration::from_millis(200);
/// How long the collector may take for a batch.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// How long nothing is sent to a collector that does not answer; it doubles up to the other.
const AWAY_MIN: Duration = Duration::from_secs(1);
const AWAY_MAX: Duration = Duration::from_secs(30);

/// Why spans are not recorded.
#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    /// They are already.
    #[error("spans are recorded already in this process")]
    AlreadyOn,
    /// No exporter can be made for the endpoint.
    #[error("traces.endpoint: {0}")]
    Endpoint(String),
}

/// The way to the exporting task.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    away: Arc<AtomicBool>,
}

impl Queue {
    /// Never waits.
    pub(super) fn push(&self, span: SpanData) {
        if self.away.load(Ordering::Relaxed) {
            dropped("collector_away", 1);
        } else if self.spans.try_send(span).is_err() {
            dropped("queue_full", 1);
        }
    }
}

fn dropped(reason: &'static str, count: usize) {
    metrics::counter!(names::SPANS_DROPPED_TOTAL, "reason" => reason).increment(count as u64);
}

/// The task that sends spans; finished at the end, it sends what is left.
#[derive(Debug)]
pub struct Exporting {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Exporting {
    /// Sends what is left, at most for `limit`.
    pub async fn finish(self, limit: Duration) {
        self.stop.cancel();
        // Whatever is left by then is lost with the process.
        let _ = timeout(limit, self.task).await;
    }
}

/// Starts the task, on this runtime.
pub(super) fn start(settings: &Settings) -> Result<(Queue, Exporting), SpansError> {
    let exporter = Exporter::of(settings)?;
    let (spans, waiting) = mpsc::channel(QUEUE_MAX);
    let away = Arc::<AtomicBool>::default();
    let stop = CancellationToken::new();
    let sender = Sender {
        exporter,
        waiting,
        away: Arc::clone(&away),
        endpoint: settings.endpoint.to_string(),
    };
    let task = tokio::spawn(sender.run(stop.clone()));
    Ok((Queue { spans, away }, Exporting { stop, task }))
}

struct Sender {
    exporter: Exporter,
    waiting: mpsc::Receiver<SpanData>,
    away: Arc<AtomicBool>,
    endpoint: String,
}

impl Sender {
    async fn run(mut self, stop: CancellationToken) {
        let mut pause = AWAY_MIN;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                _ = self.waiting.recv_many(&mut batch, BATCH_MAX) => {}
                () = stop.cancelled() => return,
            }
            if batch.len() < BATCH_MAX && !stop.is_cancelled() {
                let _ = timeout(LINGER, stop.cancelled()).await;
                while batch.len() < BATCH_MAX {
                    let Ok(span) = self.waiting.try_recv() else {
                        break;
                    };
                    batch.push(span);
                }
            }
            let count = batch.len();
            let sent = self.exporter.export(std::mem::take(&mut batch)).await;
            match sent {
                Ok(()) => {
                    metrics::counter!(names::SPANS_EXPORTED_TOTAL).increment(count as u64);
                    if pause > AWAY_MIN {
                        tracing::info!(endpoint = self.endpoint, "traces: the collector answers");
                    }
                    pause = AWAY_MIN;
                }
                Err(error) => {
                    dropped("not_taken", count);
                    if pause == AWAY_MIN {
                        tracing::warn!(
                            endpoint = self.endpoint,
                            error,
                            "traces: the collector does not take them; spans are dropped until it does"
                        );
                    }
                    if self.stay_away(pause, &stop).await {
                        return;
                    }
                    pause = (pause * 2).min(AWAY_MAX);
                }
            }
        }
    }

    /// Sends nothing for a while, and keeps nothing; whether the end has come.
    async fn stay_away(&mut self, pause: Duration, stop: &CancellationToken) -> bool {
        self.away.store(true, Ordering::Relaxed);
        let mut left = 0;
        while self.waiting.try_recv().is_ok() {
            left += 1;
        }
        dropped("collector_away", left);
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = sleep(pause) => false,
        };
        self.away.store(false, Ordering::Relaxed);
        stopped
    }
}

#[derive(Debug)]
enum Exporter {
    Otlp(Box<opentelemetry_otlp::SpanExporter>),
    Jaeger(Box<JaegerExporter>),
}

impl Exporter {
    fn of(settings: &Settings) -> Result<Self, SpansError> {
        let unusable = |error: &dyn std::fmt::Display| SpansError::Endpoint(error.to_string());
        match &settings.endpoint {
            Endpoint::Otlp(url) => {
                let url = url.as_ref().map_or(OTLP_URL, |url| url.expose());
                let url = format!("{}/v1/traces", url.trim_end_matches('/'));
                let mut exporter = opentelemetry_otlp::SpanExporter::builder()
                    .with_http()
                    .with_http_client(Client::new()?)
                    .with_endpoint(url)
                    .with_timeout(SEND_LIMIT)
                    .build()
                    .map_err(|error| unusable(&error))?;
                exporter.set_resource(&resource(settings));
                Ok(Self::Otlp(Box::new(exporter)))
            }
            Endpoint::Jaeger(agent) => JaegerExporter::new(agent, settings)
                .map(|exporter| Self::Jaeger(Box::new(exporter)))
                .map_err(|error| unusable(&error)),
        }
    }

    async fn export(&mut self, batch: Vec<SpanData>) -> Result<(), String> {
        let sending = async {
            match self {
                Self::Otlp(exporter) => exporter.export(batch).await.map_err(|it| it.to_string()),
                Self::Jaeger(exporter) => exporter.export(batch).await,
            }
        };
        let late = |_| format!("no answer within {} s", SEND_LIMIT.as_secs());
        timeout(SEND_LIMIT, sending).await.map_err(late)?
    }
}

fn resource(settings: &Settings) -> Resource {
    let attributes = settings
        .attributes()
        .map(|(key, value)| opentelemetry::KeyValue::new(key, value))
        .to_vec();
    Resource::builder_empty()
        .with_attributes(attributes)
        .build()
}

/// OTLP goes by the HTTP client that everything else here uses.
#[derive(Debug)]
struct Client(reqwest::Client);

impl Client {
    fn new() -> Result<Self, SpansError> {
        let client = reqwest::Client::builder().timeout(SEND_LIMIT).build();
        client
            .map(Self)
            .map_err(|error| SpansError::Endpoint(error.to_string()))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        // So built, a request authenticates itself by what is in its URL.
        let request = self.0.request(parts.method, parts.uri.to_string());
        let answer = request.headers(parts.headers).body(body).send().await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = answer.headers().clone();
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}
