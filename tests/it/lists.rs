//! Lists: their order, filters and pages; and which version of the books an answer shows.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wealth_companion::store::event_log::LogPosition;

use crate::support::{Person, World};

fn ids(items: &[Value]) -> Vec<String> {
    let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
    items.iter().map(id).collect()
}

/// As the API promises: the newest day first, on a day the last recorded first.
fn assert_in_order(items: &[Value]) {
    let key = |item: &Value| {
        let text = |name: &str| item[name].as_str().expect("a text").to_owned();
        (text("date"), text("id"))
    };
    assert!(items.is_sorted_by(|one, next| key(one) > key(next)));
}

#[tokio::test]
async fn pages_over_equal_days_have_no_gap_and_no_double() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    for index in 0..12 {
        let date = ["2026-02-10", "2026-02-11"][index % 2];
        ada.spend(&wallet, &groceries, "1.00", date).await;
    }
    let whole = ada.all("/v1/transactions", 200).await;
    assert_eq!(whole.len(), 12);
    assert_in_order(&whole);
    for limit in [1, 2, 5, 6, 11, 12, 13, 200] {
        let paged = ada.all("/v1/transactions", limit).await;
        assert_eq!(ids(&paged), ids(&whole), "pages of {limit}");
    }
    for limit in ["0", "201", "-1", "x"] {
        ada.get(&format!("/v1/transactions?limit={limit}"))
            .await
            .problem(422, "validation");
    }
    ada.get("/v1/transactions?cursor=bm90IG91cnM")
        .await
        .problem(422, "validation");
    ada.get("/v1/transactions?page=2")
        .await
        .problem(422, "validation");
}

#[tokio::test]
async fn pages_stay_whole_while_bookings_come_and_go() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    let mut there = Vec::new();
    for _ in 0..9 {
        there.push(
            ada.spend(&wallet, &groceries, "1.00", "2026-02-10")
                .await
                .id(),
        );
    }
    let (mut seen, mut next) = (Vec::new(), Some("/v1/transactions?limit=2".to_owned()));
    while let Some(path) = next {
        let page = ada.get(&path).await.expect(200);
        seen.extend(ids(page.body["items"].as_array().expect("items")));
        let cursor = page.body["next_cursor"].as_str();
        next = cursor.map(|cursor| format!("/v1/transactions?limit=2&cursor={cursor}"));
        // Before, on and after the day of the page; and what the cursor names goes.
        for date in ["2026-02-11", "2026-02-10", "2026-02-09"] {
            ada.spend(&wallet, &groceries, "2.00", date).await;
        }
        let last = seen.last().expect("something").clone();
        ada.delete(&format!("/v1/transactions/{last}"))
            .await
            .expect(204);
        if seen.len() > 40 {
            break;
        }
    }
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "nothing twice");
    assert!(
        there.iter().all(|id| unique.contains(id)),
        "nothing left out"
    );
}

struct Books {
    ada: Person,
    checking: String,
    groceries: String,
}

async fn books(world: &World) -> Books {
    let ada = world.register("ada").await;
    let checking = ada.wallet("Checking", "USD", "0").await;
    let euros = ada.wallet("Euros", "EUR", "0").await;
    let groceries = ada.category("Groceries").await;
    for (wallet, category, kind, amount, date) in [
        (
            &checking,
            Some(&groceries),
            "expense",
            "10.00",
            "2026-01-31",
        ),
        (
            &checking,
            Some(&groceries),
            "expense",
            "20.00",
            "2026-02-01",
        ),
        (&checking, None, "income", "30.00", "2026-02-28"),
        (&euros, Some(&groceries), "expense", "20.00", "2026-02-14"),
        (&euros, None, "expense", "40.00", "2026-03-01"),
    ] {
        let body = json!({
            "wallet_id": wallet, "category_id": category, "type": kind, "amount": amount, "date": date
        });
        ada.post("/v1/transactions", &body).await.expect(201);
    }
    Books {
        ada,
        checking,
        groceries,
    }
}

#[tokio::test]
async fn filters_narrow_the_list_and_add_up() {
    let world = World::start().await;
    let Books {
        ada,
        checking,
        groceries,
    } = books(&world).await;
    let wallet = format!("wallet_id={checking}");
    let category = format!("category_id={groceries}");
    let all_of_it = format!("{wallet}&{category}&type=expense&from=2026-02-01&max_amount=20");
    for (query, amounts) in [
        ("", &["40.00", "30.00", "20.00", "20.00", "10.00"][..]),
        (&wallet, &["30.00", "20.00", "10.00"]),
        (&category, &["20.00", "20.00", "10.00"]),
        ("type=income", &["30.00"]),
        ("from=2026-02-28", &["40.00", "30.00"]),
        ("to=2026-02-01", &["20.00", "10.00"]),
        (
            "from=2026-02-01&to=2026-02-28",
            &["30.00", "20.00", "20.00"],
        ),
        ("from=2026-03-02", &[]),
        ("from=2026-02-02&to=2026-02-01", &[]),
        // Amounts are of the user's currency where no wallet says another.
        ("min_amount=20", &["30.00", "20.00"]),
        ("min_amount=20&max_amount=20.00", &["20.00"]),
        (&all_of_it, &["20.00"]),
    ] {
        for limit in [1, 200] {
            let items = ada.all(&format!("/v1/transactions?{query}"), limit).await;
            let shown: Vec<&str> = items
                .iter()
                .filter_map(|item| item["amount"].as_str())
                .collect();
            assert_eq!(shown, amounts, "{query}");
            assert_in_order(&items);
        }
    }
    for query in [
        "type=gift",
        "from=yesterday",
        "wallet_id=1",
        "min_amount=1.001",
        "min_amount=x",
    ] {
        ada.get(&format!("/v1/transactions?{query}"))
            .await
            .problem(422, "validation");
    }
    let bob = world.register("bob").await;
    assert!(
        bob.all(&format!("/v1/transactions?{wallet}"), 200)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn wallets_categories_and_budgets_come_in_pages_oldest_first() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let mut made = Vec::new();
    for index in 0..5 {
        made.push(ada.wallet(&format!("Wallet {index}"), "USD", "0").await);
    }
    let budgets = [ada.budget(&[], "10").await, ada.budget(&[], "20").await];
    for limit in [1, 2, 5, 200] {
        assert_eq!(ids(&ada.all("/v1/wallets", limit).await), made);
        assert_eq!(ids(&ada.all("/v1/budgets", limit).await), budgets);
        let categories = ada.all("/v1/categories", limit).await;
        assert_eq!(categories.len(), 17);
        assert_eq!(categories[0]["name"], "Groceries");
        assert_eq!(categories[16]["name"], "Other income");
    }
    for path in ["/v1/wallets", "/v1/categories", "/v1/budgets", "/v1/alerts"] {
        for query in ["limit=0", "limit=201", "cursor=x", "cursor=", "sort=name"] {
            ada.get(&format!("{path}?{query}"))
                .await
                .problem(422, "validation");
        }
    }
}

#[tokio::test]
async fn a_write_says_where_it_is_and_a_reader_may_wait_for_it() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    let budget = ada.budget(&[&groceries], "100.00").await;
    let place = |text: &str| text.parse::<LogPosition>().expect("a place");
    let mut before = LogPosition::default();
    for cents in 1..=20 {
        let booked = ada.spend(&wallet, &groceries, "0.01", "2026-02-10").await;
        let here = place(booked.header("x-log-position"));
        assert!(here > before, "{here} after {before}");
        before = here;
        let sum = format!("0.{cents:02}");
        let month = ada.get_after("/v1/dashboard?month=2026-02", &booked).await;
        assert_eq!(month.body["spending"], sum);
        assert!(place(month.header("x-log-position")) >= here);
    }
    let today = world.clock.now().date_naive().to_string();
    let booked = ada.spend(&wallet, &groceries, "5.00", &today).await;
    let list = ada.get_after("/v1/budgets", &booked).await;
    let one = ada
        .get_after(&format!("/v1/budgets/{budget}"), &booked)
        .await;
    for answer in [&list.body["items"][0], &one.body] {
        let spent = answer["current"]["spent"].as_str().expect("a sum");
        assert!(["5.00", "5.20"].contains(&spent), "{answer}");
    }
    assert!(place(one.header("x-log-position")) > before);
    for path in [
        "/v1/dashboard",
        "/v1/budgets",
        &format!("/v1/budgets/{budget}"),
    ] {
        for bogus in ["x", "", "1.5", "99999999999999999999"] {
            ada.get(&format!("{path}?wait_for={bogus}"))
                .await
                .problem(422, "validation");
        }
    }
    // A place that nobody has reached is waited for, but not for ever.
    let early = ada
        .get("/v1/dashboard?wait_for=999999999")
        .await
        .expect(200);
    assert!(place(early.header("x-log-position")) < place("999999999-0"));
}

#[tokio::test]
async fn a_cursor_that_somebody_made_up_is_refused_or_leads_somewhere() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0.00").await;
    let id = &wallet;
    for (key, status) in [
        (json!(["9999-12-31", id]), 200),
        (json!(["1900-01-01", id]), 200),
        (json!(["-262143-01-01", id]), 422),
        (json!(["+262142-12-31", id]), 422),
    ] {
        let cursor = BASE64_URL_SAFE_NO_PAD.encode(json!(["transactions", key]).to_string());
        let answer = ada.get(&format!("/v1/transactions?cursor={cursor}")).await;
        assert_eq!(answer.status, status, "{key}: {answer:?}");
    }
}
