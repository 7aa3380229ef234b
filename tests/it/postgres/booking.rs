//! A booking is one round trip, those that come together share it, and what is unusual takes the longer
//! way.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use tokio::time::timeout;
use uuid::Uuid;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::store::at_once::KeptAnswer;
use wealth_companion::store::event_log::LogPosition;
use wealth_companion::store::idempotency::{self, KeyedRequest};
use wealth_companion::store::transactions::{self, Amendment, Draft};
use wealth_companion::store::{StoreError, categories, users, wallets};

use super::proxy::Proxy;
use super::slow::Slow;
use crate::support::chain::{Household, day, expense};
use crate::support::recount::number;
use crate::support::{Chain, recount, stack};

/// How long bookings may take that have nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn book(
    chain: &Chain,
    who: Household,
    draft: &Draft,
    key: Option<&str>,
) -> Result<Option<LogPosition>, StoreError> {
    let kept = key.map(|key| KeptAnswer {
        request: KeyedRequest {
            key: key.to_owned(),
            request_hash: [7; 32],
        },
        head: "{\"position\":\"".to_owned(),
        tail: "\"}".to_owned(),
    });
    chain.book_at_once(who, draft, kept).await
}

/// The other way, where a wallet is held by somebody else.
async fn book_anyhow(chain: &Chain, who: Household, draft: &Draft) {
    if book(chain, who, draft, None)
        .await
        .expect("booked")
        .is_none()
    {
        let (act, id) = (chain.act(who), chain.ids.v7(chain.clock.now()));
        let draft = draft.clone();
        let unit = chain
            .store
            .write(move |tx| async move { transactions::book(&tx, act, id, draft).await });
        unit.await.expect("booked");
    }
}

/// Holds the wallet of somebody.
fn held(who: Household) -> String {
    let id = who.wallet_id;
    format!("SELECT 1 FROM wallets WHERE id = '{id}' FOR NO KEY UPDATE")
}

#[tokio::test]
async fn a_wallet_that_is_held_stops_no_other() {
    let chain = Chain::on_postgres(&[]).await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    let slow = Slow::with(&chain, held(ada)).await;
    let of_ada = expense(ada, "1.00", day("2026-02-10"));
    let of_bob = expense(bob, "1.00", day("2026-02-10"));
    let together = (0..40).map(|index| {
        let (who, draft) = if index % 2 == 0 {
            (ada, &of_ada)
        } else {
            (bob, &of_bob)
        };
        book(&chain, who, draft, None)
    });
    let verdicts = timeout(PATIENCE, join_all(together)).await;
    let verdicts = verdicts.expect("nobody waits for her");
    for (index, verdict) in verdicts.iter().enumerate() {
        let place = verdict.as_ref().expect("booked, or passed over");
        assert_eq!(place.is_some(), index % 2 == 1, "{index}");
    }
    slow.end().await;
}

/// What is refused has its batch written once more, by halves: they are as patient as the batch was.
#[tokio::test]
async fn a_wallet_that_is_held_stops_no_other_where_one_is_refused() {
    let chain = Chain::on_postgres(&[]).await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    let eve = chain.household("eve").await;
    // Her wallet is as full as can be: what she earns does not fit.
    chain.set_balance(eve, 4_000_000_000_000_000_000).await;
    let slow = Slow::with(&chain, held(ada)).await;
    let of_ada = expense(ada, "1.00", day("2026-02-10"));
    let of_bob = expense(bob, "1.00", day("2026-02-10"));
    let mut too_much = expense(eve, "1.00", day("2026-02-10"));
    too_much.transaction_type = TransactionType::Income;
    // The first is written alone; behind it Ada and Eve meet in a batch.
    let together = (0..40).map(|index| match index % 4 {
        1 => book(&chain, ada, &of_ada, None),
        2 => book(&chain, eve, &too_much, None),
        _ => book(&chain, bob, &of_bob, None),
    });
    let verdicts = timeout(PATIENCE, join_all(together)).await;
    let verdicts = verdicts.expect("nobody waits for her");
    for (index, verdict) in verdicts.iter().enumerate() {
        let is_right = match index % 4 {
            1 => matches!(verdict, Ok(None)),
            2 => matches!(verdict, Err(StoreError::Invalid { .. })),
            _ => matches!(verdict, Ok(Some(_))),
        };
        assert!(is_right, "{index}: {verdict:?}");
    }
    slow.end().await;
}

#[tokio::test]
async fn a_booking_is_one_round_trip() {
    let proxy = Proxy::start().await;
    let url = proxy.database_url(&stack::fresh_database());
    let chain = Chain::at(
        &url,
        &[
            ("bus.kind", "kafka"),
            ("database.write_connections_max", "1"),
        ],
    )
    .await;
    let ada = chain.household("ada").await;
    let draft = expense(ada, "1.00", day("2026-02-10"));
    // The first of each reads what is to be known, and prepares the statement.
    for key in [None, Some("first")] {
        book(&chain, ada, &draft, key)
            .await
            .expect("booked")
            .expect("at once");
    }
    for key in [None, Some("second"), None, Some("third")] {
        let before = proxy.round_trips();
        book(&chain, ada, &draft, key)
            .await
            .expect("booked")
            .expect("at once");
        assert_eq!(proxy.round_trips() - before, 1, "{key:?}");
    }
    assert_eq!(
        number(chain.store.reads(), "SELECT COUNT(*) FROM outbox").await,
        6
    );
    assert_eq!(
        number(chain.store.reads(), "SELECT COUNT(*) FROM event_log").await,
        6
    );
    assert_eq!(
        number(chain.store.reads(), "SELECT COUNT(*) FROM transactions").await,
        6
    );
    let balance = "SELECT balance_minor FROM wallets";
    assert_eq!(number(chain.store.reads(), balance).await, 100_000 - 600);
}

#[tokio::test]
async fn the_answer_that_is_kept_tells_the_place() {
    let chain = Chain::on_postgres(&[]).await;
    let ada = chain.household("ada").await;
    let draft = expense(ada, "1.00", day("2026-02-10"));
    let place = book(&chain, ada, &draft, Some("key"))
        .await
        .expect("booked")
        .expect("at once");
    let request = KeyedRequest {
        key: "key".to_owned(),
        request_hash: [7; 32],
    };
    let kept = idempotency::find(chain.store.reads(), ada.user_id, &request).await;
    let kept = String::from_utf8(kept.expect("read").expect("kept")).expect("UTF-8");
    assert_eq!(kept, format!("{{\"position\":\"{place}\"}}"));

    // A key that was used writes nothing.
    assert_eq!(
        book(&chain, ada, &draft, Some("key")).await.expect("read"),
        None
    );
    assert_eq!(
        number(chain.store.reads(), "SELECT COUNT(*) FROM transactions").await,
        1
    );
}

#[tokio::test]
async fn what_is_unusual_writes_nothing_and_takes_the_longer_way() {
    let chain = Chain::on_postgres(&[]).await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    let draft = expense(ada, "1.00", day("2026-02-10"));
    book(&chain, ada, &draft, None)
        .await
        .expect("booked")
        .expect("at once");

    // The category has another name by now: the event must not tell the old one.
    let now = chain.clock.now();
    let change = categories::CategoryChange {
        name: Some("Food".to_owned()),
        parent_id: None,
        color: None,
        icon: None,
    };
    chain
        .store
        .write(move |tx| async move {
            categories::change(&tx, ada.user_id, ada.category_id, None, change, now).await
        })
        .await
        .expect("renamed");
    assert_eq!(book(&chain, ada, &draft, None).await.expect("read"), None);
    book(&chain, ada, &draft, None)
        .await
        .expect("booked")
        .expect("at once, with the new name");
    let log = chain.log().await;
    assert!(log[0].envelope.contains("\"Groceries\"") && log[1].envelope.contains("\"Food\""));

    // A wallet or a category of somebody else, or of nobody; an amount that the currency does not have.
    let of_bob = expense(bob, "1.00", day("2026-02-10"));
    let mut nobodys = draft.clone();
    nobodys.wallet_id = Uuid::nil();
    let mut foreign_category = draft.clone();
    foreign_category.category_id = Some(bob.category_id);
    let too_fine = expense(ada, "1.001", day("2026-02-10"));
    for draft in [of_bob, nobodys, foreign_category, too_fine] {
        assert_eq!(book(&chain, ada, &draft, None).await.expect("read"), None);
    }
    assert_eq!(
        number(chain.store.reads(), "SELECT COUNT(*) FROM transactions").await,
        2
    );
    chain.settle().await;
    recount::recount_of(&chain.store).await.agrees();
}

#[tokio::test]
async fn bookings_that_come_together_share_a_commit() {
    let chain = Chain::on_postgres(&[("bus.kind", "kafka")]).await;
    let ada = chain.household("ada").await;
    let draft = expense(ada, "1.00", day("2026-02-10"));
    let together = join_all((0..40).map(|_| book(&chain, ada, &draft, None))).await;
    assert_eq!(together.iter().flatten().flatten().count(), 40);
    for (text, most) in [("COUNT(DISTINCT xid)", 20), ("COUNT(*)", 40)] {
        let text = format!("SELECT {text} FROM outbox");
        let found = number(chain.store.reads(), &text).await;
        assert!(found <= most, "{text}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bookings_that_move_between_wallets_meet_others_without_a_deadlock() {
    let chain = Chain::on_postgres(&[]).await;
    let ada = chain.household("ada").await;
    let mut second = ada;
    second.wallet_id = chain.ids.v7(chain.clock.now());
    let wallet = {
        let mut wallet = wallets::get(chain.store.reads(), ada.user_id, ada.wallet_id)
            .await
            .expect("a wallet");
        (wallet.id, wallet.name) = (second.wallet_id, "Savings".to_owned());
        wallet
    };
    let unit = chain
        .store
        .write(move |tx| async move { wallets::create(&tx, ada.user_id, &wallet).await });
    unit.await.expect("a wallet");
    let booked = [
        chain.spend(ada, "1.00", "2026-02-10").await.id,
        chain.spend(second, "1.00", "2026-02-10").await.id,
    ];
    let moves = |id: Uuid, first: Household, then: Household| {
        let chain = &chain;
        async move {
            for round in 0..40 {
                let to = if round % 2 == 0 { then } else { first };
                let act = chain.act(ada);
                let amendment = Amendment {
                    wallet_id: Some(to.wallet_id),
                    ..Amendment::default()
                };
                let unit = chain.store.write(move |tx| async move {
                    transactions::amend(&tx, act, id, None, amendment).await
                });
                unit.await.expect("moved");
            }
        }
    };
    let books = || async {
        for _ in 0..20 {
            let drafts = [ada, second].map(|who| expense(who, "1.00", day("2026-02-10")));
            let both = drafts.iter().map(|draft| book_anyhow(&chain, ada, draft));
            join_all(both).await;
        }
    };
    tokio::join!(
        moves(booked[0], ada, second),
        moves(booked[1], second, ada),
        books(),
        books(),
        books(),
    );
    let balances = "SELECT SUM(balance_minor)::bigint FROM wallets";
    assert_eq!(
        number(chain.store.reads(), balances).await,
        200_000 - 12_200
    );
}

#[tokio::test]
async fn what_fails_has_let_go_when_it_says_so() {
    let chain = Chain::on_postgres(&[]).await;
    let ada = chain.household("ada").await;
    for round in 0..100 {
        let refused = chain.store.write(move |tx| async move {
            users::hold(&tx, ada.user_id).await?;
            Err::<(), _>(StoreError::NotFound("reason"))
        });
        refused.await.expect_err("refused");
        let at_once = chain.store.write(move |tx| async move {
            let text = format!(
                "SELECT 1 FROM users WHERE id = '{}' FOR NO KEY UPDATE NOWAIT",
                ada.user_id
            );
            tx.execute_unprepared(&text).await?;
            Ok(())
        });
        at_once
            .await
            .unwrap_or_else(|error| panic!("{round}: {error}"));
    }
}
