//! Sums that are counted anew, and accounts that are erased, while others write.

use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::wallet::WalletType;
use wealth_companion::store::audit::Audit;
use wealth_companion::store::transactions::{self, Amendment};
use wealth_companion::store::wallets::{self, Wallet, WalletChange};
use wealth_companion::store::{at_once, erasure, sessions};

use super::slow::Slow;
use crate::support::Chain;
use crate::support::chain::{Household, day, expense};
use crate::support::recount::number;

/// How long somebody may take to get to a lock.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns when so many wait for a lock in the chain's database.
async fn until_waiting(chain: &Chain, count: i64) {
    let text = "SELECT COUNT(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = async {
        while number(chain.store.reads(), text).await < count {
            tokio::task::yield_now().await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{count} do not wait for a lock"));
}

async fn change(chain: &Chain, text: &'static str) {
    let unit = chain.store.write(move |tx| async move {
        tx.execute_unprepared(text).await?;
        Ok(())
    });
    unit.await.expect(text);
}

fn savings(chain: &Chain) -> Wallet {
    let now = chain.clock.now();
    let nothing = Money::new(0, Currency::parse("USD").expect("a currency"));
    Wallet::new(
        chain.ids.v7(now),
        "Savings".to_owned(),
        WalletType::Bank,
        nothing,
        now,
    )
}

/// Who counts everybody's sums anew.
#[derive(Debug, Clone, Copy)]
enum Count {
    Repair,
    Rebuild,
}

impl Count {
    fn start(self, chain: &Chain) -> JoinHandle<()> {
        let (store, now) = (chain.store.clone(), chain.clock.now());
        tokio::spawn(async move {
            let audit = Audit::new(&store);
            match self {
                Self::Repair => {
                    let report = audit.run(true, now, |_| {}).await.expect("counted");
                    assert!(report.found > 0 && report.left() == 0, "{report:?}");
                }
                Self::Rebuild => {
                    audit.rebuild(now, |_| {}).await.expect("counted");
                }
            }
        })
    }
}

/// What somebody does meanwhile.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    /// A wallet that comes now would be none of those that are held: its bookings would not wait.
    MakesAWallet,
    /// The balance stays.
    MovesTheDay,
    Removes,
    Books,
    BooksAtOnce,
}

impl Meanwhile {
    fn start(self, chain: &Chain, who: Household, booked: Uuid) -> JoinHandle<()> {
        let (act, id) = (chain.act(who), chain.ids.v7(chain.clock.now()));
        let (store, wallet) = (chain.store.clone(), savings(chain));
        tokio::spawn(async move {
            if matches!(self, Self::BooksAtOnce) {
                let draft = expense(who, "3.00", day("2026-02-04"));
                let ready = at_once::prepare(&store, act, id, &draft).await;
                let ready = ready.expect("read").expect("nothing is unusual");
                let place = at_once::book(&store, &ready, None).await;
                // Its wallet is held: it waits on the other way.
                assert_eq!(place.expect("passed over"), None);
            }
            let unit = store.write(move |tx| async move {
                match self {
                    Self::MakesAWallet => wallets::create(&tx, act.user_id, &wallet).await,
                    Self::MovesTheDay => {
                        let amendment = Amendment {
                            date: Some(day("2026-01-03")),
                            ..Amendment::default()
                        };
                        let amended = transactions::amend(&tx, act, booked, None, amendment);
                        amended.await.map(drop)
                    }
                    Self::Removes => transactions::delete(&tx, act, booked, None).await.map(drop),
                    Self::Books | Self::BooksAtOnce => {
                        let draft = expense(who, "3.00", day("2026-02-04"));
                        transactions::book(&tx, act, id, draft).await.map(drop)
                    }
                }
            });
            unit.await.expect("done");
        })
    }
}

/// What is changed while sums are counted waits, and is added to them afterwards.
async fn waits(count: Count, meanwhile: Meanwhile) {
    let chain = Chain::on_postgres(&[]).await;
    let ada = chain.household("ada").await;
    chain.budget(ada, 10_000).await;
    chain.spend(ada, "25.00", "2026-02-10").await;
    let booked = chain.spend(ada, "10.00", "2026-02-03").await.id;
    chain.settle().await;
    change(&chain, "UPDATE monthly_totals SET amount_minor = 7").await;
    // It has counted, and does not come to write the sums.
    let slow = Slow::with(&chain, "LOCK TABLE monthly_totals IN EXCLUSIVE MODE").await;
    let counting = count.start(&chain);
    until_waiting(&chain, 1).await;
    let mut changing = meanwhile.start(&chain, ada, booked);
    tokio::select! {
        () = until_waiting(&chain, 2) => {}
        done = &mut changing => panic!("{meanwhile:?} beside {count:?}: {done:?}"),
    }

    slow.end().await;
    counting.await.expect("counted");
    changing.await.expect("changed");
    chain.settle().await;
    let audit = Audit::new(&chain.store);
    let report = audit.run(false, chain.clock.now(), |_| {}).await;
    let report = report.expect("counted");
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
}

#[tokio::test]
async fn no_wallet_is_made_beside_a_count() {
    waits(Count::Repair, Meanwhile::MakesAWallet).await;
    waits(Count::Rebuild, Meanwhile::MakesAWallet).await;
}

#[tokio::test]
async fn no_booking_is_moved_beside_a_count() {
    waits(Count::Repair, Meanwhile::MovesTheDay).await;
    waits(Count::Rebuild, Meanwhile::MovesTheDay).await;
}

#[tokio::test]
async fn no_booking_is_removed_beside_a_count() {
    waits(Count::Repair, Meanwhile::Removes).await;
    waits(Count::Rebuild, Meanwhile::Removes).await;
}

#[tokio::test]
async fn nothing_is_booked_beside_a_count() {
    waits(Count::Repair, Meanwhile::Books).await;
    waits(Count::Rebuild, Meanwhile::Books).await;
    waits(Count::Repair, Meanwhile::BooksAtOnce).await;
    waits(Count::Rebuild, Meanwhile::BooksAtOnce).await;
}

#[tokio::test]
async fn an_erasure_lets_a_booking_through_that_has_begun() {
    let chain = Chain::on_postgres(&[]).await;
    let ada = chain.household("ada").await;
    let draft = expense(ada, "3.00", day("2026-02-04"));
    let (act, id) = (chain.act(ada), chain.ids.v7(chain.clock.now()));
    // It has its wallet, as every booking has before anything else of it is written.
    let (holding, held) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let store = chain.store.clone();
    let booking = tokio::spawn(async move {
        let unit = store.write(move |tx| async move {
            let text = "UPDATE wallets SET balance_minor = balance_minor";
            tx.execute_unprepared(text).await?;
            let _ = holding.send(());
            let _ = released.await;
            transactions::book(&tx, act, id, draft).await.map(drop)
        });
        unit.await
    });
    held.await.expect("the wallet is held");
    let (store, now) = (chain.store.clone(), chain.clock.now());
    let erasure = tokio::spawn(async move {
        let unit = store.write(move |tx| async move {
            let said = &[];
            erasure::erase(&tx, ada.user_id, said, now).await
        });
        unit.await
    });
    until_waiting(&chain, 1).await;

    release.send(()).expect("it waits");
    booking.await.expect("no panic").expect("booked");
    erasure.await.expect("no panic").expect("erased");
    for table in ["users", "wallets", "transactions", "event_log"] {
        let text = format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(number(chain.store.reads(), &text).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_wallet_that_is_renamed_loses_no_booking() {
    let chain = Chain::on_postgres(&[]).await;
    let ada = chain.household("ada").await;
    // The booking is made, and not committed, when somebody renames the wallet.
    let text = "UPDATE wallets SET balance_minor = balance_minor - 300";
    let booking = Slow::with(&chain, text).await;
    let (store, now) = (chain.store.clone(), chain.clock.now());
    let mut renaming = tokio::spawn(async move {
        let change = WalletChange {
            name: Some("Daily".to_owned()),
            wallet_type: None,
            opening_balance: None,
            archived: None,
        };
        let unit = store.write(move |tx| async move {
            wallets::change(&tx, ada.user_id, ada.wallet_id, None, change, now).await
        });
        unit.await.expect("renamed")
    });
    tokio::select! {
        () = until_waiting(&chain, 1) => {}
        done = &mut renaming => panic!("renamed beside the booking: {done:?}"),
    }
    booking.end().await;
    let renamed = renaming.await.expect("no panic");
    assert_eq!(renamed.balance.minor(), 99_700);
    let balance = "SELECT balance_minor FROM wallets";
    assert_eq!(number(chain.store.reads(), balance).await, 99_700);
}

#[tokio::test]
async fn an_erasure_and_the_exchange_of_a_token_do_not_wait_for_each_other() {
    let chain = Chain::on_postgres(&[]).await;
    let ada = chain.household("ada").await;
    let (now, id) = (chain.clock.now(), chain.ids.v7(chain.clock.now()));
    let expires_at = now + TimeDelta::days(1);
    let unit = chain.store.write(move |tx| async move {
        sessions::begin(&tx, id, ada.user_id, [1; 32], now, expires_at).await
    });
    unit.await.expect("signed in");
    // The exchange has got as far as the token.
    let slow = Slow::with(&chain, "LOCK TABLE refresh_tokens IN EXCLUSIVE MODE").await;
    let store = chain.store.clone();
    let exchange = tokio::spawn(async move {
        let unit = store
            .write(move |tx| async move { sessions::exchange(&tx, [1; 32], [2; 32], now).await });
        unit.await
    });
    until_waiting(&chain, 1).await;
    let store = chain.store.clone();
    let erasure = tokio::spawn(async move {
        let unit =
            store.write(move |tx| async move { erasure::erase(&tx, ada.user_id, &[], now).await });
        unit.await
    });
    until_waiting(&chain, 2).await;
    slow.end().await;
    exchange.await.expect("no panic").expect("exchanged");
    erasure.await.expect("no panic").expect("erased");
    let tokens = "SELECT COUNT(*) FROM refresh_tokens";
    assert_eq!(number(chain.store.reads(), tokens).await, 0);
}
