//! How much one may ask: of a user, of an address, of an e-mail address.

use serde_json::json;
use wealth_companion::clock::Clock;

use crate::support::world::PASSWORD;
use crate::support::{Answer, World};

#[track_caller]
fn refused(answer: Answer) -> Answer {
    let answer = answer.problem(429, "too-many");
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    answer
}

#[tokio::test]
async fn a_user_may_ask_so_often_in_a_minute() {
    let set = [("limits.requests_per_minute", "3")];
    let world = World::with(&set, Clock::system()).await;
    let ada = world.register("ada").await;
    let bob = world.register("bob").await;
    for left in [2, 1, 0] {
        let answer = ada.get("/v1/me").await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=3;w=60");
        let state = answer.header("ratelimit");
        assert!(
            state.starts_with(&format!("\"user\";r={left};t=")),
            "{state}"
        );
    }
    let answer = refused(ada.get("/v1/me").await);
    assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=3;w=60");
    let reset = format!("\"user\";r=0;t={}", answer.header("retry-after"));
    assert_eq!(answer.header("ratelimit"), reset);
    // Whatever is asked, and nothing is done.
    let wallet = json!({"name": "Checking", "type": "bank", "currency": "USD"});
    refused(ada.post("/v1/wallets", &wallet).await);
    // Failures count as well, and carry the headers too; others are not held up.
    let wrong = bob
        .get("/v1/wallets?limit=0")
        .await
        .problem(422, "validation");
    assert!(
        wrong.header("ratelimit").starts_with("\"user\";r=2;"),
        "{wrong:?}"
    );
    assert_eq!(
        bob.get("/v1/wallets").await.expect(200).body["items"],
        json!([])
    );
    // Signing out and in again does not begin afresh.
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let again = world.post("/v1/auth/login", &body).await.expect(200);
    let again = crate::support::Person::new(&world, &again.body);
    refused(again.get("/v1/me").await);
}

#[tokio::test]
async fn an_address_may_try_so_often_to_sign_in() {
    let set = [("limits.sign_in_per_minute", "3")];
    let world = World::with(&set, Clock::system()).await;
    let ada = world.register("ada").await;
    let refresh = json!({"refresh_token": ada.refresh_token});
    world.post("/v1/auth/refresh", &refresh).await.expect(200);
    let body = json!({"email": "nobody@example.com", "password": PASSWORD});
    world
        .post("/v1/auth/login", &body)
        .await
        .problem(401, "unauthorized");
    // From now on nobody comes in from here, with any name.
    refused(world.post("/v1/auth/login", &body).await);
    let right = json!({"email": "ada@example.com", "password": PASSWORD});
    refused(world.post("/v1/auth/login", &right).await);
    refused(world.post("/v1/auth/refresh", &refresh).await);
    let new = json!({"email": "new@example.com", "password": PASSWORD});
    refused(world.post("/v1/auth/register", &new).await);
    // Who is in, is in.
    ada.get("/v1/me").await.expect(200);
}

#[tokio::test]
async fn an_email_address_may_be_tried_so_often_from_anywhere() {
    let set = [("limits.sign_in_per_minute", "3")];
    let world = World::with(&set, Clock::system()).await;
    // Each attempt from an address of its own, and each written in another way.
    let attempt = async |last: u8, email: &str| {
        let from: std::net::IpAddr = format!("127.0.0.{last}").parse().expect("an address");
        let http = reqwest::Client::builder()
            .local_address(from)
            .build()
            .expect("a client");
        let body = json!({"email": email, "password": PASSWORD});
        Answer::to(
            http.post(format!("{}/v1/auth/login", world.url))
                .json(&body),
        )
        .await
    };
    for (last, email) in [
        (2, "ada@example.com"),
        (3, "ADA@example.com"),
        (4, " ada@Example.com "),
    ] {
        attempt(last, email).await.problem(401, "unauthorized");
    }
    refused(attempt(5, "ada@example.com").await);
    refused(attempt(6, "Ada@example.com").await);
    attempt(7, "bob@example.com")
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn behind_a_proxy_an_address_is_the_clients() {
    let set = [
        ("limits.sign_in_per_minute", "2"),
        ("http.trusted_proxies", "127.0.0.2, 10.0.0.0/8"),
    ];
    let world = World::with(&set, Clock::system()).await;
    let mut count = 0;
    let mut attempt = async |from: u8, forwarded: &str| {
        let from: std::net::IpAddr = format!("127.0.0.{from}").parse().expect("an address");
        let http = reqwest::Client::builder().local_address(from);
        let http = http.build().expect("a client");
        count += 1;
        let body = json!({"email": format!("{count}@example.com"), "password": PASSWORD});
        let request = http.post(format!("{}/v1/auth/login", world.url));
        let request = request.header("x-forwarded-for", forwarded);
        Answer::to(request.json(&body)).await
    };
    // Two attempts of one client through the proxy, whatever it says that it is; then another's.
    for said in ["198.51.100.7", "203.0.113.1, 198.51.100.7, 10.1.1.1"] {
        attempt(2, said).await.problem(401, "unauthorized");
    }
    for said in [
        "198.51.100.7",
        "203.0.113.2,198.51.100.7",
        "10.0.0.9,198.51.100.7",
    ] {
        refused(attempt(2, said).await);
    }
    attempt(2, "198.51.100.8")
        .await
        .problem(401, "unauthorized");
    // Who is no proxy is itself, whatever it says.
    for said in ["198.51.100.9", "198.51.100.10"] {
        attempt(3, said).await.problem(401, "unauthorized");
    }
    refused(attempt(3, "198.51.100.11").await);
}
