//! A Redis that is there, and not as it should be.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use wealth_companion::config::{Config, LoadArgs};

use crate::support::redis::{PASSWORD, ca_file};
use crate::support::{Process, RedisServer};

const AWAY: &str = "redis is away: this process goes on without it";
const BACK: &str = "redis is back";
const REFUSES: &str = "redis refuses what it is asked for";

async fn start(folder: &TempDir, url: &str, set: &[(&str, &str)]) -> Process {
    let mut all = vec![
        ("state.kind", "redis"),
        ("state.redis_url", url),
        ("state.timeout_ms", "2000"),
        ("limits.requests_per_minute", "1000"),
    ];
    all.extend(set);
    Process::start(folder.path(), &all).await
}

async fn until_said(process: &Process, message: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(line) = process.logged(message).first() {
            return line["error"].as_str().unwrap_or_default().to_owned();
        }
        assert!(Instant::now() < deadline, "it never said: {message}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_repeated() {
    let redis = RedisServer::start().await;
    let folder = TempDir::new().expect("a folder");
    let process = start(&folder, &redis.url_with("wr0ng-passw0rd"), &[]).await;
    let error = until_said(&process, AWAY).await;
    assert!(error.contains("authentication failed"), "{error}");
    process
        .register("ada")
        .await
        .get("/v1/me")
        .await
        .expect(200);
    let (lines, errors) = process.stop().await;
    let all = format!("{lines:?}{errors}");
    assert!(!all.contains("wr0ng-passw0rd"), "{all}");
    assert!(all.contains("redis://:***@127.0.0.1"), "{all}");
}

#[test]
fn a_malformed_url_stops_the_start_and_is_not_repeated() {
    for (url, about) in [
        ("http://:s3cr3t@localhost", "http: URLs are not supported"),
        (
            "redis://:s3cr3t@localhost/first",
            "is not a URL of the form",
        ),
        ("rediss://:s3cr3t@localhost/#insecure", "redis_ca_file"),
    ] {
        let args = LoadArgs::new().flag("state.kind", "redis", "--set").flag(
            "state.redis_url",
            url,
            "--set",
        );
        let problems = Config::load(&args).expect_err("refused").to_string();
        assert!(problems.contains("state.redis_url"), "{problems}");
        assert!(problems.contains(about), "{problems}");
        assert!(!problems.contains("s3cr3t"), "{problems}");
    }
}

#[tokio::test]
async fn tls_trusts_whom_it_is_told_to_trust() {
    let redis = RedisServer::start_with_tls().await;
    let ca = ca_file();
    let trusting = [("state.redis_ca_file", ca.to_str().expect("UTF-8"))];
    let folder = TempDir::new().expect("a folder");
    let process = start(&folder, &redis.tls_url(), &trusting).await;
    process
        .register("ada")
        .await
        .get("/v1/me")
        .await
        .expect(200);
    let (lines, _) = process.stop().await;
    assert!(!lines.iter().any(|line| line.contains(AWAY)), "{lines:#?}");

    let folder = TempDir::new().expect("a folder");
    let process = start(&folder, &redis.tls_url(), &[]).await;
    let error = until_said(&process, AWAY).await;
    assert!(error.contains("UnknownIssuer"), "{error}");
    process.stop().await;
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_made_anew() {
    let redis = RedisServer::start().await;
    let folder = TempDir::new().expect("a folder");
    let process = start(&folder, &redis.url(), &[]).await;
    let ada = process.register("ada").await;
    for _ in 0..3 {
        ada.get("/v1/me").await.expect(200);
        let _: i64 = redis.ask("CLIENT KILL TYPE normal").await;
    }
    let shared = redis.keys("limit:").await;
    assert_eq!(shared.len(), 2, "{shared:?}");
    let (lines, _) = process.stop().await;
    assert!(!lines.iter().any(|line| line.contains(AWAY)), "{lines:#?}");
}

/// A primary that was made a replica answers, and takes nothing.
#[tokio::test]
async fn one_that_takes_nothing_is_away() {
    let redis = RedisServer::start().await;
    let folder = TempDir::new().expect("a folder");
    let process = start(&folder, &redis.url(), &[]).await;
    let ada = process.register("ada").await;
    let _: String = redis.ask("REPLICAOF 127.0.0.1 1").await;
    ada.get("/v1/me").await.expect(200);
    until_said(&process, AWAY).await;
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(process.logged(BACK).len(), 0);
    let _: String = redis.ask("REPLICAOF NO ONE").await;
    until_said(&process, BACK).await;
    assert_eq!(process.logged(AWAY).len(), 1);
    process.stop().await;
}

#[tokio::test]
async fn a_right_that_is_missing_leaves_the_rest() {
    let redis = RedisServer::start().await;
    let acl = format!("ACL SETUSER ann on >{PASSWORD} ~* &* +@all -evalsha -eval");
    let _: String = redis.ask(&acl).await;
    let folder = TempDir::new().expect("a folder");
    let url = redis.url().replace("redis://:", "redis://ann:");
    let process = start(&folder, &url, &[]).await;
    let ada = process.register("ada").await;
    for _ in 0..3 {
        ada.get("/v1/me").await.expect(200);
    }
    let error = until_said(&process, REFUSES).await;
    assert!(error.contains("evalsha"), "{error}");
    assert_eq!(process.logged(REFUSES).len(), 1);
    assert_eq!(process.logged(AWAY).len(), 0);
    process.stop().await;
}

/// The rights that the documentation asks for.
#[tokio::test]
async fn a_user_needs_no_more_rights_than_are_told() {
    let redis = RedisServer::start().await;
    let rights = "~processed:* ~limit:* &wealth-companion:hints:* +set +get +exists +time \
                  +evalsha +script|load +publish +subscribe";
    let acl = format!("ACL SETUSER ann on >{PASSWORD} {rights}");
    let _: String = redis.ask(&acl).await;
    let folder = TempDir::new().expect("a folder");
    let url = redis.url().replace("redis://:", "redis://ann:");
    let process = start(&folder, &url, &[]).await;
    let ada = process.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let category = ada.category("Groceries").await;
    let booked = ada.spend(&wallet, &category, "1.00", "2026-02-10").await;
    ada.get_after("/v1/budgets", &booked).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    for prefix in ["limit:", "processed:projector:"] {
        while redis
            .keys(prefix)
            .await
            .iter()
            .all(|key| key == "limit:knock")
        {
            assert!(Instant::now() < deadline, "no {prefix}");
            // What was counted is forgotten within a second or two.
            ada.get("/v1/me").await.expect(200);
            sleep(Duration::from_millis(10)).await;
        }
    }
    let channels: Vec<String> = redis.ask("PUBSUB CHANNELS").await;
    assert_eq!(channels.len(), 1, "{channels:?}");
    let (lines, _) = process.stop().await;
    let warned = lines.iter().filter(|line| line.contains("\"WARN\""));
    assert_eq!(warned.count(), 0, "{lines:#?}");
}
