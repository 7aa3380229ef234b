//! Insights in the words of Gemini: of those who have asked for it, with the rules' figures, within limits; and the
//! rules' words whenever anything is in the way. Gemini is a double that speaks its wire format.

use std::time::Duration;

use chrono::NaiveDate;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use wealth_companion::clock::Clock;
use wealth_companion::domain::insight::wording::WordedBy;
use wealth_companion::domain::money::AmountText;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::gemini;
use wealth_companion::projector::insights::{Looked, Looker};
use wealth_companion::projector::wording::Writer;
use wealth_companion::store::insights::{self, StoredInsight, Wanted};
use wealth_companion::store::transactions::Draft;
use wealth_companion::store::users::{self, UserChange};
use wealth_companion::store::{PageRequest, alerts, erasure, event_log};

use crate::support::chain::{Chain, Household, noon};
use crate::support::gemini::{Gemini, KEY, Reply, answer, blocked, error, quota};
use crate::support::{Process, World, until};

/// Shorter than any pause of the breaker.
const EVERY: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Somebody whose books are looked at, a double, and who looks.
struct Story {
    chain: Chain,
    gemini: Gemini,
    looker: Looker,
    ada: Household,
}

impl Story {
    async fn begin(set: &[(&str, &str)]) -> Self {
        let (chain, gemini) = (Chain::new().await, Gemini::start());
        let looker = looker(&chain, &gemini.url, set).expect("a writer");
        let ada = chain.household("canary-ada").await;
        let story = Self {
            chain,
            gemini,
            looker,
            ada,
        };
        story.allow(true).await;
        // What the first look finds is told to nobody: it finds nothing.
        story.chain.spend(ada, "1.00", "2026-02-10").await;
        assert_eq!(story.look().await, Looked::Found(0));
        story
    }

    async fn allow(&self, is_allowed: bool) {
        let change = UserChange {
            ai_enabled: Some(is_allowed),
            ..UserChange::default()
        };
        let (user_id, now) = (self.ada.user_id, noon());
        let unit = self
            .chain
            .store
            .write(move |tx| async move { users::change(&tx, user_id, None, change, now).await });
        unit.await.expect("changed");
    }

    /// Pays somebody twice on a day, which is worth a word.
    async fn pay_twice(&self, payee: &str, amount: &str) {
        for _ in 0..2 {
            self.pay(payee, amount).await;
        }
    }

    async fn pay(&self, payee: &str, amount: &str) {
        let (amount, date) = (AmountText::Text(amount.to_owned()), noon().date_naive());
        let mut draft = Draft::new(self.ada.wallet_id, TransactionType::Expense, amount, date);
        draft.payee = Some(payee.to_owned());
        self.chain.book(self.ada, draft).await;
    }

    async fn look(&self) -> Looked {
        self.chain.settle().await;
        self.chain.clock.advance(EVERY);
        self.looker.look(self.ada.user_id).await.expect("a look")
    }

    /// Pays somebody twice, looks, and gives what is said.
    async fn find(&self, payee: &str, amount: &str) -> StoredInsight {
        self.pay_twice(payee, amount).await;
        assert_eq!(self.look().await, Looked::Found(1));
        self.listed().await.remove(0)
    }

    /// Newest first.
    async fn listed(&self) -> Vec<StoredInsight> {
        let (user_id, all) = (self.ada.user_id, PageRequest::first(200));
        let page = insights::list(self.chain.store.reads(), user_id, Wanted::default(), all);
        page.await.expect("insights").items
    }
}

fn looker(chain: &Chain, url: &str, set: &[(&str, &str)]) -> Option<Looker> {
    let mut all = vec![("ai.url", url), ("ai.gemini_api_key", KEY)];
    all.extend(set);
    let config = crate::support::config(chain.data_dir.path(), &all);
    let gemini = gemini::Gemini::of(&config.ai, chain.clock.clone()).expect("a client")?;
    let writer = Writer::new(gemini, &config.ai);
    let parts = (chain.store.clone(), chain.clock.clone(), chain.ids.clone());
    Some(Looker::new(parts.0, parts.1, parts.2, EVERY).with(Some(writer)))
}

#[track_caller]
fn is_of_the_rules(found: &StoredInsight, payee: &str, amount: &str) {
    assert_eq!(found.worded_by, WordedBy::Rules);
    assert_eq!(found.insight.title, format!("{payee}: charged twice?"));
    let message = format!("{payee} took {amount} USD twice on 2026-02-10.");
    assert_eq!(found.insight.message, message);
}

#[tokio::test]
async fn list_event_and_alert_have_the_same_words() {
    let story = Story::begin(&[]).await;
    let said = json!({
        "title": "Did {payee} charge you twice?",
        "message": "On February 10, 2026 it took $1,300.50 two times. Worth a look!",
    });
    story.gemini.next([Reply::Text("STOP", said.to_string())]);
    let found = story.find("Furniture 24", "1300.50").await;
    assert_eq!(found.worded_by, WordedBy::Gemini);
    assert_eq!(found.insight.title, "Did Furniture 24 charge you twice?");
    let message = "On February 10, 2026 it took $1,300.50 two times. Worth a look!";
    assert_eq!(found.insight.message, message);
    assert_eq!(found.insight.facts["amount"], "1300.50");
    let log = story.chain.log().await;
    let event: Value = serde_json::from_str(&log.last().expect("an event").envelope).expect("JSON");
    assert_eq!(event["data"]["title"], found.insight.title);
    assert_eq!(event["data"]["message"], found.insight.message);
    story.chain.settle().await;
    let (user_id, first) = (story.ada.user_id, PageRequest::first(9));
    let alerts = alerts::list(story.chain.store.reads(), user_id, false, first).await;
    let alerts = alerts.expect("alerts").items;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].title, found.insight.title);
    assert_eq!(alerts[0].message, found.insight.message);
}

#[tokio::test]
async fn what_is_sent_are_figures_and_nothing_of_anybody() {
    let story = Story::begin(&[]).await;
    story.find("Canary Jane canary@example.com", "130.90").await;
    let heard = story.gemini.heard();
    assert_eq!(heard.len(), 1);
    let figures = json!({
        "amount": "130.90", "currency": "USD", "first_on": "2026-02-10", "second_on": "2026-02-10",
    });
    let question = json!({
        "kind": "anomaly", "title": "{payee}: charged twice?",
        "message": "{payee} took 130.90 USD twice on 2026-02-10.", "figures": figures,
    });
    assert_eq!(heard[0].question(), question);
    let uri = "/v1beta/models/gemini-3.5-flash-lite:generateContent";
    assert_eq!(heard[0].uri, uri, "the key is in a header");
    let all = format!("{} {}", heard[0].headers, heard[0].body).to_lowercase();
    let ids = [
        story.ada.user_id,
        story.ada.wallet_id,
        story.ada.category_id,
    ];
    for secret in ids.map(|id| id.to_string()) {
        assert!(!all.contains(&secret), "{secret} in {all}");
    }
    for secret in [
        "canary",
        "jane",
        "@",
        "traceparent",
        "groceries",
        "checking",
    ] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[tokio::test]
async fn whoever_has_not_asked_for_it_sends_nothing() {
    let story = Story::begin(&[]).await;
    story.allow(false).await;
    let found = story.find("Furniture", "300.00").await;
    is_of_the_rules(&found, "Furniture", "300.00");
    assert_eq!(story.gemini.count(), 0);
    // Nor anybody, where it is switched off or has no key.
    for off in [
        ("ai.enabled", "false"),
        ("ai.gemini_api_key", ""),
        ("ai.url", ""),
    ] {
        assert!(
            looker(&story.chain, &story.gemini.url, &[off]).is_none(),
            "{off:?}"
        );
    }
    story.allow(true).await;
    let found = story.find("Carpenter", "300.00").await;
    assert_eq!(found.worded_by, WordedBy::Gemini);
    assert_eq!(story.gemini.count(), 1);
}

#[tokio::test]
async fn a_figure_that_was_made_up_is_not_shown() {
    let story = Story::begin(&[]).await;
    let titles = "{payee}: charged twice?";
    for (asked, (amount, message)) in (1..).zip([
        ("301.00", "{payee} took 301.01 USD twice on 2026-02-10."),
        ("302.00", "{payee} took 604.00 USD in all on 2026-02-10."),
        ("303.00", "{payee} took 303.00 EUR twice on 2026-02-10."),
        (
            "304.00",
            "{payee} took 304.00 USD three times on 2026-02-10.",
        ),
        ("305.00", "{payee} took 305.00 USD twice on 2026-02-11."),
        (
            "306.00",
            "{payee} took 306.00 USD twice: https://evil.example",
        ),
        ("307.00", "Somebody took 307.00 USD twice from {category}."),
    ]) {
        let said = json!({"title": titles, "message": message});
        story.gemini.next([Reply::Text("STOP", said.to_string())]);
        let found = story.find("Furniture", amount).await;
        is_of_the_rules(&found, "Furniture", amount);
        assert_eq!(story.gemini.count(), asked, "{message}");
    }
}

/// All that can go wrong, and whether nobody is asked for a while after it.
fn faults() -> Vec<(Reply, bool)> {
    let good = json!({"title": "{payee} twice?", "message": "Furniture took 300.00 USD twice."})
        .to_string();
    let error = |code, status| Reply::Body(code, error(code, status, &json!([])));
    vec![
        (Reply::Body(429, quota(7)), true),
        (error(503, "UNAVAILABLE"), true),
        (error(500, "INTERNAL"), true),
        (
            Reply::Body(502, "<html>Bad gateway</html>".to_owned()),
            true,
        ),
        (error(403, "PERMISSION_DENIED"), true),
        (error(404, "NOT_FOUND"), true),
        (Reply::WhenTold, true),
        (Reply::Cut, true),
        (error(400, "INVALID_ARGUMENT"), false),
        (Reply::Body(200, blocked()), false),
        (Reply::Text("SAFETY", good.clone()), false),
        (Reply::Text("RECITATION", String::new()), false),
        (Reply::Text("MAX_TOKENS", good[..30].to_owned()), false),
        (Reply::Text("STOP", good[..30].to_owned()), false),
        (Reply::Text("STOP", "Sure! Here it is.".to_owned()), false),
        (Reply::Body(200, "no JSON".to_owned()), false),
        (Reply::Body(200, "{}".to_owned()), false),
        (
            Reply::Body(200, answer("STOP", &"x".repeat(1_000_000))),
            false,
        ),
    ]
}

#[tokio::test]
async fn whatever_goes_wrong_the_rules_words_are_there_in_time() {
    for (fault, rests) in faults() {
        let name = format!("{fault:?}").chars().take(200).collect::<String>();
        let story = Story::begin(&[("ai.timeout_ms", "500")]).await;
        story.gemini.next([fault]);
        let begun = Instant::now();
        let found = story.find("Furniture", "300.00").await;
        is_of_the_rules(&found, "Furniture", "300.00");
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}");
        assert_eq!(story.gemini.count(), 1, "{name}");
        // Whoever is away is not asked on; whoever had nothing to say to this may have to that.
        let found = story.find("Furniture", "400.00").await;
        let expected = if rests {
            (WordedBy::Rules, 1)
        } else {
            (WordedBy::Gemini, 2)
        };
        assert_eq!((found.worded_by, story.gemini.count()), expected, "{name}");
    }
}

#[tokio::test]
async fn nobody_asks_while_it_does_not_answer_and_somebody_tries_again_later() {
    let story = Story::begin(&[]).await;
    let unavailable = Reply::Body(503, error(503, "UNAVAILABLE", &json!([])));
    story
        .gemini
        .next([Reply::Body(429, quota(600)), unavailable]);
    let worded = async |amount: &str| story.find("Furniture", amount).await.worded_by;
    assert_eq!(worded("301.00").await, WordedBy::Rules);
    // Ten minutes, as it was asked to, and a bit.
    story.chain.clock.advance(9 * MINUTE);
    assert_eq!(worded("302.00").await, WordedBy::Rules);
    assert_eq!(story.gemini.count(), 1);
    story.chain.clock.advance(MINUTE);
    assert_eq!(worded("303.00").await, WordedBy::Rules);
    assert_eq!(story.gemini.count(), 2, "one has tried");
    // A minute: twice the first pause of one that does not say how long.
    assert_eq!(worded("304.00").await, WordedBy::Rules);
    assert_eq!(story.gemini.count(), 2);
    story.chain.clock.advance(MINUTE);
    assert_eq!(worded("305.00").await, WordedBy::Gemini);
    assert_eq!(worded("306.00").await, WordedBy::Gemini);
    assert_eq!(story.gemini.count(), 4);
}

#[tokio::test]
async fn a_day_has_a_limit_for_each_user_and_one_for_all() {
    let story = Story::begin(&[("ai.calls_per_user_per_day", "2")]).await;
    let worded = async |amount: &str| story.find("Furniture", amount).await.worded_by;
    assert_eq!(worded("301.00").await, WordedBy::Gemini);
    assert_eq!(worded("302.00").await, WordedBy::Gemini);
    assert_eq!(worded("303.00").await, WordedBy::Rules);
    story.chain.clock.advance(DAY);
    assert_eq!(worded("304.00").await, WordedBy::Gemini);
    assert_eq!(story.gemini.count(), 3);

    // The double counts 500 tokens for each.
    let story = Story::begin(&[("ai.tokens_per_day", "501")]).await;
    let worded = async |amount: &str| story.find("Furniture", amount).await.worded_by;
    assert_eq!(worded("301.00").await, WordedBy::Gemini);
    assert_eq!(worded("302.00").await, WordedBy::Gemini);
    assert_eq!(worded("303.00").await, WordedBy::Rules);
    assert_eq!(story.gemini.count(), 2);
}

#[tokio::test]
async fn the_same_is_asked_once() {
    let story = Story::begin(&[]).await;
    let made_up = json!({"title": "{payee}", "message": "5.00 USD"}).to_string();
    story
        .gemini
        .next([Reply::Around("Look: ", ""), Reply::Text("STOP", made_up)]);
    let found = story.find("Furniture", "300.00").await;
    assert_eq!(found.insight.title, "Look: Furniture: charged twice?");
    // The names are not a part of the question.
    let found = story.find("Carpenter", "300.00").await;
    assert_eq!(found.insight.title, "Look: Carpenter: charged twice?");
    assert_eq!(story.gemini.count(), 1);
    // What cannot be used is not asked for again either.
    is_of_the_rules(
        &story.find("Furniture", "310.00").await,
        "Furniture",
        "310.00",
    );
    is_of_the_rules(
        &story.find("Carpenter", "310.00").await,
        "Carpenter",
        "310.00",
    );
    assert_eq!(story.gemini.count(), 2);
    // Nor is anybody asked when there is nothing new.
    story.pay("Baker", "2.00").await;
    assert_eq!(story.look().await, Looked::Found(0));
    assert_eq!(story.gemini.count(), 2);
}

#[tokio::test]
async fn whoever_changes_their_mind_or_leaves_meanwhile_gets_no_words() {
    let story = Story::begin(&[]).await;
    story.pay_twice("Furniture", "300.00").await;
    story.gemini.next([Reply::WhenTold, Reply::WhenTold]);
    let meanwhile = async {
        story.gemini.asked().await;
        story.allow(false).await;
        story.gemini.tell();
    };
    let (looked, ()) = tokio::join!(story.look(), meanwhile);
    assert_eq!(looked, Looked::Found(1));
    is_of_the_rules(&story.listed().await[0], "Furniture", "300.00");

    story.allow(true).await;
    story.pay_twice("Carpenter", "310.00").await;
    let meanwhile = async {
        story.gemini.asked().await;
        let (store, user_id) = (&story.chain.store, story.ada.user_id);
        let said = event_log::positions_of(store.reads(), user_id).await;
        let said = said.expect("positions");
        let unit =
            store.write(move |tx| async move { erasure::erase(&tx, user_id, &said, noon()).await });
        unit.await.expect("erased");
        story.gemini.tell();
    };
    let (looked, ()) = tokio::join!(story.look(), meanwhile);
    assert_eq!(looked, Looked::Nothing);
    assert_eq!(story.listed().await, []);
    assert_eq!(story.gemini.count(), 2);
    assert_eq!(story.look().await, Looked::Nothing);
    assert_eq!(story.gemini.count(), 2);
}

#[tokio::test]
async fn words_are_of_the_figures_that_they_were_found_for() {
    let story = Story::begin(&[]).await;
    let months = [
        ("2025-11-07", "12.99"),
        ("2025-12-07", "12.99"),
        ("2026-01-07", "12.99"),
    ];
    let pay = async |date: &str, amount: &str| {
        let (amount, date) = (
            AmountText::Text(amount.to_owned()),
            date.parse::<NaiveDate>(),
        );
        let date = date.expect("a day");
        let mut draft = Draft::new(story.ada.wallet_id, TransactionType::Expense, amount, date);
        draft.payee = Some("Streaming".to_owned());
        story.chain.book(story.ada, draft).await;
    };
    for (date, amount) in months {
        pay(date, amount).await;
    }
    story.gemini.next([Reply::WhenTold]);
    let meanwhile = async {
        story.gemini.asked().await;
        pay("2026-02-07", "12.98").await;
        story.gemini.tell();
    };
    let (looked, ()) = tokio::join!(story.look(), meanwhile);
    assert_eq!(looked, Looked::Found(1));
    let found = story.listed().await.remove(0);
    assert_eq!(found.insight.facts["amount"], "12.98");
    assert_eq!(found.worded_by, WordedBy::Rules);
    assert!(found.insight.message.contains("12.98"), "{found:?}");
}

#[tokio::test]
async fn clients_say_whether_they_want_it_and_see_whose_words_they_read() {
    let gemini = Gemini::start();
    let set = [
        ("insights.every_ms", "20"),
        ("ai.url", &*gemini.url),
        ("ai.gemini_api_key", KEY),
    ];
    let world = World::with(&set, Clock::system()).await;
    let ada = world.register("ada").await;
    assert_eq!(ada.get("/v1/me").await.expect(200).body["ai"], false);
    for bad in [json!({"ai": null}), json!({"ai": "yes"}), json!({"ai": 1})] {
        let answer = ada.patch("/v1/me", &bad).await;
        assert!([400, 422].contains(&answer.status), "{answer:?}");
    }
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let buy = |payee: &str, amount: &str| json!({"wallet_id": wallet, "type": "expense", "amount": amount, "payee": payee});
    ada.post("/v1/transactions", &buy("Dentist", "80"))
        .await
        .expect(201);
    let (store, ada_id) = (world.store().await, ada.id.parse().expect("an id"));
    until("a look", async || {
        let look = insights::last_look(store.reads(), ada_id).await;
        look.expect("the database").is_some()
    })
    .await;
    ada.post("/v1/transactions", &buy("Dentist", "80"))
        .await
        .expect(201);
    until("an insight", async || {
        !ada.all("/v1/insights", 1).await.is_empty()
    })
    .await;
    let found = ada.all("/v1/insights", 1).await.remove(0);
    assert_eq!(found["worded_by"], "rules");
    assert_eq!(gemini.count(), 0);

    let me = ada.patch("/v1/me", &json!({"ai": true})).await.expect(200);
    assert_eq!(me.body["ai"], true);
    assert_eq!(ada.get("/v1/me").await.expect(200).body["ai"], true);
    gemini.next([Reply::Around("Hm: ", " Look at it!")]);
    for _ in 0..2 {
        ada.post("/v1/transactions", &buy("Optician", "90"))
            .await
            .expect(201);
    }
    let alert = ada.alerts(2).await.remove(0);
    let found = ada.all("/v1/insights", 1).await.remove(0);
    assert_eq!(found["worded_by"], "gemini");
    assert_eq!(found["title"], "Hm: Optician: charged twice?");
    assert_eq!(found["facts"]["amount"], "90.00");
    assert_eq!(alert["title"], found["title"]);
    assert_eq!(alert["message"], found["message"]);
    assert_eq!(gemini.count(), 1);
}

#[tokio::test]
async fn the_log_tells_the_operator_what_to_do_and_nobody_the_key() {
    let gemini = Gemini::start();
    let folder = TempDir::new().expect("a folder");
    let wrong = "wr0ng-S3CR3T";
    let set = [
        ("insights.every_ms", "20"),
        ("ai.url", &*gemini.url),
        ("ai.gemini_api_key", wrong),
        ("log.level", "debug"),
    ];
    let process = Process::start(folder.path(), &set).await;
    let ada = process.register("canary").await;
    ada.patch("/v1/me", &json!({"ai": true})).await.expect(200);
    let wallet = ada.wallet("Checking", "USD", "0").await;
    for amount in ["80", "80", "90", "90"] {
        let buy =
            json!({"wallet_id": wallet, "type": "expense", "amount": amount, "payee": "Optician"});
        ada.post("/v1/transactions", &buy).await.expect(201);
    }
    until("insights", async || {
        ada.all("/v1/insights", 1).await.len() == 2
    })
    .await;
    let open: u32 = process.metric("wealth_ai_breaker_open").await;
    assert_eq!(open, 1);
    let asked: u32 = process
        .metric("wealth_ai_requests_total{outcome=\"not_set_up\"}")
        .await;
    assert_eq!(asked, 1);
    let metrics = process.internal_text("/metrics").await;
    assert!(!metrics.contains("S3CR3T"), "{metrics}");
    let told = "gemini: insights keep the rules' words; look at ai.gemini_api_key, ai.model and the project of the key";
    let lines = process.logged(told);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["level"], "ERROR");
    assert_eq!(
        lines[0]["fault"],
        "it refuses the key, the project or the model: HTTP 400 API_KEY_INVALID"
    );
    let (lines, errors) = process.stop().await;
    let all = lines.join("\n") + &errors;
    assert!(!all.contains("S3CR3T"), "the key is in the log");
    assert_eq!(gemini.count(), 1);
}
