//! How the hot reads are answered: each walks an index from where it begins.

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;
use wealth_companion::domain::money::Currency;
use wealth_companion::domain::recurrence::Recurrence;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::store::budgets::Budget;
use wealth_companion::store::event_log::{self, Cursor, LogPosition};
use wealth_companion::store::transactions::{self, Filter};
use wealth_companion::store::{
    PageRequest, alerts, budgets, categories, dashboard, deliveries, notifications,
    personal_tokens, rates, read_models, recurring, rule_runs, rules, sessions, users, wallets,
};

use super::explained::{Explained, is_scan, is_sort};
use crate::support::Chain;
use crate::support::chain::{Household, day, expense};

/// The index of the usual list.
const BY_DATE: &str = "ix_transactions_of_user";

fn usd() -> Currency {
    Currency::parse("USD").expect("a currency")
}

fn page<K>(after: Option<K>) -> PageRequest<K> {
    PageRequest { limit: 50, after }
}

/// A chain with a little of everything.
async fn household() -> (Chain, Household) {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    chain.spend(ada, "120.00", "2026-02-10").await;
    chain.settle().await;
    (chain, ada)
}

#[tokio::test]
async fn a_scan_and_a_sort_are_seen() {
    let (chain, _) = household().await;
    for (sql, scans, sorts) in [
        ("SELECT * FROM transactions WHERE payee = 'x'", true, false),
        ("SELECT COUNT(*) FROM transactions", true, false),
        (
            "SELECT * FROM alerts WHERE seq > 1 ORDER BY title",
            false,
            true,
        ),
        (
            "SELECT * FROM transactions WHERE (id, date) IN (VALUES ('a', 'b'))",
            false,
            false,
        ),
    ] {
        let db = Explained::new(&chain);
        let statement = Statement::from_string(DbBackend::Sqlite, sql);
        db.query_all_raw(statement).await.expect("rows");
        let steps = db
            .plans
            .into_inner()
            .expect("no panic before")
            .remove(0)
            .steps;
        assert_eq!(
            steps.iter().any(|step| is_scan(step)),
            scans,
            "{sql}: {steps:?}"
        );
        assert_eq!(
            steps.iter().any(|step| is_sort(step)),
            sorts,
            "{sql}: {steps:?}"
        );
    }
}

#[tokio::test]
async fn a_page_of_bookings_walks_an_index_from_where_it_begins() {
    let (chain, ada) = household().await;
    let db = Explained::new(&chain);
    let filters = [
        ("all", &[BY_DATE][..], Filter::default()),
        (
            "of a wallet",
            &[
                "ix_transactions_of_wallet",
                "ix_transfers_to_wallet_id_date_transaction_id",
            ],
            Filter {
                wallet_id: Some(ada.wallet_id),
                ..Filter::default()
            },
        ),
        (
            "of a category",
            &[
                "ix_transactions_of_category",
                "ix_transaction_splits_category_id_date_transaction_id",
            ],
            Filter {
                category_id: Some(ada.category_id),
                ..Filter::default()
            },
        ),
        (
            "of a span",
            &[BY_DATE][..],
            Filter {
                from: Some(day("2026-02-01")),
                to: Some(day("2026-02-28")),
                ..Filter::default()
            },
        ),
        (
            "of a type and an amount",
            &[BY_DATE][..],
            Filter {
                transaction_type: Some(TransactionType::Expense),
                min_minor: Some(1),
                max_minor: Some(100_000),
                currency: Some(usd()),
                ..Filter::default()
            },
        ),
    ];
    for (about, indexes, filter) in filters {
        for after in [None, Some((day("2026-02-11"), ada.wallet_id))] {
            let list = transactions::list(&db, ada.user_id, &filter, page(after)).await;
            let count = list.expect("a page").items.len();
            assert_eq!(count, 1, "{about}");
            db.assert_walk(about, indexes);
        }
    }
}

#[tokio::test]
async fn alerts_and_the_log_are_read_from_where_a_reader_is() {
    let (chain, ada) = household().await;
    let db = Explained::new(&chain);
    for unread in [false, true] {
        for after in [None, Some(1_000)] {
            let list = alerts::list(&db, ada.user_id, unread, page(after)).await;
            assert_eq!(list.expect("a page").items.len(), 2);
            let index = if unread {
                "ix_alerts_unread"
            } else {
                "ix_alerts_user_id_seq"
            };
            db.assert_walks("a page of alerts", index);
        }
    }
    alerts::to_stream(&db, ada.user_id, 0, 10)
        .await
        .expect("alerts");
    db.assert_walks_indexes("what a stream has missed", false);
    alerts::news_of_all_users(&db, 0, 10).await.expect("alerts");
    db.assert_walks_indexes("the tail of the alerts", false);
    alerts::after(&db, &[(ada.user_id, 0)], 10)
        .await
        .expect("alerts");
    db.assert_walks_indexes("what is new for some users", true);
    alerts::end_of(&db, ada.user_id).await.expect("the end");
    db.assert_walks_indexes("the end of somebody's alerts", false);
    alerts::end(&db).await.expect("the end");
    db.assert_walks_indexes("the end of the alerts", false);
    for up_to in [None, Some("1000".parse().expect("a position"))] {
        let read = event_log::read_after(&db, LogPosition::default(), up_to, 10).await;
        assert!(!read.expect("entries").entries.is_empty());
        db.assert_walks_indexes("the log", false);
    }
    event_log::end(&db).await.expect("the end");
    event_log::cursor(&db, Cursor::Relay)
        .await
        .expect("a cursor");
    read_models::reached(&db, ada.user_id)
        .await
        .expect("a position");
    read_models::reached_and_passed(&db, ada.user_id, "projector")
        .await
        .expect("positions");
    db.assert_walks_indexes("the positions", false);
}

#[tokio::test]
async fn the_dashboard_and_the_budgets_read_sums() {
    let (chain, ada) = household().await;
    let db = Explained::new(&chain);
    let (user_id, month): (_, NaiveDate) = (ada.user_id, day("2026-02-01"));
    let sums = dashboard::sums(&db, user_id, usd(), day("2025-03-01"), month).await;
    let sums = sums.expect("sums");
    let counts = [
        sums.months.len(),
        sums.by_category.len(),
        sums.by_wallet.len(),
    ];
    assert_eq!(counts, [1, 1, 1]);
    db.assert_walks_indexes("the sums of a year and of a month", true);

    let sums = dashboard::by_currency(&db, user_id, &[usd()], month).await;
    assert_eq!(sums.expect("sums").len(), 1);
    let balances = wallets::balances(&db, user_id).await;
    assert_eq!(balances.expect("balances").len(), 1);
    let euro = Currency::parse("EUR").expect("a currency");
    rates::exchange(&db, user_id, &[euro], usd(), month)
        .await
        .expect("rates");
    db.assert_walks_indexes("what is converted", true);

    let listed = budgets::list(&db, user_id, page(None), month)
        .await
        .expect("budgets")
        .items;
    let listed: Vec<Budget> = listed.into_iter().map(|(budget, _)| budget).collect();
    db.assert_walks_indexes("the budgets", false);
    budgets::list(&db, user_id, page(Some(ada.wallet_id)), month)
        .await
        .expect("budgets");
    budgets::get(&db, user_id, listed[0].id)
        .await
        .expect("a budget");
    budgets::count(&db, user_id).await.expect("a count");
    budgets::of_many_users(&db, &[user_id, ada.wallet_id])
        .await
        .expect("budgets");
    db.assert_walks_indexes("budgets", true);
    // A period that is kept, and one that is summed from days.
    for today in ["2026-02-10", "2026-01-10"] {
        budgets::standings(&db, &listed, day(today))
            .await
            .expect("standings");
        db.assert_walks_indexes("a budget's period", true);
    }
    budgets::history(&db, &listed[0], day("2026-02-10"), page(None))
        .await
        .expect("periods");
    db.assert_walks_indexes("a budget's periods", true);
}

#[tokio::test]
async fn what_comes_again_is_found_by_its_user_and_by_when_it_is_due() {
    let (chain, ada) = household().await;
    let db = Explained::new(&chain);
    let user_id = ada.user_id;
    let (act, id) = (chain.act(ada), chain.ids.v7(chain.clock.now()));
    let recurrence = Recurrence::parse("FREQ=DAILY", day("2026-02-10")).expect("a rule");
    let draft = expense(ada, "1.00", day("2026-02-10"));
    let made = chain
        .store
        .write(move |tx| async move { recurring::create(&tx, act, id, draft, recurrence).await });
    made.await.expect("a rule");
    for after in [None, Some(Uuid::nil())] {
        let listed = recurring::list(&db, user_id, page(after)).await;
        assert_eq!(listed.expect("a page").items.len(), 1);
        db.assert_walks("a page of rules", "ix_recurring_user_id_id");
    }
    recurring::get(&db, user_id, id).await.expect("a rule");
    let rules = recurring::upcoming::rules(&db, user_id)
        .await
        .expect("rules");
    let days = recurring::upcoming::days(&db, &rules, None, page(None)).await;
    assert_eq!(days.expect("days").items.len(), 50);
    db.assert_walks_indexes("what is to come", false);
    let mut after = None;
    for count in [1, 0] {
        let due = recurring::due::of_all_users(&db, chain.clock.now(), after, 10).await;
        let due = due.expect("what is due");
        assert_eq!(due.len(), count);
        after = due.last().copied();
        db.assert_walks("what is due", "ix_recurring_due_at_id");
    }
}

#[tokio::test]
async fn what_every_request_reads_is_found_by_a_key() {
    let (chain, ada) = household().await;
    let db = Explained::new(&chain);
    let user_id = ada.user_id;
    users::get(&db, user_id).await.expect("a user");
    users::by_email(&db, "ada@example.com")
        .await
        .expect("a user");
    users::concerned(&db, [user_id, ada.wallet_id])
        .await
        .expect("an answer");
    sessions::is_open(&db, user_id, ada.wallet_id, chain.clock.now())
        .await
        .expect("an answer");
    personal_tokens::by_hash_of_all_users(&db, [7; 32])
        .await
        .expect("none");
    sessions::ended_of_all_users(&db, &[user_id, ada.wallet_id])
        .await
        .expect("ended");
    wallets::get(&db, user_id, ada.wallet_id)
        .await
        .expect("a wallet");
    categories::get(&db, user_id, ada.category_id)
        .await
        .expect("a category");
    db.assert_walks_indexes("what is found by a key", false);
    for after in [None, Some(user_id)] {
        wallets::list(&db, user_id, page(after))
            .await
            .expect("wallets");
        categories::list(&db, user_id, page(after))
            .await
            .expect("categories");
        rates::list(&db, user_id, page(after)).await.expect("rates");
        // Nobody has so many that sorting a page of them would be felt.
        db.assert_walks_indexes("lists that stay short", true);
    }
}

#[tokio::test]
async fn tokens_are_listed_by_their_user() {
    let (chain, ada) = household().await;
    let db = Explained::new(&chain);
    for after in [None, Some(ada.user_id)] {
        let list = personal_tokens::list(&db, ada.user_id, page(after)).await;
        assert_eq!(list.expect("tokens").items, []);
        db.assert_walks("a page of tokens", "ix_personal_tokens_user_id_id");
    }
}

#[tokio::test]
async fn what_is_to_be_mailed_is_found_by_what_is_pending() {
    let (chain, ada) = household().await;
    let db = Explained::new(&chain);
    let now = chain.clock.now();
    let due = deliveries::due_of_all_users(&db, now).await;
    assert_eq!(due.expect("nobody"), [] as [Uuid; 0]);
    db.assert_walks_indexes("who is to be mailed", true);
    let oldest = deliveries::oldest_due_of_all_users(&db, now).await;
    assert_eq!(oldest.expect("none"), None);
    db.assert_walks("the oldest that is due", "ix_deliveries_due");
    notifications::get(&db, ada.user_id).await.expect("choices");
    let chosen = notifications::of_all_users(&db, [ada.user_id]).await;
    assert!(chosen.expect("choices").is_empty());
    db.assert_walks_indexes("what is chosen", false);
}

#[tokio::test]
async fn rules_and_their_runs_are_read_in_their_order() {
    let (chain, ada) = household().await;
    let db = Explained::new(&chain);
    let user_id = ada.user_id;
    for after in [None, Some((1, user_id))] {
        let list = rules::list(&db, user_id, page(after)).await;
        assert_eq!(list.expect("rules").items, []);
        db.assert_walks("a page of rules", "ix_rules_user_id_position_id");
    }
    rules::wanted(&db, user_id, None).await.expect("rules");
    db.assert_walks("all rules", "ix_rules_user_id_position_id");
    users::with_rules(&db, user_id).await.expect("a user");
    db.assert_walks("whether there are any", "ix_rules_user_id_position_id");
    for after in [None, Some(user_id)] {
        let list = rule_runs::list(&db, user_id, page(after)).await;
        assert_eq!(list.expect("runs").items, []);
        db.assert_walks("a page of runs", "ix_rule_runs_user_id_id");
    }
    assert_eq!(rule_runs::next(&db).await.expect("none"), None);
    // Of the few that have something to do.
    db.assert_walks_indexes("the next run", true);
}
