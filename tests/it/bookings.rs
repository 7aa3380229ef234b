//! Booking, changing, deleting: exact amounts, and balances that follow.

use serde_json::{Value, json};
use wealth_companion::clock::Clock;

use crate::support::{Person, World};

async fn balance(person: &Person, wallet: &str) -> String {
    let wallet = person.get(&format!("/v1/wallets/{wallet}")).await;
    wallet.expect(200).text("balance")
}

fn at(moment: &str) -> Clock {
    Clock::fixed(moment.parse().expect("a moment"))
}

#[tokio::test]
async fn an_amount_has_the_digits_of_its_currency() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    for (currency, good, shown, too_fine) in [
        ("USD", "0.1", "0.10", "0.101"),
        ("JPY", "1200", "1200", "1200.5"),
        ("BHD", "1.5", "1.500", "1.5001"),
    ] {
        let wallet = ada.wallet(currency, currency, "0").await;
        let book = |amount: Value| {
            let body = json!({"wallet_id": wallet, "type": "income", "amount": amount});
            let ada = &ada;
            async move { ada.post("/v1/transactions", &body).await }
        };
        let number: Value = serde_json::from_str(good).expect("a number");
        for amount in [json!(good), number] {
            let booked = book(amount).await.expect(201);
            assert_eq!(booked.body["amount"], shown);
            assert_eq!(booked.body["currency"], currency);
        }
        let number: Value = serde_json::from_str(too_fine).expect("a number");
        for amount in [json!(too_fine), number] {
            let refused = book(amount).await.problem(422, "validation");
            assert_eq!(refused.body["errors"][0]["pointer"], "/amount");
        }
    }
}

#[tokio::test]
async fn what_is_no_amount_is_refused() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "7.00").await;
    let numbers = "[0, -1, 1e30, 0.00]";
    let numbers: Vec<Value> = serde_json::from_str(numbers).expect("numbers");
    let texts = [
        "0",
        "0.00",
        "-1",
        "",
        " ",
        "1,5",
        "1e3000",
        "NaN",
        "99999999999999999999",
    ];
    let others = [json!(null), json!(true), json!([]), json!({})];
    let wrong = numbers.into_iter().chain(texts.map(Value::from));
    for amount in wrong.chain(others) {
        let body = json!({"wallet_id": wallet, "type": "expense", "amount": amount});
        let answer = ada.post("/v1/transactions", &body).await;
        assert_eq!(answer.status, 422, "{amount}: {answer:?}");
        let refused = answer.problem(422, "validation");
        assert_eq!(refused.body["errors"][0]["pointer"], "/amount", "{amount}");
    }
    assert_eq!(balance(&ada, &wallet).await, "7.00");
}

#[tokio::test]
async fn ten_cents_and_twenty_are_thirty() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0.1").await;
    let body = |amount: &str| {
        let amount: Value = serde_json::from_str(amount).expect("a number");
        json!({"wallet_id": wallet, "type": "income", "amount": amount, "date": "2026-02-10"})
    };
    let mut last = ada.post("/v1/transactions", &body("0.2")).await.expect(201);
    assert_eq!(balance(&ada, &wallet).await, "0.30");
    // More digits than a float holds.
    for amount in ["0.1", "9999999999999.99", "0.1"] {
        last = ada
            .post("/v1/transactions", &body(amount))
            .await
            .expect(201);
    }
    assert_eq!(balance(&ada, &wallet).await, "10000000000000.49");
    let month = ada.get_after("/v1/dashboard?month=2026-02", &last).await;
    assert_eq!(month.body["income"], "10000000000000.39");
}

#[tokio::test]
async fn the_balance_follows_every_change_of_a_booking() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let (checking, cash) = (
        ada.wallet("Checking", "USD", "100.00").await,
        ada.wallet("Cash", "USD", "10.00").await,
    );
    let (groceries, travel) = (
        ada.category("Groceries").await,
        ada.category("Travel").await,
    );
    let booked = ada
        .spend(&checking, &groceries, "30.00", "2026-02-10")
        .await;
    let path = format!("/v1/transactions/{}", booked.id());
    let balances = || async { (balance(&ada, &checking).await, balance(&ada, &cash).await) };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(balances().await, pair("70.00", "10.00"));

    for (change, shown, after) in [
        (json!({"amount": "45.50"}), "45.50", pair("54.50", "10.00")),
        (json!({"type": "income"}), "45.50", pair("145.50", "10.00")),
        (
            json!({"type": "expense", "amount": "1"}),
            "1.00",
            pair("99.00", "10.00"),
        ),
        (
            json!({"category_id": travel}),
            "1.00",
            pair("99.00", "10.00"),
        ),
        (json!({"category_id": null}), "1.00", pair("99.00", "10.00")),
        (
            json!({"date": "2025-12-31"}),
            "1.00",
            pair("99.00", "10.00"),
        ),
        (json!({"wallet_id": cash}), "1.00", pair("100.00", "9.00")),
        (
            json!({"wallet_id": checking, "type": "income", "amount": "2"}),
            "2.00",
            pair("102.00", "10.00"),
        ),
    ] {
        let changed = ada.patch(&path, &change).await.expect(200);
        assert_eq!(changed.body["amount"], shown);
        assert_eq!(balances().await, after, "{change}");
    }
    ada.delete(&path).await.expect(204);
    assert_eq!(balances().await, pair("100.00", "10.00"));
    ada.delete(&path).await.problem(404, "not-found");
    ada.patch(&path, &json!({"amount": "1"}))
        .await
        .problem(404, "not-found");
    assert_eq!(balances().await, pair("100.00", "10.00"));
}

#[tokio::test]
async fn a_wallet_in_another_currency_asks_for_the_amount() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let dollars = ada.wallet("Dollars", "USD", "100.00").await;
    let yen = ada.wallet("Yen", "JPY", "5000").await;
    let groceries = ada.category("Groceries").await;
    let booked = ada.spend(&dollars, &groceries, "12.34", "2026-02-10").await;
    let path = format!("/v1/transactions/{}", booked.id());
    for change in [
        json!({"wallet_id": yen}),
        json!({"wallet_id": yen, "amount": "12.34"}),
    ] {
        let refused = ada.patch(&path, &change).await.problem(422, "validation");
        assert_eq!(refused.body["errors"][0]["pointer"], "/amount");
        assert_eq!(balance(&ada, &dollars).await, "87.66");
    }
    let moved = json!({"wallet_id": yen, "amount": "1900"});
    let moved = ada.patch(&path, &moved).await.expect(200);
    assert_eq!(moved.body["currency"], "JPY");
    assert_eq!(moved.body["amount"], "1900");
    assert_eq!(balance(&ada, &dollars).await, "100.00");
    assert_eq!(balance(&ada, &yen).await, "3100");
    let month = ada.get_after("/v1/dashboard?month=2026-02", &moved).await;
    assert_eq!(month.body["spending"], "0.00");
    let month = ada.get("/v1/dashboard?month=2026-02&currency=JPY").await;
    assert_eq!(month.body["spending"], "1900");
}

#[tokio::test]
async fn today_is_what_the_calendar_at_home_says() {
    let world = World::with(&[], at("2026-02-28T23:30:00Z")).await;
    for (name, zone, today) in [
        ("kiri", "Pacific/Auckland", "2026-03-01"),
        ("lou", "America/Los_Angeles", "2026-02-28"),
        ("uma", "UTC", "2026-02-28"),
    ] {
        let person = world.register_in(name, "USD", zone).await;
        let wallet = person.wallet("Cash", "USD", "10").await;
        let body = json!({"wallet_id": wallet, "type": "expense", "amount": "1"});
        let booked = person.post("/v1/transactions", &body).await.expect(201);
        assert_eq!(booked.body["date"], today, "{zone}");
        assert_eq!(booked.body["created_at"], "2026-02-28T23:30:00Z");
        let month = person.get_after("/v1/dashboard", &booked).await;
        assert_eq!(month.body["month"], today[..7]);
        assert_eq!(month.body["spending"], "1.00", "{zone}");
        // Who moves has another today at once.
        person
            .patch("/v1/me", &json!({"time_zone": "Pacific/Kiritimati"}))
            .await
            .expect(200);
        let booked = person.post("/v1/transactions", &body).await.expect(201);
        assert_eq!(booked.body["date"], "2026-03-01", "{zone}");
    }
}

#[tokio::test]
async fn a_change_that_changes_nothing_says_nothing() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "100.00").await;
    let groceries = ada.category("Groceries").await;
    let booked = ada.spend(&wallet, &groceries, "30.00", "2026-02-10").await;
    let path = format!("/v1/transactions/{}", booked.id());
    // What comes after the booking settles before the log is looked at.
    ada.get_after("/v1/dashboard", &booked).await;
    for change in [
        json!({}),
        json!({"amount": "30.0"}),
        json!({"amount": 30, "date": "2026-02-10", "wallet_id": wallet, "category_id": groceries}),
        json!({"description": null}),
    ] {
        let same = ada.patch(&path, &change).await.expect(200);
        assert_eq!(same.body, booked.body, "{change}");
        assert_eq!(same.header("etag"), "\"1\"");
        assert_eq!(
            same.header("x-log-position"),
            booked.header("x-log-position")
        );
    }
    let changed = ada.patch(&path, &json!({"notes": "with milk"})).await;
    let changed = changed.expect(200);
    assert_eq!(changed.body["version"], 2);
    assert_ne!(
        changed.header("x-log-position"),
        booked.header("x-log-position")
    );
    assert_eq!(balance(&ada, &wallet).await, "70.00");
}
