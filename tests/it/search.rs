//! Bookings are found by what was written of them, in any of its fields, soon after; and not by what stands there no more.

use serde_json::{Value, json};
use wealth_companion::store::Store;
use wealth_companion::store::audit::{Audit, Finding};

use crate::support::chain::{Chain, day, expense};
use crate::support::recount::number;
use crate::support::{Answer, Person, World};
use wealth_companion::clock::Clock;
use wealth_companion::store::transactions::{self, Amendment, Draft};

async fn book(person: &Person, wallet: &str, more: Value) -> Answer {
    let mut body =
        json!({"wallet_id": wallet, "type": "expense", "amount": "10.00", "date": "2026-02-10"});
    for (key, value) in more.as_object().expect("fields") {
        body[key] = value.clone();
    }
    person.post("/v1/transactions", &body).await.expect(201)
}

/// What is found once the search has heard of a write.
async fn found(person: &Person, question: &str, write: &Answer) -> Vec<String> {
    person.sees(write).await;
    let page = person
        .get_after(&format!("/v1/transactions?q={question}"), write)
        .await;
    let items = page.body["items"].as_array().expect("items");
    let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
    items.iter().map(id).collect()
}

#[tokio::test]
async fn a_booking_is_found_by_each_of_its_texts_until_they_change() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let eve = world.register("eve").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let booked = book(
        &ada,
        &wallet,
        json!({
            "description": "Weekly SHOPPING", "payee": "Café Müller", "notes": "two loaves,\none with seeds",
            "tags": ["household"],
            "splits": [{"amount": "4.00", "description": "Bread"}, {"amount": "6.00"}]
        }),
    )
    .await;
    let other = book(
        &ada,
        &wallet,
        json!({"description": "shoes", "date": "2026-02-11"}),
    )
    .await;
    let id = booked.id();
    for question in [
        "weekly",
        "shop",
        "WEEK%20shop",
        "cafe",
        "m%C3%BCller",
        "MULL",
        "loaves",
        "seeds",
        "household",
        "bread",
        "bread%20cafe%20weekly",
    ] {
        assert_eq!(
            found(&ada, question, &other).await,
            [id.as_str()],
            "{question}"
        );
        assert_eq!(
            found(&eve, question, &other).await,
            Vec::<String>::new(),
            "{question}"
        );
    }
    for question in ["eekly", "shops", "cafe%20nothing", "10"] {
        assert_eq!(
            found(&ada, question, &other).await,
            Vec::<String>::new(),
            "{question}"
        );
    }
    assert_eq!(found(&ada, "sho", &other).await, [other.id(), id.clone()]);
    // Other filters narrow what is found.
    assert_eq!(
        found(&ada, "sho&from=2026-02-11", &other).await,
        [other.id()]
    );
    assert_eq!(
        found(&ada, "sho&tag=household", &other).await,
        [id.as_str()]
    );
    assert_eq!(
        found(&ada, "sho&max_amount=9.99", &other).await,
        Vec::<String>::new()
    );

    let path = format!("/v1/transactions/{id}");
    let change = json!({"payee": "Baker", "tags": [], "date": "2026-02-12"});
    let changed = ada.patch(&path, &change).await.expect(200);
    assert_eq!(found(&ada, "cafe", &changed).await, Vec::<String>::new());
    assert_eq!(
        found(&ada, "household", &changed).await,
        Vec::<String>::new()
    );
    assert_eq!(found(&ada, "baker", &changed).await, [id.as_str()]);
    assert_eq!(found(&ada, "sho", &changed).await, [id.clone(), other.id()]);
    let gone = ada.delete(&path).await.expect(204);
    assert_eq!(found(&ada, "sho", &gone).await, [other.id()]);
}

#[tokio::test]
async fn a_beginning_that_too_many_words_have_is_refused() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "0").await;
    let words = |from: usize| -> String {
        let words: Vec<String> = (from..from + 32)
            .map(|word| format!("word{word}"))
            .collect();
        words.join(" ")
    };
    book(&ada, &wallet, json!({"notes": words(100)})).await;
    let fits = book(&ada, &wallet, json!({"notes": words(200)})).await;
    assert_eq!(found(&ada, "word", &fits).await.len(), 2);
    let more = book(&ada, &wallet, json!({"notes": "wordy"})).await;
    ada.sees(&more).await;
    let refused = ada
        .get("/v1/transactions?q=word")
        .await
        .problem(422, "validation");
    assert_eq!(refused.body["errors"][0]["pointer"], "?q");
    assert_eq!(found(&ada, "word1", &more).await.len(), 1);
}

/// However the words of a question are spread, pages together have each booking once, in order.
#[tokio::test]
async fn pages_of_what_is_found_are_whole() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    for number in 0..1_300_u32 {
        let draft = Draft {
            description: Some(format!(
                "{} {number}",
                ["corner shop", "corner cafe", "other"][number as usize % 3]
            )),
            payee: (number % 100 == 0).then(|| "Rarely".to_owned()),
            ..expense(ada, "1.00", day(&format!("2026-01-{:02}", 1 + number % 28)))
        };
        chain.book(ada, draft).await;
    }
    chain.settle().await;
    let all = pages(&chain.store, ada.user_id, "", 200).await;
    assert_eq!(all.len(), 1_300);
    let is = |text: &Option<String>, word: &str| {
        text.as_ref()
            .is_some_and(|it| it.to_lowercase().contains(word))
    };
    for (question, limit) in [
        ("corner", 200),
        ("corner shop", 50),
        ("corn rarely", 1),
        ("rarely", 7),
        ("shop cafe", 50),
    ] {
        let expected: Vec<_> = all
            .iter()
            .filter(|it| {
                question
                    .split(' ')
                    .all(|word| is(&it.description, word) || is(&it.payee, word))
            })
            .map(|it| it.id)
            .collect();
        let paged = pages(&chain.store, ada.user_id, question, limit).await;
        let paged: Vec<_> = paged.iter().map(|it| it.id).collect();
        assert_eq!(paged, expected, "{question}");
    }
}

/// All pages of a list, or of what is found.
async fn pages(
    store: &Store,
    user_id: uuid::Uuid,
    question: &str,
    limit: u32,
) -> Vec<transactions::Transaction> {
    use wealth_companion::domain::search::wanted;
    use wealth_companion::store::{PageRequest, search};
    let (mut page, mut found) = (PageRequest::first(limit), Vec::new());
    let filter = transactions::Filter::default();
    for _ in 0..2_000 {
        let there = match question {
            "" => transactions::list(store.reads(), user_id, &filter, page).await,
            some => {
                let words = wanted(some).expect("words");
                search::find(store.reads(), user_id, &words, &filter, page).await
            }
        };
        let there = there.expect("a page");
        assert!(there.items.len() <= limit as usize);
        found.extend(there.items);
        match there.next {
            Some(next) => page.after = Some(next),
            None => return found,
        }
    }
    panic!("{question:?} has no end");
}

/// Words are sums of deltas, too: a booking's events may come in any order, and again.
#[tokio::test]
async fn events_out_of_order_leave_the_words_of_the_last() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let draft = Draft {
        description: Some("first words".to_owned()),
        ..expense(ada, "1.00", day("2026-02-10"))
    };
    let booked = chain.book(ada, draft).await;
    let amendment = Amendment {
        description: Some(Some("second words".to_owned())),
        ..Amendment::default()
    };
    let act = chain.act(ada);
    let id = booked.id;
    chain
        .store
        .write(move |tx| async move { transactions::amend(&tx, act, id, None, amendment).await })
        .await
        .expect("changed");
    let mut deliveries = Chain::deliveries(&chain.log().await);
    deliveries.reverse();
    for delivery in deliveries.clone().into_iter().chain(deliveries) {
        chain.projector.take(vec![delivery]).await.expect("taken");
    }
    let kept = "SELECT COUNT(*) FROM transaction_words WHERE times <> 0";
    assert_eq!(number(chain.store.reads(), kept).await, 2);
    let wrong = "SELECT COUNT(*) FROM transaction_words WHERE times NOT IN (0, 1) OR (times = 1 AND word = 'first')";
    assert_eq!(number(chain.store.reads(), wrong).await, 0);
}

#[tokio::test]
async fn words_that_are_not_those_of_the_bookings_are_found_and_written_anew() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let draft = Draft {
        description: Some("weekly shopping".to_owned()),
        ..expense(ada, "1.00", day("2026-02-10"))
    };
    chain.book(ada, draft).await;
    chain.settle().await;
    let now = Clock::system().now();
    let audit = Audit::new(&chain.store);
    assert!(
        audit
            .run(false, now, |_| {})
            .await
            .expect("counted")
            .is_clean()
    );
    for tampering in [
        "DELETE FROM transaction_words WHERE word = 'weekly'",
        "UPDATE transaction_words SET word = 'monthly' WHERE word = 'weekly'",
        "UPDATE transaction_words SET times = 2",
        "UPDATE transaction_words SET date = '2026-02-11'",
    ] {
        let unit = move |tx: wealth_companion::store::Tx| async move {
            use sea_orm::ConnectionTrait;
            tx.execute_unprepared(tampering).await?;
            Ok(())
        };
        chain.store.write(unit).await.expect(tampering);
        let report = audit.run(true, now, |_| {}).await.expect("counted");
        assert!(
            matches!(report.findings[..], [Finding::Words { .. }]),
            "{tampering}: {report:?}"
        );
        assert!(
            audit
                .run(false, now, |_| {})
                .await
                .expect("counted")
                .is_clean(),
            "{tampering}"
        );
    }
}
