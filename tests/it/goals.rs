//! Goals: what is saved by contributions or in a wallet, how it comes along, and that it is said once that
//! one is reached.

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use wealth_companion::clock::Clock;
use wealth_companion::store::Tx;
use wealth_companion::store::audit::Audit;

use crate::support::chain::noon;
use crate::support::{Answer, Person, World};

/// Tuesday, 10 February 2026.
async fn world() -> World {
    World::with(&[], Clock::fixed(noon())).await
}

/// A goal of 1,000 US dollars, with `set` on top.
async fn goal(ada: &Person, set: &Value) -> Answer {
    let mut body = json!({"name": "Holidays", "target_amount": "1000", "currency": "USD"});
    for (key, value) in set.as_object().expect("fields") {
        body[key] = value.clone();
    }
    ada.post("/v1/goals", &body).await
}

async fn contribute(ada: &Person, goal: &str, body: &Value) -> Answer {
    let path = format!("/v1/goals/{goal}/contributions");
    ada.post(&path, body).await
}

async fn read(ada: &Person, goal: &str) -> Value {
    ada.get(&format!("/v1/goals/{goal}")).await.expect(200).body
}

/// The same person, later: access has run out.
async fn after_days(world: &World, ada: &Person, days: u64) -> Person {
    world
        .clock
        .advance(std::time::Duration::from_secs(days * 86_400));
    ada.signed_in_again(world).await
}

/// Waits until all that was said before has been handled: a booking that crosses a budget tells, and is
/// told after it.
async fn alerts_after_all(ada: &Person, expected: usize) -> Vec<Value> {
    let wallet = ada.wallet("Fence", "EUR", "0").await;
    let fence = json!({"category_ids": [], "amount": "0.01", "currency": "EUR", "period": "yearly", "alert_at": [100]});
    ada.post("/v1/budgets", &fence).await.expect(201);
    let spent = json!({"wallet_id": wallet, "type": "expense", "amount": "1"});
    ada.post("/v1/transactions", &spent).await.expect(201);
    let mut alerts = ada.alerts(expected + 1).await;
    alerts.retain(|alert| alert["kind"] == "goal_achieved");
    alerts
}

#[tokio::test]
async fn contributions_add_up_and_what_is_foreseen_follows() {
    let world = world().await;
    let ada = world.register("ada").await;
    let by = json!({"target_date": "2026-12-31"});
    let made = goal(&ada, &by).await.expect(201);
    assert_eq!(made.body["saved"], "0.00");
    assert_eq!(made.body["remaining"], "1000.00");
    assert_eq!(made.body["monthly_pace"], "0.00");
    assert_eq!(made.body["foreseen_on"], Value::Null);
    // 324 days are left.
    assert_eq!(made.body["monthly_needed"], "93.88");
    let id = made.id();
    let first = json!({"amount": "120.50", "date": "2026-02-01", "note": "Bonus"});
    let first = contribute(&ada, &id, &first).await.expect(201);
    contribute(&ada, &id, &json!({"amount": 29.5}))
        .await
        .expect(201);
    let out = json!({"amount": "50", "type": "withdrawal"});
    let out = contribute(&ada, &id, &out).await.expect(201);
    assert_eq!(out.body["type"], "withdrawal");
    assert_eq!(out.body["date"], "2026-02-10");
    // 100.00 in 30 days: 900.00 take 270 more.
    let now = read(&ada, &id).await;
    assert_eq!(now["saved"], "100.00");
    assert_eq!(now["percent"], 10);
    assert_eq!(now["monthly_pace"], "101.38");
    assert_eq!(now["foreseen_on"], "2026-11-07");
    assert_eq!(now["version"], 1, "contributions are no change of the goal");
    let path = format!("/v1/goals/{id}/contributions");
    for limit in [1, 2, 200] {
        let listed = ada.all(&path, limit).await;
        let amounts: Vec<&Value> = listed.iter().map(|it| &it["amount"]).collect();
        assert_eq!(amounts, ["50.00", "29.50", "120.50"], "{limit}");
    }
    // One was a mistake.
    ada.delete(&format!("/v1/contributions/{}", out.id()))
        .await
        .expect(204);
    assert_eq!(read(&ada, &id).await["saved"], "150.00");
    // What is long past is saved, and no pace.
    let ada = after_days(&world, &ada, 85).await;
    let now = read(&ada, &id).await;
    assert_eq!(now["saved"], "150.00");
    let of_85_days = 2950 * 365 / (12 * 85);
    assert_eq!(
        now["monthly_pace"],
        format!("{}.{}", of_85_days / 100, of_85_days % 100)
    );
    assert_eq!(first.body["note"], "Bonus");
}

#[tokio::test]
async fn that_it_is_reached_is_said_once() {
    let world = world().await;
    let ada = world.register("ada").await;
    let id = goal(&ada, &json!({})).await.expect(201).id();
    contribute(&ada, &id, &json!({"amount": "999.99"}))
        .await
        .expect(201);
    assert_eq!(read(&ada, &id).await["achieved_at"], Value::Null);
    let last = contribute(&ada, &id, &json!({"amount": "0.01"})).await;
    let achieved_at = read(&ada, &id).await["achieved_at"].clone();
    assert!(achieved_at.is_string());
    let alert = ada.alerts(1).await.remove(0);
    assert_eq!(alert["kind"], "goal_achieved");
    assert_eq!(alert["title"], "Holidays is reached");
    assert_eq!(alert["details"]["goal_id"], json!(id));
    assert_eq!(alert["source_event"], "finance.goal.achieved");
    // Out and in again.
    let back = format!("/v1/contributions/{}", last.expect(201).id());
    ada.delete(&back).await.expect(204);
    assert_eq!(read(&ada, &id).await["achieved_at"], achieved_at);
    contribute(&ada, &id, &json!({"amount": "500"}))
        .await
        .expect(201);
    assert_eq!(alerts_after_all(&ada, 1).await.len(), 1);
    // A higher target is another thing to reach.
    let path = format!("/v1/goals/{id}");
    let raised = json!({"target_amount": "2000"});
    let raised = ada.patch(&path, &raised).await.expect(200);
    assert_eq!(raised.body["achieved_at"], Value::Null);
    let lowered = json!({"target_amount": "1499.99"});
    let lowered = ada.patch(&path, &lowered).await.expect(200);
    assert!(lowered.body["achieved_at"].is_string());
    // The fence was told of, too.
    assert_eq!(ada.alerts(3).await[0]["details"]["amount"], "1499.99");
}

#[tokio::test]
async fn a_goal_follows_its_wallet() {
    let world = world().await;
    let ada = world.register("ada").await;
    let savings = ada.wallet("Savings", "USD", "400.00").await;
    let checking = ada.wallet("Checking", "USD", "5000.00").await;
    let follows = json!({"wallet_id": savings});
    let id = goal(&ada, &follows).await.expect(201).id();
    assert_eq!(read(&ada, &id).await["saved"], "400.00");
    let refused = contribute(&ada, &id, &json!({"amount": "1"})).await;
    refused.problem(422, "validation");
    let transfer = json!({
        "wallet_id": checking, "to_wallet_id": savings, "type": "transfer", "amount": "300"
    });
    ada.post("/v1/transactions", &transfer).await.expect(201);
    let interest = json!({"wallet_id": savings, "type": "income", "amount": "30"});
    ada.post("/v1/transactions", &interest).await.expect(201);
    let now = read(&ada, &id).await;
    assert_eq!(now["saved"], "730.00");
    // 330.00 in 30 days; the opening balance was not saved then.
    assert_eq!(now["monthly_pace"], "334.58");
    assert_eq!(now["foreseen_on"], "2026-03-07");
    assert_eq!(now["achieved_at"], Value::Null);
    ada.post("/v1/transactions", &transfer).await.expect(201);
    let alert = ada.alerts(1).await.remove(0);
    assert_eq!(alert["kind"], "goal_achieved");
    assert!(read(&ada, &id).await["achieved_at"].is_string());
    // Out of it and into it again: it was said.
    let spent = json!({"wallet_id": savings, "type": "expense", "amount": "900"});
    ada.post("/v1/transactions", &spent).await.expect(201);
    let earned = json!({"wallet_id": savings, "type": "income", "amount": "900"});
    ada.post("/v1/transactions", &earned).await.expect(201);
    assert_eq!(alerts_after_all(&ada, 1).await.len(), 1);
    // A wallet that a goal follows stays; and what was opened with counts at once.
    let other = ada.wallet("Other", "USD", "0").await;
    let id = goal(&ada, &json!({"wallet_id": other}))
        .await
        .expect(201)
        .id();
    let path = format!("/v1/wallets/{other}");
    ada.delete(&path).await.problem(409, "conflict");
    let opened = json!({"opening_balance": "1000"});
    ada.patch(&path, &opened).await.expect(200);
    assert!(read(&ada, &id).await["achieved_at"].is_string());
    assert_eq!(ada.alerts(3).await[0]["details"]["goal_id"], json!(id));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let world = world().await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let euros = ada.wallet("Euros", "EUR", "0").await;
    let bobs = bob.wallet("Bob's", "USD", "0").await;
    for (set, pointer) in [
        (json!({"target_amount": "0"}), "/target_amount"),
        (json!({"target_amount": "-5"}), "/target_amount"),
        (json!({"target_amount": "1.001"}), "/target_amount"),
        (json!({"currency": "XXY"}), "/currency"),
        (json!({"name": " "}), "/name"),
        (json!({"target_date": "0000-01-01"}), "/target_date"),
        (json!({"target_date": "10000-01-01"}), "/target_date"),
        (json!({"wallet_id": euros}), "/wallet_id"),
        (json!({"wallet_id": bobs}), "/wallet_id"),
    ] {
        let refused = goal(&ada, &set).await.problem(422, "validation");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{set}");
    }
    assert_eq!(ada.all("/v1/goals", 1).await, [] as [Value; 0]);
    let id = goal(&ada, &json!({})).await.expect(201).id();
    contribute(&ada, &id, &json!({"amount": "10"}))
        .await
        .expect(201);
    for (body, pointer) in [
        (json!({"amount": "10.01", "type": "withdrawal"}), "/amount"),
        (json!({"amount": "0"}), "/amount"),
        (json!({"amount": "-1"}), "/amount"),
        (json!({"amount": "1", "date": "2026-02-30"}), "/date"),
        (json!({"amount": "1", "note": ""}), "/note"),
    ] {
        let refused = contribute(&ada, &id, &body).await;
        let refused = refused.problem(422, "validation");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{body}");
    }
    let given = json!({"amount": "1"});
    contribute(&bob, &id, &given)
        .await
        .problem(404, "not-found");
    let path = format!("/v1/goals/{id}/contributions");
    bob.get(&path).await.problem(404, "not-found");
    // What was taken out since cannot be taken back before.
    let deposit = ada.all(&path, 1).await[0]["id"].clone();
    let out = json!({"amount": "8", "type": "withdrawal"});
    contribute(&ada, &id, &out).await.expect(201);
    let deposit = format!("/v1/contributions/{}", deposit.as_str().expect("an id"));
    ada.delete(&deposit).await.problem(422, "validation");
    assert_eq!(read(&ada, &id).await["saved"], "2.00");
    // With the goal goes what was put aside for it.
    ada.delete(&format!("/v1/goals/{id}")).await.expect(204);
    ada.get(&deposit).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_sum_that_is_not_the_contributions_is_found_and_repaired() {
    let world = world().await;
    let ada = world.register("ada").await;
    let id = goal(&ada, &json!({})).await.expect(201).id();
    contribute(&ada, &id, &json!({"amount": "10"}))
        .await
        .expect(201);
    let store = world.store().await;
    let wrong = |tx: Tx| async move {
        let text = "UPDATE goals SET contributed_minor = 1001";
        tx.execute_unprepared(text).await?;
        Ok(())
    };
    store.write(wrong).await.expect("tampered");
    let audit = async |repair| {
        let found = Audit::new(&store).run(repair, noon(), |_| {}).await;
        found.expect("a recount")
    };
    let found = audit(true).await;
    let said = format!("goal {id}: kept 1001, its contributions make 1000 minor units");
    assert!(found.findings[0].to_string().ends_with(&said), "{found:?}");
    assert!(audit(false).await.is_clean());
    assert_eq!(read(&ada, &id).await["saved"], "10.00");
}
