//! The database is locked, the disk is full, the queue is long: the server says so, writes nothing by
//! halves, goes on reading, and goes on writing when the fault has passed.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use wealth_companion::clock::Clock;
use wealth_companion::domain::money::AmountText;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::store::StoreError;
use wealth_companion::store::transactions::{self, Draft};

use crate::support::chain::{Chain, Household, day};
use crate::support::recount::number;
use crate::support::{Answer, Person, Process, World, recount, settled};

const DAY: &str = "2026-02-10";

/// Somebody else who writes to the database, and does not let go.
async fn lock(folder: &TempDir) -> DatabaseConnection {
    let path = folder.path().join("wealth.db");
    let mut options = ConnectOptions::new(format!("sqlite:{}", path.display()));
    options.max_connections(1);
    let other = Database::connect(options).await.expect("it opens");
    run(&other, "BEGIN IMMEDIATE").await;
    other
}

async fn run(db: &DatabaseConnection, text: &str) {
    db.execute_unprepared(text).await.expect("it runs");
}

/// An attempt to book, whatever comes of it.
async fn book(person: &Person, wallet: &str, category: &str, amount: &str) -> Answer {
    let body = json!({
        "wallet_id": wallet, "category_id": category, "type": "expense", "amount": amount, "date": DAY
    });
    person.post("/v1/transactions", &body).await
}

#[track_caller]
fn says_busy(answer: Answer) {
    let answer = answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_locked_database_is_said_and_passes() {
    let world = World::with(&[("database.busy_timeout_ms", "100")], Clock::system()).await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;

    let other = lock(&world.data_dir).await;
    says_busy(book(&ada, &wallet, &groceries, "1.00").await);
    ada.get("/v1/dashboard").await.expect(200);
    run(&other, "ROLLBACK").await;
    other.close().await.expect("it closes");

    book(&ada, &wallet, &groceries, "2.00").await.expect(201);
    settled(world.data_dir.path()).await;
    let counted = recount(world.data_dir.path()).await.agrees();
    assert_eq!((counted.transactions, counted.events), (1, 1));
}

#[tokio::test]
async fn who_does_not_wait_for_an_answer_is_in_the_log_all_the_same() {
    let folder = TempDir::new().expect("a folder");
    let settings = [
        ("database.busy_timeout_ms", "60000"),
        ("http.request_timeout_ms", "1500"),
    ];
    let process = Process::start(folder.path(), &settings).await;
    let ada = process.register("ada").await;
    let other = lock(&folder).await;
    let body = json!({"name": "Groceries", "kind": "expense"});
    let request = process.http.post(format!("{}/v1/categories", process.url));
    let request = request.bearer_auth(&ada.token).json(&body);
    let impatient = request.timeout(Duration::from_millis(300)).send().await;
    assert!(impatient.expect_err("nothing is written").is_timeout());
    let late = ada.post("/v1/categories", &body).await;
    late.problem(503, "unavailable");
    run(&other, "ROLLBACK").await;
    other.close().await.expect("it closes");

    let count = |status: u16| {
        format!(
            "wealth_http_requests_total{{method=\"POST\",route=\"/v1/categories\",status=\"{status}\"}} 1"
        )
    };
    let metrics = process.internal_text("/metrics").await;
    for status in [499, 503] {
        assert!(metrics.contains(&count(status)), "{status}: {metrics}");
    }
    let (lines, _) = process.stop().await;
    let statuses: Vec<Value> = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["message"] == "request" && line["route"] == "/v1/categories")
        .map(|line| line["status"].clone())
        .collect();
    assert_eq!(statuses, [499, 503]);
}

#[tokio::test]
async fn who_was_told_that_time_ran_out_finds_nothing_written_later() {
    let settings = [("http.request_timeout_ms", "300")];
    let world = World::with(&settings, Clock::system()).await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;

    // They wait for the writer, and it for the lock, until nobody waits for them any more.
    let other = lock(&world.data_dir).await;
    let answers = join_all((0..4).map(|_| book(&ada, &wallet, &groceries, "1.00"))).await;
    for answer in answers {
        let answer = answer.problem(503, "unavailable");
        assert!(!answer.text("detail").contains("nothing was written"));
    }
    run(&other, "ROLLBACK").await;
    other.close().await.expect("it closes");

    book(&ada, &wallet, &groceries, "2.00").await.expect(201);
    settled(world.data_dir.path()).await;
    let counted = recount(world.data_dir.path()).await.agrees();
    assert_eq!(counted.transactions, 1);
}

#[tokio::test]
async fn a_long_queue_is_said_at_once() {
    let settings = [
        ("database.busy_timeout_ms", "100"),
        ("database.write_queue_max", "1"),
        ("database.write_batch_max", "1"),
    ];
    let world = World::with(&settings, Clock::system()).await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;

    let other = lock(&world.data_dir).await;
    let many = join_all((0..20).map(|_| book(&ada, &wallet, &groceries, "1.00")));
    let answers = tokio::time::timeout(Duration::from_secs(10), many).await;
    for answer in answers.expect("nobody hangs") {
        says_busy(answer);
    }
    run(&other, "ROLLBACK").await;
    other.close().await.expect("it closes");

    book(&ada, &wallet, &groceries, "2.00").await.expect(201);
    settled(world.data_dir.path()).await;
    assert_eq!(
        recount(world.data_dir.path()).await.agrees().transactions,
        1
    );
}

#[tokio::test]
async fn a_disk_that_refuses_is_said_and_passes() {
    let folder = TempDir::new().expect("a folder");
    let server = Process::start(folder.path(), &[]).await;
    let ada = server.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    book(&ada, &wallet, &groceries, "1.00").await.expect(201);
    settled(folder.path()).await;

    server.limit_files(Some(4096));
    for _ in 0..3 {
        says_busy(book(&ada, &wallet, &groceries, "1.00").await);
    }
    let list = ada.get("/v1/transactions").await.expect(200);
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1));
    ada.get("/v1/dashboard").await.expect(200);
    server.limit_files(None);

    book(&ada, &wallet, &groceries, "2.00").await.expect(201);
    settled(folder.path()).await;
    let counted = recount(folder.path()).await.agrees();
    assert_eq!((counted.transactions, counted.events), (2, 2));
}

fn draft(household: Household, category_id: Uuid, amount: &str) -> Draft {
    Draft {
        category_id: Some(category_id),
        description: Some("x".repeat(200)),
        ..Draft::new(
            household.wallet_id,
            TransactionType::Expense,
            AmountText::Text(amount.to_owned()),
            day(DAY),
        )
    }
}

/// A unit of work that books.
async fn write(chain: &Chain, household: Household, category_id: Uuid) -> Result<(), StoreError> {
    let (act, id) = (chain.act(household), chain.ids.v7(chain.clock.now()));
    let draft = draft(household, category_id, "1.00");
    let unit = chain
        .store
        .write(move |tx| async move { transactions::book(&tx, act, id, draft).await });
    unit.await.map(|_| ())
}

/// Bounds the size of the database.
async fn pages_at_most(chain: &Chain, pages: i64) {
    let limit = format!("PRAGMA max_page_count = {pages}");
    let set = chain.store.write(move |tx| async move {
        tx.execute_unprepared(&limit).await?;
        Ok(())
    });
    set.await.expect("a limit");
}

#[tokio::test]
async fn a_full_disk_takes_nothing_with_it() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let pages = number(chain.store.reads(), "PRAGMA page_count").await;
    pages_at_most(&chain, pages + 8).await;

    let mut booked: i64 = 0;
    let refused = loop {
        match write(&chain, ada, ada.category_id).await {
            Ok(()) => booked += 1,
            Err(error) => break error,
        }
        assert!(booked < 1_000, "the disk never is full");
    };
    assert!(matches!(refused, StoreError::Busy(_)), "{refused:?}");
    let rows = number(chain.store.reads(), "SELECT COUNT(*) FROM transactions").await;
    assert_eq!(rows, booked);
    assert_eq!(i64::try_from(chain.log().await.len()), Ok(booked));

    // Somebody makes room; the writer goes on.
    pages_at_most(&chain, pages + 1_000).await;
    write(&chain, ada, ada.category_id).await.expect("room");
    chain.settle().await;
    let counted = recount(chain.data_dir.path()).await.agrees();
    assert_eq!(counted.transactions, booked + 1);
}

/// A unit of work that books, and fails after it.
async fn write_in_vain(chain: &Chain, household: Household) -> Result<(), StoreError> {
    let (act, id) = (chain.act(household), chain.ids.v7(chain.clock.now()));
    let draft = draft(household, household.category_id, "1.00");
    let unit = chain.store.write(move |tx| async move {
        transactions::book(&tx, act, id, draft).await?;
        Err(StoreError::NotFound("reason to go on"))
    });
    unit.await
}

#[tokio::test]
async fn who_fails_takes_nothing_of_the_neighbours_in_the_same_commit() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let unknown = chain.ids.v4();
    // All are in the queue before the writer, on the same thread, can take the first.
    let verdicts = join_all((0..60).map(|n| {
        let chain = &chain;
        async move {
            match n % 3 {
                0 => write(chain, ada, ada.category_id).await,
                1 => write(chain, ada, unknown).await,
                _ => write_in_vain(chain, ada).await,
            }
        }
    }));
    for (n, verdict) in verdicts.await.into_iter().enumerate() {
        match (n % 3, verdict) {
            (0, Ok(())) | (2, Err(StoreError::NotFound(_))) => {}
            (1, Err(StoreError::Invalid { field, .. })) => assert_eq!(field, "category_id"),
            (_, other) => panic!("{n}: {other:?}"),
        }
    }
    chain.settle().await;
    let counted = recount(chain.data_dir.path()).await.agrees();
    assert_eq!((counted.transactions, counted.events), (20, 20));
}

#[tokio::test]
async fn valid_bookings_stand_beside_invalid_ones() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    let unknown = Uuid::nil().to_string();
    let attempts = (0..40).map(|n| {
        let category = if n % 2 == 0 { &groceries } else { &unknown };
        book(&ada, &wallet, category, "1.00")
    });
    for (n, answer) in join_all(attempts).await.into_iter().enumerate() {
        if n % 2 == 0 {
            answer.expect(201);
        } else {
            let answer = answer.problem(422, "validation");
            assert_eq!(answer.body["errors"][0]["pointer"], "/category_id");
        }
    }
    let wallet = ada.get(&format!("/v1/wallets/{wallet}")).await.expect(200);
    assert_eq!(wallet.body["balance"], "980.00");
    settled(world.data_dir.path()).await;
    assert_eq!(
        recount(world.data_dir.path()).await.agrees().transactions,
        20
    );
}
