//! What is read of a history of ten years costs what is shown of it, not what there is: the plans by
//! which the server has answered are looked at, with what they have read.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;
use uuid::Uuid;
use wealth_companion::app::Role;
use wealth_companion::bus::{Handler, Outcome};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::http::cursor;
use wealth_companion::store::event_log::{self, LogPosition};
use wealth_companion::store::trim::Trim;
use wealth_companion::store::{alerts, read_models, recurring};

use super::booking::book;
use super::history::History;
use super::plan::{Plan, TELLING};
use super::projecting::{dollar, projector};
use super::proxy::Proxy;
use crate::support::chain::{day, expense, noon};
use crate::support::{Chain, Person, Stack, World, stack};

/// A statement is planned for its values, or once for whatever values: the server chooses, so both are
/// looked at.
const MODES: [&str; 2] = ["force_custom_plan", "force_generic_plan"];

/// Rows of a page, and the one that tells of the next.
const PAGE: u64 = 51;

/// The way down an index, and what is asked once: whose a wallet is.
const WAY: u64 = 13;

/// Entries in a block of an index at the least.
const ENTRIES: u64 = 40;

/// Rows that may be looked at for nothing: other wallets of hers, when it is asked whose one is.
const REMOVED_MAX: u64 = 20;

/// A page of bookings whose filter passes over so many entries of the index: each row lies in a block of
/// its own.
const fn page_after(passed_over: u64) -> u64 {
    PAGE + WAY + passed_over / ENTRIES
}

/// What the API process does beside answering, whenever it comes to it.
const BY_ITSELF: [&str; 6] = [
    "deliveries",
    "event_log",
    "log_cursors",
    "inbox",
    "idempotency_keys",
    "sessions",
];

/// A database that tells of its plans, through a proxy that hears it.
async fn told_by(history: &History, mode: &str) -> (Proxy, String) {
    let proxy = Proxy::start().await;
    let url = proxy.database_url(&history.database);
    let url = format!("{url}&{TELLING}&options[plan_cache_mode]={mode}");
    (proxy, url)
}

async fn plans(proxy: &Proxy) -> Vec<Plan> {
    let notices = proxy.notices().await;
    notices.iter().filter_map(|text| Plan::of(text)).collect()
}

/// Asserts that none of them reads a whole table or looks at rows for nothing, and that each looks at so
/// many blocks at the most; gives the most.
#[track_caller]
fn assert_bounded(about: &str, plans: &[Plan], blocks_max: u64) -> u64 {
    assert!(!plans.is_empty(), "{about} asked nothing");
    for plan in plans {
        let (scanned, removed, blocks) = (plan.scanned(), plan.removed(), plan.blocks());
        assert!(
            scanned.is_empty() && removed <= REMOVED_MAX && blocks <= blocks_max,
            "{about}: {scanned:?} read whole, {removed} rows for nothing, {blocks} of {blocks_max} blocks: {}",
            plan.shown()
        );
    }
    plans.iter().map(Plan::blocks).max().unwrap_or_default()
}

/// The API on the history, and her who reads it.
struct Reader {
    proxy: Proxy,
    ada: Person,
    _world: World,
}

impl Reader {
    async fn start(history: &History, mode: &str) -> Self {
        let (proxy, url) = told_by(history, mode).await;
        let set = [
            ("database.url", url.as_str()),
            ("auth.jwt_secret_key", stack::SIGNING_KEY),
        ];
        let folder = TempDir::new().expect("a folder");
        let world = World::of(&[Role::Api], folder, &set, Clock::fixed(noon())).await;
        let ada = history.ada.at(&world);
        Self {
            proxy,
            ada,
            _world: world,
        }
    }

    /// How what a path shows was found, and how many items there are.
    async fn read(&self, path: &str) -> (Vec<Plan>, usize) {
        self.proxy.notices().await;
        let answer = self.ada.get(path).await.expect(200);
        let mut plans = plans(&self.proxy).await;
        plans.retain(|plan| !BY_ITSELF.iter().any(|table| plan.is_on(table)));
        let items = answer.body["items"].as_array();
        (plans, items.map_or(0, Vec::len))
    }
}

/// The cursor of a list of bookings after nine years of ten.
fn after_nine_tenths() -> String {
    let key: (NaiveDate, Uuid) = (day("2017-02-10"), Uuid::max());
    let cursor = cursor::next("transactions", Some(&key)).expect("a cursor");
    cursor.expect("a cursor")
}

#[tokio::test]
async fn what_is_read_whole_or_for_nothing_is_seen() {
    let history = History::get().await;
    let (proxy, url) = told_by(history, "auto").await;
    let chain = Chain::at(&url, &[]).await;
    let db = chain.store.reads();
    let text = "SELECT id FROM transactions WHERE payee = 'nobody'";
    let statement = Statement::from_string(db.get_database_backend(), text);
    db.query_all_raw(statement).await.expect("rows");
    let plans = plans(&proxy).await;
    let plan = plans.iter().find(|plan| plan.is_on("transactions"));
    let plan = plan.expect("it tells");
    assert_eq!(plan.scanned(), ["transactions"]);
    assert!(plan.removed() >= 200_000, "{}", plan.removed());
    assert!(plan.blocks() > 1_000, "{}", plan.blocks());
}

#[tokio::test]
async fn a_page_of_bookings_reads_its_rows_and_a_deep_one_no_more_than_the_first() {
    let history = History::get().await;
    let (wallet, category) = (history.ids.wallet_id, history.ids.category_id);
    let savings = history.savings_id;
    // With what they pass over until the first page is full.
    let filters = [
        (String::new(), 0),
        (format!("&wallet_id={wallet}"), 0),
        // One in a hundred.
        (format!("&wallet_id={savings}"), 0),
        (format!("&category_id={category}"), 0),
        (format!("&wallet_id={wallet}&category_id={category}"), 0),
        ("&to=2024-01-31".to_owned(), 0),
        ("&from=2016-05-01&to=2024-01-31".to_owned(), 0),
        ("&type=expense".to_owned(), 0),
        // One in 25.
        ("&type=income".to_owned(), 51 * 25),
        // One in 90.
        ("&min_amount=90.00".to_owned(), 51 * 90),
    ];
    for mode in MODES {
        let reader = Reader::start(history, mode).await;
        for (filter, passed_over) in &filters {
            let first = format!("/v1/transactions?limit=50{filter}");
            let deep = format!("{first}&cursor={}", after_nine_tenths());
            let mut most = Vec::new();
            for path in [first, deep] {
                let (plans, items) = reader.read(&path).await;
                assert_eq!(items, 50, "{path}");
                assert!(plans.iter().any(|plan| plan.is_on("transactions")));
                let about = format!("{mode} {path}");
                most.push(assert_bounded(&about, &plans, page_after(*passed_over)));
            }
            assert!(most[1] <= most[0] + WAY, "{mode} {filter}: {most:?}");
        }
    }
}

/// A search looks at so many candidates in one go, and at each of them by its id.
#[tokio::test]
async fn what_is_found_by_a_word_or_a_tag_costs_what_is_looked_at() {
    const CANDIDATES: u64 = 400;
    let history = History::get().await;
    for mode in MODES {
        let reader = Reader::start(history, mode).await;
        for (filter, items_at_least, blocks) in [
            ("&q=corn", 50, CANDIDATES * 6),
            ("&q=shop%20corner&type=income", 1, CANDIDATES * 6),
            ("&q=nothing", 0, WAY),
            ("&tag=weekly", 50, PAGE * 6),
            ("&tag=nothing", 0, WAY),
        ] {
            let first = format!("/v1/transactions?limit=50{filter}");
            let deep = format!("{first}&cursor={}", after_nine_tenths());
            for path in [first, deep] {
                let (plans, items) = reader.read(&path).await;
                assert!(items >= items_at_least, "{path}: {items}");
                // Of candidates some do not fit, and are looked at all the same.
                for plan in &plans {
                    let (scanned, read) = (plan.scanned(), plan.blocks());
                    assert!(
                        scanned.is_empty() && read <= blocks,
                        "{mode} {path}: {scanned:?} read whole, {read} of {blocks} blocks: {}",
                        plan.shown()
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn bookings_that_do_not_fit_are_passed_over_in_the_index() {
    let history = History::get().await;
    let (savings, category) = (history.savings_id, history.ids.category_id);
    // With all that is passed over: nothing fits.
    let filters = [
        ("&min_amount=1000.00".to_owned(), 100_000),
        (format!("&min_amount=1000.00&wallet_id={savings}"), 1_000),
        (format!("&min_amount=1000.00&category_id={category}"), 8_000),
        (format!("&type=income&wallet_id={savings}"), 1_000),
        (format!("&type=income&category_id={category}"), 8_000),
        (
            "&type=income&from=2020-01-01&to=2020-01-31&max_amount=0.01".to_owned(),
            1_000,
        ),
    ];
    for mode in MODES {
        let reader = Reader::start(history, mode).await;
        for (filter, passed_over) in &filters {
            let path = format!("/v1/transactions?limit=50{filter}");
            let (plans, items) = reader.read(&path).await;
            assert_eq!(items, 0, "{path}");
            let about = format!("{mode} {path}");
            assert_bounded(&about, &plans, page_after(*passed_over));
        }
    }
}

#[tokio::test]
async fn the_dashboard_the_budgets_and_the_alerts_read_what_they_show() {
    let history = History::get().await;
    let (budget, rate) = (&history.budget_id, &history.rate_id);
    // Sums of twelve months of 15 categories in two wallets, each in a block of its own; those of the last with their
    // names, which are two blocks away.
    let trend = 12 * 15 * 2 + 15 * 2 * 2 + WAY;
    // Ten budgets: each with its categories, and twice its way down an index to the row of its period.
    let budgets = 10 * (2 + 2 * 4) + WAY;
    let paths = [
        ("/v1/dashboard".to_owned(), trend),
        ("/v1/dashboard?month=2020-03".to_owned(), trend),
        ("/v1/budgets".to_owned(), budgets),
        (format!("/v1/budgets/{budget}"), budgets),
        // Fifty months of days.
        (format!("/v1/budgets/{budget}/periods"), 50 * 31 + WAY),
        ("/v1/alerts".to_owned(), PAGE + WAY),
        // Where few are unread, all of them are sorted.
        ("/v1/alerts?unread=true".to_owned(), 2 * PAGE + WAY),
        // Twenty rules, each with what is left out of it.
        ("/v1/recurring".to_owned(), 20 + WAY),
        ("/v1/upcoming".to_owned(), 20 * 4 + WAY),
        ("/v1/wallets".to_owned(), WAY),
        ("/v1/categories".to_owned(), 17 + WAY),
        ("/v1/rates".to_owned(), WAY),
        ("/v1/tokens".to_owned(), WAY),
        (format!("/v1/rates/{rate}"), WAY),
        // A week of each currency, and a month of her own.
        ("/v1/exchange-rate?from=JPY".to_owned(), 2 * 8 + 2 * WAY),
        (
            "/v1/exchange-rate?from=EUR&date=2012-02-29".to_owned(),
            2 * 8 + 2 * WAY,
        ),
    ];
    for mode in MODES {
        let reader = Reader::start(history, mode).await;
        for (path, blocks_max) in &paths {
            let (plans, _) = reader.read(path).await;
            assert_bounded(&format!("{mode} {path}"), &plans, *blocks_max);
        }
    }
}

#[tokio::test]
async fn the_log_and_the_alerts_are_read_from_where_a_reader_is() {
    let history = History::get().await;
    for mode in MODES {
        let (proxy, url) = told_by(history, mode).await;
        let chain = Chain::at(&url, &[]).await;
        let (db, user_id) = (chain.store.reads(), history.ids.user_id);
        proxy.notices().await;
        // 200 entries, each in a block of its own.
        let batch = 200 + WAY;
        for place in ["0-0", "450-89900"] {
            for up_to in [None, Some("500-100000")] {
                let place: LogPosition = place.parse().expect("a place");
                let up_to = up_to.map(|text| text.parse().expect("a place"));
                let found = event_log::read_after(db, place, up_to, 200).await;
                assert_eq!(found.expect("entries").entries.len(), 200);
                assert_bounded("the log", &plans(&proxy).await, batch);
            }
        }
        event_log::end(db).await.expect("the end");
        assert_bounded("the end of the log", &plans(&proxy).await, WAY);
        read_models::reached(db, user_id).await.expect("a place");
        assert_bounded("the place of a user", &plans(&proxy).await, WAY);

        alerts::to_stream(db, user_id, 20_000, 50)
            .await
            .expect("alerts");
        assert_bounded("what a stream has missed", &plans(&proxy).await, PAGE + WAY);
        alerts::after(db, &[(user_id, 39_000)], 50)
            .await
            .expect("alerts");
        assert_bounded("what is new", &plans(&proxy).await, PAGE + WAY);
        alerts::news_of_all_users(db, 39_000, 50)
            .await
            .expect("alerts");
        assert_bounded("the tail of the alerts", &plans(&proxy).await, PAGE + WAY);
        alerts::seen_after(db, 39_950).await.expect("alerts");
        assert_bounded("behind the tail", &plans(&proxy).await, PAGE + WAY);
        alerts::end_of(db, user_id).await.expect("the end");
        alerts::end(db).await.expect("the end");
        assert_bounded("the ends of the alerts", &plans(&proxy).await, WAY);
    }
}

#[tokio::test]
async fn what_is_due_is_found_by_when_it_is() {
    let history = History::get().await;
    for mode in MODES {
        let (proxy, url) = told_by(history, mode).await;
        let chain = Chain::at(&url, &[]).await;
        let db = chain.store.reads();
        proxy.notices().await;
        let (mut now, mut after) = (chain.clock.now(), None);
        for count in [0, 50, 50] {
            let due = recurring::due::of_all_users(db, now, after, 50).await;
            let due = due.expect("what is due");
            assert_eq!(due.len(), count);
            assert_bounded("what is due", &plans(&proxy).await, PAGE + WAY);
            now += TimeDelta::days(3);
            after = due.last().copied();
        }
    }
}

#[tokio::test]
async fn a_booking_and_what_is_projected_of_it_do_not_read_what_was_there() {
    let history = History::get().await;
    for (seed, mode) in (2..).zip(MODES) {
        let (proxy, url) = told_by(history, mode).await;
        let mut chain = Chain::at(&url, &[("database.write_connections_max", "1")]).await;
        // Both book into the same database.
        chain.ids = Ids::seeded(seed);
        let projector = projector(&chain);
        let draft = expense(history.ids, "1.00", day("2026-02-10"));
        // The first on a connection reads about the tables as well.
        for _ in 0..3 {
            proxy.notices().await;
            let place = chain.book_at_once(history.ids, &draft, None).await;
            assert!(place.expect("booked").is_some());
        }
        assert_bounded("a booking", &plans(&proxy).await, 20 * 5);

        let batch = Arc::from([dollar(&chain, history.ids, day("2026-02-10"))]);
        let outcomes = projector.handle(batch).await.expect("projected");
        assert_eq!(outcomes, [Outcome::Handled]);
        // Ten budgets: each with its categories, its period and its crossings.
        assert_bounded("its projection", &plans(&proxy).await, 10 * 3 * 4 + WAY);
    }
}

/// A plan that is kept is looked at anew once statistics are: a minute, and a tenth of the table, later.
#[tokio::test]
async fn what_was_planned_for_small_tables_does_not_read_them_when_they_have_grown() {
    let database = stack::fresh_database();
    let proxy = Proxy::start().await;
    let url = proxy.database_url(&database);
    let url = format!("{url}&{TELLING}&options[plan_cache_mode]=force_generic_plan");
    let chain = Chain::at(&url, &[("database.write_connections_max", "1")]).await;
    let ada = chain.household("ada").await;
    let db = stack::connect(&Stack::get().database_url(&database)).await;
    let user_id = ada.user_id;
    let grow = |rows: &str| {
        format!(
            "INSERT INTO categories (id, user_id, name, kind, version, created_at, updated_at) \
             SELECT gen_random_uuid(), '{user_id}', n, 'expense', 1, now(), now() FROM generate_series({rows}) n; \
             INSERT INTO idempotency_keys (user_id, key, request_hash, answer, created_at) \
             SELECT '{user_id}', n, '', '', now() FROM generate_series({rows}) n; "
        )
    };
    // More than a block, of which a plan may well read all.
    let small = grow("1, 1000")
        + "ALTER TABLE categories SET (autovacuum_enabled = off); \
           ALTER TABLE idempotency_keys SET (autovacuum_enabled = off); ANALYZE categories, idempotency_keys";
    db.execute_unprepared(&small).await.expect("small");
    let draft = expense(ada, "1.00", day("2026-02-10"));
    let planned = book(&chain, ada, &draft, Some("first")).await;
    assert!(planned.expect("booked").is_some());

    let grown = grow("1001, 20000");
    db.execute_unprepared(&grown).await.expect("grown");
    proxy.notices().await;
    let grown = book(&chain, ada, &draft, Some("second")).await;
    assert!(grown.expect("booked").is_some());
    let plans = plans(&proxy).await;
    let booking = plans.iter().find(|plan| plan.is_on("idempotency_keys"));
    let booking = booking.expect("it looks whether the key was used");
    let scanned = booking.scanned();
    let grown = ["categories", "idempotency_keys"];
    assert!(
        !scanned.iter().any(|table| grown.contains(table)),
        "{scanned:?} read whole: {}",
        booking.shown()
    );
}

#[tokio::test]
async fn where_nothing_has_grown_old_only_the_oldest_are_looked_at() {
    let history = History::get().await;
    // Here a plan for whatever values reads whole tables. Each time the server sees that it would be dear.
    let (proxy, url) = told_by(history, "auto").await;
    let chain = Chain::at(&url, &[("database.write_connections_max", "1")]).await;
    proxy.notices().await;
    let retention = &chain.config.retention;
    for trim in [
        Trim::new(retention.clone(), &["projector", "notifier"]),
        Trim::of_relayed(retention.clone()),
    ] {
        for _ in 0..8 {
            let gone = trim.step(&chain.store, chain.clock.now()).await;
            assert_eq!(gone.expect("looked at"), 0);
        }
        for plan in plans(&proxy).await {
            let (scanned, blocks) = (plan.scanned(), plan.blocks());
            // A batch of the log is a thousand rows, eleven in a block.
            assert!(scanned.is_empty() && blocks <= 200, "{}", plan.shown());
        }
    }
}
