//! Traces: one from a request to the alert on the stream, and nothing but spans that is lost without a
//! collector.

use std::net::UdpSocket;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use wealth_companion::clock::Clock;

use crate::support::collector::{Collector, Told};
use crate::support::{Person, Process, until};

/// A client's own trace and span, which it records, or does not.
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT_SPAN: &str = "00f067aa0ba902b7";

/// Somebody whose next booking breaks a budget.
struct Spender {
    person: Person,
    wallet: String,
    category: String,
}

impl Spender {
    async fn on(process: &Process) -> Self {
        let person = process.register("ada").await;
        let category = person.category("Groceries").await;
        person.budget(&[&category], "1.00").await;
        Self {
            wallet: person.wallet("Checking", "USD", "0").await,
            category,
            person,
        }
    }

    fn body(&self) -> Value {
        let today = Clock::system().now().date_naive().to_string();
        json!({"type": "expense", "wallet_id": self.wallet, "category_id": self.category, "amount": "100.00", "date": today})
    }

    /// Books as part of the client's trace, with these flags.
    async fn spend(&self, flags: &str) {
        let traceparent = format!("00-{TRACE_ID}-{CLIENT_SPAN}-{flags}");
        let request = self.person.request(Method::POST, "/v1/transactions");
        let request = request.header("traceparent", traceparent);
        let answer = request.json(&self.body()).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    }
}

async fn with(folder: &TempDir, set: &[(&str, &str)]) -> Process {
    Process::start(folder.path(), set).await
}

fn one<'a>(told: &'a [Told], name: &str) -> &'a Told {
    let mut found = told.iter().filter(|it| it.name == name);
    found.next().expect(name)
}

#[tokio::test]
async fn one_trace_goes_from_the_request_to_the_stream() {
    let (folder, collector) = (TempDir::new().expect("a folder"), Collector::start());
    let set = [
        ("traces.exporter", "otlp"),
        ("traces.otlp_endpoint", &*collector.url),
    ];
    let process = with(&folder, &set).await;
    let ada = Spender::on(&process).await;
    let mut stream = ada.person.follow(None).await;
    ada.spend("01").await;
    stream.alert().await.expect("an alert");

    let names = [
        "POST /v1/transactions",
        "book, with those that come at the same time",
        "send finance.transaction.created",
        "process finance.transaction.created",
        "send finance.budget.exceeded",
        "process finance.budget.exceeded",
        "send notification.alert.sent",
        "send alert to stream",
    ];
    let told = collector.trace(TRACE_ID, &names).await;
    let request = one(&told, "POST /v1/transactions");
    assert_eq!(request.kind, SpanKind::Server);
    assert_eq!(request.parent_id, CLIENT_SPAN);
    assert_eq!(request.service, "wealth-companion");
    assert_eq!(request.attribute("http.route"), "/v1/transactions");
    assert_eq!(request.attribute("http.response.status_code"), "201");
    let projected = one(&told, "process finance.transaction.created");
    assert_eq!(projected.kind, SpanKind::Consumer);
    let group = projected.attribute("messaging.consumer.group.name");
    assert_eq!(group, "projector");
    let below = |name: &str| &*one(&told, name).parent_id;
    for name in &names[1..4] {
        assert_eq!(below(name), request.span_id, "{name}");
    }
    // What follows from an event is below what was done with it. A budget tells of two thresholds.
    let is_below = |name: &str, above: &str| {
        let above: Vec<&str> = told
            .iter()
            .filter(|it| it.name == above)
            .map(|it| &*it.span_id)
            .collect();
        assert!(above.contains(&below(name)), "{name}");
    };
    is_below(
        "send finance.budget.exceeded",
        "process finance.transaction.created",
    );
    is_below(
        "process finance.budget.exceeded",
        "process finance.transaction.created",
    );
    assert!(told.iter().any(|it| it.name == "send alert to stream"));
    let ids: Vec<&str> = told.iter().map(|it| &*it.span_id).collect();
    for it in &told {
        let is_known = ids.contains(&&*it.parent_id) || it.parent_id == CLIENT_SPAN;
        assert!(is_known, "{it:?} is below nothing");
        assert!(!it.failed, "{it:?}");
    }
    let delay = process.internal_text("/metrics").await;
    assert!(
        delay.contains("wealth_alert_delay_seconds_count 2"),
        "{delay}"
    );
    process.stop().await;
}

#[tokio::test]
async fn the_client_decides_and_what_begins_here_is_sampled() {
    let (folder, collector) = (TempDir::new().expect("a folder"), Collector::start());
    let set = [
        ("traces.exporter", "otlp"),
        ("traces.otlp_endpoint", &*collector.url),
        ("traces.sample_percent", "0"),
        ("traces.slow_ms", "600000"),
    ];
    let process = with(&folder, &set).await;
    let ada = Spender::on(&process).await;
    ada.spend("00").await;
    ada.spend("01").await;
    let told = collector
        .trace(TRACE_ID, &["process finance.transaction.created"])
        .await;
    process.stop().await;
    let requests = told.iter().filter(|it| it.kind == SpanKind::Server);
    assert_eq!(requests.count(), 1, "{told:#?}");
    // A batch has a trace of its own, when an event of it is recorded. No request has.
    let all = collector.told();
    let mut others = all.iter().filter(|it| it.trace_id != TRACE_ID);
    assert!(others.all(|it| it.kind != SpanKind::Server), "{all:#?}");
}

#[tokio::test]
async fn without_a_collector_only_spans_are_lost() {
    let folder = TempDir::new().expect("a folder");
    // Nobody listens there.
    let set = [
        ("traces.exporter", "otlp"),
        ("traces.otlp_endpoint", "http://ada:opensesame@127.0.0.1:9"),
    ];
    let process = with(&folder, &set).await;
    let ada = Spender::on(&process).await;
    let series = "wealth_spans_dropped_total{reason=\"not_taken\"}";
    let not_taken = async || process.metric::<u64>(series).await;
    let mut lost = 0;
    for attempt in ["the first", "another"] {
        until(attempt, async || {
            ada.spend("01").await;
            not_taken().await > lost
        })
        .await;
        lost = not_taken().await;
    }
    let (lines, _) = process.stop().await;
    let message = "traces: the collector does not take them; spans are dropped until it does";
    let told = lines.iter().filter(|line| line.contains(message));
    assert_eq!(told.count(), 1, "it is said once: {lines:#?}");
    assert!(!lines.concat().contains("opensesame"), "{lines:#?}");
}

#[tokio::test]
async fn a_collector_may_want_to_know_who_tells_it() {
    let (folder, collector) = (TempDir::new().expect("a folder"), Collector::start());
    let url = collector.url.replace("://", "://ada:opensesame@");
    let set = [("traces.exporter", "otlp"), ("traces.otlp_endpoint", &*url)];
    let process = with(&folder, &set).await;
    process.register("ada").await;
    until("spans come", async || !collector.told().is_empty()).await;
    // Of ada:opensesame, by RFC 7617.
    assert_eq!(collector.authorization(), "Basic YWRhOm9wZW5zZXNhbWU=");
    process.stop().await;
}

#[tokio::test]
async fn a_collector_that_hangs_holds_nothing_up() {
    let (folder, collector) = (TempDir::new().expect("a folder"), Collector::hanging());
    let set = [
        ("traces.exporter", "otlp"),
        ("traces.otlp_endpoint", &*collector.url),
    ];
    let process = with(&folder, &set).await;
    let ada = Spender::on(&process).await;
    ada.spend("01").await;
    // Within the patience that a process has to end.
    process.stop().await;
}

#[tokio::test]
async fn jaeger_gets_them_in_its_own_form() {
    let folder = TempDir::new().expect("a folder");
    let agent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    agent
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket");
    let address = agent.local_addr().expect("an address").to_string();
    let set = [
        ("traces.exporter", "jaeger"),
        ("traces.jaeger_agent", &*address),
    ];
    let process = with(&folder, &set).await;
    process.register("ada").await;
    let read = tokio::task::spawn_blocking(move || {
        let (mut packet, mut read) = (vec![0; 1 << 16], Vec::new());
        let has =
            |read: &[u8], text: &str| read.windows(text.len()).any(|it| it == text.as_bytes());
        while !has(&read, "POST /v1/auth/register") {
            let length = agent.recv(&mut packet).expect("a packet");
            read.extend_from_slice(&packet[..length]);
        }
        assert!(has(&read, "wealth-companion"), "the name of the service");
        assert!(has(&read, "http.route"), "what is said of it");
    });
    read.await.expect("spans");
    process.stop().await;
}

#[tokio::test]
async fn what_is_slow_or_failed_is_told_though_its_trace_is_not_recorded() {
    // What takes a millisecond is slow, or fails: a password does, hashed as dearly as this.
    for (slow_ms, request_timeout_ms, status) in [("1", "15000", 201), ("600000", "1", 503)] {
        let (folder, collector) = (TempDir::new().expect("a folder"), Collector::start());
        let set = [
            ("traces.exporter", "otlp"),
            ("traces.otlp_endpoint", &*collector.url),
            ("traces.sample_percent", "0"),
            ("traces.slow_ms", slow_ms),
            ("http.request_timeout_ms", request_timeout_ms),
            ("auth.hash_memory_kib", "65536"),
        ];
        let process = with(&folder, &set).await;
        let body = json!({"email": "ada@example.com", "password": "correct horse battery"});
        let url = format!("{}/v1/auth/register", process.url);
        let answer = process.http.post(url).json(&body).send().await;
        assert_eq!(answer.expect("an answer").status(), status);
        let route = "POST /v1/auth/register";
        until("it is told", async || {
            collector.told().iter().any(|it| it.name == route)
        })
        .await;
        let told = collector.told();
        let request = one(&told, route);
        assert_eq!(request.failed, status == 503, "{told:#?}");
        process.stop().await;
    }
}
