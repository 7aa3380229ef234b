//! Alerts by mail: what was chosen comes, by a real mail server, once it is time; what cannot be sent is tried again,
//! and in the end somebody says what became of it.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::crash;
use wealth_companion::domain::notification::{AlertKind, Digest, Hour, Minute, QuietHours};
use wealth_companion::links::Links;
use wealth_companion::mail::Mailer;
use wealth_companion::notifier::mail::{LEASE, Post, Round};
use wealth_companion::store::deliveries::{self as queue, Attempt, Claim};
use wealth_companion::store::entities::deliveries;
use wealth_companion::store::notifications::{self, Change, Notifications};
use wealth_companion::store::trim::Trim;
use wealth_companion::store::{PageRequest, Store, alerts, erasure, event_log};

use crate::support::chain::{Chain, Household};
use crate::support::mailbox::{self, Letter, PUBLIC_URL, borrowed, came_for};
use crate::support::{Parts, Process, Stack, until};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Somebody who is told by mail of budgets that are exceeded, and who sends it.
struct Story {
    chain: Chain,
    post: Post,
    ada: Household,
    address: String,
}

/// Who sends by the mail server of these settings.
fn post(store: &Store, clock: &Clock, set: &[(&str, &str)]) -> Post {
    let config = crate::support::config_with(set);
    let mailer = Mailer::new(&config.email).expect("a mailer");
    let mailer = mailer.expect("a server is named").with_clock(clock.clone());
    let keys = crate::support::config_with(&[("auth.jwt_secret_key", KEY)]);
    let links = Links::new(&keys.auth.signing_keys);
    let (store, clock, ids) = (store.clone(), clock.clone(), Ids::system());
    Post::new(store, clock, ids, mailer, links, PUBLIC_URL.to_owned())
}

const KEY: &str = "only-for-links-of-tests-0123456789abcdef";

/// By mail: budgets that are exceeded.
fn by_mail() -> Change {
    Change {
        email: [(AlertKind::BudgetExceeded, true)].into(),
        ..Change::default()
    }
}

fn minute(text: &str) -> Minute {
    Minute::parse(text).expect("a time")
}

impl Story {
    async fn begin(like: &str) -> Self {
        Self::by(Stack::get(), like).await
    }

    /// By the mail server of these parts.
    async fn by(stack: &Stack, like: &str) -> Self {
        let settings = mailbox::settings(stack);
        Self::with(&borrowed(&settings), like).await
    }

    async fn with(set: &[(&str, &str)], like: &str) -> Self {
        let chain = Chain::on(TempDir::new().expect("a folder"), set, 1).await;
        let name = mailbox::name(like);
        let ada = chain.household(&name).await;
        let story = Self {
            post: post(&chain.store, &chain.clock, set),
            address: format!("{name}@example.com"),
            chain,
            ada,
        };
        story.choose(by_mail()).await;
        story
    }

    async fn choose(&self, change: Change) -> Notifications {
        let (user_id, now) = (self.ada.user_id, self.chain.clock.now());
        let unit = self.chain.store.write(move |tx| async move {
            notifications::change(&tx, user_id, None, change, now).await
        });
        unit.await.expect("chosen")
    }

    async fn chosen(&self) -> Notifications {
        let chosen = notifications::get(self.chain.store.reads(), self.ada.user_id);
        chosen.await.expect("choices")
    }

    /// A budget of hers is exceeded, which she is told of.
    async fn exceed(&self) {
        exceed(&self.chain, self.ada).await;
    }

    async fn round(&self) -> Round {
        self.post
            .round(&CancellationToken::new())
            .await
            .expect("a round")
    }

    fn letters(&self) -> Vec<Letter> {
        came_for(Stack::get(), &self.address)
    }

    async fn rows(&self) -> Vec<deliveries::Model> {
        rows(&self.chain.store).await
    }

    async fn statuses(&self) -> Vec<String> {
        let rows = self.rows().await;
        rows.into_iter().map(|row| row.status).collect()
    }

    /// Kinds of the alerts that are shown in the application, newest first.
    async fn shown(&self) -> Vec<String> {
        let page = PageRequest::first(200);
        let list = alerts::list(self.chain.store.reads(), self.ada.user_id, false, page);
        let list = list.await.expect("alerts").items;
        list.into_iter().map(|alert| alert.kind).collect()
    }

    /// What was said of mails, oldest first.
    async fn said(&self) -> Vec<Value> {
        let log = self.chain.log().await;
        let events = log
            .iter()
            .map(|entry| serde_json::from_str::<Value>(&entry.envelope));
        let events = events.map(|event| event.expect("JSON"));
        let of_mails = |event: &Value| event["data"]["channel"] == "email";
        events.filter(of_mails).collect()
    }
}

async fn exceed(chain: &Chain, who: Household) {
    chain.budget(who, 100).await;
    chain.spend(who, "5.00", "2026-02-10").await;
    chain.settle().await;
}

async fn rows(store: &Store) -> Vec<deliveries::Model> {
    let rows = deliveries::Entity::find().order_by_asc(deliveries::Column::Id);
    rows.all(store.reads()).await.expect("deliveries")
}

#[tokio::test]
async fn an_alert_becomes_a_mail() {
    let story = Story::begin("ada").await;
    story.exceed().await;
    let shown = story.shown().await;
    assert_eq!(shown, ["budget_exceeded", "budget_warning"]);
    assert_eq!(story.statuses().await, ["pending"], "the warning is not");
    assert!(story.letters().is_empty());
    assert_eq!(story.round().await.sent, 1);

    let [letter] = &story.letters()[..] else {
        panic!("{:?}", story.letters());
    };
    let row = story.rows().await.remove(0);
    assert_eq!(letter.headers["subject"], "Food: 100 % reached");
    let id = format!("<{}@example.com>", row.id);
    assert_eq!(letter.headers["message-id"], id);
    assert!(
        letter.text.contains("5.00 of 1.00 USD is spent"),
        "{letter:?}"
    );
    let link = &letter.headers["list-unsubscribe"];
    let link = link.trim_matches(['<', '>']);
    assert!(letter.text.contains(link), "{letter:?}");
    let token = link.strip_prefix("https://books.example.com/v1/unsubscribe?token=");
    let keys = crate::support::config_with(&[("auth.jwt_secret_key", KEY)]);
    let links = Links::new(&keys.auth.signing_keys);
    assert_eq!(
        links.whose(token.expect("a token")),
        Some(story.ada.user_id)
    );

    assert_eq!(row.status, "delivered");
    assert!(row.finished_at.is_some());
    let [said] = &story.said().await[..] else {
        panic!("said once");
    };
    assert_eq!(said["type"], "notification.alert.sent");
    assert_eq!(said["data"]["status"], "delivered");
    assert_eq!(said["data"]["alertId"], row.alert_id.to_string());
    assert_eq!(said["causationid"], row.source_event_id.to_string());
    assert_eq!(said["correlationid"], row.correlation_id.to_string());
    // Once.
    story.chain.clock.advance(DAY);
    assert_eq!(story.round().await, Round::default());
    assert_eq!(story.letters().len(), 1);
}

#[tokio::test]
async fn of_each_kind_one_is_told_as_one_has_chosen() {
    let mut story = Story::begin("ada").await;
    let of_exceeded = |in_app, email| Change {
        in_app: [(AlertKind::BudgetExceeded, in_app)].into(),
        email: [(AlertKind::BudgetExceeded, email)].into(),
        ..Change::default()
    };
    story.choose(of_exceeded(true, false)).await;
    story.exceed().await;
    assert_eq!(story.rows().await, []);
    assert_eq!(story.shown().await.len(), 2);
    // By mail alone.
    story.choose(of_exceeded(false, true)).await;
    story.exceed().await;
    let shown = story.shown().await;
    assert_eq!(shown[0], "budget_warning");
    assert_eq!(shown.len(), 3);
    assert_eq!(story.round().await.sent, 1);
    // Not at all: what came of it is that nobody was told.
    story.choose(of_exceeded(false, false)).await;
    story.exceed().await;
    assert_eq!(story.shown().await.len(), 4);
    assert_eq!(story.rows().await.len(), 1);
    // It does not come when it is told again, whatever was chosen since.
    story.choose(of_exceeded(true, true)).await;
    story.chain.forget();
    let mut exceeded = story.chain.log().await;
    exceeded.retain(|entry| entry.topic == "finance.budget.exceeded");
    assert_eq!(exceeded.len(), 3);
    let again = story.chain.notifier.take(Chain::deliveries(&exceeded));
    again.await.expect("handled");
    assert_eq!(story.shown().await.len(), 4);
    assert_eq!(story.rows().await.len(), 1);
    assert_eq!(story.letters().len(), 1);
}

#[tokio::test]
async fn quiet_hours_hold_mail_back_and_nothing_else() {
    let story = Story::begin("ada").await;
    let quiet = QuietHours::new(minute("11:30"), minute("13:00")).expect("hours");
    let hours = Change {
        quiet_hours: Some(Some(quiet)),
        ..Change::default()
    };
    story.choose(hours).await;
    story.exceed().await;
    assert_eq!(story.shown().await.len(), 2);
    assert_eq!(story.round().await, Round::default());
    story.chain.clock.advance(HOUR - Duration::from_micros(1));
    assert_eq!(story.round().await.sent, 0);
    story.chain.clock.advance(Duration::from_micros(1));
    assert_eq!(story.round().await.sent, 1);
    // Those that begin while a mail waits hold it back as well.
    story.exceed().await;
    let later = QuietHours::new(minute("12:59"), minute("14:30")).expect("hours");
    let hours = Change {
        quiet_hours: Some(Some(later)),
        ..Change::default()
    };
    story.choose(hours).await;
    assert_eq!(story.round().await.sent, 0);
    let row = story.rows().await.remove(1);
    assert_eq!(
        row.next_at,
        story.chain.clock.now() + TimeDelta::minutes(90)
    );
    story.chain.clock.advance(90 * MINUTE);
    assert_eq!(story.round().await.sent, 1);
    assert_eq!(story.letters().len(), 2);
}

#[tokio::test]
async fn a_digest_is_one_mail() {
    let story = Story::begin("ada").await;
    let daily = Change {
        digest: Some(Digest::Daily),
        digest_hour: Hour::parse("18:00").ok(),
        email: [(AlertKind::BudgetWarning, true)].into(),
        ..Change::default()
    };
    story.choose(daily).await;
    for _ in 0..3 {
        story.exceed().await;
        story.chain.clock.advance(HOUR);
    }
    assert_eq!(story.round().await.sent, 0);
    assert!(story.letters().is_empty());
    story.chain.clock.advance(3 * HOUR);
    assert_eq!(story.round().await.sent, 1);
    let [letter] = &story.letters()[..] else {
        panic!("{:?}", story.letters());
    };
    assert_eq!(letter.headers["subject"], "6 alerts");
    assert_eq!(letter.text.matches("80 % of Food is spent").count(), 3);
    assert_eq!(letter.text.matches("Food: 100 % reached").count(), 3);
    assert_eq!(story.statuses().await, ["delivered"; 6]);
    let said = story.said().await;
    let delivered = said.iter().filter(|it| it["data"]["status"] == "delivered");
    assert_eq!(delivered.count(), 6);
    // What comes after its hour is for the next day.
    story.chain.clock.advance(MINUTE);
    story.exceed().await;
    assert_eq!(story.round().await.sent, 0);
    story.chain.clock.advance(DAY - MINUTE);
    assert_eq!(story.round().await.sent, 1);
    assert_eq!(story.letters().len(), 2);
}

#[tokio::test]
async fn what_is_turned_off_while_it_waits_is_not_sent() {
    let story = Story::begin("ada").await;
    story.exceed().await;
    let off = Change {
        email: [(AlertKind::BudgetExceeded, false)].into(),
        ..Change::default()
    };
    story.choose(off).await;
    assert_eq!(story.round().await, Round::default());
    assert_eq!(story.statuses().await, ["suppressed"]);
    assert!(story.said().await.is_empty(), "nobody has tried");
    story.choose(by_mail()).await;
    story.chain.clock.advance(DAY);
    assert_eq!(story.round().await.sent, 0);
    assert!(story.letters().is_empty());
}

#[tokio::test]
async fn while_the_mail_server_is_away_mail_waits_and_then_comes_once() {
    let parts = Parts::start("smtp");
    let story = Story::by(&parts.stack, "ada").await;
    story.exceed().await;
    parts.stop("smtp");
    for attempt in 1..=3 {
        let round = story.round().await;
        assert_eq!((round.sent, round.away_in_a_row), (0, 1), "{attempt}");
        let row = story.rows().await.remove(0);
        assert_eq!((row.status.as_str(), row.attempts), ("pending", attempt));
        assert_eq!(row.last_cause.as_deref(), Some("away"));
        assert!(row.next_at > story.chain.clock.now());
        // Not before its time.
        assert_eq!(story.round().await, Round::default());
        story.chain.clock.advance(2 * MINUTE);
    }
    parts.start_again("smtp");
    assert_eq!(story.round().await.sent, 1);
    assert_eq!(came_for(&parts.stack, &story.address).len(), 1);
    assert_eq!(story.statuses().await, ["delivered"]);
    assert_eq!(story.said().await.len(), 1);
}

#[tokio::test]
async fn one_that_is_to_come_again_holds_up_nobody_else() {
    let story = Story::begin("first-451").await;
    let name = mailbox::name("bob");
    let bob = story.chain.household(&name).await;
    let (user_id, now) = (bob.user_id, story.chain.clock.now());
    let chosen = story.chain.store.write(move |tx| async move {
        notifications::change(&tx, user_id, None, by_mail(), now).await
    });
    chosen.await.expect("chosen");
    // As many as it takes to leave a mail server alone.
    for _ in 0..4 {
        story.exceed().await;
    }
    exceed(&story.chain, bob).await;
    let round = story.round().await;
    assert_eq!((round.sent, round.is_away()), (1, false));
    let bobs = format!("{name}@example.com");
    assert_eq!(came_for(Stack::get(), &bobs).len(), 1);
    assert!(story.letters().is_empty());
    story.chain.clock.advance(MINUTE);
    assert_eq!(story.round().await.sent, 4);
    assert_eq!(story.letters().len(), 4);
}

#[tokio::test]
async fn after_a_day_it_is_given_up() {
    let settings = mailbox::settings(Stack::get());
    let mut set = borrowed(&settings);
    // Nobody listens there.
    set.push(("email.smtp_url", "smtp://wealth:nobody@127.0.0.1:1"));
    let story = Story::with(&set, "ada").await;
    story.exceed().await;
    let begun = story.chain.clock.now();
    while story.statuses().await == ["pending"] {
        assert!(story.chain.clock.now() - begun <= TimeDelta::hours(25));
        story.round().await;
        story.chain.clock.advance(30 * MINUTE);
    }
    let row = story.rows().await.remove(0);
    assert_eq!(row.status, "failed");
    assert_eq!(row.last_cause.as_deref(), Some("away"));
    assert!(story.chain.clock.now() - begun > TimeDelta::hours(22));
    let attempts = row.attempts;
    assert!((24..100).contains(&attempts), "{attempts}");
    let said = story.said().await;
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["data"]["status"], "failed");
    // What nobody could even try in a day is not news any more.
    story.exceed().await;
    story.chain.clock.advance(DAY + MINUTE);
    let round = story.round().await;
    assert_eq!((round.sent, round.is_late), (0, true));
    let row = story.rows().await.remove(1);
    assert_eq!((row.status.as_str(), row.attempts), ("failed", 0));
    assert_eq!(row.last_cause.as_deref(), Some("too_late"));
    assert_eq!(story.said().await.len(), 2);
    // The address is not to blame.
    assert_eq!(story.chosen().await.email_bounced_at, None);
}

#[tokio::test]
async fn an_address_that_takes_nothing_is_left_alone_until_its_user_says_otherwise() {
    let story = Story::begin("bounce-550").await;
    story.exceed().await;
    story.exceed().await;
    story.round().await;
    // The second was not tried.
    assert_eq!(story.statuses().await, ["failed", "suppressed"]);
    let chosen = story.chosen().await;
    assert_eq!(chosen.email_bounced_at, Some(story.chain.clock.now()));
    assert!(chosen.choices.email_on.contains(&AlertKind::BudgetExceeded));
    let said = story.said().await;
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["data"]["status"], "failed");
    // Nothing more is queued; in the application all goes on.
    story.exceed().await;
    assert_eq!(story.rows().await.len(), 2);
    assert_eq!(story.shown().await.len(), 6);
    // It is good again, she says.
    let good = Change {
        email_is_good: true,
        ..Change::default()
    };
    assert_eq!(story.choose(good).await.email_bounced_at, None);
    story.exceed().await;
    story.round().await;
    assert_eq!(story.statuses().await, ["failed", "suppressed", "failed"]);
    assert!(story.chosen().await.email_bounced_at.is_some());
}

#[tokio::test]
async fn a_full_mailbox_fails_and_is_tried_with_the_next_alert() {
    let story = Story::begin("bounce-552").await;
    for count in 1..=2 {
        story.exceed().await;
        story.round().await;
        assert_eq!(story.statuses().await, vec!["failed"; count]);
    }
    assert_eq!(story.chosen().await.email_bounced_at, None);
    let row = story.rows().await.remove(0);
    assert_eq!(row.last_cause.as_deref(), Some("refused"));
}

#[tokio::test]
async fn several_who_send_send_each_mail_once() {
    let story = Story::begin("ada").await;
    let mut people = vec![(story.ada, story.address.clone())];
    for _ in 0..5 {
        let name = mailbox::name("bob");
        let bob = story.chain.household(&name).await;
        let (user_id, now) = (bob.user_id, story.chain.clock.now());
        let chosen = story.chain.store.write(move |tx| async move {
            notifications::change(&tx, user_id, None, by_mail(), now).await
        });
        chosen.await.expect("chosen");
        people.push((bob, format!("{name}@example.com")));
    }
    for _ in 0..3 {
        for (who, _) in &people {
            exceed(&story.chain, *who).await;
        }
    }
    let settings = mailbox::settings(Stack::get());
    let posts =
        [(); 3].map(|()| post(&story.chain.store, &story.chain.clock, &borrowed(&settings)));
    let stop = CancellationToken::new();
    let mut sent = 0;
    while story.statuses().await.contains(&"pending".to_owned()) {
        let rounds = join_all(posts.iter().map(|post| post.round(&stop))).await;
        sent += rounds
            .into_iter()
            .map(|round| round.expect("a round").sent)
            .sum::<u32>();
        assert!(sent <= 18, "{sent}");
    }
    assert_eq!(sent, 18);
    for (_, address) in people {
        let letters = came_for(Stack::get(), &address);
        assert_eq!(letters.len(), 3, "{address}");
    }
    assert_eq!(story.said().await.len(), 18);
}

/// Sends what is due in a process that dies at this point, and gives what it leaves.
async fn crash_at(point: &str) -> (TempDir, String, Store) {
    let folder = TempDir::new().expect("a folder");
    let settings = mailbox::settings(Stack::get());
    let mut command = Process::command(folder.path(), &borrowed(&settings));
    command.env("WEALTH_CRASH_AT", point);
    let mut doomed = Process::spawn(command).await;
    let name = mailbox::name("ada");
    let ada = doomed.register(&name).await;
    let email = json!({"kinds": {"budget_exceeded": {"email": true}}});
    ada.patch("/v1/me/notifications", &email).await.expect(200);
    let wallet = ada.wallet("Checking", "USD", "100.00").await;
    let budget = json!({
        "category_ids": [], "amount": "1", "currency": "USD", "period": "yearly", "alert_at": [100]
    });
    ada.post("/v1/budgets", &budget).await.expect(201);
    let spent = json!({"wallet_id": wallet, "type": "expense", "amount": "2"});
    ada.post("/v1/transactions", &spent).await.expect(201);
    let died = doomed.ended().await;
    assert_eq!(died.signal(), Some(6), "{point}: {died:?}");
    let config = crate::support::config(folder.path(), &[]);
    let store = Store::open(&config).await.expect("it opens").0;
    (folder, format!("{name}@example.com"), store)
}

#[tokio::test]
async fn a_crash_loses_no_mail_and_what_is_sent_again_is_known_again() {
    for point in crash::MAIL_POINTS {
        let (_folder, address, store) = crash_at(point).await;
        let letters = came_for(Stack::get(), &address);
        let was_sent = usize::from(*point == "mail.after_send_before_mark");
        assert_eq!(letters.len(), was_sent, "{point}");
        let row = rows(&store).await.remove(0);
        assert_eq!((row.status.as_str(), row.attempts), ("pending", 1));
        // Until the lease is over it is nobody else's.
        let settings = mailbox::settings(Stack::get());
        let clock = Clock::fixed(Clock::system().now());
        let post = post(&store, &clock, &borrowed(&settings));
        let stop = CancellationToken::new();
        assert_eq!(post.round(&stop).await.expect("a round").sent, 0);
        clock.advance(LEASE.to_std().expect("a while"));
        assert_eq!(post.round(&stop).await.expect("a round").sent, 1);
        let letters = came_for(Stack::get(), &address);
        assert_eq!(letters.len(), was_sent + 1, "{point}");
        let id = format!("<{}@example.com>", row.id);
        assert!(letters.iter().all(|it| it.headers["message-id"] == id));
        let row = rows(&store).await.remove(0);
        assert_eq!((row.status.as_str(), row.attempts), ("delivered", 2));
    }
}

#[tokio::test]
async fn whoever_comes_too_late_with_an_answer_changes_nothing() {
    let story = Story::begin("ada").await;
    story.exceed().await;
    let (user_id, store) = (story.ada.user_id, &story.chain.store);
    let claim = async || {
        let (now, ids) = (story.chain.clock.now(), Ids::system());
        let unit =
            move |tx| async move { queue::claim(&tx, user_id, now, LEASE, || ids.v4()).await };
        store.write(unit).await.expect("a claim")
    };
    let Claim::Mail(first) = claim().await else {
        panic!("it is due");
    };
    assert_eq!(claim().await, Claim::Nothing, "it is taken");
    story.chain.clock.advance(LEASE.to_std().expect("a while"));
    let Claim::Mail(second) = claim().await else {
        panic!("the lease is over");
    };
    assert_eq!((second.id, second.attempt), (first.id, 2));
    let conclude = async |mail, attempt| {
        let (now, ids) = (story.chain.clock.now(), Ids::system());
        let unit =
            move |tx| async move { queue::conclude(&tx, &mail, attempt, now, || ids.v4()).await };
        store.write(unit).await.expect("an answer")
    };
    assert!(!conclude(first, Attempt::Refused("refused")).await);
    assert_eq!(story.statuses().await, ["pending"]);
    assert!(conclude(second.clone(), Attempt::Taken).await);
    assert!(!conclude(second.clone(), Attempt::Taken).await);
    assert_eq!(story.said().await.len(), 1);
    // Who has left is told of nothing, and nothing is said of them.
    story.exceed().await;
    let Claim::Mail(third) = claim().await else {
        panic!("it is due");
    };
    leave(&story).await;
    assert!(!conclude(third, Attempt::Taken).await);
    assert_eq!(story.rows().await, []);
}

async fn leave(story: &Story) {
    let (user_id, now) = (story.ada.user_id, story.chain.clock.now());
    let store = &story.chain.store;
    let said = event_log::positions_of(store.reads(), user_id).await;
    let said = said.expect("positions");
    let unit = store.write(move |tx| async move { erasure::erase(&tx, user_id, &said, now).await });
    unit.await.expect("gone");
}

#[tokio::test]
async fn whoever_leaves_gets_no_more_mail() {
    let story = Story::begin("ada").await;
    story.exceed().await;
    assert_eq!(story.rows().await.len(), 1);
    leave(&story).await;
    assert_eq!(story.rows().await, []);
    assert_eq!(story.round().await, Round::default());
    assert!(story.letters().is_empty());
}

#[tokio::test]
async fn where_no_mail_is_sent_none_is_queued() {
    let none = Chain::new().await;
    let ada = none.household("ada").await;
    let (user_id, now) = (ada.user_id, none.clock.now());
    let chosen = none.store.write(move |tx| async move {
        notifications::change(&tx, user_id, None, by_mail(), now).await
    });
    chosen.await.expect("chosen");
    exceed(&none, ada).await;
    assert_eq!(rows(&none.store).await, []);
}

#[tokio::test]
async fn what_became_of_mail_is_kept_for_a_month() {
    let story = Story::begin("ada").await;
    story.exceed().await;
    story.round().await;
    story.exceed().await;
    let retention = story.chain.config.retention.clone();
    let trim = Trim::new(retention, &["projector", "notifier"]);
    for (days, left) in [(29, 2), (2, 1), (365, 1)] {
        story.chain.clock.advance(days * DAY);
        let now = story.chain.clock.now();
        while trim.step(&story.chain.store, now).await.expect("trimmed") > 0 {}
        assert_eq!(story.rows().await.len(), left, "{days}");
    }
    assert_eq!(story.statuses().await, ["pending"], "what waits stays");
}

#[tokio::test]
async fn a_running_server_sends_at_once() {
    let settings = mailbox::settings(Stack::get());
    let world = crate::support::World::with(&borrowed(&settings), Clock::system()).await;
    let name = mailbox::name("ada");
    let ada = world.register(&name).await;
    let email = json!({"kinds": {"budget_exceeded": {"email": true}}});
    let chosen = ada.patch("/v1/me/notifications", &email).await.expect(200);
    assert_eq!(chosen.body["email_available"], true);
    let wallet = ada.wallet("Checking", "USD", "100.00").await;
    let budget = json!({
        "category_ids": [], "amount": "1", "currency": "USD", "period": "yearly", "alert_at": [100]
    });
    ada.post("/v1/budgets", &budget).await.expect(201);
    let spent = json!({"wallet_id": wallet, "type": "expense", "amount": "2"});
    ada.post("/v1/transactions", &spent).await.expect(201);
    let address = format!("{name}@example.com");
    let came = || async { came_for(Stack::get(), &address).len() == 1 };
    until("the mail comes", came).await;
    // The link of the mail turns mail off; to look at it changes nothing.
    let letter = came_for(Stack::get(), &address).remove(0);
    let link = letter.headers["list-unsubscribe"].trim_matches(['<', '>']);
    let path = link.strip_prefix(PUBLIC_URL).expect("a link to us");
    let page = world.http.get(format!("{}{path}", world.url)).send().await;
    let page = page.expect("a page");
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str();
    assert!(policy.expect("ASCII").contains("form-action 'self'"));
    assert!(
        page.text()
            .await
            .expect("a text")
            .contains("<form method=\"post\">")
    );
    let is_on = async || {
        let chosen = ada.get("/v1/me/notifications").await.expect(200);
        chosen.body["kinds"]["budget_exceeded"]["email"].clone()
    };
    assert_eq!(is_on().await, true);
    for _ in 0..2 {
        let click = world.http.post(format!("{}{path}", world.url));
        let click = click.header("Content-Type", "application/x-www-form-urlencoded");
        let click = click.body("List-Unsubscribe=One-Click").send().await;
        assert_eq!(click.expect("an answer").status(), 200);
        assert_eq!(is_on().await, false);
    }
    let chosen = ada.get("/v1/me/notifications").await.expect(200);
    let kinds = chosen.body["kinds"].as_object().expect("kinds");
    assert!(
        kinds
            .values()
            .all(|it| it["email"] == false && it["in_app"] == true)
    );
    assert_eq!(chosen.body["version"], 3, "turned off once");
    // After she has left it is as if it were off.
    ada.delete("/v1/me").await.expect(204);
    let click = world.http.post(format!("{}{path}", world.url)).send().await;
    assert_eq!(click.expect("an answer").status(), 200);
}
