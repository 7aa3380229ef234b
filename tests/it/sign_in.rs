//! Registering, signing in, and exchanging refresh tokens.

use serde_json::{Value, json};
use std::time::Duration;
use wealth_companion::clock::Clock;
use wealth_companion::store::users;

use crate::support::chain::noon;
use crate::support::world::PASSWORD;
use crate::support::{Answer, Person, World};

async fn refresh(world: &World, token: &str) -> Answer {
    world
        .post("/v1/auth/refresh", &json!({"refresh_token": token}))
        .await
}

#[tokio::test]
async fn a_refresh_token_works_once_and_a_copy_ends_the_session() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let elsewhere = Person::new(
        &world,
        &world.post("/v1/auth/login", &body).await.expect(200).body,
    );

    let first = refresh(&world, &ada.refresh_token).await.expect(200);
    let second = refresh(&world, &first.text("refresh_token"))
        .await
        .expect(200);
    let newest = Person::new(&world, &second.body);
    assert_ne!(newest.refresh_token, ada.refresh_token);
    newest.get("/v1/me").await.expect(200);
    ada.get("/v1/me").await.expect(200);

    // The thief comes with a copy of the first: the newest is good no more.
    refresh(&world, &ada.refresh_token)
        .await
        .problem(401, "unauthorized");
    refresh(&world, &newest.refresh_token)
        .await
        .problem(401, "unauthorized");
    for ended in [&ada, &newest] {
        ended.get("/v1/me").await.problem(401, "unauthorized");
    }
    // Another sign-in is another family.
    elsewhere.get("/v1/me").await.expect(200);
    refresh(&world, &elsewhere.refresh_token).await.expect(200);
}

#[tokio::test]
async fn one_of_two_at_once_gets_the_new_pair() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let (one, two) = tokio::join!(
        refresh(&world, &ada.refresh_token),
        refresh(&world, &ada.refresh_token)
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn a_session_lasts_thirty_days() {
    let clock = Clock::fixed(noon());
    let world = World::with(&[], clock.clone()).await;
    let ada = world.register("ada").await;
    clock.advance(Duration::from_secs(30 * 86_400 - 1));
    let last = refresh(&world, &ada.refresh_token).await.expect(200);
    let last = Person::new(&world, &last.body);
    last.get("/v1/me").await.expect(200);
    clock.advance(Duration::from_secs(1));
    refresh(&world, &last.refresh_token)
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn a_wrong_address_and_a_wrong_password_look_alike() {
    let world = World::start().await;
    world.register("ada").await;
    let mut seen: Vec<Value> = Vec::new();
    for (email, password) in [
        ("ada@example.com", "wrong horse battery"),
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("", ""),
        ("ada@example.com", ""),
    ] {
        let body = json!({"email": email, "password": password});
        let answer = world
            .post("/v1/auth/login", &body)
            .await
            .problem(401, "unauthorized");
        let mut body = answer.body;
        body["instance"] = Value::Null;
        seen.push(body);
    }
    assert!(seen.iter().all(|body| *body == seen[0]), "{seen:?}");
}

/// A stranger's connection is closed with the answer; whoever has just signed in goes on with theirs.
#[tokio::test]
async fn who_signs_in_keeps_the_connection() {
    let world = World::start().await;
    world.register("ada").await;
    for (password, kept) in [(PASSWORD, true), ("wrong horse battery", false)] {
        let body = json!({"email": "ada@example.com", "password": password});
        let answer = world.post("/v1/auth/login", &body).await;
        assert_eq!(
            !answer.headers.contains_key("connection"),
            kept,
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn an_address_is_one_however_it_is_written() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    for email in ["ada@example.com", "ADA@Example.COM", "  ada@example.com "] {
        let body = json!({"email": email, "password": PASSWORD});
        let again = world.post("/v1/auth/login", &body).await.expect(200);
        assert_eq!(again.body["user"]["id"], ada.id.as_str());
        let again = world
            .post("/v1/auth/register", &body)
            .await
            .problem(409, "conflict");
        assert_eq!(again.body.get("errors"), None);
    }
}

#[tokio::test]
async fn a_password_has_12_to_128_characters_of_any_kind() {
    let world = World::start().await;
    let bounds = [(11, 422), (12, 201), (128, 201), (129, 422)];
    for (index, (count, status)) in bounds.into_iter().enumerate() {
        for (kind, letter) in ["x", "ü", "🦀"].into_iter().enumerate() {
            let email = format!("p{index}{kind}@example.com");
            let body = json!({"email": email, "password": letter.repeat(count)});
            let answer = world.post("/v1/auth/register", &body).await.expect(status);
            if status == 201 {
                world.post("/v1/auth/login", &body).await.expect(200);
            } else {
                assert_eq!(answer.body["errors"][0]["pointer"], "/password");
            }
        }
    }
    // Every character counts, those at the ends and past the first hundred too.
    let long = "x".repeat(127) + " ";
    let body = json!({"email": "end@example.com", "password": long});
    world.post("/v1/auth/register", &body).await.expect(201);
    let trimmed = json!({"email": "end@example.com", "password": long.trim()});
    world
        .post("/v1/auth/login", &trimmed)
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn signing_in_hashes_a_password_anew_when_hashing_costs_something_else() {
    let world = World::start().await;
    world.register("ada").await;
    let (ended, folder) = world.stop().await;
    ended.expect("a clean end");
    let set = [("auth.hash_iterations", "2")];
    let world = World::on(folder, &set, Clock::system()).await;
    let hash = async || {
        let found = users::by_email(world.store().await.reads(), "ada@example.com").await;
        found.expect("it can be read").expect("she is there").1
    };
    let sign_in = async |password: &str| {
        let body = json!({"email": "ada@example.com", "password": password});
        world.post("/v1/auth/login", &body).await
    };
    let old = hash().await;
    assert!(old.contains("t=1"), "{old}");
    sign_in("wrong horse battery")
        .await
        .problem(401, "unauthorized");
    assert_eq!(hash().await, old);
    sign_in(PASSWORD).await.expect(200);
    let new = hash().await;
    assert!(new.contains("t=2"), "{new}");
    sign_in(PASSWORD).await.expect(200);
    assert_eq!(hash().await, new, "once");
    sign_in("wrong horse battery")
        .await
        .problem(401, "unauthorized");
}
