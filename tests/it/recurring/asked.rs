//! Bookings that come again, as people ask for them: made, read, changed, left out, paused and removed.

use serde_json::{Value, json};
use uuid::Uuid;
use wealth_companion::clock::Clock;

use crate::support::chain::noon;
use crate::support::recount::{number, recount_of, settled_in};
use crate::support::{Answer, Person, World, until};

/// A server on a clock that stands still, and somebody with a wallet.
async fn story() -> (World, Person, String) {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    (world, ada, wallet)
}

fn rent(wallet: &str) -> Value {
    json!({
        "wallet_id": wallet, "type": "expense", "amount": "450.00", "description": "Rent", "tags": ["home"],
        "rrule": "FREQ=MONTHLY;BYMONTHDAY=-1"
    })
}

/// The days of a list of what is to come.
async fn days(person: &Person, path: &str) -> Vec<String> {
    let items = person.all(path, 2).await;
    let day = |item: &Value| item["date"].as_str().expect("a day").to_owned();
    items.iter().map(day).collect()
}

/// The first thing that is wrong with a body.
fn wrong(answer: Answer) -> (String, String) {
    let refused = answer.problem(422, "validation");
    let error = &refused.body["errors"][0];
    let text = |key: &str| error[key].as_str().expect("a text").to_owned();
    (text("pointer"), text("detail"))
}

#[tokio::test]
async fn a_rule_is_made_read_changed_and_removed() {
    let (_world, ada, wallet) = story().await;
    let made = ada.post("/v1/recurring", &rent(&wallet)).await.expect(201);
    let path = format!("/v1/recurring/{}", made.id());
    assert_eq!(made.header("location"), path);
    assert_eq!(ada.get(&path).await.expect(200).body, made.body);
    for (field, is) in [
        ("amount", json!("450.00")),
        ("currency", json!("USD")),
        ("starts_on", json!("2026-02-10")),
        ("next_on", json!("2026-02-28")),
        ("paused", json!(false)),
        ("failure", Value::Null),
        ("tags", json!(["home"])),
        ("version", json!(1)),
    ] {
        assert_eq!(made.body[field], is, "{field}");
    }
    let list = ada.get("/v1/recurring").await.expect(200);
    assert_eq!(list.body["items"], json!([made.body]));

    // All that is to come, page by page, of two.
    let weekly = json!({
        "wallet_id": wallet, "type": "income", "amount": "20", "rrule": "FREQ=WEEKLY", "starts_on": "2026-02-21"
    });
    let weekly = ada.post("/v1/recurring", &weekly).await.expect(201);
    let of_both = "/v1/upcoming?until=2026-03-31";
    let expected = [
        "2026-02-21",
        "2026-02-28",
        "2026-02-28",
        "2026-03-07",
        "2026-03-14",
        "2026-03-21",
        "2026-03-28",
        "2026-03-31",
    ];
    assert_eq!(days(&ada, of_both).await, expected);
    let of_one = format!("{path}/upcoming?until=2026-05-31");
    let expected = ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"];
    assert_eq!(days(&ada, &of_one).await, expected);
    let skip = json!({"date": "2026-03-31"});
    let skipped = ada.post(&format!("{path}/skip"), &skip).await.expect(200);
    assert_eq!(skipped.header("etag"), "\"2\"");
    let expected = ["2026-02-28", "2026-04-30", "2026-05-31"];
    assert_eq!(days(&ada, &of_one).await, expected);

    let stale = ada
        .request(reqwest::Method::PATCH, &path)
        .header("If-Match", "\"1\"")
        .json(&json!({"amount": "1"}));
    Answer::to(stale).await.problem(412, "stale");
    let paused = ada.patch(&path, &json!({"paused": true})).await.expect(200);
    assert_eq!(paused.body["next_on"], Value::Null);
    assert_eq!(days(&ada, &of_one).await, [""; 0]);
    let change = json!({"paused": false, "rrule": "FREQ=YEARLY", "starts_on": "2026-04-01", "payee": "Grace"});
    let changed = ada.patch(&path, &change).await.expect(200);
    assert_eq!(changed.body["next_on"], "2026-04-01");
    assert_eq!(changed.body["payee"], "Grace");

    // What a rule is about is in use.
    ada.delete(&format!("/v1/wallets/{wallet}"))
        .await
        .problem(409, "conflict");
    let food = ada.category("Groceries").await;
    ada.patch(&path, &json!({"category_id": food}))
        .await
        .expect(200);
    let category = format!("/v1/categories/{food}");
    ada.delete(&category).await.problem(409, "conflict");
    for id in [made.id(), weekly.id()] {
        let path = format!("/v1/recurring/{id}");
        ada.delete(&path).await.expect(204);
        ada.get(&path).await.problem(404, "not-found");
    }
    ada.delete(&category).await.expect(204);
    ada.delete(&format!("/v1/wallets/{wallet}"))
        .await
        .expect(204);
}

#[tokio::test]
async fn what_is_due_today_is_booked_at_once_and_warns_as_any_booking() {
    let (world, ada, wallet) = story().await;
    ada.budget(&[], "500.00").await;
    let mut body = rent(&wallet);
    body["rrule"] = json!("FREQ=DAILY;COUNT=1");
    let rule = ada.post("/v1/recurring", &body).await.expect(201);
    let booked = "/v1/transactions?tag=home";
    until("it is booked", || async {
        !ada.all(booked, 2).await.is_empty()
    })
    .await;
    let items = ada.all(booked, 2).await;
    let made = &items[0];
    assert_eq!(items.len(), 1);
    assert_eq!(made["recurring_id"], rule.id());
    assert_eq!(
        (&made["date"], &made["occurs_on"]),
        (&json!("2026-02-10"), &json!("2026-02-10"))
    );
    assert_eq!(made["description"], "Rent");
    assert_eq!(ada.alerts(1).await[0]["kind"], "budget_warning");
    // Moved by hand, it is still that day's.
    let path = format!("/v1/transactions/{}", made["id"].as_str().expect("an id"));
    let moved = ada
        .patch(&path, &json!({"date": "2026-02-09"}))
        .await
        .expect(200);
    assert_eq!(
        (&moved.body["date"], &moved.body["occurs_on"]),
        (&json!("2026-02-09"), &json!("2026-02-10"))
    );
    let rule = ada.get(&format!("/v1/recurring/{}", rule.id())).await;
    assert_eq!(rule.body["next_on"], Value::Null, "that was all");
    let metrics = world.internal("/metrics").await;
    let metrics = metrics.body.as_str().expect("a text");
    assert!(metrics.contains("wealth_recurring_bookings_total{outcome=\"booked\"}"));
    let store = world.store().await;
    settled_in(&store).await;
    recount_of(&store).await.agrees();
}

#[tokio::test]
async fn transfers_come_again_too() {
    let (_world, ada, wallet) = story().await;
    let yen = ada.wallet("Tokyo", "JPY", "0").await;
    let body = json!({
        "wallet_id": wallet, "to_wallet_id": yen, "type": "transfer", "amount": "10.00", "to_amount": "1500",
        "rrule": "FREQ=DAILY;COUNT=1"
    });
    let rule = ada.post("/v1/recurring", &body).await.expect(201);
    assert_eq!(rule.body["to_amount"], "1500");
    let yens = format!("/v1/wallets/{yen}");
    until("it is booked", || async {
        ada.get(&yens).await.body["balance"] == "1500"
    })
    .await;
    ada.patch(&yens, &json!({"archived": true}))
        .await
        .expect(200);
    let (pointer, _) = wrong(ada.post("/v1/recurring", &body).await);
    assert_eq!(pointer, "/to_wallet_id");
}

#[tokio::test]
async fn bad_rules_are_refused_with_what_is_wrong_and_nothing_is_written() {
    let (world, ada, wallet) = story().await;
    let made = ada.post("/v1/recurring", &rent(&wallet)).await.expect(201);
    let path = format!("/v1/recurring/{}", made.id());
    let cases = [
        (json!({"rrule": "FREQ=SECONDLY"}), "/rrule", "FREQ is"),
        (
            json!({"rrule": "FREQ=SECONDLY;INTERVAL=1;COUNT=1000000000"}),
            "/rrule",
            "COUNT is",
        ),
        (
            json!({"rrule": "FREQ=DAILY;BYSECOND=1"}),
            "/rrule",
            "BYSECOND",
        ),
        (json!({"rrule": "every month"}), "/rrule", "RFC 5545"),
        (
            json!({"rrule": format!("FREQ=DAILY;BYMONTH={}1", "1,".repeat(100))}),
            "/rrule",
            "200",
        ),
        (
            json!({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}),
            "/rrule",
            "comes on no day",
        ),
        (
            json!({"rrule": "FREQ=DAILY;INTERVAL=7;BYDAY=WE"}),
            "/rrule",
            "comes on no day",
        ),
        (
            json!({"starts_on": "0000-01-01"}),
            "/starts_on",
            "from 1900-01-01",
        ),
        (
            json!({"starts_on": "9999-12-31"}),
            "/starts_on",
            "within 10 years",
        ),
        (json!({"amount": "0"}), "/amount", "greater than zero"),
        (
            json!({"to_wallet_id": wallet}),
            "/to_wallet_id",
            "only a transfer",
        ),
        (
            json!({"wallet_id": Uuid::nil()}),
            "/wallet_id",
            "no such wallet",
        ),
        (
            json!({"category_id": Uuid::nil()}),
            "/category_id",
            "no such category",
        ),
        (json!({"splits": []}), "/splits", "unknown field"),
        (json!({"date": "2026-02-10"}), "/date", "unknown field"),
    ];
    for (fields, pointer, told) in cases {
        let mut body = rent(&wallet);
        for (name, value) in fields.as_object().expect("fields") {
            body[name] = value.clone();
        }
        for answer in [
            ada.post("/v1/recurring", &body).await,
            ada.patch(&path, &fields).await,
        ] {
            let (at, detail) = wrong(answer);
            assert_eq!(at, pointer, "{fields}: {detail}");
            assert!(detail.contains(told), "{fields}: {detail}");
        }
    }
    let ended = json!({"rrule": "FREQ=DAILY;UNTIL=20260209", "starts_on": "2026-02-01"});
    let (pointer, told) = wrong(ada.patch(&path, &ended).await);
    assert!(
        pointer == "/rrule" && told.contains("comes on no day"),
        "{told}"
    );
    for (date, told) in [
        ("2026-02-27", "does not come"),
        ("2026-01-31", "does not come"),
        ("9999-12-31", ""),
    ] {
        let skip = ada
            .post(&format!("{path}/skip"), &json!({"date": date}))
            .await;
        if told.is_empty() {
            // It comes on that day, should anybody live to see it.
            skip.expect(200);
        } else {
            let (pointer, detail) = wrong(skip);
            assert!(
                pointer == "/date" && detail.contains(told),
                "{date}: {detail}"
            );
        }
    }
    ada.patch(&format!("/v1/wallets/{wallet}"), &json!({"archived": true}))
        .await
        .expect(200);
    let (pointer, told) = wrong(ada.post("/v1/recurring", &rent(&wallet)).await);
    assert!(
        pointer == "/wallet_id" && told.contains("archived"),
        "{told}"
    );
    let store = world.store().await;
    assert_eq!(
        number(store.reads(), "SELECT COUNT(*) FROM recurring").await,
        1
    );
    // Of others there is nothing.
    let eve = world.register("eve").await;
    for path in [path.clone(), format!("{path}/upcoming")] {
        eve.get(&path).await.problem(404, "not-found");
    }
    assert_eq!(days(&eve, "/v1/upcoming").await, [""; 0]);
}
