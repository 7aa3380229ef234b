//! Going back to an earlier moment of the books, while Kafka goes on from where it is.

use tempfile::TempDir;
use wealth_companion::app::Role;
use wealth_companion::clock::Clock;
use wealth_companion::store::Store;
use wealth_companion::store::audit::Audit;

use crate::postgres::restoring::{dump, restore};
use crate::support::kafka::Kafka;
use crate::support::recount::recount_of;
use crate::support::{Stack, stack, until};

const ROLES: [Role; 3] = Role::ALL;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_before_is_not_told_again_and_what_is_lost_is_in_no_sum() {
    let mut kafka = Kafka::new().await;
    let roles = kafka.start(&ROLES).await;
    let ada = roles.register("ada").await;
    let today = Clock::system().now().date_naive().to_string();
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let (food, fun) = (
        ada.category("Groceries").await,
        ada.category("Entertainment").await,
    );
    ada.budget(&[&food], "100.00").await;
    ada.budget(&[&fun], "100.00").await;
    ada.spend(&wallet, &food, "120.00", &today).await;
    let told = ada.alerts(2).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("books.dump");
    dump(&kafka.config().database_url(), &file);
    // What the restored books will not have, is in Kafka.
    ada.spend(&wallet, &fun, "120.00", &today).await;
    ada.alerts(4).await;
    roles.stop().await;

    let restored = Stack::get().database_url(&stack::empty_database());
    restore(&file, &restored);
    kafka.use_database(&restored);
    let roles = kafka.start(&ROLES).await;
    let ada = ada.follows(&roles.url);
    // Everything that Kafka still has comes again, to the worst of both.
    kafka
        .run(&[
            "events",
            "replay",
            "--role",
            "notifier",
            "--from",
            "beginning",
            "--dry-run",
        ])
        .await
        .ended(0);
    kafka
        .run(&[
            "events",
            "replay",
            "--role",
            "projector",
            "--from",
            "beginning",
        ])
        .await
        .ended(0);
    kafka
        .run(&["events", "replay", "--role", "projector", "--rebuild"])
        .await
        .ended(0);
    kafka.run(&["verify"]).await.ended(0);
    assert_eq!(ada.alerts(2).await, told, "the same two, and no new ones");

    // Done again, it is told again.
    let again = ada.spend(&wallet, &fun, "120.00", &today).await;
    ada.alerts(4).await;
    ada.sees(&again).await;
    let store = Store::open(&kafka.config()).await.expect("it opens").0;
    until("all is handled", || async {
        recount_of(&store).await.differences.is_empty()
    })
    .await;
    let audit = Audit::new(&store);
    let report = audit.run(false, Clock::system().now(), |_| {}).await;
    assert!(report.expect("it can be verified").is_clean());
    roles.stop().await;
}
