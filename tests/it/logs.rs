//! Logs: pushed to Loki when there is one, at no cost to the work when it fails; and how much is logged
//! can be changed while the process runs.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;
use uuid::Uuid;
use wealth_companion::clock::Ids;

use crate::support::stack::Stack;
use crate::support::{Answer, Process};

/// How long lines may take until they are found.
const PATIENCE: Duration = Duration::from_secs(20);
const TRACE_ID: &str = "5bf92f3577b34da6a3ce929d0e0e4736";

/// The lines that the log store has of a search, when there are any.
async fn found(store: &str, search: &str) -> Vec<Value> {
    let begun = Instant::now();
    let http = Client::new();
    loop {
        let query = http.get(format!("{store}/select/logsql/query"));
        let answer = query.query(&[("query", search)]).send().await;
        let text = answer.expect("an answer").text().await.expect("a text");
        if !text.is_empty() {
            let lines = text.lines().map(serde_json::from_str);
            return lines.collect::<Result<_, _>>().expect(&text);
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is found by {search}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn lines_are_found_by_what_they_are_about_and_tell_nothing_of_people() {
    let store = Stack::get().text("/logstore/url");
    let url = format!("{store}/insert");
    let folder = TempDir::new().expect("a folder");
    let namespace = format!("test-{}", Ids::system().v4());
    let set = [("log.loki_url", &*url), ("log.loki_namespace", &namespace)];
    let process = Process::start(folder.path(), &set).await;
    let ada = process.register("canary").await;
    let me = Answer::to(ada.request(Method::GET, "/v1/me"))
        .await
        .expect(200);
    let request_id = Ids::system().v4().to_string();
    let wallet =
        json!({"name": "canary", "type": "bank", "currency": "USD", "opening_balance": "4711.17"});
    let request = ada.request(Method::POST, "/v1/wallets");
    let request = request
        .header("X-Request-Id", &request_id)
        .header("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-01"));
    Answer::to(request.json(&wallet)).await.expect(201);

    let search = format!("{{namespace=\"{namespace}\"}} \"{request_id}\"");
    let lines = found(store, &search).await;
    let [line] = lines.as_slice() else {
        panic!("one line is of this request: {lines:?}");
    };
    for (label, value) in [
        ("service", "wealth-companion"),
        ("role", "all"),
        ("level", "info"),
    ] {
        assert_eq!(line[label], value, "{line}");
    }
    let said: Value = serde_json::from_str(line["_msg"].as_str().expect("a text")).expect("JSON");
    for (field, value) in [
        ("message", "request"),
        ("trace_id", TRACE_ID),
        ("request_id", &request_id),
        ("correlation_id", &request_id),
        ("user_id", &*me.text("id")),
        ("route", "/v1/wallets"),
    ] {
        assert_eq!(said[field], value, "{said}");
    }
    // The last lines are sent at the end.
    process.stop().await;
    let search = format!("{{namespace=\"{namespace}\"}} stopped");
    found(store, &search).await;
    let all = found(store, &format!("{{namespace=\"{namespace}\"}}")).await;
    let all = serde_json::to_string(&all).expect("JSON").to_lowercase();
    for word in ["canary", "4711", "@example", "argon2", "eyj"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

/// A log store that takes connections, and never answers.
#[tokio::test]
async fn a_log_store_that_hangs_holds_nothing_up() {
    let hanging = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}", hanging.local_addr().expect("an address"));
    let (said, took) = many_requests_with(&url).await;
    assert!(took < Duration::from_secs(8), "the end took {took:?}");
    assert_eq!(said, 1, "it is said once");
}

/// Nobody listens at all.
#[tokio::test]
async fn without_the_log_store_lines_are_on_standard_output_alone() {
    let nobody = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let (said, took) = many_requests_with(&url).await;
    assert!(took < Duration::from_secs(4), "the end took {took:?}");
    assert_eq!(said, 1, "it is said once");
}

/// Asks more often than the way to the log store holds lines; gives how often the log store was said to be
/// away, and how long the end took.
async fn many_requests_with(loki_url: &str) -> (usize, Duration) {
    const REQUESTS: usize = 12_000;
    const AT_ONCE: usize = 16;
    let folder = TempDir::new().expect("a folder");
    let set = [
        ("log.loki_url", loki_url),
        ("limits.requests_per_minute", "0"),
    ];
    let process = Process::start(folder.path(), &set).await;
    // Somebody known, whose connections are kept.
    let ada = process.register("ada").await;
    let nowhere = format!("/v1/wallets/{}", Uuid::nil());
    ada.get(&nowhere).await.expect(404);
    let memory = resident(&process).await;
    let asking = (0..AT_ONCE).map(|_| async {
        for _ in 0..REQUESTS / AT_ONCE {
            ada.get(&nowhere).await.expect(404);
        }
    });
    futures_util::future::join_all(asking).await;
    let dropped = "wealth_log_lines_dropped_total{output=\"loki\"}";
    let dropped: u64 = process.metric(dropped).await;
    assert!(dropped > 0, "so many lines fit nowhere");
    let grown = resident(&process).await.saturating_sub(memory);
    assert!(grown < 40 << 20, "memory has grown by {grown}");

    let begun = Instant::now();
    while process.logged(AWAY).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "nothing was said"
        );
        sleep(Duration::from_millis(100)).await;
    }
    let begun = Instant::now();
    let (lines, _) = process.stop().await;
    let of_requests = lines
        .iter()
        .filter(|line| line.contains("\"/v1/wallets/{id}\""));
    assert_eq!(
        of_requests.count(),
        REQUESTS + 1,
        "all are on standard output"
    );
    let said = lines.iter().filter(|line| line.contains(AWAY)).count();
    (said, begun.elapsed())
}

const AWAY: &str = "logs: Loki does not take them; what it misses is on standard output alone";

async fn resident(process: &Process) -> u64 {
    process.metric("process_resident_memory_bytes").await
}

#[tokio::test]
async fn how_much_is_logged_can_be_changed_while_it_runs() {
    let folder = TempDir::new().expect("a folder");
    let process = Process::start(folder.path(), &[]).await;
    let url = format!("{}/log-level", process.internal_url);
    let level = |method: Method, body: &'static str| {
        let request = process.http.request(method, &url).body(body);
        async move { Answer::to(request).await }
    };
    let ask = |path: &'static str| {
        let request = process.http.get(format!("{}{path}", process.url));
        async move { Answer::to(request).await.expect(404) }
    };
    let configured = level(Method::GET, "").await.expect(200).text("level");
    assert!(configured.starts_with("info"), "{configured}");

    ask("/heard").await;
    let changed = level(Method::PUT, "error,actix_server=off")
        .await
        .expect(200);
    assert_eq!(changed.text("level"), "error,actix_server=off");
    ask("/not-heard").await;
    let refused = level(Method::PUT, "loud").await.expect(400);
    assert!(
        refused
            .text("error")
            .contains("off, error, warn, info, debug, trace")
    );
    assert_eq!(
        level(Method::GET, "").await.text("level"),
        "error,actix_server=off"
    );
    assert_eq!(
        level(Method::DELETE, "").await.expect(200).text("level"),
        configured
    );
    ask("/heard-again").await;

    let (lines, _) = process.stop().await;
    let requests = lines.iter().filter(|line| line.contains("\"unmatched\""));
    assert_eq!(requests.count(), 2, "{lines:#?}");
}
