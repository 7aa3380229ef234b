//! What was changed behind everybody's back is found, named exactly and repaired; nothing else is.

mod books;
mod in_flight;
mod people;
mod tampering;

use uuid::Uuid;

use super::{Audit, Finding, Misfit, Progress, Thing};
use crate::domain::transaction::TransactionType::{Expense, Income};
use crate::store::NO_CATEGORY;
use books::{Books, Person, day};
use tampering::{daily, monthly, stray, tamperings, total};

fn is_part(rows: &[String], of: &[String]) -> bool {
    rows.iter().all(|row| of.contains(row))
}

#[tokio::test]
async fn what_was_heard_is_clean() {
    let books = Books::open().await;
    let person = books.person("a@example.org").await;
    let report = books.audit(true).await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
    assert_eq!((report.users, report.wallets, report.repaired), (1, 2, 0));
    // Of the removed and the moved booking there are cells of zero left.
    assert_eq!((report.monthly_cells, report.daily_cells), (7, 7));
    assert_eq!((report.budget_periods, report.crossings), (5, 2));
    let before = books.kept(person).await;
    books.audit(true).await;
    assert_eq!(books.kept(person).await, before);
}

#[tokio::test]
async fn each_tampering_is_found_named_and_repaired() {
    let books = Books::open().await;
    let other = books.person("a@example.org").await;
    let person = books.person("b@example.org").await;
    let others = books.kept(other).await;
    for (text, values, finding) in tamperings(person, other) {
        let sound = books.kept(person).await;
        books.tamper(text, values).await;
        let found = books.audit(false).await;
        assert_eq!(found.findings, std::slice::from_ref(&finding), "{text}");
        assert_eq!(
            (found.found, found.repaired, found.left()),
            (1, 0, 1),
            "{text}"
        );
        let repaired = books.audit(true).await;
        assert_eq!(repaired.findings, std::slice::from_ref(&finding), "{text}");
        assert_eq!(
            (repaired.found, repaired.repaired, repaired.left()),
            (1, 1, 0),
            "{text}"
        );
        let again = books.audit(true).await;
        assert!(again.is_clean() && again.is_complete(), "{text}: {again:?}");
        let repaired = books.kept(person).await;
        match finding {
            // What is left of the periods is untouched; the one that is gone is summed up anew.
            Finding::StrayPeriod { .. } => assert!(is_part(&repaired, &sound), "{text}"),
            // The opening balance is given, not counted: the balance follows it.
            Finding::WalletBalance { wallet_id, .. } if wallet_id == person.cash => {}
            _ => assert_eq!(repaired, sound, "{text}"),
        }
        assert_eq!(books.kept(other).await, others, "{text}");
    }
}

#[tokio::test]
async fn a_booking_changed_by_hand_is_found_in_every_sum_and_sums_follow_it() {
    let books = Books::open().await;
    let person = books.person("a@example.org").await;
    books
        .tamper(
            "UPDATE transactions SET amount_minor = 3100 WHERE user_id = $1 AND date = '2026-11-05'",
            [person.id.into()],
        )
        .await;
    let report = books.audit(true).await;
    assert_eq!((report.found, report.repaired), (5, 5), "{report:?}");
    assert!(books.audit(false).await.is_clean());
    // Later bookings go on from the repaired sums.
    books
        .book(
            person,
            person.cash,
            Expense,
            "1.00",
            day(11, 5),
            Some(person.food),
        )
        .await;
    books.settle().await;
    let report = books.audit(false).await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
}

#[tokio::test]
async fn bookings_that_refer_to_what_is_not_theirs_are_found_and_left() {
    let books = Books::open().await;
    let other = books.person("a@example.org").await;
    let person = books.person("b@example.org").await;
    let booked = books
        .book(person, person.cash, Income, "5.00", day(11, 9), None)
        .await;
    books.settle().await;
    books
        .tamper(
            "UPDATE transactions SET wallet_id = $2, category_id = $3, currency = 'USD' WHERE id = $1",
            [booked.into(), other.bank.into(), other.food.into()],
        )
        .await;
    let report = books.audit(true).await;
    let (user_id, transaction_id) = (person.id, booked);
    let owner_id = Some(other.id);
    let foreign = |thing, thing_id| Finding::Foreign {
        user_id,
        transaction_id,
        thing,
        thing_id,
        owner_id,
    };
    let currency = Finding::Currency {
        user_id,
        transaction_id,
        currency: "USD".to_owned(),
        wallet_id: other.bank,
        wallet_currency: "EUR".to_owned(),
    };
    let told = [
        foreign(Thing::Wallet, other.bank),
        foreign(Thing::Category, other.food),
        currency,
    ];
    assert_eq!(report.findings[..3], told);
    // The sums follow the booking; the other's wallet does not.
    assert_eq!(report.left(), 3);
    let report = books.audit(true).await;
    assert_eq!(report.findings, told);
}

#[tokio::test]
async fn a_report_lists_the_first_and_counts_all() {
    let books = Books::open().await;
    let person = books.person("a@example.org").await;
    books
        .tamper(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
             INSERT INTO daily_spending (user_id, currency, date, category_id, amount_minor) \
             SELECT $1, 'EUR', date('2010-01-01', i || ' days'), $2, 5 FROM n",
            [person.id.into(), NO_CATEGORY.into()],
        )
        .await;
    let report = books.audit(true).await;
    assert_eq!(
        (report.findings.len(), report.found, report.repaired),
        (1_000, 1_200, 1_200)
    );
    assert!(books.audit(false).await.is_clean());
}

#[tokio::test]
async fn every_user_is_looked_at_once_page_by_page() {
    let books = Books::open().await;
    let mut seen = Vec::new();
    let audit = Audit::new(&books.store);
    audit
        .run(false, books.now(), |progress| seen.push(progress))
        .await
        .unwrap();
    assert_eq!(seen, []);
    for number in 0..101 {
        books.user(&format!("{number}@example.org")).await;
    }
    let report = audit
        .run(false, books.now(), |progress| seen.push(progress))
        .await
        .unwrap();
    assert_eq!(report.users, 101);
    let told = (1..=101).map(|users_done| Progress {
        users_done,
        users_total: 101,
    });
    assert!(seen.into_iter().eq(told));
}

#[test]
fn findings_read_as_sentences() {
    let id = Uuid::from_u128;
    let person = Person {
        id: id(1),
        cash: id(2),
        bank: id(3),
        food: id(4),
        monthly: id(5),
        weekly: id(6),
    };
    let short = |finding: Finding| {
        finding
            .to_string()
            .replace("00000000-0000-0000-0000-00000000000", "")
    };
    assert_eq!(
        short(monthly(person, total(1, 2), total(3, 4))),
        "user 1: monthly total of 2026-11-01 EUR expense, category 4, wallet 2: kept 1 in 2 bookings, \
         counted 3 in 4 (minor units)"
    );
    assert_eq!(
        short(daily(person, 20, 5, 6)),
        "user 1: spending on 2026-11-20 in EUR, no category: kept 5, counted 6 minor units"
    );
    assert_eq!(
        short(stray(person, person.weekly, 28, 3)),
        "user 1: budget 6: a sum is kept for 2026-10-28 to 2026-11-03, which is no period of this \
         budget, or as somebody else's"
    );
    let delivery = Finding::Delivery {
        user_id: id(1),
        alert_id: id(2),
        misfit: Misfit::Said,
    };
    assert_eq!(
        short(delivery),
        "user 1: alert 2: what became of its delivery is not what was said of it, once"
    );
}

#[tokio::test]
async fn parts_that_do_not_fit_their_booking_are_found_and_left() {
    let books = Books::open().await;
    let other = books.person("a@example.org").await;
    let person = books.person("b@example.org").await;
    let user_id = person.id;
    let (transfer, split) = books.transfer_and_split(person).await;
    books.settle().await;
    let report = books.audit(false).await;
    assert!(report.is_clean() && report.is_complete(), "{report:?}");
    let stray = |transaction_id| Finding::StrayPart {
        user_id,
        transaction_id,
    };
    let foreign = |transaction_id, thing, thing_id| Finding::Foreign {
        user_id,
        transaction_id,
        thing,
        thing_id,
        owner_id: Some(other.id),
    };
    for (text, values, finding, undo) in [
        (
            "UPDATE transfers SET date = '2026-11-08' WHERE transaction_id = $1",
            vec![transfer.into()],
            stray(transfer),
            "UPDATE transfers SET date = '2026-11-09'",
        ),
        (
            "UPDATE transaction_tags SET date = '2026-11-08' WHERE transaction_id = $1",
            vec![split.into()],
            stray(split),
            "UPDATE transaction_tags SET date = '2026-11-09'",
        ),
        (
            "UPDATE transaction_splits SET category_id = $2 WHERE transaction_id = $1 AND category_id IS NULL",
            vec![split.into(), other.food.into()],
            foreign(split, Thing::Category, other.food),
            "UPDATE transaction_splits SET category_id = NULL WHERE place = 1",
        ),
        (
            "UPDATE transfers SET currency = 'USD' WHERE transaction_id = $1",
            vec![transfer.into()],
            Finding::Currency {
                user_id,
                transaction_id: transfer,
                currency: "USD".to_owned(),
                wallet_id: person.bank,
                wallet_currency: "EUR".to_owned(),
            },
            "UPDATE transfers SET currency = 'EUR'",
        ),
        (
            "UPDATE transaction_splits SET amount_minor = amount_minor + 1 WHERE transaction_id = $1 AND place = 0",
            vec![split.into()],
            Finding::Splits {
                user_id,
                transaction_id: split,
                amount_minor: 1_000,
                splits_minor: 1_001,
            },
            "UPDATE transaction_splits SET amount_minor = amount_minor - 1 WHERE place = 0",
        ),
        (
            "UPDATE transfers SET to_wallet_id = $2 WHERE transaction_id = $1",
            vec![transfer.into(), other.bank.into()],
            foreign(transfer, Thing::Wallet, other.bank),
            "",
        ),
        (
            "DELETE FROM transfers WHERE transaction_id = $1",
            vec![transfer.into()],
            stray(transfer),
            "",
        ),
    ] {
        books.tamper(text, values).await;
        let found = books.audit(false).await.findings;
        assert!(found.contains(&finding), "{text}: {found:?}");
        if undo.is_empty() {
            continue;
        }
        books.tamper(undo, []).await;
        assert!(books.audit(false).await.is_clean(), "{undo}");
    }
}
