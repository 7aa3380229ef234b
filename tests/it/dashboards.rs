//! The dashboard: a month at a glance.

use serde_json::{Value, json};
use wealth_companion::clock::Clock;

use crate::support::chain::noon;
use crate::support::{Answer, Person, World};

/// Tuesday, 10 February 2026.
async fn world() -> World {
    World::with(&[], Clock::fixed(noon())).await
}

async fn earn(ada: &Person, wallet: &str, category: &str, amount: &str, date: &str) -> Answer {
    let body = json!({
        "wallet_id": wallet, "category_id": category, "type": "income", "amount": amount, "date": date
    });
    ada.post("/v1/transactions", &body).await.expect(201)
}

fn of_month(body: &Value) -> [&str; 3] {
    ["income", "spending", "net"].map(|name| body[name].as_str().expect("an amount"))
}

#[tokio::test]
async fn who_has_nothing_sees_zeros() {
    let world = world().await;
    let yuki = world.register_in("yuki", "JPY", "Asia/Tokyo").await;
    let page = yuki.get("/v1/dashboard").await.expect(200);
    assert_eq!(page.body["month"], "2026-02");
    assert_eq!(page.body["currency"], "JPY");
    assert_eq!(of_month(&page.body), ["0", "0", "0"]);
    for list in ["by_category", "by_wallet", "budgets", "latest"] {
        assert_eq!(page.body[list], json!([]), "{list}");
    }
    let trend = page.body["trend"].as_array().expect("a trend");
    assert_eq!(trend.len(), 12);
    for month in trend {
        assert_eq!(of_month(month), ["0", "0", "0"]);
    }
}

#[tokio::test]
async fn a_month_adds_up_by_category_and_by_wallet() {
    let world = world().await;
    let ada = world.register("ada").await;
    let bank = ada.wallet("Bank", "USD", "1000.00").await;
    let cash = ada.wallet("Cash", "USD", "0").await;
    let (food, travel, salary) = (
        ada.category("Groceries").await,
        ada.category("Travel").await,
        ada.category("Salary").await,
    );
    ada.spend(&bank, &food, "10.10", "2026-02-01").await;
    ada.spend(&cash, &food, "20.20", "2026-02-28").await;
    ada.spend(&cash, &travel, "50.00", "2026-02-10").await;
    ada.spend(&cash, &travel, "7.00", "2026-01-31").await;
    ada.spend(&cash, &travel, "9.00", "2026-03-01").await;
    let plain = json!({"wallet_id": cash, "type": "expense", "amount": "1", "date": "2026-02-10"});
    ada.post("/v1/transactions", &plain).await.expect(201);
    let last = earn(&ada, &bank, &salary, "4000.00", "2026-02-27").await;

    let page = ada.get_after("/v1/dashboard", &last).await.body;
    assert_eq!(of_month(&page), ["4000.00", "81.30", "3918.70"]);
    let category = |id: Value, name: Value, kind: &str, amount: &str, bookings: i64| json!({"category_id": id, "name": name, "type": kind, "amount": amount, "bookings": bookings});
    assert_eq!(
        page["by_category"],
        json!([
            category(json!(salary), json!("Salary"), "income", "4000.00", 1),
            category(json!(travel), json!("Travel"), "expense", "50.00", 1),
            category(json!(food), json!("Groceries"), "expense", "30.30", 2),
            category(Value::Null, Value::Null, "expense", "1.00", 1),
        ])
    );
    assert_eq!(
        page["by_wallet"],
        json!([
            {"wallet_id": bank, "name": "Bank", "income": "4000.00", "spending": "10.10", "net": "3989.90"},
            {"wallet_id": cash, "name": "Cash", "income": "0.00", "spending": "71.20", "net": "-71.20"},
        ])
    );
    let march = ada
        .get("/v1/dashboard?month=2026-03")
        .await
        .expect(200)
        .body;
    assert_eq!(of_month(&march), ["0.00", "9.00", "-9.00"]);
}

#[tokio::test]
async fn the_trend_goes_over_the_year() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Bank", "USD", "0").await;
    let (food, salary) = (
        ada.category("Groceries").await,
        ada.category("Salary").await,
    );
    for (date, amount) in [
        ("2025-02-28", "1.00"),
        ("2025-03-01", "2.00"),
        ("2025-12-31", "4.00"),
        ("2026-01-01", "8.00"),
        ("2026-02-28", "16.00"),
        ("2026-03-01", "32.00"),
    ] {
        ada.spend(&wallet, &food, amount, date).await;
    }
    let last = earn(&ada, &wallet, &salary, "100", "2025-12-01").await;
    let page = ada.get_after("/v1/dashboard", &last).await.body;
    let trend = page["trend"].as_array().expect("a trend");
    let months: Vec<&str> = trend
        .iter()
        .filter_map(|month| month["month"].as_str())
        .collect();
    assert_eq!(
        months,
        [
            "2025-03", "2025-04", "2025-05", "2025-06", "2025-07", "2025-08", "2025-09", "2025-10",
            "2025-11", "2025-12", "2026-01", "2026-02"
        ]
    );
    assert_eq!(of_month(&trend[0]), ["0.00", "2.00", "-2.00"]);
    assert_eq!(of_month(&trend[1]), ["0.00", "0.00", "0.00"]);
    assert_eq!(of_month(&trend[9]), ["100.00", "4.00", "96.00"]);
    assert_eq!(of_month(&trend[10]), ["0.00", "8.00", "-8.00"]);
    assert_eq!(of_month(&trend[11]), ["0.00", "16.00", "-16.00"]);

    for (month, first) in [("0001-01", "0000-02"), ("9999-12", "9999-01")] {
        let page = ada.get(&format!("/v1/dashboard?month={month}")).await;
        assert_eq!(page.expect(200).body["trend"][0]["month"], first);
    }
    for query in [
        "month=2026-13",
        "month=2026-2",
        "month=02-2026",
        "month=",
        "currency=XXY",
    ] {
        ada.get(&format!("/v1/dashboard?{query}"))
            .await
            .problem(422, "validation");
    }
}

#[tokio::test]
async fn currencies_are_never_added() {
    let world = world().await;
    let ada = world.register("ada").await;
    let dollars = ada.wallet("Dollars", "USD", "0").await;
    let dinars = ada.wallet("Dinars", "BHD", "0").await;
    let food = ada.category("Groceries").await;
    ada.spend(&dollars, &food, "10.00", "2026-02-10").await;
    let last = ada.spend(&dinars, &food, "1.005", "2026-02-10").await;
    for (query, spent, wallet) in [
        ("", "10.00", json!(dollars)),
        ("?currency=USD", "10.00", json!(dollars)),
        ("?currency=BHD", "1.005", json!(dinars)),
    ] {
        let path = format!("/v1/dashboard{query}");
        let page = ada.get_after(&path, &last).await.body;
        assert_eq!(page["spending"], spent);
        assert_eq!(page["by_category"][0]["amount"], spent);
        assert_eq!(page["by_category"].as_array().map(Vec::len), Some(1));
        assert_eq!(page["by_wallet"].as_array().map(Vec::len), Some(1));
        assert_eq!(page["by_wallet"][0]["wallet_id"], wallet);
        assert_eq!(page["trend"][11]["spending"], spent);
        assert_eq!(page["latest"].as_array().map(Vec::len), Some(2));
    }
    // Whoever changes their currency sees the other one.
    ada.patch("/v1/me", &json!({"currency": "BHD"}))
        .await
        .expect(200);
    let page = ada.get("/v1/dashboard").await.expect(200);
    assert_eq!(page.body["spending"], "1.005");
}

#[tokio::test]
async fn the_latest_ten_are_shown() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Bank", "USD", "0").await;
    let food = ada.category("Groceries").await;
    for day in 1..=12 {
        ada.spend(&wallet, &food, "1.00", &format!("2026-01-{day:02}"))
            .await;
    }
    let page = ada.get("/v1/dashboard").await.expect(200).body;
    let list = ada.all("/v1/transactions", 200).await;
    assert_eq!(page["latest"].as_array().expect("bookings")[..], list[..10]);
    assert_eq!(page["latest"][0]["date"], "2026-01-12");
}

#[tokio::test]
async fn what_is_deleted_is_gone_from_every_sum() {
    let world = world().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Bank", "USD", "0").await;
    let food = ada.category("Groceries").await;
    let (travel, salary) = (ada.category("Travel").await, ada.category("Salary").await);
    let empty = ada.get("/v1/dashboard").await.expect(200).body;
    let first = ada.spend(&wallet, &food, "10.00", "2026-02-10").await;
    let second = earn(&ada, &wallet, &salary, "20.00", "2026-02-11").await;
    let first = format!("/v1/transactions/{}", first.id());
    let second = format!("/v1/transactions/{}", second.id());

    // A category that lost its only booking disappears.
    let moved = json!({"category_id": travel, "amount": "12.00"});
    let moved = ada.patch(&first, &moved).await.expect(200);
    let page = ada.get_after("/v1/dashboard", &moved).await.body;
    let names = |page: &Value| -> Vec<Value> {
        let sums = page["by_category"].as_array().expect("sums");
        sums.iter().map(|sum| sum["name"].clone()).collect()
    };
    assert_eq!(names(&page), [json!("Salary"), json!("Travel")]);
    ada.delete(&first).await.expect(204);
    let gone = ada.delete(&second).await.expect(204);
    let page = ada.get_after("/v1/dashboard", &gone).await.body;
    assert_eq!(page, empty);
}
