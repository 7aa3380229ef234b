//! `events replay`: what was handled stays as it is, what was lost on the way is handled, and no sum
//! can be made wrong.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use serde_json::json;
use wealth_companion::app::Role;
use wealth_companion::clock::Ids;
use wealth_companion::operator::HearingRole;
use wealth_companion::operator::moment::Moment;
use wealth_companion::operator::replay::{Replay, Replayed, Replayer};
use wealth_companion::store::audit::{Audit, Report};

use crate::support::kafka::Kafka;
use crate::support::recount::recount_of;
use crate::support::{Chain, stack, until};

async fn audit(chain: &Chain) -> Report {
    let audit = Audit::new(&chain.store);
    audit
        .run(false, chain.clock.now(), |_| {})
        .await
        .expect("it counts")
}

/// Changes the database behind everybody's back.
async fn tamper(kafka: &Kafka, text: &str) {
    let db = stack::connect(&kafka.config().database_url()).await;
    db.execute_unprepared(text).await.expect(text);
}

async fn replay(kafka: &Kafka, chain: &Chain, role: HearingRole) -> Replayed {
    let (store, clock) = (chain.store.clone(), chain.clock.clone());
    let replayer = Replayer::new(store, clock, Ids::system(), &kafka.config());
    let replay = Replay {
        role,
        from: Moment::Beginning,
        until: None,
        dry_run: false,
    };
    replayer.run(&replay, |_, _| {}).await.expect("replayed")
}

/// Two people with a budget and bookings; everything is handled.
async fn books(kafka: &Kafka) -> Chain {
    let chain = kafka.chain().await;
    for name in ["ada", "ben"] {
        let household = chain.household(name).await;
        chain.budget(household, 10_000).await;
        for _ in 0..6 {
            chain.spend(household, "20.00", "2026-11-10").await;
        }
    }
    let roles = kafka.start(&[Role::Projector, Role::Notifier]).await;
    until("all is handled", || async {
        let recount = recount_of(&chain.store).await;
        recount.differences.is_empty() && recount.alerts == 4
    })
    .await;
    until("all is published", || async {
        kafka.run(&["events", "lag", "--max", "0"]).await.code == Some(0)
    })
    .await;
    roles.stop().await;
    chain
}

#[tokio::test]
async fn a_replay_of_what_was_handled_changes_nothing_however_often() {
    let kafka = Kafka::new().await;
    let chain = books(&kafka).await;
    let before = recount_of(&chain.store).await.agrees();
    for _ in 0..2 {
        for (role, read) in [("projector", 12), ("notifier", 4)] {
            let args = ["events", "replay", "--role", role, "--from", "beginning"];
            let told = kafka.run(&args).await.ended(0);
            told.with(&format!(
                "{read} records read: 0 were handled now, {read} had been handled before"
            ));
        }
    }
    let after = recount_of(&chain.store).await.agrees();
    assert_eq!((after.events, after.alerts), (before.events, before.alerts));
    kafka.run(&["verify"]).await.ended(0).with("0 differences");
    // The groups are where they were.
    kafka.run(&["events", "lag", "--max", "0"]).await.ended(0);
}

#[tokio::test]
async fn what_was_lost_on_the_way_is_handled() {
    let kafka = Kafka::new().await;
    let chain = kafka.quiet_chain().await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    for _ in 0..6 {
        chain.spend(ada, "20.00", "2026-11-10").await;
    }
    kafka.publish_again(&chain.log().await).await;
    let from = ["events", "replay", "--role", "projector", "--from", "-1h"];
    let dry = kafka
        .run(&[&from[..], &["--dry-run"]].concat())
        .await
        .ended(0);
    dry.with("6 records read: 6 would be handed over, 0 had been handled before");
    assert!(!audit(&chain).await.is_complete(), "nothing was done");
    let until_then = [&from[..], &["--until", "-30m", "--json"]].concat();
    let none = kafka.run(&until_then).await.ended(0).json();
    assert_eq!(
        (&none["replayed"]["read"], &none["replayed"]["handled"]),
        (&json!(6), &json!(0))
    );

    let done = kafka
        .run(&[&from[..], &["--json"]].concat())
        .await
        .ended(0)
        .json();
    assert_eq!(
        (&done["replayed"]["handled"], &done["replayed"]["refused"]),
        (&json!(6), &json!(0))
    );
    // What follows from it goes the ordinary way.
    let roles = kafka.start(&[Role::Notifier]).await;
    until("the alerts are there", || async {
        let recount = recount_of(&chain.store).await;
        recount.differences.is_empty() && recount.alerts == 2
    })
    .await;
    roles.stop().await;
}

#[tokio::test]
async fn what_the_inbox_may_have_forgotten_is_passed_over() {
    let kafka = Kafka::new().await;
    let chain = books(&kafka).await;
    // Nine days later the housekeeping has been here.
    tamper(&kafka, "DELETE FROM inbox").await;
    chain.clock.advance(Duration::from_secs(9 * 86_400));
    let done = replay(&kafka, &chain, HearingRole::Projector).await;
    assert_eq!((done.read, done.too_old, done.handled), (12, 12, 0));
    let done = replay(&kafka, &chain, HearingRole::Notifier).await;
    assert_eq!((done.read, done.too_old, done.handled), (4, 4, 0));
}

#[tokio::test]
async fn what_is_not_in_this_log_is_passed_over() {
    let kafka = Kafka::new().await;
    let chain = books(&kafka).await;
    // A database that was restored knows nothing of these bookings.
    tamper(
        &kafka,
        "DELETE FROM inbox; DELETE FROM event_log; DELETE FROM transactions; \
         DELETE FROM monthly_totals; DELETE FROM daily_spending; DELETE FROM budget_periods; \
         UPDATE wallets SET balance_minor = opening_balance_minor",
    )
    .await;
    let done = replay(&kafka, &chain, HearingRole::Projector).await;
    assert_eq!((done.read, done.not_in_log, done.handled), (12, 12, 0));
    assert!(audit(&chain).await.is_clean());
}

#[tokio::test]
async fn sums_that_are_gone_are_built_anew_whatever_is_on_its_way() {
    let kafka = Kafka::new().await;
    let chain = books(&kafka).await;
    // Some are on their way, one is a dead letter, and the sums are lost.
    let cleo = chain.household("cleo").await;
    for _ in 0..3 {
        chain.spend(cleo, "5.00", "2026-11-10").await;
    }
    tamper(
        &kafka,
        "DELETE FROM monthly_totals WHERE amount_minor > 0; UPDATE daily_spending SET amount_minor = 1; \
         DELETE FROM budget_periods; \
         INSERT INTO dead_letters (id, consumer, topic, event_id, payload, reason, created_at) \
         SELECT gen_random_uuid(), 'projector', type, event_id, envelope, 'a test', created_at \
         FROM event_log WHERE type = 'finance.transaction.created' ORDER BY position DESC LIMIT 1",
    )
    .await;
    let rebuild = ["events", "replay", "--role", "projector", "--rebuild"];
    let told = kafka.run(&rebuild).await.ended(0);
    told.with("the sums of 3 users were counted anew");
    let report = audit(&chain).await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
    kafka
        .run(&["dlq", "list"])
        .await
        .ended(0)
        .with("0 dead letters");

    // What was on its way arrives, everything is handed over once more, and adds nothing.
    kafka.publish(&chain).await;
    let all = [&rebuild[..], &["--from", "beginning", "--json"]].concat();
    let done = kafka.run(&all).await.ended(0).json();
    assert_eq!(done["users_rebuilt"], 3);
    assert_eq!(
        (
            &done["replayed"]["handled"],
            &done["replayed"]["handled_before"]
        ),
        (&json!(0), &json!(15))
    );
    let projector = kafka.start(&[Role::Projector]).await;
    until("all is read", || async {
        kafka.run(&["events", "lag", "--max", "0"]).await.code == Some(0)
    })
    .await;
    projector.stop().await;
    kafka.run(&["verify"]).await.ended(0).with("0 differences");
    recount_of(&chain.store).await.agrees();
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let kafka = Kafka::new().await;
    for (args, words) in [
        (&["--role", "projector"][..], "--from <MOMENT>"),
        (&["--role", "projector", "--from", "soon"], "-30m"),
        (
            &["--role", "api", "--from", "-1h"],
            "possible values: projector, notifier",
        ),
        (
            &["--role", "notifier", "--rebuild"],
            "--rebuild is for the projector",
        ),
        (
            &["--role", "projector", "--rebuild", "--dry-run"],
            "cannot be used with",
        ),
        (
            &["--role", "projector", "--from", "-1h", "--until", "-2h"],
            "--until is not after --from",
        ),
    ] {
        let args = [&["events", "replay"], args].concat();
        kafka.run(&args).await.ended(2).refused(words);
    }
    let moment: DateTime<Utc> = "2026-02-10T12:00:00Z".parse().expect("a moment");
    assert_eq!(Moment::At(moment).at(moment), Some(moment));
}
