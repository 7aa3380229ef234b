//! Tests of loading as a whole: precedence, all problems at once, no secret in any output, no panic
//! on any input.

mod contradictions;
mod leaks;
mod problems;
mod show;
mod stored;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{Config, ConfigErrors, LoadArgs, LogFormat};

/// A configuration file in a directory that lives as long as it.
struct File(TempDir);

impl File {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let file = Self(directory);
        fs::write(file.path(), text).expect("a file in a temporary directory");
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("wealth.toml")
    }
}

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Loads a file alone.
fn load_text(text: &str) -> Result<Config, ConfigErrors> {
    let file = File::new(text);
    Config::load(&LoadArgs::new().file(file.path())).map(|loaded| loaded.config)
}

fn load_env(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::load(&LoadArgs::new().environment(env(variables))).map(|loaded| loaded.config)
}

/// The problems as lines, with the directory of the file left out.
fn problem_lines(args: &LoadArgs) -> Vec<String> {
    let errors = Config::load(args).expect_err("problems");
    let directory = args.file.as_deref().and_then(|path| path.parent());
    let directory = directory
        .map(|path| format!("{}/", path.display()))
        .unwrap_or_default();
    let text = errors.to_string();
    text.lines()
        .map(|line| {
            if directory.is_empty() {
                line.to_owned()
            } else {
                line.replace(&directory, "")
            }
        })
        .collect()
}

fn file_problems(text: &str) -> Vec<String> {
    let file = File::new(text);
    problem_lines(&LoadArgs::new().file(file.path()))
}

fn env_problems(variables: &[(&str, &str)]) -> Vec<String> {
    problem_lines(&LoadArgs::new().environment(env(variables)))
}

#[test]
fn the_defaults_are_valid() {
    let config = Config::load(&LoadArgs::default())
        .expect("the defaults")
        .config;
    assert_eq!(config.data_dir, PathBuf::from("data"));
    assert_eq!(config.database_url(), "sqlite:data/wealth.db?mode=rwc");
    assert_eq!(config.http.public_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.http.workers, None);
    assert_eq!(config.http.client_timeout, Duration::from_secs(10));
    assert_eq!(config.http.keep_alive, Duration::from_secs(75));
    assert_eq!(config.retention.log, Duration::from_secs(7 * 86_400));
    assert_eq!(config.retention.idempotency, Duration::from_secs(86_400));
    assert_eq!(config.limits.requests_per_minute.map(u32::from), Some(600));
    assert_eq!(config.log.format, LogFormat::Auto);
    assert!(config.auth.signing_keys.is_empty());
    assert!(config.ai.gemini_api_key.is_none());
    assert!(config.state.redis_url.is_none());
}

#[test]
fn later_layers_win() {
    let file = File::new(
        "data_dir = 'f'\n[http]\nworkers = 1\nbody_max_bytes = 2_048\n[log]\nlevel = \
         'debug'\nformat = 'json'\n",
    );
    let args = LoadArgs::new()
        .file(file.path())
        .environment(env(&[
            ("WEALTH__HTTP__WORKERS", "2"),
            ("WEALTH__DATA_DIR", "e"),
            ("WEALTH__LOG__FORMAT", "pretty"),
        ]))
        .flag("data_dir", "first", "--data-dir")
        .flag("data_dir", "g", "--data-dir")
        .flag_if("log.level", None::<String>, "--log-level");
    let loaded = Config::load(&args).expect("valid");

    let config = &loaded.config;
    assert_eq!(config.data_dir, PathBuf::from("g"));
    assert_eq!(config.http.workers.map(usize::from), Some(2));
    assert_eq!(config.http.body_max_bytes, 2_048);
    assert_eq!(config.http.connections_max, 12_000);
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.log.format, LogFormat::Pretty);

    let origin = |key: &str| {
        let setting = loaded
            .settings()
            .iter()
            .find(|setting| setting.key == key)
            .expect("a setting");
        setting.origin.clone()
    };
    assert_eq!(origin("data_dir"), "flag --data-dir");
    assert_eq!(origin("http.workers"), "environment WEALTH__HTTP__WORKERS");
    assert_eq!(
        origin("http.body_max_bytes"),
        format!("file {}:4", file.path().display())
    );
    assert_eq!(origin("http.connections_max"), "default");
}

#[test]
fn an_override_repairs_a_value_but_not_a_wrong_type() {
    let file = File::new("[http]\nworkers = 65\n");
    let repaired = LoadArgs::new()
        .file(file.path())
        .flag("http.workers", "3", "--workers");
    assert!(Config::load(&repaired).is_ok());

    let file = File::new("[http]\nworkers = 'many'\n");
    let args = LoadArgs::new()
        .file(file.path())
        .flag("http.workers", "3", "--workers");
    assert_eq!(
        problem_lines(&args),
        ["http.workers: expected an integer, found a string (file wealth.toml:2)"]
    );
}

#[test]
fn toml_may_be_written_in_any_style() {
    let config =
        load_text("http.workers = 0x2\nlog = { level = \"warn\" }\n[ai]\n").expect("valid");
    assert_eq!(config.http.workers.map(usize::from), Some(2));
    assert_eq!(config.log.level, "warn");
}

#[test]
fn bare_variables_set_their_keys() {
    let key = "k".repeat(32);
    let config = load_env(&[
        ("DATABASE_URL", "sqlite:other.db"),
        ("REDIS_URL", "redis://host"),
        ("JWT_SECRET_KEY", &key),
        ("GEMINI_API_KEY", "gem"),
        ("SMTP_URL", "smtp://host"),
        ("WEALTH__EMAIL__FROM", "a@example.com"),
        ("WEALTH__EMAIL__PUBLIC_URL", "https://a.example.com"),
        ("HOME", "/home/ann"),
        ("WEALTH_OTHER", "ignored"),
    ])
    .expect("valid");
    assert_eq!(config.database_url(), "sqlite:other.db");
    assert_eq!(
        config.state.redis_url.expect("set").expose(),
        "redis://host"
    );
    assert_eq!(config.auth.signing_keys[0].secret.expose_secret(), key);
    assert_eq!(
        config.ai.gemini_api_key.expect("set").expose_secret(),
        "gem"
    );
    assert_eq!(config.email.server.expect("set").host, "host");
}

#[test]
fn empty_bare_variables_count_as_not_set() {
    let file = File::new("[ai]\ngemini_api_key = 'from file'\n");
    let variables = env(&[
        ("GEMINI_API_KEY", ""),
        ("DATABASE_URL", ""),
        ("JWT_SECRET_KEY", ""),
    ]);
    let config = Config::load(&LoadArgs::new().file(file.path()).environment(variables))
        .expect("valid")
        .config;
    assert_eq!(
        config.ai.gemini_api_key.expect("set").expose_secret(),
        "from file"
    );
    assert!(config.database.url.is_none());
}

#[test]
fn both_names_of_a_key_may_agree() {
    let both = [
        ("DATABASE_URL", "sqlite:x.db"),
        ("WEALTH__DATABASE__URL", "sqlite:x.db"),
    ];
    assert_eq!(
        load_env(&both).expect("valid").database_url(),
        "sqlite:x.db"
    );
}

#[test]
fn every_choice_and_bound_of_the_table_fits_its_type() {
    use super::keys::{KEYS, Kind};
    // A pair of bounds may contradict the default of another key; that is not what is tested here.
    let fits = |key: &str, value: &str| {
        let loaded = Config::load(&LoadArgs::new().flag(key, value, "--flag"));
        let internal =
            |problem: &super::Problem| matches!(problem.kind, super::ProblemKind::Contradiction(_));
        loaded.map_or_else(|errors| errors.problems().iter().all(internal), |_| true)
    };
    for spec in KEYS {
        match spec.kind {
            Kind::Integer { min, max } => {
                assert!(fits(spec.name, &min.to_string()), "{} = {min}", spec.name);
                assert!(fits(spec.name, &max.to_string()), "{} = {max}", spec.name);
                assert!(
                    !fits(spec.name, &(min - 1).to_string()),
                    "{} < {min}",
                    spec.name
                );
                assert!(
                    !fits(spec.name, &(max + 1).to_string()),
                    "{} > {max}",
                    spec.name
                );
            }
            Kind::Choice(words) => {
                assert!(
                    words.iter().all(|word| fits(spec.name, word)),
                    "{}",
                    spec.name
                );
                assert!(!fits(spec.name, "no such word"), "{}", spec.name);
            }
            _ => {}
        }
    }
}
