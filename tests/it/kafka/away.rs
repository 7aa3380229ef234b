//! The database is away: the consumer waits, keeps its place in the group, and goes on.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use wealth_companion::app::Role;
use wealth_companion::telemetry::metrics;

use crate::support::kafka::Kafka;
use crate::support::recount::recount_of;
use crate::support::stack;
use crate::support::until;

/// Lets nobody into a database, and puts out those who are in; or lets them in again.
async fn allow(database: &str, allowed: bool) {
    let admin = stack::admin().await;
    let text = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {allowed}");
    admin.execute_unprepared(&text).await.expect("it is ours");
    if !allowed {
        let text = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        );
        admin.execute_unprepared(&text).await.expect("they go");
    }
}

/// How often the projectors of this process have tried again.
fn retries() -> f64 {
    let text = metrics::render(&metrics::install());
    let line = "wealth_consumer_retries_total{consumer=\"projector\"}";
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found.map_or(0.0, |value| value.trim().parse().expect("a count"))
}

#[tokio::test]
async fn the_database_goes_away_and_comes_back() {
    let kafka = Kafka::with(&[("database.busy_timeout_ms", "1500")]).await;
    let chain = kafka.quiet_chain().await;
    let ada = chain.household("ada").await;
    chain.spend(ada, "10.00", "2026-11-10").await;
    let projector = kafka.start(&[Role::Projector]).await;
    kafka.publish_again(&chain.log().await).await;
    until("the first is counted", || async {
        recount_of(&chain.store).await.differences.is_empty()
    })
    .await;
    for _ in 0..50 {
        chain.spend(ada, "1.00", "2026-11-10").await;
    }
    let unpublished = chain.log().await.split_off(1);

    let members = kafka.members("projector").await;
    assert_eq!(members.len(), 1);
    allow(&kafka.database(), false).await;
    let before = retries();
    kafka.publish_again(&unpublished).await;
    until("it tries again and again", || async {
        retries() >= before + 3.0
    })
    .await;
    // Longer than a member may be silent.
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(kafka.members("projector").await, members, "the same member");

    allow(&kafka.database(), true).await;
    until("the others are counted", || async {
        recount_of(&chain.store).await.differences.is_empty()
    })
    .await;
    assert_eq!(recount_of(&chain.store).await.agrees().transactions, 51);
    projector.stop().await;
    let lag = kafka.run(&["events", "lag", "--json"]).await.ended(0);
    assert_eq!(lag.json()["total"], 0, "{lag:?}");
}

#[tokio::test]
async fn it_stops_while_the_database_is_away_and_another_goes_on() {
    let kafka = Kafka::with(&[("database.busy_timeout_ms", "1500")]).await;
    let chain = kafka.quiet_chain().await;
    let ada = chain.household("ada").await;
    for _ in 0..5 {
        chain.spend(ada, "1.00", "2026-11-10").await;
    }
    let events = chain.log().await;
    let projector = kafka.start(&[Role::Projector]).await;
    until("it is a member", || async {
        kafka.members("projector").await.len() == 1
    })
    .await;
    allow(&kafka.database(), false).await;
    kafka.publish_again(&events).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    projector.stop().await;
    allow(&kafka.database(), true).await;
    let lag = kafka.run(&["events", "lag", "--json"]).await.ended(0);
    assert_eq!(
        lag.json()["total"],
        5,
        "nothing was noted that was not done"
    );

    let another = kafka.start(&[Role::Projector]).await;
    until("all are counted", || async {
        recount_of(&chain.store).await.differences.is_empty()
    })
    .await;
    another.stop().await;
}
