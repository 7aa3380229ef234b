//! Some roles with a sidecar, others without: what one says the other hears, and one goes on where the
//! other stopped.

use serde_json::Value;
use tempfile::TempDir;
use wealth_companion::app::Role;
use wealth_companion::clock::Clock;
use wealth_companion::config::Config;
use wealth_companion::events::EventType;
use wealth_companion::operator::lag;
use wealth_companion::store::Store;

use crate::support::recount::recount_of;
use crate::support::{Cluster, Stack, World, config_with, kafka, stack, until};

/// The settings of a role without a sidecar, on the topics, groups and database of a cluster.
fn settings(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let group_prefix = cluster.topics.app_id("");
    vec![
        ("database.url", cluster.database_url.clone()),
        ("auth.jwt_secret_key", stack::SIGNING_KEY.to_owned()),
        ("bus.kind", "kafka".to_owned()),
        ("bus.topic_prefix", cluster.topics.prefix.clone()),
        (
            "kafka.brokers",
            Stack::get().text("/kafka/brokers").to_owned(),
        ),
        (
            "kafka.group_prefix",
            group_prefix.trim_end_matches('-').to_owned(),
        ),
    ]
}

async fn direct(cluster: &Cluster, roles: &[Role]) -> World {
    let settings = settings(cluster);
    let set: Vec<(&str, &str)> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    World::of(
        roles,
        TempDir::new().expect("a folder"),
        &set,
        Clock::system(),
    )
    .await
}

fn config(cluster: &Cluster) -> Config {
    let settings = settings(cluster);
    let set: Vec<(&str, &str)> = settings
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    config_with(&set)
}

/// Waits until the projector's group has noted that it has read everything.
async fn all_read(config: &Config) {
    until("the projector has read everything", || async {
        let lag = lag::read(config).await.expect("an answer");
        let projectors = lag
            .partitions
            .iter()
            .filter(|it| it.group.ends_with("-projector"));
        projectors.map(|it| it.lag).sum::<u64>() == 0
    })
    .await;
}

#[tokio::test]
async fn both_ways_are_one_bus() {
    // The projector has a sidecar; who books and who alerts has none.
    let mut cluster = Cluster::start(&[Role::Projector], &[]).await;
    let others = direct(&cluster, &[Role::Api, Role::Notifier]).await;
    let ada = others.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let food = ada.category("Groceries").await;
    ada.budget(&[&food], "100.00").await;
    let today = Clock::system().now().date_naive().to_string();
    ada.spend(&wallet, &food, "85.00", &today).await;
    let last = ada.spend(&wallet, &food, "35.00", &today).await;
    assert_eq!(ada.alerts(2).await.len(), 2);
    let month = format!("/v1/dashboard?month={}", &today[..7]);
    let dashboard = ada.get_after(&month, &last).await;
    assert_eq!(dashboard.body["spending"], "120.00");

    // A user's events stand in one partition, whichever way they were published.
    let config = config(&cluster);
    let mut partitions = Vec::new();
    for event_type in [EventType::TransactionCreated, EventType::BudgetExceeded] {
        let topic = event_type.topic(&config.bus.topic_prefix);
        let records = kafka::read(&config.kafka, &topic).await;
        assert!(!records.is_empty(), "{event_type}");
        for record in records {
            assert_eq!(record.key_text(), Some(ada.id.as_str()));
            let event: Value =
                serde_json::from_slice(&record.value.expect("a value")).expect("JSON");
            assert_eq!(event["type"], event_type.as_str());
            partitions.push(record.partition);
        }
    }
    partitions.dedup();
    assert_eq!(partitions.len(), 1, "{partitions:?}");

    // The sidecar goes; a projector without one goes on where it stopped.
    all_read(&config).await;
    cluster.members.remove(0).stop().await;
    ada.spend(&wallet, &food, "5.00", &today).await;
    let projector = direct(&cluster, &[Role::Projector]).await;
    let (store, _) = Store::open(&config).await.expect("it opens");
    until("all is counted", || async {
        recount_of(&store).await.differences.is_empty()
    })
    .await;
    let recount = recount_of(&store).await.agrees();
    assert_eq!((recount.transactions, recount.alerts), (3, 2));
    all_read(&config).await;
    for world in [projector, others] {
        world.stop().await.0.expect("it ends well");
    }
}
