//! The binary as an operator meets it: what it teaches, what it refuses and how it says so.

/// Starting to serve, and being refused to.
mod serving;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The binary in an empty folder, with nothing of the environment but what is given.
fn binary(folder: &Path, environment: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
    command
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .args(args)
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, environment: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = binary(folder, environment, args);
    command.output().expect("it runs")
}

/// What was written to stdout by a run that went well.
#[track_caller]
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    text
}

/// What was written to stderr by a run that was refused with this code.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

#[test]
fn help_teaches_the_roles_and_shows_examples() {
    let here = folder();
    let help = said(&run(here.path(), &[], &["--help"]));
    for taught in [
        "--role <ROLE>",
        "api:",
        "projector:",
        "notifier:",
        "all:",
        "--config <FILE>",
        "--data-dir <DIR>",
        "--set <KEY=VALUE>",
        "Examples:",
        "wealth-companion --role api --config",
        "config show",
        "SIGTERM",
    ] {
        assert!(help.contains(taught), "{taught} is not in\n{help}");
    }
    let version = said(&run(here.path(), &[], &["--version"]));
    assert_eq!(
        version,
        format!("wealth-companion {}\n", env!("CARGO_PKG_VERSION"))
    );
    let left = std::fs::read_dir(here.path()).expect("the folder").count();
    assert_eq!(left, 0, "nothing was made");
}

#[test]
fn config_check_says_everything_that_is_wrong_and_does_nothing() {
    let here = folder();
    let file = "data_dir = 5\n[http]\nworkers = 99\npublc_addr = \"x\"\n[bus]\nretry_min_ms = 5000\nretry_max_ms = 100\n";
    std::fs::write(here.path().join("wrong.toml"), file).expect("a file");
    let environment = [
        ("WEALTH__HTTP__INTERNAL_ADDR", "nowhere"),
        ("WEALTH__NO__SUCH", "1"),
        ("JWT_SECRET_KEY", "tooshort"),
    ];
    for args in [
        &["config", "check", "--config", "wrong.toml"][..],
        &["--config", "wrong.toml"],
    ] {
        let output = run(here.path(), &environment, args);
        let errors = refused(&output, 1);
        for wrong in [
            "data_dir: expected a string, found an integer (file wrong.toml:1)",
            "http.workers: 99 is out of bounds, 0 to 64 (file wrong.toml:3)",
            "http.publc_addr: unknown key (file wrong.toml:4); did you mean http.public_addr?",
            "http.internal_addr: \"nowhere\" is not an address",
            "no.such: unknown key (environment WEALTH__NO__SUCH)",
            "auth.jwt_secret_key: the secret of key 1 is shorter than 32 bytes",
            "bus.retry_max_ms: 100 is less than bus.retry_min_ms",
        ] {
            assert!(
                errors.lines().any(|line| line.starts_with(wrong)),
                "{wrong} is not in\n{errors}"
            );
        }
        assert!(
            errors.starts_with("wealth-companion: the settings are wrong:\n"),
            "{errors}"
        );
        assert!(!errors.contains("tooshort"), "a secret is shown");
        assert!(output.stdout.is_empty());
    }
    let left = std::fs::read_dir(here.path()).expect("the folder").count();
    assert_eq!(left, 1, "nothing but the file of settings");
    assert_eq!(
        said(&run(here.path(), &[], &["config", "check"])),
        "the settings are good\n"
    );
}

#[test]
fn config_show_tells_where_values_come_from_and_hides_secrets() {
    let here = folder();
    std::fs::write(here.path().join("some.toml"), "[http]\nworkers = 3\n").expect("a file");
    let secret = "k3y-".repeat(10);
    let environment = [
        ("JWT_SECRET_KEY", secret.as_str()),
        ("WEALTH__LOG__LEVEL", "warn"),
    ];
    let args = [
        "config",
        "show",
        "--config",
        "some.toml",
        "--set",
        "bus.poll_ms=70",
    ];
    let shown = said(&run(here.path(), &environment, &args));
    let squeezed: Vec<String> = shown
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "http.workers = 3 # file some.toml:2",
        "log.level = \"warn\" # environment WEALTH__LOG__LEVEL",
        "bus.poll_ms = 70 # flag --set",
        "bus.batch_max = 200 # default",
        "auth.jwt_secret_key = (hidden, 40 characters) # environment JWT_SECRET_KEY",
    ] {
        assert!(
            squeezed.iter().any(|line| line == expected),
            "{expected} is not in\n{shown}"
        );
    }
    let json = said(&run(
        here.path(),
        &environment,
        &[&args[..], &["--json"]].concat(),
    ));
    assert!(
        !shown.contains(&secret) && !json.contains(&secret),
        "a secret is shown"
    );
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        json.as_object().map(serde_json::Map::len),
        Some(squeezed.len())
    );
    assert_eq!(json["http.workers"]["value"], 3);
    assert_eq!(json["http.workers"]["source"], "file some.toml:2");
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_can() {
    let here = folder();
    let role = refused(&run(here.path(), &[], &["--role", "cook"]), 2);
    assert!(role.contains("api, projector, notifier, all"), "{role}");
    let set = refused(&run(here.path(), &[], &["--set", "nonsense"]), 2);
    assert!(set.contains("KEY=VALUE"), "{set}");
    let twice = [
        "--set",
        "http.workers=1",
        "config",
        "check",
        "--set",
        "log.level=warn",
    ];
    let twice = refused(&run(here.path(), &[], &twice), 2);
    assert!(twice.contains("in one place"), "{twice}");
    let command = refused(&run(here.path(), &[], &["confg"]), 2);
    assert!(command.contains("'config'"), "{command}");
    let file = refused(&run(here.path(), &[], &["--config", "none.toml"]), 1);
    assert!(file.contains("none.toml"), "{file}");
}

#[test]
fn every_command_of_the_examples_exists() {
    let here = folder();
    let help = said(&run(here.path(), &[], &["--help"]));
    let examples = help
        .lines()
        .filter_map(|line| line.strip_prefix("  wealth-companion "));
    let words = examples.filter_map(|example| example.split_whitespace().next());
    // The first example runs without a command; what follows is its explanation.
    for word in words.filter(|word| *word != "all" && !word.starts_with('-')) {
        let listed = help
            .lines()
            .any(|line| line.starts_with(&format!("  {word} ")));
        assert!(listed, "the help shows {word}, which is no command");
    }
}

#[test]
fn whoever_only_looks_changes_no_schema() {
    let here = folder();
    let run = |args: &[&str]| run(here.path(), &[], args);
    let nothing = refused(&run(&["migrate", "status"]), 2);
    assert!(nothing.contains("there is no database"), "{nothing}");
    assert!(!here.path().join("data").exists(), "nothing was made");
    said(&run(&["migrate", "up"]));
    said(&run(&["migrate", "down", "--yes"]));
    for looks in [&["verify"][..], &["dlq", "list"]] {
        let behind = refused(&run(looks), 2);
        assert!(
            behind.contains("run `wealth-companion migrate up`"),
            "{behind}"
        );
    }
    let status = run(&["migrate", "status"]);
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    assert!(String::from_utf8_lossy(&status.stdout).contains("1 pending"));
    let down = said(&run(&["migrate", "down", "--steps", "99", "--yes"]));
    assert!(down.starts_with("down  "), "{down}");
    let again = said(&run(&["migrate", "down", "--yes"]));
    assert_eq!(again, "there is nothing to take back\n");
}
