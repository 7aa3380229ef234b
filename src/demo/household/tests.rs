//! What must hold of every household's year, whatever its seed and the day it is played on.

use std::collections::HashSet;

use chrono::{Datelike, NaiveDate};

use super::{BUDGETS, Booking, BudgetPlan, Kind, Plan, WALLETS};
use crate::demo::chance::Chance;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn plan(seed: &str, today: NaiveDate) -> Plan {
    Plan::of(&mut Chance::of(seed), today).unwrap()
}

/// Many seeds on many days, month ends and a leap day among them.
fn plans() -> impl Iterator<Item = (NaiveDate, Plan)> {
    let days = [
        "2026-02-01",
        "2026-02-02",
        "2026-02-28",
        "2024-02-29",
        "2025-12-31",
        "2026-07-15",
    ];
    days.into_iter()
        .map(day)
        .flat_map(|today| (0..40).map(move |seed| (today, plan(&format!("{seed}"), today))))
}

fn all(plan: &Plan) -> impl Iterator<Item = &Booking> {
    let live = plan.live.iter().map(|live| &live.booking);
    plan.months
        .iter()
        .flat_map(|month| &month.bookings)
        .chain(live)
}

fn spent<'a>(bookings: impl IntoIterator<Item = &'a Booking>, budget: &BudgetPlan) -> u64 {
    let counted =
        |it: &&Booking| it.kind == Kind::Expense && budget.categories.contains(&it.category);
    bookings
        .into_iter()
        .filter(counted)
        .map(|booking| booking.cents)
        .sum()
}

#[test]
fn a_year_is_twelve_months_up_to_today_and_fits_the_request_limit() {
    for (today, plan) in plans() {
        assert_eq!(plan.months.len(), 12);
        let from = plan.months[0].first_day;
        assert_eq!((from.day(), from.month0()), (1, (today.month0() + 1) % 12));
        for month in &plan.months {
            assert!(month.bookings.is_sorted_by_key(|booking| booking.date));
            assert!(
                month
                    .bookings
                    .iter()
                    .all(|it| it.date.with_day(1) == Some(month.first_day))
            );
        }
        assert!(all(&plan).all(|booking| from <= booking.date && booking.date <= today));
        assert!((250..=400).contains(&plan.len()), "{} bookings", plan.len());
    }
}

#[test]
fn every_booking_can_be_sent() {
    for (_, plan) in plans() {
        let keys: HashSet<_> = all(&plan).map(|booking| booking.key).collect();
        assert_eq!(keys.len(), all(&plan).count(), "keys are unique");
        for booking in all(&plan) {
            assert!(
                booking.cents > 0 && booking.cents < 1_000_000,
                "{booking:?}"
            );
            assert!(WALLETS.iter().any(|wallet| wallet.name == booking.wallet));
            assert!(!booking.payee.is_empty() && !booking.description.is_empty());
        }
    }
}

#[test]
fn no_budget_warns_before_the_live_bookings() {
    for (_, plan) in plans() {
        for budget in &BUDGETS {
            let spent = spent(&plan.months[11].bookings, budget);
            assert!(
                spent * 100 < budget.limit_cents * 80,
                "{}: {spent}",
                budget.name
            );
        }
    }
}

#[test]
fn each_live_booking_crosses_exactly_the_threshold_it_names() {
    for (today, plan) in plans() {
        let mut booked = plan.months[11].bookings.clone();
        for live in &plan.live {
            let budget = BUDGETS
                .iter()
                .find(|budget| budget.name == live.budget)
                .unwrap();
            let reached = |booked: &[Booking]| {
                [80, 100].map(|at| spent(booked, budget) * 100 >= budget.limit_cents * at)
            };
            let before = reached(&booked);
            booked.push(live.booking.clone());
            let after = reached(&booked);
            let wanted = match live.threshold {
                80 => ([false, false], [true, false]),
                _ => ([true, false], [true, true]),
            };
            assert_eq!((before, after), wanted, "{live:?}");
            assert_eq!(live.booking.date, today);
        }
        let told: Vec<_> = plan
            .live
            .iter()
            .map(|live| (live.budget, live.threshold))
            .collect();
        assert_eq!(
            told,
            [
                ("Groceries", 80),
                ("Eating out", 80),
                ("Groceries", 100),
                ("Eating out", 100)
            ]
        );
    }
}

#[test]
fn a_seed_repeats_its_year_and_another_seed_has_another() {
    let today = day("2026-02-14");
    assert_eq!(plan("ada", today), plan("ada", today));
    assert_ne!(plan("ada", today), plan("ben", today));
}

#[test]
fn sums_of_the_current_month_leave_income_out() {
    let plan = plan("ada", day("2026-02-14"));
    let current = &plan.months[11].bookings;
    let income: u64 = current
        .iter()
        .filter(|it| it.kind == Kind::Income)
        .map(|it| it.cents)
        .sum();
    let all: u64 = current.iter().map(|it| it.cents).sum();
    assert!(income > 0);
    assert_eq!(plan.spent_before_live(), all - income);
    assert!(plan.spent_live() > 0);
}

#[test]
fn there_is_no_year_before_the_calendar() {
    assert_eq!(Plan::of(&mut Chance::of("x"), NaiveDate::MIN), None);
}
