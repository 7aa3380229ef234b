//! The whole chain: three processes that share nothing but PostgreSQL, Kafka and Redis.

use std::time::{Duration, Instant};

use wealth_companion::app::Role;
use wealth_companion::clock::Ids;

use crate::support::Cluster;
use crate::support::cluster::Member;

const CREATED: &str = "finance.transaction.created";

#[tokio::test]
async fn a_booking_becomes_a_live_alert_through_three_sidecars() {
    let cluster = Cluster::start(&Role::ALL, &[("streams.poll_ms", "50")]).await;
    let api = &cluster.members[0].world;
    let ada = api.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    ada.budget(&[&groceries], "100.00").await;
    let today = api.clock.now().date_naive().to_string();
    let mut stream = ada.follow(None).await;

    ada.spend(&wallet, &groceries, "85.00", &today).await;
    let (_, warning) = stream.alert().await.expect("a warning");
    assert_eq!(warning["kind"], "budget_warning");
    let last = ada.spend(&wallet, &groceries, "35.00", &today).await;
    let (_, exceeded) = stream.alert().await.expect("an alert");
    assert_eq!(exceeded["kind"], "budget_exceeded");
    assert_eq!(exceeded["details"]["spent"], "120.00");

    // The place in the log came along: who has booked can wait for it.
    let dashboard = ada.get_after("/v1/dashboard", &last).await;
    assert_eq!(dashboard.body["spending"], "120.00");
    let reached = "SELECT position::text FROM read_model_positions";
    let last = "SELECT max(position)::text FROM event_log WHERE type LIKE '%created'";
    assert_eq!(cluster.texts(reached).await, cluster.texts(last).await);

    assert_eq!(ada.alerts(2).await.len(), 2);
    let letters = cluster.texts("SELECT reason FROM dead_letters").await;
    assert!(letters.is_empty(), "{letters:?}");
    drop(stream);
    for member in cluster.members {
        member.world.stop().await.0.expect("a clean end");
        let log = member.sidecar.log();
        assert!(!log.contains("level=error"), "{log}");
    }
}

/// What any program writes to Kafka is heard as what comes through the sidecar, to the last digit:
/// with 64 bits of floating point this amount would end in .68.
#[tokio::test]
async fn a_record_without_a_sidecar_is_heard_with_all_its_digits_and_once() {
    let cluster = Cluster::start(&[Role::Api, Role::Projector], &[]).await;
    let api = &cluster.members[0].world;
    let ada = api.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0.00").await;
    let groceries = ada.category("Groceries").await;
    let today = api.clock.now().date_naive().to_string();
    let first = ada.spend(&wallet, &groceries, "0.01", &today).await;
    ada.get_after("/v1/dashboard", &first).await;

    let records = cluster.topics.read(CREATED).await;
    let told = String::from_utf8(records[0].payload.clone()).expect("UTF-8");
    let id = Ids::system().v4().to_string();
    let at = told.find(r#""id":""#).expect("an id") + 6;
    let large = told
        .replace(&told[at..at + 36], &id)
        .replace("0.01", "123456789012345.67");
    let key = ada.id.as_bytes();
    // The first one again too: as the sidecar has published it, by another way.
    for payload in [&told, &large, &told, &large] {
        let headers = [("content-type", "application/cloudevents+json")];
        cluster
            .topics
            .write(CREATED, key, payload.as_bytes(), &headers)
            .await;
    }
    let last = ada.spend(&wallet, &groceries, "0.01", &today).await;
    let dashboard = ada.get_after("/v1/dashboard", &last).await;
    assert_eq!(dashboard.body["spending"], "123456789012345.69");
    let inbox = "SELECT event_id::text FROM inbox WHERE consumer = 'projector'";
    assert_eq!(cluster.texts(inbox).await.len(), 3);
}

/// The sidecar asks once in its life what is heard. It stays when the role goes, and delivers again
/// when the role is back.
#[tokio::test]
async fn a_role_that_was_away_hears_what_was_said_meanwhile() {
    let mut cluster = Cluster::start(&[Role::Api, Role::Projector], &[]).await;
    let Member { world, sidecar } = cluster.members.pop().expect("the projector");
    let api = &cluster.members[0].world;
    let ada = api.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0.00").await;
    let groceries = ada.category("Groceries").await;
    let today = api.clock.now().date_naive().to_string();
    let first = ada.spend(&wallet, &groceries, "1.00", &today).await;
    let dashboard = ada.get_after("/v1/dashboard", &first).await;
    assert_eq!(dashboard.body["spending"], "1.00");

    world.stop().await.0.expect("a clean end");
    let last = ada.spend(&wallet, &groceries, "2.00", &today).await;
    cluster.topics.wait_for(CREATED, 2).await;
    let _back = cluster.world(Role::Projector, &sidecar, &[]).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while ada.get_after("/v1/dashboard", &last).await.body["spending"] != "3.00" {
        assert!(Instant::now() < deadline, "it does not come");
    }
    let letters = cluster.texts("SELECT reason FROM dead_letters").await;
    assert!(letters.is_empty(), "{letters:?}");
}
