use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use wealth_companion::clock::Clock;
use wealth_companion::domain::notification::{AlertKind, Digest, Hour, Minute, QuietHours};
use wealth_companion::notifier::mail::Round;
use wealth_companion::store::notifications::Change;
use wealth_companion::store::trim::Trim;

use super::{
    DAY, HOUR, MINUTE, Story, alerts_for, all_rows, by_mail, choose, exceed, leave, links, show,
};
use crate::support::chain::Chain;
use crate::support::mailbox::{self, PUBLIC_URL, borrowed};
use crate::support::{Stack, until};

pub(super) fn minute(text: &str) -> Minute {
    Minute::parse(text).expect("a time")
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
    let whose = links().whose(token.expect("a token"));
    assert_eq!(whose, Some(story.ada.who.user_id));

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
async fn whoever_leaves_gets_no_more_mail() {
    let story = Story::begin("ada").await;
    story.exceed().await;
    assert_eq!(story.rows().await.len(), 1);
    leave(&story).await;
    assert_eq!(all_rows(&story.chain.store).await, []);
    assert_eq!(story.round().await, Round::default());
    assert!(story.letters().is_empty());
}

#[tokio::test]
async fn where_no_mail_is_sent_none_is_queued() {
    let none = Chain::new().await;
    let ada = none.household("ada").await;
    show(&none, ada, "ada@example.com").await;
    choose(&none, ada, by_mail(), true).await;
    exceed(&none, ada).await;
    assert_eq!(all_rows(&none.store).await, []);
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
    let ada = world.register(&mailbox::name("ada")).await;
    let email = json!({"kinds": {"budget_exceeded": {"email": true}}});
    let chosen = ada.patch("/v1/me/notifications", &email).await.expect(200);
    assert_eq!(chosen.body["email_available"], true);
    ada.confirms().await.expect(200);
    let wallet = ada.wallet("Checking", "USD", "100.00").await;
    let budget = json!({
        "category_ids": [], "amount": "1", "currency": "USD", "period": "yearly", "alert_at": [100]
    });
    ada.post("/v1/budgets", &budget).await.expect(201);
    let spent = json!({"wallet_id": wallet, "type": "expense", "amount": "2"});
    ada.post("/v1/transactions", &spent).await.expect(201);
    let came = || async { alerts_for(Stack::get(), &ada.email).len() == 1 };
    until("the mail comes", came).await;
    // The link of the mail turns mail off; to look at it changes nothing.
    let letter = alerts_for(Stack::get(), &ada.email).remove(0);
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
    assert_eq!(chosen.body["version"], 4, "turned off once");
    // After she has left it is as if it were off.
    ada.delete("/v1/me").await.expect(204);
    let click = world.http.post(format!("{}{path}", world.url)).send().await;
    assert_eq!(click.expect("an answer").status(), 200);
}
