use reqwest::Method;
use serde_json::{Value, json};
use wealth_companion::clock::Clock;
use wealth_companion::links::CONFIRM_PATH;

use super::operation::{Document, Operation};
use crate::support::mailbox;
use crate::support::openapi::insight;
use crate::support::{Answer, Person, World};

/// Headers of an answer that mean something to a client; those that are sent are documented.
const TELLING: [&str; 7] = [
    "location",
    "etag",
    "x-log-position",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
];

/// A world whose limits are told, and never reached.
pub(super) async fn world() -> World {
    let set = [
        ("limits.requests_per_minute", "100000"),
        ("http.body_max_bytes", "4096"),
        // One that nobody answers for: what is sent is not looked at.
        ("email.smtp_url", "smtp://wealth:nobody@127.0.0.1:1"),
        ("email.from", "books@example.com"),
        ("email.public_url", mailbox::PUBLIC_URL),
    ];
    World::with(&set, Clock::system()).await
}

/// Somebody who has one of everything.
pub(super) struct Owner {
    pub(super) person: Person,
    wallet: String,
    category: String,
    transaction: String,
    recurring: String,
    budget: String,
    goal: String,
    contribution: String,
    alert: String,
    insight: String,
    rate: String,
    token: String,
    /// Of the links in mails.
    link_token: String,
    confirm_token: String,
    rule: String,
    rule_run: String,
    unused_wallet: String,
    unused_category: String,
}

impl Owner {
    pub(super) async fn new(world: &World, name: &str) -> Self {
        let person = world.register(name).await;
        let wallet = person.wallet("Everyday", "USD", "1000.00").await;
        let category = person.category("Groceries").await;
        let budget = person.budget(&[&category], "100.00").await;
        let today = world.clock.now().date_naive().to_string();
        let transaction = person.spend(&wallet, &category, "85.00", &today).await.id();
        let rent = json!({
            "wallet_id": wallet, "type": "expense", "amount": "1250.00", "starts_on": "2031-01-31",
            "rrule": "FREQ=MONTHLY;BYMONTHDAY=-1"
        });
        let recurring = person.post("/v1/recurring", &rent).await.expect(201).id();
        let alert = person.alerts(1).await[0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let unused = json!({"name": "Nothing yet", "kind": "expense"});
        let unused_category = person
            .post("/v1/categories", &unused)
            .await
            .expect(201)
            .id();
        let goal = json!({"name": "Holidays", "target_amount": "1000", "currency": "USD"});
        let goal = person.post("/v1/goals", &goal).await.expect(201).id();
        let given = format!("/v1/goals/{goal}/contributions");
        let given = person.post(&given, &json!({"amount": "1"})).await;
        let insight = insight(world, &person, "twice").await;
        // By which the example of a quote is answered.
        let rate = json!({"from": "ARS", "to": "USD", "rate": "0.001"});
        let rate = person.post("/v1/rates", &rate).await.expect(201).id();
        let all = json!([{"field": "amount", "operator": "at_least", "value": "0"}]);
        let rule = json!({"name": "All", "conditions": all, "tags": ["all"]});
        let rule = person.post("/v1/rules", &rule).await.expect(201).id();
        // Of other days: it changes nothing.
        let none = json!({"from": "2020-01-01", "to": "2020-01-01"});
        let rule_run = person.post("/v1/rule-runs", &none).await.expect(201).id();
        let token = json!({"name": "Script", "scopes": ["read"]});
        let token = person.post("/v1/tokens", &token).await.expect(201).id();
        Self {
            token,
            link_token: mailbox::token_of(world, &person),
            confirm_token: mailbox::confirmation_of(world, &person, &person.email),
            rule,
            rule_run,
            insight,
            goal,
            contribution: given.expect(201).id(),
            rate,
            unused_wallet: person.wallet("Empty", "EUR", "0").await,
            unused_category,
            person,
            wallet,
            category,
            transaction,
            recurring,
            budget,
            alert,
        }
    }

    /// The thing that an operation is about: deleting asks for one that nothing refers to.
    fn thing(&self, operation: &Operation) -> &str {
        let kind = operation.path.split('/').nth(2).expect("a kind of thing");
        match (kind, operation.method.as_str()) {
            ("wallets", "DELETE") => &self.unused_wallet,
            ("categories", "DELETE") => &self.unused_category,
            ("wallets", _) => &self.wallet,
            ("categories", _) => &self.category,
            ("transactions", _) => &self.transaction,
            ("recurring", _) => &self.recurring,
            ("budgets", _) => &self.budget,
            ("goals", _) => &self.goal,
            ("contributions", _) => &self.contribution,
            ("insights", _) => &self.insight,
            ("rules", _) => &self.rule,
            ("rule-runs", _) => &self.rule_run,
            ("alerts", _) => &self.alert,
            ("rates", _) => &self.rate,
            ("tokens", _) => &self.token,
            _ => panic!("{}: what is it about?", operation.id),
        }
    }

    /// An example with the ids and secrets of this owner in place of made-up ones.
    fn own(&self, operation: &Operation, mut example: Value) -> Value {
        let own = [
            ("wallet_id", json!(self.wallet)),
            ("category_id", json!(self.category)),
            ("category_ids", json!([self.category])),
            ("refresh_token", json!(self.person.refresh_token)),
        ];
        for (key, value) in own {
            if example.get(key).is_some() {
                example[key] = value;
            }
        }
        if operation.id == "login" {
            example["email"] = json!(self.person.email);
        }
        example
    }

    /// The examples of the query, with the secret of this owner.
    fn own_query(&self, operation: &Operation) -> Vec<(String, String)> {
        let mut query = operation.example_of("query");
        for (name, value) in &mut query {
            if name == "token" {
                value.clone_from(match operation.path.as_str() {
                    CONFIRM_PATH => &self.confirm_token,
                    _ => &self.link_token,
                });
            }
        }
        query
    }

    /// The operation's call with its own examples.
    pub(super) fn call(&self, document: &Document, operation: &Operation) -> Call {
        let is_open = operation.spec["security"] == json!([{}]);
        Call {
            method: operation.method.parse().expect("a method"),
            path: if operation.path.contains('{') {
                operation.path.replace("{id}", self.thing(operation))
            } else {
                operation.path.clone()
            },
            query: self.own_query(operation),
            token: (!is_open).then(|| self.person.token.clone()),
            headers: operation.example_of("header"),
            body: document
                .example(operation)
                .map(|example| self.own(operation, example).to_string()),
            content_type: "application/json",
        }
    }
}

/// A request, to be spoilt or sent.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) token: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) content_type: &'static str,
}

impl Call {
    pub(super) fn request(self, world: &World) -> reqwest::RequestBuilder {
        let url = format!("{}{}", world.url, self.path);
        let mut request = world.http.request(self.method, url).query(&self.query);
        if let Some(token) = self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        match self.body {
            Some(body) => request.header("Content-Type", self.content_type).body(body),
            None => request,
        }
    }
}

/// Asserts that the answer is as the operation documents its status.
#[track_caller]
pub(super) fn check(document: &Document, operation: &Operation, answer: &Answer) {
    let about = format!("{} answers {}", operation.id, answer.status);
    let response = operation.response(answer.status);
    let headers = response["headers"].as_object().expect("headers");
    for name in headers.keys().filter(|name| *name != "Idempotent-Replayed") {
        assert!(
            !answer.header(name).is_empty(),
            "{about} without {name}: {answer:?}"
        );
    }
    for name in TELLING {
        let told = headers
            .keys()
            .any(|header| header.eq_ignore_ascii_case(name));
        // Errors are shown with the limits, too; their documentation leaves that to the success.
        let is_limit = answer.status >= 400 && name.starts_with("ratelimit");
        assert!(
            told || is_limit || answer.header(name).is_empty(),
            "{about} with {name}"
        );
    }
    match response.get("content").and_then(Value::as_object) {
        None => assert_eq!(answer.body, Value::Null, "{about}"),
        Some(content) => {
            let media = answer.header("content-type");
            let documented = content
                .get(media)
                .unwrap_or_else(|| panic!("{about}: {media}"));
            document.check(&documented["schema"], &answer.body, &about);
        }
    }
}

#[tokio::test]
async fn every_operation_works_with_its_own_example() {
    let (world, document) = (world().await, Document::new());
    for (index, operation) in document.operations().iter().enumerate() {
        let owner = Owner::new(&world, &format!("owner{index}")).await;
        if let (Some(schema), Some(example)) =
            (operation.request_schema(), document.example(operation))
        {
            document.check(
                schema,
                &example,
                &format!("the example of {}", operation.id),
            );
        }
        let request = owner.call(&document, operation).request(&world);
        if operation.id == "stream_alerts" {
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            assert!(
                operation.response(200)["content"]
                    .get("text/event-stream")
                    .is_some()
            );
            continue;
        }
        let answer = Answer::to(request).await;
        assert_eq!(
            answer.status,
            operation.success(),
            "{}: {answer:?}",
            operation.id
        );
        check(&document, operation, &answer);
    }
}

#[tokio::test]
async fn a_place_that_is_told_is_there() {
    let (world, document) = (world().await, Document::new());
    let operations = document.operations();
    let creating = operations
        .iter()
        .filter(|operation| operation.documents(201) && operation.id != "register");
    for operation in creating {
        let owner = Owner::new(&world, &operation.id).await;
        let mut made = Answer::to(owner.call(&document, operation).request(&world))
            .await
            .expect(201);
        // A secret is shown once.
        if let Some(secret) = made.body.get_mut("secret") {
            assert!(secret.take().is_string(), "{}", operation.id);
        }
        let read = owner.person.get(made.header("location")).await.expect(200);
        // A run goes on meanwhile.
        if operation.id == "begin_rule_run" {
            assert_eq!(read.id(), made.id());
        } else {
            assert_eq!(read.body, made.body, "{}", operation.id);
            assert_eq!(read.header("etag"), made.header("etag"));
        }
        // The same key again gives the same answer, and says so.
        let again = Answer::to(owner.call(&document, operation).request(&world))
            .await
            .expect(201);
        assert_eq!(again.body, made.body);
        assert_eq!(again.header("idempotent-replayed"), "true");
        owner
            .person
            .delete(made.header("location"))
            .await
            .expect(204);
    }
}

#[tokio::test]
async fn what_is_left_out_is_as_documented() {
    let world = world().await;
    let body = json!({"email": "eve@example.com", "password": "correct horse battery"});
    let session = world.post("/v1/auth/register", &body).await.expect(201);
    assert_eq!(session.body["user"]["currency"], "USD");
    assert_eq!(session.body["user"]["time_zone"], "UTC");
    let eve = Person::new(&world, &session.body);
    let food = eve.category("Groceries").await;
    let rent = eve.category("Rent & Mortgage").await;
    for (categories, name) in [
        (json!([]), "All spending"),
        (json!([food]), "Groceries"),
        (json!([food, rent]), "Budget"),
    ] {
        let body = json!({
            "category_ids": categories, "amount": 100, "currency": "USD", "period": "weekly"
        });
        let budget = eve.post("/v1/budgets", &body).await.expect(201);
        assert_eq!(budget.body["name"], name);
        assert_eq!(budget.body["alert_at"], json!([80, 100]));
    }
    let body = json!({"name": "Purse", "type": "cash", "currency": "USD"});
    let purse = eve.post("/v1/wallets", &body).await.expect(201);
    assert_eq!(purse.body["balance"], "0.00");
    let body = json!({"wallet_id": purse.id(), "type": "income", "amount": "1"});
    let booking = eve.post("/v1/transactions", &body).await.expect(201);
    assert_eq!(
        booking.body["date"],
        world.clock.now().date_naive().to_string()
    );
}
