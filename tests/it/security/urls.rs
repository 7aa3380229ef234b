use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Document, World};

/// Formats of JSON Schema that name a place on a network.
const FORMATS: [&str; 8] = [
    "uri",
    "uri-reference",
    "iri",
    "iri-reference",
    "hostname",
    "idn-hostname",
    "ipv4",
    "ipv6",
];

/// Words in the name of a field that takes such a place.
const WORDS: [&str; 14] = [
    "url", "uri", "href", "link", "host", "endpoint", "webhook", "callback", "redirect", "avatar",
    "image", "logo", "feed", "website",
];

/// The fields of a schema that name a place, by their paths; `seen` are the references on the way.
fn places(document: &Document, schema: &Value, path: &str, seen: &[&str]) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        if seen.contains(&reference) {
            return Vec::new();
        }
        let seen = [seen, &[reference]].concat();
        return places(document, document.resolved(schema), path, &seen);
    }
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let is_place = FORMATS.iter().any(|format| schema["format"] == *format)
        || name
            .split(['_', '-'])
            .any(|word| WORDS.iter().any(|it| word.trim_end_matches('s') == *it));
    let mut found: Vec<String> = is_place.then(|| path.to_owned()).into_iter().collect();
    let mut look = |schema: &Value, path: &str| {
        found.extend(places(document, schema, path, seen));
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        look(property, &format!("{path}/{name}"));
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            look(&schema[key], path);
        }
    }
    for key in ["oneOf", "anyOf", "allOf", "prefixItems"] {
        for one in schema[key].as_array().into_iter().flatten() {
            look(one, path);
        }
    }
    found
}

/// Where somebody can name a URL, the server must not fetch it from inside: whoever adds such a
/// field makes it refuse private, link-local and loopback addresses, after names are resolved and
/// after each redirect, and tests that here.
#[tokio::test]
async fn nobody_can_name_a_place_for_the_server_to_go_to() {
    let world = World::start().await;
    let document = Document::of(&world).await;
    let mut found = BTreeSet::new();
    let mut looked_at = 0;
    for operation in document.operations() {
        let name = operation.name();
        if let Some(schema) = &operation.body {
            found.extend(places(&document, schema, &name, &[]));
            looked_at += 1;
        }
        let method = operation.method.as_str().to_lowercase();
        let parameters = &document.0["paths"][&operation.path][&method]["parameters"];
        for parameter in parameters.as_array().into_iter().flatten() {
            let path = format!("{name}/{}", parameter["name"].as_str().expect("a name"));
            found.extend(places(&document, &parameter["schema"], &path, &[]));
            looked_at += 1;
        }
    }
    assert!(looked_at > 40, "{looked_at}");
    assert_eq!(found, BTreeSet::new());
}

/// The look that finds nothing would find something.
#[test]
fn a_place_is_found_wherever_it_is_asked_for() {
    let document = Document(serde_json::json!({"components": {"schemas": {
        "Hook": {"properties": {
            "callback_url": {"type": "string"},
            "name": {"type": "string"},
            "next": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Hook"}]},
            "targets": {"type": "array", "items": {"type": "string", "format": "uri"}}
        }}
    }}}));
    let schema = serde_json::json!({"properties": {
        "hooks": {"type": "array", "items": {"$ref": "#/components/schemas/Hook"}}
    }});
    let found = places(&document, &schema, "", &[]);
    assert_eq!(found, ["/hooks/callback_url", "/hooks/targets"]);
}
