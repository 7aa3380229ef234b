//! Two replicas of each role, and one of each is gone for good.

use super::ONE_AFTER_THE_OTHER;
use crate::support::{Bus, Fleet, Load, Plan};

async fn one_of_each_dies(bus: Bus) {
    let mut fleet = Fleet::start(Plan::on(bus).twice()).await;
    let load = Load::begin(&fleet.urls()).await;
    load.hears(8).await;
    for role in ONE_AFTER_THE_OTHER {
        load.books(10).await;
        let (held, replica) = fleet.hold_up(role).await;
        fleet.kill_all_of(role, replica);
        held.let_go().await;
    }
    load.books(40).await;
    load.hears(8).await;
    fleet.is_whole(&load.end().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_takes_over_on_kafka() {
    one_of_each_dies(Bus::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_takes_over_with_its_sidecar() {
    one_of_each_dies(Bus::Dapr).await;
}
