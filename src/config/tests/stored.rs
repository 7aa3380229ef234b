//! Tests of secrets from a secret store: they are as if they had been configured.

use secrecy::{ExposeSecret, SecretString};

use super::{env, problem_lines};
use crate::config::{Config, LoadArgs};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn args(values: &[(&'static str, &str)]) -> LoadArgs {
    let secret = |(name, value): &(&'static str, &str)| (*name, SecretString::from(*value));
    LoadArgs::new()
        .environment(env(&[
            ("WEALTH__EMAIL__FROM", "a@example.com"),
            ("WEALTH__EMAIL__PUBLIC_URL", "https://a.example.com"),
            ("DATABASE_URL", "postgres://environment/db"),
            ("JWT_SECRET_KEY", &"e".repeat(32)),
            ("WEALTH__DAPR__SECRETSTORE", "shop"),
        ]))
        .secrets("shop", values.iter().map(secret).collect())
}

#[test]
fn the_store_goes_before_the_environment_and_flags_before_the_store() {
    let stored = [
        ("DATABASE_URL", "postgres://stored/db"),
        ("GEMINI_API_KEY", "g3m1n1"),
        ("JWT_SECRET_KEY", KEY),
        ("REDIS_URL", "redis://stored"),
        ("SMTP_URL", "smtps://stored"),
    ];
    let config = Config::load(&args(&stored)).expect("good").config;
    assert_eq!(config.database_url(), "postgres://stored/db");
    let key = config.auth.signing_keys[0].secret.expose_secret();
    assert_eq!(key, KEY);
    let redis = config.state.redis_url.expect("a URL");
    assert_eq!(redis.expose(), "redis://stored");
    let smtp = config.email.server.expect("a server");
    assert_eq!(smtp.host, "stored");
    let gemini = config.ai.gemini_api_key.expect("a key");
    assert_eq!(gemini.expose_secret(), "g3m1n1");

    let flagged = args(&stored).flag("database.url", "postgres://flag/db", "--set");
    let config = Config::load(&flagged).expect("good").config;
    assert_eq!(config.database_url(), "postgres://flag/db");
    let config = Config::load(&args(&[])).expect("good").config;
    assert_eq!(config.database_url(), "postgres://environment/db");
}

#[test]
fn what_the_store_gives_is_checked_as_what_is_configured() {
    let lines = problem_lines(&args(&[("DATABASE_URL", "mysql://s3cr3t")]));
    assert_eq!(
        lines,
        [
            "database.url: mysql: URLs are not supported by this build, only sqlite: or postgres: or \
             postgresql: (secret store \"shop\", DATABASE_URL)"
        ]
    );
    let alone = args(&[("DATABASE_URL", "sqlite:x.db")]).flag("bus.kind", "dapr", "--set");
    let lines = problem_lines(&alone);
    assert!(lines[0].starts_with("bus.kind: "), "{lines:?}");
}
