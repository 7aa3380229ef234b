//! Insights: what was there before anybody looked is listed, what comes to light later is said, once, and what
//! is dismissed is gone.

mod of_a_file;

use std::time::Duration;

use chrono::{Days, Months};
use serde_json::{Value, json};
use wealth_companion::clock::Clock;
use wealth_companion::domain::insight::Kind;
use wealth_companion::domain::money::AmountText;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::projector::insights::{Looked, Looker};
use wealth_companion::store::PageRequest;
use wealth_companion::store::alerts::{self, Alert};
use wealth_companion::store::insights::{self, StoredInsight, Wanted};
use wealth_companion::store::transactions::Draft;

use crate::support::chain::{Chain, Household, noon};
use crate::support::{World, until};

const EVERY: Duration = Duration::from_secs(60);

fn looker(chain: &Chain) -> Looker {
    let parts = (chain.store.clone(), chain.clock.clone(), chain.ids.clone());
    Looker::new(parts.0, parts.1, parts.2, EVERY)
}

/// So many payments of a month each, the last some days ago.
async fn subscribe(chain: &Chain, who: Household, payee: &str, amounts: &[&str]) {
    let last = noon().date_naive() - Days::new(3);
    for (ago, amount) in (0..).zip(amounts.iter().rev()) {
        let date = last.checked_sub_months(Months::new(ago)).expect("a day");
        pay(chain, who, payee, amount, date).await;
    }
}

async fn pay(chain: &Chain, who: Household, payee: &str, amount: &str, date: chrono::NaiveDate) {
    let amount = AmountText::Text(amount.to_owned());
    let mut draft = Draft::new(who.wallet_id, TransactionType::Expense, amount, date);
    draft.payee = Some(payee.to_owned());
    chain.book(who, draft).await;
}

async fn listed(chain: &Chain, who: Household, wanted: Wanted) -> Vec<StoredInsight> {
    let page = insights::list(
        chain.store.reads(),
        who.user_id,
        wanted,
        PageRequest::first(200),
    );
    page.await.expect("insights").items
}

async fn alerts_of(chain: &Chain, who: Household) -> Vec<Alert> {
    chain.settle().await;
    let page = alerts::list(
        chain.store.reads(),
        who.user_id,
        false,
        PageRequest::first(200),
    );
    page.await.expect("alerts").items
}

#[tokio::test]
async fn what_was_there_is_listed_and_what_comes_to_light_is_said_once() {
    let chain = Chain::new().await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    let looker = looker(&chain);
    subscribe(&chain, ada, "Streaming", &["12.99"; 4]).await;
    chain.settle().await;
    assert_eq!(
        looker.look(ada.user_id).await.expect("a look"),
        Looked::Found(1)
    );
    let first = listed(&chain, ada, Wanted::default()).await.remove(0);
    assert_eq!(first.insight.kind, Kind::Subscription);
    assert_eq!(first.insight.title, "Streaming comes back every month");
    assert_eq!(first.insight.facts["amount"], "12.99");
    assert_eq!(first.insight.facts["times"], 4);
    assert_eq!(
        alerts_of(&chain, ada).await,
        [],
        "it was there before anybody looked"
    );

    // Nothing was booked, then something was, but it is too early.
    assert_eq!(
        looker.look(ada.user_id).await.expect("a look"),
        Looked::Nothing
    );
    let today = noon().date_naive();
    pay(&chain, ada, "Furniture", "300.00", today).await;
    pay(&chain, ada, "Furniture", "300.00", today).await;
    chain.settle().await;
    let early = looker.look(ada.user_id).await.expect("a look");
    assert_eq!(early, Looked::NotBefore(noon() + EVERY));
    chain.clock.advance(EVERY);
    assert_eq!(
        looker.look(ada.user_id).await.expect("a look"),
        Looked::Found(1)
    );
    let alerts = alerts_of(&chain, ada).await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].kind, "anomaly");
    assert_eq!(alerts[0].title, "Furniture: charged twice?");
    assert_eq!(
        alerts[0].message,
        "Furniture took 300.00 USD twice on 2026-02-10."
    );
    let newest = listed(&chain, ada, Wanted::default()).await.remove(0);
    assert_eq!(alerts[0].details, json!({"insight_id": newest.id}));

    // Whatever is booked, it is said no more.
    chain.clock.advance(EVERY);
    chain.spend(ada, "1.00", "2026-02-10").await;
    chain.settle().await;
    assert_eq!(
        looker.look(ada.user_id).await.expect("a look"),
        Looked::Found(0)
    );
    assert_eq!(alerts_of(&chain, ada).await.len(), 1);
    assert_eq!(listed(&chain, bob, Wanted::default()).await, []);
}

#[tokio::test]
async fn a_tip_is_not_given_again_for_a_year() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let looker = looker(&chain);
    let tips = async || {
        chain.settle().await;
        looker.look(ada.user_id).await.expect("a look");
        let all = listed(&chain, ada, Wanted::default()).await;
        let tips = all.iter().filter(|it| it.insight.kind == Kind::SavingsTip);
        tips.count()
    };
    // Over the turn of a year, on the day a year later, and the day after.
    for (day, days, told) in [("a", 0, 1), ("b", 330, 1), ("c", 35, 1), ("d", 1, 2)] {
        chain.clock.advance(Duration::from_secs(86_400) * days);
        let last = chain.clock.now().date_naive() - Days::new(3);
        for payee in ["Music", "Films", "Games"] {
            for ago in 0..4 {
                let date = last.checked_sub_months(Months::new(ago)).expect("a day");
                let payee = format!("{payee} {day}");
                pay(&chain, ada, &payee, "12.99", date).await;
            }
        }
        assert_eq!(tips().await, told, "after {days} days more");
    }
}

#[tokio::test]
async fn two_who_look_at_the_same_time_say_it_once() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.spend(ada, "1.00", "2026-02-10").await;
    chain.settle().await;
    let (one, other) = (looker(&chain), looker(&chain));
    one.look(ada.user_id).await.expect("a look");
    chain.clock.advance(EVERY);
    subscribe(
        &chain,
        ada,
        "Streaming",
        &["12.99", "12.99", "12.99", "15.99"],
    )
    .await;
    chain.settle().await;
    let both = tokio::join!(one.look(ada.user_id), other.look(ada.user_id));
    let found = [both.0.expect("a look"), both.1.expect("a look")];
    let count = |looked: &Looked| match looked {
        Looked::Found(count) => *count,
        _ => 0,
    };
    assert_eq!(found.iter().map(count).sum::<usize>(), 2, "{found:?}");
    let alerts = alerts_of(&chain, ada).await;
    let mut titles: Vec<&str> = alerts.iter().map(|alert| alert.title.as_str()).collect();
    titles.sort_unstable();
    assert_eq!(
        titles,
        ["Streaming comes back every month", "Streaming costs more"]
    );
}

#[tokio::test]
async fn whoever_was_overlooked_is_found() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let overlooked = async || {
        let found = insights::overlooked(chain.store.reads(), 10).await;
        found.expect("users")
    };
    assert!(overlooked().await.is_empty());
    chain.spend(ada, "1.00", "2026-02-10").await;
    chain.settle().await;
    assert_eq!(overlooked().await, [ada.user_id]);
    looker(&chain).look(ada.user_id).await.expect("a look");
    assert!(overlooked().await.is_empty());
}

#[tokio::test]
async fn clients_list_and_dismiss_their_own() {
    let set = [("insights.every_ms", "20")];
    let world = World::with(&set, Clock::system()).await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let buy = json!({"wallet_id": wallet, "type": "expense", "amount": "80", "payee": "Dentist"});
    let first = ada.post("/v1/transactions", &buy).await.expect(201);
    let (store, ada_id) = (world.store().await, ada.id.parse().expect("an id"));
    until("a look", async || {
        let look = insights::last_look(store.reads(), ada_id).await;
        look.expect("the database").is_some()
    })
    .await;
    let second = ada.post("/v1/transactions", &buy).await.expect(201);
    let alert = ada.alerts(1).await.remove(0);
    assert_eq!(alert["kind"], "anomaly");
    let found = ada.all("/v1/insights", 1).await.remove(0);
    assert_eq!(found["id"], alert["details"]["insight_id"]);
    assert_eq!(found["confidence"], 0.75);
    assert_eq!(found["facts"]["amount"], "80.00");
    let mut related: Vec<&Value> = found["related"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["id"])
        .collect();
    related.sort_by_key(ToString::to_string);
    assert_eq!(related, [&json!(first.id()), &json!(second.id())]);
    assert_eq!(
        ada.all("/v1/insights?kind=subscription", 1).await,
        [] as [Value; 0]
    );
    assert_eq!(ada.all("/v1/insights?kind=anomaly", 1).await.len(), 1);
    ada.get("/v1/insights?kind=gossip")
        .await
        .problem(422, "validation");

    let path = format!(
        "/v1/insights/{}/dismiss",
        found["id"].as_str().expect("an id")
    );
    bob.post(&path, &Value::Null)
        .await
        .problem(404, "not-found");
    let dismissed = ada.post(&path, &Value::Null).await.expect(200);
    assert!(dismissed.body["dismissed_at"].is_string());
    assert_eq!(
        ada.post(&path, &Value::Null).await.expect(200).body,
        dismissed.body
    );
    assert_eq!(ada.all("/v1/insights", 1).await, [] as [Value; 0]);
    assert_eq!(ada.all("/v1/insights?all=true", 1).await, [dismissed.body]);
    assert_eq!(bob.all("/v1/insights?all=true", 1).await, [] as [Value; 0]);
}
