//! Bad bodies made from a schema and a good body: one thing is wrong with each.

use serde_json::{Value, json};

use crate::bad_values::wrong_values;
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
        Bad::text(
            "no JSON after a wrong field",
            r#"{"no_such_field": 1, :"#,
            &[400],
        ),
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
