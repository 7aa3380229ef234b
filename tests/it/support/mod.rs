//! What stands beside the stories: a running server with people who use it, and a chain that is
//! stepped by hand.

/// The chain without a server: the steps of relay and consumers are taken by the test.
pub(crate) mod chain;
/// The roles apart, each with a sidecar.
pub(crate) mod cluster;
/// A collector of traces.
pub(crate) mod collector;
/// The roles as processes that can be killed.
pub(crate) mod fleet;
/// A double of the Gemini API.
pub(crate) mod gemini;
/// Topics and groups of a test's own.
pub(crate) mod kafka;
/// People who book and listen, whatever happens.
pub(crate) mod load;
/// Mailboxes of the stack's mail server.
pub(crate) mod mailbox;
/// The routes as the server tells of them.
pub(crate) mod openapi;
/// Parts of a test's own, to be stopped and killed.
pub(crate) mod parts;
/// Somebody who uses the API.
pub(crate) mod person;
/// The real binary in a process of its own.
pub(crate) mod process;
/// The books counted anew.
pub(crate) mod recount;
/// A Redis that can go away.
pub(crate) mod redis;
/// Everything that the database holds.
pub(crate) mod rows;
/// Which seeds are played.
pub(crate) mod seeds;
/// A real sidecar.
pub(crate) mod sidecar;
/// The real parts, and databases on them.
pub(crate) mod stack;
/// Topics of Kafka that belong to one test.
pub(crate) mod topics;
/// A running server.
pub(crate) mod world;

pub(crate) use chain::Chain;
pub(crate) use cluster::Cluster;
pub(crate) use fleet::{Bus, Fleet, Plan};
pub(crate) use load::Load;
pub(crate) use openapi::{Document, Operation, Things};
pub(crate) use parts::Parts;
pub(crate) use person::{Answer, Person};
pub(crate) use process::Process;
pub(crate) use recount::{recount, settled};
pub(crate) use redis::RedisServer;
pub(crate) use rows::Rows;
pub(crate) use sidecar::Sidecar;
pub(crate) use stack::Stack;
pub(crate) use topics::Topics;
pub(crate) use world::World;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wealth_companion::config::{Config, LoadArgs};

/// A file of the repository is what is made of the code; with `UPDATE_GENERATED` set it is written.
#[track_caller]
pub(crate) fn is_up_to_date(file: &std::path::Path, made: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(file, made).expect("it is written");
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        kept == made,
        "{} is out of date: run `make generated`",
        file.display()
    );
}

/// Settings for a test: its own folder, free ports, cheap hashes, no limits; `set` comes on top.
pub(crate) fn config(data_dir: &std::path::Path, set: &[(&str, &str)]) -> Config {
    let settings = settings(data_dir);
    let mut all: Vec<(&str, &str)> = settings
        .iter()
        .map(|(key, value)| (*key, &**value))
        .collect();
    all.extend(set);
    config_with(&all)
}

/// These settings, and the defaults.
pub(crate) fn config_with(set: &[(&str, &str)]) -> Config {
    let args = set.iter().fold(LoadArgs::new(), |args, (key, value)| {
        args.flag(*key, *value, "--set")
    });
    Config::load(&args).expect("good settings").config
}

/// The settings of every test. Where the stories run on PostgreSQL, the folder stands for a database.
fn settings(data_dir: &std::path::Path) -> Vec<(&'static str, String)> {
    let folder = data_dir.to_str().expect("a UTF-8 path");
    let mut settings = vec![
        ("data_dir", folder.to_owned()),
        ("http.public_addr", "127.0.0.1:0".to_owned()),
        ("http.internal_addr", "127.0.0.1:0".to_owned()),
        ("http.workers", "1".to_owned()),
        ("auth.hash_memory_kib", "8".to_owned()),
        ("auth.hash_iterations", "1".to_owned()),
        ("limits.requests_per_minute", "0".to_owned()),
        ("limits.sign_in_per_minute", "0".to_owned()),
        ("traces.exporter", "none".to_owned()),
        // They are told of as alerts, which stories count.
        ("insights.every_ms", "0".to_owned()),
    ];
    if stack::on_postgres() {
        let url = Stack::get().database_url(&stack::database_of(data_dir));
        settings.push(("database.url", url));
        settings.push(("auth.jwt_secret_key", stack::SIGNING_KEY.to_owned()));
    }
    settings
}

/// How long a test waits for something.
const UNTIL_AT_MOST: Duration = Duration::from_secs(40);

/// Waits until it is so.
pub(crate) async fn until<F>(what: &str, mut is_so: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < UNTIL_AT_MOST, "not in time: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
