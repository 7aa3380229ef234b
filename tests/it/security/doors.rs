use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Operation, Story};
use crate::support::{Answer, Rows};

/// What people do who have no session yet, or none at hand. Whoever adds to these opens a door to everybody.
const OPEN: [&str; 7] = [
    "GET /v1/confirm-email",
    "GET /v1/unsubscribe",
    "POST /v1/auth/login",
    "POST /v1/auth/refresh",
    "POST /v1/auth/register",
    "POST /v1/confirm-email",
    "POST /v1/unsubscribe",
];

#[tokio::test]
async fn seven_doors_are_open_and_no_other() {
    let story = Story::begin().await;
    let operations = story.document.operations();
    let open = operations.iter().filter(|it| !it.closed);
    let mut open: Vec<String> = open.map(Operation::name).collect();
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

/// The scope of the personal access tokens that open an operation; none where a session alone does. The table of the
/// server says so too, and is not asked here.
fn scope_of(operation: &Operation) -> Option<&'static str> {
    let is_get = operation.method == Method::GET;
    match operation.path.split('/').nth(2)? {
        "auth" | "tokens" => None,
        "me" if !is_get => None,
        "insights" => Some("ai"),
        _ if is_get => Some("read"),
        _ => Some("write"),
    }
}

#[tokio::test]
async fn a_session_opens_all_and_a_token_what_its_scope_is_for() {
    let story = Story::begin().await;
    let document = &story.document.0;
    let opens = &document["components"]["securitySchemes"];
    let opens: Vec<&String> = opens.as_object().expect("schemes").keys().collect();
    assert_eq!(opens, ["bearer", "personal_token"]);
    for operation in story.document.operations() {
        let method = operation.method.as_str().to_lowercase();
        let asks = &document["paths"][&operation.path][&method]["security"];
        let expected = match scope_of(&operation) {
            _ if !operation.closed => json!([{}]),
            Some(scope) => json!([{"bearer": []}, {"personal_token": [scope]}]),
            // Nothing said is what is said for all: a session.
            None => Value::Null,
        };
        assert_eq!(*asks, expected, "{}", operation.name());
    }
}

#[tokio::test]
async fn a_token_with_too_small_a_scope_opens_no_door() {
    let story = Story::begin().await;
    let mut secrets = Vec::new();
    for scopes in [
        &["read"][..],
        &["write"],
        &["ai"],
        &["read", "ai"],
        &["read", "write", "ai"],
    ] {
        let token = json!({"name": "Script", "scopes": scopes});
        let made = story.ada.post("/v1/tokens", &token).await.expect(201);
        let secret = made.text("secret");
        // That it is used is noted once an hour.
        let path = if scopes.contains(&"ai") {
            "/v1/insights"
        } else {
            "/v1/me"
        };
        let used = story.world.http.get(format!("{}{path}", story.world.url));
        Answer::to(used.bearer_auth(&secret)).await.expect(200);
        secrets.push((scopes, secret));
    }
    let rows = Rows::of(&story.world).await;
    let before = rows.all().await;
    let (mut refused, mut opened) = (0, Vec::new());
    for operation in story.document.operations() {
        if !operation.closed {
            continue;
        }
        let wanted = scope_of(&operation);
        for (scopes, secret) in &secrets {
            let may = wanted.is_some_and(|wanted| {
                scopes.contains(&wanted) || (wanted == "read" && scopes.contains(&"write"))
            });
            if may {
                opened.push((operation.clone(), secret.clone()));
                continue;
            }
            let answer = Answer::to(story.request(&operation).bearer_auth(secret)).await;
            assert_eq!(answer.status, 403, "{} {scopes:?}", operation.name());
            let answer = answer.problem(403, "forbidden");
            let detail = answer.text("detail");
            let told = wanted.map_or("sign in".to_owned(), |scope| format!("`{scope}`"));
            assert!(detail.contains(&told), "{}: {detail}", operation.name());
            refused += 1;
        }
    }
    assert!(refused > 120, "{refused}");
    rows.unchanged(&before, "tokens with too small a scope")
        .await;
    // What they are for they do open.
    assert!(opened.len() > 150, "{}", opened.len());
    for (operation, secret) in opened {
        let answer = story.request(&operation).bearer_auth(secret).send().await;
        let status = answer.expect("an answer").status().as_u16();
        assert!(
            !matches!(status, 401 | 403 | 500..),
            "{} {status}",
            operation.name()
        );
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
