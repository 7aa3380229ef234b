//! An upgrade of a database that people use: this release on the schema of the next one, and steps that keep
//! nobody from writing.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use migrations::{MigrationTrait, Migrations, Migrator, MigratorTrait, beside};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};
use sea_orm_migration::prelude::{DbErr, MigrationName, SchemaManager, async_trait};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use wealth_companion::store::Store;
use wealth_companion::store::audit::Audit;
use wealth_companion::store::schema::Schema;

use crate::support::kafka::Said;
use crate::support::recount::{number, recount_of, settled_in};
use crate::support::{Load, Person, Process, Stack, config_with, stack, until};

const DAY: &str = "2026-03-10";
/// Bookings in a large database.
const MANY: u32 = 1_000_000;

/// A migration of tests: its name, and what it does.
struct Step(&'static str, &'static str);

/// The index that the next release brings.
struct NewIndex;

const COLUMN: Step = Step(
    "m20990101_000001_column",
    "ALTER TABLE transactions ADD COLUMN next_note text",
);
const TABLE: Step = Step(
    "m20990101_000002_table",
    "CREATE TABLE next_things (id uuid PRIMARY KEY, \
     user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE)",
);
const INDEX: &str = "ix_transactions_payee";

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.0
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(self.1).await?;
        Ok(())
    }
}

impl MigrationName for NewIndex {
    fn name(&self) -> &'static str {
        "m20990101_000003_index"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for NewIndex {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        beside::create_index(manager, "transactions", &["payee"]).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}

fn and(more: Vec<Box<dyn MigrationTrait>>) -> Vec<Box<dyn MigrationTrait>> {
    let mut all = Migrator::migrations();
    all.extend(more);
    all
}

/// The release after this one.
fn next_release() -> Vec<Box<dyn MigrationTrait>> {
    and(vec![Box::new(COLUMN), Box::new(TABLE), Box::new(NewIndex)])
}

fn with_index() -> Vec<Box<dyn MigrationTrait>> {
    and(vec![Box::new(NewIndex)])
}

fn with_column() -> Vec<Box<dyn MigrationTrait>> {
    and(vec![Box::new(COLUMN)])
}

/// A database of this release, and a process on it.
struct Installation {
    url: String,
    folder: TempDir,
    process: Process,
}

impl Installation {
    async fn new() -> Self {
        let url = Stack::get().database_url(&stack::fresh_database());
        let folder = TempDir::new().expect("a folder");
        let process = Process::start(folder.path(), &settings(&url)).await;
        Self {
            url,
            folder,
            process,
        }
    }

    async fn schema(&self, migrations: Migrations) -> Schema {
        let config = config_with(&settings(&self.url));
        let schema = Schema::of_release(&config, migrations).await;
        schema.expect("it opens")
    }

    /// A migration of the next release, while others do something.
    async fn upgrading(&self, migrations: Migrations) -> tokio::task::JoinHandle<Vec<String>> {
        let schema = self.schema(migrations).await;
        tokio::spawn(async move { schema.up().await.expect("up") })
    }

    fn run(&self, args: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
        command
            .env_clear()
            .arg("--data-dir")
            .arg(self.folder.path());
        for (key, value) in settings(&self.url) {
            command.args(["--set", &format!("{key}={value}")]);
        }
        Said::of(&command.args(args).output().expect("it runs"))
    }

    async fn is_right(&self) {
        let config = config_with(&settings(&self.url));
        let store = Store::open(&config).await.expect("it opens").0;
        settled_in(&store).await;
        recount_of(&store).await.agrees();
        let audit = Audit::new(&store);
        let report = audit.run(
            false,
            wealth_companion::clock::Clock::system().now(),
            |_| {},
        );
        let report = report.await.expect("it can be verified");
        assert!(report.is_clean(), "{report:?}");
    }
}

fn settings(url: &str) -> [(&str, &str); 2] {
    [
        ("database.url", url),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ]
}

/// Somebody who books.
struct Booker {
    person: Person,
    wallet: String,
    category: String,
}

impl Booker {
    async fn new(process: &Process, name: &str) -> Self {
        let person = process.register(name).await;
        Self {
            wallet: person.wallet("Checking", "USD", "0").await,
            category: person.category("Groceries").await,
            person,
        }
    }

    /// Books so often, and waits for nobody else.
    async fn books(&self, count: usize) {
        for _ in 0..count {
            let booking = self.person.spend(&self.wallet, &self.category, "1.00", DAY);
            let booked = timeout(Duration::from_secs(10), booking).await;
            booked.expect("nobody is kept from writing");
        }
    }
}

/// A transaction that has written a booking, and stays open.
async fn open_transaction(url: &str) -> DatabaseConnection {
    let db = stack::connect(url).await;
    db.execute_unprepared("BEGIN").await.expect("begun");
    let text = "UPDATE transactions SET notes = 'held' WHERE id = (SELECT min(id::text)::uuid FROM transactions)";
    let done = db.execute_unprepared(text).await.expect("written");
    assert_eq!(done.rows_affected(), 1);
    db
}

async fn let_go(held: DatabaseConnection) {
    held.execute_unprepared("ROLLBACK").await.expect("ended");
}

/// How often there is an index, and whether it can be used.
async fn indexes(db: &DatabaseConnection, is_valid: bool) -> i64 {
    let text = format!(
        "SELECT COUNT(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
         WHERE relname = '{INDEX}' AND indisvalid = {is_valid}"
    );
    number(db, &text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_release_migrates_while_this_one_serves_and_this_one_starts_on_its_schema() {
    let all = Installation::new().await;
    let load = Load::begin(std::slice::from_ref(&all.process.url)).await;
    load.hears(4).await;
    let applied = all.upgrading(next_release).await.await.expect("it ends");
    assert_eq!(applied, [COLUMN.0, TABLE.0, NewIndex.name()]);
    load.books(20).await;
    load.hears(4).await;

    // Back to this release, whose schema is older: nobody takes the newer one's away.
    let folder = TempDir::new().expect("a folder");
    let back = Process::start(folder.path(), &settings(&all.url)).await;
    Booker::new(&back, "ada").await.books(3).await;
    let up = all.run(&["migrate", "up"]).ended(0);
    assert!(up.text.starts_with("the schema is up to date\n"), "{up:?}");
    up.with(COLUMN.0);
    all.run(&["migrate", "status"]).ended(0).with("0 pending");
    let status = all.run(&["migrate", "status", "--json"]).ended(0).json();
    assert_eq!(status["newer"].as_array().expect("names").len(), 3);
    all.run(&["migrate", "down", "--yes"])
        .refused("m20990101_000003_index is of a newer release");

    let booked = load.end().await;
    assert_eq!(booked.refused, 0, "nobody was told to come again");
    until("all alerts are heard", || async {
        booked.not_heard().is_empty()
    })
    .await;
    booked.heard_once();
    all.is_right().await;
    back.stop().await;
    all.process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_cannot_have_its_table_keeps_nobody_from_writing() {
    let all = Installation::new().await;
    let ada = Booker::new(&all.process, "ada").await;
    ada.books(1).await;
    let held = open_transaction(&all.url).await;
    let upgrading = all.upgrading(with_column).await;
    let db = stack::connect(&all.url).await;
    let waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' \
         AND relation = 'transactions'::regclass";
    for tries in 1..=2 {
        let begun = Instant::now();
        for is_waiting in [true, false] {
            while (number(&db, waiting).await > 0) != is_waiting {
                assert!(begun.elapsed() < Duration::from_secs(20), "try {tries}");
            }
        }
        ada.books(10).await;
    }
    assert!(!upgrading.is_finished(), "it waits for who holds the table");
    let_go(held).await;
    assert_eq!(upgrading.await.expect("it ends"), [COLUMN.0]);
    ada.books(1).await;
    all.process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_built_beside_those_who_write_and_anew_after_a_crash() {
    let all = Installation::new().await;
    let ada = Booker::new(&all.process, "ada").await;
    ada.books(1).await;
    let db = stack::connect(&all.url).await;
    let held = open_transaction(&all.url).await;
    let schema = all.schema(with_index).await;
    let upgrading = tokio::spawn(async move { schema.up().await });
    until("it is begun", || async { indexes(&db, false).await == 1 }).await;
    ada.books(10).await;
    // Somebody ends its connection.
    let kill = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'CREATE INDEX%'";
    assert_eq!(number(&db, kill).await, 1);
    upgrading.await.expect("no panic").expect_err("it is ended");
    assert_eq!(indexes(&db, false).await, 1, "half-built");

    // Two at once: the one that waits is not waited for.
    let one = all.upgrading(with_index).await;
    let other = all.upgrading(with_index).await;
    ada.books(10).await;
    assert!(!one.is_finished() && !other.is_finished());
    let_go(held).await;
    let mut applied = [one.await.expect("up").len(), other.await.expect("up").len()];
    applied.sort_unstable();
    assert_eq!(applied, [0, 1]);
    assert_eq!(indexes(&db, true).await, 1);
    all.process.stop().await;
}

/// What a step holds when it ends, of the tables that were there before: names of those on which nobody
/// could write meanwhile, and of those that it has written anew.
async fn held_by(url: &str, step: &dyn MigrationTrait) -> (Vec<String>, Vec<String>) {
    let db = stack::connect(url).await;
    let tx = db.begin().await.expect("begun");
    let remember = "CREATE TEMP TABLE before ON COMMIT DROP AS \
         SELECT oid, relname, relfilenode FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    tx.execute_unprepared(remember).await.expect("remembered");
    step.up(&SchemaManager::new(&tx)).await.expect("up");
    let held = "SELECT DISTINCT relname::text FROM pg_locks JOIN before ON before.oid = relation \
         WHERE pid = pg_backend_pid() AND mode IN \
         ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";
    let anew = "SELECT before.relname::text FROM before JOIN pg_class USING (oid) \
         WHERE before.relfilenode <> pg_class.relfilenode";
    let mut found = Vec::new();
    for text in [held, anew] {
        let statement = Statement::from_string(tx.get_database_backend(), text);
        let rows = tx.query_all_raw(statement).await.expect("rows");
        let names = rows.iter().map(|row| row.try_get_by_index(0));
        found.push(names.collect::<Result<Vec<String>, _>>().expect("names"));
    }
    tx.commit().await.expect("committed");
    let anew = found.pop().expect("two");
    (found.pop().expect("two"), anew)
}

/// Why these migrations keep others from writing: each step may hold one table for a moment, since whoever
/// waits for a second one while it holds a first keeps others waiting, and may write none anew.
async fn faults_of(all: Vec<Box<dyn MigrationTrait>>) -> Vec<String> {
    // What is in the first release was never on a database with people on it.
    const OF_THE_FIRST_RELEASE: usize = 18;
    let url = Stack::get().database_url(&stack::empty_database());
    let mut faults = Vec::new();
    for (number, step) in all.iter().enumerate() {
        let name = step.name();
        if step.use_transaction() == Some(false) {
            let db = stack::connect(&url).await;
            step.up(&SchemaManager::new(&db)).await.expect("up");
            continue;
        }
        let (held, anew) = held_by(&url, step.as_ref()).await;
        if number >= OF_THE_FIRST_RELEASE && (held.len() > 1 || !anew.is_empty()) {
            faults.push(format!("{name}: holds {held:?}, writes {anew:?} anew"));
        }
    }
    faults
}

#[tokio::test]
async fn no_step_holds_two_tables_or_writes_one_anew() {
    assert_eq!(faults_of(next_release()).await, [""; 0], "docs/adr/0010");
    let two = "ALTER TABLE wallets ADD COLUMN a text; ALTER TABLE users ADD COLUMN a text";
    let anew = "ALTER TABLE wallets ADD COLUMN b uuid DEFAULT gen_random_uuid()";
    let bad = and(vec![
        Box::new(Step("two", two)),
        Box::new(Step("anew", anew)),
    ]);
    let faults = faults_of(bad).await;
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_bookings_are_migrated_while_people_book() {
    let all = Installation::new().await;
    let ada = Booker::new(&all.process, "ada").await;
    ada.books(1).await;
    let db = stack::connect(&all.url).await;
    let many = format!(
        "INSERT INTO transactions (id, user_id, wallet_id, type, amount_minor, currency, date, category_id, \
           payee, version, created_at, updated_at) \
         SELECT gen_random_uuid(), user_id, wallet_id, type, 1, currency, date - n % 3650, category_id, \
           'payee ' || n % 1000, 1, created_at, updated_at \
         FROM transactions, generate_series(1, {MANY}) AS n"
    );
    // Each is like the one that was booked: nothing of it need be looked up.
    let trusting = "SET session_replication_role = replica";
    db.execute_unprepared(trusting).await.expect("set");
    db.execute_unprepared(&many).await.expect("many");
    let upgrading = all.upgrading(next_release).await;
    let done = AtomicBool::new(false);
    let booking = async {
        let mut took = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let begun = Instant::now();
            ada.books(1).await;
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        took
    };
    // What writers wait for is a table; how long they wait for the disk is another matter.
    let watching = async {
        let waits = "SELECT COALESCE(CEIL(MAX(EXTRACT(EPOCH FROM clock_timestamp() - waitstart)) * 1000), 0)::bigint \
             FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND mode = 'RowExclusiveLock'";
        let mut longest_ms = 0;
        while !done.load(Ordering::Relaxed) {
            longest_ms = longest_ms.max(number(&db, waits).await);
        }
        longest_ms
    };
    let migrating = async {
        let applied = upgrading.await.expect("it ends");
        done.store(true, Ordering::Relaxed);
        applied
    };
    let begun = Instant::now();
    let (took, longest_ms, applied) = tokio::join!(booking, watching, migrating);
    assert_eq!(applied.len(), 3);
    assert_eq!(indexes(&db, true).await, 1);
    // Figures for the reader: how long a booking takes depends on what else the machine does.
    println!(
        "{MANY} bookings were migrated in {:?}, while {} more were made: half of them took up to {:?}, the longest \
         {:?}; nobody was seen to wait for a table for more than {longest_ms} ms",
        begun.elapsed(),
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert!(took.len() > 3, "people booked meanwhile");
    all.process.stop().await;
}
