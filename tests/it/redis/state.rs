//! Which events were handled lately, as replicas tell each other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use uuid::Uuid;
use wealth_companion::bus::Verdict;
use wealth_companion::bus::consumer::Consumer;
use wealth_companion::clock::Ids;
use wealth_companion::projector::Projector;
use wealth_companion::redis::Redis;
use wealth_companion::state::State;

use crate::support::redis::{Proxy, ask, stack_url};
use crate::support::{Chain, RedisServer, config_with};

async fn open(url: &str) -> State {
    let set = [
        ("state.kind", "redis"),
        ("state.redis_url", url),
        ("state.timeout_ms", "5000"),
    ];
    let config = config_with(&set);
    let redis = Redis::of(&config.state).await.expect("a good URL");
    State::open(&config, redis.as_ref()).expect("it opens")
}

fn new_ids(count: usize) -> Vec<Uuid> {
    let ids = Ids::system();
    (0..count).map(|_| ids.v4()).collect()
}

#[tokio::test]
async fn a_key_says_that_a_consumer_has_handled_an_event() {
    let (here, there) = (open(stack_url()).await, open(stack_url()).await);
    let ids = new_ids(300);
    let (handled, others) = ids.split_at(200);
    assert_eq!(here.processed("projector", &ids).await, HashSet::new());
    here.mark_processed("projector", handled).await;
    let known = there.processed("projector", &ids).await;
    assert_eq!(known, handled.iter().copied().collect());
    assert_eq!(there.processed("projector", others).await, HashSet::new());
    assert_eq!(there.processed("notifier", &ids).await, HashSet::new());

    let key = format!("processed:projector:{}", handled[199]);
    let ttl: i64 = ask(stack_url(), &format!("TTL {key}")).await;
    assert!((604_700..=604_800).contains(&ttl), "{ttl}");
    let kind: String = ask(stack_url(), &format!("TYPE {key}")).await;
    assert_eq!(kind, "string");
}

/// The sidecar's state store writes hashes, under the same names.
#[tokio::test]
async fn what_the_sidecar_wrote_is_seen_and_may_be_written_again() {
    let state = open(stack_url()).await;
    let ids = new_ids(2);
    let key = format!("processed:projector:{}", ids[0]);
    let written = format!("HSET {key} data 1 version 1");
    let _: i64 = ask(stack_url(), &written).await;
    let known = state.processed("projector", &ids).await;
    assert_eq!(known, HashSet::from([ids[0]]));
    state.mark_processed("projector", &ids).await;
    assert_eq!(state.processed("projector", &ids).await.len(), 2);
    let ttl: i64 = ask(stack_url(), &format!("TTL {key}")).await;
    assert!(ttl > 604_700, "{ttl}");
}

#[tokio::test]
async fn a_batch_is_one_round_trip_each_way() {
    let proxy = Proxy::start().await;
    let state = open(proxy.url()).await;
    let ids = new_ids(200);
    proxy.turns();
    state.processed("projector", &ids).await;
    assert_eq!(proxy.turns(), 1);
    state.mark_processed("projector", &ids).await;
    assert_eq!(proxy.turns(), 1);
    state.processed("projector", &[]).await;
    state.mark_processed("projector", &[]).await;
    assert_eq!(proxy.turns(), 0);
}

#[tokio::test]
async fn what_another_replica_has_handled_is_passed_over_and_counted() {
    // The ids of a chain are the same each time: nobody may know them from the last run.
    let redis = RedisServer::start().await;
    let url = redis.url();
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    for _ in 0..3 {
        chain.spend(ada, "1.00", "2026-02-10").await;
    }
    let deliveries = Chain::deliveries(&chain.log().await);
    chain.clock.advance(Duration::from_secs(3));
    let recorder = PrometheusBuilder::new().build_recorder();
    let counted = recorder.handle();
    let projector = |chain: &Chain, state: State| {
        let (store, clock, ids) = (chain.store.clone(), chain.clock.clone(), chain.ids.clone());
        let handler = Arc::new(Projector::new(store.clone(), clock.clone(), ids.clone()));
        metrics::with_local_recorder(&recorder, || {
            Consumer::new(handler, store, state, clock, ids)
        })
    };
    let done = vec![Verdict::Done; 3];
    let first = projector(&chain, open(&url).await);
    assert_eq!(first.take(deliveries.clone()).await.expect("taken"), done);

    // The other replica has an inbox that knows nothing: only the state can tell it.
    let elsewhere = Chain::new().await;
    elsewhere.clock.advance(Duration::from_secs(3));
    let second = projector(&elsewhere, open(&url).await);
    assert_eq!(second.take(deliveries.clone()).await.expect("taken"), done);
    let text = counted.render();
    let duplicates = "wealth_consumer_duplicates_total{consumer=\"projector\"} 3";
    assert!(text.lines().any(|line| line == duplicates), "{text}");
}

/// Nobody waits for an answer that is hardly ever yes: the inbox knows the event that is delivered
/// twice within a moment.
#[tokio::test]
async fn of_a_fresh_event_nothing_is_asked() {
    let proxy = Proxy::start().await;
    let state = open(proxy.url()).await;
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.spend(ada, "1.00", "2026-02-10").await;
    let deliveries = Chain::deliveries(&chain.log().await);
    let (store, clock, ids) = (chain.store.clone(), chain.clock.clone(), chain.ids.clone());
    let handler = Arc::new(Projector::new(store.clone(), clock.clone(), ids.clone()));
    let projector = Consumer::new(handler, store, state, clock, ids);
    for _ in 0..2 {
        proxy.turns();
        projector.take(deliveries.clone()).await.expect("taken");
        assert_eq!(proxy.turns(), 1, "it only notes what it has handled");
    }
    chain.clock.advance(Duration::from_secs(3));
    proxy.turns();
    projector.take(deliveries).await.expect("taken");
    assert_eq!(proxy.turns(), 1, "it asks, and there is nothing to do");
}
