//! The log under many writers: nothing that is committed late is passed over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wealth_companion::bus::relay::Relay;
use wealth_companion::bus::{PublishError, Publisher};
use wealth_companion::events::Event;
use wealth_companion::store::event_log::{self, LogEntry, LogPosition};
use wealth_companion::store::{Store, StoreError, erasure, outbox, transactions};

use crate::support::chain::{Household, day, expense};
use crate::support::recount::number;
use crate::support::{Chain, Process, Stack, stack, until};

/// Books in a transaction that stays open until it is told to end.
fn book_slowly(
    chain: &Chain,
    who: Household,
    amount: &'static str,
) -> (
    oneshot::Receiver<()>,
    oneshot::Sender<()>,
    tokio::task::JoinHandle<Result<(), StoreError>>,
) {
    let (said_written, written) = oneshot::channel();
    let (end, told_to_end) = oneshot::channel::<()>();
    let (store, act, id) = (
        chain.store.clone(),
        chain.act(who),
        chain.ids.v7(chain.clock.now()),
    );
    let draft = expense(who, amount, day("2026-02-10"));
    let writing = tokio::spawn(async move {
        store
            .write(move |tx| async move {
                transactions::book(&tx, act, id, draft).await?;
                let _ = said_written.send(());
                let _ = told_to_end.await;
                Ok(())
            })
            .await
    });
    (written, end, writing)
}

async fn places(store: &Store, after: LogPosition) -> (Vec<LogPosition>, bool) {
    let found = event_log::read_after(store.reads(), after, None, 100)
        .await
        .expect("the log");
    let places = found.entries.iter().map(|entry| entry.position).collect();
    (places, found.held_back.is_some())
}

#[tokio::test]
async fn what_is_committed_late_is_not_passed_over() {
    let chain = Chain::on_postgres(&[]).await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    // Ada's event has the earlier place, and is committed after Bob's.
    let (written, end, writing) = book_slowly(&chain, ada, "1.00");
    written.await.expect("written");
    chain.spend(bob, "2.00", "2026-02-10").await;
    let (seen, more) = places(&chain.store, LogPosition::default()).await;
    assert_eq!(
        (seen, more),
        (Vec::new(), true),
        "Bob's event must wait for Ada's"
    );
    assert_eq!(chain.relay.tick().await.expect("the relay"), 0);

    end.send(()).expect("it waits");
    writing.await.expect("no panic").expect("committed");
    let all = chain.log().await;
    assert_eq!(all.len(), 2);
    assert!(all[0].position < all[1].position);
    assert_eq!(all[0].user_id, ada.user_id);
    chain.settle().await;
    let heard = "SELECT COUNT(*) FROM inbox WHERE consumer = 'projector'";
    assert_eq!(number(chain.store.reads(), heard).await, 2);
}

/// A session that somebody forgot keeps the whole log from its readers: that must be seen.
#[tokio::test]
async fn what_waits_for_somebody_elses_transaction_counts_as_unpublished() {
    let url = Stack::get().database_url(&stack::fresh_database());
    let folder = TempDir::new().expect("a folder");
    let set = [
        ("database.url", &*url),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ];
    let process = Process::start(folder.path(), &set).await;
    let ada = process.register("ada").await;
    let mut options = ConnectOptions::new(url.clone());
    options.max_connections(1);
    let somebody = Database::connect(options).await.expect("it opens");
    // It gets a number when it writes.
    let forgotten = "BEGIN; CREATE TABLE never_committed (id bigint)";
    somebody.execute_unprepared(forgotten).await.expect("open");
    let wallet = ada.wallet("Checking", "USD", "0").await;
    ada.spend(
        &wallet,
        &ada.category("Groceries").await,
        "1.00",
        "2026-02-10",
    )
    .await;

    let told = async |gauge: &str| process.metric::<f64>(gauge).await > 0.0;
    let (count, age) = (
        "wealth_relay_unpublished_events",
        "wealth_relay_oldest_unpublished_seconds",
    );
    until("it is told", async || told(count).await && told(age).await).await;
    let undone = somebody.execute_unprepared("ROLLBACK").await;
    undone.expect("it ends");
    until("it is over", async || {
        !told(count).await && !told(age).await
    })
    .await;
    process.stop().await;
}

#[tokio::test]
async fn what_is_undone_leaves_a_gap_that_holds_nobody_up() {
    let chain = Chain::on_postgres(&[]).await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    let (written, _end, writing) = book_slowly(&chain, ada, "1.00");
    written.await.expect("written");
    chain.spend(bob, "2.00", "2026-02-10").await;
    writing.abort();
    let log = chain.log().await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].user_id, bob.user_id);
}

#[tokio::test]
async fn the_outbox_does_not_wait_for_an_old_transaction() {
    let chain = Chain::on_postgres(&[("bus.kind", "kafka")]).await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    let (written, end, writing) = book_slowly(&chain, ada, "1.00");
    written.await.expect("written");
    chain.spend(bob, "2.00", "2026-02-10").await;
    let claim = outbox::claim(&chain.store, 100).await.expect("the outbox");
    let claim = claim.expect("Bob's event");
    assert_eq!(claim.entries.len(), 1);
    assert_eq!(claim.entries[0].user_id, bob.user_id);
    let told = Event::parse(claim.entries[0].envelope.as_bytes()).expect("an event");
    let place = claim.entries[0].position.to_string();
    assert_eq!(told.log_position, Some(place), "its place goes with it");

    // What one publisher has taken, another does not get.
    assert!(
        outbox::claim(&chain.store, 100)
            .await
            .expect("the outbox")
            .is_none()
    );
    end.send(()).expect("it waits");
    writing.await.expect("no panic").expect("committed");
    let late = outbox::claim(&chain.store, 100)
        .await
        .expect("the outbox")
        .expect("Ada's event");
    assert_eq!(late.entries[0].user_id, ada.user_id);

    // A publisher that dies gives back; one that could not publish some of it, too.
    let given_back: Vec<LogPosition> = late.entries.iter().map(|entry| entry.position).collect();
    late.settle(&given_back).await.expect("settled");
    drop(claim);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let again = outbox::claim(&chain.store, 100).await.expect("the outbox");
        if again.as_ref().is_some_and(|again| again.entries.len() == 2) {
            again.expect("both").settle(&[]).await.expect("settled");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{again:?}");
    }
    assert_eq!(outbox::depth(&chain.store, 10).await.expect("a depth"), 0);
}

/// A bus that keeps what it is given.
struct Kept(mpsc::UnboundedSender<Uuid>);

impl Publisher for Kept {
    fn publish<'a>(&'a self, batch: &'a [LogEntry]) -> BoxFuture<'a, Result<(), PublishError>> {
        assert!(!batch.is_empty(), "there is something to publish");
        for entry in batch {
            self.0.send(entry.user_id).expect("somebody looks");
        }
        async { Ok(()) }.boxed()
    }
}

#[tokio::test]
async fn the_backlog_of_somebody_who_has_left_holds_nobody_up() {
    let set = [
        ("bus.kind", "kafka"),
        ("bus.batch_max", "3"),
        ("bus.poll_ms", "60000"),
    ];
    let chain = Chain::on_postgres(&set).await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    for _ in 0..3 {
        chain.spend(ada, "1.00", "2026-02-10").await;
    }
    chain.spend(bob, "2.00", "2026-02-10").await;
    let now = chain.clock.now();
    let unit = chain
        .store
        .write(move |tx| async move { erasure::erase(&tx, ada.user_id, &[], now).await });
    unit.await.expect("erased");

    let (keep, mut kept) = mpsc::unbounded_channel();
    let (store, bus) = (chain.store.clone(), chain.config.bus.clone());
    let relay = Relay::new(store, Arc::new(Kept(keep)), chain.clock.clone(), bus);
    let draining = CancellationToken::new();
    let running = tokio::spawn(relay.run(draining.clone()));
    let first = timeout(Duration::from_secs(30), kept.recv()).await;
    assert_eq!(
        first.expect("at once, not after a minute"),
        Some(bob.user_id)
    );
    draining.cancel();
    running.await.expect("no panic").expect("it stops");
    assert_eq!(kept.recv().await, None, "nothing else was published");
    assert_eq!(outbox::depth(&chain.store, 10).await.expect("a depth"), 0);
}
