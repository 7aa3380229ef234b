//! Processes are killed in the middle of their work, and started again.

use wealth_companion::app::Role;

use super::ONE_AFTER_THE_OTHER;
use crate::support::{Bus, Fleet, Load, Plan};

/// Each role dies with work in hand; the others go on, and it goes on when it is back.
async fn each_role_dies(bus: Bus) {
    let mut fleet = Fleet::start(Plan::on(bus)).await;
    let load = Load::begin(&fleet.urls()).await;
    load.hears(4).await;
    for role in ONE_AFTER_THE_OTHER {
        load.books(10).await;
        let (held, _) = fleet.hold_up(role).await;
        fleet.kill(role, 0);
        held.let_go().await;
        if role != Role::Api {
            // Whoever books does not notice.
            load.books(20).await;
        }
        fleet.start_again(role, 0).await;
    }
    load.hears(8).await;
    let booked = load.end().await;
    assert!(booked.refused > 0, "the API was away");
    fleet.is_whole(&booked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_dies_and_comes_back_on_kafka() {
    each_role_dies(Bus::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_dies_and_comes_back_beside_its_sidecar() {
    each_role_dies(Bus::Dapr).await;
}

/// The role stays: what its sidecar had delivered is delivered again, and is known.
#[tokio::test(flavor = "multi_thread")]
async fn each_sidecar_dies_and_comes_back() {
    let mut fleet = Fleet::start(Plan::on(Bus::Dapr)).await;
    let load = Load::begin(&fleet.urls()).await;
    load.hears(4).await;
    for role in ONE_AFTER_THE_OTHER {
        load.books(10).await;
        let (held, _) = fleet.hold_up(role).await;
        fleet.sidecar(role, 0).kill();
        held.let_go().await;
        load.books(20).await;
        fleet.sidecar(role, 0).start_again().await;
    }
    load.hears(8).await;
    let booked = load.end().await;
    assert_eq!(booked.refused, 0, "whoever books does not notice");
    fleet.is_whole(&booked).await;
}
