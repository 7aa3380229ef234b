//! Bad bodies made from a schema and a good body: one thing is wrong with each.

use serde_json::{Value, json};

use crate::support::Document;

/// A body that must be refused.
#[derive(Debug)]
pub(crate) struct Bad {
    /// What is wrong with it.
    pub(crate) what: String,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: Option<&'static str>,
    /// The statuses that are right.
    pub(crate) statuses: Vec<u16>,
    /// Where a 422 must point.
    pub(crate) pointer: Option<String>,
}

impl Bad {
    pub(crate) fn text(what: &str, body: impl Into<Vec<u8>>, statuses: &[u16]) -> Self {
        Self {
            what: what.to_owned(),
            body: body.into(),
            content_type: Some("application/json"),
            statuses: statuses.to_vec(),
            pointer: None,
        }
    }

    pub(crate) fn json(what: &str, body: &Value, statuses: &[u16]) -> Self {
        Self::text(what, body.to_string(), statuses)
    }

    fn of_type(mut self, content_type: Option<&'static str>) -> Self {
        self.content_type = content_type;
        self
    }

    fn at(mut self, pointer: String) -> Self {
        self.pointer = Some(pointer);
        self
    }

    /// 401 is right too.
    pub(crate) fn may_be_unauthorized(&mut self) {
        if self.statuses == [422] && self.what.starts_with("text") {
            self.statuses.push(401);
        }
    }
}

/// What cannot be read at all, whatever the schema.
pub(crate) fn raw(good: &Value) -> Vec<Bad> {
    let text = good.to_string();
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    let first = good
        .as_object()
        .and_then(|it| it.keys().next())
        .expect("a field");
    let mut not_utf8 = text.clone().into_bytes();
    not_utf8.splice(1..1, *b"\"\xff\xfe\": 1, ");
    let mut twice = text.clone();
    twice.insert_str(1, &format!("{}: {}, ", json!(first), good[first]));
    let values: Vec<&Value> = good
        .as_object()
        .into_iter()
        .flatten()
        .map(|it| it.1)
        .collect();
    vec![
        Bad::text("empty", "", &[400]),
        Bad::text("spaces", "  \n", &[400]),
        Bad::text("truncated", &text.as_bytes()[..text.len() - 1], &[400]),
        Bad::text("a half", &text.as_bytes()[..text.len() / 2], &[400]),
        Bad::text("two of them", format!("{text}{text}"), &[400]),
        Bad::text("no JSON", "name=Checking&type=bank", &[400]),
        Bad::text("NaN", format!(r#"{{{}: NaN}}"#, json!(first)), &[400]),
        Bad::text(
            "Infinity",
            format!(r#"{{{}: -Infinity}}"#, json!(first)),
            &[400],
        ),
        Bad::text(
            "a lone surrogate",
            format!(r#"{{{}: "\ud800"}}"#, json!(first)),
            &[400, 422],
        ),
        Bad::text("not UTF-8", not_utf8, &[400, 422]),
        Bad::text(
            "not UTF-8 in a text",
            [b"{\"name\": \"".as_slice(), b"\xff\xfe\"}"].concat(),
            &[400, 422],
        ),
        Bad::text("a field twice", twice, &[422]),
        Bad::text("deep arrays", deep("[", "]"), &[422]),
        Bad::text(
            "a deep field",
            format!("{{{}: {}}}", json!(first), deep("[", "]")),
            &[400, 422],
        ),
        Bad::text(
            "deep objects",
            deep(r#"{"a":"#, "}").replacen("}", "1}", 1),
            &[400, 422],
        ),
        Bad::json("an array", &json!([]), &[422]),
        Bad::json("an array of the values", &json!(values), &[422]),
        Bad::json("an array of the body", &json!([good]), &[422]),
        Bad::json("null", &Value::Null, &[422]),
        Bad::json("a text", &json!("text"), &[422]),
        Bad::json("a number", &json!(7), &[422]),
        Bad::json("plain text", good, &[415]).of_type(Some("text/plain")),
        Bad::json("a form", good, &[415]).of_type(Some("application/x-www-form-urlencoded")),
        Bad::json("nearly JSON", good, &[415]).of_type(Some("application/jsonp")),
        Bad::json("a broken type", good, &[415]).of_type(Some(";;;")),
        Bad::json("no type", good, &[415]).of_type(None),
    ]
}

/// What the schema forbids, one thing at a time.
pub(crate) fn of_schema(document: &Document, schema: &Value, good: &Value) -> Vec<Bad> {
    let mut bads = Vec::new();
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    bads.push(
        Bad::json("an extra field", &with("no_such_field", json!(1)), &[422])
            .at("/no_such_field".into()),
    );
    bads.push(
        Bad::json("a field with an odd name", &with("a/b~c", json!(1)), &[422])
            .at("/a~1b~0c".into()),
    );
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("a name");
        let mut body = good.clone();
        body.as_object_mut().expect("an object").remove(name);
        bads.push(Bad::json(&format!("missing {name}"), &body, &[422]).at(format!("/{name}")));
    }
    let properties = schema["properties"].as_object().expect("properties");
    for (name, property) in properties {
        for (what, value) in wrong_values(document, name, property) {
            let shown: String = value.to_string().chars().take(60).collect();
            let bad = Bad::json(
                &format!("{what} {name} = {shown}"),
                &with(name, value),
                &[422],
            );
            bads.push(bad.at(format!("/{name}")));
        }
    }
    bads
}

fn number(text: &str) -> Value {
    serde_json::from_str(text).expect("a number")
}

/// Values that a property must not have.
fn wrong_values(document: &Document, name: &str, property: &Value) -> Vec<(&'static str, Value)> {
    let may_be = document.alternatives(property);
    let is = |kind: &str| {
        may_be.iter().any(|schema| match &schema["type"] {
            Value::Array(kinds) => kinds.iter().any(|it| it == kind),
            one => one == kind,
        })
    };
    let mut wrong = Vec::new();
    for (kind, value) in [
        ("null", Value::Null),
        ("boolean", json!(true)),
        ("string", json!("\u{0}no such thing\u{0}")),
        ("array", json!([{"a": 1}])),
        ("object", json!({"a": 1})),
    ] {
        if !is(kind) {
            wrong.push(("type", value));
        }
    }
    if !is("number") && !is("integer") {
        let numbers = [
            "0",
            "-1",
            "7",
            "1.5",
            "1e400",
            "123456789012345678901234567890",
        ];
        wrong.extend(numbers.iter().map(|text| ("type", number(text))));
    }
    if is("string") && (is("number") || name.contains("amount")) {
        wrong.extend(wrong_amounts(name));
    } else if is("string") {
        wrong.extend(wrong_texts(name, &may_be));
    }
    if is("array") {
        let items = vec!["no such thing"; 1_000];
        wrong.push(("type", json!([true])));
        wrong.push(("type", json!([null])));
        wrong.push(("type", json!([1.5])));
        wrong.push(("value", json!(items)));
    }
    wrong
}

fn wrong_amounts(name: &str) -> Vec<(&'static str, Value)> {
    let mut texts = vec![
        "",
        " ",
        "NaN",
        "Infinity",
        "1e400",
        "1e2",
        "0x10",
        "1,000.00",
        "1.1234567890123",
        "1.",
        ".5",
        "12.345",
        "99999999999999999999999999",
        "9223372036854775807",
        "92233720368547758.08",
        "١٢",
        "1\u{0}",
        "--1",
        "+-1",
    ];
    let mut numbers = vec![
        "1.1234567890123",
        "1e400",
        "-1e400",
        "1e-400",
        "99999999999999999999999999",
        "12.345",
        "0.001",
    ];
    // A wallet may begin with nothing, or with debts.
    if name != "opening_balance" {
        texts.extend(["0", "0.00", "-1", "-0.01", "-0"]);
        numbers.extend(["0", "-1", "-0.01", "-0.0"]);
    }
    let texts = texts.into_iter().map(|text| ("amount", json!(text)));
    let long = ("amount", json!("9".repeat(100_000)));
    let numbers = numbers.into_iter().map(|text| ("amount", number(text)));
    texts.chain([long]).chain(numbers).collect()
}

fn wrong_texts(name: &str, may_be: &[&Value]) -> Vec<(&'static str, Value)> {
    let said = |key: &str| may_be.iter().find_map(|schema| schema[key].as_u64());
    let named = |key: &str| may_be.iter().any(|schema| !schema[key].is_null());
    let formatted = named("format") && name != "password";
    let mut wrong = Vec::new();
    if said("minLength").is_some() || formatted || named("enum") || named("pattern") {
        wrong.push(("text", json!("")));
    }
    // People may have any character in their passwords.
    if name != "password" {
        wrong.push(("text", json!("a\u{0}b")));
    }
    let too_long = said("maxLength").unwrap_or(100_000) + 1;
    let too_long = usize::try_from(too_long).expect("a length");
    wrong.push(("text", json!("x".repeat(too_long))));
    wrong.push(("text", json!("🦀".repeat(too_long))));
    if formatted || named("enum") || named("pattern") {
        let odd = [
            "no such thing",
            "' OR 1=1 --",
            "00000000",
            "{}",
            "2026-02-30",
            "+262142-12-31",
            "-0001-01-01",
        ];
        wrong.extend(odd.map(|text| ("text", json!(text))));
    }
    match name {
        "currency" => {
            wrong.extend(["ZZZ", "US", "$$$", "US\u{0}", "usd "].map(|text| ("text", json!(text))))
        }
        "time_zone" => {
            wrong.extend(["Mars/Base", "UTC+25", "../etc"].map(|text| ("text", json!(text))))
        }
        "email" => {
            wrong.extend(["ada", "ada@", "@b.c", "a@b\u{0}.com"].map(|text| ("text", json!(text))))
        }
        "starts_on" | "date" => {
            wrong.extend(
                [
                    "1899-12-31",
                    "0000-01-01",
                    "10000-01-01",
                    "2026-2-1",
                    "2026-02-10T00:00:00Z",
                ]
                .map(|text| ("text", json!(text))),
            );
        }
        _ => {}
    }
    wrong
}
