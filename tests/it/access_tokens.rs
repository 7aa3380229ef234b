//! Personal access tokens: what scripts come in with, how far, and until when.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use wealth_companion::clock::Clock;

use crate::support::chain::noon;
use crate::support::{Answer, Person, Rows, World};

/// Makes a token of these scopes.
async fn token(person: &Person, scopes: &[&str]) -> Answer {
    let body = json!({"name": "Nightly import", "scopes": scopes});
    person.post("/v1/tokens", &body).await.expect(201)
}

/// A script of the person, with a token of hers.
fn script(person: &Person, made: &Answer) -> Person {
    person.with_token(&made.text("secret"))
}

/// A new token's script.
async fn script_with(person: &Person, scopes: &[&str]) -> Person {
    script(person, &token(person, scopes).await)
}

fn path(made: &Answer) -> String {
    format!("/v1/tokens/{}", made.id())
}

#[track_caller]
fn lacks(answer: Answer, scope: &str) {
    let answer = answer.problem(403, "forbidden");
    let detail = answer.text("detail");
    assert!(detail.contains(&format!("`{scope}`")), "{detail}");
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
    assert_eq!(answer.header("www-authenticate"), challenge);
}

fn purse(name: &str) -> Value {
    json!({"name": name, "type": "cash", "currency": "USD"})
}

#[tokio::test]
async fn a_secret_is_shown_once_and_is_nowhere_else() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let body = json!({
        "name": " Nightly import ", "scopes": ["ai", "write", "ai"], "expires_at": "2031-02-03T04:05:06.123456789+01:00"
    });
    let first = ada.post_once("/v1/tokens", "key", &body).await.expect(201);
    let secret = first.text("secret");
    assert!(secret.starts_with("wct_"), "{secret}");
    assert_eq!(secret.len(), 4 + 43, "256 bits");
    assert_eq!(first.body["name"], "Nightly import");
    assert_eq!(first.body["scopes"], json!(["write", "ai"]));
    assert_eq!(first.body["expires_at"], "2031-02-03T03:05:06.123456Z");
    assert_eq!(first.body["last_used_at"], Value::Null);
    assert!(secret.ends_with(&first.text("ends_with")));
    assert_eq!(first.text("ends_with").len(), 4);
    // Not a second time, by whatever way one asks for it.
    let mut without = first.body.clone();
    without["secret"] = Value::Null;
    let again = ada.post_once("/v1/tokens", "key", &body).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.body, without);
    assert_eq!(ada.get(&path(&first)).await.expect(200).body, without);
    let list = ada.all("/v1/tokens", 1).await;
    assert_eq!(list, [without]);
    // It opens what it is for, and is in no row, in no writing.
    script(&ada, &first)
        .post("/v1/wallets", &purse("Purse"))
        .await
        .expect(201);
    let rows = Rows::of(&world).await.all().await;
    assert_eq!(rows["personal_tokens"].len(), 1);
    assert!(!rows["idempotency_keys"].is_empty());
    let random = &secret["wct_".len()..];
    let all = format!("{rows:?}").to_lowercase();
    assert!(!all.contains(&random.to_lowercase()));
    assert!(!all.contains(&hex::encode(random)));
    // Another one is another.
    let other = token(&ada, &["read"]).await;
    assert_ne!(other.text("secret"), secret);
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let reads = script_with(&ada, &["read"]).await;
    let writes = script_with(&ada, &["write"]).await;
    let advises = script_with(&ada, &["ai"]).await;
    let all = script_with(&ada, &["read", "write", "ai"]).await;

    reads.get("/v1/wallets").await.expect(200);
    assert_eq!(reads.get("/v1/me").await.expect(200).body["id"], ada.id);
    lacks(reads.post("/v1/wallets", &purse("No")).await, "write");
    lacks(reads.get("/v1/insights").await, "ai");

    let made = writes.post("/v1/wallets", &purse("Purse")).await;
    let wallet = format!("/v1/wallets/{}", made.expect(201).id());
    writes.get(&wallet).await.expect(200);
    lacks(reads.delete(&wallet).await, "write");
    lacks(writes.get("/v1/insights").await, "ai");

    advises.get("/v1/insights").await.expect(200);
    lacks(advises.get(&wallet).await, "read");
    lacks(advises.delete(&wallet).await, "write");

    all.get("/v1/insights").await.expect(200);
    all.delete(&wallet).await.expect(204);
    assert_eq!(ada.all("/v1/wallets", 10).await, [] as [Value; 0]);
    // What belongs to others is not there, whoever asks.
    let bob = world.register("bob").await;
    let bobs = format!("/v1/wallets/{}", bob.wallet("Bob's", "USD", "0").await);
    all.get(&bobs).await.problem(404, "not-found");
}

#[tokio::test]
async fn matters_of_the_account_are_not_for_scripts() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let made = token(&ada, &["read", "write", "ai"]).await;
    let all = script(&ada, &made);
    let body = json!({"name": "More", "scopes": ["read"]});
    let refused = [
        all.post("/v1/tokens", &body).await,
        all.get("/v1/tokens").await,
        all.get(&path(&made)).await,
        all.delete(&path(&made)).await,
        all.patch("/v1/me", &json!({"name": "Eve"})).await,
        all.patch("/v1/me/notifications", &json!({"digest": "daily"}))
            .await,
        all.delete("/v1/me").await,
        all.post("/v1/auth/logout", &Value::Null).await,
    ];
    for answer in refused {
        let answer = answer.problem(403, "forbidden");
        assert!(answer.text("detail").contains("sign in"), "{answer:?}");
    }
    // Nothing of it was done.
    assert_eq!(ada.all("/v1/tokens", 10).await.len(), 1);
    assert_eq!(
        ada.get("/v1/me").await.expect(200).body["name"],
        Value::Null
    );
}

#[tokio::test]
async fn what_is_no_secret_of_anybody_opens_nothing() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let made = token(&ada, &["read"]).await;
    let secret = made.text("secret");
    script(&ada, &made).get("/v1/wallets").await.expect(200);
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&secret));
    for wrong in [
        "wct_".to_owned(),
        format!("{secret}A"),
        secret[..secret.len() - 1].to_owned(),
        secret.replace("wct_", "WCT_"),
        secret.replace("wct_", ""),
        format!("wct_{}", secret[4..].to_uppercase()),
        format!("wct_{hash}"),
        format!("wct_{}", made.id()),
        "wct_' OR 1=1 --".to_owned(),
        "wct_".to_owned() + &"x".repeat(4_000),
    ] {
        let wrong = ada.with_token(&wrong);
        let answer = wrong.get("/v1/wallets").await;
        assert_eq!(answer.status, 401, "{}", wrong.token);
        let answer = answer.problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    // Nor does it from anywhere but its header.
    let url = format!("{}/v1/wallets?access_token={secret}", world.url);
    Answer::to(world.http.get(url).header("X-Access-Token", &secret))
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_made() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let ada = world.register("ada").await;
    let good = json!({"name": "Import", "scopes": ["read"]});
    for (name, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(101))),
        ("name", json!("a\nb")),
        ("scopes", json!([])),
        ("scopes", json!(["admin"])),
        ("scopes", json!(["read", "Write"])),
        ("scopes", json!("read write")),
        ("scopes", json!(["read", "read", "read", "read"])),
        ("expires_at", json!("2026-02-10T12:00:00Z")),
        ("expires_at", json!("1999-01-01T00:00:00Z")),
        ("expires_at", json!("2036-02-10T12:00:00.000001Z")),
        ("expires_at", json!("2030-02-30T12:00:00Z")),
        ("expires_at", json!("2030-02-10")),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let refused = ada.post("/v1/tokens", &body).await;
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        let pointer = refused.body["errors"][0]["pointer"].clone();
        let pointer = pointer.as_str().expect("a pointer");
        assert!(pointer.starts_with(&format!("/{name}")), "{body} {pointer}");
    }
    assert_eq!(ada.all("/v1/tokens", 10).await, [] as [Value; 0]);
    for at in ["2026-02-10T12:00:00.000001Z", "2036-02-10T12:00:00Z"] {
        let mut body = good.clone();
        body["expires_at"] = json!(at);
        let made = ada.post("/v1/tokens", &body).await.expect(201);
        assert_eq!(made.body["expires_at"], at);
    }
}

#[tokio::test]
async fn nobody_has_more_than_fifty() {
    let world = World::start().await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let mut made = Vec::new();
    for _ in 0..50 {
        made.push(token(&ada, &["read"]).await);
    }
    let body = json!({"name": "Fifty-first", "scopes": ["read"]});
    let refused = ada.post("/v1/tokens", &body).await;
    let refused = refused.problem(422, "validation");
    assert_eq!(refused.body["errors"][0]["pointer"], "/name");
    token(&bob, &["read"]).await;
    ada.delete(&path(&made[7])).await.expect(204);
    ada.post("/v1/tokens", &body).await.expect(201);
    for limit in [7, 200] {
        assert_eq!(ada.all("/v1/tokens", limit).await.len(), 50);
    }
}

#[tokio::test]
async fn a_token_that_has_expired_opens_nothing_and_is_listed() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let ada = world.register("ada").await;
    let body =
        json!({"name": "A minute", "scopes": ["read"], "expires_at": "2026-02-10T12:01:00Z"});
    let made = ada.post("/v1/tokens", &body).await.expect(201);
    let script = script(&ada, &made);
    script.get("/v1/wallets").await.expect(200);
    world.clock.advance(Duration::from_millis(59_900));
    script.get("/v1/wallets").await.expect(200);
    let mut stream = script.follow(None).await;
    assert_eq!(stream.block().await, None, "its tenth of a second is over");
    // At once, though it was looked up a moment ago.
    world.clock.advance(Duration::from_millis(100));
    script.get("/v1/wallets").await.problem(401, "unauthorized");
    let listed = ada.all("/v1/tokens", 10).await;
    assert_eq!(listed[0]["expires_at"], "2026-02-10T12:01:00Z");
}

#[tokio::test]
async fn a_token_that_is_deleted_opens_nothing_and_its_streams_end() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let other = world.beside(&[]).await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let made = token(&ada, &["read"]).await;
    let here = script(&ada, &made);
    let there = here.at(&other);
    let stays = script_with(&ada, &["read"]).await.at(&other);
    let (mut near, mut far) = (here.follow(None).await, there.follow(None).await);
    let mut kept = stays.follow(None).await;

    bob.delete(&path(&made)).await.problem(404, "not-found");
    let stale = ada.request(Method::DELETE, &path(&made));
    let stale = Answer::to(stale.header("If-Match", "\"2\"")).await;
    stale.problem(412, "stale");
    here.get("/v1/wallets").await.expect(200);

    ada.delete(&path(&made)).await.expect(204);
    here.get("/v1/wallets").await.problem(401, "unauthorized");
    ada.get(&path(&made)).await.problem(404, "not-found");
    assert_eq!(near.alert_or_end().await, None);
    // The other replica looks every five seconds.
    let ended = tokio::time::timeout(Duration::from_secs(20), far.alert_or_end()).await;
    assert_eq!(ended.expect("in time"), None);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while there.get("/v1/wallets").await.status != 401 {
        assert!(tokio::time::Instant::now() < deadline, "it is let in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Others go on.
    stays.get("/v1/wallets").await.expect(200);
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let food = ada.category("Groceries").await;
    ada.budget(&[&food], "1.00").await;
    ada.spend(&wallet, &food, "0.90", "2026-02-10").await;
    assert!(kept.alert().await.is_some(), "another token goes on");
}

#[tokio::test]
async fn when_a_token_was_used_is_known_to_the_hour() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let ada = world.register("ada").await;
    let made = token(&ada, &["read"]).await;
    let script = script(&ada, &made);
    // A use, looked up anew, and what is known of it then.
    let used = async |after: u64| {
        world.clock.advance(Duration::from_secs(after));
        let ada = ada.signed_in_again(&world).await;
        ada.patch("/v1/me", &json!({"name": "Ada"}))
            .await
            .expect(200);
        script.get("/v1/wallets").await.expect(200);
        let token = ada.get(&path(&made)).await.expect(200);
        assert_eq!(token.header("etag"), "\"1\"", "it is no change");
        token.text("last_used_at")
    };
    assert_eq!(used(60).await, "2026-02-10T12:01:00Z");
    assert_eq!(used(3_599).await, "2026-02-10T12:01:00Z");
    assert_eq!(used(1).await, "2026-02-10T13:01:00Z");
}

#[tokio::test]
async fn tokens_outlive_sessions_and_leave_with_their_user() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let script = script_with(&ada, &["write"]).await;
    let elsewhere = ada.signed_in_again(&world).await;
    ada.post("/v1/auth/logout", &Value::Null).await.expect(204);
    ada.get("/v1/wallets").await.problem(401, "unauthorized");
    script.get("/v1/wallets").await.expect(200);
    // What the user changes is known to the script's next request.
    let zone = json!({"currency": "EUR"});
    elsewhere.patch("/v1/me", &zone).await.expect(200);
    assert_eq!(
        script.get("/v1/dashboard").await.expect(200).body["currency"],
        "EUR"
    );
    elsewhere.delete("/v1/me").await.expect(204);
    script.get("/v1/wallets").await.problem(401, "unauthorized");
    let rows = Rows::of(&world).await.all().await;
    assert_eq!(rows["personal_tokens"], [] as [String; 0]);
}

#[tokio::test]
async fn scripts_ask_out_of_the_same_allowance() {
    let set = [("limits.requests_per_minute", "5")];
    let world = World::with(&set, Clock::system()).await;
    let ada = world.register("ada").await;
    let script = script_with(&ada, &["read"]).await;
    assert_eq!(script.get("/v1/me").await.expect(200).requests_left(), 3);
    // What is refused for its scope has asked as well.
    let refused = script.get("/v1/insights").await;
    assert_eq!(refused.requests_left(), 2);
    lacks(refused, "ai");
    assert_eq!(ada.get("/v1/me").await.expect(200).requests_left(), 1);
}
