//! Ways to the server: TLS, and a pooler by transaction.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::json;
use wealth_companion::clock::Clock;
use wealth_companion::store::{Store, StoreError};

use crate::support::{Stack, World, config_with, recount, stack};

async fn open(url: &str) -> Result<(), StoreError> {
    let config = config_with(&[
        ("database.url", url),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ]);
    let (store, _) = Store::open(&config).await?;
    store.ping().await
}

#[tokio::test]
async fn tls_is_what_the_url_says() {
    let name = stack::fresh_database();
    let plain = Stack::get().database_url(&name);
    let ca = Stack::get().text("/postgres/ca_file");
    for good in [
        format!("{plain}?sslmode=disable"),
        format!("{plain}?sslmode=require"),
        format!("{plain}?sslmode=verify-ca&sslrootcert={ca}"),
        format!("{plain}?sslmode=verify-full&sslrootcert={ca}"),
    ] {
        let opened = open(&good).await;
        assert!(opened.is_ok(), "{opened:?}");
    }
    // Nobody in the usual list of authorities knows this server, and the pooler has no TLS.
    let pooled = Stack::get().pooled_url(&name);
    for bad in [
        format!("{plain}?sslmode=verify-full"),
        format!("{pooled}?sslmode=require"),
    ] {
        let refused = open(&bad).await.expect_err("refused");
        let text = refused.to_string();
        let password = Stack::get().text("/postgres/password");
        assert!(
            text.contains("cannot connect") && !text.contains(password),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_pooler_by_transaction_carries_everything() {
    let name = stack::fresh_database();
    let (pooled, direct) = (
        Stack::get().pooled_url(&name),
        Stack::get().database_url(&name),
    );
    let set = [
        ("database.url", pooled.as_str()),
        ("database.direct_url", &direct),
        ("database.statements_max", "0"),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ];
    let world = World::with(&set, Clock::system()).await;
    let people = join_all(["ada", "bob", "eve"].map(|name| world.register(name))).await;
    let today = world.clock.now().date_naive().to_string();
    let today = today.as_str();
    join_all(people.iter().map(|person| async move {
        let wallet = person.wallet("Checking", "USD", "1000.00").await;
        let category = person.category("Groceries").await;
        person.budget(&[&category], "10.00").await;
        let book = |amount: String| {
            let body = json!({"wallet_id": wallet, "category_id": category, "type": "expense",
                "amount": amount, "date": today});
            async move { person.post("/v1/transactions", &body).await.expect(201) }
        };
        join_all((0..20).map(|cents| book(format!("1.{cents:02}")))).await;
        person.alerts(2).await;
        person.all("/v1/transactions", 20).await;
    }))
    .await;
    let config = config_with(&set);
    let (store, _) = Store::open(&config).await.expect("it opens");
    recount::settled_in(&store).await;
    let counted = recount::recount_of(&store).await.agrees();
    assert_eq!((counted.transactions, counted.alerts), (60, 6));
}

/// Each thread of the listener has a runtime of its own, and not all of them end at the same time: a
/// connection that one has opened still serves the others.
#[tokio::test]
async fn a_connection_outlives_the_runtime_that_asked_for_it() {
    async fn both(store: &Store) {
        let sleep = || store.reads().execute_unprepared("SELECT pg_sleep(0.2)");
        let (one, other) = tokio::join!(sleep(), sleep());
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    }
    let url = Stack::get().database_url(&stack::fresh_database());
    let config = config_with(&[
        ("database.url", url.as_str()),
        ("database.read_connections_max", "2"),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ]);
    let (store, _) = Store::open(&config).await.expect("it opens");
    let there = store.clone();
    let worker = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        runtime.block_on(async {
            both(&there).await;
            // Both go back into the pool.
            tokio::time::sleep(Duration::from_millis(200)).await;
        });
    });
    let ended = tokio::task::spawn_blocking(move || worker.join()).await;
    ended.expect("joined").expect("it does not panic");
    both(&store).await;
}
