//! What a batch of the projector costs on the way to the server.

use std::sync::Arc;

use chrono::{Days, NaiveDate};
use wealth_companion::bus::{Handler, Heard, Outcome};
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::events::catalogue::TransactionCreated;
use wealth_companion::events::{Event, Source};
use wealth_companion::projector::Projector;

use super::proxy::Proxy;
use crate::support::chain::{Household, day};
use crate::support::recount::number;
use crate::support::{Chain, stack};

/// What a record of TLS carries.
const RECORD_BYTES: u64 = 16_384;

async fn behind(proxy: &Proxy) -> Chain {
    let url = proxy.database_url(&stack::fresh_database());
    Chain::at(&url, &[("database.write_connections_max", "1")]).await
}

pub(super) fn projector(chain: &Chain) -> Projector {
    Projector::new(chain.store.clone(), chain.clock.clone(), chain.ids.clone())
}

/// An expense of a dollar that the projector hears of.
pub(super) fn dollar(chain: &Chain, who: Household, date: NaiveDate) -> Heard {
    let (act, usd) = (chain.act(who), Currency::parse("USD").expect("a currency"));
    let transaction_id = chain.ids.v7(act.now);
    let data = TransactionCreated {
        transaction_id,
        user_id: who.user_id,
        amount: Money::new(100, usd).into(),
        currency: usd,
        transaction_type: TransactionType::Expense,
        category: Some("Groceries".to_owned()),
        category_id: Some(who.category_id),
        splits: Vec::new(),
        description: None,
        payee: None,
        notes: None,
        tags: Vec::new(),
        to_wallet_id: None,
        to_amount: None,
        to_currency: None,
        wallet_id: who.wallet_id,
        date,
        timestamp: act.now,
        version: 1,
    };
    let event = Event::new(
        act.event_id,
        Source::Api,
        transaction_id,
        act.now,
        act.cause,
        data,
    );
    Heard {
        payload: event.to_json().expect("JSON").into_bytes(),
        event,
        position: None,
        span_id: chain.ids.span_id(),
    }
}

#[tokio::test]
async fn batches_of_all_sizes_are_the_same_few_statements() {
    let proxy = Proxy::start().await;
    let chain = behind(&proxy).await;
    let ada = chain.household("ada").await;
    let projector = projector(&chain);
    let batch = |size: u64| -> Arc<[Heard]> {
        let first = day("2026-02-01");
        (0..size)
            .map(|index| dollar(&chain, ada, first + Days::new(index)))
            .collect()
    };
    // The first prepares the statements.
    projector.handle(batch(2)).await.expect("projected");
    for size in [1, 3, 20, 100] {
        let before = proxy.round_trips();
        projector.handle(batch(size)).await.expect("projected");
        // Between begin and commit: the users, the inbox, the budgets, the months, the days.
        assert_eq!(proxy.round_trips() - before, 7, "a batch of {size}");
    }
}

#[tokio::test]
async fn a_large_batch_goes_in_pieces_and_counts_each_event_once() {
    let proxy = Proxy::start().await;
    let chain = behind(&proxy).await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    for who in [ada, bob] {
        chain.budget(who, 1_000).await;
    }
    let first = day("2023-01-01");
    let mut batch: Vec<Heard> = (0..1_000)
        .map(|index| {
            let who = if index % 2 == 0 { ada } else { bob };
            dollar(&chain, who, first + Days::new(index / 2))
        })
        .collect();
    // The last come again what came first: in another piece of what the inbox is told.
    let again: Vec<Heard> = batch[..100].to_vec();
    batch.extend(again);
    let outcomes = projector(&chain).handle(batch.into()).await;
    let outcomes = outcomes.expect("projected");
    let (new, known) = outcomes.split_at(1_000);
    assert!(new.iter().all(|it| *it == Outcome::Handled));
    assert!(known.iter().all(|it| *it == Outcome::Duplicate));
    let largest = proxy.largest_message();
    assert!(largest < RECORD_BYTES, "{largest} bytes in one message");

    for (text, is) in [
        ("SELECT COUNT(*) FROM inbox", 1_000),
        ("SELECT SUM(bookings)::bigint FROM monthly_totals", 1_000),
        (
            "SELECT SUM(amount_minor)::bigint FROM monthly_totals",
            100_000,
        ),
        ("SELECT COUNT(*) FROM daily_spending", 1_000),
        (
            "SELECT SUM(amount_minor)::bigint FROM daily_spending",
            100_000,
        ),
        (
            "SELECT SUM(spent_minor)::bigint FROM budget_periods",
            100_000,
        ),
        // 500 days are 17 months, in each of which both budgets reach 80 and 100 percent.
        ("SELECT COUNT(*) FROM budget_crossings", 2 * 17 * 2),
        ("SELECT COUNT(*) FROM event_log", 2 * 17 * 2),
    ] {
        assert_eq!(number(chain.store.reads(), text).await, is, "{text}");
    }
}
