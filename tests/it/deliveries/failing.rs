use chrono::TimeDelta;
use wealth_companion::domain::notification::AlertKind;
use wealth_companion::notifier::mail::Round;
use wealth_companion::store::notifications::Change;

use super::{DAY, MINUTE, Shown, Story, exceed};
use crate::support::mailbox::{self, borrowed};
use crate::support::{Parts, Stack};

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
    assert_eq!(story.ada.letters_at(&parts.stack).len(), 1);
    assert_eq!(story.statuses().await, ["delivered"]);
    assert_eq!(story.said().await.len(), 1);
}

#[tokio::test]
async fn one_that_is_to_come_again_holds_up_nobody_else() {
    let story = Story::of_one_who_refuses("first-451").await;
    let bob = story.joined_by("bob").await;
    // As many as it takes to leave a mail server alone.
    for _ in 0..4 {
        story.exceed().await;
    }
    exceed(&story.chain, bob.who).await;
    let round = story.round().await;
    assert_eq!((round.sent, round.is_away()), (1, false));
    assert_eq!(bob.letters().len(), 1);
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
    let story = Story::with(&set, "ada", Shown::ByALink).await;
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
    let story = Story::of_one_who_refuses("bounce-550").await;
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
    story.choose(good).await;
    assert_eq!(story.chosen().await.email_bounced_at, None);
    story.exceed().await;
    story.round().await;
    assert_eq!(story.statuses().await, ["failed", "suppressed", "failed"]);
    assert!(story.chosen().await.email_bounced_at.is_some());
}

#[tokio::test]
async fn a_full_mailbox_fails_and_is_tried_with_the_next_alert() {
    let story = Story::of_one_who_refuses("bounce-552").await;
    for count in 1..=2 {
        story.exceed().await;
        story.round().await;
        assert_eq!(story.statuses().await, vec!["failed"; count]);
    }
    assert_eq!(story.chosen().await.email_bounced_at, None);
    let row = story.rows().await.remove(0);
    assert_eq!(row.last_cause.as_deref(), Some("refused"));
}
