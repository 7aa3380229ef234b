//! What the sidecar is told of what it delivers, and who may deliver.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wealth_companion::app::Role;
use wealth_companion::bus::consumer::Consumer;
use wealth_companion::bus::dapr::{Intake, Status};
use wealth_companion::bus::{Handler, Heard, Outcome};
use wealth_companion::config::Config;
use wealth_companion::events::EventType;
use wealth_companion::events::catalogue::{PROJECTOR, PROJECTOR_HEARS};
use wealth_companion::http::ingress::Ingress;
use wealth_companion::state::State;
use wealth_companion::store::StoreError;

use crate::support::{Chain, Cluster, Sidecar, Stack, Topics};

const CREATED: &str = "finance.transaction.created";

/// A handler whose database is away for some batches.
#[derive(Default)]
struct Flaky {
    failures_left: AtomicU32,
    /// How many events each batch had.
    batches: Mutex<Vec<usize>>,
}

impl Flaky {
    fn failing(times: u32) -> Arc<Self> {
        Arc::new(Self {
            failures_left: AtomicU32::new(times),
            batches: Mutex::default(),
        })
    }

    fn batches(&self) -> Vec<usize> {
        self.batches.lock().expect("a lock").clone()
    }
}

impl Handler for Flaky {
    fn consumer(&self) -> &'static str {
        PROJECTOR
    }

    fn hears(&self) -> &'static [EventType] {
        PROJECTOR_HEARS
    }

    fn handle(&self, batch: Arc<[Heard]>) -> BoxFuture<'_, Result<Vec<Outcome>, StoreError>> {
        async move {
            self.batches.lock().expect("a lock").push(batch.len());
            let left = self.failures_left.load(Ordering::Relaxed);
            if left > 0 {
                self.failures_left.store(left - 1, Ordering::Relaxed);
                return Err(StoreError::Busy("away".to_owned()));
            }
            Ok(vec![Outcome::Handled; batch.len()])
        }
        .boxed()
    }
}

fn consumer(chain: &Chain, handler: Arc<dyn Handler>) -> Arc<Consumer> {
    let state = State::open(&chain.config, None).expect("embedded");
    let (store, clock, ids) = (chain.store.clone(), chain.clock.clone(), chain.ids.clone());
    Arc::new(Consumer::new(handler, store, state, clock, ids))
}

/// Three bookings as they stand in the log, with something that is none among them.
async fn bookings(chain: &Chain) -> Vec<Vec<u8>> {
    let ada = chain.household("ada").await;
    for day in ["2026-02-10", "2026-02-11", "2026-02-12"] {
        chain.spend(ada, "1.00", day).await;
    }
    let log = chain.log().await.into_iter();
    let mut payloads: Vec<Vec<u8>> = log.map(|entry| entry.envelope.into_bytes()).collect();
    payloads.insert(1, b"poison".to_vec());
    payloads
}

#[tokio::test]
async fn a_fault_that_passes_brings_the_whole_batch_again() {
    let chain = Chain::new().await;
    let events = bookings(&chain).await;
    let draining = CancellationToken::new();
    let intake = Intake::new(&[PROJECTOR_HEARS], draining.clone());
    let created = EventType::TransactionCreated;
    assert_eq!(
        intake.take(created, events.clone()).await,
        None,
        "it still starts"
    );

    let flaky = Flaky::failing(1);
    intake.add(consumer(&chain, flaky.clone()));
    let again = Some(vec![Status::Retry; 4]);
    assert_eq!(intake.take(created, events.clone()).await, again);
    let judged = [
        Status::Success,
        Status::Drop,
        Status::Success,
        Status::Success,
    ];
    assert_eq!(
        intake.take(created, events.clone()).await,
        Some(judged.to_vec())
    );
    assert_eq!(flaky.batches(), [3, 3]);

    // No topic of letters takes what is longer than Kafka's records.
    let long = vec![vec![b'x'; 2_000_000]];
    let done = Some(vec![Status::Success]);
    assert_eq!(intake.take(created, long).await, done);

    draining.cancel();
    assert_eq!(intake.take(created, events.clone()).await, None, "it stops");
}

/// The internal listener of a process with this intake; its address is the app's of the sidecar.
fn listen(intake: Arc<Intake>, config: &Config) {
    let ingress = Arc::new(Ingress::new(intake, config));
    let server = HttpServer::new(move || {
        App::new()
            .route("/livez", web::get().to(HttpResponse::Ok))
            .configure(|routes| ingress.routes(routes))
    });
    let server = server.workers(1).disable_signals();
    let server = server.bind(config.http.internal_addr).expect("a port");
    tokio::spawn(server.run());
}

#[tokio::test]
async fn the_real_sidecar_delivers_again_what_failed_and_sets_aside_what_never_works() {
    let topics = Topics::create().await;
    let chain = Chain::new().await;
    let sidecar = Sidecar::start(&topics.app_id("flaky")).await;
    let config = crate::support::config_with(&[
        ("bus.topic_prefix", &topics.prefix),
        (
            "http.internal_addr",
            &format!("127.0.0.1:{}", sidecar.app_port),
        ),
        // Long enough that all of it comes at once.
        ("dapr.bulk_wait_ms", "1000"),
    ]);
    let flaky = Flaky::failing(2);
    let intake = Arc::new(Intake::new(&[PROJECTOR_HEARS], CancellationToken::new()));
    intake.add(consumer(&chain, flaky.clone()));
    for payload in bookings(&chain).await {
        topics.write(CREATED, b"ada", &payload, &[]).await;
    }
    listen(intake, &config);

    let letters = topics.wait_for(&format!("dlq.{CREATED}"), 1).await;
    assert_eq!(letters[0].payload, b"poison");
    assert_eq!(letters[0].key.as_deref(), Some("ada"));
    assert_eq!(flaky.batches(), [3, 3, 3]);
}

#[tokio::test]
async fn only_the_sidecar_may_ask_and_deliver() {
    let cluster = Cluster::start(&[Role::Notifier], &[]).await;
    let world = &cluster.members[0].world;
    let token = Stack::get().text("/daprd/environment/APP_API_TOKEN");
    let one = "/events/one/finance.budget.exceeded";
    let many = "/events/many/ai.insight.generated";
    let send = async |path: &str, token: Option<&str>, body: &str| {
        let url = format!("{}{path}", world.internal_url);
        let request = match path {
            "/dapr/subscribe" => world.http.get(url),
            _ => world.http.post(url).body(body.to_owned()),
        };
        let request = match token {
            Some(token) => request.header("dapr-api-token", token),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    };
    let wrong = format!("{token}x");
    for path in ["/dapr/subscribe", one, many] {
        for token in [None, Some(""), Some("x"), Some(wrong.as_str())] {
            let (status, _) = send(path, token, "{}").await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {token:?}");
        }
    }
    let (status, asked) = send("/dapr/subscribe", Some(token), "").await;
    assert_eq!(status, StatusCode::OK);
    let topics = asked.as_array().expect("a list").iter();
    let topics: Vec<&str> = topics
        .map(|subscription| subscription["topic"].as_str().expect("a text"))
        .collect();
    let prefix = &cluster.topics.prefix;
    let heard = [
        "finance.budget.exceeded",
        "finance.goal.achieved",
        "ai.insight.generated",
        "user.confirmation.requested",
    ];
    assert_eq!(topics, heard.map(|topic| format!("{prefix}{topic}")));

    let body = r#"{"data_base64":"eA=="}"#;
    let (status, answer) = send(one, Some(token), body).await;
    assert_eq!(
        (status, answer),
        (StatusCode::OK, json!({"status": "DROP"}))
    );
    let body = r#"{"entries":[{"entryId":"a","event":"eQ=="}]}"#;
    let (_, answer) = send(many, Some(token), body).await;
    assert_eq!(
        answer,
        json!({"statuses": [{"entryId": "a", "status": "DROP"}]})
    );
    // 404 would tell the sidecar to forget it.
    let other = "/events/one/finance.transaction.created";
    for (path, body) in [(other, body), (many, "no JSON"), (many, "{}")] {
        let (status, _) = send(path, Some(token), body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
    let letters = "SELECT payload FROM dead_letters ORDER BY 1";
    assert_eq!(cluster.texts(letters).await, ["x", "y"]);
}
