use std::os::unix::process::ExitStatusExt;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::crash;
use wealth_companion::notifier::mail::LEASE;
use wealth_companion::store::Store;
use wealth_companion::store::deliveries::{self as queue, Attempt, Claim};
use wealth_companion::store::entities::deliveries;

use super::{Story, all_rows, exceed, leave, post};
use crate::support::mailbox::{self, Letter, borrowed, came_for};
use crate::support::{Person, Process, Stack};

#[tokio::test]
async fn several_who_send_send_each_mail_once() {
    let story = Story::begin("ada").await;
    let mut people = vec![story.ada.clone()];
    for _ in 0..5 {
        people.push(story.joined_by("bob").await);
    }
    for _ in 0..3 {
        for person in &people {
            exceed(&story.chain, person.who).await;
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
    for person in people {
        assert_eq!(person.letters().len(), 3, "{person:?}");
    }
    assert_eq!(story.said().await.len(), 18);
}

/// What a process sends when it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Question,
    Alert,
}

impl Sent {
    fn letters(self, address: &str) -> Vec<Letter> {
        let mut letters = came_for(Stack::get(), address);
        letters.retain(|letter| letter.question().is_some() == (self == Self::Question));
        letters
    }

    async fn row(self, store: &Store) -> deliveries::Model {
        let mut rows = all_rows(store).await;
        rows.retain(|row| (row.kind == "confirmation") == (self == Self::Question));
        rows.remove(0)
    }
}

/// Sends it in a process that dies at this point, and gives what that leaves.
async fn crash_at(point: &str, sent: Sent) -> (TempDir, String, Store) {
    let folder = TempDir::new().expect("a folder");
    let settings = mailbox::settings(Stack::get());
    let name = mailbox::name("ada");
    let start = async |set: &[(&str, &str)]| {
        let mut command = Process::command(folder.path(), &borrowed(&settings));
        command.envs(set.iter().copied());
        Process::spawn(command).await
    };
    let doomed = &[("WEALTH_CRASH_AT", point)][..];
    let email = json!({"kinds": {"budget_exceeded": {"email": true}}});
    let wish = |ada: &Person| {
        let wish = ada.request(Method::PATCH, "/v1/me/notifications");
        wish.header("If-Match", "*").json(&email).send()
    };
    let (mut process, ada) = match sent {
        Sent::Question => {
            let process = start(doomed).await;
            let ada = process.register(&name).await;
            // It may die before it answers.
            let _ = wish(&ada).await;
            (process, ada)
        }
        Sent::Alert => {
            let first = start(&[]).await;
            let ada = first.register(&name).await;
            wish(&ada).await.expect("an answer");
            ada.confirms().await.expect(200);
            // What came of that mail is written down before it ends.
            let (log, errors) = first.stop().await;
            let told = log.concat() + &errors;
            assert!(!told.contains(&ada.email), "an address: {told}");
            assert!(!told.contains("token="), "a link: {told}");
            let process = start(doomed).await;
            let ada = ada.follows(&process.url);
            let wallet = ada.wallet("Checking", "USD", "100.00").await;
            let budget = json!({
                "category_ids": [], "amount": "1", "currency": "USD", "period": "yearly", "alert_at": [100]
            });
            ada.post("/v1/budgets", &budget).await.expect(201);
            let spent = json!({"wallet_id": wallet, "type": "expense", "amount": "2"});
            ada.post("/v1/transactions", &spent).await.expect(201);
            (process, ada)
        }
    };
    let died = process.ended().await;
    assert_eq!(died.signal(), Some(6), "{point} {sent:?}: {died:?}");
    let config = crate::support::config(folder.path(), &[]);
    let store = Store::open(&config).await.expect("it opens").0;
    (folder, ada.email, store)
}

#[tokio::test]
async fn a_crash_loses_no_mail_and_what_is_sent_again_is_known_again() {
    for (point, sent) in crash::MAIL_POINTS
        .iter()
        .flat_map(|point| [(point, Sent::Question), (point, Sent::Alert)])
    {
        let (_folder, address, store) = crash_at(point, sent).await;
        let letters = sent.letters(&address);
        let was_sent = usize::from(*point == "mail.after_send_before_mark");
        assert_eq!(letters.len(), was_sent, "{point} {sent:?}");
        let row = sent.row(&store).await;
        assert_eq!((row.status.as_str(), row.attempts), ("pending", 1));
        // Until the lease is over it is nobody else's.
        let settings = mailbox::settings(Stack::get());
        let clock = Clock::fixed(Clock::system().now());
        let post = post(&store, &clock, &borrowed(&settings));
        let stop = CancellationToken::new();
        assert_eq!(post.round(&stop).await.expect("a round").sent, 0);
        clock.advance(LEASE.to_std().expect("a while"));
        assert_eq!(post.round(&stop).await.expect("a round").sent, 1);
        let letters = sent.letters(&address);
        assert_eq!(letters.len(), was_sent + 1, "{point} {sent:?}");
        let id = format!("<{}@example.com>", row.id);
        assert!(letters.iter().all(|it| it.headers["message-id"] == id));
        let row = sent.row(&store).await;
        assert_eq!((row.status.as_str(), row.attempts), ("delivered", 2));
    }
}

#[tokio::test]
async fn whoever_comes_too_late_with_an_answer_changes_nothing() {
    let story = Story::begin("ada").await;
    story.exceed().await;
    let (user_id, store) = (story.ada.who.user_id, &story.chain.store);
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
