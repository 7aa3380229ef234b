//! Creating once, however often the request comes.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use wealth_companion::clock::Clock;
use wealth_companion::config::Retention;
use wealth_companion::store::trim::Trim;

use crate::support::chain::noon;
use crate::support::{Answer, Person, World};

/// The paths of the POSTs that create something for whoever is signed in, as the API documents them.
async fn creating_paths(world: &World) -> Vec<String> {
    let document = Answer::to(world.http.get(format!("{}/openapi.json", world.url))).await;
    let paths = document.body["paths"].as_object().expect("paths");
    let creates = |item: &&Value| {
        let post = &item["post"];
        let needs_session = post["security"] != json!([{}]);
        post["responses"]["201"].is_object() && needs_session
    };
    paths
        .iter()
        .filter(|(_, item)| creates(item))
        .inspect(|(path, item)| {
            let parameters = item["post"]["parameters"].as_array().expect("parameters");
            let named = |parameter: &Value| parameter["name"] == "Idempotency-Key";
            assert!(parameters.iter().any(named), "{path} documents the key");
        })
        .map(|(path, _)| path.clone())
        .collect()
}

/// A good body for a path, and another one.
async fn bodies(ada: &Person, path: &str) -> [Value; 2] {
    match path {
        "/v1/wallets" => ["Cash", "Purse"]
            .map(|name| json!({"name": name, "type": "cash", "currency": "USD"})),
        "/v1/categories" => {
            ["Books", "Films"].map(|name| json!({"name": name, "kind": "expense"}))
        }
        "/v1/transactions" => {
            let wallet = ada.wallet("Checking", "USD", "100.00").await;
            ["1.00", "2.00"]
                .map(|amount| json!({"wallet_id": wallet, "type": "expense", "amount": amount}))
        }
        "/v1/budgets" => ["10", "20"].map(|amount| {
            json!({"name": "All", "category_ids": [], "amount": amount, "currency": "USD", "period": "weekly"})
        }),
        "/v1/tokens" => ["read", "write"]
            .map(|scope| json!({"name": "Nightly import", "scopes": [scope]})),
        "/v1/rates" => ["EUR", "GBP"].map(|from| json!({"from": from, "to": "USD", "rate": "1.2"})),
        "/v1/goals" => ["10", "20"]
            .map(|amount| json!({"name": "Holidays", "target_amount": amount, "currency": "USD"})),
        "/v1/goals/{id}/contributions" => ["1", "2"].map(|amount| json!({"amount": amount})),
        "/v1/rules" => ["one", "other"].map(|tag| {
            let all = json!([{"field": "amount", "operator": "at_least", "value": "0"}]);
            json!({"name": "All", "conditions": all, "tags": [tag]})
        }),
        "/v1/rule-runs" => [true, false].map(|overwrite| json!({"overwrite": overwrite})),
        "/v1/recurring" => {
            let wallet = ada.wallet("Rent", "USD", "100.00").await;
            ["1.00", "2.00"].map(|amount| {
                json!({
                    "wallet_id": wallet, "type": "expense", "amount": amount, "rrule": "FREQ=MONTHLY",
                    "starts_on": "2031-01-01"
                })
            })
        }
        other => panic!("{other} creates: say here with what"),
    }
}

/// The path of what is made within something, of which one is made.
async fn place(ada: &Person, path: &str) -> String {
    if !path.contains('{') {
        return path.to_owned();
    }
    let (of, _) = path.split_once("/{id}").expect("the id of something");
    let [body, _] = Box::pin(bodies(ada, of)).await;
    let made = ada.post(of, &body).await.expect(201);
    path.replace("{id}", &made.id())
}

fn assert_replays(first: &Answer, again: &Answer) {
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.body, first.body);
    for header in ["location", "etag", "x-log-position", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
        assert_ne!(first.header(header), "", "{header}");
    }
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(again.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn every_post_that_creates_answers_a_retry_as_it_answered_first() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let paths = creating_paths(&world).await;
    let known = [
        "/v1/budgets",
        "/v1/categories",
        "/v1/rates",
        "/v1/transactions",
        "/v1/wallets",
    ];
    for path in known {
        assert!(paths.iter().any(|found| found == path), "{path}");
    }
    for path in &paths {
        let [body, other] = bodies(&ada, path).await;
        let path = &place(&ada, path).await;
        let before = ada.all(path, 200).await.len();
        let key = format!("key of {path}");
        let mut first = ada.post_once(path, &key, &body).await.expect(201);
        let again = ada.post_once(path, &key, &body).await;
        // But for a secret, which is shown once.
        if let Some(secret) = first.body.get_mut("secret") {
            assert!(secret.take().is_string(), "{path}");
        }
        assert_replays(&first, &again);
        ada.post_once(path, &key, &other)
            .await
            .problem(422, "header");
        assert_eq!(ada.all(path, 200).await.len(), before + 1, "{path}");
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_user() {
    let world = World::start().await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let wallet = json!({"name": "Cash", "type": "cash", "currency": "USD"});
    let hers = ada.post_once("/v1/wallets", "1", &wallet).await.expect(201);
    let his = bob.post_once("/v1/wallets", "1", &wallet).await.expect(201);
    assert_ne!(hers.id(), his.id());
    // The same key at another path is another request, whatever its body.
    let category = json!({"name": "Books", "kind": "expense"});
    ada.post_once("/v1/categories", "1", &category)
        .await
        .problem(422, "header");
}

#[tokio::test]
async fn a_bad_key_is_refused() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let body = json!({"name": "Cash", "type": "cash", "currency": "USD"});
    let long = "k".repeat(256);
    for key in [&b""[..], long.as_bytes(), b"caf\xc3\xa9", b"tab\tin it"] {
        let key = HeaderValue::from_bytes(key).expect("a value");
        let request = ada
            .request(Method::POST, "/v1/wallets")
            .header("Idempotency-Key", key.clone())
            .json(&body);
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 422, "{key:?}: {answer:?}");
        answer.problem(422, "header");
    }
    ada.post_once("/v1/wallets", &long[..255], &body)
        .await
        .expect(201);
}

#[tokio::test]
async fn a_request_that_was_refused_leaves_its_key_free() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = |name: &str| json!({"name": name, "type": "cash", "currency": "USD"});
    ada.post("/v1/wallets", &wallet("Cash")).await.expect(201);
    ada.post_once("/v1/wallets", "1", &wallet("Cash"))
        .await
        .problem(409, "conflict");
    ada.post_once("/v1/wallets", "1", &wallet(""))
        .await
        .problem(422, "validation");
    let done = ada.post_once("/v1/wallets", "1", &wallet("Purse")).await;
    assert_eq!(done.expect(201).header("idempotent-replayed"), "");
}

#[tokio::test]
async fn fifty_at_once_write_one_row() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "100.00").await;
    let body = json!({"wallet_id": wallet, "type": "expense", "amount": "1.00"});
    let posts = (0..50).map(|_| ada.post_once("/v1/transactions", "1", &body));
    let answers = futures_util::future::join_all(posts).await;
    let fresh =
        |answer: &&Answer| answer.status == 201 && answer.header("idempotent-replayed").is_empty();
    assert_eq!(answers.iter().filter(fresh).count(), 1);
    let (made, running): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == 201);
    let ids: BTreeSet<String> = made.iter().map(|answer| answer.id()).collect();
    assert_eq!(ids.len(), 1);
    for answer in running {
        assert_eq!(answer.status, 409, "{answer:?}");
    }
    assert_eq!(ada.all("/v1/transactions", 200).await.len(), 1);
    let wallet = ada.get(&format!("/v1/wallets/{wallet}")).await;
    assert_eq!(wallet.body["balance"], "99.00");
    // Whoever was told to wait gets the answer now.
    let last = ada.post_once("/v1/transactions", "1", &body).await;
    assert_eq!(last.expect(201).header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn the_first_answer_outlives_the_thing_and_the_server() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "100.00").await;
    let body = json!({"wallet_id": wallet, "type": "expense", "amount": "1.00"});
    let first = ada.post_once("/v1/transactions", "1", &body).await;
    let path = format!("/v1/transactions/{}", first.id());
    ada.patch(&path, &json!({"amount": "5.00"}))
        .await
        .expect(200);
    assert_replays(&first, &ada.post_once("/v1/transactions", "1", &body).await);
    ada.delete(&path).await.expect(204);
    assert_replays(&first, &ada.post_once("/v1/transactions", "1", &body).await);

    let (ended, data_dir) = world.stop().await;
    ended.expect("a clean end");
    let world = World::on(data_dir, &[], Clock::system()).await;
    let ada = ada.at(&world);
    assert_replays(&first, &ada.post_once("/v1/transactions", "1", &body).await);
    assert_eq!(ada.all("/v1/transactions", 200).await.len(), 0);
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let ada = world.register("ada").await;
    let body = |name: &str| json!({"name": name, "type": "cash", "currency": "USD"});
    let first = ada.post_once("/v1/wallets", "1", &body("Cash")).await;
    let day = chrono::Duration::hours(24);
    let trim = Trim::new(retention(&world), &[]);
    let store = world.store().await;

    trim.step(&store, noon() + day).await.expect("trimmed");
    assert_replays(
        &first,
        &ada.post_once("/v1/wallets", "1", &body("Cash")).await,
    );
    let later = noon() + day + chrono::Duration::seconds(1);
    trim.step(&store, later).await.expect("trimmed");
    let second = ada.post_once("/v1/wallets", "1", &body("Purse")).await;
    assert_eq!(second.expect(201).header("idempotent-replayed"), "");
}

fn retention(world: &World) -> Retention {
    crate::support::config(world.data_dir.path(), &[]).retention
}
