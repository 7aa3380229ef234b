//! Bookings that come at the same time are written together, and none is at the mercy of another.

use std::collections::HashSet;

use futures_util::future::join_all;
use uuid::Uuid;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::store::StoreError;
use wealth_companion::store::at_once::KeptAnswer;
use wealth_companion::store::event_log::LogPosition;
use wealth_companion::store::idempotency::{self, KeyedRequest};

use crate::support::chain::{Household, day, expense};
use crate::support::recount::number;
use crate::support::{Chain, recount};

fn request(index: usize) -> KeyedRequest {
    KeyedRequest {
        key: format!("key {index}"),
        request_hash: [7; 32],
    }
}

/// One of many kinds; every fourth has a key.
async fn book(
    chain: &Chain,
    (ada, bob): (Household, Household),
    index: usize,
) -> Result<Option<LogPosition>, StoreError> {
    let who = if index.is_multiple_of(6) { bob } else { ada };
    let mut draft = expense(who, "1.00", day("2026-02-10"));
    match index % 6 {
        0 => draft.transaction_type = TransactionType::Income,
        1 => draft.wallet_id = Uuid::nil(),
        2 => draft.description = Some(format!("number {index}")),
        3 => draft.category_id = None,
        _ => {}
    }
    let kept = index.is_multiple_of(4).then(|| KeptAnswer {
        request: request(index),
        head: "{".to_owned(),
        tail: "}".to_owned(),
    });
    chain.book_at_once(who, &draft, kept).await
}

#[tokio::test]
async fn each_booking_has_its_own_verdict() {
    let chain = Chain::new().await;
    let people = (chain.household("ada").await, chain.household("bob").await);
    // Bob's wallet is as full as can be: what he earns does not fit.
    chain.set_balance(people.1, 4_000_000_000_000_000_000).await;
    let verdicts = join_all((0..60).map(|index| book(&chain, people, index))).await;
    for (index, verdict) in verdicts.iter().enumerate() {
        let is_right = match index % 6 {
            0 => matches!(verdict, Err(StoreError::Invalid { field, .. }) if *field == "amount"),
            1 => matches!(verdict, Ok(None)),
            _ => matches!(verdict, Ok(Some(_))),
        };
        assert!(is_right, "{index}: {verdict:?}");
    }
    let places: HashSet<_> = verdicts.iter().flatten().flatten().collect();
    assert_eq!(places.len(), 40, "a place for each");
    for (text, is) in [
        ("SELECT COUNT(*) FROM transactions", 40),
        ("SELECT COUNT(*) FROM event_log", 40),
        ("SELECT COUNT(*) FROM idempotency_keys", 10),
        (
            "SELECT COUNT(*) FROM transactions WHERE description LIKE 'number %'",
            10,
        ),
        (
            "SELECT COUNT(*) FROM transactions WHERE category_id IS NULL",
            10,
        ),
        (
            "SELECT COUNT(*) FROM transactions WHERE payee IS NULL AND notes IS NULL AND version = 1",
            40,
        ),
    ] {
        assert_eq!(number(chain.store.reads(), text).await, is, "{text}");
    }
    // What is kept tells the place of its own booking.
    let place = verdicts[4].clone().expect("booked").expect("at once");
    let kept = idempotency::find(chain.store.reads(), people.0.user_id, &request(4)).await;
    let kept = String::from_utf8(kept.expect("read").expect("kept")).expect("UTF-8");
    assert_eq!(kept, format!("{{{place}}}"));

    chain.set_balance(people.1, 100_000).await;
    chain.settle().await;
    recount::recount_of(&chain.store).await.agrees();
}

#[tokio::test]
async fn a_key_that_comes_twice_at_once_books_once() {
    let chain = Chain::new().await;
    let people = (chain.household("ada").await, chain.household("bob").await);
    // As from two replicas: none knows that the other is at it.
    let verdicts = join_all((0..6).map(|_| book(&chain, people, 4))).await;
    let booked = verdicts.iter().filter(|it| matches!(it, Ok(Some(_))));
    assert_eq!(booked.count(), 1, "{verdicts:?}");
    let passed_over = verdicts.iter().filter(|it| matches!(it, Ok(None)));
    assert_eq!(passed_over.count(), 5, "{verdicts:?}");
    let bookings = "SELECT COUNT(*) FROM transactions";
    assert_eq!(number(chain.store.reads(), bookings).await, 1);
}
