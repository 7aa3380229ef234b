//! Backups of the embedded database: made beside a server that goes on, and gone back to.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use wealth_companion::clock::Clock;

use crate::support::World;
use crate::support::kafka::Said;
use crate::support::recount::{recount, settled};

const DAY: &str = "2026-03-10";

fn back_up(data_dir: &Path, file: &Path) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
    command.env_clear().arg("--data-dir").arg(data_dir);
    Said::of(&command.arg("backup").arg(file).output().expect("it runs"))
}

#[track_caller]
fn refused(said: Said, because: &str) {
    let said = said.ended(2).refused(because);
    assert_eq!(said.errors.lines().count(), 1, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_to_a_backup_tells_nobody_twice() {
    let world = World::start().await;
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
    let data_dir = world.data_dir.path().to_owned();
    settled(&data_dir).await;

    // Somebody books while it is made: each booking is in it whole, or not at all.
    let elsewhere = TempDir::new().expect("a folder");
    let file = elsewhere.path().join("books.db");
    let theirs = elsewhere.path().join("books.db.part");
    std::fs::write(&theirs, "somebody's").expect("a file");
    let to = file.clone();
    let folder = data_dir.clone();
    let made = tokio::task::spawn_blocking(move || back_up(&folder, &to));
    let mut meanwhile = 0;
    while !made.is_finished() {
        ada.spend(&wallet, &food, "0.01", DAY).await;
        meanwhile += 1;
    }
    made.await.expect("it runs").ended(0);
    let mode = std::fs::metadata(&file)
        .expect("the backup")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600, "nobody else reads it");
    assert_eq!(
        std::fs::read(&theirs).expect("the file"),
        b"somebody's",
        "whatever its name is"
    );
    std::fs::remove_file(&theirs).expect("it goes");
    let left: Vec<_> = std::fs::read_dir(elsewhere.path())
        .expect("a folder")
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    // What comes later is in the server's books alone.
    ada.spend(&wallet, &fun, "120.00", DAY).await;
    ada.alerts(4).await;
    let (ended, _data) = world.stop().await;
    ended.expect("a clean end");

    let restored = TempDir::new().expect("a folder");
    std::fs::rename(&file, restored.path().join("wealth.db")).expect("it is put there");
    std::fs::copy(
        data_dir.join("jwt_secret_key"),
        restored.path().join("jwt_secret_key"),
    )
    .expect("the key");
    let world = World::on(restored, &[], Clock::system()).await;
    let ada = ada.at(&world);
    settled(world.data_dir.path()).await;
    assert_eq!(ada.alerts(2).await, told, "the same two, and no new ones");
    let books = recount(world.data_dir.path()).await;
    let books = books.agrees();
    assert!(
        books.transactions >= 1 && books.transactions <= 1 + meanwhile,
        "{books:?}"
    );
    // Life goes on from there.
    ada.spend(&wallet, &fun, "120.00", DAY).await;
    ada.alerts(4).await;
}

#[tokio::test]
async fn a_backup_is_written_over_nothing_and_needs_a_database() {
    let world = World::start().await;
    let data_dir = world.data_dir.path();
    let here = TempDir::new().expect("a folder");
    let file = here.path().join("books.db");
    std::fs::write(&file, "somebody's").expect("a file");
    refused(back_up(data_dir, &file), "is there already");
    assert_eq!(std::fs::read(&file).expect("the file"), b"somebody's");

    let nowhere = here.path().join("no/such/folder/books.db");
    refused(back_up(data_dir, &nowhere), "No such file or directory");
    let empty = TempDir::new().expect("a folder");
    refused(
        back_up(empty.path(), &here.path().join("b.db")),
        "wealth.db",
    );

    let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
    command
        .env_clear()
        .env("DATABASE_URL", "postgres://db/wealth");
    command.env(
        "JWT_SECRET_KEY",
        format!("k:{}", "0123456789abcdef".repeat(3)),
    );
    let output = command.arg("backup").arg(here.path().join("c.db")).output();
    refused(Said::of(&output.expect("it runs")), "pg_dump");
    let left = std::fs::read_dir(here.path()).expect("a folder").count();
    assert_eq!(left, 1, "nothing is left of what was refused");
}
