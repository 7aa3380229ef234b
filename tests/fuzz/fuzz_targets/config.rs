//! Any file, environment and flags become a configuration or a list of problems, one a line, with its place; no secret
//! is ever in either.
#![no_main]

use std::io::Write;
use std::sync::OnceLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wealth_companion::config::{Config, LoadArgs, Loaded, Shown};
use wealth_companion_fuzz::{CANARY, folder};

#[derive(Arbitrary, Debug)]
enum Place {
    File,
    Environment,
    Flag,
}

#[derive(Arbitrary, Debug)]
struct Setting<'a> {
    key: u8,
    place: Place,
    value: &'a str,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    settings: Vec<Setting<'a>>,
    /// A secret, with what stands around it.
    secret: Option<(u8, Place, &'a str, &'a str)>,
    environment: Vec<(&'a str, &'a str)>,
    file: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let (file, args) = layers(&input);
    let loaded = Config::load(&args);
    let said = match &loaded {
        Ok(loaded) => told(loaded),
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            for problem in errors.problems() {
                let line = problem.to_string();
                assert!(
                    !line.contains(['\n', '\r']) && !problem.origin.is_empty(),
                    "{line:?}"
                );
            }
            format!("{errors} {errors:?}")
        }
    };
    assert!(!said.contains("S3CR3T"), "a secret is shown: {said}");
    let again = Config::load(&args)
        .map(|loaded| told(&loaded))
        .map_err(|errors| format!("{errors} {errors:?}"));
    assert_eq!(
        said,
        again.unwrap_or_else(|errors| errors),
        "it is not the same twice"
    );
    drop(file);
});

fn told(loaded: &Loaded) -> String {
    assert_eq!(loaded.settings().len(), keys().len());
    let shown = loaded.explain();
    format!(
        "{loaded:?} {:#?} {shown} {}",
        loaded.config,
        shown.to_json()
    )
}

/// Every key, and whether it holds a secret or a URL that may.
fn keys() -> &'static [(&'static str, bool)] {
    static KEYS: OnceLock<Vec<(&'static str, bool)>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let defaults = Config::load(&LoadArgs::new()).expect("defaults");
        let is_secret = |it: &wealth_companion::config::Setting| {
            matches!(it.value, Shown::NotSet)
                || it.key.ends_with("_url")
                || it.key.ends_with(".url")
        };
        defaults
            .settings()
            .iter()
            .map(|it| (it.key, is_secret(it)))
            .collect()
    })
}

fn layers(input: &Input<'_>) -> (tempfile::TempDir, LoadArgs) {
    let mut text = String::new();
    let mut args = LoadArgs::new();
    let mut put = |key: &'static str, place: &Place, value: &str| match place {
        // As TOML writes a text; what needs other escapes than JSON's is one more malformed file.
        Place::File => text.push_str(&format!("{key} = {}\n", serde_json::Value::from(value))),
        Place::Environment => {
            let name = format!("WEALTH__{}", key.replace('.', "__").to_uppercase());
            args = std::mem::take(&mut args).environment([(name, value.to_owned())]);
        }
        Place::Flag => args = std::mem::take(&mut args).flag(key, value, "--set"),
    };
    for setting in input.settings.iter().take(8) {
        put(
            keys()[usize::from(setting.key) % keys().len()].0,
            &setting.place,
            setting.value,
        );
    }
    if let Some((number, place, before, after)) = &input.secret {
        let secrets: Vec<&'static str> = keys().iter().filter(|it| it.1).map(|it| it.0).collect();
        let key = secrets[usize::from(*number) % secrets.len()];
        put(key, place, &secret(key, before, after));
    }
    let strange = input
        .environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    args = std::mem::take(&mut args).environment(strange);
    text.push_str(input.file);
    let folder = folder();
    let path = folder.path().join("wealth.toml");
    let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.expect("it is written");
    (folder, args.file(path))
}

/// What stands before the first colon of a signing key is its name, and before that of a URL its scheme: no secrets.
fn secret(key: &str, before: &str, after: &str) -> String {
    if key.ends_with("url") {
        let scheme = if key.starts_with("state") {
            "redis"
        } else {
            "postgres"
        };
        return format!("{scheme}://ann:{before}{CANARY}{after}@host/db");
    }
    let plain = |text: &str| text.replace([':', ','], "");
    format!("{}{CANARY}{}", plain(before), plain(after))
}
