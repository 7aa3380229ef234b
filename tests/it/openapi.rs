//! The OpenAPI document as a client developer meets it: whole, valid, readable without a network.

/// Every operation, called with its own examples.
mod calls;
/// What an operation says of itself.
mod operation;
/// Every operation, called wrongly.
mod problems;

use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::{Answer, World};
use operation::{Document, Operation};

/// The essentials of OpenAPI 3.1, and what our own document has beyond them.
fn essentials() -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let response = json!({
        "type": "object", "required": ["description"], "properties": {"description": text}
    });
    let parameter = json!({
        "type": "object",
        "required": ["name", "in", "required", "description", "schema"],
        "properties": {
            "name": text,
            "in": {"enum": ["query", "header", "path"]},
            "required": {"type": "boolean"},
            "description": text,
            "schema": {"type": "object", "minProperties": 1}
        }
    });
    let operation = json!({
        "type": "object",
        "required": ["operationId", "summary", "tags", "responses"],
        "properties": {
            "operationId": {"type": "string", "pattern": "^[a-z]+(_[a-z]+)*$"},
            "summary": text,
            "tags": {"type": "array", "items": text, "minItems": 1, "maxItems": 1},
            "parameters": {"type": "array", "items": parameter},
            "requestBody": {
                "type": "object",
                "required": ["content", "required"],
                "properties": {
                    "required": {"const": true},
                    "content": {"type": "object", "required": ["application/json"]}
                }
            },
            "responses": {
                "type": "object",
                "propertyNames": {"pattern": "^[2-5][0-9][0-9]$"},
                "additionalProperties": response,
                "minProperties": 2
            }
        }
    });
    let described = json!({
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "required": ["description"], "properties": {"description": text}}
    });
    json!({
        "type": "object",
        "required": ["openapi", "info", "servers", "tags", "paths", "components", "security"],
        "properties": {
            "openapi": {"type": "string", "pattern": r"^3\.1\.[0-9]+$"},
            "info": {"type": "object", "required": ["title", "version", "description", "license"]},
            "servers": described,
            "tags": described,
            "paths": {
                "type": "object",
                "minProperties": 10,
                "propertyNames": {"pattern": "^/v1/"},
                "additionalProperties": {"type": "object", "additionalProperties": operation}
            },
            "components": {"type": "object", "required": ["schemas", "securitySchemes"]},
            "security": {"const": [{"bearer": []}]}
        },
        "additionalProperties": false
    })
}

#[tokio::test]
async fn the_document_is_openapi() {
    let world = World::start().await;
    let answer = Answer::to(world.http.get(format!("{}/openapi.json", world.url))).await;
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let document = Document(answer.body);
    let validator = jsonschema::validator_for(&essentials()).expect("a JSON Schema");
    let errors: Vec<String> = validator
        .iter_errors(&document.0)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");

    let names = document.schemas().keys();
    for name in names {
        let schema = document.schema_of(&json!({"$ref": format!("#/components/schemas/{name}")}));
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for reference in references(&document.0) {
        let pointer = reference
            .strip_prefix('#')
            .expect("a reference in this document");
        assert!(
            document.0.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => {
            let own = object
                .get("$ref")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned);
            own.into_iter()
                .chain(object.values().flat_map(references))
                .collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn operations_have_names_of_their_own_and_say_what_they_take() {
    let document = Document::new();
    let operations = document.operations();
    let ids: BTreeSet<&str> = operations
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
    assert_eq!(ids.len(), operations.len(), "an operationId is used twice");
    for operation in &operations {
        assert_eq!(
            path_parameters(operation),
            in_braces(&operation.path),
            "{}",
            operation.id
        );
        let takes_body = operation.request_schema().is_some();
        let may = operation.method == "POST" || operation.method == "PATCH";
        assert!(may || !takes_body, "{} has a body", operation.id);
        assert!(
            operation.method != "PATCH" || takes_body,
            "{} has no body",
            operation.id
        );
        let created = operation.spec["responses"].get("201").is_some();
        assert!(
            !created || takes_body,
            "{} creates out of nothing",
            operation.id
        );
    }
}

fn path_parameters(operation: &Operation) -> BTreeSet<String> {
    let of_path = operation
        .parameters()
        .into_iter()
        .filter(|parameter| parameter["in"] == "path");
    of_path
        .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn in_braces(path: &str) -> BTreeSet<String> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()))
        .collect()
}

#[test]
fn tags_are_described_and_used() {
    let document = Document::new();
    let operations = document.operations();
    let used: BTreeSet<&str> = operations
        .iter()
        .filter_map(|operation| operation.spec["tags"][0].as_str())
        .collect();
    let tags = document.0["tags"].as_array().expect("tags");
    let described: BTreeSet<&str> = tags.iter().filter_map(|tag| tag["name"].as_str()).collect();
    assert_eq!(used, described);
}

#[test]
fn amounts_are_decimal_strings_and_ids_are_uuids() {
    let document = Document::new();
    let amounts = [
        "amount",
        "balance",
        "opening_balance",
        "spent",
        "remaining",
        "income",
        "spending",
        "net",
    ];
    for (name, schema) in document.schemas() {
        let answered = !name.starts_with("New") && !name.ends_with("Patch");
        for (property, of) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{name}.{property}");
            if amounts.contains(&property.as_str()) && answered {
                assert_eq!(
                    (&of["type"], &of["format"]),
                    (&json!("string"), &json!("decimal")),
                    "{place}"
                );
            }
            if property == "id" || property.ends_with("_id") {
                assert_eq!(of["format"], "uuid", "{place}");
            }
            if property.ends_with("_at") && property != "alert_at" {
                assert_eq!(of["format"], "date-time", "{place}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_needs_nobody_else() {
    let world = World::start().await;
    let get = async |path: &str| {
        let answer = world.http.get(format!("{}{path}", world.url)).send();
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let is_gzip = answer
            .headers()
            .get("Content-Encoding")
            .is_some_and(|it| it == "gzip");
        let body = answer.bytes().await.expect("a body");
        let mut text = String::new();
        if is_gzip {
            GzDecoder::new(&body[..])
                .read_to_string(&mut text)
                .expect("a text");
        } else {
            text.push_str(str::from_utf8(&body).expect("a text"));
        }
        text
    };
    let page = get("/docs/").await;
    assert_eq!(get("/docs").await, page, "/docs leads to /docs/");
    let starter = get("/docs/swagger-initializer.js").await;
    assert!(starter.contains("\"/openapi.json\""), "{starter}");
    for loaded in [&page, &starter] {
        assert!(
            !loaded.contains("//") || !loaded.contains("http"),
            "{loaded}"
        );
    }
    let sources = page
        .split(['"'])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let mut count = 0;
    for source in sources {
        let path = source.strip_prefix("./").unwrap_or(source);
        assert!(!get(&format!("/docs/{path}")).await.is_empty(), "{source}");
        count += 1;
    }
    assert!(count >= 4, "{page}");
}

#[test]
fn what_is_refused_for_its_form_is_refused_by_its_schema() {
    let document = Document::new();
    for (name, wrong) in [
        ("If-Match", json!("999")),
        ("Idempotency-Key", json!(" ")),
        ("cursor", json!("")),
        ("wait_for", json!("here")),
        ("month", json!("2026-13")),
        ("min_amount", json!("1e2")),
        ("max_amount", json!("-1")),
    ] {
        let operations = document.operations();
        let parameters = operations.iter().flat_map(Operation::parameters);
        let mut named = parameters.filter(|it| it["name"] == name).peekable();
        assert!(named.peek().is_some(), "{name} is nowhere");
        for parameter in named {
            let schema = jsonschema::validator_for(&parameter["schema"]).expect("a JSON Schema");
            assert!(!schema.is_valid(&wrong), "{name}: {parameter}");
        }
    }
}
