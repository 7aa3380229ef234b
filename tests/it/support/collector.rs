//! A collector of traces (OTLP over HTTP) that keeps what it gets, and that can fail as a real one
//! would not when it is asked to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use hex::ToHex;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use tokio::time::{Instant, sleep};

/// How long spans may take to get here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A span as it was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Empty where it begins its trace.
    pub(crate) parent_id: String,
    pub(crate) failed: bool,
    pub(crate) service: String,
    attributes: Vec<(String, String)>,
}

impl Told {
    /// What is said of it.
    pub(crate) fn attribute(&self, key: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == key);
        found.map_or("", |(_, value)| value)
    }
}

/// A running collector.
pub(crate) struct Collector {
    pub(crate) url: String,
    kept: Kept,
    /// Never answers, where it hangs.
    _server: actix_web::dev::ServerHandle,
}

type Kept = Arc<Mutex<Inbox>>;

#[derive(Default)]
struct Inbox {
    told: Vec<Told>,
    /// Of the last who told something.
    authorization: String,
}

impl Collector {
    /// One that takes what it gets.
    pub(crate) fn start() -> Self {
        Self::with(false)
    }

    /// One that takes connections and never answers.
    pub(crate) fn hanging() -> Self {
        Self::with(true)
    }

    fn with(hangs: bool) -> Self {
        let kept = Kept::default();
        let data = web::Data::from(Arc::clone(&kept));
        let server = HttpServer::new(move || {
            let app = App::new().app_data(data.clone());
            let app = app.app_data(web::PayloadConfig::new(64 << 20));
            if hangs {
                app.route("/v1/traces", web::post().to(hang))
            } else {
                app.route("/v1/traces", web::post().to(keep))
            }
        });
        let server = server
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .expect("a free port");
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            url,
            kept,
            _server: handle,
        }
    }

    /// All spans that have come.
    pub(crate) fn told(&self) -> Vec<Told> {
        lock(&self.kept).told.clone()
    }

    /// How the last who told something said who it was.
    pub(crate) fn authorization(&self) -> String {
        lock(&self.kept).authorization.clone()
    }

    /// The spans of a trace, when all of these have come.
    pub(crate) async fn trace(&self, trace_id: &str, names: &[&str]) -> Vec<Told> {
        let begun = Instant::now();
        loop {
            let mut told = self.told();
            told.retain(|it| it.trace_id == trace_id);
            let lacks = |name: &&&str| !told.iter().any(|it| it.name == **name);
            let missing: Vec<_> = names.iter().filter(lacks).collect();
            if missing.is_empty() {
                return told;
            }
            let there: Vec<_> = told.iter().map(|it| &it.name).collect();
            assert!(
                begun.elapsed() < PATIENCE,
                "{missing:?} not among {there:?}"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn hang(_: Bytes) -> HttpResponse {
    std::future::pending().await
}

async fn keep(kept: web::Data<Mutex<Inbox>>, head: HttpRequest, body: Bytes) -> HttpResponse {
    let said = head.headers().get("authorization");
    let said = said.map(|value| value.to_str().expect("ASCII").to_owned());
    lock(&kept).authorization = said.unwrap_or_default();
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    for of_process in request.resource_spans {
        let resource = of_process.resource.expect("a resource");
        let service = resource.attributes.into_iter().map(told_attribute);
        let service = service
            .into_iter()
            .find(|(key, _)| key == "service.name")
            .expect("a name");
        for span in of_process.scope_spans.into_iter().flat_map(|it| it.spans) {
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
            lock(&kept).told.push(Told {
                kind: span.kind(),
                trace_id: span.trace_id.encode_hex(),
                span_id: span.span_id.encode_hex(),
                parent_id: span.parent_span_id.encode_hex(),
                failed: span.status.is_some_and(|status| status.code == 2),
                name: span.name,
                service: service.1.clone(),
                attributes: span.attributes.into_iter().map(told_attribute).collect(),
            });
        }
    }
    HttpResponse::Ok().finish()
}

fn told_attribute(of: opentelemetry_proto::tonic::common::v1::KeyValue) -> (String, String) {
    let value = match of.value.and_then(|it| it.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (of.key, value)
}

fn lock(kept: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
