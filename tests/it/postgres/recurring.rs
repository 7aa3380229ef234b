//! Processes side by side, one of them killed at its work: what is due is booked once.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use wealth_companion::domain::recurrence::Recurrence;
use wealth_companion::store::recurring;

use crate::support::chain::{day, expense};
use crate::support::recount::{number, recount_of, settled_in};
use crate::support::{Chain, Process, Stack, stack};

/// Rules, each of so many days.
const RULES: i64 = 12;
const DAYS: i64 = 40;

/// Waits until so many are booked; fails when it does not go on.
async fn booked(chain: &Chain, count: i64) {
    let (mut so_far, mut since) = (0, Instant::now());
    while so_far < count {
        let now = number(chain.store.reads(), "SELECT COUNT(*) FROM transactions").await;
        if now > so_far {
            (so_far, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < Duration::from_secs(40), "stands at {now}");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_and_are_killed_book_each_day_once() {
    let url = Stack::get().database_url(&stack::fresh_database());
    let chain = Chain::at(&url, &[]).await;
    for number in 0..RULES {
        let who = chain.household(&format!("ada{number}")).await;
        let (act, id) = (chain.act(who), chain.ids.v7(chain.clock.now()));
        let rrule = format!("FREQ=DAILY;COUNT={DAYS}");
        let recurrence = Recurrence::parse(&rrule, day("2026-02-11")).expect("a rule");
        let draft = expense(who, "1.00", day("2026-02-11"));
        let made = chain.store.write(move |tx| async move {
            recurring::create(&tx, act, id, draft, recurrence).await
        });
        made.await.expect("a rule");
    }
    let set = [
        ("database.url", url.as_str()),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ];
    let folders = [(); 3].map(|()| TempDir::new().expect("a folder"));
    let [first, second, third] = folders
        .each_ref()
        .map(|folder| Process::start(folder.path(), &set));
    let (mut first, second, third) = tokio::join!(first, second, third);
    booked(&chain, 60).await;
    first.signal("KILL");
    first.ended().await;
    booked(&chain, RULES * DAYS).await;
    settled_in(&chain.store).await;
    let count = recount_of(&chain.store).await.agrees();
    assert_eq!(count.transactions, RULES * DAYS);
    second.stop().await;
    third.stop().await;
}
