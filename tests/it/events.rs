//! The events as a contract with other programs: their JSON Schemas, and what really goes over the
//! wire.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Value, json};
use tempfile::TempDir;
use wealth_companion::config::Config;
use wealth_companion::domain::category::CategoryKind;
use wealth_companion::domain::money::{AmountText, Currency, Money};
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::domain::wallet::WalletType;
use wealth_companion::events::{Event, EventData, EventType, schema};
use wealth_companion::operator::topics;
use wealth_companion::store::categories::{self, Category};
use wealth_companion::store::goals::{self, Goal};
use wealth_companion::store::notifications;
use wealth_companion::store::transactions::{self, Amendment};
use wealth_companion::store::wallets::{self, Wallet};

use crate::support::chain::{Household, day};
use crate::support::{Chain, is_up_to_date};

/// Where the schema of a type stands.
fn file_of(event_type: EventType) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("docs/events/{event_type}.json"))
}

/// The schemas in `docs/events/` are those of the code; with `UPDATE_GENERATED` set they are written.
#[test]
fn schemas_are_up_to_date() {
    for event_type in EventType::ALL.iter().copied() {
        let file = file_of(event_type);
        is_up_to_date(&file, &format!("{:#}\n", schema::of(event_type)));
    }
}

/// The topics that Strimzi makes are those that `events topics apply` would; with `UPDATE_GENERATED` set they are
/// written.
#[test]
fn topics_of_strimzi_are_up_to_date() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("strimzi/base/topics.yaml");
    let folder = TempDir::new().expect("a folder");
    let made = strimzi_topics(&crate::support::config(folder.path(), &[]));
    is_up_to_date(&file, &made);
}

fn strimzi_topics(config: &Config) -> String {
    let head = "# The topics of the catalogue (src/events/catalogue.rs), by config/default.toml: made by `make generated`.\n";
    let topics = topics::wishes(config).into_iter().map(|wish| {
        let settings = wish.settings.iter();
        let settings: String = settings
            .map(|(key, value)| format!("    {key}: {value}\n"))
            .collect();
        format!(
            "---\napiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata:\n  name: {}\n  labels: {{strimzi.io/cluster: \
             kafka-cluster}}\nspec:\n  partitions: {}\n  replicas: {}\n  config:\n{settings}",
            wish.name, wish.partitions, wish.replication
        )
    });
    std::iter::once(head.to_owned()).chain(topics).collect()
}

/// The sidecars may write and read every topic, by the first word of its name.
#[test]
fn whoever_may_talk_to_kafka_may_talk_of_everything() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("strimzi/base/users.yaml");
    let rights = fs::read_to_string(file).expect("the rights");
    for event_type in EventType::ALL {
        let name = event_type.as_str();
        let (first, _) = name.split_once('.').expect("words");
        let right = format!("{{type: topic, name: {first}., patternType: prefix}}");
        assert!(rights.contains(&right), "{name}: {right}");
    }
}

#[test]
fn there_is_no_schema_without_a_type() {
    let folder = file_of(EventType::AlertSent);
    let folder = folder.parent().expect("a folder");
    for entry in fs::read_dir(folder).expect("docs/events") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("UTF-8");
        if let Some(event_type) = name.strip_suffix(".json") {
            assert!(EventType::named(event_type).is_some(), "{name} is nobody's");
        }
    }
}

/// A validator that also looks at formats.
fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .expect("a JSON Schema")
}

#[track_caller]
fn assert_valid(schema: &Value, event: &Value) {
    let errors: Vec<String> = validator(schema)
        .iter_errors(event)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?} in {event:#}");
}

/// CloudEvents 1.0 in structured JSON, as far as it concerns us.
fn cloud_event() -> Value {
    json!({
        "type": "object",
        "required": ["specversion", "type", "source", "id", "subject", "time", "datacontenttype", "data"],
        "propertyNames": {"pattern": "^[a-z0-9]{1,20}$"},
        "properties": {
            "specversion": {"const": "1.0"},
            "type": {"type": "string", "minLength": 1},
            "source": {"type": "string", "minLength": 1, "format": "uri-reference"},
            "id": {"type": "string", "minLength": 1},
            "subject": {"type": "string", "minLength": 1},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": {"type": "object", "propertyNames": {"pattern": "^[a-z][a-zA-Z]*$"}}
        },
        "additionalProperties": {"type": ["string", "boolean", "integer"]}
    })
}

/// Another wallet and a category of income, to change a booking to.
async fn elsewhere(chain: &Chain, ada: Household) -> (Wallet, Category) {
    let (now, usd) = (
        chain.clock.now(),
        Currency::parse("USD").expect("a currency"),
    );
    let wallet = Wallet::new(
        chain.ids.v7(now),
        "Cash".to_owned(),
        WalletType::Cash,
        Money::zero(usd),
        now,
    );
    let category = Category {
        id: chain.ids.v7(now),
        name: "Refunds".to_owned(),
        kind: CategoryKind::Income,
        parent_id: None,
        color: None,
        icon: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let made = (wallet.clone(), category.clone());
    chain
        .store
        .write(move |tx| async move {
            wallets::create(&tx, ada.user_id, &wallet).await?;
            categories::create(&tx, ada.user_id, &category).await
        })
        .await
        .expect("a wallet and a category");
    made
}

/// A life with every event that there is: booked, warned, changed in every field, deleted,
/// exceeded, told.
async fn a_life(chain: &Chain) -> Household {
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    let booked = chain.spend(ada, "85.00", "2026-02-10").await;
    chain.settle().await;
    let (wallet, category) = elsewhere(chain, ada).await;
    let text = |text: &str| Some(Some(text.to_owned()));
    let amendment = Amendment {
        wallet_id: Some(wallet.id),
        transaction_type: Some(TransactionType::Income),
        amount: Some(AmountText::Number("0.1".to_owned())),
        date: Some(day("2026-02-09")),
        category_id: Some(Some(category.id)),
        description: text("Sent back: \"too small\"\u{1F6B2}"),
        payee: text("Corner shop"),
        notes: text("two\nlines"),
        tags: Some(vec!["returned".to_owned()]),
        ..Amendment::default()
    };
    let act = chain.act(ada);
    chain
        .store
        .write(move |tx| async move {
            transactions::amend(&tx, act, booked.id, Some(1), amendment).await
        })
        .await
        .expect("changed");
    let act = chain.act(ada);
    chain
        .store
        .write(move |tx| async move { transactions::delete(&tx, act, booked.id, Some(2)).await })
        .await
        .expect("deleted");
    chain.spend(ada, "120.00", "2026-02-10").await;
    goal_of(chain, ada).await;
    let act = chain.act(ada);
    let asked = chain
        .store
        .write(move |tx| async move { notifications::ask_to_confirm(&tx, act).await });
    assert_eq!(asked.await.expect("asked"), Ok(()));
    chain.settle().await;
    ada
}

/// What is in the household's wallet is enough for it.
async fn goal_of(chain: &Chain, who: Household) {
    let (now, usd) = (
        chain.clock.now(),
        Currency::parse("USD").expect("a currency"),
    );
    let goal = Goal {
        id: chain.ids.v7(now),
        user_id: who.user_id,
        name: "Bicycle".to_owned(),
        target: Money::new(1, usd),
        target_date: None,
        wallet_id: Some(who.wallet_id),
        saved: Money::zero(usd),
        achieved_at: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let act = chain.act(who);
    let unit = move |tx| async move { goals::create(&tx, act, &goal).await };
    chain.store.write(unit).await.expect("a goal");
}

#[tokio::test]
async fn every_event_of_a_life_fits_its_schema_and_comes_back_as_it_was() {
    let chain = Chain::new().await;
    a_life(&chain).await;
    let mut seen = BTreeSet::new();
    for entry in chain.log().await {
        let event = Event::parse(entry.envelope.as_bytes()).expect("an event");
        let json: Value = serde_json::from_str(&entry.envelope).expect("JSON");
        let event_type = event.data.event_type();
        assert_valid(&schema::of(event_type), &json);
        assert_valid(&cloud_event(), &json);
        assert_eq!(entry.topic, event_type.as_str());
        assert_eq!(json["type"], event_type.as_str());
        let again = event.to_json().expect("JSON");
        let again_json: Value = serde_json::from_str(&again).expect("JSON");
        assert_eq!(again_json, json, "a re-publish says the same");
        assert_eq!(Event::parse(again.as_bytes()), Ok(event));
        seen.insert(event_type);
    }
    let all: BTreeSet<EventType> = EventType::ALL.iter().copied().collect();
    assert_eq!(seen, all, "the life has every event of the catalogue");
}

#[tokio::test]
async fn a_change_names_every_field_that_changed() {
    let chain = Chain::new().await;
    a_life(&chain).await;
    let log = chain.log().await;
    let updated = log
        .iter()
        .find(|entry| entry.topic == EventType::TransactionUpdated.as_str())
        .expect("a change");
    let json: Value = serde_json::from_str(&updated.envelope).expect("JSON");
    let changes = json["data"]["changes"].as_object().expect("changes");
    let names: BTreeSet<&str> = changes.keys().map(String::as_str).collect();
    let expected = [
        "amount",
        "categoryId",
        "date",
        "description",
        "notes",
        "payee",
        "tags",
        "type",
        "walletId",
    ];
    assert_eq!(names, expected.into_iter().collect());
    assert_eq!(
        changes["date"],
        json!({"before": "2026-02-10", "after": "2026-02-09"})
    );
    assert_eq!(
        changes["payee"],
        json!({"before": null, "after": "Corner shop"})
    );
    assert_eq!(changes["amount"]["before"].to_string(), "85.00");
    assert_eq!(changes["amount"]["after"].to_string(), "0.10");
    assert_eq!(json["data"]["before"]["amount"].to_string(), "85.00");
    assert_eq!(json["data"]["after"]["amount"].to_string(), "0.10");
}

#[tokio::test]
async fn amounts_keep_every_digit() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let usd = Currency::parse("USD").expect("a currency");
    let amounts = [
        ("0.1", "0.10", 10),
        ("12.34", "12.34", 1_234),
        ("0.01", "0.01", 1),
        ("9999999999999.99", "9999999999999.99", 999_999_999_999_999),
    ];
    for (sent, _, _) in amounts {
        chain.spend(ada, sent, "2026-02-10").await;
    }
    let log = chain.log().await;
    assert_eq!(log.len(), amounts.len());
    for (entry, (_, digits, minor)) in log.iter().zip(amounts) {
        let number = format!("\"amount\":{digits},");
        assert!(
            entry.envelope.contains(&number),
            "{} in {}",
            number,
            entry.envelope
        );
        assert_eq!(
            amount_of(&entry.envelope).money(usd),
            Ok(Money::new(minor, usd))
        );
    }
    // Whoever else writes them may leave out zeros.
    let other = log[0]
        .envelope
        .replace("\"amount\":0.10,", "\"amount\":0.1,");
    assert_eq!(amount_of(&other).to_string(), "0.1");
    assert_eq!(amount_of(&other).money(usd), Ok(Money::new(10, usd)));
}

#[tokio::test]
async fn why_an_event_is_refused_says_nothing_of_what_is_in_it() {
    let chain = Chain::new().await;
    a_life(&chain).await;
    let log = chain.log().await;
    let booked = log
        .iter()
        .find(|entry| entry.topic == EventType::TransactionCreated.as_str())
        .expect("a booking");
    let event: Value = serde_json::from_str(&booked.envelope).expect("JSON");
    let refused = [
        ("/data/amount", json!("4711.17")),
        ("/data/currency", json!(4711.17)),
        ("/data/date", json!("4711-17-01")),
        ("/data/userId", json!("4711.17")),
        ("/data/type", json!("4711.17")),
        ("/data", json!(["4711.17"])),
        ("/id", json!(4711.17)),
    ];
    for (place, value) in refused {
        let mut other = event.clone();
        *other.pointer_mut(place).expect(place) = value;
        let error = Event::parse(other.to_string().as_bytes()).expect_err(place);
        let reason = error.to_string();
        assert!(!reason.contains("4711"), "{place}: {reason}");
        assert!(reason.len() > 30, "{place}: {reason}");
    }
}

fn amount_of(envelope: &str) -> wealth_companion::events::Amount {
    match Event::parse(envelope.as_bytes()).expect("an event").data {
        EventData::TransactionCreated(created) => created.amount,
        other => panic!("{other:?}"),
    }
}
