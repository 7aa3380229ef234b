//! The state store spares work, and its absence costs little.

use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;
use wealth_companion::app::Role;
use wealth_companion::clock::Ids;
use wealth_companion::config::Config;
use wealth_companion::state::State;

use crate::support::sidecar::Environment;
use crate::support::{Cluster, Person, Sidecar, Stack, World, config_with};

fn config(port: u16) -> Config {
    let token = Stack::get().text("/daprd/environment/DAPR_API_TOKEN");
    config_with(&[
        ("state.kind", "dapr"),
        ("dapr.http_port", &port.to_string()),
        ("dapr.api_token", token),
    ])
}

fn ids(count: usize) -> Vec<Uuid> {
    let ids = Ids::system();
    (0..count).map(|_| ids.v4()).collect()
}

#[tokio::test]
async fn what_was_handled_is_known_to_every_replica_for_seven_days() {
    let sidecar = Sidecar::start("it-state").await;
    let (one, other) = (config(sidecar.http_port), config(sidecar.http_port));
    let (one, other) = (
        State::open(&one, None).expect("it opens"),
        State::open(&other, None).expect("it opens"),
    );
    let (handled, new) = (ids(200), ids(200));
    let both = [handled.clone(), new].concat();
    assert!(other.processed("projector", &both).await.is_empty());
    one.mark_processed("projector", &handled).await;
    let known = other.processed("projector", &both).await;
    assert_eq!(known, handled.iter().copied().collect());
    assert!(other.processed("notifier", &both).await.is_empty());
    assert!(other.processed("projector", &[]).await.is_empty());

    let redis = deadpool_redis::Config::from_url(Stack::get().text("/redis/url"));
    let pool = redis.create_pool(Some(deadpool_redis::Runtime::Tokio1));
    let mut redis = pool.expect("a pool").get().await.expect("Redis answers");
    let key = format!("processed:projector:{}", handled[0]);
    let ttl: i64 = deadpool_redis::redis::cmd("TTL")
        .arg(&key)
        .query_async(&mut redis)
        .await
        .expect("a time to live");
    assert!((604_700..=604_800).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_waited_for_once_in_a_while() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let state = State::open(&config(port), None).expect("it opens");
    let begun = Instant::now();
    for _ in 0..100 {
        assert!(state.processed("projector", &ids(1)).await.is_empty());
        state.mark_processed("projector", &ids(1)).await;
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(240), "{took:?}");
    assert!(took < Duration::from_millis(900), "{took:?}");
}

/// A way to Redis that can be cut.
struct Wire {
    address: String,
    open: JoinHandle<()>,
}

impl Wire {
    async fn to_redis() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let redis = Stack::get().text("/daprd/environment/STACK_REDIS_HOST");
        let open = tokio::spawn(async move {
            // Dropped with the task, and with it what they carry.
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut far = TcpStream::connect(redis).await.expect("Redis answers");
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        Self { address, open }
    }

    async fn cut(self) {
        self.open.abort();
        let _ = self.open.await;
    }
}

/// Books an expense, and waits until it shows.
async fn book(world: &World, ada: &Person, wallet: &str, category: &str) -> Duration {
    let today = world.clock.now().date_naive().to_string();
    let booked = ada.spend(wallet, category, "1.00", &today).await;
    let begun = Instant::now();
    ada.get_after("/v1/dashboard", &booked).await;
    begun.elapsed()
}

#[tokio::test]
async fn it_goes_on_while_redis_is_away() {
    let wire = Wire::to_redis().await;
    let environment = Environment::from([("STACK_REDIS_HOST", wire.address.clone())]);
    let (roles, set) = ([Role::Api, Role::Projector], [("bus.poll_ms", "20")]);
    let cluster = Cluster::with(&roles, &set, &environment).await;
    let api = &cluster.members[0].world;
    let ada = api.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0.00").await;
    let groceries = ada.category("Groceries").await;
    for _ in 0..3 {
        book(api, &ada, &wallet, &groceries).await;
    }
    wire.cut().await;
    let mut took = Vec::new();
    for _ in 0..10 {
        took.push(book(api, &ada, &wallet, &groceries).await);
    }
    let dashboard = ada.get("/v1/dashboard").await;
    assert_eq!(dashboard.body["spending"], "13.00");
    // Each time the store is asked it may take its quarter of a second; it is asked now and then.
    took.sort();
    assert!(took[5] < Duration::from_millis(500), "{took:?}");
    let metrics = api.internal("/metrics").await;
    let metrics = metrics.body.as_str().expect("a text");
    assert!(metrics.contains("wealth_state_failures_total"), "{metrics}");
}

#[tokio::test]
async fn it_starts_while_redis_is_away() {
    let environment = Environment::from([("STACK_REDIS_HOST", "127.0.0.1:1".to_owned())]);
    let cluster = Cluster::with(&[Role::Api, Role::Projector], &[], &environment).await;
    let api = &cluster.members[0].world;
    let ada = api.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0.00").await;
    let groceries = ada.category("Groceries").await;
    book(api, &ada, &wallet, &groceries).await;
    let dashboard = ada.get("/v1/dashboard").await;
    assert_eq!(dashboard.body["spending"], "1.00");
}
