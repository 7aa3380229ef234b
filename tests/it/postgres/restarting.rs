//! PostgreSQL goes away and comes back: whoever books is told, and nothing acknowledged is lost.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;
use wealth_companion::clock::Clock;
use wealth_companion::store::Store;

use crate::support::{Answer, Parts, Person, World, config_with, recount, stack};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    booked: AtomicI64,
    refused: AtomicI64,
    stop: AtomicBool,
}

impl Seen {
    /// Waits until so many more are acknowledged.
    async fn more(&self, count: i64) {
        let wanted = self.booked.load(Ordering::Relaxed) + count;
        let begun = Instant::now();
        while self.booked.load(Ordering::Relaxed) < wanted {
            assert!(begun.elapsed() < PATIENCE, "bookings do not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Books again and again, each under a key of its own, until it is told to stop.
async fn book(person: &Person, wallet: &str, name: usize, seen: &Seen) {
    for count in 0.. {
        let body = json!({"wallet_id": wallet, "type": "income", "amount": "1.00"});
        let key = format!("{name}-{count}");
        loop {
            let request = person.request(Method::POST, "/v1/transactions");
            let request = request.header("Idempotency-Key", &key).json(&body);
            let answer = Answer::to(request).await;
            match answer.status {
                201 => break,
                503 => seen.refused.fetch_add(1, Ordering::Relaxed),
                _ => panic!("{answer:?}"),
            };
            assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen.booked.fetch_add(1, Ordering::Relaxed);
        if seen.stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_said_and_loses_nothing() {
    for how in ["stop", "KILL"] {
        let parts = Parts::start("postgres");
        let url = parts.stack.text("/postgres/url").to_owned();
        stack::migrate(&url);
        let set = [
            ("database.url", url.as_str()),
            ("auth.jwt_secret_key", stack::SIGNING_KEY),
            ("database.busy_timeout_ms", "2000"),
        ];
        let world = World::with(&set, Clock::system()).await;
        let ada = world.register("ada").await;
        let wallet = ada.wallet("Checking", "USD", "0").await;
        let seen = Seen::default();
        let clients = join_all((0..4).map(|name| book(&ada, &wallet, name, &seen)));
        let operator = async {
            seen.more(10).await;
            tokio::task::block_in_place(|| match how {
                "stop" => parts.stop("postgres"),
                signal => parts.signal("postgres", signal),
            });
            let begun = Instant::now();
            // Whoever asks while it is away is told so, and so is whoever books.
            loop {
                let answer = ada.get("/v1/wallets").await;
                if answer.status == 503 && seen.refused.load(Ordering::Relaxed) > 0 {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "{answer:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::task::block_in_place(|| parts.start_again("postgres"));
            let begun = Instant::now();
            while ada.get("/v1/wallets").await.status != 200 {
                assert!(begun.elapsed() < PATIENCE, "it does not recover");
            }
            seen.more(10).await;
            seen.stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(clients, operator);
        let booked = seen.booked.load(Ordering::Relaxed);

        let config = config_with(&set);
        let (store, _) = Store::open(&config).await.expect("it opens");
        recount::settled_in(&store).await;
        let counted = recount::recount_of(&store).await.agrees();
        assert_eq!(counted.transactions, booked, "{how}");
        let (ended, _) = world.stop().await;
        ended.expect("a clean end");
    }
}
