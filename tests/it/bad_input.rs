//! Bad bodies on every route that takes one: each is refused with a problem, and nothing is written.

use std::collections::BTreeMap;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::bad_bodies::{Bad, of_schema, raw};
use crate::support::{Answer, Document, Operation, Person, Rows, Things, World};

/// A server with somebody who has one of everything.
struct Story {
    world: World,
    ada: Person,
    document: Document,
    things: Things,
}

impl Story {
    async fn begin() -> Self {
        let world = World::start().await;
        let ada = world.register("ada").await;
        let document = Document::of(&world).await;
        let things = Things::of(&ada, &document).await;
        Self {
            world,
            ada,
            document,
            things,
        }
    }

    /// A body that the operation would take.
    fn good(&self, operation: &Operation, schema: &Value) -> Value {
        let mut body = self.things.example(schema);
        match operation.path.as_str() {
            "/v1/auth/register" => body["email"] = json!("grace@example.com"),
            "/v1/auth/refresh" => body["refresh_token"] = json!(self.ada.refresh_token),
            // Names are unique.
            "/v1/wallets" | "/v1/categories" => body["name"] = json!("Another"),
            "/v1/rates" => body["from"] = json!("UYU"),
            _ => {}
        }
        body
    }

    async fn send(&self, operation: &Operation, bad: &Bad) -> reqwest::Result<reqwest::Response> {
        let path = if operation.path.contains('{') {
            operation.path_of(&self.things)
        } else {
            operation.path.clone()
        };
        let mut request = self
            .ada
            .request(operation.method.clone(), &path)
            .header("If-Match", "*")
            .body(bad.body.clone());
        if let Some(content_type) = bad.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        request.send().await
    }
}

/// What is wrong with an answer, if anything.
async fn judge(bad: &Bad, response: reqwest::Response) -> Result<(), String> {
    let answer = Answer::read(response).await;
    let about = |what: &str| Err(format!("{what}: {} -> {answer:?}", bad.what));
    if !bad.statuses.contains(&answer.status) {
        return about("the status");
    }
    if answer.header("content-type") != "application/problem+json" {
        return about("not a problem");
    }
    if answer.body["instance"] != answer.header("x-request-id") {
        return about("not its request id");
    }
    let errors = answer.body["errors"].as_array();
    if answer.body["type"] == "urn:wealth-companion:problem:validation" && errors.is_none() {
        return about("no field is named");
    }
    let points = |pointer: &str| {
        errors.into_iter().flatten().any(|error| {
            let at = error["pointer"].as_str().unwrap_or("none");
            at == pointer || at.starts_with(&format!("{pointer}/"))
        })
    };
    match &bad.pointer {
        Some(pointer) if answer.status == 422 && !points(pointer) => about("the pointer"),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_and_nothing_is_written() {
    let story = Story::begin().await;
    let rows = Rows::of(&story.world).await;
    let before = rows.all().await;
    let mut wrong = BTreeMap::new();
    let mut sent = 0;
    for (operation, schema) in story.document.with_bodies() {
        let good = story.good(&operation, &schema);
        let mut bads = of_schema(&story.document, &schema, &good);
        bads.extend(raw(&good));
        // A wrong address or password is no wrong field.
        if matches!(
            operation.path.as_str(),
            "/v1/auth/login" | "/v1/auth/refresh"
        ) {
            bads.iter_mut().for_each(Bad::may_be_unauthorized);
        }
        for bad in &bads {
            sent += 1;
            let response = story.send(&operation, bad).await.expect("an answer");
            if let Err(what) = judge(bad, response).await {
                wrong.insert(format!("{} {}", operation.name(), bad.what), what);
            }
        }
        let since = format!("{}; {wrong:#?}", operation.name());
        rows.unchanged(&before, &since).await;
    }
    assert!(wrong.is_empty(), "{} of {sent}: {wrong:#?}", wrong.len());
    assert!(sent > 400, "only {sent} bad bodies were sent");
}

#[tokio::test]
async fn the_examples_of_the_document_are_accepted() {
    let story = Story::begin().await;
    for (operation, schema) in story.document.with_bodies() {
        let good = story.good(&operation, &schema);
        let bad = Bad::json("the example", &good, &[]);
        let response = story.send(&operation, &bad).await.expect("an answer");
        let status = response.status();
        let body = response.text().await;
        assert!(
            status.is_success(),
            "{}: {good} -> {body:?}",
            operation.name()
        );
    }
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_before_it_is_read() {
    let story = Story::begin().await;
    let rows = Rows::of(&story.world).await;
    let before = rows.all().await;
    let huge = format!(r#"{{"name": "{}"}}"#, "x".repeat(10 << 20));
    for (operation, _) in story.document.with_bodies() {
        let bad = Bad::text("10 MB", huge.as_str(), &[413]);
        match story.send(&operation, &bad).await {
            Ok(response) => judge(&bad, response).await.expect("413"),
            // The server answers and closes while the client still sends.
            Err(error) => assert!(!error.is_timeout(), "{error:?}"),
        }
    }
    rows.unchanged(&before, "bodies of ten megabytes").await;
    // A body that the client has sent whole gets its answer for certain.
    let over = format!(r#"{{"name": "{}"}}"#, "x".repeat(1 << 20));
    let answer = story.ada.request(reqwest::Method::POST, "/v1/wallets");
    let answer = answer.header(CONTENT_TYPE, "application/json").body(over);
    Answer::to(answer).await.problem(413, "too-large");
}
