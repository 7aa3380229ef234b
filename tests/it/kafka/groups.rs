//! Members of groups come, go and die; each event has its effect once.

use std::os::unix::process::ExitStatusExt;

use chrono::TimeDelta;
use futures_util::future::join_all;
use wealth_companion::app::Role;
use wealth_companion::clock::Clock;

use crate::support::kafka::Kafka;
use crate::support::recount::recount_of;
use crate::support::{Chain, Process, until};

const SIGABRT: i32 = 6;

async fn is_settled(chain: &Chain) -> bool {
    recount_of(&chain.store).await.differences.is_empty()
}

/// Bookings of several people.
async fn book(chain: &Chain, people: usize, each: usize) {
    for person in 0..people {
        let household = chain
            .household(&format!("p{person}-{}", chain.ids.v4()))
            .await;
        for _ in 0..each {
            chain.spend(household, "1.00", "2026-11-10").await;
        }
    }
}

#[tokio::test]
async fn a_member_that_leaves_hands_on_what_it_has_done() {
    let kafka = Kafka::with(&[("bus.batch_max", "20"), ("kafka.partitions", "6")]).await;
    let chain = kafka.chain().await;
    book(&chain, 12, 10).await;
    let first = kafka.start(&[Role::Projector]).await;
    kafka.publish(&chain).await;
    let second = kafka.start(&[Role::Projector]).await;
    book(&chain, 12, 10).await;
    kafka.publish(&chain).await;
    // Amid the work, one goes.
    first.stop().await;
    book(&chain, 12, 10).await;
    kafka.publish(&chain).await;
    until("everything is counted", || is_settled(&chain)).await;
    let recount = recount_of(&chain.store).await.agrees();
    assert_eq!(recount.transactions, 360);
    second.stop().await;
    let lag = kafka.run(&["events", "lag", "--json"]).await.ended(0);
    assert_eq!(lag.json()["total"], 0, "{lag:?}");
}

#[tokio::test]
async fn a_death_between_the_commit_and_its_note_does_nothing_twice() {
    let points = [
        "projector.after_commit_before_ack",
        "notifier.after_commit_before_ack",
    ];
    join_all(points.into_iter().map(die_at)).await;
}

async fn die_at(point: &str) {
    let kafka = Kafka::new().await;
    let mut command = Process::command(kafka.folder.path(), &kafka.set());
    command.env("WEALTH_CRASH_AT", point);
    let mut doomed = Process::spawn(command).await;
    let ada = doomed.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let food = ada.category("Groceries").await;
    ada.budget(&[&food], "100.00").await;
    let tomorrow = (Clock::system().now() + TimeDelta::days(1)).date_naive();
    let tomorrow = tomorrow.to_string();
    ada.spend(&wallet, &food, "120.00", &tomorrow).await;
    let died = doomed.ended().await;
    assert_eq!(died.signal(), Some(SIGABRT), "{point}: {died:?}");

    // Its place in the group is free when nothing was heard of it for a while.
    let again = Process::start(kafka.folder.path(), &kafka.set()).await;
    let store = kafka.store().await;
    until("everything is told", || async {
        let recount = recount_of(&store).await;
        recount.differences.is_empty() && recount.alerts == 2
    })
    .await;
    let ada = ada.follows(&again.url);
    assert_eq!(ada.alerts(2).await.len(), 2);
    let month = format!("/v1/dashboard?month={}", &tomorrow[..7]);
    assert_eq!(ada.get(&month).await.expect(200).body["spending"], "120.00");
    // One booking, two crossings, two alerts.
    assert_eq!(recount_of(&store).await.agrees().events, 5, "{point}");
    again.stop().await;
}
