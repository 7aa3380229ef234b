//! The user: changing, and leaving without a trace.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;
use uuid::Uuid;
use wealth_companion::clock::Clock;
use wealth_companion::store::Store;
use wealth_companion::store::dead_letters::{self, DeadLetter};
use wealth_companion::store::erasure;
use wealth_companion::store::event_log::{self, LogPosition};

use crate::support::chain::{Chain, Household};
use crate::support::world::PASSWORD;
use crate::support::{Answer, Person, World};

#[tokio::test]
async fn a_person_changes_currency_zone_and_name() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let before = ada.get("/v1/me").await.expect(200);
    assert_eq!(before.header("etag"), "\"1\"");
    let change = json!({"currency": "JPY", "time_zone": "Asia/Tokyo", "name": "Ada"});
    let after = ada.patch("/v1/me", &change).await.expect(200);
    for (key, value) in change.as_object().expect("fields") {
        assert_eq!(&after.body[key], value);
    }
    assert_eq!(after.header("etag"), "\"2\"");
    assert_eq!(ada.get("/v1/me").await.body, after.body);
    let nameless = ada
        .patch("/v1/me", &json!({"name": null}))
        .await
        .expect(200);
    assert_eq!(nameless.body["name"], json!(null));
    assert_eq!(nameless.body["currency"], "JPY");
    for wrong in [
        json!({"currency": "XXY"}),
        json!({"currency": null}),
        json!({"time_zone": "Mars/Olympus"}),
        json!({"time_zone": null}),
        json!({"name": ""}),
        json!({"email": "eve@example.com"}),
    ] {
        ada.patch("/v1/me", &wrong).await.problem(422, "validation");
    }
    let stale = ada
        .request(reqwest::Method::PATCH, "/v1/me")
        .header("If-Match", "\"1\"")
        .json(&change);
    Answer::to(stale).await.problem(412, "stale");
    assert_eq!(ada.get("/v1/me").await.body, nameless.body);
}

/// Every table, with every row in which any column holds the bytes or the text.
async fn traces(db: &impl ConnectionTrait, needles: &[String]) -> Vec<(String, i64)> {
    let rows = |text: String| async move {
        let statement = Statement::from_string(db.get_database_backend(), text);
        db.query_all_raw(statement).await.expect("rows")
    };
    let backend = db.get_database_backend();
    let mut found = Vec::new();
    for table in rows(crate::support::rows::tables(backend).to_owned()).await {
        let table: String = table.try_get_by_index(0).expect("a name");
        let columns = match backend {
            DbBackend::Postgres => format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = '{table}'"
            ),
            _ => format!("SELECT name FROM pragma_table_info('{table}')"),
        };
        let mut finds = Vec::new();
        for column in rows(columns).await {
            let column: String = column.try_get_by_index(0).expect("a name");
            let hex = match backend {
                // A uuid as its digits, bytes as such, anything else as its text.
                DbBackend::Postgres => format!(
                    "upper(CASE pg_typeof(\"{column}\")::text WHEN 'uuid' THEN replace(\"{column}\"::text, '-', '') \
                     WHEN 'bytea' THEN substr(\"{column}\"::text, 3) \
                     ELSE encode(convert_to(\"{column}\"::text, 'UTF8'), 'hex') END)"
                ),
                _ => format!("hex(\"{column}\")"),
            };
            for needle in needles {
                finds.push(match backend {
                    DbBackend::Postgres => format!("strpos({hex}, '{needle}') > 0"),
                    _ => format!("instr({hex}, '{needle}') > 0"),
                });
            }
        }
        let text = format!(
            "SELECT COUNT(*) FROM \"{table}\" WHERE {}",
            finds.join(" OR ")
        );
        let count: i64 = rows(text).await[0].try_get_by_index(0).expect("a count");
        if count > 0 {
            found.push((table, count));
        }
    }
    found.sort();
    found
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// What would tell of a person: the id as bytes and as text, the address, what was written.
fn needles(person: &Person) -> Vec<String> {
    let id: uuid::Uuid = person.id.parse().expect("an id");
    vec![
        hex(id.as_bytes()),
        hex(person.id.as_bytes()),
        hex(person.email.as_bytes()),
        hex(format!("secret of {}", person.email).as_bytes()),
    ]
}

/// Leaves something in as many tables as one can; gives the answer to the last booking.
async fn live(person: &Person, today: &str) -> Answer {
    let secret = format!("secret of {}", person.email);
    let wallet = person.wallet("Checking", "USD", "0").await;
    let food = person.category("Groceries").await;
    person.budget(&[&food], "10.00").await;
    let booking = json!({
        "wallet_id": wallet, "category_id": food, "type": "expense", "amount": "20", "date": today,
        "description": secret, "notes": secret
    });
    let booked = person
        .post_once("/v1/transactions", "1", &booking)
        .await
        .expect(201);
    let path = format!("/v1/transactions/{}", booked.id());
    let changed = person
        .patch(&path, &json!({"payee": secret}))
        .await
        .expect(200);
    person.alerts(2).await;
    changed
}

#[tokio::test]
async fn whoever_leaves_leaves_no_trace() {
    let world = World::start().await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let today = world.clock.now().date_naive().to_string();
    live(&bob, &today).await;
    live(&ada, &today).await;
    let script = json!({"name": "secret of ada", "scopes": ["read"]});
    ada.post("/v1/tokens", &script).await.expect(201);
    let email = json!({"kinds": {"budget_exceeded": {"email": true}}});
    ada.patch("/v1/me/notifications", &email).await.expect(200);
    let login = json!({"email": ada.email, "password": PASSWORD});
    let elsewhere = ada.signed_in_again(&world).await;
    elsewhere.get("/v1/me").await.expect(200);
    let store = world.store().await;
    bury_something_of(&store, &ada).await;
    let before = traces(store.reads(), &needles(&ada)).await;
    let tables: Vec<&str> = before.iter().map(|(table, _)| table.as_str()).collect();
    for table in [
        "alerts",
        "budget_crossings",
        "dead_letters",
        "event_log",
        "idempotency_keys",
        "notification_choices",
        "personal_tokens",
        "sessions",
    ] {
        assert!(tables.contains(&table), "{table} in {tables:?}");
    }
    let of_bob = traces(store.reads(), &needles(&bob)).await;

    ada.delete("/v1/me").await.expect(204);
    let left = traces(store.reads(), &needles(&ada)).await;
    assert_eq!(left, [("deleted_users".to_owned(), 1)]);
    assert_eq!(traces(store.reads(), &needles(&bob)).await, of_bob);
    for person in [&ada, &elsewhere] {
        for path in ["/v1/me", "/v1/wallets", "/v1/dashboard"] {
            person.get(path).await.problem(401, "unauthorized");
        }
        let refresh = json!({"refresh_token": person.refresh_token});
        world
            .post("/v1/auth/refresh", &refresh)
            .await
            .problem(401, "unauthorized");
    }
    world
        .post("/v1/auth/login", &login)
        .await
        .problem(401, "unauthorized");
    // The address is free, and the new owner begins with nothing.
    let again = world.register("ada").await;
    assert_ne!(again.id, ada.id);
    assert!(again.all("/v1/wallets", 200).await.is_empty());
    // The others go on, and the gap in the log counts for nothing.
    let wallet = bob.all("/v1/wallets", 1).await[0]["id"].clone();
    let booking = json!({"wallet_id": wallet, "type": "income", "amount": "1", "date": today});
    let booked = bob.post("/v1/transactions", &booking).await.expect(201);
    let month = bob.get_after("/v1/dashboard", &booked).await;
    assert_eq!(month.body["income"], "1.00");
}

async fn bury_something_of(store: &Store, person: &Person) {
    let letter = DeadLetter {
        id: Uuid::nil(),
        consumer: "projector",
        topic: "x".to_owned(),
        event_id: Uuid::nil(),
        payload: format!("{{\"userId\":\"{}\"}}", person.id),
        reason: "bad".to_owned(),
    };
    let now = Clock::system().now();
    store
        .write(move |tx| async move { dead_letters::keep(&tx, letter, None, now).await })
        .await
        .expect("buried");
}

async fn leave(chain: &Chain, who: Household) {
    let said = event_log::positions_of(chain.store.reads(), who.user_id)
        .await
        .expect("positions");
    let now = chain.clock.now();
    chain
        .store
        .write(move |tx| async move { erasure::erase(&tx, who.user_id, &said, now).await })
        .await
        .expect("gone");
}

async fn count(chain: &Chain, table: &str) -> i64 {
    let text = format!("SELECT COUNT(*) FROM {table}");
    let db = chain.store.reads();
    let statement = Statement::from_string(db.get_database_backend(), text);
    let row = db.query_one_raw(statement).await.expect("a row");
    row.expect("a row").try_get_by_index(0).expect("a count")
}

#[tokio::test]
async fn late_events_of_somebody_who_left_are_passed_over() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 1_000).await;
    chain.spend(ada, "20.00", "2026-02-10").await;
    chain.settle().await;
    chain.spend(ada, "5.00", "2026-02-10").await;
    // The bus has them already when she leaves.
    let log = chain.log().await;
    let (bookings, others): (Vec<_>, Vec<_>) = log
        .into_iter()
        .partition(|entry| entry.topic == "finance.transaction.created");
    let warnings: Vec<_> = others
        .into_iter()
        .filter(|entry| entry.topic != "notification.alert.sent")
        .collect();
    assert_eq!((bookings.len(), warnings.len()), (2, 2));
    leave(&chain, ada).await;
    chain
        .projector
        .take(Chain::deliveries(&bookings))
        .await
        .expect("passed over");
    chain
        .notifier
        .take(Chain::deliveries(&warnings))
        .await
        .expect("passed over");
    for table in ["dead_letters", "alerts", "monthly_totals", "event_log"] {
        assert_eq!(count(&chain, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn the_gap_of_somebody_who_left_holds_nobody_up() {
    let chain = Chain::new().await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    chain.spend(bob, "1.00", "2026-02-10").await;
    for _ in 0..3 {
        chain.spend(ada, "1.00", "2026-02-10").await;
    }
    // Published, and not heard.
    chain.publish().await;
    let end = event_log::end(chain.store.reads()).await.expect("the end");
    leave(&chain, ada).await;
    chain.settle().await;
    for consumer in ["projector", "notifier"] {
        let cursor = event_log::Cursor::Consumer(consumer);
        let at = event_log::cursor(chain.store.reads(), cursor)
            .await
            .expect("a place");
        assert_eq!(at, end, "{consumer}");
    }
    // Places are not given out twice, nor does the end go back.
    let still = event_log::end(chain.store.reads()).await.expect("the end");
    assert_eq!(still, end);
    chain.spend(bob, "2.00", "2026-02-10").await;
    assert_eq!(chain.log_after(end).await.len(), 1);
    chain.settle().await;
    assert_eq!(count(&chain, "dead_letters").await, 0);
    assert_ne!(end, LogPosition::default());
}
