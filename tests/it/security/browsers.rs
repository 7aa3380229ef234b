use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;

use super::Story;
use crate::support::world::PASSWORD;

/// Of every answer: it is what it says, nobody keeps it, it is no page, nobody frames it, and nobody
/// learns from where somebody came.
const ALWAYS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
];

/// What tells of the software, or would make browsers send along who somebody is.
const NEVER: [&str; 4] = ["server", "x-powered-by", "set-cookie", "via"];

#[track_caller]
fn is_closed(headers: &HeaderMap, about: &str) {
    for name in headers.keys() {
        let name = name.as_str();
        assert!(!name.starts_with("access-control-"), "{about} has {name}");
        assert!(!NEVER.contains(&name), "{about} has {name}");
    }
}

#[track_caller]
fn is_for_no_browser(headers: &HeaderMap, about: &str) {
    for (name, value) in ALWAYS {
        let found = headers.get(name);
        assert_eq!(
            found.and_then(|it| it.to_str().ok()),
            Some(value),
            "{about}: {name}"
        );
    }
    is_closed(headers, about);
}

/// Every operation, asked from a page of somebody else: when it works, when nobody is signed in,
/// and when its body cannot be read.
#[tokio::test]
async fn every_answer_tells_browsers_to_keep_away() {
    let story = Story::begin().await;
    let mut statuses = BTreeSet::new();
    let mut operations = story.document.operations();
    // After her last request there is nobody who could ask.
    operations.sort_by_key(|it| (it.method == Method::DELETE, it.path == "/v1/me"));
    for operation in &operations {
        // Some operations end the session.
        let session = json!({"email": story.ada.email, "password": PASSWORD});
        let session = story.world.post("/v1/auth/login", &session).await;
        let token = session.expect(200).text("access_token");
        let broken = story.with_body(operation, "text/plain", "{");
        let good = story.request(operation);
        for request in [
            story.request(operation),
            broken.bearer_auth(&token),
            good.bearer_auth(&token),
        ] {
            let request = request.header("Origin", "https://elsewhere.example");
            // A stream has no end: its head is enough.
            let answer = request.send().await.expect("an answer");
            let about = format!("{} {}", operation.name(), answer.status());
            is_for_no_browser(answer.headers(), &about);
            statuses.insert(answer.status().as_u16());
        }
    }
    for status in [200, 201, 204, 401, 409, 415] {
        assert!(statuses.contains(&status), "{status} not in {statuses:?}");
    }
    for path in ["/", "/v1/no/such/path", "/openapi.json"] {
        let answer = story.world.http.get(format!("{}{path}", story.world.url));
        let answer = answer.send().await.expect("an answer");
        is_for_no_browser(answer.headers(), path);
    }
}

/// No other origin may read or send anything, and there is no setting that would let it.
#[tokio::test]
async fn a_browser_that_asks_whether_it_may_is_refused() {
    let story = Story::begin().await;
    for operation in story.document.operations() {
        for origin in ["https://elsewhere.example", "null", &story.world.url] {
            let url = format!(
                "{}{}",
                story.world.url,
                super::path_of(&operation, &story.things)
            );
            let asks = story.world.http.request(Method::OPTIONS, url);
            let asks = asks
                .header("Origin", origin)
                .header("Access-Control-Request-Method", operation.method.as_str())
                .header(
                    "Access-Control-Request-Headers",
                    "authorization, content-type",
                )
                .header("Access-Control-Request-Private-Network", "true");
            let answer = asks.send().await.expect("an answer");
            assert_eq!(answer.status(), 405, "{} {origin}", operation.name());
            is_for_no_browser(answer.headers(), &operation.name());
        }
    }
}

/// The page of the documentation runs what came with it, and asks this server alone.
#[tokio::test]
async fn the_page_of_the_documentation_runs_nothing_of_others() {
    let story = Story::begin().await;
    let get = async |path: &str| {
        let answer = story.world.http.get(format!("{}{path}", story.world.url));
        let answer = answer.send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        is_closed(answer.headers(), path);
        answer
    };
    let page = get("/docs/").await;
    let policy = page.headers()["content-security-policy"].to_str();
    let policy = policy.expect("ASCII").to_owned();
    let policy: Vec<&str> = policy.split("; ").collect();
    for directive in [
        "default-src 'self'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "object-src 'none'",
    ] {
        assert!(policy.contains(&directive), "{directive} not in {policy:?}");
    }
    for (name, value) in ALWAYS {
        if name != "content-security-policy" {
            assert_eq!(page.headers()[name], value, "{name}");
        }
    }
    // Under that policy nothing within the page runs, and nothing of it needs to.
    let text = page.text().await.expect("a text");
    for script in text.split("<script").skip(1) {
        let (head, rest) = script.split_once('>').expect("a tag");
        assert!(head.contains("src=\"./"), "{head}");
        assert!(
            rest.starts_with("</script>") || rest.trim_start().starts_with("</script>"),
            "{rest}"
        );
    }
    let script = get("/docs/swagger-ui-bundle.js").await;
    assert_eq!(script.headers()["x-content-type-options"], "nosniff");
}
