//! Budgets that carry over: what a period leaves of its limit is added to the next one's, what is spent
//! beyond is taken off, and each period keeps the limit that it had.

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use wealth_companion::clock::Clock;
use wealth_companion::store::Tx;
use wealth_companion::store::audit::{Audit, Finding};
use wealth_companion::store::budgets::{self, BudgetChange};

use crate::support::chain::{Chain, day, noon};
use crate::support::{Answer, Person, World};

/// Tuesday, 10 February 2026.
async fn world() -> World {
    World::with(&[], Clock::fixed(noon())).await
}

/// A monthly budget of 100 US dollars that carries over, with `set` on top.
async fn budget(ada: &Person, set: &Value) -> Answer {
    let mut body = json!({
        "category_ids": [], "amount": "100", "currency": "USD", "period": "monthly", "rollover": true
    });
    for (key, value) in set.as_object().expect("fields") {
        body[key] = value.clone();
    }
    ada.post("/v1/budgets", &body).await
}

/// First day, limit, what was carried over, spent and remains, newest first.
async fn periods(ada: &Person, path: &str, after: &Answer) -> Vec<[String; 5]> {
    ada.get_after(path, after).await;
    let fields = ["period_start", "amount", "carried", "spent", "remaining"];
    let items = ada.all(&format!("{path}/periods"), 2).await;
    let text = |item: &Value, field| item[field].as_str().expect("a text").to_owned();
    items
        .iter()
        .map(|item| fields.map(|field| text(item, field)))
        .collect()
}

#[tokio::test]
async fn what_is_left_is_carried_over_and_what_is_spent_beyond_is_taken_off() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let food = ada.category("Groceries").await;
    // One is there before the bookings, one is made after them, one does not carry over.
    let first = json!({"starts_on": "2025-12-01"});
    let before = budget(&ada, &first).await.expect(201);
    assert_eq!(before.body["rollover"], true);
    let plain = json!({"starts_on": "2025-12-01", "rollover": false});
    let plain = budget(&ada, &plain).await.expect(201).id();
    ada.spend(&wallet, &food, "999.00", "2025-11-30").await;
    ada.spend(&wallet, &food, "40.01", "2025-12-15").await;
    let january = ada.spend(&wallet, &food, "130.00", "2026-01-31").await;
    let last = ada.spend(&wallet, &food, "10.00", "2026-02-10").await;
    ada.get_after("/v1/budgets", &last).await;
    let after = budget(&ada, &first).await.expect(201);
    let paths = [before.id(), after.id()].map(|id| format!("/v1/budgets/{id}"));
    for path in &paths {
        let history = periods(&ada, path, &last).await;
        let wanted = [
            ["2026-02-01", "100.00", "29.99", "10.00", "119.99"],
            ["2026-01-01", "100.00", "59.99", "130.00", "29.99"],
            ["2025-12-01", "100.00", "0.00", "40.01", "59.99"],
        ];
        assert_eq!(history, wanted, "{path}");
        let current = ada.get(path).await.body["current"].clone();
        assert_eq!(current["carried"], "29.99");
        assert_eq!(current["percent"], 7, "10.00 of 129.99");
    }
    let plain = periods(&ada, &format!("/v1/budgets/{plain}"), &last).await;
    assert!(plain.iter().all(|[_, _, carried, ..]| carried == "0.00"));

    // The past changes: so does what comes of it.
    let booking = format!("/v1/transactions/{}", january.id());
    let moved = json!({"date": "2025-12-31", "amount": "160"});
    let moved = ada.patch(&booking, &moved).await.expect(200);
    for path in &paths {
        let wanted = [
            ["2026-02-01", "100.00", "-0.01", "10.00", "89.99"],
            ["2026-01-01", "100.00", "-100.01", "0.00", "-0.01"],
            ["2025-12-01", "100.00", "0.00", "200.01", "-100.01"],
        ];
        assert_eq!(periods(&ada, path, &moved).await, wanted, "{path}");
    }
    let gone = ada.delete(&booking).await.expect(204);
    for path in &paths {
        ada.get_after(path, &gone).await;
        let current = ada.get(path).await.body["current"].clone();
        assert_eq!(current["carried"], "159.99", "{path}");
    }
}

#[tokio::test]
async fn each_period_keeps_the_limit_that_it_had() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let food = ada.category("Groceries").await;
    let made = budget(&ada, &json!({"starts_on": "2026-01-01"})).await;
    let path = format!("/v1/budgets/{}", made.expect(201).id());
    let last = ada.spend(&wallet, &food, "30.00", "2026-01-10").await;
    for amount in ["500", "150"] {
        let change = json!({"amount": amount});
        ada.patch(&path, &change).await.expect(200);
    }
    let wanted = [
        ["2026-02-01", "150.00", "70.00", "0.00", "220.00"],
        ["2026-01-01", "100.00", "0.00", "30.00", "70.00"],
    ];
    assert_eq!(periods(&ada, &path, &last).await, wanted);
    world
        .clock
        .advance(std::time::Duration::from_secs(20 * 86_400));
    let ada = ada.signed_in_again(&world).await;
    ada.patch(&path, &json!({"amount": "10"})).await.expect(200);
    let wanted = [
        ["2026-03-01", "10.00", "220.00", "0.00", "230.00"],
        ["2026-02-01", "150.00", "70.00", "0.00", "220.00"],
        ["2026-01-01", "100.00", "0.00", "30.00", "70.00"],
    ];
    assert_eq!(periods(&ada, &path, &last).await, wanted);
    // Without carrying over the limits stay; turned on again it begins where the budget does.
    let off = ada.patch(&path, &json!({"rollover": false})).await;
    assert_eq!(off.expect(200).body["current"]["carried"], "0.00");
    let on = ada.patch(&path, &json!({"rollover": true})).await;
    assert_eq!(on.expect(200).body["current"]["carried"], "220.00");
    // Other periods are another budget: nothing is known of their past.
    let weekly = json!({"period": "weekly", "starts_on": null});
    let weekly = ada.patch(&path, &weekly).await.expect(200);
    assert_eq!(weekly.body["current"]["carried"], "0.00");
    assert_eq!(weekly.body["current"]["amount"], "10.00");
}

#[tokio::test]
async fn thresholds_are_of_what_may_be_spent() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let food = ada.category("Groceries").await;
    budget(&ada, &json!({"starts_on": "2026-01-01"}))
        .await
        .expect(201);
    // 100 and 100 carried over: 80 % are 160.
    ada.spend(&wallet, &food, "159.99", "2026-02-10").await;
    ada.spend(&wallet, &food, "0.01", "2026-02-10").await;
    let alert = ada.alerts(1).await.remove(0);
    assert_eq!(alert["details"]["amount"], "100.00");
    assert_eq!(alert["details"]["carried"], "100.00");
    assert_eq!(alert["details"]["spent"], "160.00");
    // What is booked in January is missing in February: it crosses there, 160 of 150.
    ada.spend(&wallet, &food, "50.00", "2026-01-10").await;
    let alerts = ada.alerts(2).await;
    assert_eq!(alerts[0]["details"]["threshold"], 100);
    assert_eq!(alerts[0]["details"]["carried"], "50.00");
    let message = "160.00 of 100.00 USD (50.00 carried over) is spent of the budget All spending, which \
                   lasts until 2026-02-28: 6 % over the limit.";
    assert_eq!(alerts[0]["message"], message);
    // And in March, of which nothing is left, the first cent crosses both.
    ada.spend(&wallet, &food, "1000.00", "2026-02-11").await;
    world
        .clock
        .advance(std::time::Duration::from_secs(20 * 86_400));
    let ada = ada.signed_in_again(&world).await;
    ada.spend(&wallet, &food, "0.01", "2026-03-01").await;
    let alerts = ada.alerts(4).await;
    assert_eq!(alerts[0]["details"]["carried"], "-1010.00");
    let message = "0.01 of 100.00 USD (-1010.00 carried over) is spent of the budget All spending, which \
                   lasts until 2026-03-31.";
    assert_eq!(alerts[0]["message"], message);
}

#[tokio::test]
async fn too_long_a_past_is_refused() {
    let world = world().await;
    let ada = world.register("ada").await;
    let long_ago = json!({"starts_on": "2016-02-09"});
    let refused = budget(&ada, &long_ago).await.problem(422, "validation");
    assert_eq!(refused.body["errors"][0]["pointer"], "/starts_on");
    let made = budget(&ada, &json!({"starts_on": "2016-02-10"})).await;
    let path = format!("/v1/budgets/{}", made.expect(201).id());
    ada.patch(&path, &long_ago).await.problem(422, "validation");
    let off = json!({"starts_on": "1900-01-01", "rollover": false});
    ada.patch(&path, &off).await.expect(200);
    let on = json!({"rollover": true});
    ada.patch(&path, &on).await.problem(422, "validation");
}

#[tokio::test]
async fn a_period_that_is_missing_is_found_and_repaired() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let id = chain.budget(ada, 10_000).await;
    let change = BudgetChange {
        starts_on: Some(Some(day("2025-12-01"))),
        rollover: Some(true),
        ..BudgetChange::default()
    };
    let at = (noon().date_naive(), noon());
    let unit =
        move |tx| async move { budgets::change(&tx, ada.user_id, id, None, change, at).await };
    let budget = chain.store.write(unit).await.expect("changed");
    chain.spend(ada, "30.00", "2025-12-24").await;
    chain.settle().await;
    let carried = async || {
        let of_one = std::slice::from_ref(&budget);
        let at = budgets::standings(chain.store.reads(), of_one, at.0).await;
        at.expect("a standing")[0].carried.to_string()
    };
    assert_eq!(carried().await, "170.00");
    let lose = |tx: Tx| async move {
        tx.execute_unprepared("DELETE FROM budget_periods").await?;
        Ok(())
    };
    chain.store.write(lose).await.expect("lost");
    assert_eq!(carried().await, "200.00");
    let audit = async |repair| {
        let found = Audit::new(&chain.store).run(repair, noon(), |_| {}).await;
        found.expect("a recount")
    };
    let found = audit(true).await;
    let missing = Finding::BudgetPeriod {
        user_id: ada.user_id,
        budget_id: id,
        period_start: day("2025-12-01"),
        kept_minor: 0,
        counted_minor: 3_000,
    };
    assert_eq!(found.findings, [missing]);
    assert!(audit(false).await.is_clean());
    assert_eq!(carried().await, "170.00");
}
