//! Rules: they fill in what new bookings leave out, are tried before they change what was booked before, do so as a
//! job that goes on where it was, and are undone but for what was changed since.

use std::sync::Arc;

use serde_json::{Value, json};
use wealth_companion::api::rules::worker::Worker;
use wealth_companion::clock::Clock;
use wealth_companion::domain::rule::{Condition, Field, Mode, Operator, Rule};
use wealth_companion::store::PageRequest;
use wealth_companion::store::audit::Audit;
use wealth_companion::store::rule_runs::{self, Run, State};
use wealth_companion::store::transactions::{self, Filter};

use crate::support::chain::{Chain, Household, expense, noon};
use crate::support::{Answer, Person, World, until};

async fn world() -> World {
    World::with(&[], Clock::fixed(noon())).await
}

fn asks(field: &str, operator: &str, value: &str) -> Value {
    json!({"field": field, "operator": operator, "value": value})
}

/// A rule with these conditions, that sets `set`.
async fn rule(ada: &Person, conditions: &[Value], set: &Value) -> Answer {
    let mut body = json!({"name": "A rule", "conditions": conditions});
    for (key, value) in set.as_object().expect("fields") {
        body[key] = value.clone();
    }
    ada.post("/v1/rules", &body).await
}

async fn spend(ada: &Person, wallet: &str, amount: &str, set: &Value) -> Answer {
    let mut body = json!({"wallet_id": wallet, "type": "expense", "amount": amount});
    for (key, value) in set.as_object().expect("fields") {
        body[key] = value.clone();
    }
    ada.post("/v1/transactions", &body).await.expect(201)
}

async fn booking(ada: &Person, id: &str) -> Value {
    let path = format!("/v1/transactions/{id}");
    ada.get(&path).await.expect(200).body
}

/// Waits until a run is in this state.
async fn run_is(ada: &Person, id: &str, state: &str) -> Value {
    let path = &format!("/v1/rule-runs/{id}");
    let is_so = || async move { ada.get(path).await.expect(200).body["state"] == state };
    until(&format!("the run is {state}"), is_so).await;
    ada.get(path).await.expect(200).body
}

/// Waits until so much is spent of a budget.
async fn spent(ada: &Person, budget: &str, expected: &str) {
    let path = &format!("/v1/budgets/{budget}");
    let is_so =
        || async move { ada.get(path).await.expect(200).body["current"]["spent"] == expected };
    until(&format!("{expected} are spent"), is_so).await;
}

async fn run(ada: &Person, body: &Value) -> (String, Value) {
    let begun = ada.post("/v1/rule-runs", body).await.expect(201);
    let id = begun.id();
    let done = run_is(ada, &id, "done").await;
    (id, done)
}

#[tokio::test]
async fn new_bookings_get_what_they_leave_out() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Everyday", "USD", "500").await;
    let other = ada.wallet("Savings", "USD", "0").await;
    let (food, fun) = (
        ada.category("Groceries").await,
        ada.category("Shopping").await,
    );
    let before = spend(&ada, &wallet, "5", &json!({"payee": "CORNER SHOP 12"})).await;
    assert_eq!(before.body["category_id"], Value::Null);
    let shop = [asks("payee", "matches", r"^corner\W+shop( \d+)?$")];
    let set = json!({"category_id": food, "tags": ["household"]});
    let made = rule(&ada, &shop, &set).await.expect(201);
    assert_eq!(made.body["position"], 1);
    let large = [
        asks("amount", "at_least", "100"),
        asks("wallet_id", "equals", &wallet),
    ];
    let set = json!({"payee": "Somebody", "tags": ["large"]});
    rule(&ada, &large, &set).await.expect(201);

    let small = spend(&ada, &wallet, "99.99", &json!({"payee": "Corner Shop 7"})).await;
    assert_eq!(small.body["category_id"], json!(food));
    assert_eq!(small.body["payee"], "Corner Shop 7");
    assert_eq!(small.body["tags"], json!(["household"]));
    let told = json!({"payee": "Corner Shop", "category_id": fun, "tags": ["zoo"]});
    let told = spend(&ada, &wallet, "100", &told).await;
    assert_eq!(told.body["category_id"], json!(fun), "what was given stays");
    assert_eq!(told.body["payee"], "Corner Shop");
    assert_eq!(told.body["tags"], json!(["household", "large", "zoo"]));
    let named = spend(&ada, &wallet, "100.00", &json!({})).await;
    assert_eq!(named.body["payee"], "Somebody");
    // Neither of another wallet, nor of other people.
    let elsewhere = spend(&ada, &other, "100", &json!({})).await;
    assert_eq!(elsewhere.body["payee"], Value::Null);
    let bob = world.register("bob").await;
    let bobs = bob.wallet("Bob's", "USD", "0").await;
    let his = spend(&bob, &bobs, "100", &json!({"payee": "Corner Shop"})).await;
    assert_eq!(
        (&his.body["category_id"], &his.body["tags"]),
        (&Value::Null, &json!([]))
    );
    // A transfer has no category, whoever says so; what is split neither.
    let transfer = json!({
        "wallet_id": wallet, "to_wallet_id": other, "type": "transfer", "amount": "7", "payee": "Corner Shop"
    });
    let transfer = ada.post("/v1/transactions", &transfer).await.expect(201);
    assert_eq!(transfer.body["category_id"], Value::Null);
    assert_eq!(transfer.body["tags"], json!(["household"]));
    // What is read afterwards is what was answered, and the next one is as the rules are then.
    assert_eq!(booking(&ada, &small.id()).await, small.body);
    let path = format!("/v1/rules/{}", made.id());
    let off = json!({"is_enabled": false});
    ada.patch(&path, &off).await.expect(200);
    let after = spend(&ada, &wallet, "5", &json!({"payee": "Corner Shop"})).await;
    assert_eq!(after.body["category_id"], Value::Null);
    assert_eq!(
        booking(&ada, &before.id()).await,
        before.body,
        "it is from before"
    );
}

#[tokio::test]
async fn rules_are_listed_in_their_order_and_hold_their_category() {
    let world = world().await;
    let ada = world.register("ada").await;
    let food = ada
        .post(
            "/v1/categories",
            &json!({"name": "Food", "kind": "expense"}),
        )
        .await
        .id();
    let all = [asks("amount", "at_least", "0")];
    let mut made = Vec::new();
    for (name, position) in [("third", 30), ("first", 10), ("second", 20)] {
        let set = json!({"name": name, "position": position, "category_id": food});
        made.push(rule(&ada, &all, &set).await.expect(201));
    }
    let last = rule(&ada, &all, &json!({"name": "last", "payee": "x"}))
        .await
        .expect(201);
    assert_eq!(last.body["position"], 31);
    for limit in [1, 3, 200] {
        let listed = ada.all("/v1/rules", limit).await;
        let names: Vec<&Value> = listed.iter().map(|it| &it["name"]).collect();
        assert_eq!(names, ["first", "second", "third", "last"], "{limit}");
    }
    let category = format!("/v1/categories/{food}");
    ada.delete(&category).await.problem(409, "conflict");
    for it in &made {
        ada.delete(it.header("location")).await.expect(204);
    }
    ada.delete(&category).await.expect(204);
}

#[tokio::test]
async fn what_would_change_is_shown_and_nothing_is_written() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Everyday", "USD", "500").await;
    let (food, fun) = (
        ada.category("Groceries").await,
        ada.category("Shopping").await,
    );
    for day in 1..=7 {
        let set = json!({"payee": "Corner Shop", "date": format!("2026-02-0{day}")});
        spend(&ada, &wallet, "5", &set).await;
    }
    let sorted = json!({"payee": "Corner Shop", "category_id": fun, "date": "2026-02-08"});
    let sorted = spend(&ada, &wallet, "5", &sorted).await;
    spend(
        &ada,
        &wallet,
        "5",
        &json!({"payee": "Baker", "date": "2026-01-01"}),
    )
    .await;
    let set = json!({"category_id": food, "is_enabled": false});
    let made = rule(&ada, &[asks("payee", "equals", "corner shop")], &set)
        .await
        .expect(201);

    let none = ada.get("/v1/rule-preview").await.expect(200).body;
    assert_eq!(none["would_change"], 0, "it is not enabled");
    let path = format!("/v1/rule-preview?rule_id={}", made.id());
    let seen = ada.get(&path).await.expect(200).body;
    assert_eq!(
        [
            &seen["examined"],
            &seen["would_change"],
            &seen["is_complete"]
        ],
        [&json!(9), &json!(7), &json!(true)]
    );
    let first = &seen["items"][0];
    assert_eq!(first["date"], "2026-02-07");
    assert_eq!(
        first["before"],
        json!({"category_id": null, "payee": "Corner Shop", "tags": []})
    );
    assert_eq!(first["after"]["category_id"], json!(food));
    assert_eq!(first["rule_ids"], json!([made.id()]));
    // Page by page it is the same, none twice.
    let one_by_one = ada.all(&path, 2).await;
    assert_eq!(json!(one_by_one), seen["items"]);
    let all = ada
        .get(&format!("{path}&overwrite=true&limit=1"))
        .await
        .expect(200)
        .body;
    assert_eq!(
        (
            &all["would_change"],
            all["items"].as_array().expect("items").len()
        ),
        (&json!(8), 1)
    );
    assert_eq!(all["items"][0]["transaction_id"], json!(sorted.id()));
    let some = ada
        .get(&format!("{path}&from=2026-02-03&to=2026-02-05"))
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&some["examined"], &some["would_change"]),
        (&json!(3), &json!(3))
    );
    let bookings = ada.all("/v1/transactions", 200).await;
    assert!(bookings.iter().all(|it| it["version"] == 1), "{bookings:?}");
    // Of what is another's nothing is seen, and it is not there.
    let bob = world.register("bob").await;
    bob.get(&path).await.problem(422, "validation");
    let seen = bob.get("/v1/rule-preview").await.expect(200).body;
    assert_eq!(seen["examined"], 0);
}

#[tokio::test]
async fn a_run_changes_what_was_booked_and_is_undone_but_for_what_was_changed_since() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Everyday", "USD", "500").await;
    let (food, fun) = (
        ada.category("Groceries").await,
        ada.category("Shopping").await,
    );
    let budget = ada.budget(&[&food], "1000").await;
    let mut ids = Vec::new();
    for day in 1..=9 {
        let set = json!({"description": "CORNER SHOP*12", "date": format!("2026-02-0{day}")});
        ids.push(spend(&ada, &wallet, "10", &set).await.id());
    }
    let other = spend(&ada, &wallet, "10", &json!({"description": "Else"})).await;
    let names = [asks("description", "starts_with", "corner shop")];
    rule(&ada, &names, &json!({"payee": "Corner Shop"}))
        .await
        .expect(201);
    let sorts = [asks("payee", "equals", "corner shop")];
    let set = json!({"category_id": food, "tags": ["household"]});
    rule(&ada, &sorts, &set).await.expect(201);

    let (id, done) = run(&ada, &json!({"to": "2026-02-08"})).await;
    let of = |run: &Value| {
        ["examined", "changed", "skipped", "restored", "left_alone"].map(|it| run[it].clone())
    };
    assert_eq!(of(&done), [8, 8, 0, 0, 0].map(|it| json!(it)));
    let changed = booking(&ada, &ids[0]).await;
    assert_eq!(
        (&changed["payee"], &changed["category_id"]),
        (&json!("Corner Shop"), &json!(food))
    );
    assert_eq!(
        (&changed["tags"], &changed["version"]),
        (&json!(["household"]), &json!(2))
    );
    assert_eq!(
        booking(&ada, &ids[8]).await["version"],
        1,
        "it is of a later day"
    );
    // Sums and words follow, by the events.
    spent(&ada, &budget, "80.00").await;
    // Again, nothing is to be changed.
    let (_, again) = run(&ada, &json!({"to": "2026-02-08"})).await;
    assert_eq!(
        (&again["examined"], &again["changed"]),
        (&json!(8), &json!(0))
    );

    let path = |id: &str| format!("/v1/transactions/{id}");
    ada.patch(&path(&ids[0]), &json!({"category_id": fun}))
        .await
        .expect(200);
    ada.delete(&path(&ids[1])).await.expect(204);
    let undo = format!("/v1/rule-runs/{id}/undo");
    ada.post(&undo, &Value::Null).await.expect(200);
    let undone = run_is(&ada, &id, "undone").await;
    assert_eq!(of(&undone), [8, 8, 0, 6, 2].map(|it| json!(it)));
    assert_eq!(booking(&ada, &ids[0]).await["category_id"], json!(fun));
    for id in &ids[2..8] {
        let restored = booking(&ada, id).await;
        assert_eq!(
            (&restored["payee"], &restored["category_id"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(
            (&restored["tags"], &restored["version"]),
            (&json!([]), &json!(3))
        );
    }
    spent(&ada, &budget, "0.00").await;
    assert_eq!(booking(&ada, &other.id()).await, other.body);
    // A second time there is nothing to undo.
    let again = ada.post(&undo, &Value::Null).await.expect(200);
    assert_eq!(again.body, undone);
    ada.delete(&format!("/v1/rule-runs/{id}")).await.expect(204);
    ada.post(&undo, &Value::Null)
        .await
        .problem(404, "not-found");
    let left = ada.all("/v1/rule-runs", 1).await;
    assert_eq!(left.len(), 1);
    // Others neither see nor undo it.
    let bob = world.register("bob").await;
    let of_ada = format!("/v1/rule-runs/{}", left[0]["id"].as_str().expect("an id"));
    bob.get(&of_ada).await.problem(404, "not-found");
    bob.post(&format!("{of_ada}/undo"), &Value::Null)
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn the_newest_runs_are_kept() {
    let world = world().await;
    let ada = world.register("ada").await;
    let (first, _) = run(&ada, &json!({})).await;
    for _ in 0..20 {
        run(&ada, &json!({})).await;
    }
    assert_eq!(ada.all("/v1/rule-runs", 200).await.len(), 20);
    let gone = ada.get(&format!("/v1/rule-runs/{first}")).await;
    gone.problem(404, "not-found");
}

#[tokio::test]
async fn what_is_no_rule_is_refused_and_nothing_is_written() {
    let world = world().await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let food = ada.category("Groceries").await;
    let bobs = bob.wallet("Bob's", "USD", "0").await;
    let sets = json!({"category_id": food});
    let bomb = "(x{0,40}){0,40}".repeat(4);
    let pattern = asks("payee", "matches", "x");
    let value = "/conditions/0/value";
    for (conditions, set, pointer) in [
        (vec![], &sets, "/conditions"),
        (
            vec![asks("amount", "at_least", "1"); 11],
            &sets,
            "/conditions",
        ),
        (vec![pattern.clone(), pattern.clone()], &sets, "/conditions"),
        (vec![asks("payee", "matches", "(")], &sets, value),
        (vec![asks("payee", "matches", r"(a)\1")], &sets, value),
        (vec![asks("payee", "matches", &bomb)], &sets, value),
        (
            vec![asks("payee", "matches", r"(\w{50}){50}")],
            &sets,
            value,
        ),
        (
            vec![asks("payee", "matches", &"x".repeat(101))],
            &sets,
            value,
        ),
        (vec![asks("payee", "at_least", "1")], &sets, value),
        (vec![asks("amount", "contains", "1")], &sets, value),
        (vec![asks("amount", "at_least", "-1")], &sets, value),
        (vec![asks("amount", "at_least", "1e3")], &sets, value),
        (vec![asks("wallet_id", "equals", "mine")], &sets, value),
        (vec![asks("wallet_id", "equals", &bobs)], &sets, value),
        (vec![asks("type", "equals", "gift")], &sets, value),
        (vec![asks("description", "equals", " ")], &sets, value),
        (vec![pattern.clone()], &json!({}), "/category_id"),
        (vec![pattern.clone()], &json!({"tags": []}), "/category_id"),
        (
            vec![pattern.clone()],
            &json!({"category_id": bobs}),
            "/category_id",
        ),
        (vec![pattern.clone()], &json!({"payee": " "}), "/payee"),
        (
            vec![pattern.clone()],
            &json!({"tags": ["\u{0}"]}),
            "/tags/0",
        ),
        (
            vec![pattern.clone()],
            &json!({"tags": vec!["x"; 21]}),
            "/tags",
        ),
        (
            vec![pattern.clone()],
            &json!({"payee": "x", "position": 0}),
            "/position",
        ),
        (
            vec![pattern.clone()],
            &json!({"payee": "x", "name": ""}),
            "/name",
        ),
    ] {
        let refused = rule(&ada, &conditions, set).await;
        let refused = refused.problem(422, "validation");
        assert_eq!(
            refused.body["errors"][0]["pointer"], pointer,
            "{conditions:?} {set}"
        );
    }
    assert_eq!(ada.all("/v1/rules", 1).await, [] as [Value; 0]);
    let made = rule(&ada, &[pattern], &sets).await.expect(201);
    let path = format!("/v1/rules/{}", made.id());
    let nothing = json!({"category_id": null});
    ada.patch(&path, &nothing).await.problem(422, "validation");
    let nobodys = json!({"rule_id": bobs});
    let refused = ada
        .post("/v1/rule-runs", &nobodys)
        .await
        .problem(422, "validation");
    assert_eq!(refused.body["errors"][0]["pointer"], "/rule_id");
    let theirs = json!({"rule_id": made.id()});
    bob.post("/v1/rule-runs", &theirs)
        .await
        .problem(422, "validation");
    assert_eq!(ada.get(&path).await.expect(200).body, made.body);
    for _ in 1..100 {
        let all = asks("amount", "at_least", "0");
        rule(&ada, &[all], &json!({"tags": ["x"]}))
            .await
            .expect(201);
    }
    let one_more = rule(&ada, &[asks("amount", "at_least", "0")], &sets).await;
    one_more.problem(422, "validation");
}

fn worker(chain: &Chain) -> Worker {
    let (clock, ids) = (chain.clock.clone(), chain.ids.clone());
    Worker::new(chain.store.clone(), clock, ids, Arc::default())
}

/// A run that gives all of somebody's bookings a tag.
async fn begin(chain: &Chain, who: Household, tag: &str) -> Run {
    let now = chain.clock.now();
    let condition = Condition {
        field: Field::Amount,
        operator: Operator::AtLeast,
        value: "0".to_owned(),
    };
    let rule = Rule {
        id: chain.ids.v7(now),
        conditions: vec![condition],
        category_id: None,
        payee: None,
        tags: vec![tag.to_owned()],
        stops: false,
    };
    let run = Run::new(chain.ids.v7(now), who.user_id, vec![rule], Mode::Fill, now);
    let begun = run.clone();
    let unit = move |tx| async move { rule_runs::begin(&tx, &begun).await };
    chain.store.write(unit).await.expect("it begins");
    run
}

async fn now(chain: &Chain, run: &Run) -> Run {
    let run = rule_runs::get(chain.store.reads(), run.user_id, run.id).await;
    run.expect("the run")
}

/// How many bookings of somebody have how many changes behind them.
async fn versions(chain: &Chain, who: Household) -> Vec<i64> {
    let page = PageRequest::first(200);
    let filter = Filter::default();
    let listed = transactions::list(chain.store.reads(), who.user_id, &filter, page);
    let listed = listed.await.expect("bookings").items;
    listed.iter().map(|it| it.version).collect()
}

#[tokio::test]
async fn it_goes_on_where_it_was_and_many_workers_do_nothing_twice() {
    let chain = Chain::new().await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    for who in [ada, bob] {
        for _ in 0..60 {
            chain
                .book(who, expense(who, "1.00", noon().date_naive()))
                .await;
        }
    }
    let first = begin(&chain, ada, "first").await;
    let second = begin(&chain, ada, "second").await;
    let bobs = begin(&chain, bob, "first").await;
    // One step, of a process that does no more.
    assert!(worker(&chain).step().await.expect("a step"));
    let begun = now(&chain, &first).await;
    assert_eq!(
        (begun.state, begun.changed, begun.examined),
        (State::Running, 25, 25)
    );
    assert_eq!(
        now(&chain, &second).await.changed,
        0,
        "it waits for the one before"
    );
    // Others go on, at the same time.
    let workers: Vec<Worker> = (0..4).map(|_| worker(&chain)).collect();
    let all = workers
        .iter()
        .map(|worker| async { while worker.step().await.expect("a step") {} });
    futures_util::future::join_all(all).await;
    for run in [&first, &second, &bobs] {
        let run = now(&chain, run).await;
        assert_eq!(
            (run.state, run.examined, run.changed),
            (State::Done, 60, 60)
        );
    }
    assert_eq!(versions(&chain, ada).await, [3; 60]);
    assert_eq!(versions(&chain, bob).await, [2; 60]);
    // What was undone halfway by one is undone by others.
    let (id, at) = (second.id, chain.clock.now());
    let unit = move |tx| async move { rule_runs::undo(&tx, ada.user_id, id, None, at).await };
    chain.store.write(unit).await.expect("it is to be undone");
    assert!(worker(&chain).step().await.expect("a step"));
    assert_eq!(now(&chain, &second).await.restored, 25);
    let workers: Vec<Worker> = (0..4).map(|_| worker(&chain)).collect();
    let all = workers
        .iter()
        .map(|worker| async { while worker.step().await.expect("a step") {} });
    futures_util::future::join_all(all).await;
    let undone = now(&chain, &second).await;
    assert_eq!(
        (undone.state, undone.restored, undone.kept),
        (State::Undone, 60, 0)
    );
    assert_eq!(versions(&chain, ada).await, [4; 60]);
    chain.settle().await;
    let audit = Audit::new(&chain.store);
    let report = audit.run(false, noon(), |_| {}).await.expect("counted");
    assert!(report.is_clean());
}
