//! What all of them need is away for a while, and comes back.

use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use crate::support::{Bus, Fleet, Load, Parts, Plan, RedisServer};

/// How long it may take until a part is used again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How soon to look again whether it is.
const LOOK: Duration = Duration::from_millis(50);

/// A minute without the broker: bookings go on as if nothing were, and are told afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_away_for_a_minute() {
    let parts = block_in_place(|| Parts::start("kafka"));
    let brokers = parts.stack.text("/kafka/brokers");
    let (kafka, dapr) = tokio::join!(
        Fleet::start(Plan::on(Bus::Kafka).with_brokers(brokers)),
        Fleet::start(Plan::on(Bus::Dapr).with_brokers(brokers)),
    );
    let (kafka_urls, dapr_urls) = (kafka.urls(), dapr.urls());
    let (on_kafka, on_dapr) = tokio::join!(Load::begin(&kafka_urls), Load::begin(&dapr_urls));
    for load in [&on_kafka, &on_dapr] {
        load.hears(4).await;
    }
    block_in_place(|| parts.signal("kafka", "KILL"));
    sleep(Duration::from_secs(60)).await;
    for load in [&on_kafka, &on_dapr] {
        // They book to the end of it.
        load.books(10).await;
        assert_eq!(load.refused(), 0, "every answer was 201");
    }
    block_in_place(|| parts.start_again("kafka"));
    let catches_up = async |fleet: Fleet, load: Load| {
        load.hears(4).await;
        let booked = load.end().await;
        assert_eq!(booked.refused, 0, "every answer was 201");
        fleet.is_whole(&booked).await;
    };
    tokio::join!(catches_up(kafka, on_kafka), catches_up(dapr, on_dapr));
}

/// Returns when the roles keep in it what they share: handled events and rate limits.
async fn is_used(redis: &RedisServer) {
    let used = async {
        for prefix in ["processed:projector:", "processed:notifier:", "limit:"] {
            while redis.keys(prefix).await.is_empty() {
                sleep(LOOK).await;
            }
        }
    };
    timeout(PATIENCE, used).await.expect("the roles use it");
}

/// Redis dies, and comes back empty: nobody notices.
async fn redis_is_away(bus: Bus) {
    let mut redis = RedisServer::start().await;
    let fleet = Fleet::start(Plan::on(bus).with_redis(&redis)).await;
    let load = Load::begin(&fleet.urls()).await;
    load.hears(4).await;
    is_used(&redis).await;
    redis.kill();
    load.hears(12).await;
    redis.begin().await;
    is_used(&redis).await;
    load.hears(12).await;
    let booked = load.end().await;
    assert_eq!(booked.refused, 0, "every answer was 201");
    fleet.is_whole(&booked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_away_on_kafka() {
    redis_is_away(Bus::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_away_beside_the_sidecars() {
    redis_is_away(Bus::Dapr).await;
}

/// PostgreSQL dies, and comes back: whoever books is told so, and every process goes on.
async fn postgres_is_away(bus: Bus) {
    let parts = block_in_place(|| Parts::start("postgres"));
    let url = parts.stack.text("/postgres/url");
    let fleet = Fleet::start(Plan::on(bus).with_postgres(url)).await;
    let load = Load::begin(&fleet.urls()).await;
    load.hears(4).await;
    block_in_place(|| parts.signal("postgres", "KILL"));
    load.is_refused(8).await;
    block_in_place(|| parts.start_again("postgres"));
    load.hears(12).await;
    fleet.is_whole(&load.end().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_away_on_kafka() {
    postgres_is_away(Bus::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_away_beside_the_sidecars() {
    postgres_is_away(Bus::Dapr).await;
}
