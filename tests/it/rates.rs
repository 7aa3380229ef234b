//! Several currencies: exchange rates that operators bring in and people set, and what is converted by them. Amounts are
//! never added across currencies, and no rate is guessed.

/// Files of rates, and servers that have them.
mod importing;

use std::path::Path;

use serde_json::{Value, json};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::domain::exchange::OwnRate;
use wealth_companion::domain::money::Currency;
use wealth_companion::domain::rate::Rate;
use wealth_companion::operator::rates::ecb::{self, Format};
use wealth_companion::operator::rates::{Imported, import};
use wealth_companion::store::Store;
use wealth_companion::store::rates::{self, OWN_RATES_MAX, UserRate};

use crate::support::chain::noon;
use crate::support::{Answer, Person, Rows, World};

/// Tuesday, 10 February 2026.
async fn world() -> World {
    World::with(&[], Clock::fixed(noon())).await
}

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rates");
    std::fs::read(folder.join(name)).expect(name)
}

/// Brings a file in, as of 10 February 2026.
async fn bring_in(store: &Store, bytes: &[u8]) -> Imported {
    let sheet = ecb::read(bytes, Format::of(bytes), noon().date_naive());
    let sheet = sheet.expect("a good file");
    let mut told = Vec::new();
    let done = import(store, sheet, noon(), |done, total| {
        told.push((done, total));
    });
    let done = done.await.expect("written");
    let (last, total) = *told.last().expect("it tells");
    assert_eq!(last, total);
    done
}

/// What a quote says in one line, or that there is none.
async fn quote(person: &Person, query: &str) -> String {
    let answer = person.get(&format!("/v1/exchange-rate?{query}")).await;
    if answer.status == 404 {
        return answer.problem(404, "not-found").text("detail");
    }
    let answer = answer.expect(200);
    let text = |key: &str| answer.text(key);
    format!(
        "1 {} = {} {} of {} {}",
        text("from"),
        text("rate"),
        text("to"),
        text("date"),
        text("source")
    )
}

async fn set(person: &Person, from: &str, to: &str, rate: &str, date: &str) -> Answer {
    let body = json!({"from": from, "to": to, "rate": rate, "date": date});
    person.post("/v1/rates", &body).await
}

/// The first thing that is wrong with a body.
fn wrong(answer: Answer) -> (String, String) {
    let refused = answer.problem(422, "validation");
    let error = &refused.body["errors"][0];
    let text = |key: &str| error[key].as_str().expect("a text").to_owned();
    (text("pointer"), text("detail"))
}

#[tokio::test]
async fn the_rate_of_the_latest_day_holds_and_a_missing_one_is_said() {
    let world = world().await;
    let ada = world.register("ada").await;
    let none = quote(&ada, "from=EUR&to=USD").await;
    assert!(
        none.starts_with("no rate from EUR to USD holds on 2026-02-10"),
        "{none}"
    );
    let store = world.store().await;
    bring_in(&store, &file("eurofxref-hist.csv")).await;
    for (query, told) in [
        ("from=EUR&to=USD", "1 EUR = 1.25 USD of 2026-02-10 ecb"),
        ("", "1 EUR = 1.25 USD of 2026-02-10 ecb"),
        ("from=JPY", "1 JPY = 0.00666666666667 USD of 2026-02-10 ecb"),
        ("from=USD&to=JPY", "1 USD = 150 JPY of 2026-02-10 ecb"),
        (
            "from=USD&to=JPY&date=2026-02-09",
            "1 USD = 155 JPY of 2026-02-09 ecb",
        ),
        // A week old.
        (
            "from=EUR&to=USD&date=2026-02-06",
            "1 EUR = 1.1842 USD of 2026-01-30 ecb",
        ),
        (
            "from=USD&to=USD&date=1900-01-01",
            "1 USD = 1 USD of 1900-01-01 same",
        ),
        // Not quoted on the tenth.
        (
            "from=ILS&to=EUR",
            "1 ILS = 0.27027027027 EUR of 2026-02-09 ecb",
        ),
        (
            "from=USD&to=ILS",
            "1 USD = 3.08333333333 ILS of 2026-02-09 ecb",
        ),
        (
            "from=EUR&to=IDR&date=1999-01-05",
            "1 EUR = 9433.61 IDR of 1999-01-04 ecb",
        ),
    ] {
        assert_eq!(quote(&ada, query).await, told, "{query}");
    }
    for query in [
        "from=EUR&to=USD&date=2026-02-08",
        "from=EUR&to=USD&date=1998-12-31",
        "from=EUR&to=USD&date=1900-01-01",
        "from=EUR&to=USD&date=9999-12-31",
        "from=EUR&to=ARS",
        "from=ARS&to=USD",
    ] {
        assert!(
            quote(&ada, query).await.starts_with("no rate from "),
            "{query}"
        );
    }
    for (query, field) in [
        ("from=HRK", "?from"),
        ("to=usd", "?to"),
        ("date=0000-01-01", "?date"),
        ("date=10000-01-01", "?date"),
        ("date=2026-02-30", "?date"),
        ("amount=1", "?amount"),
    ] {
        let answer = ada.get(&format!("/v1/exchange-rate?{query}")).await;
        assert_eq!(wrong(answer).0, field, "{query}");
    }
}

#[tokio::test]
async fn ones_own_rate_holds_on_its_day_and_is_nobody_elses() {
    let world = world().await;
    let ada = world.register("ada").await;
    let eve = world.register("eve").await;
    bring_in(&world.store().await, &file("eurofxref-hist.csv")).await;
    let made = set(&ada, "EUR", "USD", "1.60", "2026-02-10")
        .await
        .expect(201);
    assert_eq!(made.body["rate"], "1.6");
    let path = format!("/v1/rates/{}", made.id());
    assert_eq!(ada.get(&path).await.expect(200).body, made.body);
    assert_eq!(
        quote(&ada, "to=USD").await,
        "1 EUR = 1.6 USD of 2026-02-10 own"
    );
    assert_eq!(
        quote(&ada, "from=USD&to=EUR").await,
        "1 USD = 0.625 EUR of 2026-02-10 own"
    );
    assert_eq!(
        quote(&eve, "to=USD").await,
        "1 EUR = 1.25 USD of 2026-02-10 ecb"
    );
    // Without a day it is of today, in her zone; a number is read exactly.
    let yuki = world.register_in("yuki", "JPY", "Pacific/Kiritimati").await;
    let body = json!({"from": "ARS", "to": "JPY", "rate": 1.05e-1});
    let today = yuki.post("/v1/rates", &body).await.expect(201);
    assert_eq!(
        (today.text("date"), today.text("rate")),
        ("2026-02-11".to_owned(), "0.105".to_owned())
    );
    // One that is set a month holds for the month.
    set(&ada, "USD", "ARS", "1000", "2026-01-10")
        .await
        .expect(201);
    assert_eq!(
        quote(&ada, "from=USD&to=ARS").await,
        "1 USD = 1000 ARS of 2026-01-10 own"
    );
    let later = quote(&ada, "from=USD&to=ARS&date=2026-02-11").await;
    assert!(later.starts_with("no rate"), "{later}");

    set(&ada, "EUR", "USD", "2", "2026-02-10")
        .await
        .problem(409, "conflict");
    // The other way round it is another, which holds that way.
    set(&ada, "USD", "EUR", "0.5", "2026-02-10")
        .await
        .expect(201);
    assert_eq!(
        quote(&ada, "from=USD&to=EUR").await,
        "1 USD = 0.5 EUR of 2026-02-10 own"
    );
    let changed = ada.patch(&path, &json!({"rate": "1.5"})).await.expect(200);
    assert_eq!(
        (changed.body["version"].clone(), changed.text("rate")),
        (json!(2), "1.5".to_owned())
    );
    assert_eq!(
        quote(&ada, "to=USD").await,
        "1 EUR = 1.5 USD of 2026-02-10 own"
    );
    ada.delete(&path).await.expect(204);
    ada.get(&path).await.problem(404, "not-found");
    // Her other one, turned.
    assert_eq!(
        quote(&ada, "to=USD").await,
        "1 EUR = 2 USD of 2026-02-10 own"
    );
    let all = ada.all("/v1/rates", 1).await;
    let days: Vec<&str> = all.iter().filter_map(|it| it["date"].as_str()).collect();
    assert_eq!(
        days,
        ["2026-01-10", "2026-02-10"],
        "in the order in which they were set"
    );
}

#[tokio::test]
async fn what_is_no_rate_is_refused_and_nothing_is_written() {
    let world = world().await;
    let ada = world.register("ada").await;
    let kept = set(&ada, "USD", "ARS", "1000", "2026-02-10")
        .await
        .expect(201);
    let path = format!("/v1/rates/{}", kept.id());
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    for (from, to, rate, date, field) in [
        ("USD", "USD", "1", "2026-02-10", "/to"),
        ("USD", "XXX", "1", "2026-02-10", "/to"),
        ("HRK", "USD", "1", "2026-02-10", "/from"),
        ("USD", "EUR", "0", "2026-02-10", "/rate"),
        ("USD", "EUR", "0.000", "2026-02-10", "/rate"),
        ("USD", "EUR", "-1", "2026-02-10", "/rate"),
        ("USD", "EUR", "1e2", "2026-02-10", "/rate"),
        ("USD", "EUR", "1000000000000", "2026-02-10", "/rate"),
        ("USD", "EUR", "0.0000000000001", "2026-02-10", "/rate"),
        ("USD", "EUR", "1.234567890123", "2026-02-10", "/rate"),
        ("USD", "EUR", "1", "2026-02-11", "/date"),
        ("USD", "EUR", "1", "9999-12-31", "/date"),
        ("USD", "EUR", "1", "0000-01-01", "/date"),
        ("USD", "EUR", "1", "1899-12-31", "/date"),
        ("USD", "EUR", "1", "2025-02-29", "/date"),
    ] {
        let told = wrong(set(&ada, from, to, rate, date).await);
        assert_eq!(told.0, field, "{from} {to} {rate} {date}: {told:?}");
    }
    for rate in [
        json!("0"),
        json!(0),
        json!(-1.5),
        json!(null),
        json!(true),
        json!([1]),
    ] {
        let told = wrong(ada.patch(&path, &json!({"rate": rate})).await);
        assert_eq!(told.0, "/rate", "{rate}");
    }
    let day = json!({"rate": "1", "date": "2026-02-09"});
    ada.patch(&path, &day).await.problem(422, "validation");
    rows.unchanged(&before, "what was refused").await;
}

async fn earn(person: &Person, wallet: &str, amount: &str, date: &str) -> Answer {
    let body = json!({"wallet_id": wallet, "type": "income", "amount": amount, "date": date});
    person.post("/v1/transactions", &body).await.expect(201)
}

/// The rate that something was converted by.
fn by(converted: &Value) -> String {
    let text = |key: &str| converted[key].as_str().expect(key);
    format!(
        "{} of {} {}",
        text("rate"),
        text("rate_date"),
        text("rate_source")
    )
}

#[tokio::test]
async fn a_month_in_several_currencies_is_converted_by_the_rates_of_its_end() {
    let world = world().await;
    let ada = world.register("ada").await;
    bring_in(&world.store().await, &file("eurofxref-hist.csv")).await;
    let dollars = ada.wallet("Dollars", "USD", "1000.00").await;
    let euros = ada.wallet("Euros", "EUR", "0").await;
    let yen = ada.wallet("Yen", "JPY", "0").await;
    let pesos = ada.wallet("Pesos", "ARS", "5000").await;
    ada.wallet("Nothing", "CHF", "0").await;
    let food = ada.category("Groceries").await;
    ada.spend(&dollars, &food, "10.00", "2026-02-01").await;
    ada.spend(&euros, &food, "20.01", "2026-02-02").await;
    earn(&ada, &euros, "100.00", "2026-02-03").await;
    ada.spend(&yen, &food, "1501", "2026-02-04").await;
    ada.spend(&yen, &food, "400", "2026-01-04").await;
    let last = ada.spend(&pesos, &food, "750.00", "2026-02-05").await;

    let page = ada.get_after("/v1/dashboard", &last).await.body;
    assert_eq!(page["spending"], "10.00", "only dollars");
    let month = &page["converted"];
    assert_eq!(month["rates_on"], "2026-02-10");
    assert_eq!(month["without_rate"], json!(["ARS"]));
    // 20.01 * 1.25 is 25.0125; 1501 * 0.00666666666667 is 10.0067.
    let of = |code: &str| {
        let all = month["currencies"].as_array().expect("currencies");
        all.iter()
            .find(|it| it["currency"] == code)
            .expect(code)
            .clone()
    };
    assert_eq!(of("ARS")["converted"], Value::Null);
    assert_eq!(
        (&of("ARS")["spending"], &of("ARS")["net"]),
        (&json!("750.00"), &json!("-750.00"))
    );
    let flow = |it: &Value| {
        ["income", "spending", "net"].map(|key| it[key].as_str().expect(key).to_owned())
    };
    assert_eq!(flow(&of("EUR")), ["100.00", "20.01", "79.99"]);
    assert_eq!(flow(&of("EUR")["converted"]), ["125.00", "25.01", "99.99"]);
    assert_eq!(by(&of("EUR")["converted"]), "1.25 of 2026-02-10 ecb");
    assert_eq!(flow(&of("JPY")), ["0", "1501", "-1501"]);
    assert_eq!(flow(&of("JPY")["converted"]), ["0.00", "10.01", "-10.01"]);
    assert_eq!(by(&of("USD")["converted"]), "1 of 2026-02-10 same");
    assert_eq!(flow(month), ["125.00", "45.02", "79.98"]);
    assert_eq!(month["currencies"].as_array().map(Vec::len), Some(4));

    let worth = &page["net_worth"];
    // 990 + 79.99 * 1.25 - 1901 * 0.00666666666667.
    assert_eq!(worth["amount"], "1077.32");
    assert_eq!(worth["without_rate"], json!(["ARS"]));
    let balances = worth["currencies"].as_array().expect("currencies");
    let balances: Vec<String> = balances
        .iter()
        .map(|it| {
            let converted = it["converted"]["balance"].as_str().unwrap_or("unknown");
            format!(
                "{} {} {converted}",
                it["currency"].as_str().expect("a code"),
                it["balance"].as_str().expect("an amount")
            )
        })
        .collect();
    assert_eq!(
        balances,
        [
            "ARS 4250.00 unknown",
            "EUR 79.99 99.99",
            "JPY -1901 -12.67",
            "USD 990.00 990.00"
        ]
    );

    // She sets what is missing. In another currency everything is converted to that one.
    set(&ada, "ARS", "USD", "0.001", "2026-02-07")
        .await
        .expect(201);
    let page = ada.get("/v1/dashboard").await.expect(200).body;
    assert_eq!(page["converted"]["without_rate"], json!([]));
    assert_eq!(flow(&page["converted"]), ["125.00", "45.77", "79.23"]);
    assert_eq!(page["net_worth"]["amount"], "1081.57");
    let page = ada.get("/v1/dashboard?currency=EUR").await.expect(200).body;
    assert_eq!(
        page["converted"]["without_rate"],
        json!(["ARS"]),
        "it is set in dollars"
    );
    assert_eq!(flow(&page["converted"]), ["100.00", "36.02", "63.98"]);
    // A month that is over has the rates of its end; what is there now those of today.
    let page = ada
        .get("/v1/dashboard?month=2026-01")
        .await
        .expect(200)
        .body;
    assert_eq!(page["converted"]["rates_on"], "2026-01-31");
    assert_eq!(flow(&page["converted"]), ["0.00", "2.57", "-2.57"]);
    let yen = &page["converted"]["currencies"][0]["converted"];
    assert_eq!(by(yen), "0.00641808032085 of 2026-01-30 ecb");
    assert_eq!(page["net_worth"]["amount"], "1081.57");
    for month in ["0001-01", "9999-12"] {
        let page = ada
            .get(&format!("/v1/dashboard?month={month}"))
            .await
            .expect(200)
            .body;
        assert_eq!(page["converted"]["currencies"], json!([]), "{month}");
    }
}

#[tokio::test]
async fn a_sum_that_is_out_of_range_when_converted_is_said_to_have_no_rate() {
    let world = world().await;
    let ada = world.register("ada").await;
    ada.wallet("Dollars", "USD", "1.00").await;
    ada.wallet("Euros", "EUR", "9000000000000.00").await;
    set(&ada, "EUR", "USD", "999999999999", "2026-02-10")
        .await
        .expect(201);
    let page = ada.get("/v1/dashboard").await.expect(200).body;
    assert_eq!(page["net_worth"]["amount"], "1.00");
    assert_eq!(page["net_worth"]["without_rate"], json!(["EUR"]));
}

#[tokio::test]
async fn of_ones_own_there_are_so_many_at_the_most() {
    let world = world().await;
    let ada = world.register("ada").await;
    let (user_id, ids) = (ada.id.parse().expect("an id"), Ids::seeded(7));
    let currency = |code| Currency::parse(code).expect("a currency");
    let days = noon().date_naive().iter_days().rev().skip(1);
    let days = days.take(usize::try_from(OWN_RATES_MAX - 1).expect("a number"));
    let rates: Vec<UserRate> = days
        .map(|date| UserRate {
            id: ids.v7(noon()),
            of: OwnRate {
                from: currency("EUR"),
                to: currency("USD"),
                date,
                rate: Rate::ONE,
            },
            version: 1,
            created_at: noon(),
            updated_at: noon(),
        })
        .collect();
    let store = world.store().await;
    let written = store.write(move |tx| async move {
        for rate in &rates {
            rates::create(&tx, user_id, rate).await?;
        }
        Ok(())
    });
    written.await.expect("written");
    let last = set(&ada, "EUR", "USD", "1.5", "2026-02-10").await;
    let path = format!("/v1/rates/{}", last.expect(201).id());
    let told = wrong(set(&ada, "EUR", "JPY", "187.5", "2026-02-10").await);
    assert_eq!(told.1, "you have 2000 rates, no more fit");
    ada.delete(&path).await.expect(204);
    set(&ada, "EUR", "JPY", "187.5", "2026-02-10")
        .await
        .expect(201);
}

#[tokio::test]
async fn who_leaves_takes_their_rates_along() {
    let world = world().await;
    let ada = world.register("ada").await;
    set(&ada, "EUR", "USD", "1.5", "2026-02-10")
        .await
        .expect(201);
    let rows = Rows::of(&world).await;
    assert_eq!(rows.all().await["user_rates"].len(), 1);
    ada.delete("/v1/me").await.expect(204);
    assert_eq!(rows.all().await["user_rates"], Vec::<String>::new());
}
