//! What stands in Kafka is what stood in the log, whatever the sidecar is; and what it does not take
//! is told.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use wealth_companion::bus::dapr::DaprPublisher;
use wealth_companion::bus::{PublishError, Publisher};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::config::Config;
use wealth_companion::dapr::Sidecar;
use wealth_companion::store::event_log::LogEntry;

use crate::support::sidecar::{self, Options};
use crate::support::{Stack, Topics, config_with};

const CREATED: &str = "finance.transaction.created";
const DELETED: &str = "finance.transaction.deleted";

/// An entry of the log with an envelope that a careless reader would spoil.
fn entry(position: &str, topic: &str, filling: &str) -> LogEntry {
    let envelope = format!(
        r#"{{"specversion":"1.0","type":"{topic}","logposition":"{position}","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","data":{{"amount":12345678901234567.89,"minor":9223372036854775807,"small":0.10,"text":"é\u0007\"\\ 𝄞{filling}"}}}}"#
    );
    LogEntry {
        position: position.parse().expect("a position"),
        topic: topic.to_owned(),
        user_id: Ids::system().v4(),
        envelope,
        created_at: Clock::system().now(),
    }
}

fn config(port: u16, prefix: &str, token: &str) -> Config {
    config_with(&[
        ("dapr.http_port", &port.to_string()),
        ("dapr.api_token", token),
        ("bus.topic_prefix", prefix),
    ])
}

fn publisher(config: &Config) -> DaprPublisher {
    DaprPublisher::new(Sidecar::new(&config.dapr).expect("a client"), config)
}

fn token() -> &'static str {
    Stack::get().text("/daprd/environment/DAPR_API_TOKEN")
}

fn unpublished(error: &PublishError) -> Vec<String> {
    let positions = error.unpublished.iter();
    positions.map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_log_stands_in_kafka_byte_for_byte() {
    let topics = Topics::create().await;
    let sidecar = sidecar::Sidecar::start("it-publisher").await;
    let publisher = publisher(&config(sidecar.http_port, &topics.prefix, token()));
    let batch = [
        entry("7-1", CREATED, "one"),
        entry("7-2", DELETED, "two"),
        entry("7-3", CREATED, "three"),
    ];
    publisher.publish(&batch).await.expect("published");

    let created = topics.read(CREATED).await;
    let deleted = topics.read(DELETED).await;
    assert_eq!((created.len(), deleted.len()), (2, 1));
    for entry in &batch {
        let mut records = created.iter().chain(&deleted);
        let key = entry.user_id.to_string();
        let record = records.find(|record| record.key.as_ref() == Some(&key));
        let record = record.expect("its record");
        let payload = String::from_utf8(record.payload.clone()).expect("UTF-8");
        assert_eq!(payload, entry.envelope);
        let media_type = &record.headers["content-type"];
        assert_eq!(media_type, "application/cloudevents+json; charset=utf-8");
        assert_eq!(record.headers.len(), 1, "{:?}", record.headers);
    }
}

#[tokio::test]
async fn what_kafka_does_not_take_is_told_and_the_rest_is_there_once() {
    let topics = Topics::create().await;
    let sidecar = sidecar::Sidecar::start("it-publisher").await;
    let mut batch = vec![
        entry("7-1", CREATED, ""),
        entry("7-2", CREATED, &"x".repeat(1_100_000)),
        entry("7-3", CREATED, ""),
        entry("7-4", DELETED, ""),
    ];
    let publisher = publisher(&config(sidecar.http_port, &topics.prefix, token()));
    let error = publisher.publish(&batch).await.expect_err("too long");
    assert_eq!(unpublished(&error), ["7-2"], "{error}");
    assert!(error.reason.contains(CREATED), "{error}");
    assert_eq!(topics.read(CREATED).await.len(), 2);
    assert_eq!(topics.read(DELETED).await.len(), 1);

    // A topic that is not there takes nothing.
    batch.truncate(1);
    batch[0].topic = "nowhere".to_owned();
    let error = publisher.publish(&batch).await.expect_err("no topic");
    assert_eq!(unpublished(&error), ["7-1"], "{error}");
}

#[tokio::test]
async fn a_sidecar_that_does_not_know_us_or_is_not_there_takes_nothing() {
    let sidecar = sidecar::Sidecar::start("it-publisher").await;
    let batch = [entry("7-1", CREATED, ""), entry("7-2", DELETED, "")];
    let stranger = publisher(&config(sidecar.http_port, "x.", "a wrong token"));
    let error = stranger.publish(&batch).await.expect_err("a stranger");
    assert_eq!(unpublished(&error), ["7-1", "7-2"]);
    assert!(error.reason.contains("401"), "{error}");

    let port = sidecar.http_port;
    drop(sidecar);
    let alone = publisher(&config(port, "x.", token()));
    let error = alone.publish(&batch).await.expect_err("nobody is there");
    assert_eq!(unpublished(&error), ["7-1", "7-2"]);
    assert!(error.reason.contains("does not answer"), "{error}");
}

/// What a double of the sidecar was sent, and what it answers, in order; then it takes everything.
#[derive(Default)]
struct Double {
    sent: Mutex<Vec<Value>>,
    answers: Mutex<Vec<Value>>,
}

async fn publish(double: web::Data<Double>, body: web::Json<Value>) -> HttpResponse {
    double.sent.lock().expect("a lock").push(body.into_inner());
    match double.answers.lock().expect("a lock").pop() {
        Some(answer) => HttpResponse::InternalServerError().json(answer),
        None => HttpResponse::NoContent().finish(),
    }
}

fn start(double: Arc<Double>) -> u16 {
    let data = web::Data::from(double);
    let server = HttpServer::new(move || {
        App::new().app_data(data.clone()).route(
            "/v1.0/publish/bulk/{pubsub}/{topic}",
            web::post().to(publish),
        )
    });
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0");
    let server = server.expect("a port");
    let port = server.addrs()[0].port();
    tokio::spawn(server.run());
    port
}

/// The numbers that the entries of a request had in the batch.
fn numbers(request: &Value) -> Vec<String> {
    let entries = request.as_array().expect("entries").iter();
    entries
        .map(|entry| {
            let event: Value = entry["event"]
                .as_str()
                .and_then(|event| serde_json::from_str(event).ok())
                .expect("an event as a text");
            event["logposition"].as_str().expect("text").to_owned()
        })
        .collect()
}

#[tokio::test]
async fn failed_entries_alone_are_published_again() {
    let failing = |ids: &[&str]| {
        let entry = |id: &&str| json!({"entryId": id, "error": "away"});
        let failed: Vec<Value> = ids.iter().map(entry).collect();
        json!({"failedEntries": failed, "errorCode": "ERR_PUBSUB_PUBLISH_MESSAGE"})
    };
    let double = Arc::new(Double::default());
    // Popped from the end.
    *double.answers.lock().expect("a lock") = vec![failing(&["1"]), failing(&["1", "2"])];
    let port = start(Arc::clone(&double));
    let publisher = publisher(&config(port, "", "t"));
    let batch: Vec<LogEntry> = ["1", "2", "3"].map(|at| entry(at, CREATED, "")).into();
    publisher.publish(&batch).await.expect("published");
    let sent: Vec<_> = double
        .sent
        .lock()
        .expect("a lock")
        .iter()
        .map(numbers)
        .collect();
    assert_eq!(sent, [vec!["1", "2", "3"], vec!["2", "3"], vec!["3"]]);

    // What still fails is told after three attempts; the rest is published.
    double.sent.lock().expect("a lock").clear();
    let answers = vec![failing(&["0"]), failing(&["0"]), failing(&["0"])];
    *double.answers.lock().expect("a lock") = answers;
    let error = publisher.publish(&batch).await.expect_err("away");
    assert_eq!(unpublished(&error), ["1"]);
    let sent: Vec<_> = double
        .sent
        .lock()
        .expect("a lock")
        .iter()
        .map(numbers)
        .collect();
    assert_eq!(sent, [vec!["1", "2", "3"], vec!["1"], vec!["1"]]);
}

#[tokio::test]
async fn the_double_answers_as_the_real_sidecar_does() {
    let topics = Topics::create().await;
    let sidecar = sidecar::Sidecar::with("it-publisher", Options::default()).await;
    let url = format!(
        "http://127.0.0.1:{}/v1.0/publish/bulk/pubsub/{}nowhere?metadata.rawPayload=true",
        sidecar.http_port, topics.prefix
    );
    let body = json!([{"entryId": "0", "event": "{}", "contentType": "text/plain"}]);
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let request = http.post(url).header("dapr-api-token", token()).json(&body);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 500);
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["errorCode"], "ERR_PUBSUB_PUBLISH_MESSAGE");
    assert_eq!(answer["failedEntries"][0]["entryId"], "0");
    assert!(answer["failedEntries"][0]["error"].is_string(), "{answer}");
}
