//! Alerts by mail: what was chosen comes, by a real mail server, once it is time and the address is shown to be its
//! user's; what cannot be sent is tried again, and in the end somebody says what became of it.

/// Whose address it is.
mod confirming;
/// What cannot be sent now, or not at all.
mod failing;
/// What is sent, and when.
mod sending;
/// Several who send, and those who die of it.
mod side_by_side;

use std::time::Duration;

use sea_orm::{EntityTrait, QueryOrder};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::domain::notification::AlertKind;
use wealth_companion::links::{Confirmation, Links};
use wealth_companion::mail::Mailer;
use wealth_companion::notifier::mail::{Post, Round};
use wealth_companion::store::entities::deliveries;
use wealth_companion::store::notifications::{self, Change, Notifications};
use wealth_companion::store::{PageRequest, Store, alerts, erasure, event_log, users};

use crate::support::Stack;
use crate::support::chain::{Chain, Household};
use crate::support::mailbox::{self, Letter, PUBLIC_URL, borrowed, came_for};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How somebody has shown that their address is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// By a link that came another way: to an address that takes no mail, or not at first.
    ByALink,
    /// Not yet.
    NotYet,
}

/// Somebody with a household and a mailbox.
#[derive(Debug, Clone)]
struct Someone {
    who: Household,
    address: String,
}

/// Somebody who is told by mail of budgets that are exceeded, and who sends it.
struct Story {
    chain: Chain,
    post: Post,
    ada: Someone,
}

/// Who sends by the mail server of these settings.
fn post(store: &Store, clock: &Clock, set: &[(&str, &str)]) -> Post {
    let config = crate::support::config_with(set);
    let mailer = Mailer::new(&config.email).expect("a mailer");
    let mailer = mailer.expect("a server is named").with_clock(clock.clone());
    let (store, clock, ids) = (store.clone(), clock.clone(), Ids::system());
    Post::new(store, clock, ids, mailer, links(), PUBLIC_URL.to_owned())
}

const KEY: &str = "only-for-links-of-tests-0123456789abcdef";

fn links() -> Links {
    let keys = crate::support::config_with(&[("auth.jwt_secret_key", KEY)]);
    Links::new(&keys.auth.signing_keys)
}

/// By mail: budgets that are exceeded.
fn by_mail() -> Change {
    Change {
        email: [(AlertKind::BudgetExceeded, true)].into(),
        ..Change::default()
    }
}

/// Changes what somebody has chosen; where mail is sent, it asks for the address.
async fn choose(chain: &Chain, who: Household, change: Change, sends_email: bool) {
    let act = chain.act(who);
    let unit = chain.store.write(move |tx| async move {
        notifications::change(&tx, act, None, change, sends_email).await
    });
    unit.await.expect("chosen");
}

/// Does as the server does with the token of a link; says whether it confirmed the address.
async fn open(chain: &Chain, token: &str) -> bool {
    let Some(link) = Confirmation::parse(token) else {
        return false;
    };
    let (user_id, now) = (link.user_id, chain.clock.now());
    let user = users::get(chain.store.reads(), user_id).await;
    let email = user.expect("a user").email;
    if !links().made(&link, &email) || link.ends_at <= now {
        return false;
    }
    let unit = chain
        .store
        .write(move |tx| async move { notifications::confirm(&tx, user_id, &email, now).await });
    unit.await.expect("an answer")
}

/// Confirms an address by a link that no mail has brought.
async fn show(chain: &Chain, who: Household, address: &str) {
    let ends_at = chain.clock.now() + chrono::TimeDelta::days(1);
    let link = links().confirm("", who.user_id, address, ends_at);
    let link = link.expect("a link");
    let (_, token) = link.split_once('=').expect("a token");
    assert!(open(chain, token).await);
}

impl Someone {
    /// Mails that tell of alerts.
    fn letters(&self) -> Vec<Letter> {
        self.letters_at(Stack::get())
    }

    fn letters_at(&self, stack: &Stack) -> Vec<Letter> {
        alerts_for(stack, &self.address)
    }

    /// The tokens of the links that ask for the address.
    fn questions_at(&self, stack: &Stack) -> Vec<String> {
        let letters = came_for(stack, &self.address);
        let paths = letters.iter().filter_map(Letter::question);
        let tokens = paths.map(|path| path.split_once('=').expect("a token").1.to_owned());
        tokens.collect()
    }
}

/// Mails that tell an address of alerts.
fn alerts_for(stack: &Stack, address: &str) -> Vec<Letter> {
    let mut letters = came_for(stack, address);
    letters.retain(|letter| letter.question().is_none());
    letters
}

impl Story {
    async fn begin(like: &str) -> Self {
        Self::by(Stack::get(), like).await
    }

    /// By the mail server of these parts.
    async fn by(stack: &Stack, like: &str) -> Self {
        let settings = mailbox::settings(stack);
        let story = Self::with(&borrowed(&settings), like, Shown::NotYet).await;
        story.shown_by_mail(&story.ada, stack).await;
        story
    }

    /// Of somebody whose mail server refuses mail, or does at first.
    async fn of_one_who_refuses(like: &str) -> Self {
        let settings = mailbox::settings(Stack::get());
        Self::with(&borrowed(&settings), like, Shown::ByALink).await
    }

    async fn with(set: &[(&str, &str)], like: &str, shown: Shown) -> Self {
        let chain = Chain::on(TempDir::new().expect("a folder"), set, 1).await;
        let post = post(&chain.store, &chain.clock, set);
        let ada = someone(&chain, like, shown).await;
        Self { chain, post, ada }
    }

    /// Somebody else who is told of the same by mail.
    async fn joined_by(&self, like: &str) -> Someone {
        let bob = someone(&self.chain, like, Shown::NotYet).await;
        self.shown_by_mail(&bob, Stack::get()).await;
        bob
    }

    /// Somebody opens the link of the mail that asks for the address.
    async fn shown_by_mail(&self, who: &Someone, stack: &Stack) {
        self.chain.settle().await;
        assert_eq!(self.round().await.sent, 1);
        let questions = who.questions_at(stack);
        assert_eq!(questions.len(), 1, "{who:?}");
        assert!(open(&self.chain, &questions[0]).await);
    }

    async fn choose(&self, change: Change) {
        choose(&self.chain, self.ada.who, change, true).await;
    }

    async fn chosen(&self) -> Notifications {
        let chosen = notifications::get(self.chain.store.reads(), self.ada.who.user_id);
        chosen.await.expect("choices")
    }

    /// A budget of hers is exceeded, which she is told of.
    async fn exceed(&self) {
        exceed(&self.chain, self.ada.who).await;
    }

    async fn round(&self) -> Round {
        let stop = CancellationToken::new();
        self.post.round(&stop).await.expect("a round")
    }

    fn letters(&self) -> Vec<Letter> {
        self.ada.letters()
    }

    /// Alerts on their way.
    async fn rows(&self) -> Vec<deliveries::Model> {
        alert_rows(&self.chain.store).await
    }

    async fn statuses(&self) -> Vec<String> {
        let rows = self.rows().await;
        rows.into_iter().map(|row| row.status).collect()
    }

    /// Kinds of the alerts that are shown in the application, newest first.
    async fn shown(&self) -> Vec<String> {
        let page = PageRequest::first(200);
        let list = alerts::list(self.chain.store.reads(), self.ada.who.user_id, false, page);
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

/// Somebody who is told by mail of budgets that are exceeded, once the address is shown to be theirs.
async fn someone(chain: &Chain, like: &str, shown: Shown) -> Someone {
    let name = mailbox::name(like);
    let who = chain.household(&name).await;
    let address = format!("{name}@example.com");
    if shown == Shown::ByALink {
        show(chain, who, &address).await;
    }
    choose(chain, who, by_mail(), true).await;
    Someone { who, address }
}

async fn exceed(chain: &Chain, who: Household) {
    chain.budget(who, 100).await;
    chain.spend(who, "5.00", "2026-02-10").await;
    chain.settle().await;
}

/// What is on its way, in its order.
async fn all_rows(store: &Store) -> Vec<deliveries::Model> {
    let rows = deliveries::Entity::find().order_by_asc(deliveries::Column::Id);
    rows.all(store.reads()).await.expect("deliveries")
}

/// Of that the alerts.
async fn alert_rows(store: &Store) -> Vec<deliveries::Model> {
    let mut rows = all_rows(store).await;
    rows.retain(|row| row.kind != "confirmation");
    rows
}

async fn leave(story: &Story) {
    let (user_id, now) = (story.ada.who.user_id, story.chain.clock.now());
    let store = &story.chain.store;
    let said = event_log::positions_of(store.reads(), user_id).await;
    let said = said.expect("positions");
    let unit = store.write(move |tx| async move { erasure::erase(&tx, user_id, &said, now).await });
    unit.await.expect("gone");
}
