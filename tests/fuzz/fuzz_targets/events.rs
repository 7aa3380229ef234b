//! What comes from a bus is an event of the catalogue, or refused with a reason that repeats nothing of its data. What
//! is an event reads back the same, and moves the sums by what it says, in whatever order it comes.
//!
//! One event a line.
#![no_main]

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use uuid::Uuid;
use wealth_companion::domain::budget::{self, Thresholds};
use wealth_companion::domain::money::Money;
use wealth_companion::domain::period::PeriodKind;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::events::catalogue::Booking;
use wealth_companion::events::envelope::{trace_of, with_log_position};
use wealth_companion::events::{Event, EventData};
use wealth_companion::projector::fold::{Fold, Movement, watched};
use wealth_companion::store::budgets::Budget;
use wealth_companion::store::read_models::Standings;
use wealth_companion_fuzz::{CANARY, count_texts, noon, replace_text};

fuzz_target!(|data: &[u8]| {
    let mut events = Vec::new();
    for payload in data.split(|byte| *byte == b'\n').take(8) {
        match Event::parse(payload) {
            Ok(event) => {
                reads_back(&event);
                events.push(event);
            }
            Err(error) => assert!(error.to_string().len() < 2_000, "{error}"),
        }
        nothing_is_repeated(payload);
    }
    let moved: Vec<Moved> = events.iter().filter_map(moves).collect();
    folded(&moved);
});

fn reads_back(event: &Event) {
    let envelope = event.to_json().expect("an event is written");
    let carried = with_log_position(&envelope, &"4711");
    assert_eq!(trace_of(&carried), Some(event.cause.trace), "{carried}");
    let mut read =
        Event::parse(carried.as_bytes()).unwrap_or_else(|error| panic!("{error}: {carried}"));
    assert_eq!(read.log_position.take().as_deref(), Some("4711"));
    let mut event = event.clone();
    event.log_position = None;
    // The chain's beginning is written to the microsecond.
    for event in [&mut read, &mut event] {
        event.cause.begun_at = event.cause.begun_at.map(|at| {
            at - chrono::TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos() % 1_000))
        });
    }
    assert_eq!(read, event);
}

/// With any text of its data replaced by another, the reason does not hold that one.
fn nothing_is_repeated(payload: &[u8]) {
    let Ok(envelope) = serde_json::from_slice::<Value>(payload) else {
        return;
    };
    for number in 0..count_texts(&envelope["data"]).min(20) {
        let mut envelope = envelope.clone();
        replace_text(&mut envelope["data"], &mut { number });
        if let Err(error) = Event::parse(envelope.to_string().as_bytes()) {
            assert!(!error.to_string().contains(CANARY), "{error}");
        }
    }
}

struct Moved {
    user_id: Uuid,
    movement: Movement,
    out: Option<(Booking, Money)>,
    into: Option<(Booking, Money)>,
}

/// What an event moves, as it says itself.
fn moves(event: &Event) -> Option<Moved> {
    let (out, into) = match &event.data {
        EventData::TransactionCreated(created) => (None, Some(created.booking())),
        EventData::TransactionUpdated(updated) => {
            (Some(updated.before.clone()), Some(updated.after.clone()))
        }
        EventData::TransactionDeleted(deleted) => (Some(deleted.before.clone()), None),
        _ => {
            assert!(Movement::of(&event.data).is_err());
            return None;
        }
    };
    let counted = |booking: Option<Booking>| {
        booking
            .map(|it| it.money().map(|money| (it, money)))
            .transpose()
    };
    match (Movement::of(&event.data), counted(out), counted(into)) {
        (Ok(movement), Ok(out), Ok(into)) => Some(Moved {
            user_id: event.data.user_id(),
            movement,
            out,
            into,
        }),
        (Err(_), ..) => None,
        (Ok(_), ..) => panic!("an amount that cannot be read moves sums: {:?}", event.data),
    }
}

/// A budget in each currency and each kind of period for whoever spends.
fn budgets(moved: &[Moved]) -> Vec<Budget> {
    let mut budgets = BTreeMap::new();
    for (number, it) in moved.iter().enumerate() {
        for (booking, _) in it.out.iter().chain(&it.into) {
            let kind = PeriodKind::ALL[number % PeriodKind::ALL.len()];
            let budget = Budget {
                id: Uuid::from_u128(budgets.len() as u128),
                user_id: it.user_id,
                name: "Budget".to_owned(),
                limit: Money::new(10_000, booking.currency),
                period: kind,
                starts_on: (number % 2 == 1).then_some(booking.date),
                alert_at: Thresholds::new(vec![1, 80, 100]).expect("thresholds"),
                category_ids: Vec::new(),
                rollover_from: None,
                former_limits: Vec::new(),
                version: 1,
                created_at: noon(),
                updated_at: noon(),
            };
            budgets
                .entry((it.user_id, booking.currency, kind))
                .or_insert(budget);
        }
    }
    budgets.into_values().collect()
}

fn fold<'a>(budgets: &'a [Budget], moved: impl Iterator<Item = &'a Moved>) -> Option<Fold<'a>> {
    let moved: Vec<&Moved> = moved.collect();
    let movements: Vec<&Movement> = moved.iter().map(|it| &it.movement).collect();
    let watched = watched(budgets, &movements, |_| noon().date_naive());
    let mut fold = Fold::new(budgets, Standings::untouched(&watched));
    for it in moved {
        fold.apply(&it.movement).ok()?;
    }
    Some(fold)
}

fn folded(moved: &[Moved]) {
    let budgets = budgets(moved);
    let Some(forward) = fold(&budgets, moved.iter()) else {
        return;
    };
    let mut wanted: BTreeMap<(Uuid, &str, TransactionType), i128> = BTreeMap::new();
    for it in moved {
        for (sign, side) in [(-1, &it.out), (1, &it.into)] {
            // A transfer is neither earned nor spent.
            let side = (side.as_ref())
                .filter(|(booking, _)| booking.transaction_type != TransactionType::Transfer);
            if let Some((booking, money)) = side {
                let key = (
                    it.user_id,
                    money.currency().code(),
                    booking.transaction_type,
                );
                *wanted.entry(key).or_default() += sign * i128::from(money.minor());
            }
        }
    }
    let mut found: BTreeMap<(Uuid, &str, TransactionType), i128> = BTreeMap::new();
    for (key, total) in &forward.deltas().monthly {
        assert_eq!(key.month.format("%d").to_string(), "01");
        *found
            .entry((key.user_id, key.currency.code(), key.transaction_type))
            .or_default() += i128::from(total.amount_minor);
    }
    assert_eq!(found, wanted);
    let spent: i128 = forward
        .deltas()
        .daily
        .values()
        .map(|minor| i128::from(*minor))
        .sum();
    let expenses = wanted
        .iter()
        .filter(|(key, _)| key.2 == TransactionType::Expense)
        .map(|(_, minor)| minor);
    assert_eq!(spent, expenses.sum());
    told_once(&forward, moved, &budgets);
    if let Some(backward) = fold(&budgets, moved.iter().rev()) {
        assert_eq!(backward.deltas(), forward.deltas());
        assert_eq!(backward.words(), forward.words());
        let sums = |fold: &Fold<'_>| -> BTreeMap<(Uuid, NaiveDate), i64> {
            fold.period_sums()
                .iter()
                .map(|sum| ((sum.budget_id, sum.period.start), sum.spent_minor))
                .collect()
        };
        assert_eq!(sums(&backward), sums(&forward));
    }
}

/// Each threshold of a period once, and only where it was reached, in a period that was watched.
fn told_once(fold: &Fold<'_>, moved: &[Moved], budgets: &[Budget]) {
    let movements: Vec<&Movement> = moved.iter().map(|it| &it.movement).collect();
    let watched: HashSet<_> = watched(budgets, &movements, |_| noon().date_naive())
        .iter()
        .map(|(budget, period)| (budget.id, period.start))
        .collect();
    let mut keys = HashSet::new();
    for crossing in fold.crossings() {
        assert!(keys.insert(crossing.key()), "{crossing:?} is told twice");
        assert!(budget::reached(
            crossing.spent.minor(),
            crossing.available.minor(),
            crossing.threshold
        ));
        assert!(watched.contains(&(crossing.budget.id, crossing.period.start)));
        assert!(crossing.movement < moved.len());
    }
}
