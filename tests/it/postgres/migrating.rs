//! `migrate up`, `down` and `status` on a server's database.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use wealth_companion::store::schema::Schema;

use crate::support::{Process, Stack, config_with, stack};

fn settings(url: &str) -> [(&str, &str); 2] {
    [
        ("database.url", url),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ]
}

#[tokio::test]
async fn of_two_migrators_at_once_one_waits() {
    let url = Stack::get().database_url(&stack::empty_database());
    let config = config_with(&settings(&url));
    let (one, other) = tokio::join!(Schema::open(&config), Schema::open(&config));
    let (one, other) = (one.expect("it opens"), other.expect("it opens"));
    let (first, second) = tokio::join!(one.up(), other.up());
    let mut applied = [first.expect("up").len(), second.expect("up").len()];
    applied.sort_unstable();
    let steps = one.steps().await.expect("steps");
    assert!(steps.iter().all(|step| step.applied));
    assert_eq!(
        applied,
        [0, steps.len()],
        "one did it all, the other found nothing to do"
    );
}

/// Runs a command on the database; gives its exit code and what it printed.
fn command(url: &str, folder: &std::path::Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wealth-companion"))
        .env_clear()
        .arg("--data-dir")
        .arg(folder)
        .args(["--set", &format!("database.url={url}")])
        .args([
            "--set",
            &format!("auth.jwt_secret_key={}", stack::SIGNING_KEY),
        ])
        .args(args)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("an exit code"), text + &errors)
}

#[tokio::test]
async fn an_operator_goes_up_and_down() {
    let url = Stack::get().database_url(&stack::empty_database());
    let folder = tempfile::TempDir::new().expect("a folder");
    let run = |args: &[&str]| command(&url, folder.path(), args);
    let status = || {
        let (code, text) = run(&["migrate", "status", "--json"]);
        let status: Value = serde_json::from_str(&text).expect("JSON");
        (code, status["pending"].as_u64().expect("a count"))
    };
    let (code, all) = status();
    assert!(code == 1 && all > 3, "{code} {all}");
    let (code, text) = run(&["verify"]);
    assert!(code == 2 && text.contains("migrate up"), "{text}");

    let (code, text) = run(&["migrate", "up"]);
    assert_eq!((code, text.lines().count() as u64), (0, all), "{text}");
    assert_eq!(
        run(&["migrate", "up"]),
        (0, "the schema is up to date\n".to_owned())
    );
    assert_eq!(status(), (0, 0));

    let (code, text) = run(&["migrate", "down"]);
    assert!(code == 1 && text.contains("--yes"), "{text}");
    assert_eq!(status(), (0, 0), "nothing was done");
    let (code, text) = run(&["migrate", "down", "--steps", "2", "--yes"]);
    assert_eq!((code, text.lines().count()), (0, 2), "{text}");
    assert_eq!(status(), (1, 2));
    let (_, text) = run(&["migrate", "status"]);
    assert!(text.ends_with("2 pending\n"), "{text}");
}

#[tokio::test]
async fn a_role_is_not_ready_until_somebody_has_migrated() {
    let name = stack::empty_database();
    let url = Stack::get().database_url(&name);
    let folder = tempfile::TempDir::new().expect("a folder");
    let set = settings(&url);
    let starting = Process::start(folder.path(), &set);
    tokio::pin!(starting);
    let early = tokio::time::timeout(Duration::from_millis(1_500), &mut starting).await;
    assert!(early.is_err(), "it is ready without a schema");
    let (code, text) = command(&url, folder.path(), &["migrate", "up"]);
    assert_eq!(code, 0, "{text}");
    let process = starting.await;
    let ada = process.register("ada").await;
    ada.get("/v1/me").await.expect(200);
    assert_eq!(
        process
            .logged("waits for the schema: run `wealth-companion migrate up`")
            .len(),
        1
    );
    process.stop().await;
}
