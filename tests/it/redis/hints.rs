//! Processes wake each other: nobody here polls within the time that a test has.

use std::time::Duration;

use deadpool_redis::redis::{Client, cmd};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wealth_companion::app::Role;
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::hints::Hints;
use wealth_companion::redis::Redis;
use wealth_companion::store::{Store, schema};

use crate::support::redis::stack_url;
use crate::support::{Chain, RedisServer, Stack, World, config_with, stack};

const SOON: Duration = Duration::from_secs(5);

fn settings(redis_url: &str) -> [(&str, &str); 5] {
    [
        ("state.kind", "redis"),
        ("state.redis_url", redis_url),
        ("state.timeout_ms", "5000"),
        ("bus.poll_ms", "60000"),
        ("streams.poll_ms", "60000"),
    ]
}

/// A process of one role, on a database of the server.
async fn process(role: Role, database_url: &str, redis_url: &str) -> World {
    let mut set = vec![
        ("database.url", database_url),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ];
    set.extend(settings(redis_url));
    let folder = TempDir::new().expect("a folder");
    World::of(&[role], folder, &set, Clock::system()).await
}

#[tokio::test]
async fn an_alert_finds_its_way_through_three_roles_to_a_stream_of_another_replica() {
    let redis = RedisServer::start().await;
    let database = Stack::get().database_url(&stack::fresh_database());
    let (database, url) = (database.as_str(), &redis.url());
    let api = process(Role::Api, database, url).await;
    let other_api = process(Role::Api, database, url).await;
    let _projector = process(Role::Projector, database, url).await;
    let _notifier = process(Role::Notifier, database, url).await;
    everybody_listens(&redis, 4).await;

    let ada = api.register("ada").await;
    let mut stream = ada.at(&other_api).follow(None).await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let category = ada.category("Groceries").await;
    let today = api.clock.now().date_naive().to_string();
    for round in 1..=5 {
        ada.budget(&[&category], "1.00").await;
        let booked = ada.spend(&wallet, &category, "100.00", &today).await;
        // The read models of the projector, by way of a replica that has written nothing.
        ada.at(&other_api).sees(&booked).await;
        for alert in ["the warning", "the excess"] {
            let arrived = timeout(SOON, stream.alert()).await;
            let arrived = arrived.unwrap_or_else(|_| panic!("round {round}: {alert} did not come"));
            arrived.expect("an alert");
        }
    }
}

/// Waits until so many processes hear hints.
async fn everybody_listens(redis: &RedisServer, count: i64) {
    let listening = async {
        loop {
            let channels: Vec<String> = redis.ask("PUBSUB CHANNELS").await;
            if let [channel] = channels.as_slice() {
                let heard: (String, i64) = redis.ask(&format!("PUBSUB NUMSUB {channel}")).await;
                if heard.1 == count {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, listening).await.expect("all listen");
}

/// Another process on the database of a chain; only its hints run.
struct Listener {
    store: Store,
    me: Uuid,
    channel: String,
    stop: CancellationToken,
}

impl Listener {
    async fn of(chain: &Chain) -> Self {
        let (store, _writer) = Store::open(&chain.config).await.expect("it opens");
        Self::on(store).await
    }

    async fn on(store: Store) -> Self {
        let config = config_with(&settings(stack_url())).state;
        let redis = Redis::of(&config).await.expect("a good URL");
        let redis = redis.expect("a Redis");
        let installation = schema::installation(&store).await.expect("a name");
        let (me, stop) = (Ids::system().v4(), CancellationToken::new());
        let hints = Hints::new(redis, store.clone(), &installation, me);
        let mut joined = store.signals().alerted();
        tokio::spawn(hints.run(stop.clone()));
        // Whoever joins is woken once, for what was said before.
        timeout(SOON, joined.changed())
            .await
            .expect("it joins")
            .expect("a signal");
        Self {
            store,
            me,
            channel: format!("wealth-companion:hints:{installation}"),
            stop,
        }
    }

    /// Publishes a message; gives how many heard it.
    async fn publish(&self, message: &str) -> i64 {
        let client = Client::open(stack_url()).expect("a good URL");
        let connection = client.get_multiplexed_async_connection().await;
        let mut publish = cmd("PUBLISH");
        publish.arg(&self.channel).arg(message);
        let heard = publish.query_async(&mut connection.expect("Redis")).await;
        heard.expect("published")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn only_those_on_the_same_database_are_woken() {
    let (chain, elsewhere) = (Chain::new().await, Chain::new().await);
    let (here, there) = (
        Listener::on(chain.store.clone()).await,
        Listener::of(&chain).await,
    );
    let other = Listener::of(&elsewhere).await;
    assert_eq!(here.channel, there.channel);
    assert_ne!(here.channel, other.channel);
    let mut woken = there.store.signals().alerted();
    let not_woken = other.store.signals().alerted();

    let ada = chain.household("ada").await;
    chain.budget(ada, 100).await;
    chain.spend(ada, "1.00", "2026-02-10").await;
    chain.settle().await;
    timeout(SOON, woken.changed())
        .await
        .expect("woken")
        .expect("a signal");
    assert!(!not_woken.has_changed().expect("a signal"));
}

#[tokio::test]
async fn a_process_passes_over_its_own_hints_and_what_it_cannot_read() {
    let chain = Chain::new().await;
    let listener = Listener::of(&chain).await;
    let (alerted, mut projected) = (
        listener.store.signals().alerted(),
        listener.store.signals().projected(),
    );
    let (me, other) = (listener.me, Ids::system().v4());
    for message in [
        &format!("{me} 8"),
        "",
        "8",
        "a hint of a later version",
        &format!("{other} 4"),
    ] {
        assert_eq!(listener.publish(message).await, 1);
    }
    timeout(SOON, projected.changed())
        .await
        .expect("woken")
        .expect("a signal");
    assert!(!alerted.has_changed().expect("a signal"));
}

/// Whatever a database is called by those who use it, it is one.
#[tokio::test]
async fn a_database_has_one_name_by_every_way_to_it() {
    let (one, other) = (stack::fresh_database(), stack::fresh_database());
    let name_of = async |url: String, statements: &str| {
        let config = config_with(&[
            ("database.url", &url),
            ("database.statements_max", statements),
            ("auth.jwt_secret_key", stack::SIGNING_KEY),
        ]);
        let (store, _) = Store::open(&config).await.expect("it opens");
        schema::installation(&store).await.expect("a name")
    };
    let direct = name_of(Stack::get().database_url(&one), "256").await;
    let pooled = name_of(Stack::get().pooled_url(&one), "0").await;
    assert_eq!(direct, pooled);
    assert_ne!(
        direct,
        name_of(Stack::get().database_url(&other), "256").await
    );
    assert!(direct.len() == 16 && direct.bytes().all(|letter| letter.is_ascii_hexdigit()));
}
