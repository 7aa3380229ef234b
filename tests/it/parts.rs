//! What a booking may have besides: the other side of a transfer, splits, tags. And wallets that are put away.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::recount::{recount, settled};
use crate::support::{Answer, Person, World};

async fn balance(person: &Person, wallet: &str) -> String {
    let wallet = person.get(&format!("/v1/wallets/{wallet}")).await;
    wallet.expect(200).text("balance")
}

async fn book(person: &Person, body: Value) -> Answer {
    person.post("/v1/transactions", &body).await
}

/// The first thing that is wrong with a body.
fn wrong(answer: Answer) -> (String, String) {
    let refused = answer.problem(422, "validation");
    let error = &refused.body["errors"][0];
    let text = |key: &str| error[key].as_str().expect("a text").to_owned();
    (text("pointer"), text("detail"))
}

async fn ids(person: &Person, path: &str) -> Vec<String> {
    let items = person.all(path, 3).await;
    let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
    items.iter().map(id).collect()
}

/// The books agree with the bookings when all is heard.
async fn agrees(world: &World) {
    settled(world.data_dir.path()).await;
    recount(world.data_dir.path()).await.agrees();
}

#[tokio::test]
async fn a_transfer_moves_two_balances_and_no_sum() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let checking = ada.wallet("Checking", "USD", "100.00").await;
    let savings = ada.wallet("Savings", "USD", "5.00").await;
    let cash = ada.wallet("Cash", "USD", "0").await;
    let budget = ada.budget(&[], "10.00").await;
    let body = json!({
        "wallet_id": checking, "to_wallet_id": savings, "type": "transfer", "amount": "40.00",
        "date": "2026-02-10"
    });
    let made = book(&ada, body).await.expect(201);
    assert_eq!(made.body["to_wallet_id"], savings.as_str());
    assert_eq!(made.body["to_amount"], "40.00");
    assert_eq!(made.body["to_currency"], "USD");
    let path = format!("/v1/transactions/{}", made.id());
    assert_eq!(ada.get(&path).await.expect(200).body, made.body);
    let balances = || async {
        let all = [&checking, &savings, &cash];
        let mut found = Vec::new();
        for wallet in all {
            found.push(balance(&ada, wallet).await);
        }
        found
    };
    assert_eq!(balances().await, ["60.00", "45.00", "0.00"]);
    for (change, to_amount, after) in [
        // Within one currency what arrives is what was sent, whatever that becomes.
        (
            json!({"amount": "30.00"}),
            "30.00",
            ["70.00", "35.00", "0.00"],
        ),
        (
            json!({"to_wallet_id": cash}),
            "30.00",
            ["70.00", "5.00", "30.00"],
        ),
        (
            json!({"wallet_id": savings}),
            "30.00",
            ["100.00", "-25.00", "30.00"],
        ),
        (
            json!({"wallet_id": cash, "to_wallet_id": savings, "amount": "1"}),
            "1.00",
            ["100.00", "6.00", "-1.00"],
        ),
    ] {
        let changed = ada.patch(&path, &change).await.expect(200);
        assert_eq!(changed.body["to_amount"], to_amount, "{change}");
        assert_eq!(balances().await, after, "{change}");
    }
    for wallet in [&savings, &cash] {
        let list = ids(&ada, &format!("/v1/transactions?wallet_id={wallet}")).await;
        assert_eq!(list, [made.id()]);
    }
    let none = format!("/v1/transactions?wallet_id={savings}&type=income");
    assert_eq!(ids(&ada, &none).await, Vec::<String>::new());
    assert_eq!(
        ids(&ada, "/v1/transactions?type=transfer").await,
        [made.id()]
    );

    // It becomes an expense, and a transfer again.
    let change = json!({"type": "expense", "to_wallet_id": null});
    let spent = ada.patch(&path, &change).await.expect(200);
    assert_eq!(spent.body["to_wallet_id"], Value::Null);
    assert_eq!(balances().await, ["100.00", "5.00", "-1.00"]);
    let month = ada.get_after("/v1/dashboard?month=2026-02", &spent).await;
    assert_eq!(month.body["spending"], "1.00");
    let change = json!({"type": "transfer", "to_wallet_id": checking});
    let again = ada.patch(&path, &change).await.expect(200);
    assert_eq!(balances().await, ["101.00", "5.00", "-1.00"]);
    let month = ada.get_after("/v1/dashboard?month=2026-02", &again).await;
    assert_eq!(
        (&month.body["spending"], &month.body["income"]),
        (&json!("0.00"), &json!("0.00"))
    );
    let kept = ada.get(&format!("/v1/budgets/{budget}")).await.expect(200);
    assert_eq!(kept.body["current"]["spent"], "0.00");
    agrees(&world).await;

    // A wallet that money came into is in use.
    ada.delete(&format!("/v1/wallets/{checking}"))
        .await
        .problem(409, "conflict");
    ada.delete(&path).await.expect(204);
    assert_eq!(balances().await, ["100.00", "5.00", "0.00"]);
    agrees(&world).await;
    assert_eq!(ada.alerts(0).await, Vec::<Value>::new());
}

#[tokio::test]
async fn between_currencies_both_amounts_are_said() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let dollars = ada.wallet("Checking", "USD", "100.00").await;
    let yen = ada.wallet("Tokyo", "JPY", "0").await;
    let euros = ada.wallet("Paris", "EUR", "0").await;
    let transfer = |to: &str, to_amount: Value| {
        let mut body = json!({
            "wallet_id": dollars, "to_wallet_id": to, "type": "transfer", "amount": "10.00"
        });
        body["to_amount"] = to_amount;
        body
    };
    let told = wrong(book(&ada, transfer(&yen, Value::Null)).await);
    assert_eq!(told.0, "/to_amount");
    assert!(told.1.contains("JPY"), "{told:?}");
    for bad in ["0", "-1", "1500.5", "1e99"] {
        assert_eq!(
            wrong(book(&ada, transfer(&yen, json!(bad))).await).0,
            "/to_amount"
        );
    }
    let made = book(&ada, transfer(&yen, json!("1500"))).await.expect(201);
    let path = format!("/v1/transactions/{}", made.id());
    assert_eq!(made.body["to_currency"], "JPY");
    assert_eq!(
        (balance(&ada, &dollars).await, balance(&ada, &yen).await),
        ("90.00".to_owned(), "1500".to_owned())
    );
    // Another amount leaves what arrived as it was; another currency asks for it anew.
    let changed = ada.patch(&path, &json!({"amount": "11"})).await.expect(200);
    assert_eq!(changed.body["to_amount"], "1500");
    assert_eq!(
        wrong(ada.patch(&path, &json!({"to_wallet_id": euros})).await).0,
        "/to_amount"
    );
    let change = json!({"to_wallet_id": euros, "to_amount": "9.25"});
    ada.patch(&path, &change).await.expect(200);
    assert_eq!(balance(&ada, &yen).await, "0");
    assert_eq!(balance(&ada, &euros).await, "9.25");
    agrees(&world).await;
}

#[tokio::test]
async fn what_does_not_go_together_is_refused_and_nothing_is_written() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let eve = world.register("eve").await;
    let wallet = ada.wallet("Checking", "USD", "100.00").await;
    let savings = ada.wallet("Savings", "USD", "0").await;
    let foreign = eve.wallet("Eve's", "USD", "0").await;
    let groceries = ada.category("Groceries").await;
    let not_hers = eve.category("Groceries").await;
    let body = |more: Value| {
        let mut body = json!({"wallet_id": wallet, "type": "expense", "amount": "10.00"});
        for (key, value) in more.as_object().expect("fields") {
            body[key] = value.clone();
        }
        body
    };
    let split = |amount: &str| json!({"category_id": groceries, "amount": amount});
    let halves = json!([split("5.00"), split("5.00")]);
    let transfer = |to: &str| json!({"type": "transfer", "to_wallet_id": to});
    for (more, pointer) in [
        (json!({"type": "transfer"}), "/to_wallet_id"),
        (transfer(&wallet), "/to_wallet_id"),
        (transfer(&foreign), "/to_wallet_id"),
        (
            transfer("01920000-0000-7000-8000-00000000000a"),
            "/to_wallet_id",
        ),
        (json!({"to_wallet_id": savings}), "/to_wallet_id"),
        (json!({"to_amount": "10.00"}), "/to_amount"),
        (
            json!({"type": "transfer", "to_wallet_id": savings, "to_amount": "9.99"}),
            "/to_amount",
        ),
        (
            json!({"type": "transfer", "to_wallet_id": savings, "category_id": groceries}),
            "/category_id",
        ),
        (
            json!({"type": "transfer", "to_wallet_id": savings, "splits": halves}),
            "/splits",
        ),
        (json!({"splits": [split("10.00")]}), "/splits"),
        (json!({"splits": [split("5.00"), split("5.01")]}), "/splits"),
        (json!({"splits": [split("5.00"), split("4.99")]}), "/splits"),
        (
            json!({"splits": halves, "category_id": groceries}),
            "/category_id",
        ),
        (
            json!({"splits": [split("10.00"), split("0.00")]}),
            "/splits/1/amount",
        ),
        (
            json!({"splits": [split("5.001"), split("4.999")]}),
            "/splits/0/amount",
        ),
        (
            json!({"splits": [split("5.00"), {"category_id": not_hers, "amount": "5.00"}]}),
            "/splits/1/category_id",
        ),
        (
            json!({"splits": [split("5.00"), {"amount": "5.00", "description": "x".repeat(201)}]}),
            "/splits/1/description",
        ),
        (json!({"splits": vec![split("0.10"); 100]}), "/splits"),
        (json!({"tags": ["good", " "]}), "/tags/1"),
        (json!({"tags": ["x".repeat(51)]}), "/tags/0"),
        (
            json!({"tags": (0..21).map(|tag| tag.to_string()).collect::<Vec<_>>()}),
            "/tags",
        ),
    ] {
        let (told, detail) = wrong(book(&ada, body(more.clone())).await);
        assert_eq!(told, pointer, "{more}: {detail}");
    }
    let told = wrong(
        book(
            &ada,
            body(json!({"splits": [split("5.00"), split("5.01")]})),
        )
        .await,
    )
    .1;
    assert_eq!(told, "they make 10.01 USD, the booking is 10.00 USD");
    assert_eq!(balance(&ada, &wallet).await, "100.00");
    assert_eq!(ids(&ada, "/v1/transactions").await, Vec::<String>::new());
}

#[tokio::test]
async fn splits_count_in_their_own_categories() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "100.00").await;
    let (groceries, travel) = (
        ada.category("Groceries").await,
        ada.category("Travel").await,
    );
    let food = ada.budget(&[&groceries], "10.00").await;
    let body = json!({
        "wallet_id": wallet, "type": "expense", "amount": "12.34", "date": "2026-02-10",
        "splits": [
            {"category_id": groceries, "amount": "4.00", "description": "Bread"},
            {"category_id": travel, "amount": "8.00"},
            {"amount": 0.34}
        ]
    });
    let made = book(&ada, body).await.expect(201);
    let path = format!("/v1/transactions/{}", made.id());
    assert_eq!(
        made.body["splits"],
        json!([
            {"category_id": groceries, "amount": "4.00", "description": "Bread"},
            {"category_id": travel, "amount": "8.00", "description": null},
            {"category_id": null, "amount": "0.34", "description": null}
        ])
    );
    assert_eq!(ada.get(&path).await.expect(200).body, made.body);
    assert_eq!(balance(&ada, &wallet).await, "87.66");
    let by_category = |month: &Answer| {
        let items = month.body["by_category"].as_array().expect("sums");
        let sum = |item: &Value| {
            let text = |key: &str| item[key].as_str().unwrap_or("none").to_owned();
            (text("name"), text("amount"))
        };
        items.iter().map(sum).collect::<BTreeSet<_>>()
    };
    let pairs = |pairs: &[(&str, &str)]| -> BTreeSet<(String, String)> {
        let owned = |(name, amount): &(&str, &str)| ((*name).to_owned(), (*amount).to_owned());
        pairs.iter().map(owned).collect()
    };
    let month = ada.get_after("/v1/dashboard?month=2026-02", &made).await;
    assert_eq!(month.body["spending"], "12.34");
    assert_eq!(
        by_category(&month),
        pairs(&[("Groceries", "4.00"), ("Travel", "8.00"), ("none", "0.34")])
    );
    let spent = |write: Answer| {
        let (ada, food) = (&ada, &food);
        async move {
            let budget = ada
                .get_after(&format!("/v1/budgets/{food}/periods"), &write)
                .await;
            let periods = budget.body["items"].as_array().expect("periods").clone();
            let of_month = periods.iter().find(|it| it["period_start"] == "2026-02-01");
            of_month.map_or(Value::Null, |it| it["spent"].clone())
        }
    };
    assert_eq!(spent(made).await, "4.00");
    // The amount alone does not fit the splits any more; both together do.
    assert_eq!(
        wrong(ada.patch(&path, &json!({"amount": "20.00"})).await).0,
        "/splits"
    );
    let change = json!({"amount": "20.00", "splits": [
        {"category_id": groceries, "amount": "9.00"}, {"category_id": groceries, "amount": "11.00"}
    ]});
    let changed = ada.patch(&path, &change).await.expect(200);
    assert_eq!(spent(changed).await, "20.00");
    // Twice in a category, once in its list.
    let list = format!("/v1/transactions?category_id={groceries}");
    assert_eq!(ids(&ada, &list).await.len(), 1);
    ada.delete(&format!("/v1/categories/{groceries}"))
        .await
        .problem(409, "conflict");
    let change = json!({"splits": [], "category_id": travel});
    let whole = ada.patch(&path, &change).await.expect(200);
    assert_eq!(whole.body["splits"], json!([]));
    let month = ada.get_after("/v1/dashboard?month=2026-02", &whole).await;
    assert_eq!(by_category(&month), pairs(&[("Travel", "20.00")]));
    // Of January, all of 20.00 in groceries was told once: at 80 and at 100 percent.
    assert_eq!(ada.alerts(2).await.len(), 2);
    agrees(&world).await;
}

#[tokio::test]
async fn a_wallet_that_is_put_away_takes_nothing_more() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let (old, new) = (
        ada.wallet("Old", "USD", "10.00").await,
        ada.wallet("New", "USD", "0").await,
    );
    let groceries = ada.category("Groceries").await;
    // It is known to the short way by now.
    let before = ada.spend(&old, &groceries, "1.00", "2026-02-10").await.id();
    let path = format!("/v1/wallets/{old}");
    let put_away = ada
        .patch(&path, &json!({"archived": true}))
        .await
        .expect(200);
    let since = put_away.text("archived_at");
    let again = ada
        .patch(&path, &json!({"archived": true, "name": "Older"}))
        .await;
    assert_eq!(again.expect(200).text("archived_at"), since);
    let plain = json!({"wallet_id": old, "type": "expense", "amount": "1.00"});
    let away = json!({"wallet_id": old, "to_wallet_id": new, "type": "transfer", "amount": "1.00"});
    let into = json!({"wallet_id": new, "to_wallet_id": old, "type": "transfer", "amount": "1.00"});
    for (body, pointer) in [
        (plain.clone(), "/wallet_id"),
        (away, "/wallet_id"),
        (into, "/to_wallet_id"),
    ] {
        let (told, detail) = wrong(book(&ada, body).await);
        assert_eq!(told, pointer);
        assert!(detail.contains("archived"), "{detail}");
    }
    let moved = ada.spend(&new, &groceries, "1.00", "2026-02-10").await.id();
    let change = json!({"wallet_id": old});
    assert_eq!(
        wrong(
            ada.patch(&format!("/v1/transactions/{moved}"), &change)
                .await
        )
        .0,
        "/wallet_id"
    );
    // What is in it stays, and can be put right.
    let change = json!({"amount": "2.00"});
    ada.patch(&format!("/v1/transactions/{before}"), &change)
        .await
        .expect(200);
    assert_eq!(balance(&ada, &old).await, "8.00");
    let back = ada
        .patch(&path, &json!({"archived": false}))
        .await
        .expect(200);
    assert_eq!(back.body["archived_at"], Value::Null);
    book(&ada, plain).await.expect(201);
    agrees(&world).await;
}

/// Every list is what one would pick by hand out of all bookings, page by page.
#[tokio::test]
async fn filters_find_what_is_in_the_parts() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let (one, two) = (
        ada.wallet("One", "USD", "0").await,
        ada.wallet("Two", "USD", "0").await,
    );
    let (groceries, travel) = (
        ada.category("Groceries").await,
        ada.category("Travel").await,
    );
    let split = |first: &str, second: &str| json!([{"category_id": first, "amount": "4.00"}, {"category_id": second, "amount": "6.00"}]);
    let kinds = [
        json!({"wallet_id": one, "type": "expense", "category_id": groceries, "tags": ["weekly"]}),
        json!({"wallet_id": two, "type": "expense", "category_id": groceries, "tags": ["holiday", "weekly"]}),
        json!({"wallet_id": one, "type": "transfer", "to_wallet_id": two, "tags": ["holiday"]}),
        json!({"wallet_id": two, "type": "transfer", "to_wallet_id": one}),
        json!({"wallet_id": one, "type": "expense", "splits": split(&groceries, &travel), "tags": ["holiday"]}),
        json!({"wallet_id": two, "type": "expense", "splits": split(&travel, &travel)}),
        json!({"wallet_id": two, "type": "income"}),
    ];
    for number in 0..28 {
        let mut body = kinds[number % kinds.len()].clone();
        body["amount"] = json!("10.00");
        body["date"] = json!(format!("2026-02-{:02}", 1 + number * 5 % 9));
        book(&ada, body).await.expect(201);
    }
    // Of others nothing is found, whatever is asked for.
    let eve = world.register("eve").await;
    let all = ada.all("/v1/transactions", 200).await;
    assert_eq!(all.len(), 28);
    let is = |item: &Value, key: &str, wanted: &str| item[key] == wanted;
    let in_wallet =
        |item: &Value, id: &str| is(item, "wallet_id", id) || is(item, "to_wallet_id", id);
    let in_category = |item: &Value, id: &str| {
        let splits = item["splits"].as_array().expect("splits");
        is(item, "category_id", id) || splits.iter().any(|split| split["category_id"] == id)
    };
    let has_tag =
        |item: &Value, tag: &str| item["tags"].as_array().expect("tags").contains(&json!(tag));
    for wallet in [None, Some(&one), Some(&two)] {
        for category in [None, Some(&groceries), Some(&travel)] {
            for tag in [None, Some("holiday"), Some("weekly"), Some("nothing")] {
                for rest in [
                    "",
                    "&type=transfer",
                    "&type=expense&from=2026-02-03&to=2026-02-07",
                ] {
                    let expected: Vec<&str> = all
                        .iter()
                        .filter(|item| wallet.is_none_or(|id| in_wallet(item, id)))
                        .filter(|item| category.is_none_or(|id| in_category(item, id)))
                        .filter(|item| tag.is_none_or(|tag| has_tag(item, tag)))
                        .filter(|item| match rest {
                            "" => true,
                            "&type=transfer" => is(item, "type", "transfer"),
                            _ => {
                                let date = item["date"].as_str().expect("a day");
                                is(item, "type", "expense")
                                    && ("2026-02-03"..="2026-02-07").contains(&date)
                            }
                        })
                        .map(|item| item["id"].as_str().expect("an id"))
                        .collect();
                    let mut path = "/v1/transactions?".to_owned();
                    for (key, value) in [
                        ("wallet_id", wallet.map(String::as_str)),
                        ("category_id", category.map(String::as_str)),
                        ("tag", tag),
                    ] {
                        if let Some(value) = value {
                            path.push_str(&format!("&{key}={value}"));
                        }
                    }
                    path.push_str(rest);
                    let path = path.replace("?&", "?");
                    let path = path.trim_end_matches('?');
                    assert_eq!(ids(&ada, path).await, expected, "{path}");
                    assert_eq!(ids(&eve, path).await, Vec::<String>::new(), "{path}");
                }
            }
        }
    }
    agrees(&world).await;
}
