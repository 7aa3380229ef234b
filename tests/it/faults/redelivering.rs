//! The bus delivers everything twice, and nothing in order.

use wealth_companion::clock::Ids;

use crate::support::{Bus, Fleet, Load, Plan};

/// Publishes all that was said so far: each event twice, and nothing where it belongs.
async fn publish_twice(fleet: &Fleet) {
    let mut entries = fleet.log().await;
    entries.extend(entries.clone());
    let ids = Ids::system();
    entries.sort_by_cached_key(|_| ids.v4());
    fleet.kafka.publish_again(&entries).await;
}

/// What the API says waits until it is shuffled; so nobody has ever heard it in order.
async fn everything_comes_twice(bus: Bus) {
    let fleet = Fleet::start(Plan::on(bus).with_quiet_api()).await;
    let load = Load::begin(&fleet.urls()).await;
    load.books(100).await;
    let booked = load.end().await;
    publish_twice(&fleet).await;
    fleet.is_whole(&booked).await;

    // And once more, with the crossings and the alerts, when all of it has had its effect.
    publish_twice(&fleet).await;
    fleet.is_whole(&booked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_twice_and_out_of_order_on_kafka() {
    everything_comes_twice(Bus::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_twice_and_out_of_order_through_sidecars() {
    everything_comes_twice(Bus::Dapr).await;
}
