//! A repair while others write.

use sea_orm::ConnectionTrait;
use tokio::sync::oneshot;
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::wallet::WalletType;
use wealth_companion::store::audit::Audit;
use wealth_companion::store::wallets::{self, Wallet};

use crate::support::Chain;
use crate::support::chain::Household;
use crate::support::recount::number;

/// Returns when so many wait for a lock in the chain's database.
async fn until_waiting(chain: &Chain, count: i64) {
    let text = "SELECT COUNT(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while number(chain.store.reads(), text).await < count {
        tokio::task::yield_now().await;
    }
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
    Wallet {
        id: chain.ids.v7(now),
        name: "Savings".to_owned(),
        wallet_type: WalletType::Bank,
        opening_balance: nothing,
        balance: nothing,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

#[tokio::test]
async fn no_wallet_is_made_beside_a_repair() {
    let chain = Chain::on_postgres(&[]).await;
    let Household { user_id, .. } = chain.household("ada").await;
    change(&chain, "UPDATE wallets SET balance_minor = 7").await;

    // Somebody changes the wallet and takes their time: the repair waits for it.
    let (holding, held) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let store = chain.store.clone();
    let slow = tokio::spawn(async move {
        let unit = store.write(move |tx| async move {
            let text = "UPDATE wallets SET name = 'Daily'";
            tx.execute_unprepared(text).await?;
            let _ = holding.send(());
            let _ = released.await;
            Ok(())
        });
        unit.await
    });
    held.await.expect("the wallet is held");
    let (store, now) = (chain.store.clone(), chain.clock.now());
    let repair = tokio::spawn(async move { Audit::new(&store).run(true, now, |_| {}).await });
    until_waiting(&chain, 1).await;

    // A wallet that came now would be none of those that the repair holds: its bookings would not wait.
    let (store, wallet) = (chain.store.clone(), savings(&chain));
    let mut making = tokio::spawn(async move {
        let unit =
            store.write(move |tx| async move { wallets::create(&tx, user_id, &wallet).await });
        unit.await
    });
    tokio::select! {
        () = until_waiting(&chain, 2) => {}
        made = &mut making => panic!("made beside the repair: {made:?}"),
    }

    release.send(()).expect("somebody holds the wallet");
    slow.await.expect("no panic").expect("renamed");
    let report = repair.await.expect("no panic").expect("counted");
    assert_eq!((report.found, report.repaired), (1, 1));
    making.await.expect("no panic").expect("made");
    let wallets = "SELECT COUNT(*) FROM wallets";
    assert_eq!(number(chain.store.reads(), wallets).await, 2);
}
