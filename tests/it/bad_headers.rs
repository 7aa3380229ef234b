//! Headers: odd ones do no harm, wrong ones are refused, ids of requests and traces go on.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Rows, World};

#[tokio::test]
async fn odd_headers_do_no_harm() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    for (name, value) in [
        ("accept", ";;;q=x"),
        ("accept", "image/png"),
        ("accept-encoding", "nonsense;q=9"),
        ("accept-language", "\u{e9}"),
        ("content-type", ";;;"),
        ("traceparent", "00-zz-zz-zz"),
        ("cookie", "a=b; ;;="),
        ("range", "bytes=9-1"),
        ("expect", "nothing"),
        ("x-forwarded-for", "' OR 1=1"),
        ("if-match", "?"),
    ] {
        let request = ada.request(Method::GET, "/v1/me").header(name, value);
        let answer = Answer::to(request.timeout(Duration::from_secs(10)))
            .await
            .expect(200);
        assert_eq!(answer.header("content-type"), "application/json", "{name}");
    }
    for (name, value, status) in [
        ("if-match", "1", 422),
        ("if-match", "", 422),
        ("if-match", "\"no such\"", 412),
        ("if-match", "\"-9223372036854775808\"", 412),
        ("idempotency-key", "", 422),
        ("idempotency-key", &"k".repeat(256), 422),
        ("last-event-id", "abc", 422),
        ("last-event-id", "9223372036854775808", 422),
    ] {
        let (method, path, body): (Method, &str, Value) = match name {
            "if-match" => (Method::PATCH, "/v1/me", json!({"name": "Ada"})),
            "idempotency-key" => (
                Method::POST,
                "/v1/categories",
                json!({"name": "Bicycle", "kind": "expense"}),
            ),
            _ => (Method::GET, "/v1/alerts/stream", Value::Null),
        };
        let request = ada.request(method, path).header(name, value).json(&body);
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{name}: {value}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn a_request_id_is_given_back_or_made() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let with = async |id: Option<&str>, path: &str| {
        let request = ada.request(Method::GET, path);
        let request = match id {
            Some(id) => request.header("X-Request-Id", id),
            None => request,
        };
        Answer::to(request).await.header("x-request-id").to_owned()
    };
    let longest = "a".repeat(128);
    for path in [
        "/v1/me",
        "/v1/no/such/path",
        "/v1/wallets?limit=0",
        "/openapi.json",
    ] {
        for good in [
            "mine-1",
            "01920000-0000-7000-8000-00000000000a",
            longest.as_str(),
        ] {
            assert_eq!(with(Some(good), path).await, good, "{path}");
        }
        let too_long = "a".repeat(129);
        for bad in [
            None,
            Some(""),
            Some("with space"),
            Some("tab\tbed"),
            Some(too_long.as_str()),
        ] {
            let made = with(bad, path).await;
            let made: Uuid = made.parse().unwrap_or_else(|_| panic!("{made} is no UUID"));
            assert_eq!(made.get_version_num(), 7, "{bad:?}");
        }
        assert_ne!(with(None, path).await, with(None, path).await);
    }
}

#[tokio::test]
async fn a_trace_goes_on_into_the_events() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let rows = Rows::of(&world).await;
    let book = async |header: Option<&str>| {
        let body = json!({"wallet_id": wallet, "type": "income", "amount": "1"});
        let request = ada.request(Method::POST, "/v1/transactions").json(&body);
        let request = match header {
            Some(header) => request.header("traceparent", header),
            None => request,
        };
        let booked = Answer::to(request).await.expect(201);
        let log = rows.all().await.remove("event_log").expect("the log");
        let of_it = log.into_iter().find(|row| row.contains(&booked.id()));
        let row = of_it.expect("its event");
        // As a text within a row, PostgreSQL doubles the quotes.
        let row = row.replace("\"\"", "\"");
        let at = row.find("\"traceparent\":\"").expect("a traceparent") + 15;
        row[at..at + 55].to_owned()
    };
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    let goes_on = book(Some(&given)).await;
    assert!(goes_on.contains(trace), "{goes_on}");
    assert!(
        !goes_on.contains("00f067aa0ba902b7"),
        "a span of its own: {goes_on}"
    );
    assert!(goes_on.ends_with("-01"), "{goes_on}");
    let unsampled = book(Some(&format!("00-{trace}-00f067aa0ba902b7-00"))).await;
    assert!(
        unsampled.contains(trace) && unsampled.ends_with("-00"),
        "{unsampled}"
    );
    for bad in [
        "garbage",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-1-2-3",
    ] {
        let made = book(Some(bad)).await;
        assert!(
            !made.contains("00000000000000000000000000000000"),
            "{bad}: {made}"
        );
    }
    assert_ne!(book(None).await, book(None).await);
}

#[tokio::test]
async fn every_answer_is_marked_as_private_and_as_what_it_is() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    for path in [
        "/v1/me",
        "/v1/wallets",
        "/v1/no/such/path",
        "/v1/wallets/x",
        "/v1/dashboard",
    ] {
        let answer = ada.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    let nobody = Answer::to(world.http.get(format!("{}/v1/me", world.url)))
        .await
        .expect(401);
    assert_eq!(nobody.header("x-content-type-options"), "nosniff");
    assert_eq!(nobody.header("cache-control"), "no-store");
}
