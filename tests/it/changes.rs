//! Changing what others may have changed meanwhile, and what is in use.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Document, Operation, Person, Rows, Things, World};

/// Somebody who has one of everything.
async fn begin() -> (World, Person, Document, Things) {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let document = Document::of(&world).await;
    let things = Things::of(&ada, &document).await;
    (world, ada, document, things)
}

fn path_of(operation: &Operation, things: &Things) -> String {
    if operation.path.contains('{') {
        operation.path_of(things)
    } else {
        operation.path.clone()
    }
}

/// The operations that say which version they change.
fn versioned(document: &Document) -> Vec<Operation> {
    let all = document.operations().into_iter();
    let versioned: Vec<Operation> = all
        .filter(|it| it.headers.iter().any(|name| name == "If-Match"))
        .collect();
    assert!(versioned.len() >= 9, "{versioned:?}");
    versioned
}

async fn send(
    ada: &Person,
    operation: &Operation,
    things: &Things,
    if_match: Option<&str>,
) -> Answer {
    let mut request = ada.request(operation.method.clone(), &path_of(operation, things));
    if let Some(tag) = if_match {
        request = request.header("If-Match", tag);
    }
    if let Some(schema) = &operation.body {
        request = request.json(&things.example(schema));
    }
    Answer::to(request).await
}

#[tokio::test]
async fn a_change_says_which_version_it_is_for() {
    let (world, ada, document, things) = begin().await;
    let rows = Rows::of(&world).await;
    for operation in versioned(&document) {
        let path = path_of(&operation, &things);
        let tag = ada.get(&path).await.expect(200).header("etag").to_owned();
        assert!(
            tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2,
            "{path}: {tag}"
        );
        let before = rows.all().await;
        send(&ada, &operation, &things, None)
            .await
            .problem(428, "if-match-required");
        for stale in ["\"0\"", "\"999\"", "\"abc\"", "\"\""] {
            let answer = send(&ada, &operation, &things, Some(stale)).await;
            let answer = answer.problem(412, "stale");
            assert_eq!(answer.header("etag"), tag, "{path}");
        }
        rows.unchanged(&before, &operation.name()).await;
    }
}

#[tokio::test]
async fn of_two_who_change_the_same_the_second_must_look_again() {
    let (_world, ada, document, things) = begin().await;
    let patches = versioned(&document)
        .into_iter()
        .filter(|it| it.method == Method::PATCH);
    for operation in patches {
        let path = path_of(&operation, &things);
        let read = ada.get(&path).await.expect(200);
        let tag = read.header("etag").to_owned();
        let first = send(&ada, &operation, &things, Some(&tag))
            .await
            .expect(200);
        let now = first.header("etag").to_owned();
        assert_ne!(now, tag, "{path}");
        let version = first.body["version"].as_i64().expect("a version");
        assert_eq!(now, format!("\"{version}\""), "{path}");
        assert_eq!(ada.get(&path).await.expect(200).header("etag"), now);
        let second = send(&ada, &operation, &things, Some(&tag))
            .await
            .problem(412, "stale");
        assert_eq!(second.header("etag"), now, "{path}");
        send(&ada, &operation, &things, Some(&now))
            .await
            .expect(200);
        send(&ada, &operation, &things, Some("*")).await.expect(200);
    }
}

#[tokio::test]
async fn of_many_at_once_with_one_version_one_wins() {
    let (_world, ada, _document, things) = begin().await;
    let path = format!("/v1/budgets/{}", things.id("budgets"));
    let tag = ada.get(&path).await.expect(200).header("etag").to_owned();
    let change = |index: u32| {
        let body = json!({"amount": format!("{}.00", index + 1)});
        let request = ada.request(Method::PATCH, &path).header("If-Match", &tag);
        Answer::to(request.json(&body))
    };
    let answers = futures_util::future::join_all((0..8).map(change)).await;
    let won: Vec<&Answer> = answers.iter().filter(|it| it.status == 200).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert!(
        answers.iter().all(|it| matches!(it.status, 200 | 412)),
        "{answers:?}"
    );
    assert_eq!(ada.get(&path).await.body["amount"], won[0].body["amount"]);
}

/// A change that leaves every field but these as it was.
async fn changes_only(ada: &Person, path: &str, body: Value, fields: &[(&str, Value)]) {
    let before = ada.get(path).await.expect(200).body;
    let answer = ada.patch(path, &body).await.expect(200).body;
    let mut expected = before;
    for (name, value) in fields {
        expected[*name] = value.clone();
    }
    for moves in ["version", "updated_at", "current"] {
        if let Some(now) = answer.get(moves) {
            expected[moves] = now.clone();
        }
    }
    assert_eq!(answer, expected, "{path}: {body}");
    assert_eq!(ada.get(path).await.expect(200).body, answer);
}

#[tokio::test]
async fn what_is_left_out_stays_and_null_removes() {
    let (_world, ada, _document, things) = begin().await;
    let path = |collection: &str| format!("/v1/{collection}/{}", things.id(collection));
    let (me, wallet, category) = ("/v1/me".to_owned(), path("wallets"), path("categories"));
    let (booking, budget, rate) = (path("transactions"), path("budgets"), path("rates"));
    let null = Value::Null;
    for (path, field, value) in [
        (&me, "name", json!("Ada")),
        (&me, "time_zone", json!("Asia/Tokyo")),
        (&wallet, "name", json!("Main")),
        (&category, "color", json!("#00ff00")),
        (
            &category,
            "parent_id",
            json!(ada.category("Groceries").await),
        ),
        (&booking, "notes", json!("two\nlines")),
        (&booking, "date", json!("2026-01-31")),
        (&rate, "rate", json!("1.5")),
        (&budget, "name", json!("Eating")),
        (&budget, "alert_at", json!([50, 90])),
        (&budget, "starts_on", json!("2026-01-15")),
        (&booking, "description", null.clone()),
        (&booking, "payee", null.clone()),
        (&booking, "notes", null.clone()),
        (&booking, "category_id", null.clone()),
        (&category, "parent_id", null.clone()),
        (&category, "color", null.clone()),
        (&category, "icon", null.clone()),
        (&budget, "starts_on", null.clone()),
        (&me, "name", null.clone()),
    ] {
        changes_only(&ada, path, json!({field: value}), &[(field, value)]).await;
    }
    for path in [&me, &wallet, &category, &booking, &budget, &rate] {
        changes_only(&ada, path, json!({}), &[]).await;
    }
    for (path, field) in [
        (&me, "currency"),
        (&me, "time_zone"),
        (&wallet, "name"),
        (&wallet, "type"),
        (&wallet, "opening_balance"),
        (&category, "name"),
        (&booking, "wallet_id"),
        (&booking, "amount"),
        (&booking, "date"),
        (&booking, "type"),
        (&rate, "rate"),
        (&budget, "amount"),
        (&budget, "category_ids"),
        (&budget, "alert_at"),
        (&budget, "period"),
    ] {
        let answer = ada
            .patch(path, &json!({field: null}))
            .await
            .problem(422, "validation");
        assert_eq!(
            answer.body["errors"][0]["pointer"],
            json!(format!("/{field}"))
        );
    }
}

#[tokio::test]
async fn what_is_in_use_stays() {
    let (world, ada, _document, _things) = begin().await;
    let wallet = ada.wallet("Used", "USD", "10.00").await;
    let parent = ada.category("Groceries").await;
    let child = json!({"name": "Cheese", "kind": "expense", "parent_id": parent});
    let child = ada.post("/v1/categories", &child).await.expect(201).id();
    let booked = ada.spend(&wallet, &child, "1.00", "2026-02-10").await;
    let budget = ada.budget(&[&child], "5.00").await;
    let [wallet, parent, child, booking, budget] = [
        format!("/v1/wallets/{wallet}"),
        format!("/v1/categories/{parent}"),
        format!("/v1/categories/{child}"),
        format!("/v1/transactions/{}", booked.id()),
        format!("/v1/budgets/{budget}"),
    ];
    // The read models have heard of it all.
    ada.get_after("/v1/dashboard", &booked).await;
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    for path in [&wallet, &parent, &child] {
        ada.delete(path).await.problem(409, "conflict");
        ada.get(path).await.expect(200);
    }
    rows.unchanged(&before, "deleting what is in use").await;
    // In the order in which nothing is left that refers to it, all goes.
    for path in [&booking, &wallet] {
        ada.delete(path).await.expect(204);
    }
    ada.delete(&child).await.problem(409, "conflict");
    for path in [&budget, &child, &parent] {
        ada.delete(path).await.expect(204);
        ada.get(path).await.problem(404, "not-found");
        ada.delete(path).await.problem(404, "not-found");
    }
}
