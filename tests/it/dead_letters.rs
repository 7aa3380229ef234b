//! What comes from the bus and will never work: kept once with the reason, counted, and no other
//! event waits for it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;
use wealth_companion::bus::consumer::Consumer;
use wealth_companion::bus::{Delivery, Handler, Heard, Outcome};
use wealth_companion::domain::money::Currency;
use wealth_companion::events::{Event, EventType};
use wealth_companion::projector::Projector;
use wealth_companion::state::State;
use wealth_companion::store::{Store, StoreError, dashboard, erasure};
use wealth_companion::telemetry::metrics;

use crate::support::Chain;
use crate::support::chain::{Household, day};
use crate::support::recount::number;

/// What the projector has counted as spent in February, in minor units.
async fn spent(chain: &Chain, ada: Household) -> i64 {
    let (usd, month) = (
        Currency::parse("USD").expect("a currency"),
        day("2026-02-01"),
    );
    let sums = dashboard::sums(chain.store.reads(), ada.user_id, usd, month, month).await;
    let sums = sums.expect("sums").months;
    sums.iter().map(|sum| sum.amount_minor).sum()
}

fn delivery(topic: &str, payload: impl Into<Vec<u8>>) -> Delivery {
    Delivery {
        topic: topic.to_owned(),
        payload: payload.into(),
        position: None,
    }
}

/// The metric's value on its line.
fn counted(line: &str) -> u64 {
    let text = metrics::render(&metrics::install());
    text.lines()
        .find_map(|found| found.strip_prefix(line))
        .map_or(0, |value| value.trim().parse().expect("a count"))
}

/// Good envelopes with one thing wrong: a part of the reason, where, and the JSON that is put there
/// (nothing: it is left out).
const SPOILT: &[(&str, &str, &str)] = &[
    ("not a CloudEvent", "/specversion", ""),
    ("not a CloudEvent", "/specversion", r#""2.0""#),
    (
        "specversion is missing or malformed",
        "/specversion",
        r#""0.3""#,
    ),
    ("not a CloudEvent", "/id", ""),
    ("id is missing or malformed", "/id", r#""seven""#),
    ("subject is missing", "/subject", ""),
    ("time is missing", "/time", ""),
    ("data is missing", "/data", ""),
    (
        "not in the catalogue",
        "/type",
        r#""finance.transaction.undone""#,
    ),
    ("correlationid is missing", "/correlationid", ""),
    ("correlationid is missing", "/correlationid", r#""7""#),
    (
        "causationid is missing or malformed",
        "/causationid",
        r#""7""#,
    ),
    ("traceparent is missing", "/traceparent", ""),
    ("traceparent is missing", "/traceparent", r#""00-0-0-01""#),
    ("missing field `amount`", "/data/amount", ""),
    ("missing field `walletId`", "/data/walletId", ""),
    ("unknown variant", "/data/type", r#""gift""#),
    ("does not fit the type", "/data", r#""text""#),
    ("does not fit the type", "/data/amount", r#""12.34""#),
    ("does not fit the type", "/data/date", r#""2026-02-30""#),
    ("does not fit the type", "/data/currency", r#""DOLLAR""#),
    ("does not fit the type", "/data/amount", "12.345"),
    ("does not fit the type", "/data/amount", "1e400"),
    ("more than zero", "/data/amount", "-5.00"),
    ("more than zero", "/data/amount", "0.00"),
    (
        "the splits do not make the amount",
        "/data/splits",
        r#"[{"amount": 0.01}, {"amount": 0.02}]"#,
    ),
    (
        "more than zero",
        "/data/splits",
        r#"[{"amount": 12.34}, {"amount": 0.00}]"#,
    ),
    (
        "more than zero",
        "/data/splits",
        r#"[{"amount": -1.00}, {"amount": 13.34}]"#,
    ),
    ("does not fit the type", "/data/splits", "[12.34]"),
    ("does not fit the type", "/data/toAmount", r#""much""#),
    ("does not fit the type", "/data/tags", r#""weekly""#),
    (
        "the user does not exist",
        "/data/userId",
        r#""00000000-0000-4000-8000-000000000007""#,
    ),
];

/// The good envelope under another id, with one thing wrong.
fn spoil(good: &str, id: u128, pointer: &str, json: &str) -> Vec<u8> {
    let mut event: Value = serde_json::from_str(good).expect("JSON");
    event["id"] = json!(Uuid::from_u128(id << 64 | 0x4000_8000));
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = event.pointer_mut(parent).expect("a parent");
    let parent = parent.as_object_mut().expect("an object");
    match json {
        "" => parent.remove(key),
        json => parent.insert(key.to_owned(), serde_json::from_str(json).expect("JSON")),
    };
    event.to_string().into_bytes()
}

/// Every spoilt envelope under an id of its own, one that is too large, and what is no event at all.
fn spoilt(good: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<(&str, Vec<u8>)> = SPOILT
        .iter()
        .zip(1..)
        .map(|((reason, pointer, json), id)| (*reason, spoil(good, id, pointer, json)))
        .collect();
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    let large = spoil(good, 1_000, "/data/description", &long);
    all.push(("more than 1048576", large));
    let cut = &good[..good.len() - 2];
    for bytes in [cut.as_bytes(), b"[1, 2]", b"\xff\xfe\x00", b""] {
        all.push(("not a CloudEvent", bytes.to_vec()));
    }
    all
}

#[tokio::test]
async fn bad_events_are_kept_once_with_the_reason_and_hold_up_nobody() {
    metrics::install();
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    for _ in 0..3 {
        chain.spend(ada, "10.00", "2026-02-10").await;
    }
    let log = chain.log().await;
    let bad = spoilt(&log[0].envelope);
    // A good one at the beginning, in the middle and at the end.
    let mut batch: Vec<Delivery> = bad
        .iter()
        .map(|(_, payload)| delivery("spoilt.in.transit", payload.clone()))
        .collect();
    let mut good = Chain::deliveries(&log);
    batch.insert(0, good.remove(0));
    batch.insert(batch.len() / 2, good.remove(0));
    batch.push(good.remove(0));

    chain.projector.take(batch.clone()).await.expect("taken");
    assert_eq!(
        spent(&chain, ada).await,
        3_000,
        "the good ones were counted"
    );
    let kept = chain.letters().await;
    let reasons: Vec<String> = kept
        .iter()
        .map(|letter| letter.reason.clone().unwrap_or_default())
        .collect();
    for (reason, _) in &bad {
        let wanted = bad.iter().filter(|(other, _)| other == reason).count();
        let found = reasons.iter().filter(|kept| kept.contains(reason)).count();
        assert!(
            found >= wanted,
            "{reason}: {found} of {wanted} in {reasons:#?}"
        );
    }
    assert_eq!(kept.len(), bad.len(), "{reasons:#?}");
    assert!(kept.iter().all(|letter| letter.consumer == "projector"));
    let unread = kept
        .iter()
        .filter(|letter| letter.topic == "spoilt.in.transit")
        .count();
    let line = "wealth_dead_letters_total{topic=\"spoilt.in.transit\"}";
    assert_eq!(counted(line), u64::try_from(unread).expect("few"));

    // The bus delivers at least once: the letters and the sums stay as they are.
    chain.projector.take(batch).await.expect("taken again");
    assert_eq!(chain.letters().await, kept);
    assert_eq!(spent(&chain, ada).await, 3_000);
}

#[tokio::test]
async fn a_letter_keeps_what_came() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.spend(ada, "10.00", "2026-02-10").await;
    let mut event: Value = serde_json::from_str(&chain.log().await[0].envelope).expect("JSON");
    event["data"]["userId"] = json!(Uuid::from_u128(7));
    event["data"]["ofALaterVersion"] = json!("kept");
    let strange = delivery("finance.transaction.created", event.to_string());
    let torn = delivery("finance.transaction.created", "{\"specversion\":");
    chain
        .projector
        .take(vec![strange, torn])
        .await
        .expect("taken");
    let kept = chain.letters().await;
    let payloads: Vec<&str> = kept.iter().map(|letter| letter.payload.as_str()).collect();
    assert!(payloads.contains(&"{\"specversion\":"), "{payloads:?}");
    assert!(
        payloads.contains(&event.to_string().as_str()),
        "{payloads:?}"
    );
}

#[tokio::test]
async fn an_event_that_breaks_the_batch_is_found_and_the_others_go_on() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    for _ in 0..4 {
        chain.spend(ada, "10.00", "2026-02-10").await;
    }
    let log = chain.log().await;
    let mut batch = Chain::deliveries(&log);
    // Two sums that fit alone, and not together: the database refuses the second.
    for delivery in &mut batch[1..3] {
        let huge = String::from_utf8_lossy(&delivery.payload)
            .replace("\"amount\":10.00", "\"amount\":30000000000000000.00");
        delivery.payload = huge.into_bytes();
    }
    chain.projector.take(batch).await.expect("taken");
    let kept = chain.letters().await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(
        kept[0]
            .reason
            .as_deref()
            .unwrap_or_default()
            .contains("range of amounts"),
        "{kept:?}"
    );
    assert_eq!(spent(&chain, ada).await, 3_000_000_000_000_000_000 + 2_000);
}

/// A projector with a defect: it panics over one event.
struct Fragile {
    projector: Projector,
    store: Store,
    breaks_at: Uuid,
}

impl Handler for Fragile {
    fn consumer(&self) -> &'static str {
        self.projector.consumer()
    }

    fn hears(&self) -> &'static [EventType] {
        self.projector.hears()
    }

    fn handle(&self, batch: Arc<[Heard]>) -> BoxFuture<'_, Result<Vec<Outcome>, StoreError>> {
        if batch.iter().all(|heard| heard.event.id != self.breaks_at) {
            return self.projector.handle(batch);
        }
        let unit = self.store.write(|tx| async move {
            tx.execute_unprepared("DELETE FROM transactions").await?;
            panic!("out of its depth")
        });
        unit.boxed()
    }
}

#[tokio::test]
async fn an_event_over_which_the_handler_panics_is_found_and_the_others_go_on() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    for _ in 0..3 {
        chain.spend(ada, "10.00", "2026-02-10").await;
    }
    let log = chain.log().await;
    let bad = Event::parse(log[1].envelope.as_bytes()).expect("an event");
    let (store, clock, ids) = (chain.store.clone(), chain.clock.clone(), chain.ids.clone());
    let fragile = Fragile {
        projector: Projector::new(store.clone(), clock.clone(), ids.clone()),
        store: store.clone(),
        breaks_at: bad.id,
    };
    let state = State::open(&chain.config, None).expect("embedded");
    let consumer = Consumer::new(Arc::new(fragile), store, state, clock, ids);

    // Others write at the same time, in the same commit where the database combines them.
    let others = join_all((0..20).map(|_| chain.spend(ada, "5.00", "2026-02-10")));
    tokio::join!(take(&consumer, Chain::deliveries(&log)), others);
    let kept = chain.letters().await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    let reason = kept[0].reason.as_deref().unwrap_or_default();
    assert!(reason.contains("it panicked: out of its depth"), "{reason}");
    assert_eq!(spent(&chain, ada).await, 2_000);
    // Whoever writes goes on, and nothing is left of what it did before.
    chain.spend(ada, "10.00", "2026-02-10").await;
    let bookings = "SELECT COUNT(*) FROM transactions";
    assert_eq!(number(chain.store.reads(), bookings).await, 24);
}

#[tokio::test]
async fn the_notifier_buries_what_it_cannot_tell_anybody() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    chain.spend(ada, "85.00", "2026-02-10").await;
    chain.publish().await;
    chain.projector_bus.tick().await.expect("the projector");
    let log = chain.log().await;
    let booked = Chain::deliveries(&log[..1]).remove(0);
    let warning = Chain::deliveries(&log[1..2]).remove(0);
    let mut nobody: Value = serde_json::from_slice(&warning.payload).expect("JSON");
    nobody["id"] = json!(Uuid::from_u128(0x4000_8000));
    nobody["data"]["userId"] = json!(Uuid::from_u128(7));
    let nobody = delivery(&warning.topic, nobody.to_string());

    let batch = vec![booked, nobody, warning];
    take(&chain.notifier, batch.clone()).await;
    take(&chain.notifier, batch).await;
    let reasons: Vec<_> = chain
        .letters()
        .await
        .into_iter()
        .filter_map(|kept| kept.reason)
        .collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("not for this consumer"), "{reasons:?}");
    assert!(
        reasons[1].contains("the user does not exist"),
        "{reasons:?}"
    );
    let sent = chain
        .log()
        .await
        .into_iter()
        .filter(|entry| entry.topic == "notification.alert.sent");
    assert_eq!(sent.count(), 1, "the warning was told once");
}

#[tokio::test]
async fn nothing_is_kept_of_somebody_who_has_left() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    chain.spend(ada, "10.00", "2026-02-10").await;
    let log = chain.log().await;
    // A booking that does not work: of a user, a letter; of one who has left, nothing.
    let mut bad = Chain::deliveries(&log).remove(0);
    let text = String::from_utf8_lossy(&bad.payload);
    bad.payload = text.replace("\"amount\":10.00", "\"amount\":10.001").into();
    take(&chain.projector, vec![bad.clone()]).await;
    assert_eq!(chain.letters().await.len(), 1);
    let (now, said) = (chain.clock.now(), [log[0].position]);
    let unit = chain
        .store
        .write(move |tx| async move { erasure::erase(&tx, ada.user_id, &said, now).await });
    unit.await.expect("erased");
    assert_eq!(chain.letters().await.len(), 0);
    take(&chain.projector, vec![bad]).await;
    assert_eq!(chain.letters().await.len(), 0);
}

async fn take(consumer: &Consumer, batch: Vec<Delivery>) {
    consumer.take(batch).await.expect("taken");
}
