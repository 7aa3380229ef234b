//! Redis goes away and comes back: nothing fails, and nobody waits for long.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Person, Process, RedisServer};

const PATIENCE: Duration = Duration::from_secs(10);

/// The settings of a process with this Redis.
fn settings(url: &str) -> [(&str, &str); 4] {
    [
        ("state.kind", "redis"),
        ("state.redis_url", url),
        ("state.timeout_ms", "500"),
        ("limits.requests_per_minute", "100"),
    ]
}

/// Waits until it has said so, and so often.
async fn until(process: &Process, message: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = process.logged(message);
        if said.len() >= count {
            assert_eq!(said.len(), count, "{said:?}");
            return said;
        }
        assert!(Instant::now() < deadline, "it never said: {message}");
        sleep(Duration::from_millis(10)).await;
    }
}

const AWAY: &str = "redis is away: this process goes on without it";
const BACK: &str = "redis is back";

/// Of so many requests that are left; two may come back in the meantime.
async fn uses_five(person: &Person, before: u32) {
    for used in 1..=5 {
        let left = person.get("/v1/me").await.expect(200).requests_left();
        let expected = before - used;
        assert!(
            (expected..=expected + 2).contains(&left),
            "{expected}: {left}"
        );
    }
}

/// Books, and sees it in the read models.
async fn books(person: &Person, name: &str) {
    let wallet = person.wallet(name, "USD", "1000.00").await;
    let category = person.category("Groceries").await;
    let booked = person.spend(&wallet, &category, "1.00", "2026-02-10").await;
    person.sees(&booked).await;
}

#[tokio::test]
async fn it_is_killed_and_comes_back() {
    let mut redis = RedisServer::start().await;
    let folder = TempDir::new().expect("a folder");
    let process = Process::start(folder.path(), &settings(&redis.url())).await;
    let ada = process.register("ada").await;
    uses_five(&ada, 100).await;
    assert_eq!(redis.keys("limit:").await.len(), 2);

    redis.kill();
    // This process counts on from what it has seen itself.
    uses_five(&ada, 95).await;
    books(&ada, "While it is away").await;
    let said = until(&process, AWAY, 1).await;
    assert_eq!(said[0]["level"], "WARN");
    assert!(!said[0].to_string().contains("s3cr3t"), "{said:?}");
    assert_eq!(process.metric::<u64>("wealth_redis_away").await, 1);
    assert!(process.metric::<u64>("wealth_redis_failures_total").await >= 1);

    redis.begin().await;
    let said = until(&process, BACK, 1).await;
    assert_eq!(said[0]["level"], "INFO");
    assert_eq!(process.metric::<u64>("wealth_redis_away").await, 0);
    books(&ada, "Since it is back").await;
    assert_eq!(redis.keys("limit:").await.len(), 2);
    let handled = async {
        while redis.keys("processed:projector:").await.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, handled).await.expect("noted again");
    let channels = async {
        while redis.ask::<Vec<String>>("PUBSUB CHANNELS").await.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, channels).await.expect("heard again");
    assert_eq!(process.logged(AWAY).len(), 1);
    let (lines, _) = process.stop().await;
    let failed = lines.iter().filter(|line| line.contains("\"status\":5"));
    assert_eq!(failed.count(), 0, "{lines:#?}");
}

#[tokio::test]
async fn one_that_hangs_costs_one_timeout() {
    let redis = RedisServer::start().await;
    let folder = TempDir::new().expect("a folder");
    let process = Process::start(folder.path(), &settings(&redis.url())).await;
    let ada = process.register("ada").await;
    ada.get("/v1/me").await.expect(200);

    redis.hold_up();
    let begun = Instant::now();
    let mut slow = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        ada.get("/v1/me").await.expect(200);
        let took = asked.elapsed();
        assert!(took < Duration::from_millis(1_500), "{took:?}");
        slow += usize::from(took >= Duration::from_millis(450));
        sleep(Duration::from_millis(40)).await;
    }
    // The first one waits; who looks whether it is back is nobody's request.
    assert!((1..=2).contains(&slow), "{slow} requests were held up");
    until(&process, AWAY, 1).await;

    redis.let_go();
    until(&process, BACK, 1).await;
    ada.get("/v1/me").await.expect(200);
    process.stop().await;
}

#[tokio::test]
async fn a_start_does_not_need_it() {
    let mut redis = RedisServer::absent();
    let folder = TempDir::new().expect("a folder");
    let process = Process::start(folder.path(), &settings(&redis.url())).await;
    until(&process, AWAY, 1).await;
    let ada = process.register("ada").await;
    assert_eq!(ada.get("/v1/me").await.expect(200).requests_left(), 99);
    redis.begin().await;
    until(&process, BACK, 1).await;
    ada.get("/v1/me").await.expect(200);
    assert_eq!(redis.keys("limit:").await.len(), 2);
    process.stop().await;
}
