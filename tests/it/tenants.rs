//! Two people at one server: neither sees, uses or changes what is the other's.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Document, Operation, Person, Rows, Things, World};

/// Two people who have one of everything each.
struct Story {
    world: World,
    document: Document,
    ada: Person,
    adas: Things,
    bob: Person,
    bobs: Things,
    rows: Rows,
}

impl Story {
    async fn begin() -> Self {
        let world = World::start().await;
        let document = Document::of(&world).await;
        let ada = world.register("ada").await;
        let adas = Things::of(&ada, &document).await;
        let bob = world.register("bob").await;
        let bobs = Things::of(&bob, &document).await;
        let rows = Rows::of(&world).await;
        Self {
            world,
            document,
            ada,
            adas,
            bob,
            bobs,
            rows,
        }
    }

    /// Bob sends it, to any version.
    async fn bob_sends(&self, operation: &Operation, path: &str, body: &Value) -> Answer {
        let request = self
            .bob
            .request(operation.method.clone(), path)
            .header("If-Match", "*");
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        Answer::to(request).await
    }
}

#[tokio::test]
async fn the_other_ones_things_are_not_there() {
    let story = Story::begin().await;
    let before = story.rows.all().await;
    let mut tried = 0;
    for operation in story.document.operations() {
        if !operation.path.contains('{') {
            continue;
        }
        let body = operation.body.as_ref();
        let body = body.map_or(Value::Null, |schema| story.bobs.example(schema));
        let path = operation.path_of(&story.adas);
        let answer = story.bob_sends(&operation, &path, &body).await;
        assert_eq!(answer.status, 404, "{}: {answer:?}", operation.name());
        let theirs = answer.problem(404, "not-found").body["detail"].clone();
        // It is told in the same words as of what was never there.
        let never = operation.path_with("01920000-0000-7000-8000-0000000000ff");
        let never = story.bob_sends(&operation, &never, &body).await;
        assert_eq!(never.problem(404, "not-found").body["detail"], theirs);
        tried += 1;
    }
    assert!(tried > 12, "{tried}");
    story.rows.unchanged(&before, "Bob").await;
}

/// The properties of a schema that refer to something by its id.
fn references(schema: &Value) -> Vec<String> {
    let properties = schema["properties"].as_object().expect("properties");
    let names = properties
        .keys()
        .filter(|it| it.ends_with("_id") || it.ends_with("_ids"));
    names.cloned().collect()
}

#[tokio::test]
async fn the_other_ones_things_cannot_be_used() {
    let story = Story::begin().await;
    let before = story.rows.all().await;
    let mut tried = Vec::new();
    for (operation, schema) in story.document.with_bodies() {
        for name in references(&schema) {
            let id = match name.as_str() {
                "wallet_id" | "to_wallet_id" => story.adas.id("wallets"),
                "category_id" | "category_ids" | "parent_id" => story.adas.id("categories"),
                "rule_id" => story.adas.id("rules"),
                other => panic!("{}: to what does {other} refer?", operation.name()),
            };
            let mut body = story.bobs.example(&schema);
            if let Some(own) = body.get_mut("name") {
                *own = json!("Another");
            }
            if name == "to_wallet_id" {
                body["type"] = json!("transfer");
                body["category_id"] = json!(null);
            }
            let own_too = json!([story.bobs.id("categories"), id]);
            body[&name] = if name.ends_with("_ids") {
                own_too
            } else {
                json!(id)
            };
            let path = if operation.path.contains('{') {
                operation.path_of(&story.bobs)
            } else {
                operation.path.clone()
            };
            let answer = story.bob_sends(&operation, &path, &body).await;
            assert_eq!(
                answer.status,
                422,
                "{} {name}: {answer:?}",
                operation.name()
            );
            let answer = answer.problem(422, "validation");
            assert_eq!(
                answer.body["errors"][0]["pointer"],
                json!(format!("/{name}"))
            );
            tried.push(format!("{} {name}", operation.name()));
        }
    }
    assert!(tried.len() >= 8, "{tried:?}");
    story.rows.unchanged(&before, "Bob").await;
}

#[tokio::test]
async fn everybody_reads_their_own_alone() {
    let story = Story::begin().await;
    let all = story.adas.all();
    let mut asked = 0;
    for operation in story.document.operations() {
        // What is open shows nothing of anybody.
        let is_stream = operation.path.ends_with("/stream");
        if operation.method != Method::GET || is_stream || !operation.closed {
            continue;
        }
        let path = if operation.path.contains('{') {
            operation.path_of(&story.bobs)
        } else {
            operation.path.clone()
        };
        let mut queries = vec![String::new()];
        for (field, collection) in [("wallet_id", "wallets"), ("category_id", "categories")] {
            if operation.query.iter().any(|name| name == field) {
                queries.push(format!("?{field}={}", story.adas.id(collection)));
                queries.push(format!(
                    "?min_amount=1&{field}={}",
                    story.adas.id(collection)
                ));
            }
        }
        for query in queries {
            let answer = story.bob.get(&format!("{path}{query}")).await;
            let found = answer.body.to_string();
            assert!(
                matches!(answer.status, 200 | 404),
                "{path}{query}: {answer:?}"
            );
            if !query.is_empty() && answer.status == 200 {
                assert_eq!(answer.body["items"], json!([]), "{path}{query}");
            }
            for secret in all
                .iter()
                .map(String::as_str)
                .chain([story.ada.id.as_str(), "ada@"])
            {
                // What was asked for may be repeated, nothing else.
                let leaks = found.contains(secret) && !query.contains(secret);
                assert!(!leaks, "{path}{query} shows {secret}: {found}");
            }
            asked += 1;
        }
    }
    assert!(asked > 12, "{asked}");
    // The other way round: the walk would have found them.
    for collection in [
        "wallets",
        "categories",
        "budgets",
        "transactions",
        "recurring",
        "alerts",
    ] {
        let own = story
            .bob
            .get(&format!("/v1/{collection}?limit=200"))
            .await
            .expect(200);
        assert!(
            own.body.to_string().contains(story.bobs.id(collection)),
            "{collection}"
        );
    }
}

#[tokio::test]
async fn streams_and_marks_are_everybodys_own() {
    let story = Story::begin().await;
    let (ada, bob) = (&story.ada, &story.bob);
    let mut adas = ada.follow(None).await;
    let mut bobs = bob.follow(None).await;
    // Bob resumes from before the first alert of all, Ada's included.
    let mut from_the_start = bob.follow(Some("0")).await;
    let tight =
        json!({"category_ids": [], "amount": "0.02", "currency": "USD", "period": "yearly"});
    for (person, things) in [(ada, &story.adas), (bob, &story.bobs)] {
        person.post("/v1/budgets", &tight).await.expect(201);
        let spent = json!({"wallet_id": things.id("wallets"), "type": "expense", "amount": "7.00"});
        person.post("/v1/transactions", &spent).await.expect(201);
        person.alerts(4).await;
    }
    let listed = |alerts: Vec<Value>| -> Vec<String> {
        alerts
            .iter()
            .map(|it| it["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let adas_ids = listed(ada.alerts(4).await);
    let bobs_ids = listed(bob.alerts(4).await);
    for (stream, own, count) in [
        (&mut adas, &adas_ids, 2),
        (&mut bobs, &bobs_ids, 2),
        (&mut from_the_start, &bobs_ids, 4),
    ] {
        for _ in 0..count {
            let (_, alert) = stream.alert().await.expect("an alert");
            let id = alert["id"].as_str().expect("an id").to_owned();
            assert!(own.contains(&id), "{alert}");
        }
    }
    // Marking all is marking one's own.
    let read = bob
        .post("/v1/alerts/read-all", &Value::Null)
        .await
        .expect(200);
    assert_eq!(read.body["read"], 4);
    let unread = ada.get("/v1/alerts?unread=true").await.expect(200);
    assert_eq!(unread.body["items"].as_array().expect("items").len(), 4);
}

#[tokio::test]
async fn idempotency_keys_of_two_people_have_nothing_to_do_with_each_other() {
    let story = Story::begin().await;
    let body = json!({"name": "Savings", "type": "savings", "currency": "USD"});
    let first = story
        .ada
        .post_once("/v1/wallets", "key", &body)
        .await
        .expect(201);
    let other = story
        .bob
        .post_once("/v1/wallets", "key", &body)
        .await
        .expect(201);
    assert_ne!(first.id(), other.id());
    assert_eq!(other.header("idempotent-replayed"), "");
    let again = story
        .bob
        .post_once("/v1/wallets", "key", &body)
        .await
        .expect(201);
    assert_eq!(
        (again.id(), again.header("idempotent-replayed")),
        (other.id(), "true")
    );
    // Another request under the same key is refused to its owner alone.
    let another = json!({"name": "Holidays", "type": "savings", "currency": "USD"});
    story
        .ada
        .post_once("/v1/wallets", "key", &another)
        .await
        .problem(422, "header");
    // The same name, for one person, is taken.
    story
        .bob
        .post("/v1/wallets", &body)
        .await
        .problem(409, "conflict");
    drop(story.world);
}
