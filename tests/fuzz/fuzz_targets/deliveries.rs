//! What the sidecar delivers to the real routes, consumers and database is answered entry by entry, in order: done with,
//! or a dead letter that is kept. Delivered again, it changes nothing.
//!
//! The first byte chooses the topic, and whether one or many are delivered; the rest is the body.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use actix_web::test::{self, TestRequest};
use actix_web::{App, body};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wealth_companion::bus::Handler;
use wealth_companion::bus::consumer::Consumer;
use wealth_companion::bus::dapr::Intake;
use wealth_companion::domain::money::Currency;
use wealth_companion::events::EventType;
use wealth_companion::events::catalogue::{NOTIFIER_HEARS, PROJECTOR_HEARS};
use wealth_companion::http::ingress::Ingress;
use wealth_companion::notifier::Notifier;
use wealth_companion::projector::Projector;
use wealth_companion::state::State;
use wealth_companion::store::users::{self, User};
use wealth_companion_fuzz::{Ground, noon};

/// In seeds, whom events are about.
const USER: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_000c);

/// What deliveries write, and what of it must be the same after the same delivery.
const WRITTEN: [(&str, &str); 16] = [
    ("inbox", "consumer, hex(event_id)"),
    (
        "dead_letters",
        "consumer, topic, hex(event_id), payload, reason",
    ),
    (
        "monthly_totals",
        "hex(user_id), currency, month, amount_minor, bookings",
    ),
    (
        "transaction_words",
        "hex(user_id), word, date, hex(transaction_id), times",
    ),
    (
        "daily_spending",
        "hex(user_id), currency, date, amount_minor",
    ),
    (
        "budget_periods",
        "hex(budget_id), period_start, spent_minor",
    ),
    (
        "budget_crossings",
        "hex(budget_id), period_start, threshold",
    ),
    (
        "budget_crossings_past",
        "hex(budget_id), period_start, threshold",
    ),
    ("goals", "hex(id), contributed_minor, achieved_at"),
    ("goal_contributions", "hex(goal_id), amount_minor"),
    ("insights", "hex(user_id), key"),
    ("insight_looks", "hex(user_id)"),
    ("alerts", "hex(user_id), kind, title"),
    ("deliveries", "hex(user_id), kind, hex(source_event_id)"),
    ("event_log", "hex(event_id)"),
    ("outbox", "position"),
];

thread_local!(static GROUND: RefCell<Option<Ground>> = const { RefCell::new(None) });

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    GROUND.with_borrow_mut(|ground| deliver(ground.get_or_insert_with(inhabited), *choice, body));
});

fn inhabited() -> Ground {
    let ground = Ground::new();
    let user = User {
        id: USER,
        email: "ada@example.com".to_owned(),
        name: None,
        currency: Currency::parse("USD").expect("it is in use"),
        time_zone: chrono_tz::UTC,
        ai_enabled: false,
        version: 1,
        created_at: noon(),
        updated_at: noon(),
    };
    let made = ground
        .store
        .write(move |tx| async move { users::create(&tx, &user, String::new()).await });
    ground.runtime.block_on(made).expect("a user");
    ground
}

fn deliver(ground: &mut Ground, choice: u8, body: &[u8]) {
    let topics: Vec<EventType> = EventType::heard().collect();
    let topic = topics[usize::from(choice >> 1) % topics.len()];
    let many = choice & 1 == 1;
    let path = format!("/events/{}/{topic}", if many { "many" } else { "one" });
    // The second time another replica takes it, which has not seen it.
    let first = sent(ground, &path, body);
    let before = ground.rows(&WRITTEN);
    let second = sent(ground, &path, body);
    assert_eq!(
        ground.rows(&WRITTEN),
        before,
        "{path} {}",
        String::from_utf8_lossy(body)
    );
    assert_eq!(first.0, second.0);
    let statuses = statuses(body, many, &first);
    let dropped = statuses.iter().filter(|status| *status == "DROP").count();
    let letters = before
        .iter()
        .filter(|row| row.starts_with("dead_letters: "))
        .count();
    // One that comes twice in a batch is one letter.
    assert!(
        letters <= dropped && (letters > 0) == (dropped > 0),
        "{letters} letters: {first:?}"
    );
    if !before.is_empty() {
        let tables = WRITTEN
            .iter()
            .map(|(table, _)| format!("DELETE FROM {table}"));
        ground.execute(&tables.collect::<Vec<_>>());
    }
}

/// What was said of each.
fn statuses(body: &[u8], many: bool, (status, answer): &(u16, String)) -> Vec<String> {
    if *status == 400 {
        assert!(many, "{answer}");
        return Vec::new();
    }
    assert_eq!(*status, 200, "{answer}");
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    let word = |it: &Value| {
        let word = it["status"].as_str().expect("a status").to_owned();
        assert!(["SUCCESS", "DROP"].contains(&word.as_str()), "{answer}");
        word
    };
    if !many {
        return vec![word(&answer)];
    }
    let said = answer["statuses"].as_array().expect("a list");
    if let Ok(Value::Object(sent)) = serde_json::from_slice(body) {
        let sent = sent["entries"].as_array().expect("a batch has entries");
        assert_eq!(said.len(), sent.len());
        for (said, sent) in said.iter().zip(sent).filter(|(_, sent)| sent.is_object()) {
            assert_eq!(said["entryId"], sent["entryId"]);
        }
    }
    said.iter().map(word).collect()
}

fn sent(ground: &Ground, path: &str, body: &[u8]) -> (u16, String) {
    let parts = (
        ground.store.clone(),
        ground.clock.clone(),
        ground.ids.clone(),
    );
    ground.runtime.block_on(async {
        let intake = Arc::new(Intake::new(
            &[PROJECTOR_HEARS, NOTIFIER_HEARS],
            CancellationToken::new(),
        ));
        let (store, clock, ids) = parts;
        let projector = Projector::new(store.clone(), clock.clone(), ids.clone());
        let notifier = Notifier::new(store.clone(), clock.clone(), ids.clone());
        let notifier = notifier.sending_email(true);
        let handlers: [Arc<dyn Handler>; 2] = [Arc::new(projector), Arc::new(notifier)];
        for handler in handlers {
            let state = State::open(&ground.config, None).expect("state");
            let consumer = Consumer::new(handler, store.clone(), state, clock.clone(), ids.clone());
            intake.add(Arc::new(consumer));
        }
        let ingress = Arc::new(Ingress::new(intake, &ground.config));
        let app = test::init_service(App::new().configure(|routes| ingress.routes(routes))).await;
        let request = TestRequest::post()
            .uri(path)
            .set_payload(body.to_vec())
            .to_request();
        let answer = test::call_service(&app, request).await;
        let status = answer.status().as_u16();
        let body = body::to_bytes(answer.into_body())
            .await
            .unwrap_or_else(|_| panic!("the answer breaks off"));
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    })
}
