//! What each release has left in a database: kept in `releases/VERSION/`, brought up to date, and lived on.
//! `make keep-release` writes this version's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
};
use serde_json::json;
use tempfile::TempDir;
use wealth_companion::clock::Clock;
use wealth_companion::store::Store;
use wealth_companion::store::audit::Audit;

use crate::support::recount::{recount_of, settled_in};
use crate::support::world::PASSWORD;
use crate::support::{Answer, Person, Stack, World, config, config_with, stack};

const DAY: &str = "2026-03-11";

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/releases")
}

/// The versions that are kept.
fn versions() -> Vec<String> {
    let folders = std::fs::read_dir(kept()).expect("the releases");
    let names = folders.map(|folder| folder.expect("a folder").file_name());
    names
        .map(|name| name.into_string().expect("a version"))
        .collect()
}

fn dump(version: &str, file: &str) -> PathBuf {
    let file = kept().join(version).join(file);
    assert!(
        file.exists(),
        "{} is missing: run `make keep-release`",
        file.display()
    );
    file
}

/// A folder with the embedded database of a release.
async fn embedded(version: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let db = sqlite(folder.path()).await;
    let text = std::fs::read_to_string(dump(version, "sqlite.sql")).expect("a dump");
    db.execute_unprepared(&text).await.expect("restored");
    db.close().await.expect("closed");
    folder
}

async fn sqlite(folder: &Path) -> DatabaseConnection {
    let file = folder.join("wealth.db");
    let mut options = ConnectOptions::new(format!("sqlite:{}?mode=rwc", file.display()));
    options.max_connections(1).sqlx_logging(false);
    // A dump has its tables in the order of their names.
    options.map_sqlx_sqlite_opts(|options| options.foreign_keys(false));
    Database::connect(options).await.expect("it opens")
}

/// A database of the stack's server as a release has left it; its URL.
fn on_server(version: &str) -> String {
    let url = Stack::get().database_url(&stack::empty_database());
    let mut psql = Command::new("psql");
    psql.args([
        "-qX",
        "-v",
        "ON_ERROR_STOP=1",
        "-o",
        "/dev/null",
        &url,
        "-f",
    ]);
    let output = psql.arg(dump(version, "postgres.sql")).output();
    let output = output.expect("psql, of the clients of PostgreSQL");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    url
}

/// Everything that a schema is made of, as it was declared.
async fn declared(db: &DatabaseConnection) -> BTreeSet<String> {
    let all = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, is_nullable, \
               column_default) FROM information_schema.columns WHERE table_schema = 'public' UNION ALL \
             SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL \
             SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
               WHERE connamespace = 'public'::regnamespace UNION ALL \
             SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace UNION ALL \
             SELECT 'migration ' || version FROM seaql_migrations"
        }
        _ => {
            "SELECT type || ' ' || name || ': ' || COALESCE(sql, '') FROM sqlite_master \
               WHERE name NOT LIKE 'sqlite_%' UNION ALL \
             SELECT 'migration ' || version FROM seaql_migrations"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), all));
    let rows = rows.await.expect("a schema");
    let texts = rows.iter().map(|row| row.try_get_by_index(0));
    texts.map(|text| text.expect("a text")).collect()
}

#[track_caller]
fn same(kept: &BTreeSet<String>, made: &BTreeSet<String>) {
    assert!(kept.len() > 30, "{kept:#?}");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        kept == made,
        "what is kept of {version} is not what the migrations make: if {version} was released, raise the version in \
         Cargo.toml; then run `make keep-release`. Kept alone: {:#?}, made alone: {:#?}",
        kept.difference(made),
        made.difference(kept)
    );
}

#[tokio::test]
async fn this_versions_schema_is_kept() {
    let version = env!("CARGO_PKG_VERSION");
    let folder = embedded(version).await;
    let new = TempDir::new().expect("a folder");
    let set = [("data_dir", new.path().to_str().expect("a path"))];
    let made = Store::open(&config_with(&set)).await;
    drop(made.expect("made"));
    same(
        &declared(&sqlite(folder.path()).await).await,
        &declared(&sqlite(new.path()).await).await,
    );

    let new = Stack::get().database_url(&stack::fresh_database());
    same(
        &declared(&stack::connect(&on_server(version)).await).await,
        &declared(&stack::connect(&new).await).await,
    );
}

/// The person of the dump goes on: all is there, and the chain works.
async fn is_lived_on(folder: TempDir, set: &[(&str, &str)]) {
    let world = World::on(folder, set, Clock::system()).await;
    let who = json!({"email": "ada@example.com", "password": PASSWORD});
    let session = world.post("/v1/auth/login", &who).await.expect(200);
    let ada = Person::new(&world, &session.body);
    let list = async |path: &str| {
        let Answer { body, .. } = ada.get(path).await.expect(200);
        body["items"].as_array().expect("items").clone()
    };
    let wallets = list("/v1/wallets").await;
    assert_eq!(wallets[0]["balance"], "875.00", "{wallets:?}");
    assert_eq!(list("/v1/transactions").await.len(), 2);
    ada.alerts(2).await;

    let wallet = wallets[0]["id"].as_str().expect("an id");
    let fun = ada.category("Entertainment").await;
    ada.budget(&[&fun], "10.00").await;
    ada.spend(wallet, &fun, "12.00", DAY).await;
    ada.alerts(4).await;
    let store = Store::open(&config(world.data_dir.path(), set)).await;
    let store = store.expect("it opens").0;
    settled_in(&store).await;
    recount_of(&store).await.agrees();
    let now = world.clock.now();
    let report = Audit::new(&store).run(false, now, |_| {}).await;
    assert!(report.expect("it can be verified").is_clean());
    drop(store);
    world.stop().await.0.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_release_is_brought_up_to_date_and_lived_on() {
    let versions = versions();
    assert!(!versions.is_empty());
    for version in &versions {
        is_lived_on(embedded(version).await, &[]).await;
        let url = on_server(version);
        stack::migrate(&url);
        let set = [
            ("database.url", url.as_str()),
            ("auth.jwt_secret_key", stack::SIGNING_KEY),
        ];
        is_lived_on(TempDir::new().expect("a folder"), &set).await;
    }
}
