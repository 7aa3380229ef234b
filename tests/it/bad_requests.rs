//! Bad queries, paths, methods and headers on every route.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::openapi::insight;
use crate::support::{Answer, Document, Operation, Person, Rows, Things, World};

/// What a list is asked for with a query.
async fn asked(ada: &Person, path: &str, name: &str, value: &str) -> Answer {
    let request = ada.request(Method::GET, path).query(&[(name, value)]);
    Answer::to(request).await
}

/// The path of a thing of the person, or of the collection.
fn path_of(operation: &Operation, things: &Things) -> String {
    if operation.path.contains('{') {
        operation.path_of(things)
    } else {
        operation.path.clone()
    }
}

#[tokio::test]
async fn wrong_query_fields_are_named() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let document = Document::of(&world).await;
    let things = Things::of(&ada, &document).await;
    let mut asked_in_all = 0;
    for operation in document.operations() {
        // What one asks without changing anything; the others are tried with the links of mails.
        if operation.query.is_empty() || operation.query == ["token"] {
            continue;
        }
        assert_eq!(operation.method, Method::GET, "{operation:?}");
        let path = path_of(&operation, &things);
        let mut wrong = vec![("no_such_field", "1"), ("Limit", "1")];
        for name in &operation.query {
            let values: &[&str] = match name.as_str() {
                "limit" => &["0", "201", "-1", "abc", "1.5", "", "99999999999", "1e2"],
                "cursor" => &["", "abc", "%%%", "W10", "e30", "bnVsbA", "\u{0}", "🦀"],
                "wait_for" => &["", "abc", "-", "1.5", "99999999999999999999"],
                "month" => &["", "2026", "2026-13", "2026-00", "26-02", "2026-02-10"],
                "currency" => &["", "ZZZ", "US"],
                "unread" => &["", "yes", "2"],
                "tag" => &[
                    "",
                    " ",
                    "\u{0}",
                    "tags of more than fifty characters are nobody's tags",
                ],
                "q" => &[
                    "",
                    " ",
                    "?!",
                    "\u{0}",
                    "one two three four five six seven eight nine",
                ],
                "from" | "to" => &["", "2026-02-30", "2026-2-1", "today", "+12026-01-01"],
                "min_amount" | "max_amount" => &["", "NaN", "1.234", "1e400", "-1", "abc"],
                _ => &["", "abc", "\u{0}"],
            };
            wrong.extend(values.iter().map(|value| (name.as_str(), *value)));
        }
        for (name, value) in wrong {
            let answer = asked(&ada, &path, name, value).await;
            assert_eq!(answer.status, 422, "{path}?{name}={value}: {answer:?}");
            let answer = answer.problem(422, "validation");
            let pointer = &answer.body["errors"][0]["pointer"];
            assert_eq!(pointer, &json!(format!("?{name}")), "{path}?{name}={value}");
            asked_in_all += 1;
        }
        let twice = format!("{path}?{0}=1&{0}=1", operation.query[0]);
        ada.get(&twice).await.problem(422, "validation");
    }
    assert!(asked_in_all > 100, "{asked_in_all}");
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_alone() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let document = Document::of(&world).await;
    let things = Things::of(&ada, &document).await;
    ada.wallet("Second", "USD", "0").await;
    let rate = json!({"from": "EUR", "to": "USD", "rate": "1.1"});
    ada.post("/v1/rates", &rate).await.expect(201);
    let spent = json!({"wallet_id": things.id("wallets"), "type": "expense", "amount": "1"});
    ada.post("/v1/transactions", &spent).await.expect(201);
    for key in ["one", "other"] {
        insight(&world, &ada, key).await;
    }
    let all = json!([{"field": "amount", "operator": "at_least", "value": "0"}]);
    let rule = json!({"name": "Second", "conditions": all, "tags": ["second"]});
    ada.post("/v1/rules", &rule).await.expect(201);
    // Of other days there is nothing to be changed.
    let none = json!({"from": "2020-01-01", "to": "2020-01-01"});
    ada.post("/v1/rule-runs", &none).await.expect(201);
    let token = json!({"name": "Second", "scopes": ["read"]});
    ada.post("/v1/tokens", &token).await.expect(201);
    let goal = json!({"name": "Second", "target_amount": "1", "currency": "USD"});
    ada.post("/v1/goals", &goal).await.expect(201);
    let given = format!("/v1/goals/{}/contributions", things.id("goals"));
    let put = json!({"amount": "1"});
    ada.post(&given, &put).await.expect(201);
    let old = json!({
        "wallet_id": things.id("wallets"), "type": "expense", "amount": "1", "date": "2021-01-01",
        "category_id": things.id("categories")
    });
    let old = ada.post("/v1/transactions", &old).await.expect(201);
    ada.get_after("/v1/dashboard", &old).await;
    let weekly = json!({
        "wallet_id": things.id("wallets"), "type": "expense", "amount": "1", "rrule": "FREQ=WEEKLY",
        "starts_on": "2031-01-01"
    });
    ada.post("/v1/recurring", &weekly).await.expect(201);

    let lists: Vec<Operation> = document.operations();
    let lists = lists
        .iter()
        .filter(|it| it.query.iter().any(|name| name == "cursor"));
    let mut cursors = Vec::new();
    for list in lists {
        let path = path_of(list, &things);
        let page = asked(&ada, &path, "limit", "1").await.expect(200);
        let cursor = page.body["next_cursor"].as_str();
        let cursor = cursor.unwrap_or_else(|| panic!("make two of {path}: {page:?}"));
        cursors.push((path, cursor.to_owned()));
    }
    assert!(cursors.len() > 4, "{cursors:?}");
    for (path, _) in &cursors {
        for (of, cursor) in &cursors {
            let answer = asked(&ada, path, "cursor", cursor).await;
            if path == of {
                answer.expect(200);
            } else {
                assert_eq!(answer.status, 422, "{path} with a cursor of {of}");
                answer.problem(422, "validation");
            }
        }
    }
}

#[tokio::test]
async fn ids_that_are_none_are_not_found() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let document = Document::of(&world).await;
    let things = Things::of(&ada, &document).await;
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    let nobody = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_00ff).to_string();
    let odd = [
        "1",
        "abc",
        "%00",
        "%ff",
        "..%2f..",
        "' OR 1=1",
        &"x".repeat(4_000),
        &nobody,
    ];
    for operation in document.operations() {
        if !operation.path.contains('{') {
            continue;
        }
        for id in odd {
            let request = ada
                .request(operation.method.clone(), &operation.path_with(id))
                .header("If-Match", "*");
            let request = match &operation.body {
                Some(schema) => request.json(&things.example(schema)),
                None => request,
            };
            let answer = Answer::to(request).await;
            assert_eq!(answer.status, 404, "{} {id}: {answer:?}", operation.name());
            answer.problem(404, "not-found");
        }
    }
    rows.unchanged(&before, "ids that are none").await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let document = Document::of(&world).await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/wallets",
        "/v1/wallets/",
        "/v1/walletz",
        "/v1//wallets",
        "/.env",
    ] {
        ada.get(path).await.problem(404, "not-found");
    }
    let all = document.operations();
    for operation in &all {
        let path = operation.path_with(&Uuid::nil().to_string());
        let known: Vec<&Method> = all
            .iter()
            .filter(|it| it.path == operation.path)
            .map(|it| &it.method)
            .collect();
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE",
        ] {
            let method: Method = method.parse().expect("a method");
            if known.contains(&&method) {
                continue;
            }
            let answer = Answer::to(ada.request(method, &path)).await;
            let answer = answer.problem(405, "method-not-allowed");
            let mut allow: Vec<&str> = answer.header("allow").split(", ").collect();
            let mut expected: Vec<&str> = known.iter().map(|it| it.as_str()).collect();
            allow.sort_unstable();
            expected.sort_unstable();
            assert_eq!(allow, expected, "{path}");
        }
    }
}

#[tokio::test]
async fn several_wrong_fields_are_told_at_once() {
    let world = World::start().await;
    let body = json!({"email": "ada", "password": "short", "currency": "ZZZ", "time_zone": "Mars"});
    let answer = world
        .post("/v1/auth/register", &body)
        .await
        .problem(422, "validation");
    let pointers = |answer: &Answer| -> Vec<String> {
        let errors = answer.body["errors"].as_array().expect("errors").iter();
        errors
            .map(|it| it["pointer"].as_str().expect("a pointer").to_owned())
            .collect()
    };
    assert_eq!(
        pointers(&answer),
        ["/email", "/password", "/currency", "/time_zone"]
    );
    let ada = world.register("ada").await;
    let body = json!({
        "name": "", "category_ids": [], "amount": "0", "currency": "USD", "period": "monthly", "alert_at": []
    });
    let answer = ada
        .post("/v1/budgets", &body)
        .await
        .problem(422, "validation");
    assert_eq!(pointers(&answer), ["/name", "/amount", "/alert_at"]);
    let body = json!({"name": "\u{0}", "color": "red", "icon": "x".repeat(17), "kind": "expense"});
    let answer = ada
        .post("/v1/categories", &body)
        .await
        .problem(422, "validation");
    assert_eq!(pointers(&answer), ["/name", "/color", "/icon"]);
}
