//! What stands beside the stories: a running server with people who use it, and a chain that is
//! stepped by hand.

/// The chain without a server: the steps of relay and consumers are taken by the test.
pub(crate) mod chain;
/// The routes as the server tells of them.
pub(crate) mod openapi;
/// Somebody who uses the API.
pub(crate) mod person;
/// The real binary in a process of its own.
pub(crate) mod process;
/// The books counted anew.
pub(crate) mod recount;
/// Everything that the database holds.
pub(crate) mod rows;
/// A running server.
pub(crate) mod world;

pub(crate) use chain::Chain;
pub(crate) use openapi::{Document, Operation, Things};
pub(crate) use person::{Answer, Person};
pub(crate) use process::Process;
pub(crate) use recount::{recount, settled};
pub(crate) use rows::Rows;
pub(crate) use world::World;

use wealth_companion::config::{Config, LoadArgs};

/// Settings for a test: its own folder, free ports, cheap hashes, no limits; `set` comes on top.
pub(crate) fn config(data_dir: &std::path::Path, set: &[(&str, &str)]) -> Config {
    let mut args = LoadArgs::new();
    for (key, value) in settings(data_dir).iter().chain(set) {
        args = args.flag(*key, *value, "--set");
    }
    Config::load(&args).expect("good settings").config
}

/// The settings of every test.
fn settings(data_dir: &std::path::Path) -> [(&str, &str); 8] {
    [
        ("data_dir", data_dir.to_str().expect("a UTF-8 path")),
        ("http.public_addr", "127.0.0.1:0"),
        ("http.internal_addr", "127.0.0.1:0"),
        ("http.workers", "1"),
        ("auth.hash_memory_kib", "8"),
        ("auth.hash_iterations", "1"),
        ("limits.requests_per_minute", "0"),
        ("limits.sign_in_per_minute", "0"),
    ]
}
