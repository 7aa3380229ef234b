//! Faults of brokers that a real one does not make on demand, by librdkafka's own mock of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use sea_orm::EntityTrait;
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wealth_companion::bus::Publisher;
use wealth_companion::bus::kafka::{KafkaPublisher, KafkaSubscription};
use wealth_companion::config::Config;
use wealth_companion::store::entities::dead_letters;
use wealth_companion::store::event_log::{LogEntry, LogPosition};

use crate::support::{Chain, until};

type Mock = MockCluster<'static, DefaultProducerContext>;

/// A mock with a topic, settings for it, and what is to be published.
async fn mock(set: &[(&str, &str)]) -> (Mock, Config, Vec<LogEntry>, TempDir) {
    let mock = MockCluster::new(1).expect("a mock");
    let topic = "finance.transaction.created";
    mock.create_topic(topic, 3, 1).expect("a topic");
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    for _ in 0..20 {
        chain.spend(ada, "1.00", "2026-02-10").await;
    }
    let log = chain.log().await;
    let folder = TempDir::new().expect("a folder");
    let brokers = mock.bootstrap_servers();
    let mut all = vec![
        ("kafka.brokers", brokers.as_str()),
        ("kafka.timeout_ms", "3000"),
    ];
    all.extend(set);
    let config = crate::support::config(folder.path(), &all);
    (mock, config, log, folder)
}

fn positions(log: &[LogEntry]) -> Vec<LogPosition> {
    log.iter().map(|entry| entry.position).collect()
}

#[tokio::test]
async fn what_passes_is_tried_again_and_nothing_is_told_of_it() {
    let (mock, config, log, _folder) = mock(&[]).await;
    let publisher = KafkaPublisher::new(&config).expect("a producer");
    let passing = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    mock.request_errors(RDKafkaApiKey::Produce, &passing);
    publisher.publish(&log).await.expect("published");
}

#[tokio::test]
async fn brokers_that_are_down_get_nothing_and_later_all() {
    let (mock, config, log, _folder) = mock(&[]).await;
    let publisher = KafkaPublisher::new(&config).expect("a producer");
    mock.broker_down(1).expect("down");
    let begun = Instant::now();
    let failed = publisher.publish(&log).await.expect_err("nobody is there");
    assert_eq!(failed.unpublished, positions(&log), "{failed}");
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(6),
        "it gives up in time: {took:?}"
    );
    mock.broker_up(1).expect("up");
    publisher.publish(&log).await.expect("published in the end");
}

#[tokio::test]
async fn what_is_refused_is_named_and_the_others_are_published() {
    let (_mock, config, mut log, _folder) = mock(&[]).await;
    let publisher = KafkaPublisher::new(&config).expect("a producer");
    log[7].envelope = format!("{{\"x\":\"{}\"}}", "x".repeat(2 << 20));
    let failed = publisher.publish(&log).await.expect_err("one is too large");
    assert_eq!(failed.unpublished, [log[7].position], "{failed}");
    assert!(
        failed.to_string().contains("finance.transaction.created"),
        "{failed}"
    );
}

#[tokio::test]
async fn a_producer_that_gives_up_for_good_is_followed_by_a_new_one() {
    let (mock, config, log, _folder) = mock(&[]).await;
    let publisher = KafkaPublisher::new(&config).expect("a producer");
    publisher.publish(&log[..1]).await.expect("published");
    // The broker's memory of this producer is not what it should be: nothing can be promised.
    let fatal = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER];
    mock.request_errors(RDKafkaApiKey::Produce, &fatal);
    let _ = publisher.publish(&log[1..2]).await;
    let mut tries = 0;
    while publisher.publish(&log[1..]).await.is_err() {
        tries += 1;
        assert!(tries < 3, "a new producer goes on");
    }
}

#[tokio::test]
async fn a_member_waits_for_brokers_and_leaves_in_time_when_they_are_away() {
    let (mock, config, log, _folder) = mock(&[]).await;
    for topic in ["finance.transaction.updated", "finance.transaction.deleted"] {
        mock.create_topic(topic, 3, 1).expect("a topic");
    }
    let chain = Chain::new().await;
    mock.broker_down(1).expect("down");
    let subscription = KafkaSubscription::new(Arc::clone(&chain.projector), &config);
    let draining = CancellationToken::new();
    let running = tokio::spawn(subscription.expect("a member").run(draining.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!running.is_finished(), "it waits");
    mock.broker_up(1).expect("up");
    let publisher = KafkaPublisher::new(&config).expect("a producer");
    publisher.publish(&log).await.expect("published");
    // Another database than the one that they were said in: it knows nobody of them.
    until("all are decided", || async {
        let letters = dead_letters::Entity::find().all(chain.store.reads()).await;
        letters.expect("letters").len() == log.len()
    })
    .await;
    mock.broker_down(1).expect("down");
    tokio::time::sleep(Duration::from_millis(500)).await;
    draining.cancel();
    let ended = timeout(Duration::from_secs(12), running).await;
    let ended = ended.expect("it leaves in time");
    ended.expect("it does not panic").expect("it ends well");
}
