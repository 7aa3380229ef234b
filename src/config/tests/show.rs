//! Tests of `config show`.

use super::env;
use crate::config::keys::KEYS;
use crate::config::{Config, LoadArgs, Shown};

#[test]
fn show_aligns_keys_values_and_sources() {
    let args = LoadArgs::new()
        .environment(env(&[
            ("JWT_SECRET_KEY", &"k".repeat(43)),
            ("REDIS_URL", "redis://:s3cr3t@host"),
        ]))
        .flag("log.level", "info\u{1b}[2J", "--log-level");
    let text = Config::load(&args).expect("valid").explain().to_string();
    let lines: Vec<&str> = text.lines().collect();

    assert_eq!(lines.len(), KEYS.len());
    let columns = |mark: &str| {
        lines
            .iter()
            .map(|line| line.find(mark).expect("a mark"))
            .collect::<Vec<_>>()
    };
    assert!(
        columns(" = ").windows(2).all(|pair| pair[0] == pair[1]),
        "{text}"
    );
    assert!(
        columns("   # ").windows(2).all(|pair| pair[0] == pair[1]),
        "{text}"
    );

    let squeezed: Vec<String> = lines
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "data_dir = \"data\" # default",
        "http.workers = 0 # default",
        "state.redis_url = \"redis://:***@host\" # environment REDIS_URL",
        "auth.jwt_secret_key = (hidden, 43 characters) # environment JWT_SECRET_KEY",
        "ai.gemini_api_key = (not set) # default",
        "log.level = \"info\\u{1b}[2J\" # flag --log-level",
    ] {
        assert!(
            squeezed.iter().any(|line| line == expected),
            "{expected} is not in\n{text}"
        );
    }
}

#[test]
fn show_has_a_json_form() {
    let args = LoadArgs::new()
        .environment(env(&[("GEMINI_API_KEY", "s3cr3t")]))
        .flag("http.workers", "2", "--workers");
    let loaded = Config::load(&args).expect("valid");
    let json = loaded.explain().to_json();
    assert_eq!(
        json["http.workers"],
        serde_json::json!({ "value": 2, "source": "flag --workers" })
    );
    assert_eq!(json["ai.gemini_api_key"]["value"], "(hidden, 6 characters)");
    assert_eq!(json["auth.jwt_secret_key"]["value"], "(not set)");
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(KEYS.len()));
}

#[test]
fn settings_know_their_values() {
    let loaded = Config::load(&LoadArgs::new()).expect("valid");
    assert_eq!(loaded.settings()[0].value, Shown::Text("data".to_owned()));
    assert!(
        loaded
            .settings()
            .iter()
            .all(|setting| setting.origin == "default")
    );
}
