//! Replicas count together.

use std::time::Duration;

use serde_json::json;
use wealth_companion::clock::Clock;

use crate::support::redis::{Proxy, stack_url};
use crate::support::world::PASSWORD;
use crate::support::{Answer, RedisServer, World};

fn settings<'a>(url: &'a str, limit: &'static str) -> [(&'a str, &'a str); 4] {
    [
        ("state.kind", "redis"),
        ("state.redis_url", url),
        ("state.timeout_ms", "5000"),
        ("limits.requests_per_minute", limit),
    ]
}

#[tokio::test]
async fn two_replicas_share_a_users_limit() {
    let set = settings(stack_url(), "3");
    let world = World::with(&set, Clock::system()).await;
    let other = world.beside(&set).await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let there = ada.at(&other);
    for (person, expected) in [(&ada, 2), (&there, 1), (&ada, 0)] {
        let answer = person.get("/v1/me").await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=3;w=60");
        assert_eq!(answer.requests_left(), expected);
    }
    for person in [&there, &ada] {
        let answer = person.get("/v1/me").await.problem(429, "too-many");
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((15..=20).contains(&wait), "{wait}");
        let state = format!("\"user\";r=0;t={wait}");
        assert_eq!(answer.header("ratelimit"), state);
        assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=3;w=60");
    }
    bob.at(&other).get("/v1/me").await.expect(200);
}

#[tokio::test]
async fn what_was_used_comes_back_at_the_pace_of_the_limit() {
    let set = settings(stack_url(), "30");
    let world = World::with(&set, Clock::system()).await;
    let other = world.beside(&set).await;
    let ada = world.register("ada").await;
    let replicas = [ada.clone(), ada.at(&other)];
    let mut turn = replicas.iter().cycle();
    let mut ask = async || turn.next().expect("a replica").get("/v1/me").await;
    let mut let_through = 0;
    let refused = loop {
        let answer = ask().await;
        if answer.status != 200 {
            break answer.problem(429, "too-many");
        }
        let_through += 1;
    };
    // One every two seconds comes back in the meantime.
    assert!((30..=33).contains(&let_through), "{let_through}");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(ask().await.expect(200).requests_left(), 0);
    ask().await.problem(429, "too-many");
}

#[tokio::test]
async fn attempts_to_sign_in_count_everywhere_and_leave_no_address_behind() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let mut set = settings(&url, "0");
    set[3] = ("limits.sign_in_per_minute", "3");
    let world = World::with(&set, Clock::system()).await;
    let other = world.beside(&set).await;
    let attempt = async |world: &World, last: u8, email: &str| {
        let from: std::net::IpAddr = format!("127.0.0.{last}").parse().expect("an address");
        let http = reqwest::Client::builder().local_address(from);
        let http = http.build().expect("a client");
        let body = json!({"email": email, "password": PASSWORD});
        let url = format!("{}/v1/auth/login", world.url);
        Answer::to(http.post(url).json(&body)).await
    };
    for (replica, last) in [(&world, 2), (&other, 3), (&world, 4)] {
        let answer = attempt(replica, last, "ada@example.com").await;
        answer.problem(401, "unauthorized");
    }
    for (replica, last) in [(&world, 5), (&other, 6)] {
        let answer = attempt(replica, last, "ada@example.com").await;
        answer.problem(429, "too-many");
    }
    // An address as well, whoever is tried.
    for (replica, email) in [(&world, "bob"), (&other, "eve"), (&world, "joe")] {
        attempt(replica, 7, email)
            .await
            .problem(401, "unauthorized");
    }
    attempt(&other, 7, "amy").await.problem(429, "too-many");

    let keys = redis.keys("limit:").await;
    let of = |name: &str| keys.iter().filter(|key| key.contains(name)).count();
    assert_eq!(of(":sign-in-by-email:"), 4, "{keys:?}");
    assert_eq!(of(":sign-in-by-address:"), 6, "{keys:?}");
    for key in &keys {
        let whose = key.rsplit(':').next().unwrap_or_default();
        let is_digest = whose.len() == 32 && whose.chars().all(|digit| digit.is_ascii_hexdigit());
        assert!(is_digest || key == "limit:knock", "{key}");
        let ttl: i64 = redis.ask(&format!("PTTL {key}")).await;
        assert!((1..=60_000).contains(&ttl), "{key}: {ttl}");
    }
}

#[tokio::test]
async fn a_limit_is_one_round_trip() {
    let proxy = Proxy::start().await;
    let set = settings(proxy.url(), "1000");
    let world = World::with(&set, Clock::system()).await;
    let ada = world.register("ada").await;
    ada.get("/v1/me").await.expect(200);
    proxy.quiet().await;
    for _ in 0..10 {
        ada.get("/v1/me").await.expect(200);
    }
    assert_eq!(proxy.turns(), 10);
}

/// The clock of a Redis that took over may be behind, and a limit may have been another.
#[tokio::test]
async fn a_time_that_cannot_be_is_brought_back() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let world = World::with(&settings(&url, "3"), Clock::system()).await;
    let ada = world.register("ada").await;
    ada.get("/v1/me").await.expect(200);
    let keys = redis.keys("limit:").await;
    let key = keys.iter().find(|key| key.contains(":requests:"));
    let key = key.unwrap_or_else(|| panic!("{keys:?}"));
    let _: String = redis.ask(&format!("SET {key} 9000000000000000")).await;
    let refused = ada.get("/v1/me").await.problem(429, "too-many");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!(wait <= 21, "{wait}");
    let _: String = redis.ask(&format!("SET {key} 1")).await;
    assert_eq!(ada.get("/v1/me").await.expect(200).requests_left(), 2);
}
