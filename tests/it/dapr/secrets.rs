//! Secrets come from the store, and one that is missing stops the start by its name.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::sidecar::{Options, free_ports};
use crate::support::stack::{SIGNING_KEY, fresh_database};
use crate::support::{Process, Sidecar, Stack};

const BINARY: &str = env!("CARGO_BIN_EXE_wealth-companion");

/// The binary beside a sidecar, in an environment without anything.
fn command(folder: &TempDir, port: u16, roles: &[&str], rest: &[&str]) -> Command {
    let token = Stack::get().text("/daprd/environment/DAPR_API_TOKEN");
    let mut command = Command::new(BINARY);
    command.env_clear().env("DAPR_API_TOKEN", token);
    for role in roles {
        command.args(["--role", role]);
    }
    for setting in [
        format!("data_dir={}", folder.path().display()),
        format!("dapr.http_port={port}"),
        "dapr.secretstore=secretstore".to_owned(),
        "http.public_addr=127.0.0.1:0".to_owned(),
        "http.internal_addr=127.0.0.1:0".to_owned(),
        "auth.hash_memory_kib=8".to_owned(),
        "log.format=json".to_owned(),
    ] {
        command.args(["--set", &setting]);
    }
    command.args(rest);
    command
}

async fn sidecar(secrets: serde_json::Value) -> Sidecar {
    let options = Options {
        secrets: secrets.to_string(),
        ..Options::default()
    };
    Sidecar::with("it-secrets", options).await
}

async fn output(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.expect("it does not panic").expect("it runs")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn the_roles_start_with_the_secrets_of_the_store() {
    let url = Stack::get().database_url(&fresh_database());
    // One as a key of a secret of Kubernetes would be, one as a secret of its own.
    let sidecar = sidecar(json!({
        "wealth-companion": {"DATABASE_URL": url, "GEMINI_API_KEY": ""},
        "JWT_SECRET_KEY": SIGNING_KEY,
    }))
    .await;
    let folder = TempDir::new().expect("a folder");
    let process = Process::spawn(command(&folder, sidecar.http_port, &[], &[])).await;
    let ada = process.register("ada").await;
    ada.get("/v1/me").await.expect(200);
    // Another process with the same secrets knows the token; it made no key of its own.
    assert!(!folder.path().join("jwt_secret_key").exists());
    assert!(!folder.path().join("wealth.db").exists());
    process.stop().await;

    let verify = output(command(&folder, sidecar.http_port, &[], &["verify"])).await;
    let said = String::from_utf8_lossy(&verify.stdout);
    assert!(said.starts_with("1 users"), "{said} {}", errors(&verify));
    let status = command(&folder, sidecar.http_port, &[], &["migrate", "status"]);
    assert!(output(status).await.status.success());
}

#[tokio::test]
async fn it_waits_for_a_sidecar_that_starts_later() {
    let [http_port] = free_ports();
    let folder = TempDir::new().expect("a folder");
    let url = Stack::get().database_url(&fresh_database());
    let secrets = json!({"DATABASE_URL": url, "JWT_SECRET_KEY": SIGNING_KEY}).to_string();
    let sidecar = async {
        // Later than a wait that is worth no word.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let options = Options {
            secrets,
            http_port: Some(http_port),
            ..Options::default()
        };
        Sidecar::with("it-secrets", options).await
    };
    let process = Process::spawn(command(&folder, http_port, &[], &[]));
    let (process, _sidecar) = tokio::join!(process, sidecar);
    let said = process.logged(&format!(
        "waits for the Dapr sidecar on port {http_port} (dapr.http_port), \
         for the secrets of the store \"secretstore\""
    ));
    assert_eq!(said.len(), 1);
    process.stop().await;
}

#[tokio::test]
async fn a_missing_secret_stops_the_start_by_its_name() {
    let sidecar = sidecar(json!({
        "wealth-companion": {"GEMINI_API_KEY": "s3cr3t", "JWT_SECRET_KEY": ""}
    }))
    .await;
    let folder = TempDir::new().expect("a folder");
    let port = sidecar.http_port;
    let redis = ["--set", "state.kind=redis"];
    let stopped = output(command(&folder, port, &["api"], &redis)).await;
    assert!(!stopped.status.success());
    let said = errors(&stopped);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert!(
        lines[0].contains(r#"the secret store "secretstore""#),
        "{said}"
    );
    for (line, name) in [(1, "DATABASE_URL"), (2, "JWT_SECRET_KEY"), (3, "REDIS_URL")] {
        let places = format!(r#"{name}: looked for as a key of the secret "wealth-companion" ("#);
        assert!(lines[line].starts_with(&places), "{said}");
        assert!(lines[line].contains("as a secret of its own ("), "{said}");
    }
    assert!(!said.contains("s3cr3t"), "{said}");

    // The notifier signs links in mails by the same key; the projector signs nothing.
    let stopped = output(command(&folder, port, &["notifier"], &[])).await;
    let said = errors(&stopped);
    assert!(said.contains("JWT_SECRET_KEY: looked for"), "{said}");
    let stopped = output(command(&folder, port, &["projector"], &[])).await;
    let said = errors(&stopped);
    assert!(said.contains("DATABASE_URL: looked for"), "{said}");
    assert!(!said.contains("JWT_SECRET_KEY"), "{said}");
    let stopped = output(command(&folder, port, &[], &["verify"])).await;
    assert!(errors(&stopped).contains("DATABASE_URL: looked for"));

    // A store that is not there says so.
    let other = ["--set", "dapr.secretstore=nowhere"];
    let stopped = output(command(&folder, port, &["projector"], &other)).await;
    let said = errors(&stopped);
    assert!(said.contains("failed finding secret store"), "{said}");
}

#[tokio::test]
async fn a_secret_that_is_none_stops_the_start_without_being_told() {
    let url = Stack::get().database_url("it_secrets");
    let sidecar = sidecar(json!({
        "wealth-companion": {"DATABASE_URL": url, "JWT_SECRET_KEY": "s3cr3t"}
    }))
    .await;
    let folder = TempDir::new().expect("a folder");
    let stopped = output(command(&folder, sidecar.http_port, &["api"], &[])).await;
    let said = errors(&stopped);
    let place = r#"(secret store "secretstore", JWT_SECRET_KEY)"#;
    assert!(said.contains("auth.jwt_secret_key: "), "{said}");
    assert!(said.contains(place), "{said}");
    assert!(said.contains("shorter than 32 bytes"), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[tokio::test]
async fn the_settings_are_shown_without_the_sidecar() {
    let folder = TempDir::new().expect("a folder");
    let show = command(&folder, 1, &[], &["config", "show"]);
    let shown = output(show).await;
    let text = String::from_utf8_lossy(&shown.stdout);
    for key in [
        "database.url",
        "state.redis_url",
        "auth.jwt_secret_key",
        "ai.gemini_api_key",
        "email.smtp_url",
    ] {
        let line = text.lines().find(|line| line.starts_with(key));
        let line = line.expect("the key");
        let from = r#"(from the secret store "secretstore" at the start)"#;
        assert!(line.contains(from), "{line}");
    }
    assert_eq!(text.matches("(from the secret store").count(), 5);
}

#[tokio::test]
async fn mail_is_tried_with_the_server_of_the_store_and_nothing_else_of_it() {
    let stack = Stack::get();
    let with = sidecar(json!({
        "wealth-companion": {"SMTP_URL": stack.text("/smtp/url"), "DATABASE_URL": "s3cr3t"}
    }))
    .await;
    let folder = TempDir::new().expect("a folder");
    let ca_file = format!("email.ca_file={}", stack.text("/smtp/ca_file"));
    let from = "email.from=books@example.com";
    let url = "email.public_url=https://books.example.com";
    let test = [
        "--set", &ca_file, "--set", from, "--set", url, "email", "test",
    ];
    let tried = [&test[..], &["dapr-secrets@example.com"]].concat();
    let tried = output(command(&folder, with.http_port, &[], &tried)).await;
    assert!(tried.status.success(), "{}", errors(&tried));

    let without = sidecar(json!({"wealth-companion": {"DATABASE_URL": "s3cr3t"}})).await;
    let tried = [&test[..], &["ada@example.com"]].concat();
    let stopped = output(command(&folder, without.http_port, &[], &tried)).await;
    assert_eq!(stopped.status.code(), Some(2));
    let said = errors(&stopped);
    assert!(said.contains("SMTP_URL: looked for as a key"), "{said}");
    assert!(!said.contains("DATABASE_URL"), "{said}");
}
