//! The routes as the server itself tells of them, so that a new one is covered by the walks.

use reqwest::Method;
use serde_json::{Map, Value, json};
use wealth_companion::clock::Ids;
use wealth_companion::domain::insight::wording::WordedBy;
use wealth_companion::domain::insight::{Insight, Kind, Thing};
use wealth_companion::store::insights;

use super::{Answer, Person, World, until};

/// The OpenAPI document of a running server.
#[derive(Debug, Clone)]
pub(crate) struct Document(pub(crate) Value);

/// One method of one path.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Needs a session.
    pub(crate) closed: bool,
    /// Names of the query fields.
    pub(crate) query: Vec<String>,
    /// Names of the headers.
    pub(crate) headers: Vec<String>,
    /// The schema of the body, if it takes one.
    pub(crate) body: Option<Value>,
}

impl Document {
    pub(crate) async fn of(world: &World) -> Self {
        let answer = Answer::to(world.http.get(format!("{}/openapi.json", world.url))).await;
        Self(answer.expect(200).body)
    }

    /// Every operation.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.0["paths"].as_object().expect("paths");
        let all: Vec<Operation> = paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object()
                    .into_iter()
                    .flatten()
                    .map(move |it| (path, it))
            })
            .map(|(path, (method, operation))| self.operation(path, method, operation))
            .collect();
        assert!(all.len() > 20, "the walk must find the routes: {all:?}");
        all
    }

    /// Every operation that takes a body, with the schema of the body.
    pub(crate) fn with_bodies(&self) -> Vec<(Operation, Value)> {
        let all = self.operations().into_iter();
        let with: Vec<_> = all
            .filter_map(|operation| operation.body.clone().map(|body| (operation, body)))
            .collect();
        assert!(with.len() > 8, "the walk must find the bodies: {with:?}");
        with
    }

    fn operation(&self, path: &str, method: &str, operation: &Value) -> Operation {
        let parameters = operation["parameters"].as_array();
        let named = |place: &str| {
            let of_place = parameters
                .into_iter()
                .flatten()
                .filter(|it| it["in"] == place);
            of_place
                .map(|it| it["name"].as_str().expect("a name").to_owned())
                .collect()
        };
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        Operation {
            method: method.to_uppercase().parse().expect("a method"),
            path: path.to_owned(),
            closed: operation["security"] != json!([{}]),
            query: named("query"),
            headers: named("header"),
            body: (!body.is_null()).then(|| self.resolved(body).clone()),
        }
    }

    /// The schema itself, where it is a reference.
    pub(crate) fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            None => schema,
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("a local reference");
                self.resolved(self.0.pointer(pointer).expect("what is referred to"))
            }
        }
    }

    /// All that a value may be: the schema, or each of its alternatives.
    pub(crate) fn alternatives<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolved(schema);
        for key in ["oneOf", "anyOf", "allOf"] {
            if let Some(of) = schema[key].as_array() {
                return of.iter().flat_map(|one| self.alternatives(one)).collect();
            }
        }
        vec![schema]
    }
}

impl Operation {
    /// "POST /v1/wallets".
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// "wallets" of "/v1/wallets/{id}".
    pub(crate) fn collection(&self) -> &str {
        self.path.split('/').nth(2).expect("a collection")
    }

    /// The path of the person's own thing.
    pub(crate) fn path_of(&self, things: &Things) -> String {
        self.path_with(things.id(self.collection()))
    }

    /// The path with this id.
    pub(crate) fn path_with(&self, id: &str) -> String {
        let path = self.path.replace("{id}", id);
        assert!(!path.contains('{'), "what stands for the fields of {path}?");
        path
    }
}

/// One thing of each collection, all of one person.
#[derive(Debug, Clone)]
pub(crate) struct Things {
    ids: Map<String, Value>,
}

impl Things {
    /// Makes them from the document's own examples, and an alert by spending too much.
    pub(crate) async fn of(person: &Person, document: &Document) -> Self {
        let mut things = Self { ids: Map::new() };
        let of_people = |path: &str| path.starts_with("/v1/auth/");
        let mut create: Vec<(Operation, Value)> = document
            .with_bodies()
            .into_iter()
            .filter(|(it, _)| it.method == Method::POST && !of_people(&it.path))
            // What is done to a thing makes none.
            .filter(|(it, _)| !it.path.ends_with("/skip"))
            .collect();
        // Others refer to wallets and categories, and some are made in others.
        create.sort_by_key(|(it, _)| {
            let is_referred_to = matches!(it.collection(), "wallets" | "categories");
            (it.path.contains('{'), !is_referred_to)
        });
        for (operation, schema) in &create {
            let body = things.example(schema);
            let path = if operation.path.contains('{') {
                operation.path_of(&things)
            } else {
                operation.path.clone()
            };
            let made = person.post(&path, &body).await.expect(201);
            let collection = made.header("location").split('/').nth(2);
            let collection = collection.expect("a collection").to_owned();
            things.ids.insert(collection, made.id().into());
        }
        // Nothing of theirs goes on any more.
        let run = &format!("/v1/rule-runs/{}", things.id("rule-runs"));
        let is_done = || async move { person.get(run).await.expect(200).body["state"] == "done" };
        until("the run is done", is_done).await;
        let wallet = person
            .get(&format!("/v1/wallets/{}", things.id("wallets")))
            .await;
        let budget = json!({
            "name": "Tight", "category_ids": [], "amount": "0.01", "currency": "USD", "period": "yearly",
            "starts_on": wallet.text("created_at")[..10]
        });
        person.post("/v1/budgets", &budget).await.expect(201);
        let spent = json!({"wallet_id": things.id("wallets"), "type": "expense", "amount": "5.00"});
        let spent = person.post("/v1/transactions", &spent).await.expect(201);
        person.get_after("/v1/dashboard", &spent).await;
        let alerts = person.alerts(2).await;
        things
            .ids
            .insert("alerts".to_owned(), alerts[0]["id"].clone());
        // None was found in so short a life: what is asked of one is refused as of what is not there.
        let never = "01920000-0000-7000-8000-0000000000fe";
        things.ids.insert("insights".to_owned(), never.into());
        things
    }

    /// The id of the thing of a collection.
    pub(crate) fn id(&self, collection: &str) -> &str {
        self.ids
            .get(collection)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("make one of {collection}: {self:?}"))
    }

    /// All ids.
    pub(crate) fn all(&self) -> Vec<String> {
        let ids = self.ids.values().filter_map(Value::as_str);
        ids.map(ToOwned::to_owned).collect()
    }

    /// The example of a schema, with these things where it refers to others.
    pub(crate) fn example(&self, schema: &Value) -> Value {
        let mut example = match &schema["example"] {
            Value::Null => schema["examples"][0].clone(),
            example => example.clone(),
        };
        let fields = example.as_object_mut().expect("each body has an example");
        for (name, value) in fields.iter_mut() {
            match name.as_str() {
                "wallet_id" => *value = json!(self.id("wallets")),
                "category_id" => *value = json!(self.id("categories")),
                "category_ids" => *value = json!([self.id("categories")]),
                _ => {}
            }
        }
        example
    }
}

/// Puts something that was found into the person's list.
pub(crate) async fn insight(world: &World, person: &Person, key: &str) -> String {
    let user_id = person.id.parse().expect("an id");
    let (now, ids) = (world.clock.now(), Ids::system());
    let found = Insight {
        kind: Kind::Anomaly,
        key: key.to_owned(),
        title: "Dentist: charged twice?".to_owned(),
        message: "Dentist took 80.00 USD twice on 2026-02-10.".to_owned(),
        facts: json!({"amount": "80.00"}),
        confidence: 75,
        related: vec![(Thing::Transaction, user_id)],
        expires_on: None,
    };
    let store = world.store().await;
    let kept = store.write(move |tx| async move {
        insights::keep(
            &tx,
            user_id,
            vec![(found, WordedBy::Rules)],
            || ids.v7(now),
            now,
        )
        .await
    });
    kept.await.expect("kept")[0].id.to_string()
}
