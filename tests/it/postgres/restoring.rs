//! Backups of a server's database: `pg_dump` beside people who book, `pg_restore` on another server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use wealth_companion::clock::Clock;
use wealth_companion::store::Store;
use wealth_companion::store::audit::Audit;
use wealth_companion::store::schema::settle_log;

use crate::support::chain::noon;
use crate::support::recount::{number, recount_of, settled_in};
use crate::support::{Chain, Parts, Stack, World, config, stack};

const DAY: &str = "2026-03-10";

fn client(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output = output.expect("the clients of PostgreSQL");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
}

/// Copies a database into a file.
pub(crate) fn dump(url: &str, file: &Path) {
    let file = file.to_str().expect("a path");
    client("pg_dump", &["--format=custom", "--file", file, url]);
}

/// Puts a copy into an empty database.
pub(crate) fn restore(file: &Path, url: &str) {
    let file = file.to_str().expect("a path");
    client(
        "pg_restore",
        &["--no-owner", "--exit-on-error", "--dbname", url, file],
    );
}

fn settings(url: &str) -> [(&str, &str); 2] {
    [
        ("database.url", url),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ]
}

/// Another server, with an empty database; its parts, and the database's URL.
async fn another_server() -> (Parts, String) {
    let parts = Parts::start("postgres");
    let admin = stack::connect(parts.stack.text("/postgres/url")).await;
    use sea_orm::ConnectionTrait;
    admin
        .execute_unprepared("CREATE DATABASE restored TEMPLATE template0")
        .await
        .expect("a database");
    let url = parts.stack.database_url("restored");
    (parts, url)
}

/// Makes a server count transactions, as one does that has been used for long.
async fn count_transactions(url: &str, how_many: u32) {
    use sea_orm::ConnectionTrait;
    let db = stack::connect(url).await;
    let text = format!(
        "DO $$ BEGIN FOR n IN 1..{how_many} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    );
    db.execute_unprepared(&text).await.expect("counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_to_a_dump_on_another_server_tells_nobody_twice() {
    let url = Stack::get().database_url(&stack::fresh_database());
    count_transactions(&url, 20_000).await;
    let folder = TempDir::new().expect("a folder");
    let world = World::on(folder, &settings(&url), Clock::system()).await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let (food, fun) = (
        ada.category("Groceries").await,
        ada.category("Entertainment").await,
    );
    ada.budget(&[&food], "100.00").await;
    ada.budget(&[&fun], "100.00").await;
    ada.spend(&wallet, &food, "120.00", DAY).await;
    let told = ada.alerts(2).await;

    let file = world.data_dir.path().join("books.dump");
    let (from, to) = (url.clone(), file.clone());
    let made = tokio::task::spawn_blocking(move || dump(&from, &to));
    let mut meanwhile = 0;
    while !made.is_finished() {
        ada.spend(&wallet, &food, "0.01", DAY).await;
        meanwhile += 1;
    }
    made.await.expect("a dump");
    // What comes later is in those books alone.
    ada.spend(&wallet, &fun, "120.00", DAY).await;
    ada.alerts(4).await;
    let (ended, _folder) = world.stop().await;
    ended.expect("a clean end");

    let (_server, elsewhere) = another_server().await;
    restore(&file, &elsewhere);
    let db = stack::connect(&elsewhere).await;
    let ahead = "SELECT COUNT(*) FROM event_log WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    assert!(number(&db, ahead).await > 0, "this server has counted less");
    let folder = TempDir::new().expect("a folder");
    let world = World::on(folder, &settings(&elsewhere), Clock::system()).await;
    let ada = ada.at(&world);
    let config = config(world.data_dir.path(), &settings(&elsewhere));
    let store = Store::open(&config).await.expect("it opens").0;
    settled_in(&store).await;
    assert_eq!(ada.alerts(2).await, told, "the same two, and no new ones");
    let books = recount_of(&store).await.agrees();
    let others = 1 + meanwhile;
    assert!((1..=others).contains(&books.transactions), "{books:?}");
    // Life goes on from there: who books sees it, and is told.
    let booked = ada.spend(&wallet, &fun, "120.00", DAY).await;
    ada.sees(&booked).await;
    ada.alerts(4).await;
    settled_in(&store).await;
    recount_of(&store).await.agrees();
    let report = Audit::new(&store)
        .run(false, world.clock.now(), |_| {})
        .await;
    assert!(report.expect("it can be verified").is_clean());
    drop(store);
    world.stop().await.0.expect("a clean end");
}

#[tokio::test]
async fn what_was_said_and_not_heard_before_a_dump_is_heard_after_it_once() {
    let chain = Chain::on_postgres(&[]).await;
    let url = chain.config.database_url();
    count_transactions(&url, 20_000).await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    chain.spend(ada, "1.00", DAY).await;
    chain.settle().await;
    // Two are in the log, and one of them is published; the crossing waits for the projector.
    chain.spend(ada, "50.00", DAY).await;
    chain.publish().await;
    chain.spend(ada, "60.00", DAY).await;
    let place_before = chain.log().await.last().expect("an event").position;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("books.dump");
    dump(&url, &file);

    let (_server, elsewhere) = another_server().await;
    restore(&file, &elsewhere);
    let again = Chain::at(&elsewhere, &[]).await;
    settle_log(&again.store).await.expect("it goes on");
    again.clock.advance(Duration::from_secs(60));
    again.spend(ada, "1.00", DAY).await;
    let heard = async {
        let log = again.log().await;
        again.settle().await;
        log.last().expect("an event").position
    };
    let heard = tokio::time::timeout(Duration::from_secs(30), heard).await;
    let last = heard.expect("the log is read to its end");
    assert!(last > place_before, "{last} is not after {place_before}");
    let books = recount_of(&again.store).await.agrees();
    assert_eq!((books.transactions, books.alerts), (4, 2), "{books:?}");
    let now = noon();
    let report = Audit::new(&again.store).run(false, now, |_| {}).await;
    assert!(report.expect("it can be verified").is_clean());

    // A second time there is nothing to do, here as where it came from.
    for store in [&again.store, &chain.store] {
        let text = "SELECT COUNT(*) FROM pg_proc WHERE proname IN ('log_xid', 'log_horizon') AND prosrc LIKE '%+ 0'";
        let unmoved = number(store.reads(), text).await;
        settle_log(store).await.expect("nothing to do");
        assert_eq!(number(store.reads(), text).await, unmoved);
        let expected = if std::ptr::eq(store, &chain.store) {
            2
        } else {
            0
        };
        assert_eq!(unmoved, expected);
    }
}
