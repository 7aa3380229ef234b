//! Events on their way: who is pending, and that nothing is told or repaired too early.

use super::books::{Books, day};
use super::{Audit, Finding};
use crate::domain::transaction::TransactionType::{Expense, Income};

#[tokio::test]
async fn whose_bookings_are_on_their_way_is_pending_and_left_alone() {
    let books = Books::open().await;
    let quiet = books.person("a@example.org").await;
    let person = books.person("b@example.org").await;
    books
        .book(
            person,
            person.cash,
            Expense,
            "2.00",
            day(11, 5),
            Some(person.food),
        )
        .await;
    books.publish().await;
    let report = books.audit(true).await;
    assert!(report.is_clean() && !report.is_complete());
    assert_eq!((report.pending_users, report.pending), (1, vec![person.id]));
    assert_eq!((report.users, report.budget_periods), (2, 5));

    // The balance can be told at any time; nothing is repaired beside what is on its way.
    for tampered in [quiet, person] {
        books
            .tamper(
                "UPDATE wallets SET balance_minor = 0 WHERE id = $1",
                [tampered.bank.into()],
            )
            .await;
        books
            .tamper(
                "UPDATE daily_spending SET amount_minor = 1 WHERE user_id = $1",
                [tampered.id.into()],
            )
            .await;
    }
    let report = books.audit(true).await;
    assert_eq!((report.pending_users, report.left()), (1, 1));
    assert_eq!(
        report.findings.last(),
        Some(&Finding::WalletBalance {
            user_id: person.id,
            wallet_id: person.bank,
            kept_minor: 0,
            counted_minor: 90_550,
        })
    );
    assert_eq!(books.repair_now(person.id).await, 0);

    books.settle().await;
    let report = books.audit(true).await;
    assert!(
        report.is_complete() && report.left() == 0 && report.found > 1,
        "{report:?}"
    );
    assert!(books.audit(false).await.is_clean());
}

#[tokio::test]
async fn handled_is_what_is_in_the_inbox_or_before_the_cursor() {
    let books = Books::open().await;
    let person = books.person("a@example.org").await;
    let cursor = "DELETE FROM log_cursors WHERE name = 'consumer.projector'";
    books.tamper(cursor, []).await;
    let inbox = "DELETE FROM inbox WHERE consumer = 'notifier'";
    books.tamper(inbox, []).await;
    let report = books.audit(false).await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");

    // What is among the dead letters will never be added: a difference, not pending.
    let dead = books
        .book(person, person.cash, Income, "1.00", day(11, 5), None)
        .await;
    assert!(!books.audit(false).await.is_complete());
    books
        .tamper(
            "INSERT INTO dead_letters (id, consumer, topic, event_id, payload, reason, created_at) \
             SELECT $1, 'projector', type, event_id, envelope, 'a test', created_at FROM event_log \
             ORDER BY position DESC LIMIT 1",
            [dead.into()],
        )
        .await;
    let report = books.audit(true).await;
    assert_eq!(
        (report.pending_users, report.found, report.repaired),
        (0, 1, 1),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_crossing_without_an_alert_is_pending_until_the_notifier_has_heard_of_it() {
    let books = Books::open().await;
    let person = books.person("a@example.org").await;
    books
        .book(person, person.cash, Expense, "85.00", day(10, 9), None)
        .await;
    books.publish().await;
    books.project().await;
    let report = books.audit(true).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.pending, [person.id]);
    books.settle().await;
    let report = books.audit(true).await;
    assert!(
        report.is_clean() && report.is_complete() && report.crossings == 3,
        "{report:?}"
    );

    books.tamper("DELETE FROM alerts WHERE historic", []).await;
    let report = books.audit(true).await;
    assert!(
        matches!(
            report.findings[..],
            [Finding::UntoldCrossing { user_id, budget_id, period_start, threshold: 80, .. }]
            if (user_id, budget_id, period_start) == (person.id, person.monthly, day(10, 1))
        ),
        "{report:?}"
    );
    assert_eq!((report.repaired, report.left()), (0, 1));
}

/// Bookings are made and heard while the recount runs: none of them is taken for a difference, and
/// none is added twice to what was repaired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recount_beside_a_busy_server_is_right() {
    let books = Books::open().await;
    let person = books.person("a@example.org").await;
    for round in 0..40 {
        if round % 2 == 0 {
            let text =
                "UPDATE monthly_totals SET amount_minor = amount_minor + 7 WHERE user_id = $1";
            books.tamper(text, [person.id.into()]).await;
        }
        let busy = async {
            for date in 1..=3 {
                books
                    .book(person, person.cash, Expense, "0.01", day(11, date), None)
                    .await;
                books.publish().await;
                books.project().await;
            }
        };
        let (report, ()) = tokio::join!(books.audit(round % 2 == 0), busy);
        books.settle().await;
        let after = books.audit(true).await;
        assert!(after.is_complete(), "{after:?}");
        if round % 2 == 1 {
            assert!(
                report.is_clean() && after.is_clean(),
                "{report:?}\n{after:?}"
            );
        } else if report.repaired > 0 {
            assert!(after.is_clean(), "{after:?}");
        } else {
            assert!(
                report.pending_users > 0 && after.repaired > 0,
                "{report:?}\n{after:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_rebuild_takes_in_what_is_on_its_way_and_nothing_counts_it_again() {
    let books = Books::open().await;
    let person = books.person("a@example.org").await;
    books.person("b@example.org").await;
    let spend = async |amount: &'static str| {
        let food = Some(person.food);
        let booked = books.book(person, person.cash, Expense, amount, day(11, 5), food);
        booked.await;
    };
    spend("2.00").await;
    books.publish().await;
    spend("3.00").await;
    for table in ["monthly_totals", "daily_spending", "budget_periods"] {
        let text = format!("DELETE FROM {table} WHERE user_id = $1");
        books.tamper(text, [person.id.into()]).await;
    }
    let rebuild = || async {
        let audit = Audit::new(&books.store);
        let users = audit.rebuild(books.now(), |_| {}).await;
        assert_eq!(users.expect("rebuilt"), 2);
        let report = books.audit(false).await;
        assert!(report.is_clean(), "{report:?}");
    };
    rebuild().await;
    books.settle().await;
    rebuild().await;
    spend("4.00").await;
    books.settle().await;
    let report = books.audit(false).await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
}
