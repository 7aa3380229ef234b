//! The system as one story: from a booked expense to a live alert.

use serde_json::json;

use crate::support::World;
use crate::support::chain::Chain;
use wealth_companion::events::Event;

#[tokio::test]
async fn a_booked_expense_becomes_a_live_alert() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    let budget = ada.budget(&[&groceries], "100.00").await;
    let today = world.clock.now().date_naive().to_string();
    let mut stream = ada.follow(None).await;

    // Half of the budget: nothing to say.
    ada.spend(&wallet, &groceries, "50.00", &today).await;
    // 85 %: a warning comes by itself.
    ada.spend(&wallet, &groceries, "35.00", &today).await;
    let (first, warning) = stream.alert().await.expect("a warning");
    assert_eq!(warning["kind"], "budget_warning");
    assert_eq!(warning["details"]["spent"], "85.00");
    assert_eq!(warning["details"]["threshold"], 80);
    assert_eq!(warning["budget_id"], json!(budget));

    // 120 %: it is exceeded.
    let last = ada.spend(&wallet, &groceries, "35.00", &today).await;
    let (_, exceeded) = stream.alert().await.expect("an alert");
    assert_eq!(exceeded["kind"], "budget_exceeded");
    assert_eq!(exceeded["details"]["spent"], "120.00");

    // The books agree.
    let dashboard = ada.get_after("/v1/dashboard", &last).await;
    assert_eq!(dashboard.body["spending"], "120.00");
    assert_eq!(dashboard.body["budgets"][0]["current"]["percent"], 120);
    let wallet = ada.get(&format!("/v1/wallets/{wallet}")).await;
    assert_eq!(wallet.body["balance"], "880.00");

    // Who was away reads what was missed, once.
    let mut resumed = ada.follow(Some(&first)).await;
    assert_eq!(
        resumed.alert().await.expect("the missed one").1["id"],
        exceeded["id"]
    );
    assert_eq!(ada.alerts(2).await.len(), 2);

    let (ended, _) = world.stop().await;
    ended.expect("a clean end");
    assert!(
        stream.alert().await.is_none(),
        "the stream ends with the server"
    );
}

#[tokio::test]
async fn every_event_of_a_chain_carries_its_cause() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    chain.spend(ada, "120.00", "2026-02-10").await;
    chain.settle().await;

    let log = chain.log().await;
    let events: Vec<Event> = log
        .iter()
        .map(|entry| Event::parse(entry.envelope.as_bytes()).expect("an event"))
        .collect();
    let types: Vec<&str> = events
        .iter()
        .map(|event| event.data.event_type().as_str())
        .collect();
    assert_eq!(
        types,
        [
            "finance.transaction.created",
            "ai.insight.generated",
            "finance.budget.exceeded",
            "notification.alert.sent",
            "notification.alert.sent",
        ]
    );
    let booked = &events[0];
    assert_eq!(booked.cause.causation_id, None);
    for event in &events[1..] {
        assert_eq!(event.cause.correlation_id, booked.cause.correlation_id);
        assert_eq!(event.cause.trace.trace_id, booked.cause.trace.trace_id);
    }
    assert_eq!(events[1].cause.causation_id, Some(booked.id));
    assert_eq!(events[2].cause.causation_id, Some(booked.id));
    assert_eq!(events[3].cause.causation_id, Some(events[1].id));
    assert_eq!(events[4].cause.causation_id, Some(events[2].id));
}
