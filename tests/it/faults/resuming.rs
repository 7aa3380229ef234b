//! A stream on one replica, while others handle what it tells of.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};
use wealth_companion::app::Role;
use wealth_companion::clock::Clock;

use crate::support::{Bus, Fleet, Person, Plan};

/// Somebody with a budget of a dollar a week, who breaks it in one week after the other: each time
/// there are two alerts.
struct Spender {
    person: Person,
    wallet: String,
    category: String,
    day: NaiveDate,
}

impl Spender {
    async fn new(person: Person) -> Self {
        let category = person.category("Groceries").await;
        let budget = json!({
            "name": "Budget", "category_ids": [category], "amount": "1.00", "currency": "USD",
            "period": "weekly"
        });
        person.post("/v1/budgets", &budget).await.expect(201);
        Self {
            wallet: person.wallet("Checking", "USD", "0").await,
            category,
            day: Clock::system().now().date_naive(),
            person,
        }
    }

    async fn break_budget(&mut self) {
        self.day = self.day + Days::new(7);
        let day = self.day.to_string();
        let (wallet, category) = (&self.wallet, &self.category);
        self.person.spend(wallet, category, "2.00", &day).await;
    }
}

async fn goes_on_elsewhere(bus: Bus) {
    let mut fleet = Fleet::start(Plan::on(bus).with_two_apis()).await;
    let ada = fleet.process(Role::Api, 0).register("ada").await;
    let elsewhere = ada.follows(&fleet.process(Role::Api, 1).url);
    let mut spender = Spender::new(elsewhere.clone()).await;
    let mut stream = ada.follow(None).await;
    spender.break_budget().await;
    let (first, alert) = stream.alert().await.expect("an alert");
    let mut seen = vec![alert["id"].clone()];

    // The second was perhaps on its way when the replica died.
    fleet.kill(Role::Api, 0);
    while stream.alert_or_end().await.is_some() {}
    spender.break_budget().await;
    spender.break_budget().await;
    elsewhere.alerts(6).await;
    let mut stream = elsewhere.follow(Some(&first)).await;
    for _ in 0..5 {
        let (_, alert) = stream.alert().await.expect("a missed one");
        seen.push(alert["id"].clone());
    }
    // What came twice would come before what comes next.
    spender.break_budget().await;
    for _ in 0..2 {
        let (_, alert) = stream.alert().await.expect("a new one");
        seen.push(alert["id"].clone());
    }
    let list = elsewhere.alerts(8).await;
    let list: Vec<Value> = list.iter().rev().map(|alert| alert["id"].clone()).collect();
    assert_eq!(seen, list);
    fleet.verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_at_another_replica_on_kafka() {
    goes_on_elsewhere(Bus::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_at_another_replica_beside_sidecars() {
    goes_on_elsewhere(Bus::Dapr).await;
}
