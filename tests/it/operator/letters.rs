//! `dlq`: letters of either bus are listed, shown, re-driven and discarded; each works once.

use std::path::Path;
use std::process::Command;

use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use wealth_companion::bus::Delivery;
use wealth_companion::events::EventType;
use wealth_companion::store::audit::Audit;
use wealth_companion::store::event_log::LogEntry;

use crate::support::chain::{Household, day};
use crate::support::kafka::{Kafka, Said};
use crate::support::recount::recount_of;
use crate::support::{Chain, stack};

/// The real binary on the database of a chain.
fn run(chain: &Chain, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
    command.env_clear().args(args);
    let url = chain.config.database_url();
    for (key, value) in [
        ("data_dir", chain.data_dir.path().to_str().expect("UTF-8")),
        ("database.url", &url),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
    ] {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    Said::of(&command.output().expect("it runs"))
}

/// An event that the projector cannot take, and its letter.
async fn refused(chain: &Chain, ada: Household) -> (Uuid, LogEntry) {
    chain.spend(ada, "10.00", "2026-02-10").await;
    let entry = chain.log().await.pop().expect("an event");
    // The sum would leave the range of amounts: the database refuses it as long as it is full.
    fill(chain, ada, 4_000_000_000_000_000_000).await;
    take(chain, &entry).await;
    let letters = chain.letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    (letters[0].id, entry)
}

async fn take(chain: &Chain, entry: &LogEntry) {
    let delivery = Delivery {
        topic: entry.topic.clone(),
        payload: entry.envelope.clone().into_bytes(),
        position: None,
    };
    chain.projector.take(vec![delivery]).await.expect("taken");
}

/// A sum that is full, or what it should be.
async fn fill(chain: &Chain, ada: Household, minor: i64) {
    let db = stack::connect(&chain.config.database_url()).await;
    let text = "INSERT INTO daily_spending (user_id, currency, date, category_id, amount_minor) \
         VALUES ($1, 'USD', $2, $3, $4) ON CONFLICT (user_id, currency, date, category_id) \
         DO UPDATE SET amount_minor = $4";
    let values = [
        ada.user_id.into(),
        day("2026-02-10").into(),
        ada.category_id.into(),
        minor.into(),
    ];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), text, values);
    db.execute_raw(statement).await.expect("filled");
}

async fn differences(chain: &Chain) -> u64 {
    let audit = Audit::new(&chain.store);
    let report = audit.run(false, chain.clock.now(), |_| {}).await;
    report.expect("it counts").found
}

#[tokio::test]
async fn a_letter_is_listed_shown_and_redriven_once() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let (id, entry) = refused(&chain, ada).await;
    let id_text = id.to_string();
    let listed = run(&chain, &["dlq", "list"])
        .ended(0)
        .with("1 dead letters");
    assert!(listed.text.contains(&id_text) && listed.text.contains("range of amounts"));
    assert!(
        !listed.text.contains(&ada.user_id.to_string()),
        "nothing of what it says: {listed:?}"
    );
    let json = run(&chain, &["dlq", "list", "--json"]).ended(0).json();
    assert_eq!(
        (&json["total"], &json["letters"][0]["id"]),
        (&json!(1), &json!(id))
    );
    assert_eq!(json["letters"][0]["topic"], "finance.transaction.created");
    assert!(json["letters"][0].get("payload").is_none());
    let shown = run(&chain, &["dlq", "show", &id_text, "--json"])
        .ended(0)
        .json();
    let said: Value = serde_json::from_str(&entry.envelope).expect("JSON");
    assert_eq!(shown["payload"]["data"], said["data"]);
    run(&chain, &["dlq", "show", &id_text])
        .ended(0)
        .with(&ada.user_id.to_string());
    let other = run(&chain, &["dlq", "list", "--topic", "ai.insight.generated"]);
    other.ended(0).with("0 dead letters");

    // The cause is still there: refused again, and a letter as before.
    let again = run(&chain, &["dlq", "redrive", &id_text]).ended(1);
    again
        .with("0 done, 1 refused again")
        .with("range of amounts");
    assert_eq!(chain.letters().await[0].id, id);

    fill(&chain, ada, 0).await;
    let done = run(&chain, &["dlq", "redrive", &id_text, "--json"])
        .ended(0)
        .json();
    assert_eq!((&done["done"], &done["refused"]), (&json!(1), &json!(0)));
    assert!(chain.letters().await.is_empty());
    assert_eq!(differences(&chain).await, 0, "it is counted");

    // Once more, by whichever way: nothing.
    let gone = run(&chain, &["dlq", "redrive", &id_text]).ended(2);
    gone.refused("there is no dead letter").refused("dlq list");
    take(&chain, &entry).await;
    chain.settle().await;
    assert_eq!(differences(&chain).await, 0);
    recount_of(&chain.store).await.agrees();
}

#[tokio::test]
async fn all_letters_are_redriven_and_those_that_cannot_be_read_stay() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let (_, entry) = refused(&chain, ada).await;
    let torn = Delivery {
        topic: entry.topic.clone(),
        payload: b"{\"specversion\": \xff".to_vec(),
        position: None,
    };
    chain.projector.take(vec![torn]).await.expect("taken");
    fill(&chain, ada, 0).await;
    let done = run(&chain, &["dlq", "redrive", "--all"]).ended(1);
    done.with("1 done, 1 refused again")
        .with("not a CloudEvent");
    let left = chain.letters().await;
    assert_eq!(left.len(), 1, "no second one of the same: {left:?}");
    assert_eq!(differences(&chain).await, 0);
    let none = run(
        &chain,
        &["dlq", "redrive", "--all", "--topic", "ai.insight.generated"],
    );
    none.ended(0).with("0 done, 0 refused again");
}

#[tokio::test]
async fn what_is_discarded_has_no_effect_and_does_not_come_back() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let (id, entry) = refused(&chain, ada).await;
    run(&chain, &["dlq", "discard", &id.to_string()])
        .ended(0)
        .with("1 discarded");
    assert!(chain.letters().await.is_empty());
    // Refused again, and again no letter; taken, and no effect.
    take(&chain, &entry).await;
    assert!(chain.letters().await.is_empty());
    fill(&chain, ada, 0).await;
    take(&chain, &entry).await;
    chain.settle().await;
    assert!(differences(&chain).await > 0, "it is not counted");
    let repaired = run(&chain, &["verify", "--repair"]).ended(0);
    repaired.with("0 users with events in flight");
}

#[tokio::test]
async fn a_repair_counts_what_was_refused_so_that_nothing_counts_it_again() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let (_, entry) = refused(&chain, ada).await;
    fill(&chain, ada, 0).await;
    run(&chain, &["verify"]).ended(1);
    run(&chain, &["verify", "--repair"]).ended(0);
    assert!(
        chain.letters().await.is_empty(),
        "there is nothing left to decide"
    );
    run(&chain, &["dlq", "redrive", "--all"])
        .ended(0)
        .with("0 done");
    take(&chain, &entry).await;
    chain.settle().await;
    assert_eq!(differences(&chain).await, 0);
}

#[tokio::test]
async fn letters_that_only_the_topic_has_are_taken_in_once() {
    let kafka = Kafka::new().await;
    let chain = kafka.quiet_chain().await;
    let ada = chain.household("ada").await;
    for _ in 0..3 {
        chain.spend(ada, "10.00", "2026-11-10").await;
    }
    let log = chain.log().await;
    // Given up by a sidecar: the event as it was, and nothing of ours around it.
    let topic = kafka.letters(EventType::TransactionCreated);
    let key = ada.user_id.to_string();
    for entry in &log {
        kafka
            .write(
                &topic,
                Some(key.as_bytes()),
                Some(entry.envelope.as_bytes()),
            )
            .await;
    }
    kafka.write(&topic, None, Some(b"\xff no event")).await;
    kafka.write(&topic, None, None).await;
    // One was handled by somebody meanwhile.
    take(&chain, &log[0]).await;
    let listed = kafka.run(&["dlq", "list", "--json"]).await.ended(0).json();
    assert_eq!(listed["total"], 3, "{listed}");
    let reasons: Vec<&Value> = listed["letters"]
        .as_array()
        .expect("letters")
        .iter()
        .map(|it| &it["reason"])
        .collect();
    assert!(
        reasons.iter().all(|it| it
            .as_str()
            .is_some_and(|it| it.contains("no reason came with it"))),
        "{reasons:?}"
    );
    let none = kafka.run(&["dlq", "import"]).await.ended(0);
    none.with("0 records read, 0 new");

    let done = kafka.run(&["dlq", "redrive", "--all"]).await.ended(1);
    done.with("2 done, 1 refused again");
    let junk = chain.letters().await;
    assert_eq!(junk.len(), 1);
    let reason = junk[0].reason.as_deref().unwrap_or_default();
    assert!(reason.contains("JSON"), "the newest reason: {reason}");
    let id = junk[0].id.to_string();
    kafka
        .run(&["dlq", "discard", &id, &id])
        .await
        .ended(0)
        .with("1 discarded");
    // The same again on the topic: done with, all of them.
    for entry in &log {
        kafka
            .write(
                &topic,
                Some(key.as_bytes()),
                Some(entry.envelope.as_bytes()),
            )
            .await;
    }
    kafka.write(&topic, None, Some(b"\xff no event")).await;
    let again = kafka
        .run(&["dlq", "import", "--json"])
        .await
        .ended(0)
        .json();
    assert_eq!((&again["read"], &again["new"]), (&json!(4), &json!(0)));
    recount_of(&chain.store).await.agrees();
}

#[tokio::test]
async fn a_list_is_good_without_brokers() {
    let nobody = [
        ("kafka.brokers", "127.0.0.1:1"),
        ("kafka.timeout_ms", "300"),
    ];
    let kafka = Kafka::without_topics(&nobody);
    let listed = kafka
        .run(&["dlq", "list"])
        .await
        .ended(0)
        .with("0 dead letters");
    assert!(
        listed.errors.contains("kafka.brokers: nobody answers"),
        "{listed:?}"
    );
    let quiet = kafka.run(&["dlq", "list", "--no-import"]).await.ended(0);
    assert_eq!(quiet.errors, "");
    kafka
        .run(&["dlq", "import"])
        .await
        .ended(2)
        .refused("kafka.brokers: nobody answers");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let run = |args: &[&str]| run_in(folder.path(), args);
    run(&["dlq", "list"])
        .ended(2)
        .refused("there is no database");
    run(&["dlq", "show", "7"])
        .ended(2)
        .refused("invalid value '7' for '<ID>'");
    for typo in [
        &["dlq", "list", "--topic", "nope"],
        &["dlq", "list", "--consumer", "nope"],
    ] {
        run(typo).ended(2).refused("possible values: ");
    }
    run(&["dlq", "redrive"]).ended(2).refused("--all");
    run(&["dlq", "discard"]).ended(2).refused("<ID>");
    let id = Uuid::from_u128(7).to_string();
    run(&["dlq", "redrive", &id, "--all"])
        .ended(2)
        .refused("cannot be used with");
    let help = run(&["dlq", "--help"]).ended(0);
    help.with("Examples:").with("dlq redrive --all --topic");
    run(&["events", "replay", "--help"])
        .ended(0)
        .with("--rebuild")
        .with("Examples:");
}

fn run_in(folder: &Path, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
    command.env_clear().current_dir(folder).args(args);
    Said::of(&command.output().expect("it runs"))
}
