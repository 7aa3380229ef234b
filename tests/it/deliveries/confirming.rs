use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::domain::notification::confirming::NotAsked;
use wealth_companion::domain::notification::{AlertKind, Digest, Hour, QuietHours};
use wealth_companion::links::CONFIRM_PATH;
use wealth_companion::notifier::mail::Round;
use wealth_companion::store::Store;
use wealth_companion::store::event_log::LogPosition;
use wealth_companion::store::notifications::{self, Change};

use super::sending::minute;
use super::{DAY, HOUR, MINUTE, Shown, Story, all_rows, by_mail, links, open, show};
use crate::support::chain::{Chain, log_of, noon};
use crate::support::mailbox::{self, borrowed, came_for};
use crate::support::{Answer, Person, Rows, Stack, World, until};

const PATH: &str = "/v1/me/notifications";
const ASK: &str = "/v1/me/notifications/confirmation";
const PAUSE: std::time::Duration = std::time::Duration::from_secs(300);

/// Somebody who wants mail, and has not shown yet that the address is theirs.
async fn not_yet(like: &str) -> Story {
    let settings = mailbox::settings(Stack::get());
    Story::with(&borrowed(&settings), like, Shown::NotYet).await
}

/// How often somebody was to be asked.
async fn times_asked(store: &Store) -> usize {
    let log = log_of(store, LogPosition::default()).await;
    let asked = log
        .iter()
        .filter(|entry| entry.topic == "user.confirmation.requested");
    asked.count()
}

async fn ask(story: &Story) -> Result<(), NotAsked> {
    let act = story.chain.act(story.ada.who);
    let unit = story
        .chain
        .store
        .write(move |tx| async move { notifications::ask_to_confirm(&tx, act).await });
    unit.await.expect("an answer")
}

/// What became of the questions.
async fn questions(story: &Story) -> Vec<String> {
    let mut rows = all_rows(&story.chain.store).await;
    rows.retain(|row| row.kind == "confirmation");
    rows.into_iter().map(|row| row.status).collect()
}

#[tokio::test]
async fn before_an_address_is_confirmed_it_gets_the_question_and_nothing_else() {
    let story = not_yet("ada").await;
    story.exceed().await;
    assert_eq!(
        story.shown().await.len(),
        2,
        "in the application all goes on"
    );
    assert_eq!(story.rows().await, [], "by mail nothing");
    assert_eq!(story.round().await.sent, 1);
    let [letter] = &came_for(Stack::get(), &story.ada.address)[..] else {
        panic!("the question alone");
    };
    assert_eq!(letter.headers["subject"], "Is this your e-mail address?");
    assert!(letter.text.contains("within 7 days"), "{letter:?}");
    assert!(!letter.text.contains("Food"), "{letter:?}");
    assert!(!letter.headers.contains_key("list-unsubscribe"));
    let row = all_rows(&story.chain.store).await.remove(0);
    let id = format!("<{}@example.com>", row.id);
    assert_eq!(letter.headers["message-id"], id);
    assert_eq!(
        (row.status.as_str(), row.message.as_str()),
        ("delivered", "")
    );
    assert!(story.said().await.is_empty(), "it is no alert");
    // Nobody but the notifier is told the address, nor the link.
    let log = story.chain.log().await;
    let token = story.ada.questions_at(Stack::get()).remove(0);
    for entry in &log {
        assert!(!entry.envelope.contains(&story.ada.address), "{entry:?}");
        assert!(!entry.envelope.contains(&token), "{entry:?}");
    }
    // It stays so, whatever happens.
    story.chain.clock.advance(DAY);
    story.exceed().await;
    assert_eq!(story.round().await, Round::default());
    assert_eq!(story.chosen().await.confirming.confirmed_at, None);
    // Until she opens the link; a second time does no harm.
    assert!(open(&story.chain, &token).await);
    let confirmed_at = story.chain.clock.now();
    let version = story.chosen().await.version;
    story.chain.clock.advance(HOUR);
    assert!(open(&story.chain, &token).await);
    let chosen = story.chosen().await;
    assert_eq!(chosen.confirming.confirmed_at, Some(confirmed_at));
    assert_eq!(chosen.version, version);
    // What was not sent then does not come now.
    assert_eq!(story.round().await, Round::default());
    story.exceed().await;
    assert_eq!(story.round().await.sent, 1);
    assert_eq!(story.letters().len(), 1);
    assert_eq!(times_asked(&story.chain.store).await, 1);
}

#[tokio::test]
async fn the_question_waits_for_no_hour_and_no_digest() {
    let story = not_yet("ada").await;
    let quiet = QuietHours::new(minute("11:30"), minute("13:00")).expect("hours");
    let later = Change {
        quiet_hours: Some(Some(quiet)),
        digest: Some(Digest::Daily),
        digest_hour: Hour::parse("18:00").ok(),
        ..Change::default()
    };
    story.choose(later).await;
    story.chain.settle().await;
    assert_eq!(story.round().await.sent, 1);
    assert_eq!(questions(&story).await, ["delivered"]);
    // Two of them are two mails.
    for _ in 0..2 {
        story.chain.clock.advance(PAUSE);
        assert_eq!(ask(&story).await, Ok(()));
    }
    story.chain.settle().await;
    assert_eq!(story.round().await.sent, 2);
    let tokens = story.ada.questions_at(Stack::get());
    assert_eq!(tokens.len(), 3);
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);
}

#[tokio::test]
async fn who_wants_a_first_kind_by_mail_is_asked() {
    let story = not_yet("ada").await;
    let store = &story.chain.store;
    assert_eq!(times_asked(store).await, 1);
    story.chain.clock.advance(PAUSE);
    let of = |kind, is_on| Change {
        email: [(kind, is_on)].into(),
        ..Change::default()
    };
    // One more is none to be asked for.
    story.choose(of(AlertKind::Forecast, true)).await;
    story.choose(of(AlertKind::Forecast, false)).await;
    assert_eq!(times_asked(store).await, 1);
    story.choose(of(AlertKind::BudgetExceeded, false)).await;
    assert_eq!(times_asked(store).await, 1);
    story.choose(by_mail()).await;
    assert_eq!(times_asked(store).await, 2);
    // Not so soon again, which is no reason to refuse what is chosen.
    story.choose(of(AlertKind::BudgetExceeded, false)).await;
    story.choose(by_mail()).await;
    assert_eq!(times_asked(store).await, 2);
    assert!(!story.chosen().await.choices.email_on.is_empty());
    // Nor who has confirmed.
    show(&story.chain, story.ada.who, &story.ada.address).await;
    story.chain.clock.advance(PAUSE);
    story.choose(of(AlertKind::BudgetExceeded, false)).await;
    story.choose(by_mail()).await;
    assert_eq!(times_asked(store).await, 2);
    assert_eq!(ask(&story).await, Err(NotAsked::Confirmed));
}

#[tokio::test]
async fn a_question_that_is_told_of_again_is_sent_once() {
    let mut story = not_yet("ada").await;
    story.chain.settle().await;
    story.chain.forget();
    let mut asked = story.chain.log().await;
    asked.retain(|entry| entry.topic == "user.confirmation.requested");
    asked.push(asked[0].clone());
    let again = story.chain.notifier.take(Chain::deliveries(&asked));
    again.await.expect("handled");
    assert_eq!(questions(&story).await, ["pending"]);
    assert_eq!(story.round().await.sent, 1);
    assert_eq!(story.ada.questions_at(Stack::get()).len(), 1);
    // One that comes when its day is over is no news.
    story.chain.clock.advance(PAUSE);
    assert_eq!(ask(&story).await, Ok(()));
    story.chain.clock.advance(DAY + MINUTE);
    story.chain.settle().await;
    assert_eq!(story.round().await.sent, 0);
    assert_eq!(questions(&story).await, ["delivered", "failed"]);
    assert!(story.said().await.is_empty());
}

#[tokio::test]
async fn who_has_confirmed_meanwhile_is_not_asked() {
    let story = not_yet("ada").await;
    story.chain.settle().await;
    show(&story.chain, story.ada.who, &story.ada.address).await;
    assert_eq!(story.round().await, Round::default());
    assert_eq!(questions(&story).await, ["suppressed"]);
    assert!(came_for(Stack::get(), &story.ada.address).is_empty());
}

#[tokio::test]
async fn a_question_that_is_not_taken_now_is_asked_again_in_the_same_words() {
    let story = not_yet("first-451").await;
    story.chain.settle().await;
    let round = story.round().await;
    assert_eq!((round.sent, round.away_in_a_row), (0, 1));
    assert_eq!(questions(&story).await, ["pending"]);
    let asked_at = story.chain.clock.now();
    story.chain.clock.advance(MINUTE);
    assert_eq!(story.round().await.sent, 1);
    // Its link ends by when it was asked for.
    let token = story.ada.questions_at(Stack::get()).remove(0);
    let (user_id, ends_at) = (story.ada.who.user_id, asked_at + TimeDelta::days(7));
    let link = links().confirm("", user_id, &story.ada.address, ends_at);
    assert!(link.expect("a link").ends_with(&token));
}

#[tokio::test]
async fn an_address_that_refuses_the_question_is_left_alone_until_its_user_says_otherwise() {
    let story = not_yet("bounce-550").await;
    story.chain.settle().await;
    assert_eq!(story.round().await.sent, 0);
    assert_eq!(questions(&story).await, ["failed"]);
    let bounced_at = story.chosen().await.email_bounced_at;
    assert_eq!(bounced_at, Some(story.chain.clock.now()));
    assert!(story.said().await.is_empty(), "it is no alert");
    story.chain.clock.advance(PAUSE);
    assert_eq!(ask(&story).await, Err(NotAsked::Bounced));
    let good = Change {
        email_is_good: true,
        ..Change::default()
    };
    story.choose(good).await;
    // That it takes mail does not say whose it is.
    story.exceed().await;
    assert_eq!(story.rows().await, []);
    assert_eq!(ask(&story).await, Ok(()));
    story.chain.settle().await;
    story.round().await;
    assert_eq!(questions(&story).await, ["failed", "failed"]);
    assert!(story.chosen().await.email_bounced_at.is_some());
}

/// Nobody can do that yet but who has the database.
async fn moves_to(story: &Story, address: &str) {
    let (user_id, address) = (story.ada.who.user_id, address.to_owned());
    let unit = story.chain.store.write(move |tx| async move {
        let text = "UPDATE users SET email = $1 WHERE id = $2";
        let values = [address.into(), user_id.into()];
        let backend = tx.get_database_backend();
        tx.execute_raw(Statement::from_sql_and_values(backend, text, values))
            .await?;
        Ok(())
    });
    unit.await.expect("moved");
}

#[tokio::test]
async fn a_link_is_good_for_the_address_alone_that_it_was_sent_to() {
    let story = not_yet("ada").await;
    story.chain.settle().await;
    story.round().await;
    let token = story.ada.questions_at(Stack::get()).remove(0);
    let old = story.ada.address.clone();
    moves_to(&story, &format!("new-{old}")).await;
    assert!(!open(&story.chain, &token).await);
    // Not even where the address changes between the look and the answer.
    let (user_id, now, address) = (story.ada.who.user_id, story.chain.clock.now(), old.clone());
    let unit = story
        .chain
        .store
        .write(move |tx| async move { notifications::confirm(&tx, user_id, &address, now).await });
    assert!(!unit.await.expect("an answer"));
    assert_eq!(story.chosen().await.confirming.confirmed_at, None);
    moves_to(&story, &old).await;
    assert!(open(&story.chain, &token).await);
}

/// A server that sends mail, on a clock that stands still, and somebody who wants some.
async fn asked_person() -> (World, Person, String) {
    let settings = mailbox::settings(Stack::get());
    let world = World::with(&borrowed(&settings), Clock::fixed(noon())).await;
    let ada = world.register(&mailbox::name("ada")).await;
    let email = json!({"kinds": {"budget_exceeded": {"email": true}}});
    let chosen = ada.patch(PATH, &email).await.expect(200);
    assert_eq!(chosen.body["email_state"], "unconfirmed");
    assert_eq!(chosen.body["email_available"], true);
    let store = world.store().await;
    let is_sent = || async {
        let rows = all_rows(&store).await;
        rows.len() == 1 && rows[0].status == "delivered"
    };
    until("the question is sent", is_sent).await;
    let letters = came_for(Stack::get(), &ada.email);
    let path = letters[0].question().expect("a link").to_owned();
    (world, ada, path)
}

async fn state_of(person: &Person) -> Value {
    let chosen = person.get(PATH).await.expect(200);
    chosen.body["email_state"].clone()
}

#[tokio::test]
async fn a_person_shows_in_a_browser_that_the_address_is_theirs() {
    let (world, ada, path) = asked_person().await;
    let url = format!("{}{path}", world.url);
    let page = world.http.get(&url).send().await.expect("a page");
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str();
    assert!(policy.expect("ASCII").contains("form-action 'self'"));
    let text = page.text().await.expect("a text");
    assert!(text.contains("<form method=\"post\"><button>"), "{text}");
    assert!(!text.contains(&ada.email), "{text}");
    assert_eq!(
        state_of(&ada).await,
        "unconfirmed",
        "to look changes nothing"
    );
    for _ in 0..2 {
        let pressed = Answer::to(world.http.post(&url)).await.expect(200);
        let text = pressed.body.as_str().expect("a page");
        assert!(!text.contains("<form"), "{text}");
        let chosen = ada.get(PATH).await.expect(200);
        assert_eq!(chosen.body["email_state"], "ok");
        assert_eq!(chosen.body["version"], 3, "once");
    }
    let asked = ada.post(ASK, &Value::Null).await.problem(409, "conflict");
    assert!(asked.text("detail").contains("is confirmed"), "{asked:?}");
}

/// Says what is wrong with a token, whichever way it comes.
async fn refused(world: &World, token: &str, why: &str) {
    for method in [Method::GET, Method::POST] {
        let url = format!("{}{CONFIRM_PATH}?token={token}", world.url);
        let answer = Answer::to(world.http.request(method.clone(), url)).await;
        assert_eq!(answer.status, 422, "{method} {token}: {answer:?}");
        let answer = answer.problem(422, "validation");
        let error = &answer.body["errors"][0];
        assert_eq!(error["pointer"], "?token");
        let detail = error["detail"].as_str().expect("a text");
        assert!(detail.contains(why), "{method} {token}: {detail}");
    }
}

#[tokio::test]
async fn a_link_that_is_not_good_confirms_nothing() {
    let (world, ada, path) = asked_person().await;
    let bob = world.register(&mailbox::name("bob")).await;
    let (_, token) = path.split_once('=').expect("a token");
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    let changed = |index: usize| {
        let mut bytes = token.as_bytes().to_vec();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("ASCII")
    };
    let of = |person: &Person, email: &str| mailbox::confirmation_of(&world, person, email);
    let bobs = of(&bob, &bob.email);
    let id = |person: &Person| person.id.parse().expect("an id");
    let tomorrow = world.clock.now() + TimeDelta::days(1);
    let foreign = links().confirm("", id(&ada), &ada.email, tomorrow);
    let bytes = |token: &str| BASE64_URL_SAFE_NO_PAD.decode(token).expect("base64");
    let never = Ids::system().v4();
    let nobodys = mailbox::links_of(&world).confirm("", never, &ada.email, tomorrow);
    let in_link = |link: Option<String>| {
        let link = link.expect("a link");
        link.split_once('=').expect("a token").1.to_owned()
    };
    for token in [
        // Whose, until when, and by whom.
        changed(0),
        changed(25),
        changed(50),
        // Her id before what was signed for him.
        BASE64_URL_SAFE_NO_PAD.encode([&bytes(token)[..16], &bytes(&bobs)[16..]].concat()),
        // Of an address that is not hers any more, or is his.
        of(&ada, "older@example.com"),
        of(&ada, &bob.email),
        // By another key; for nobody.
        in_link(foreign),
        in_link(nobodys),
        // Of the other kind.
        mailbox::token_of(&world, &ada),
    ] {
        refused(&world, &token, "no link of a mail from here").await;
    }
    rows.unchanged(&before, "links that are not good").await;
    // His is good for him.
    let url = format!("{}{CONFIRM_PATH}?token={bobs}", world.url);
    Answer::to(world.http.post(url)).await.expect(200);
    assert_eq!(state_of(&bob).await, "ok");
    assert_eq!(state_of(&ada).await, "unconfirmed");
    // Hers is until its end.
    let before = rows.all().await;
    world.clock.advance(7 * DAY - MINUTE);
    let url = format!("{}{path}", world.url);
    Answer::to(world.http.get(&url)).await.expect(200);
    world.clock.advance(MINUTE);
    refused(&world, token, "this link is over").await;
    let choices = "notification_choices";
    assert_eq!(rows.all().await[choices], before[choices]);
}

#[tokio::test]
async fn one_may_ask_every_five_minutes_and_five_times_in_all() {
    let (world, mut ada, _) = asked_person().await;
    let store = world.store().await;
    for count in 1..=5 {
        world.clock.advance(PAUSE - MINUTE);
        let now = ada.signed_in_again(&world).await;
        if count < 5 {
            let asked = now.post(ASK, &Value::Null).await.problem(429, "too-many");
            assert_eq!(asked.header("retry-after"), "61");
        }
        assert_eq!(times_asked(&store).await, count);
        world.clock.advance(MINUTE);
        if count < 5 {
            let asked = now.post(ASK, &Value::Null).await.expect(202);
            assert!(!asked.header("x-log-position").is_empty());
            assert_eq!(asked.body, Value::Null);
        }
        ada = now;
    }
    let asked = ada.post(ASK, &Value::Null).await.problem(409, "conflict");
    assert!(asked.text("detail").contains("as often as"), "{asked:?}");
    // What she chooses is taken all the same.
    for is_on in [false, true] {
        let email = json!({"kinds": {"budget_exceeded": {"email": is_on}}});
        let chosen = ada.patch(PATH, &email).await.expect(200);
        assert_eq!(chosen.body["email_state"], "unconfirmed");
    }
    assert_eq!(times_asked(&store).await, 5);
    let came = || async { came_for(Stack::get(), &ada.email).len() == 5 };
    until("all have come", came).await;
    // The last is as good as the first.
    ada.confirms().await.expect(200);
    assert_eq!(state_of(&ada).await, "ok");
}
