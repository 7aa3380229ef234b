//! Values that a property of a schema must not have.

use serde_json::{Value, json};

use crate::support::Document;

fn number(text: &str) -> Value {
    serde_json::from_str(text).expect("a number")
}

/// Values that a property must not have, each with what kind of wrong it is.
pub(crate) fn wrong_values(
    document: &Document,
    name: &str,
    property: &Value,
) -> Vec<(&'static str, Value)> {
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
    if name == "rate" {
        wrong.extend(wrong_rates());
    } else if is("string") && (is("number") || name.contains("amount")) {
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

fn wrong_rates() -> Vec<(&'static str, Value)> {
    let texts = [
        "",
        " 1",
        "NaN",
        "Infinity",
        "1e2",
        "0x10",
        "1,5",
        "1.",
        ".5",
        "0",
        "0.000",
        "-1",
        "+1",
        "١٢",
        "1\u{0}",
        "1.234567890123",
        "1000000000000",
        "0.0000000000001",
    ];
    let numbers = [
        "0",
        "-1",
        "0e5",
        "1e12",
        "1e-13",
        "1e400",
        "-1e400",
        "1.234567890123",
        "99999999999999999999999999",
    ];
    let texts = texts.into_iter().map(|text| ("rate", json!(text)));
    let long = ("rate", json!("9".repeat(100_000)));
    let numbers = numbers.into_iter().map(|text| ("rate", number(text)));
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
        "currency" | "from" | "to" => {
            wrong.extend(["ZZZ", "US", "$$$", "US\u{0}", "usd "].map(|text| ("text", json!(text))));
        }
        "time_zone" => {
            wrong.extend(["Mars/Base", "UTC+25", "../etc"].map(|text| ("text", json!(text))));
        }
        "email" => {
            wrong.extend(["ada", "ada@", "@b.c", "a@b\u{0}.com"].map(|text| ("text", json!(text))));
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
