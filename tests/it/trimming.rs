//! What nobody needs any more goes, in bounded steps; what somebody still needs stays.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wealth_companion::events::catalogue;
use wealth_companion::store::event_log::{self, Cursor};
use wealth_companion::store::idempotency::{self, KeyedRequest};
use wealth_companion::store::sessions::{self, Exchange};
use wealth_companion::store::trim::Trim;

use crate::support::chain::{Chain, Household, noon};
use crate::support::recount::number;

const DAY: Duration = Duration::from_hours(24);
/// What the defaults say.
const LOG_DAYS: u32 = 7;
const INBOX_DAYS: u32 = 8;

async fn step(chain: &Chain) -> u64 {
    let consumers = [catalogue::PROJECTOR, catalogue::NOTIFIER];
    let trim = Trim::new(chain.config.retention.clone(), &consumers);
    let now = chain.clock.now();
    trim.step(&chain.store, now).await.expect("trimmed")
}

async fn count(chain: &Chain, table: &str) -> i64 {
    let text = format!("SELECT COUNT(*) FROM {table}");
    number(chain.store.reads(), &text).await
}

/// Somebody with three bookings that cross two thresholds: seven events, all heard.
async fn heard(chain: &Chain) -> Household {
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    for amount in ["50.00", "35.00", "35.00"] {
        chain.spend(ada, amount, "2026-02-10").await;
    }
    chain.settle().await;
    assert_eq!(count(chain, "event_log").await, 7);
    ada
}

#[tokio::test]
async fn the_log_goes_when_it_is_old_and_heard() {
    let chain = Chain::new().await;
    let ada = heard(&chain).await;

    chain.clock.advance(DAY * LOG_DAYS);
    assert_eq!(step(&chain).await, 0, "not older than the retention");
    chain.spend(ada, "1.00", "2026-02-17").await;
    chain.settle().await;
    let end = event_log::end(chain.store.reads()).await.expect("an end");
    chain.clock.advance(Duration::from_secs(1));
    assert_eq!(step(&chain).await, 7);
    assert_eq!(count(&chain, "event_log").await, 1, "the new one stays");
    assert_eq!(step(&chain).await, 0);

    // When all has gone, positions go on: nobody's cursor lies before what is to come.
    chain.clock.advance(DAY * (LOG_DAYS + 1));
    while step(&chain).await > 0 {}
    assert_eq!(count(&chain, "event_log").await, 0);
    chain.spend(ada, "2.00", "2026-02-25").await;
    assert!(event_log::end(chain.store.reads()).await.expect("an end") > end);
    chain.settle().await;
    let spent = "SELECT spent_minor FROM budget_periods";
    assert_eq!(number(chain.store.reads(), spent).await, 12_300);
}

#[tokio::test]
async fn the_log_waits_for_everybody_who_reads_it() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    chain.spend(ada, "120.00", "2026-02-27").await;
    chain.clock.advance(DAY * (LOG_DAYS + 1));

    // Published, but heard by nobody; then by one of two.
    assert_eq!(step(&chain).await, 0);
    chain.publish().await;
    assert_eq!(step(&chain).await, 0);
    chain.projector_bus.tick().await.expect("projected");
    assert_eq!(step(&chain).await, 0);
    chain.notifier_bus.tick().await.expect("passed over");
    assert_eq!(step(&chain).await, 1, "the booking is heard by all");
    // What the projector said of it is as old as its hearing.
    chain.settle().await;
    assert_eq!(count(&chain, "alerts").await, 2);
    assert_eq!(count(&chain, "event_log").await, 4);
}

#[tokio::test]
async fn a_reader_who_stands_still_holds_the_log() {
    let readers = [
        Cursor::Relay,
        Cursor::HighWatermark,
        Cursor::Consumer(catalogue::PROJECTOR),
        Cursor::Consumer(catalogue::NOTIFIER),
    ];
    for behind in readers {
        let chain = Chain::new().await;
        let ada = chain.household("ada").await;
        for _ in 0..3 {
            chain.spend(ada, "1.00", "2026-02-10").await;
        }
        let log = chain.log().await;
        for reader in readers {
            let to = log[if reader == behind { 0 } else { 2 }].position;
            let now = chain.clock.now();
            let unit = move |tx| async move { event_log::advance(&tx, reader, to, now).await };
            chain.store.write(unit).await.expect("moved");
        }
        chain.clock.advance(DAY * (LOG_DAYS + 1));
        assert_eq!(step(&chain).await, 1, "{behind:?}");
        assert_eq!(count(&chain, "event_log").await, 2, "{behind:?}");
    }
}

#[tokio::test]
async fn the_inbox_outlives_the_log() {
    let chain = Chain::new().await;
    heard(&chain).await;
    let handled = count(&chain, "inbox").await;
    assert_eq!(handled, 5, "three bookings, two crossings");
    let deliveries = Chain::deliveries(&chain.log().await);

    chain.clock.advance(DAY * INBOX_DAYS);
    while step(&chain).await > 0 {}
    assert_eq!(count(&chain, "event_log").await, 0);
    assert_eq!(count(&chain, "inbox").await, handled);
    // A bus that kept the events as long as the log did delivers them once more: nothing happens.
    let mut chain = chain;
    chain.forget();
    let (bookings, crossings): (Vec<_>, Vec<_>) = deliveries
        .into_iter()
        .filter(|delivery| !delivery.topic.starts_with("notification"))
        .partition(|delivery| delivery.topic.starts_with("finance.transaction"));
    chain.projector.take(bookings).await.expect("known");
    chain.notifier.take(crossings).await.expect("known");
    assert_eq!(count(&chain, "alerts").await, 2);
    assert_eq!(count(&chain, "event_log").await, 0);

    chain.clock.advance(Duration::from_secs(1));
    assert_eq!(step(&chain).await, 5);
    assert_eq!(count(&chain, "inbox").await, 0);
}

#[tokio::test]
async fn answers_to_keys_go_after_a_day() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await.user_id;
    let save = async |key: &str| {
        let now = chain.clock.now();
        let key = key.to_owned();
        let request_hash = [7; 32];
        let request = KeyedRequest { key, request_hash };
        let unit =
            move |tx| async move { idempotency::save(&tx, ada, request, vec![1], now).await };
        chain.store.write(unit).await.expect("saved");
    };
    save("old").await;
    chain.clock.advance(Duration::from_secs(1));
    save("new").await;
    chain.clock.advance(DAY);
    assert_eq!(step(&chain).await, 1);
    let left = "SELECT COUNT(*) FROM idempotency_keys WHERE key = 'new'";
    assert_eq!(number(chain.store.reads(), left).await, 1);
}

/// A session that ends at a moment.
async fn session(chain: &Chain, ada: Household, token: [u8; 32], expires_at: DateTime<Utc>) {
    let (now, id) = (chain.clock.now(), chain.ids.v7(chain.clock.now()));
    let unit = move |tx| async move {
        sessions::begin(&tx, id, ada.user_id, token, now, expires_at).await
    };
    chain.store.write(unit).await.expect("a session");
}

#[tokio::test]
async fn sessions_go_with_their_tokens_when_they_have_expired() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    session(&chain, ada, [1; 32], noon() + TimeDelta::hours(1)).await;
    session(&chain, ada, [2; 32], noon() + TimeDelta::hours(3)).await;
    chain.clock.advance(Duration::from_hours(2));
    assert_eq!(step(&chain).await, 1);
    assert_eq!(count(&chain, "sessions").await, 1);
    assert_eq!(count(&chain, "refresh_tokens").await, 1);
    let now = chain.clock.now();
    let unit = move |tx| async move { sessions::exchange(&tx, [2; 32], [3; 32], now).await };
    let exchanged = chain.store.write(unit).await.expect("an exchange");
    assert!(matches!(exchanged, Exchange::Done { .. }), "{exchanged:?}");
}

#[tokio::test]
async fn a_step_is_bounded() {
    let chain = Chain::new().await;
    chain.household("ada").await;
    let now = chain.clock.now();
    let many = move |tx: wealth_companion::store::Tx| async move {
        use sea_orm::ConnectionTrait as _;
        let random = match tx.get_database_backend() {
            sea_orm::DbBackend::Postgres => "gen_random_uuid()",
            _ => "randomblob(16)",
        };
        let text = format!(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
             INSERT INTO inbox (consumer, event_id, handled_at) SELECT 'projector', {random}, $1 FROM n"
        );
        let values = [now.into()];
        tx.execute_raw(sea_orm::Statement::from_sql_and_values(
            tx.get_database_backend(),
            text,
            values,
        ))
        .await?;
        Ok(())
    };
    chain.store.write(many).await.expect("many");
    chain.clock.advance(DAY * (INBOX_DAYS + 1));
    assert_eq!(step(&chain).await, 1_000);
    assert_eq!(step(&chain).await, 1_000);
    assert_eq!(step(&chain).await, 500);
    assert_eq!(step(&chain).await, 0);
}
