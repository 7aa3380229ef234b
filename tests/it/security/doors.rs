use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Story;
use crate::support::{Answer, Rows};

/// What people do who have no session yet. Whoever adds to these opens a door to everybody.
const OPEN: [&str; 3] = [
    "POST /v1/auth/login",
    "POST /v1/auth/refresh",
    "POST /v1/auth/register",
];

#[tokio::test]
async fn three_doors_are_open_and_no_other() {
    let story = Story::begin().await;
    let operations = story.document.operations();
    let open = operations.iter().filter(|it| !it.closed);
    let mut open: Vec<String> = open.map(super::Operation::name).collect();
    open.sort();
    assert_eq!(open, OPEN);
    // What operators and sidecars ask is asked elsewhere.
    for path in [
        "/metrics",
        "/livez",
        "/readyz",
        "/log-level",
        "/dapr/subscribe",
        "/dapr/events/finance.transaction.created",
    ] {
        story.ada.get(path).await.problem(404, "not-found");
    }
}

/// There are no personal access tokens yet, and no scopes that could be too small.
#[tokio::test]
async fn a_session_is_the_only_thing_that_opens() {
    let story = Story::begin().await;
    let document = &story.document.0;
    let opens = &document["components"]["securitySchemes"];
    let bearer = json!({"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}});
    assert_eq!(
        opens, &bearer,
        "walk over every operation with a token whose scope is too small"
    );
    for operation in story.document.operations() {
        let method = operation.method.as_str().to_lowercase();
        let asks = &document["paths"][&operation.path][&method]["security"];
        // Nothing said is what is said for all: a session.
        let asks_for_less = !asks.is_null() && operation.closed;
        assert!(!asks_for_less, "{}: {asks}", operation.name());
    }
}

/// The claims of a token under another head, unsigned or with the signature that it had.
fn unsigned(token: &str) -> Vec<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts[..] else {
        panic!("{token}");
    };
    let head = BASE64_URL_SAFE_NO_PAD.decode(head).expect("base64");
    let head: Value = serde_json::from_slice(&head).expect("JSON");
    let mut all = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let mut head = head.clone();
        head["alg"] = json!(none);
        let head = BASE64_URL_SAFE_NO_PAD.encode(head.to_string());
        all.push(format!("{head}.{claims}."));
        all.push(format!("{head}.{claims}.{signature}"));
    }
    all
}

#[tokio::test]
async fn a_token_that_nobody_signed_opens_no_door() {
    let story = Story::begin().await;
    let rows = Rows::of(&story.world).await;
    let before = rows.all().await;
    let mut tried = 0;
    for operation in story.document.operations() {
        if !operation.closed {
            continue;
        }
        for token in unsigned(&story.ada.token) {
            let request = story.request(&operation).bearer_auth(&token);
            let answer = Answer::to(request).await;
            assert_eq!(answer.status, 401, "{} {token}", operation.name());
            answer.problem(401, "unauthorized");
            tried += 1;
        }
    }
    assert!(tried > 250, "{tried}");
    rows.unchanged(&before, "tokens that nobody signed").await;
    // With the token as it was signed the same requests come in.
    story.ada.get("/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_token_opens_from_its_header_alone() {
    let story = Story::begin().await;
    let rows = Rows::of(&story.world).await;
    let before = rows.all().await;
    let token = &story.ada.token;
    let bearer = format!("Bearer {token}");
    for operation in story.document.operations() {
        if !operation.closed {
            continue;
        }
        for (name, value) in [
            (
                "cookie",
                format!("access_token={token}; Authorization={bearer}"),
            ),
            ("proxy-authorization", bearer.clone()),
            ("x-authorization", bearer.clone()),
            ("x-forwarded-authorization", bearer.clone()),
            ("x-access-token", token.clone()),
            ("x-user-id", story.ada.id.clone()),
        ] {
            let answer = Answer::to(story.request(&operation).header(name, value)).await;
            assert_eq!(answer.status, 401, "{} {name}", operation.name());
        }
        for name in ["access_token", "token", "user_id"] {
            let request = story.request(&operation).query(&[(name, token)]);
            let answer = Answer::to(request).await;
            assert_eq!(answer.status, 401, "{} ?{name}", operation.name());
        }
    }
    rows.unchanged(&before, "tokens in wrong places").await;
}
