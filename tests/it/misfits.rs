//! What `verify` says of alerts that were to be sent: nothing while all is well, whatever came of them; and of each
//! that somebody has changed by hand, what does not fit.

use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use tempfile::TempDir;
use uuid::Uuid;
use wealth_companion::clock::Ids;
use wealth_companion::domain::notification::AlertKind;
use wealth_companion::events::catalogue;
use wealth_companion::store::audit::{Audit, Finding, Misfit, Report};
use wealth_companion::store::deliveries::{self as queue, Attempt, Claim, Outgoing};
use wealth_companion::store::entities::deliveries;
use wealth_companion::store::notifications::{self, Change};
use wealth_companion::store::trim::Trim;

use crate::support::chain::{Chain, Household};
use crate::support::stack;

const DAY: Duration = Duration::from_hours(24);
const LEASE: TimeDelta = TimeDelta::minutes(5);

/// Mail goes out by a server that nobody asks.
const MAIL: &[(&str, &str)] = &[
    ("email.smtp_url", "smtp://wealth:nobody@127.0.0.1:1"),
    ("email.from", "books@example.com"),
    ("email.public_url", "https://books.example.com"),
];

/// Somebody who is told by mail of budgets that are exceeded.
struct Story {
    chain: Chain,
    ada: Household,
}

impl Story {
    async fn begin(set: &[(&str, &str)]) -> Self {
        let story = Self::unconfirmed(set).await;
        story.confirm().await;
        story
    }

    async fn unconfirmed(set: &[(&str, &str)]) -> Self {
        let set = [MAIL, set].concat();
        let chain = Chain::on(TempDir::new().expect("a folder"), &set, 1).await;
        let ada = chain.household("ada").await;
        let story = Self { chain, ada };
        story.choose(true, true).await;
        story
    }

    /// Of budgets that are exceeded she is told so.
    async fn choose(&self, in_app: bool, email: bool) {
        let act = self.chain.act(self.ada);
        let change = Change {
            in_app: [(AlertKind::BudgetExceeded, in_app)].into(),
            email: [(AlertKind::BudgetExceeded, email)].into(),
            ..Change::default()
        };
        let unit = self.chain.store.write(move |tx| async move {
            notifications::change(&tx, act, None, change, false).await
        });
        unit.await.expect("chosen");
    }

    /// The address is hers, as if she had pressed the button.
    async fn confirm(&self) {
        let (user_id, now) = (self.ada.user_id, self.chain.clock.now());
        let unit = self.chain.store.write(move |tx| async move {
            notifications::confirm(&tx, user_id, "ada@example.com", now).await
        });
        assert!(unit.await.expect("confirmed"));
    }

    /// She is asked whether her address is hers.
    async fn ask(&self) {
        let act = self.chain.act(self.ada);
        let unit = self
            .chain
            .store
            .write(move |tx| async move { notifications::ask_to_confirm(&tx, act).await });
        unit.await.expect("written").expect("asked");
        self.chain.settle().await;
    }

    /// A budget of hers is exceeded.
    async fn exceed(&self) {
        // What is over is not sent.
        let today = self.chain.clock.now().date_naive().to_string();
        self.chain.budget(self.ada, 100).await;
        self.chain.spend(self.ada, "5.00", &today).await;
        self.chain.settle().await;
    }

    /// Takes what is due.
    async fn claim(&self) -> Claim {
        let (user_id, now, ids) = (self.ada.user_id, self.chain.clock.now(), Ids::system());
        let unit =
            move |tx| async move { queue::claim(&tx, user_id, now, LEASE, || ids.v4()).await };
        self.chain.store.write(unit).await.expect("a claim")
    }

    /// This comes of each mail that is due.
    async fn send(&self, attempt: Attempt) {
        let mut count = 0;
        while let Claim::Mail(mail) = self.claim().await {
            self.conclude(mail, attempt).await;
            count += 1;
        }
        assert_ne!(count, 0, "a mail is due");
    }

    async fn conclude(&self, mail: Outgoing, attempt: Attempt) {
        let (now, ids) = (self.chain.clock.now(), Ids::system());
        let unit =
            move |tx| async move { queue::conclude(&tx, &mail, attempt, now, || ids.v4()).await };
        assert!(self.chain.store.write(unit).await.expect("written"));
    }

    async fn rows(&self) -> Vec<deliveries::Model> {
        let rows = deliveries::Entity::find().order_by_asc(deliveries::Column::Id);
        rows.all(self.chain.store.reads())
            .await
            .expect("deliveries")
    }

    async fn report(&self) -> Report {
        let audit = Audit::new(&self.chain.store);
        let report = audit.run(false, self.chain.clock.now(), |_| {}).await;
        report.expect("it can be verified")
    }

    /// Changes the database behind everybody's back.
    async fn tamper(&self, text: &str) {
        let sql = text.to_owned();
        let unit = self
            .chain
            .store
            .write(move |tx| async move { Ok(tx.execute_unprepared(&sql).await?.rows_affected()) });
        assert_ne!(unit.await.expect(text), 0, "{text}");
    }

    fn found(&self, alert_id: Uuid, misfit: Misfit) -> Finding {
        Finding::Delivery {
            user_id: self.ada.user_id,
            alert_id,
            misfit,
        }
    }

    async fn trim(&self) {
        let consumers = [catalogue::PROJECTOR, catalogue::NOTIFIER];
        let trim = Trim::new(self.chain.config.retention.clone(), &consumers);
        let now = self.chain.clock.now();
        while trim.step(&self.chain.store, now).await.expect("trimmed") > 0 {}
    }
}

/// As a statement has it.
fn literal(id: Uuid) -> String {
    match stack::on_postgres() {
        true => format!("'{id}'"),
        false => format!("X'{}'", id.simple()),
    }
}

/// Of each outcome one: delivered, failed, suppressed, tried, and not yet tried; the last three by mail alone.
async fn outcomes(story: &Story) -> [deliveries::Model; 5] {
    let now = story.chain.clock.now();
    story.exceed().await;
    story.send(Attempt::Taken).await;
    story.exceed().await;
    story.send(Attempt::Refused("refused")).await;
    story.choose(false, true).await;
    story.exceed().await;
    story.choose(false, false).await;
    assert!(matches!(story.claim().await, Claim::Changed(_)));
    story.choose(false, true).await;
    story.exceed().await;
    let later = now + TimeDelta::minutes(1);
    story.send(Attempt::Again(later, "away")).await;
    story.exceed().await;
    let rows = story.rows().await;
    let statuses: Vec<&str> = rows.iter().map(|row| &*row.status).collect();
    let expected = ["delivered", "failed", "suppressed", "pending", "pending"];
    assert_eq!(statuses, expected);
    rows.try_into().expect("five")
}

#[tokio::test]
async fn nothing_is_said_of_what_became_of_a_question() {
    let story = Story::unconfirmed(&[]).await;
    story.ask().await;
    story.send(Attempt::Taken).await;
    story
        .chain
        .clock
        .advance(std::time::Duration::from_secs(600));
    story.ask().await;
    story.send(Attempt::Refused("refused")).await;
    let report = story.report().await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
    assert_eq!(report.deliveries, 2);
}

#[tokio::test]
async fn each_change_by_hand_is_named() {
    let story = Story::begin(&[]).await;
    let [delivered, failed, suppressed, tried, waiting] = outcomes(&story).await;
    let report = story.report().await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
    assert_eq!(report.deliveries, 5);
    let of_event = "type = 'notification.alert.sent' AND envelope LIKE '%\"email\"%'";
    let said = format!("{of_event} AND envelope LIKE '%{}%'", delivered.alert_id);
    let again = format!(
        "INSERT INTO event_log (event_id, type, user_id, envelope, created_at) \
         SELECT {}, type, user_id, envelope, created_at FROM event_log WHERE {said}",
        literal(Uuid::nil())
    );
    let once = format!(
        "DELETE FROM event_log WHERE event_id = {}",
        literal(Uuid::nil())
    );
    let (unsaid, said_again) = (
        format!("UPDATE event_log SET type = 'none' WHERE {said}"),
        format!(
            "UPDATE event_log SET type = 'notification.alert.sent' WHERE {}",
            said.replace("'notification.alert.sent'", "'none'")
        ),
    );
    let set = |row: &deliveries::Model, set: &str| {
        format!("UPDATE deliveries SET {set} WHERE id = {}", literal(row.id))
    };
    let as_suppressed = format!("source_event_id = {}", literal(suppressed.source_event_id));
    let as_before = format!("source_event_id = {}", literal(waiting.source_event_id));
    let elsewhere = format!("source_event_id = {}", literal(delivered.source_event_id));
    let shown = |historic: bool| {
        let id = literal(delivered.alert_id);
        format!("UPDATE alerts SET historic = {historic} WHERE id = {id}")
    };
    for (row, misfit, tampered, undone) in [
        (
            &delivered,
            Misfit::End,
            set(&delivered, "finished_at = NULL"),
            set(&delivered, "finished_at = created_at"),
        ),
        (
            &waiting,
            Misfit::End,
            set(&waiting, "finished_at = created_at"),
            set(&waiting, "finished_at = NULL"),
        ),
        (
            &failed,
            Misfit::End,
            set(&failed, "last_cause = NULL"),
            set(&failed, "last_cause = 'refused'"),
        ),
        (
            &tried,
            Misfit::Attempts,
            set(&tried, "mail_id = NULL"),
            set(&tried, "mail_id = id"),
        ),
        (
            &waiting,
            Misfit::Attempts,
            set(&waiting, "mail_id = id"),
            set(&waiting, "mail_id = NULL"),
        ),
        (
            &delivered,
            Misfit::Attempts,
            set(&delivered, "mail_id = NULL, attempts = 0"),
            set(&delivered, "mail_id = id, attempts = 1"),
        ),
        (
            &delivered,
            Misfit::Alert,
            set(&delivered, "kind = 'anomaly'"),
            set(&delivered, "kind = 'budget_exceeded'"),
        ),
        (&delivered, Misfit::Alert, shown(true), shown(false)),
        (
            &waiting,
            Misfit::Alert,
            set(&waiting, &as_suppressed),
            set(&waiting, &as_before),
        ),
        (
            &waiting,
            Misfit::Alert,
            set(&waiting, &elsewhere),
            set(&waiting, &as_before),
        ),
        (
            &delivered,
            Misfit::Said,
            set(&delivered, "status = 'failed', last_cause = 'refused'"),
            set(&delivered, "status = 'delivered', last_cause = NULL"),
        ),
        (
            &delivered,
            Misfit::Said,
            set(&delivered, "status = 'suppressed'"),
            set(&delivered, "status = 'delivered'"),
        ),
        (
            &tried,
            Misfit::Said,
            set(&tried, "status = 'delivered', finished_at = created_at"),
            set(&tried, "status = 'pending', finished_at = NULL"),
        ),
        (&delivered, Misfit::Said, again, once),
        (&delivered, Misfit::Said, unsaid, said_again),
    ] {
        story.tamper(&tampered).await;
        let found = story.report().await.findings;
        assert_eq!(found, [story.found(row.alert_id, misfit)], "{tampered}");
        assert!(!found[0].can_repair());
        let told = found[0].to_string();
        assert!(told.contains(&row.alert_id.to_string()), "{told}");
        story.tamper(&undone).await;
        assert_eq!(story.report().await.findings, [], "{undone}");
    }
    let id = literal(failed.id);
    let gone = format!("DELETE FROM deliveries WHERE id = {id}");
    story.tamper(&gone).await;
    let id = literal(delivered.alert_id);
    let hidden = format!("DELETE FROM alerts WHERE id = {id}");
    story.tamper(&hidden).await;
    let found = [
        story.found(failed.alert_id, Misfit::SaidOfNothing),
        story.found(delivered.alert_id, Misfit::NotShown),
    ];
    assert_eq!(story.report().await.findings, found);
}

#[tokio::test]
async fn what_is_gone_because_it_is_old_is_not_missed() {
    let kept_longer: &[(&str, &str)] =
        &[("retention.log_days", "60"), ("retention.inbox_days", "61")];
    for set in [&[][..], kept_longer] {
        let story = Story::begin(set).await;
        outcomes(&story).await;
        for days in [1, 6, 1, 1, 20, 2, 30] {
            story.chain.clock.advance(days * DAY);
            // What waited is too late by now, and more is said.
            while story.claim().await != Claim::Nothing {}
            story.exceed().await;
            story.send(Attempt::Taken).await;
            for _ in 0..2 {
                let report = story.report().await;
                assert!(report.is_clean() && report.is_complete(), "{report:?}");
                story.trim().await;
            }
        }
        // What cannot be gone is missed all the same.
        let last = story.rows().await.pop().expect("a delivery");
        let text = format!(
            "DELETE FROM event_log WHERE envelope LIKE '%\"email\"%' AND envelope LIKE '%{}%'",
            last.alert_id
        );
        story.tamper(&text).await;
        let found = [story.found(last.alert_id, Misfit::Said)];
        assert_eq!(story.report().await.findings, found);
    }
}

#[tokio::test]
async fn a_crossing_of_which_one_did_not_want_to_be_told_is_not_missed() {
    let story = Story::begin(&[]).await;
    story.choose(false, false).await;
    story.exceed().await;
    let report = story.report().await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
    assert_eq!((report.crossings, report.deliveries), (2, 0));
}
