//! What is said of budgets: once for each threshold in a period, and of the past only in the list.

use chrono::Duration;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use uuid::Uuid;
use wealth_companion::clock::Clock;
use wealth_companion::domain::budget::Thresholds;
use wealth_companion::domain::money::AmountText;
use wealth_companion::store::alerts::{self, Alert};
use wealth_companion::store::budgets::{self, BudgetChange};
use wealth_companion::store::transactions::{self, Amendment};
use wealth_companion::store::{PageRequest, entities};

use crate::support::World;
use crate::support::chain::{Chain, Household, day};

/// What the list shows after everything has settled, oldest first.
async fn alerts_of(chain: &Chain, who: Household) -> Vec<Alert> {
    chain.settle().await;
    let page = PageRequest::first(200);
    let mut alerts = alerts::list(chain.store.reads(), who.user_id, false, page)
        .await
        .expect("the alerts")
        .items;
    alerts.reverse();
    alerts
}

fn thresholds(alerts: &[Alert]) -> Vec<i64> {
    let threshold = |alert: &Alert| alert.details["threshold"].as_i64().expect("a threshold");
    alerts.iter().map(threshold).collect()
}

/// A monthly budget of 100 US dollars that is watched at these percentages.
async fn budget_at(chain: &Chain, who: Household, alert_at: &[i64]) {
    let id = chain.budget(who, 10_000).await;
    let alert_at = Some(Thresholds::new(alert_at.to_vec()).expect("thresholds"));
    let change = BudgetChange {
        alert_at,
        ..BudgetChange::default()
    };
    change_budget(chain, who, id, change).await;
}

async fn limit(chain: &Chain, who: Household, budget: Uuid, text: &str) {
    let change = BudgetChange {
        amount: Some(AmountText::Text(text.to_owned())),
        ..BudgetChange::default()
    };
    change_budget(chain, who, budget, change).await;
}

async fn change_budget(chain: &Chain, who: Household, id: Uuid, change: BudgetChange) {
    let now = chain.clock.now();
    chain
        .store
        .write(move |tx| async move {
            let at = (now.date_naive(), now);
            budgets::change(&tx, who.user_id, id, None, change, at).await
        })
        .await
        .expect("changed");
}

async fn amend(chain: &Chain, who: Household, id: Uuid, amendment: Amendment) {
    let act = chain.act(who);
    chain
        .store
        .write(move |tx| async move { transactions::amend(&tx, act, id, None, amendment).await })
        .await
        .expect("amended");
}

fn amount(text: &str) -> Amendment {
    Amendment {
        amount: Some(AmountText::Text(text.to_owned())),
        ..Amendment::default()
    }
}

#[tokio::test]
async fn each_threshold_is_told_once() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    budget_at(&chain, ada, &[50, 80, 100, 120]).await;
    let mut told = Vec::new();
    for (spend, now) in [
        ("49.99", &[][..]),
        ("0.01", &[50]),
        ("29.99", &[]),
        ("0.01", &[80]),
        ("20.00", &[100]),
        ("19.99", &[]),
        ("0.01", &[120]),
        ("500.00", &[]),
    ] {
        chain.spend(ada, spend, "2026-02-10").await;
        told.extend_from_slice(now);
        assert_eq!(thresholds(&alerts_of(&chain, ada).await), told, "{spend}");
    }
    let kinds: Vec<String> = alerts_of(&chain, ada)
        .await
        .into_iter()
        .map(|alert| alert.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            "budget_warning",
            "budget_warning",
            "budget_exceeded",
            "budget_exceeded"
        ]
    );
}

#[tokio::test]
async fn a_leap_over_both_tells_of_both() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    chain.spend(ada, "150.00", "2026-02-10").await;
    let alerts = alerts_of(&chain, ada).await;
    assert_eq!(thresholds(&alerts), [80, 100]);
    for alert in alerts {
        assert_eq!(alert.details["spent"], "150.00");
        assert!(!alert.historic);
        assert_eq!(alert.read_at, None);
    }
}

#[tokio::test]
async fn what_is_under_a_threshold_again_is_told_when_it_is_crossed_anew() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    let booked = chain.spend(ada, "90.00", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80]);
    // It stays above: nothing new.
    for text in ["95.00", "80.00", "99.99"] {
        amend(&chain, ada, booked.id, amount(text)).await;
        assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80], "{text}");
    }
    // A wrong amount is mended, and the same month is really spent later.
    amend(&chain, ada, booked.id, amount("10.00")).await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80]);
    chain.spend(ada, "70.00", "2026-02-11").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80, 80]);
    // What went up and down before anybody looked is not worth a word.
    for text in ["30.00", "5.00", "40.00", "9.00"] {
        amend(&chain, ada, booked.id, amount(text)).await;
    }
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80, 80]);
    let past = entities::budget_crossings_past::Entity::find();
    let past = past.all(chain.store.reads()).await.expect("rows");
    let past: Vec<i16> = past.iter().map(|row| row.threshold).collect();
    assert_eq!(past, [80, 80]);
}

#[tokio::test]
async fn a_booking_that_moves_arms_its_month_again_and_is_told_of_in_the_other() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    let booked = chain.spend(ada, "130.00", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80, 100]);
    let to_march = Amendment {
        date: Some(day("2026-03-01")),
        ..Amendment::default()
    };
    amend(&chain, ada, booked.id, to_march).await;
    let alerts = alerts_of(&chain, ada).await;
    assert_eq!(thresholds(&alerts), [80, 100, 80, 100]);
    assert_eq!(alerts[3].details["period_start"], "2026-03-01");
    chain.spend(ada, "85.00", "2026-02-11").await;
    let alerts = alerts_of(&chain, ada).await;
    assert_eq!(thresholds(&alerts), [80, 100, 80, 100, 80]);
    assert_eq!(alerts[4].details["period_start"], "2026-02-01");
}

#[tokio::test]
async fn a_higher_limit_arms_its_thresholds_again() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let budget = chain.budget(ada, 10_000).await;
    chain.spend(ada, "90.00", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80]);
    limit(&chain, ada, budget, "200").await;
    chain.spend(ada, "60.00", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80], "75 %");
    chain.spend(ada, "10.00", "2026-02-10").await;
    let alerts = alerts_of(&chain, ada).await;
    assert_eq!(thresholds(&alerts), [80, 80], "80 % of the new limit");
    assert_eq!(alerts[1].details["amount"], "200.00");
    // Higher, and at once so much more that it is crossed again.
    limit(&chain, ada, budget, "300").await;
    chain.spend(ada, "80.00", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80, 80, 80]);
    // Up and down again: it is still reached, and was told of.
    limit(&chain, ada, budget, "1000").await;
    limit(&chain, ada, budget, "300").await;
    chain.spend(ada, "1.00", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80, 80, 80]);
    // A lower one is reached at once; the next booking tells.
    limit(&chain, ada, budget, "241").await;
    chain.spend(ada, "0.01", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80, 80, 80, 100]);
}

#[tokio::test]
async fn the_past_is_listed_as_read_and_never_sent() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    chain.spend(ada, "150.00", "2026-01-31").await;
    let alerts = alerts_of(&chain, ada).await;
    assert_eq!(thresholds(&alerts), [80, 100]);
    for alert in &alerts {
        assert!(alert.historic);
        assert_eq!(alert.read_at, Some(chain.clock.now()));
    }
    let sent = || async {
        let log = chain.log().await;
        log.iter()
            .filter(|entry| entry.topic == "notification.alert.sent")
            .count()
    };
    assert_eq!(sent().await, 0);
    let streamed = alerts::to_stream(chain.store.reads(), ada.user_id, 0, 200).await;
    assert_eq!(streamed.expect("alerts"), []);

    // The last day of a period is not past; the day after it is.
    chain.spend(ada, "150.00", "2026-02-10").await;
    alerts_of(&chain, ada).await;
    assert_eq!(sent().await, 2);
    chain
        .clock
        .advance(Duration::days(49).to_std().expect("a span"));
    assert_eq!(chain.clock.now().date_naive(), day("2026-03-31"));
    chain.spend(ada, "80.00", "2026-03-01").await;
    assert!(!alerts_of(&chain, ada).await[4].historic);
    chain
        .clock
        .advance(Duration::days(1).to_std().expect("a span"));
    chain.spend(ada, "80.00", "2026-03-01").await;
    assert!(alerts_of(&chain, ada).await[5].historic);
    assert_eq!(sent().await, 3);
}

#[tokio::test]
async fn a_deleted_budget_is_silent_and_what_it_said_stays() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let budget = chain.budget(ada, 10_000).await;
    chain.spend(ada, "90.00", "2026-02-10").await;
    alerts_of(&chain, ada).await;
    chain
        .store
        .write(move |tx| async move { budgets::delete(&tx, ada.user_id, budget, None).await })
        .await
        .expect("deleted");
    chain.spend(ada, "90.00", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80]);
    // Another one knows nothing of it, and counts all the same.
    chain.budget(ada, 20_000).await;
    chain.spend(ada, "20.00", "2026-02-10").await;
    assert_eq!(thresholds(&alerts_of(&chain, ada).await), [80, 80, 100]);
}

#[tokio::test]
async fn home_decides_what_is_past() {
    let clock = Clock::fixed("2026-02-28T23:30:00Z".parse().expect("a moment"));
    let world = World::with(&[], clock).await;
    for (name, zone, historic) in [
        ("kiri", "Pacific/Auckland", true),
        ("kai", "Pacific/Honolulu", false),
    ] {
        let person = world.register_in(name, "USD", zone).await;
        let wallet = person.wallet("Checking", "USD", "0").await;
        let food = person.category("Groceries").await;
        person.budget(&[], "100.00").await;
        let mut stream = person.follow(None).await;
        person.spend(&wallet, &food, "150.00", "2026-02-28").await;
        for alert in person.alerts(2).await {
            assert_eq!(alert["historic"], historic, "{zone}");
            assert_eq!(alert["read_at"].is_string(), historic, "{zone}");
        }
        let unread = person.all("/v1/alerts?unread=true", 1).await;
        assert_eq!(unread.len(), if historic { 0 } else { 2 });
        // March is the present or the future of both.
        person.spend(&wallet, &food, "100.00", "2026-03-01").await;
        let start = |alert: &Value| alert["details"]["period_start"].clone();
        let first = stream.alert().await.expect("an alert").1;
        let begins = if historic { "2026-03-01" } else { "2026-02-01" };
        assert_eq!(start(&first), json!(begins), "{zone}");
        let mut resumed = person.follow(Some("0")).await;
        assert_eq!(
            resumed.alert().await.expect("an alert").1["id"],
            first["id"]
        );
    }
}
