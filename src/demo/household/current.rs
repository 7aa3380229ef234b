//! The current month, in which the story ends: it leaves room for a last few bookings that take two
//! budgets over their thresholds.

use chrono::{Datelike, NaiveDate};

use super::{
    Booking, BudgetPlan, EATING_OUT, GROCERIES, LiveBooking, MonthPlan, act_out, book, in_order,
};
use crate::demo::chance::Chance;
use crate::demo::habits::{HABITS, Habit};

/// The budgets that will be crossed, and the bookings before that in thousandths of their limits:
/// less than 80 % in all, whatever chance adds.
const STEERED: [(&BudgetPlan, &[u64]); 2] = [
    (&GROCERIES, &[130, 110, 90, 120, 110, 130]),
    (&EATING_OUT, &[210, 180, 290]),
];

/// The month as far as it is due by today, and what is booked live.
pub(super) fn up_to(
    chance: &mut Chance,
    today: NaiveDate,
    first_day: NaiveDate,
) -> (MonthPlan, Vec<LiveBooking>) {
    let (mut bookings, mut warnings, mut excesses) = (Vec::new(), Vec::new(), Vec::new());
    for habit in &HABITS {
        let steered = STEERED
            .iter()
            .find(|(budget, _)| budget.categories == [habit.category]);
        let Some((budget, shares)) = steered else {
            bookings.extend(act_out(chance, habit, first_day));
            continue;
        };
        let before = approach(chance, budget, habit, today, shares);
        let [warning, excess] = cross(chance, budget, habit, today, &before);
        bookings.extend(before);
        warnings.push(warning);
        excesses.push(excess);
    }
    bookings.retain(|booking| booking.date <= today);
    warnings.append(&mut excesses);
    (in_order(first_day, bookings), warnings)
}

/// Two bookings of today: to about 84 % of the budget, and then to about 105 %.
fn cross(
    chance: &mut Chance,
    budget: &BudgetPlan,
    habit: &Habit,
    today: NaiveDate,
    before: &[Booking],
) -> [LiveBooking; 2] {
    let limit = budget.limit_cents;
    let spent: u64 = before.iter().map(|booking| booking.cents).sum();
    let near = limit * 83 / 100 + chance.between(0..=limit / 50);
    let over = limit * 104 / 100 + chance.between(0..=limit / 50);
    [(near.saturating_sub(spent), 80), (over - near, 100)].map(|(cents, threshold)| LiveBooking {
        booking: book(chance, habit, today, cents),
        budget: budget.name,
        threshold,
    })
}

/// Bookings of about these thousandths of a budget, up to today.
fn approach(
    chance: &mut Chance,
    budget: &BudgetPlan,
    habit: &Habit,
    today: NaiveDate,
    shares: &[u64],
) -> Vec<Booking> {
    shares
        .iter()
        .map(|share| {
            let cents = budget.limit_cents * share / 1_000 + chance.between(0..=400) - 200;
            let date = today
                .with_day(chance.day_up_to(today.day()))
                .unwrap_or(today);
            book(chance, habit, date, cents)
        })
        .collect()
}
