//! Tests that no secret is in any output, and that no input makes loading panic.

use proptest::prelude::*;

use super::{File, env, load_env};
use crate::config::keys::KEYS;
use crate::config::{Config, LoadArgs};

/// Longer than any signing key must be, and unlike anything else in the output.
const SECRET: &str = "s3cr3t-S3CR3T-s3cr3t-S3CR3T-s3cr3t-S3CR3T";

/// All that a load can show, valid or not.
fn all_output(args: &LoadArgs) -> String {
    match Config::load(args) {
        Ok(loaded) => {
            format!(
                "{loaded:?} {:#?} {} {}",
                loaded.config,
                loaded.explain(),
                loaded.explain().to_json()
            )
        }
        Err(errors) => format!("{errors} {errors:?}"),
    }
}

#[test]
fn valid_secrets_are_in_no_output() {
    let variables = [
        ("JWT_SECRET_KEY", format!("new:{SECRET},old:{SECRET}")),
        ("GEMINI_API_KEY", SECRET.to_owned()),
        (
            "REDIS_URL",
            format!("rediss://ann:{SECRET}@host/0?password={SECRET}"),
        ),
        ("DATABASE_URL", format!("sqlite:x.db?key={SECRET}")),
        ("SMTP_URL", format!("smtps://ann:{SECRET}@host")),
        ("WEALTH__EMAIL__FROM", "a@example.com".to_owned()),
        (
            "WEALTH__EMAIL__PUBLIC_URL",
            "https://a.example.com".to_owned(),
        ),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let args = LoadArgs::new().environment(variables);
    assert!(Config::load(&args).is_ok());
    let output = all_output(&args);
    assert!(!output.contains(SECRET), "{output}");
    assert!(
        output.contains("rediss://ann:***@host/0?password=***"),
        "{output}"
    );
}

#[test]
fn invalid_secrets_are_in_no_output() {
    for (name, value) in [
        ("JWT_SECRET_KEY", format!("{SECRET} with space:{SECRET}")),
        ("JWT_SECRET_KEY", format!("{SECRET}:short")),
        ("JWT_SECRET_KEY", format!("a:{SECRET},{SECRET}")),
        ("JWT_SECRET_KEY", format!("a:{SECRET},a:{SECRET}")),
        ("DATABASE_URL", SECRET.to_owned()),
        ("DATABASE_URL", format!("{SECRET}:x@host")),
        ("DATABASE_URL", format!("postgres://ann:{SECRET}@host/db")),
        ("REDIS_URL", format!("http://{SECRET}@host")),
        ("SMTP_URL", format!("http://{SECRET}@host")),
        ("SMTP_URL", format!("smtp://{SECRET}@host")),
        ("SMTP_URL", format!("smtp://ann:{SECRET}@host?tls=none")),
        ("SMTP_URL", format!("smtp://ann:{SECRET}@host?tls={SECRET}")),
    ] {
        let errors = load_env(&[(name, &value)]).expect_err("a problem");
        let output = format!("{errors} {errors:?}").to_lowercase();
        assert!(!output.contains(&SECRET.to_lowercase()), "{output}");
    }
}

#[test]
fn disagreeing_secrets_are_in_no_output() {
    let variables = [
        ("GEMINI_API_KEY", SECRET),
        ("WEALTH__AI__GEMINI_API_KEY", "other-S3CR3T"),
    ];
    let output = all_output(&LoadArgs::new().environment(env(&variables)));
    assert!(!output.contains("S3CR3T"), "{output}");
}

#[test]
fn a_secret_on_a_line_that_is_not_toml_is_in_no_output() {
    for text in [
        format!("[ai]\ngemini_api_key = {SECRET}\n"),
        format!("[ai]\ngemini_api_key = \"{SECRET}\n"),
        format!("[ai]\ngemini_api_key = \"{SECRET}\" x\n"),
        format!("[ai]\ngemini_api_key = \"{SECRET}\\q\"\n"),
        format!("[ai]\ngemini_api_key \"{SECRET}\"\n"),
        format!("[auth]\njwt_secret_key = [\"{SECRET}\"]\n"),
    ] {
        let file = File::new(&text);
        let args = LoadArgs::new().file(file.path());
        let output = all_output(&args);
        assert!(Config::load(&args).is_err(), "{text}");
        assert!(!output.contains("S3CR3T"), "{output}");
    }
}

/// Values of every type for a key, as they stand in TOML.
fn toml_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<String>().prop_map(|text| toml::Value::String(text).to_string()),
        Just("{ a = [1, { b = 2 }] }".to_owned()),
        ".{0,12}",
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    (0..KEYS.len()).prop_map(|index| KEYS[index].name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_file_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let file = File::new(&bytes);
        all_output(&LoadArgs::new().file(file.path()));
    }

    #[test]
    fn no_value_in_a_file_makes_it_panic(
        lines in proptest::collection::vec((key(), toml_value()), 0..8),
    ) {
        let text: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let file = File::new(&text);
        all_output(&LoadArgs::new().file(file.path()));
    }

    #[test]
    fn no_environment_makes_it_panic(
        strange in proptest::collection::vec(("(WEALTH__)?.{0,16}", any::<String>()), 0..8),
        known in proptest::collection::vec((key(), any::<String>()), 0..8),
        flags in proptest::collection::vec((".{0,16}", any::<String>()), 0..4),
    ) {
        let known = known.into_iter().map(|(key, value)| {
            (format!("WEALTH__{}", key.replace('.', "__").to_uppercase()), value)
        });
        let args = LoadArgs::new().environment(strange).environment(known);
        let args = flags
            .into_iter()
            .fold(args, |args, (key, value)| args.flag(key, value, "--flag"));
        all_output(&args);
    }

    #[test]
    fn no_password_is_in_any_output(
        scheme in "sqlite|redis|rediss|postgres|smtps?|[a-z]{1,8}",
        user in "[a-z]{0,8}",
        noise in "[ -~]{0,12}",
        host in "[a-z]{1,8}",
    ) {
        let url = format!("{scheme}://{user}:{noise}{SECRET}{noise}@{host}/0");
        for name in ["DATABASE_URL", "REDIS_URL", "SMTP_URL"] {
            let output = all_output(&LoadArgs::new().environment(env(&[(name, &url)])));
            prop_assert!(!output.contains("S3CR3T"), "{output}");
        }
    }

    #[test]
    fn no_signing_key_is_in_any_output(before in "[ -~]{0,40}", after in "[ -~]{0,40}") {
        // What stands before the first colon of an entry is the key's name, and no secret.
        let begun = before.rsplit(',').next().is_some_and(|entry| entry.contains(':'));
        let goes_on = after.split(',').next().is_some_and(|entry| entry.contains(':'));
        prop_assume!(begun || !goes_on);
        let text = format!("{before}{SECRET}{after}");
        let output = all_output(&LoadArgs::new().environment(env(&[("JWT_SECRET_KEY", &text)])));
        prop_assert!(!output.contains("S3CR3T"), "{output}");
    }
}
