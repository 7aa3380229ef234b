//! Bookings that come again are booked once when they are due, whoever does it and however late.

/// As people ask for them.
mod asked;

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, Statement};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wealth_companion::api::due::{DueBookings, Round};
use wealth_companion::clock::Ids;
use wealth_companion::domain::money::AmountText;
use wealth_companion::domain::recurrence::Recurrence;
use wealth_companion::store::audit::{Audit, Finding};
use wealth_companion::store::recurring::{self, Recurring, RecurringChange, due};
use wealth_companion::store::transactions::Amendment;
use wealth_companion::store::users::{self, UserChange};
use wealth_companion::store::wallets::{self, WalletChange};
use wealth_companion::store::{Store, StoreError, erasure, event_log};

use crate::support::chain::{Household, day, expense};
use crate::support::recount::{number, recount_of};
use crate::support::{Chain, stack};

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whoever books what is due, stepped by the test.
fn bookkeeper(chain: &Chain, store: &Store) -> DueBookings {
    DueBookings::new(store.clone(), chain.clock.clone(), chain.ids.clone())
}

async fn round(chain: &Chain) -> Round {
    let stop = CancellationToken::new();
    let round = bookkeeper(chain, &chain.store).round(&stop).await;
    round.expect("a round")
}

/// Rounds until nothing is left.
async fn catch_up(chain: &Chain) -> u64 {
    let mut booked = 0;
    loop {
        let round = round(chain).await;
        booked += round.booked;
        if !round.left {
            return booked;
        }
    }
}

async fn make(chain: &Chain, who: Household, rrule: &str, starts_on: &str) -> Recurring {
    made(chain, who, rrule, starts_on).await.expect("a rule")
}

async fn made(
    chain: &Chain,
    who: Household,
    rrule: &str,
    starts_on: &str,
) -> Result<Recurring, StoreError> {
    let (act, id) = (chain.act(who), chain.ids.v7(chain.clock.now()));
    let recurrence = Recurrence::parse(rrule, day(starts_on)).expect("a rule");
    let draft = expense(who, "10.00", day(starts_on));
    let unit = chain
        .store
        .write(move |tx| async move { recurring::create(&tx, act, id, draft, recurrence).await });
    unit.await
}

async fn change(chain: &Chain, who: Household, id: Uuid, change: RecurringChange) -> Recurring {
    let act = chain.act(who);
    let unit = chain
        .store
        .write(move |tx| async move { recurring::change(&tx, act, id, None, change).await });
    unit.await.expect("changed")
}

async fn pause(chain: &Chain, who: Household, id: Uuid, paused: bool) -> Recurring {
    let pause = RecurringChange {
        paused: Some(paused),
        ..RecurringChange::default()
    };
    change(chain, who, id, pause).await
}

async fn read(chain: &Chain, who: Household, id: Uuid) -> Recurring {
    let rule = recurring::get(chain.store.reads(), who.user_id, id).await;
    rule.expect("a rule")
}

/// The days that were booked, in the order in which they were.
async fn booked(chain: &Chain, id: Uuid) -> Vec<String> {
    let db = chain.store.reads();
    let text = "SELECT date, occurs_on FROM transactions WHERE recurring_id = $1 ORDER BY id";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), text, [id.into()]);
    let rows = db.query_all_raw(statement).await.expect("rows");
    let day = |place, row: &sea_orm::QueryResult| -> NaiveDate {
        row.try_get_by_index(place).expect("a day")
    };
    let days = rows.iter().map(|row| {
        assert_eq!(day(0, row), day(1, row));
        day(0, row).to_string()
    });
    days.collect()
}

fn advance_to(chain: &Chain, moment: &str) {
    let moment: DateTime<Utc> = moment.parse().expect("a moment");
    let by = moment - chain.clock.now();
    chain.clock.advance(by.to_std().expect("later"));
}

/// All is heard, and the books agree with the bookings.
async fn agrees(chain: &Chain) {
    chain.settle().await;
    recount_of(&chain.store).await.agrees();
}

#[tokio::test]
async fn what_came_due_in_months_of_absence_is_booked_in_order_and_once() {
    let chain = Chain::new().await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    let rent = make(&chain, ada, "FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-01").await;
    let daily = make(&chain, bob, "FREQ=DAILY", "2026-02-10").await;
    // What was before today is not booked.
    assert_eq!(rent.next_on, Some(day("2026-02-28")));
    assert_eq!(
        round(&chain).await.booked,
        1,
        "the first day of the daily one"
    );
    assert_eq!(round(&chain).await, Round::default(), "and no more");

    advance_to(&chain, "2026-06-30T00:00:01Z");
    let first = round(&chain).await;
    assert!(first.left && first.booked > 30, "{first:?}");
    assert_eq!(
        booked(&chain, rent.template.id).await,
        [
            "2026-02-28",
            "2026-03-31",
            "2026-04-30",
            "2026-05-31",
            "2026-06-30"
        ],
        "whoever has much to catch up on holds up nobody"
    );
    catch_up(&chain).await;
    let days = booked(&chain, daily.template.id).await;
    assert_eq!(days.len(), 141);
    assert!(days.is_sorted(), "{days:?}");
    assert_eq!(catch_up(&chain).await, 0);
    let next_on = read(&chain, ada, rent.template.id).await.next_on;
    assert_eq!(next_on, Some(day("2026-07-31")));
    agrees(&chain).await;
    // Each was said with its booking: the sums know of them.
    let months = "SELECT COUNT(*) FROM monthly_totals WHERE bookings > 0";
    assert_eq!(number(chain.store.reads(), months).await, 5 + 5);
}

#[tokio::test]
async fn a_day_begins_where_its_user_is() {
    let chain = Chain::new().await;
    let (ada, bob) = (chain.household("ada").await, chain.household("bob").await);
    let move_to = async |who: Household, zone: chrono_tz::Tz| {
        let (now, change) = (
            chain.clock.now(),
            UserChange {
                time_zone: Some(zone),
                ..UserChange::default()
            },
        );
        let unit = chain.store.write(move |tx| async move {
            users::change(&tx, who.user_id, None, change, now).await
        });
        unit.await.expect("moved");
    };
    let adas = make(&chain, ada, "FREQ=DAILY;COUNT=1", "2026-02-12").await;
    let bobs = make(&chain, bob, "FREQ=DAILY;COUNT=1", "2026-02-12").await;
    // They were made in London, and move with their users: to where the day begins earlier, and later.
    move_to(ada, chrono_tz::Pacific::Auckland).await;
    move_to(bob, chrono_tz::America::Los_Angeles).await;
    for (moment, adas_days, bobs_days) in [
        // 12 February begins in Auckland at 11:00 UTC of the 11th, in Los Angeles at 08:00 UTC.
        ("2026-02-11T10:59:59Z", 0, 0),
        ("2026-02-11T11:00:00Z", 1, 0),
        ("2026-02-12T07:59:59Z", 1, 0),
        ("2026-02-12T08:00:00Z", 1, 1),
        ("2026-02-20T08:00:00Z", 1, 1),
    ] {
        advance_to(&chain, moment);
        catch_up(&chain).await;
        let found = [&adas, &bobs].map(|rule| booked(&chain, rule.template.id));
        let found = futures_util::future::join_all(found).await;
        let counts: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(counts, [adas_days, bobs_days], "{moment}");
    }
    // Whose clocks are put forward at midnight has a day all the same.
    move_to(ada, chrono_tz::America::Santiago).await;
    let rule = make(&chain, ada, "FREQ=DAILY;COUNT=1", "2026-09-06").await;
    advance_to(&chain, "2026-09-06T03:59:59Z");
    assert_eq!(catch_up(&chain).await, 0);
    advance_to(&chain, "2026-09-06T04:00:00Z");
    assert_eq!(catch_up(&chain).await, 1);
    assert_eq!(booked(&chain, rule.template.id).await, ["2026-09-06"]);
}

#[tokio::test]
async fn a_rule_ends_as_it_says() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let until = make(&chain, ada, "FREQ=WEEKLY;UNTIL=20260224", "2026-02-10").await;
    // Those before today count, and are not booked.
    let counted = make(&chain, ada, "FREQ=WEEKLY;COUNT=4", "2026-02-03").await;
    chain.clock.advance(100 * A_DAY);
    catch_up(&chain).await;
    for rule in [until, counted] {
        let id = rule.template.id;
        let days = booked(&chain, id).await;
        assert_eq!(days, ["2026-02-10", "2026-02-17", "2026-02-24"]);
        assert_eq!(read(&chain, ada, id).await.next_on, None);
    }
    agrees(&chain).await;
}

#[tokio::test]
async fn days_are_left_out_and_passed_by_while_it_is_paused() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let id = make(&chain, ada, "FREQ=DAILY", "2026-02-10")
        .await
        .template
        .id;
    let skip = async |text: &str| {
        let (act, day) = (chain.act(ada), day(text));
        let unit = chain
            .store
            .write(move |tx| async move { recurring::skip(&tx, act, id, day).await });
        unit.await
    };
    // The next one, one to come, and one of them twice.
    let next = skip("2026-02-10").await.expect("left out").next_on;
    assert_eq!(next, Some(day("2026-02-11")));
    skip("2026-02-12").await.expect("left out");
    let version = skip("2026-02-12").await.expect("still").template.version;
    assert_eq!(version, 3);
    chain.clock.advance(3 * A_DAY);
    catch_up(&chain).await;
    assert_eq!(booked(&chain, id).await, ["2026-02-11", "2026-02-13"]);
    for (done, told) in [
        ("2026-02-11", "booked already"),
        ("2026-02-09", "does not come"),
    ] {
        let refused = skip(done).await.expect_err("too late").to_string();
        assert!(refused.contains(told), "{refused}");
    }

    pause(&chain, ada, id, true).await;
    chain.clock.advance(3 * A_DAY);
    assert_eq!(catch_up(&chain).await, 0);
    let next = pause(&chain, ada, id, false).await.next_on;
    assert_eq!(next, Some(day("2026-02-16")), "not what came meanwhile");
    catch_up(&chain).await;
    let days = booked(&chain, id).await;
    assert_eq!(days, ["2026-02-11", "2026-02-13", "2026-02-16"]);
    // Paused and not for a day: what was booked is not booked again.
    pause(&chain, ada, id, true).await;
    pause(&chain, ada, id, false).await;
    assert_eq!(catch_up(&chain).await, 0);
    agrees(&chain).await;
}

#[tokio::test]
async fn a_change_holds_from_here_on() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let id = make(&chain, ada, "FREQ=MONTHLY", "2026-02-10")
        .await
        .template
        .id;
    catch_up(&chain).await;
    let dearer = RecurringChange {
        booking: Amendment {
            amount: Some(AmountText::Text("12.50".to_owned())),
            ..Amendment::default()
        },
        rrule: Some("FREQ=MONTHLY;BYMONTHDAY=1,10".to_owned()),
        ..RecurringChange::default()
    };
    let changed = change(&chain, ada, id, dearer).await;
    assert_eq!(changed.next_on, Some(day("2026-03-01")), "today is booked");
    chain.clock.advance(31 * A_DAY);
    // What is due and not booked yet comes still, whatever the rule becomes.
    let weekly = RecurringChange {
        rrule: Some("FREQ=WEEKLY;BYDAY=SU".to_owned()),
        ..RecurringChange::default()
    };
    let changed = change(&chain, ada, id, weekly).await;
    assert_eq!(changed.next_on, Some(day("2026-03-01")));
    catch_up(&chain).await;
    let days = booked(&chain, id).await;
    assert_eq!(days, ["2026-02-10", "2026-03-01", "2026-03-08"]);
    let amounts = "SELECT SUM(amount_minor)::bigint FROM transactions";
    let amounts = match stack::on_postgres() {
        true => amounts.to_owned(),
        false => amounts.replace("::bigint", ""),
    };
    assert_eq!(
        number(chain.store.reads(), &amounts).await,
        1_000 + 2 * 1_250
    );

    // Rules that are gone leave what they have booked.
    let user_id = ada.user_id;
    let gone = chain
        .store
        .write(move |tx| async move { recurring::delete(&tx, user_id, id, None).await });
    gone.await.expect("gone");
    chain.clock.advance(31 * A_DAY);
    assert_eq!(catch_up(&chain).await, 0);
    assert_eq!(booked(&chain, id).await.len(), 3);
    agrees(&chain).await;
}

async fn archive(chain: &Chain, who: Household, archived: bool) {
    let now = chain.clock.now();
    let change = WalletChange {
        name: None,
        wallet_type: None,
        opening_balance: None,
        archived: Some(archived),
    };
    let unit = chain.store.write(move |tx| async move {
        wallets::change(&tx, who.user_id, who.wallet_id, None, change, now).await
    });
    unit.await.expect("changed");
}

#[tokio::test]
async fn what_cannot_be_booked_is_told_and_holds_up_nobody() {
    let chain = Chain::new().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve"] {
        people.push(chain.household(name).await);
    }
    let (ada, bob, eve) = (people[0], people[1], people[2]);
    let mut rules = Vec::new();
    for who in &people {
        rules.push(
            make(&chain, *who, "FREQ=DAILY", "2026-02-11")
                .await
                .template
                .id,
        );
    }
    archive(&chain, ada, true).await;
    // Eve's wallet is as empty as can be.
    chain.set_balance(eve, -4_000_000_000_000_000_000).await;
    chain.clock.advance(2 * A_DAY);
    let done = round(&chain).await;
    assert_eq!((done.booked, done.refused, done.left), (2, 2, false));
    assert_eq!(round(&chain).await, Round::default(), "it is told once");
    for (who, id, told) in [
        (ada, rules[0], "this wallet is archived"),
        (eve, rules[2], "a sum would leave the range of amounts"),
    ] {
        let rule = read(&chain, who, id).await;
        let failure = rule.failure.expect("it failed");
        assert!(rule.paused && failure.reason.contains(told), "{failure:?}");
        assert_eq!(failure.on, day("2026-02-11"));
        assert_eq!(booked(&chain, id).await, [""; 0]);
    }
    assert_eq!(booked(&chain, rules[1]).await.len(), 2);
    assert_eq!(read(&chain, bob, rules[1]).await.failure, None);

    // When it is mended, it goes on with the day that failed.
    archive(&chain, ada, false).await;
    let mended = pause(&chain, ada, rules[0], false).await;
    assert_eq!(
        (mended.failure, mended.next_on),
        (None, Some(day("2026-02-11")))
    );
    catch_up(&chain).await;
    assert_eq!(booked(&chain, rules[0]).await, ["2026-02-11", "2026-02-12"]);
    chain.set_balance(eve, 100_000).await;
    agrees(&chain).await;
}

/// How many rows a table has.
async fn rows(chain: &Chain, table: &str) -> i64 {
    number(
        chain.store.reads(),
        &format!("SELECT COUNT(*) FROM {table}"),
    )
    .await
}

#[tokio::test]
async fn whoever_crashes_on_the_way_has_booked_nothing() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let id = make(&chain, ada, "FREQ=DAILY;COUNT=1", "2026-02-10")
        .await
        .template
        .id;
    let (act, transaction_id) = (chain.act(ada), chain.ids.v7(chain.clock.now()));
    let crashed = chain.store.write(move |tx| async move {
        let step = due::book_next(&tx, act, id, transaction_id).await?;
        assert_eq!(step, due::Step::Booked);
        Err::<(), _>(StoreError::Busy("it ends here".to_owned()))
    });
    crashed.await.expect_err("it ends");
    for table in ["transactions", "event_log", "recurring_occurrences"] {
        assert_eq!(rows(&chain, table).await, 0, "{table}");
    }
    assert_eq!(round(&chain).await.booked, 1);
    agrees(&chain).await;
}

#[tokio::test]
async fn many_at_the_same_work_book_each_day_once() {
    let chain = Chain::new().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve"] {
        people.push(chain.household(name).await);
    }
    for who in people.iter().cycle().take(12) {
        make(&chain, *who, "FREQ=DAILY", "2026-02-11").await;
    }
    chain.clock.advance(20 * A_DAY);
    let mut keepers = Vec::new();
    for seed in 2..6 {
        // An embedded database has one process.
        let store = if stack::on_postgres() {
            Store::open(&chain.config).await.expect("it opens").0
        } else {
            chain.store.clone()
        };
        let keeper = DueBookings::new(store, chain.clock.clone(), Ids::seeded(seed));
        keepers.push(async move {
            let (stop, mut booked) = (CancellationToken::new(), 0);
            loop {
                let round = keeper.round(&stop).await.expect("a round");
                booked += round.booked;
                if !round.left {
                    return booked;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let booked = futures_util::future::join_all(keepers).await;
    assert_eq!(booked.iter().sum::<u64>(), 12 * 20, "{booked:?}");
    for table in ["transactions", "event_log", "recurring_occurrences"] {
        assert_eq!(rows(&chain, table).await, 12 * 20, "{table}");
    }
    agrees(&chain).await;
}

#[tokio::test]
async fn whoever_leaves_takes_their_rules_along() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let id = make(&chain, ada, "FREQ=DAILY", "2026-02-10")
        .await
        .template
        .id;
    catch_up(&chain).await;
    chain.settle().await;
    let said = event_log::positions_of(chain.store.reads(), ada.user_id).await;
    let (said, now) = (said.expect("positions"), chain.clock.now());
    let gone = chain
        .store
        .write(move |tx| async move { erasure::erase(&tx, ada.user_id, &said, now).await });
    gone.await.expect("gone");
    for table in ["recurring", "recurring_occurrences", "transactions"] {
        assert_eq!(rows(&chain, table).await, 0, "{table}");
    }
    // Whoever is at it just then finds nothing to do.
    let was = due::Due {
        id,
        user_id: ada.user_id,
        at: now,
        version: 1,
    };
    let (act, transaction_id) = (chain.act(ada), chain.ids.v7(now));
    let step = chain
        .store
        .write(move |tx| async move { due::book_next(&tx, act, was.id, transaction_id).await });
    assert_eq!(step.await.expect("nothing"), due::Step::Taken);
    chain.clock.advance(A_DAY);
    assert_eq!(catch_up(&chain).await, 0);
}

#[tokio::test]
async fn there_is_an_end_to_how_many_one_may_have() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    for _ in 0..200 {
        make(&chain, ada, "FREQ=MONTHLY", "2026-02-11").await;
    }
    let refused = made(&chain, ada, "FREQ=MONTHLY", "2026-02-11").await;
    let refused = refused.expect_err("too many").to_string();
    assert!(refused.contains("no more fit"), "{refused}");
}

#[tokio::test]
async fn verify_finds_days_that_do_not_fit() {
    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let id = make(&chain, ada, "FREQ=DAILY", "2026-02-10")
        .await
        .template
        .id;
    catch_up(&chain).await;
    chain.settle().await;
    let findings = || async {
        let audit = Audit::new(&chain.store);
        let report = audit.run(false, chain.clock.now(), |_| {}).await;
        report.expect("it can be verified").findings
    };
    assert_eq!(findings().await, []);
    let found = Finding::Recurring {
        user_id: ada.user_id,
        recurring_id: id,
        day: day("2026-02-10"),
    };
    for (tampered, undone) in [
        (
            "UPDATE recurring_occurrences SET outcome = 'skipped'",
            "UPDATE recurring_occurrences SET outcome = 'booked'",
        ),
        (
            "UPDATE recurring SET next_on = '2026-02-10'",
            "UPDATE recurring SET next_on = '2026-02-11'",
        ),
        (
            "DELETE FROM recurring_occurrences",
            "UPDATE transactions SET recurring_id = NULL",
        ),
    ] {
        for (text, expected) in [(tampered, vec![found.clone()]), (undone, vec![])] {
            let unit = chain.store.write(move |tx| async move {
                tx.execute_unprepared(text).await?;
                Ok(())
            });
            unit.await.expect(text);
            assert_eq!(findings().await, expected, "{text}");
        }
    }
}
