//! The process dies at the worst moments; nothing is lost, and nothing happens twice.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use wealth_companion::clock::Clock;
use wealth_companion::crash;

use crate::support::{Person, Process, recount, settled};

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// Tomorrow: whatever the hour, the budget's period has not ended.
fn day() -> String {
    (Clock::system().now() + TimeDelta::days(1))
        .date_naive()
        .to_string()
}

/// Bookings of somebody who sends each again until it is acknowledged.
struct Bookings {
    wallet: String,
    category: String,
    day: String,
}

impl Bookings {
    async fn of(person: &Person) -> Self {
        let wallet = person.wallet("Checking", "USD", "1000.00").await;
        let category = person.category("Groceries").await;
        let day = day();
        Self {
            wallet,
            category,
            day,
        }
    }

    /// The id of the booking; none where the server has gone.
    async fn book(&self, person: &Person, key: &str, amount: &str) -> Option<String> {
        let body = json!({
            "wallet_id": self.wallet, "category_id": self.category, "type": "expense",
            "amount": amount, "date": self.day
        });
        let request = person.request(Method::POST, "/v1/transactions");
        let request = request.header("Idempotency-Key", key).json(&body);
        let response = request.send().await.ok()?;
        assert_eq!(response.status(), 201);
        let booked: Value = response.json().await.ok()?;
        Some(booked["id"].as_str().expect("an id").to_owned())
    }

    /// What the dashboard shows of the month.
    async fn spending(&self, person: &Person) -> Value {
        let month = format!("/v1/dashboard?month={}", &self.day[..7]);
        person.get(&month).await.expect(200).body["spending"].clone()
    }
}

/// The ids of all bookings, with the sum of their amounts in cents.
async fn listed(person: &Person) -> (Vec<String>, i64) {
    let (mut ids, mut cents, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = format!("/v1/transactions?limit=200{cursor}");
        let page = person.get(&page).await.expect(200);
        for item in page.body["items"].as_array().expect("items") {
            ids.push(item["id"].as_str().expect("an id").to_owned());
            cents += cents_of(&item["amount"]);
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (ids, cents),
        }
    }
}

fn cents_of(amount: &Value) -> i64 {
    let digits = amount.as_str().expect("an amount").replace('.', "");
    digits.parse().expect("cents")
}

#[tokio::test]
async fn a_crash_at_any_point_loses_and_doubles_nothing() {
    join_all(crash::POINTS.iter().map(|point| crash_at(point))).await;
}

async fn crash_at(point: &str) {
    let folder = TempDir::new().expect("a folder");
    let mut command = Process::command(folder.path(), &[]);
    command.env("WEALTH_CRASH_AT", point);
    let mut doomed = Process::spawn(command).await;
    let ada = doomed.register("ada").await;
    let bookings = Bookings::of(&ada).await;
    ada.budget(&[&bookings.category], "100.00").await;
    let wanted = [("first", "50.00"), ("second", "35.00"), ("third", "35.00")];
    let mut acknowledged = Vec::new();
    for (key, amount) in wanted {
        acknowledged.extend(bookings.book(&ada, key, amount).await);
    }
    let died = doomed.ended().await;
    assert_eq!(died.signal(), Some(SIGABRT), "{point}: {died:?}");

    // It comes back and, before anything new happens, takes up what it left.
    let server = Process::start(folder.path(), &[]).await;
    let ada = ada.follows(&server.url);
    settled(folder.path()).await;
    recount(folder.path()).await.agrees();
    let (ids, _) = listed(&ada).await;
    for id in &acknowledged {
        assert!(ids.contains(id), "{point}: {id} is lost");
    }
    // Whoever got no answer asks again.
    for (key, amount) in wanted {
        bookings.book(&ada, key, amount).await.expect("booked");
    }
    settled(folder.path()).await;

    assert_eq!(listed(&ada).await.1, 12_000, "{point}");
    assert_eq!(bookings.spending(&ada).await, "120.00", "{point}");
    let wallet = format!("/v1/wallets/{}", bookings.wallet);
    let wallet = ada.get(&wallet).await.expect(200);
    assert_eq!(wallet.body["balance"], "880.00", "{point}");
    let alerts = ada.alerts(2).await;
    let thresholds: Vec<&Value> = alerts.iter().map(|a| &a["details"]["threshold"]).collect();
    assert_eq!(thresholds, [100, 80], "{point}");
    let counted = recount(folder.path()).await.agrees();
    assert_eq!((counted.transactions, counted.alerts), (3, 2), "{point}");
    // Three bookings, two crossings, two alerts.
    assert_eq!(counted.events, 7, "{point}");
}

#[tokio::test]
async fn a_kill_under_load_loses_and_doubles_nothing() {
    let folder = TempDir::new().expect("a folder");
    let mut doomed = Process::start(folder.path(), &[]).await;
    let ada = doomed.register("ada").await;
    let bookings = Bookings::of(&ada).await;
    ada.budget(&[&bookings.category], "30.00").await;

    let (acknowledge, mut news) = tokio::sync::mpsc::unbounded_channel();
    let clients = join_all((0..8).map(|client| {
        let (ada, bookings, acknowledge) = (&ada, &bookings, acknowledge.clone());
        async move {
            for count in 0.. {
                let key = format!("{client}-{count}");
                match bookings.book(ada, &key, "1.01").await {
                    Some(id) => acknowledge.send(id).expect("somebody counts"),
                    None => return key,
                }
            }
            unreachable!("the server is killed")
        }
    }));
    let killer = async {
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 60 {
            let one = tokio::time::timeout(Duration::from_secs(20), news.recv()).await;
            acknowledged.extend(one.expect("bookings go on"));
        }
        doomed.signal("KILL");
        acknowledged
    };
    let (unanswered, mut acknowledged) = tokio::join!(clients, killer);
    while let Ok(id) = news.try_recv() {
        acknowledged.push(id);
    }
    assert_eq!(doomed.ended().await.signal(), Some(SIGKILL));

    let server = Process::start(folder.path(), &[]).await;
    let ada = ada.follows(&server.url);
    settled(folder.path()).await;
    recount(folder.path()).await.agrees();
    for key in &unanswered {
        let id = bookings.book(&ada, key, "1.01").await;
        acknowledged.push(id.expect("booked"));
    }
    settled(folder.path()).await;

    let (mut ids, cents) = listed(&ada).await;
    ids.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(ids, acknowledged);
    assert_eq!(cents_of(&bookings.spending(&ada).await), cents);
    let counted = recount(folder.path()).await.agrees();
    assert_eq!(counted.alerts, 2);
}
