//! Budgets: their periods, what counts, and where they stand.

use serde_json::{Value, json};
use wealth_companion::clock::Clock;

use crate::support::chain::noon;
use crate::support::{Answer, Person, World};

/// Tuesday, 10 February 2026.
async fn world() -> World {
    World::with(&[], Clock::fixed(noon())).await
}

/// A budget in US dollars over all spending, with `set` on top.
async fn budget(ada: &Person, set: &Value) -> Answer {
    let mut body = json!({
        "name": "Budget", "category_ids": [], "amount": "100", "currency": "USD", "period": "monthly"
    });
    for (key, value) in set.as_object().expect("fields") {
        body[key] = value.clone();
    }
    ada.post("/v1/budgets", &body).await.expect(201)
}

/// Where a budget of 100 that carries nothing over stands.
fn standing(start: &str, end: &str, spent: &str, remaining: &str, percent: i64) -> Value {
    json!({
        "period_start": start, "period_end": end, "amount": "100.00", "carried": "0.00",
        "spent": spent, "remaining": remaining, "percent": percent
    })
}

#[tokio::test]
async fn a_period_is_the_calendars_or_begins_where_the_owner_says() {
    let world = world().await;
    let ada = world.register("ada").await;
    for (set, start, end) in [
        (json!({"period": "weekly"}), "2026-02-09", "2026-02-15"),
        (json!({"period": "monthly"}), "2026-02-01", "2026-02-28"),
        (json!({"period": "yearly"}), "2026-01-01", "2026-12-31"),
        (
            json!({"period": "weekly", "starts_on": "2026-01-01"}),
            "2026-02-05",
            "2026-02-11",
        ),
        (
            json!({"period": "monthly", "starts_on": "2025-12-31"}),
            "2026-01-31",
            "2026-02-27",
        ),
        (
            json!({"period": "monthly", "starts_on": "2026-02-10"}),
            "2026-02-10",
            "2026-03-09",
        ),
        (
            json!({"period": "yearly", "starts_on": "2024-02-29"}),
            "2025-02-28",
            "2026-02-27",
        ),
        // What has not begun stands in its first period.
        (
            json!({"period": "monthly", "starts_on": "2026-05-31"}),
            "2026-05-31",
            "2026-06-29",
        ),
    ] {
        let made = budget(&ada, &set).await;
        let here = standing(start, end, "0.00", "100.00", 0);
        assert_eq!(made.body["current"], here, "{set}");
        let path = format!("/v1/budgets/{}", made.id());
        assert_eq!(ada.get(&path).await.expect(200).body, made.body);
        let periods = ada.all(&format!("{path}/periods"), 1).await;
        let begun = start <= "2026-02-10";
        assert_eq!(periods, if begun { vec![here] } else { vec![] }, "{set}");
    }
}

#[tokio::test]
async fn only_what_it_is_for_counts() {
    let world = world().await;
    let ada = world.register("ada").await;
    let dollars = ada.wallet("Dollars", "USD", "0").await;
    let euros = ada.wallet("Euros", "EUR", "0").await;
    let (food, travel) = (
        ada.category("Groceries").await,
        ada.category("Travel").await,
    );
    let all = budget(&ada, &json!({})).await.id();
    let of_food = budget(&ada, &json!({"category_ids": [food]})).await.id();
    let of_both = budget(&ada, &json!({"category_ids": [food, travel, food]})).await;
    assert_eq!(
        of_both.body["category_ids"].as_array().map(Vec::len),
        Some(2)
    );
    let in_euros = budget(&ada, &json!({"currency": "EUR"})).await.id();
    let from_the_tenth = budget(&ada, &json!({"starts_on": "2026-02-10"})).await.id();

    ada.spend(&dollars, &food, "1.00", "2026-02-10").await;
    ada.spend(&dollars, &food, "2.00", "2026-02-09").await;
    ada.spend(&dollars, &travel, "4.00", "2026-02-28").await;
    ada.spend(&euros, &food, "8.00", "2026-02-10").await;
    ada.spend(&dollars, &food, "16.00", "2026-01-31").await;
    ada.spend(&dollars, &food, "32.00", "2026-03-10").await;
    let plain =
        json!({"wallet_id": dollars, "type": "expense", "amount": "64", "date": "2026-02-10"});
    ada.post("/v1/transactions", &plain).await.expect(201);
    let income =
        json!({"wallet_id": dollars, "type": "income", "amount": "128", "date": "2026-02-10"});
    let last = ada.post("/v1/transactions", &income).await.expect(201);

    for (budget, spent) in [
        (all, "71.00"),
        (of_food, "3.00"),
        (of_both.id(), "7.00"),
        (in_euros, "8.00"),
        (from_the_tenth, "69.00"),
    ] {
        let budget = ada.get_after(&format!("/v1/budgets/{budget}"), &last).await;
        assert_eq!(budget.body["current"]["spent"], spent, "{budget:?}");
    }
}

#[tokio::test]
async fn it_stands_where_its_bookings_put_it_made_before_or_after_them() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let food = ada.category("Groceries").await;
    let before = budget(&ada, &json!({})).await.id();
    let first = ada.spend(&wallet, &food, "33.33", "2026-02-01").await;
    let second = ada.spend(&wallet, &food, "66.68", "2026-02-28").await;
    let over = standing("2026-02-01", "2026-02-28", "100.01", "-0.01", 100);
    let path = format!("/v1/budgets/{before}");
    assert_eq!(ada.get_after(&path, &second).await.body["current"], over);
    let after = budget(&ada, &json!({})).await;
    assert_eq!(after.body["current"], over);
    let after = format!("/v1/budgets/{}", after.id());

    // From one month to the other: both sums move.
    let booking = format!("/v1/transactions/{}", second.id());
    let moved = ada
        .patch(&booking, &json!({"date": "2026-01-31"}))
        .await
        .expect(200);
    for path in [&path, &after] {
        ada.get_after(path, &moved).await;
        let periods = ada.all(&format!("{path}/periods"), 1).await;
        let february = standing("2026-02-01", "2026-02-28", "33.33", "66.67", 33);
        let january = standing("2026-01-01", "2026-01-31", "66.68", "33.32", 66);
        assert_eq!(periods, [february, january], "{path}");
    }
    ada.delete(&booking).await.expect(204);
    let booking = format!("/v1/transactions/{}", first.id());
    let gone = ada.delete(&booking).await.expect(204);
    for path in [&path, &after] {
        let empty = standing("2026-02-01", "2026-02-28", "0.00", "100.00", 0);
        assert_eq!(ada.get_after(path, &gone).await.body["current"], empty);
        assert_eq!(ada.all(&format!("{path}/periods"), 200).await, [empty]);
    }
}

#[tokio::test]
async fn a_changed_budget_is_summed_up_anew() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let euros = ada.wallet("Euros", "EUR", "0").await;
    let (food, travel) = (
        ada.category("Groceries").await,
        ada.category("Travel").await,
    );
    let path = budget(&ada, &json!({"category_ids": [food]})).await.id();
    let path = format!("/v1/budgets/{path}");
    ada.spend(&wallet, &food, "10.00", "2026-02-10").await;
    ada.spend(&wallet, &food, "5.00", "2026-02-02").await;
    ada.spend(&euros, &travel, "7.00", "2026-02-10").await;
    let last = ada.spend(&wallet, &travel, "20.00", "2026-02-10").await;
    ada.get_after(&path, &last).await;
    for (change, spent, remaining, percent) in [
        (json!({"name": "Food"}), "15.00", "85.00", 15),
        (json!({"category_ids": [travel]}), "20.00", "80.00", 20),
        (json!({"category_ids": []}), "35.00", "65.00", 35),
        (json!({"amount": "50"}), "35.00", "15.00", 70),
        (json!({"period": "weekly"}), "30.00", "20.00", 60),
        (json!({"starts_on": "2026-02-04"}), "30.00", "20.00", 60),
        (json!({"starts_on": "2026-02-11"}), "0.00", "50.00", 0),
        (
            json!({"starts_on": null, "period": "yearly"}),
            "35.00",
            "15.00",
            70,
        ),
        (
            json!({"currency": "EUR", "amount": "10"}),
            "7.00",
            "3.00",
            70,
        ),
    ] {
        let changed = ada.patch(&path, &change).await.expect(200);
        let current = &changed.body["current"];
        assert_eq!(current["spent"], spent, "{change}");
        assert_eq!(current["remaining"], remaining, "{change}");
        assert_eq!(current["percent"], percent, "{change}");
        assert_eq!(ada.get(&path).await.body, changed.body);
    }
    let refused = ada.patch(&path, &json!({"currency": "USD"})).await;
    refused.problem(422, "validation");
    // What is booked after the change adds to the new sum.
    let last = ada.spend(&euros, &food, "2.00", "2026-01-01").await;
    let current = ada.get_after(&path, &last).await;
    assert_eq!(current.body["current"]["spent"], "9.00");
}

#[tokio::test]
async fn the_history_goes_down_to_the_first_day_that_counted() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let (food, travel) = (
        ada.category("Groceries").await,
        ada.category("Travel").await,
    );
    let path = budget(&ada, &json!({"category_ids": [food]})).await.id();
    let path = format!("/v1/budgets/{path}");
    ada.spend(&wallet, &travel, "50.00", "2020-01-01").await;
    let gone = ada.spend(&wallet, &food, "50.00", "2021-01-01").await;
    ada.delete(&format!("/v1/transactions/{}", gone.id()))
        .await
        .expect(204);
    ada.spend(&wallet, &food, "30.00", "2025-11-15").await;
    ada.spend(&wallet, &food, "40.00", "2026-01-15").await;
    let last = ada.spend(&wallet, &food, "99.00", "2026-04-01").await;
    ada.get_after(&path, &last).await;
    let history = [
        standing("2026-02-01", "2026-02-28", "0.00", "100.00", 0),
        standing("2026-01-01", "2026-01-31", "40.00", "60.00", 40),
        standing("2025-12-01", "2025-12-31", "0.00", "100.00", 0),
        standing("2025-11-01", "2025-11-30", "30.00", "70.00", 30),
    ];
    for limit in [1, 2, 3, 4, 5, 200] {
        let periods = ada.all(&format!("{path}/periods"), limit).await;
        assert_eq!(periods, history, "pages of {limit}");
    }
    ada.patch(&path, &json!({"starts_on": "2025-12-01"}))
        .await
        .expect(200);
    assert_eq!(ada.all(&format!("{path}/periods"), 2).await, history[..3]);
    ada.get(&format!("{path}/periods?cursor=x"))
        .await
        .problem(422, "validation");
    let bob = world.register("bob").await;
    bob.get(&format!("{path}/periods"))
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
    let world = world().await;
    let ada = world.register("ada").await;
    let made = budget(&ada, &json!({"alert_at": [80.0, 100]})).await;
    assert_eq!(made.body["alert_at"], json!([80, 100]));
    let body = json!({
        "category_ids": [], "amount": "100", "currency": "USD", "period": "monthly", "alert_at": [80, 99.5]
    });
    let refused = ada.post("/v1/budgets", &body).await;
    let problem = refused.problem(422, "validation");
    assert_eq!(problem.body["errors"][0]["pointer"], "/alert_at/1");
}
