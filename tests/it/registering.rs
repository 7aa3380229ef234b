//! Registering when the answer was lost on the way.

use serde_json::{Value, json};

use crate::support::world::PASSWORD;
use crate::support::{Answer, Person, World};

async fn register(world: &World, key: Option<&str>, body: &Value) -> Answer {
    let mut request = world
        .http
        .post(format!("{}/v1/auth/register", world.url))
        .json(body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    Answer::to(request).await
}

fn ada() -> Value {
    json!({"email": "ada@example.com", "password": PASSWORD, "currency": "EUR"})
}

#[tokio::test]
async fn the_same_registration_again_gives_a_fresh_session() {
    let world = World::start().await;
    let first = register(&world, Some("1"), &ada()).await.expect(201);
    assert_eq!(first.header("idempotent-replayed"), "");
    let again = register(&world, Some("1"), &ada()).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("location"), "/v1/me");
    assert_eq!(again.body["user"], first.body["user"]);
    assert_ne!(again.text("refresh_token"), first.text("refresh_token"));
    for session in [&first, &again] {
        let person = Person::new(&world, &session.body);
        assert_eq!(person.get("/v1/me").await.expect(200).id(), person.id);
        assert_eq!(person.all("/v1/categories", 200).await.len(), 17);
    }
}

#[tokio::test]
async fn whoever_lacks_the_key_the_password_or_the_wording_is_refused() {
    let world = World::start().await;
    register(&world, Some("1"), &ada()).await.expect(201);
    let mut wrong_password = ada();
    wrong_password["password"] = json!("another battery horse");
    let mut other_currency = ada();
    other_currency["currency"] = json!("USD");
    for (key, body) in [
        (None, ada()),
        (Some("2"), ada()),
        (Some("1"), wrong_password),
        (Some("1"), other_currency),
    ] {
        register(&world, key, &body).await.problem(409, "conflict");
    }
    // Somebody else may use the same key.
    let bob = json!({"email": "bob@example.com", "password": PASSWORD});
    let bob = register(&world, Some("1"), &bob).await.expect(201);
    assert_eq!(bob.header("idempotent-replayed"), "");
}

#[tokio::test]
async fn without_a_key_nothing_is_replayed() {
    let world = World::start().await;
    register(&world, None, &ada()).await.expect(201);
    register(&world, Some("1"), &ada())
        .await
        .problem(409, "conflict");
}

#[tokio::test]
async fn a_key_of_the_registration_is_taken_for_other_requests() {
    let world = World::start().await;
    let session = register(&world, Some("1"), &ada()).await.expect(201);
    let ada = Person::new(&world, &session.body);
    let wallet = json!({"name": "Cash", "type": "cash", "currency": "USD"});
    ada.post_once("/v1/wallets", "1", &wallet)
        .await
        .problem(422, "header");
}
