//! Who may come in: access tokens that are good, and all that are not.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, Header};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};
use std::time::Duration;
use uuid::Uuid;
use wealth_companion::clock::Clock;

use crate::support::chain::noon;
use crate::support::world::PASSWORD;
use crate::support::{Answer, Document, Person, Rows, Things, World};

const NEW: &str = "new-secret-of-thirty-two-bytes-or-more";
const OLD: &str = "old-secret-of-thirty-two-bytes-or-more";

/// A request of every operation that needs a session, well-formed but for the header.
async fn refused_everywhere(world: &World, things: &Things, header: Option<&str>) {
    let document = Document::of(world).await;
    let closed = document.operations().into_iter().filter(|it| it.closed);
    let mut tried = 0;
    for operation in closed {
        let id = Uuid::nil().to_string();
        let own = operation
            .path
            .contains('{')
            .then(|| operation.path_of(things));
        for path in [operation.path_with(&id), own.unwrap_or_default()] {
            let url = format!("{}{path}", world.url);
            let mut request = world.http.request(operation.method.clone(), url);
            request = request.header("If-Match", "*");
            if let Some(header) = header {
                request = request.header("Authorization", header);
            }
            if let Some(schema) = &operation.body {
                request = request.json(&things.example(schema));
            }
            if path.is_empty() {
                continue;
            }
            let answer = Answer::to(request).await;
            assert_eq!(
                answer.status,
                401,
                "{header:?} {}: {answer:?}",
                operation.name()
            );
            let answer = answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

/// A token like the person's own, signed by somebody else or otherwise odd. Nothing of ours signs it.
fn forged(token: &str, header: &Header, secret: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims_of(token);
    change(&mut claims);
    let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(json!(header)), part(claims));
    let signature = match header.alg {
        Algorithm::HS384 => mac::<Hmac<Sha384>>(secret, &message),
        Algorithm::HS512 => mac::<Hmac<Sha512>>(secret, &message),
        _ => mac::<Hmac<Sha256>>(secret, &message),
    };
    format!("{message}.{signature}")
}

fn mac<M: Mac + KeyInit>(secret: &str, message: &str) -> String {
    let mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).expect("a key");
    let signature = mac.chain_update(message).finalize();
    BASE64_URL_SAFE_NO_PAD.encode(signature.into_bytes())
}

fn part_of(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("a part");
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64");
    serde_json::from_slice(&json).expect("JSON")
}

fn claims_of(token: &str) -> Value {
    part_of(token, 1)
}

fn header(algorithm: Algorithm, kid: Option<&str>) -> Header {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(ToOwned::to_owned);
    header
}

#[tokio::test]
async fn what_we_did_not_sign_opens_nothing() {
    let keys = format!("new:{NEW},old:{OLD}");
    let world = World::with(&[("auth.jwt_secret_key", &keys)], Clock::system()).await;
    let ada = world.register("ada").await;
    let document = Document::of(&world).await;
    let things = Things::of(&ada, &document).await;
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    let token = ada.token.as_str();
    assert_eq!(part_of(token, 0)["kid"], "new");
    let same = |_: &mut Value| {};
    let hs256 = |kid| header(Algorithm::HS256, kid);

    // The way they are forged here is right: with the right key and kid they open.
    for good in [
        forged(token, &hs256(Some("new")), NEW, same),
        forged(token, &hs256(Some("old")), OLD, same),
    ] {
        let request = world
            .http
            .get(format!("{}/v1/me", world.url))
            .bearer_auth(good);
        Answer::to(request).await.expect(200);
    }

    let (head, rest) = token.split_once('.').expect("parts");
    let (payload, signature) = rest.split_once('.').expect("parts");
    // {"alg":"none","kid":"new"}
    let none = "eyJhbGciOiJub25lIiwia2lkIjoibmV3In0";
    let bad = [
        forged(
            token,
            &hs256(Some("new")),
            "another-secret-of-thirty-two-bytes",
            same,
        ),
        forged(token, &hs256(Some("new")), OLD, same),
        forged(token, &hs256(Some("old")), NEW, same),
        forged(token, &hs256(None), NEW, same),
        forged(token, &hs256(Some("unknown")), NEW, same),
        forged(token, &hs256(Some("")), NEW, same),
        forged(token, &header(Algorithm::HS384, Some("new")), NEW, same),
        forged(token, &header(Algorithm::HS512, Some("new")), NEW, same),
        forged(token, &hs256(Some("new")), NEW, |it| {
            it["iss"] = json!("someone");
        }),
        forged(token, &hs256(Some("new")), NEW, |it| {
            it["sub"] = json!(Uuid::nil());
        }),
        forged(token, &hs256(Some("new")), NEW, |it| {
            it["sid"] = json!(Uuid::nil());
        }),
        forged(token, &hs256(Some("new")), NEW, |it| {
            it["sub"] = json!("ada");
        }),
        forged(token, &hs256(Some("new")), NEW, |it| it["exp"] = json!(1)),
        forged(token, &hs256(Some("new")), NEW, |it| {
            it["exp"] = json!("never");
        }),
        forged(token, &hs256(Some("new")), NEW, |it| {
            it.as_object_mut().expect("claims").remove("exp");
        }),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{head}.{payload}."),
        format!("{head}.{payload}"),
        format!("{token}x"),
        ada.refresh_token.clone(),
        "garbage".to_owned(),
        "a".repeat(4_000),
    ];
    let me = format!("{}/v1/me", world.url);
    for token in &bad {
        let answer = Answer::to(world.http.get(&me).bearer_auth(token)).await;
        assert_eq!(answer.status, 401, "{token}: {answer:?}");
        answer.problem(401, "unauthorized");
    }
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        token,
        &format!("Token {token}"),
    ] {
        let answer = Answer::to(world.http.get(&me).header("Authorization", header)).await;
        assert_eq!(answer.status, 401, "{header}: {answer:?}");
    }
    refused_everywhere(&world, &things, None).await;
    refused_everywhere(&world, &things, Some("Bearer garbage")).await;
    refused_everywhere(&world, &things, Some(&format!("Bearer {}", bad[0]))).await;
    rows.unchanged(&before, "tokens that are not good").await;
}

#[tokio::test]
async fn an_access_token_is_good_for_a_quarter_of_an_hour() {
    let clock = Clock::fixed(noon());
    let world = World::with(&[], clock.clone()).await;
    let ada = world.register("ada").await;
    let document = Document::of(&world).await;
    let things = Things::of(&ada, &document).await;
    clock.advance(Duration::from_secs(899));
    ada.get("/v1/me").await.expect(200);
    clock.advance(Duration::from_secs(1));
    let bearer = format!("bearer {}", ada.token);
    refused_everywhere(&world, &things, Some(&bearer)).await;
}

#[tokio::test]
async fn who_has_signed_out_or_left_is_nobody() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let document = Document::of(&world).await;
    let things = Things::of(&ada, &document).await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let elsewhere = Person::new(
        &world,
        &world.post("/v1/auth/login", &body).await.expect(200).body,
    );
    let third = Person::new(
        &world,
        &world.post("/v1/auth/login", &body).await.expect(200).body,
    );
    for person in [&ada, &elsewhere, &third] {
        person.get("/v1/me").await.expect(200);
    }
    ada.post("/v1/auth/logout", &Value::Null).await.expect(204);
    let bearer = format!("Bearer {}", ada.token);
    refused_everywhere(&world, &things, Some(&bearer)).await;
    let refresh = json!({"refresh_token": ada.refresh_token});
    world
        .post("/v1/auth/refresh", &refresh)
        .await
        .problem(401, "unauthorized");
    // The others stay until the account goes.
    third.get("/v1/me").await.expect(200);
    Answer::to(elsewhere.request(Method::DELETE, "/v1/me"))
        .await
        .expect(204);
    for left in [&elsewhere, &third] {
        let bearer = format!("Bearer {}", left.token);
        refused_everywhere(&world, &things, Some(&bearer)).await;
        let refresh = json!({"refresh_token": left.refresh_token});
        world
            .post("/v1/auth/refresh", &refresh)
            .await
            .problem(401, "unauthorized");
    }
    world
        .post("/v1/auth/login", &body)
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn keys_rotate_without_signing_anybody_out() {
    let old = format!("old:{OLD}");
    let world = World::with(&[("auth.jwt_secret_key", &old)], Clock::system()).await;
    let ada = world.register("ada").await;
    let (ended, folder) = world.stop().await;
    ended.expect("a clean end");

    let both = format!("new:{NEW},old:{OLD}");
    let world = World::on(folder, &[("auth.jwt_secret_key", &both)], Clock::system()).await;
    let ada = ada.at(&world);
    ada.get("/v1/me").await.expect(200);
    let refresh = json!({"refresh_token": ada.refresh_token});
    let renewed = world.post("/v1/auth/refresh", &refresh).await.expect(200);
    let renewed = Person::new(&world, &renewed.body);
    assert_eq!(part_of(&renewed.token, 0)["kid"], "new");
    let (ended, folder) = world.stop().await;
    ended.expect("a clean end");

    let new = format!("new:{NEW}");
    let world = World::on(folder, &[("auth.jwt_secret_key", &new)], Clock::system()).await;
    ada.at(&world)
        .get("/v1/me")
        .await
        .problem(401, "unauthorized");
    renewed.at(&world).get("/v1/me").await.expect(200);
}
