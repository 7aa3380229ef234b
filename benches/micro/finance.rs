//! What is reckoned beside sums: rules, days that come again, rates, insights.

use std::collections::BTreeSet;
use std::hint::black_box;

use chrono::{Days, NaiveDate};
use uuid::Uuid;
use wealth_companion::domain::insight::{Expense, Payee, charge, regular};
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::rate::Rate;
use wealth_companion::domain::recurrence::Recurrence;
use wealth_companion::domain::rule::{
    Booked, Condition, Field, Labels, Mode, Operator, Rule, Ruleset,
};
use wealth_companion::domain::transaction::TransactionType;

use super::{Failure, Once, day, usd};

/// A booking that is asked about by as many rules as a user may have, the last of which holds.
pub(super) fn rules() -> Result<Once, Failure> {
    let asks = |value: String| Condition {
        field: Field::Description,
        operator: Operator::Contains,
        value,
    };
    let rule = |number: u128| Rule {
        id: Uuid::from_u128(number),
        conditions: vec![asks(format!("shop {number:03}"))],
        category_id: Some(Uuid::from_u128(number)),
        payee: None,
        tags: vec!["sorted".to_owned()],
        stops: false,
    };
    let rules = Ruleset::new((0..100).map(rule).collect())?;
    let (amount, labels) = (Money::new(1_234, usd()?), Labels::default());
    Ok(Box::new(move || {
        let booked = Booked {
            transaction_type: TransactionType::Expense,
            wallet_id: Uuid::from_u128(1),
            to_wallet_id: None,
            amount,
            description: Some(black_box("Weekly shopping in Shop 099")),
            is_split: false,
            labels: &labels,
        };
        let made = black_box(rules.apply(booked, Mode::Fill));
        made.map(drop).ok_or_else(|| "no rule holds".into())
    }))
}

/// The next day of a rule that has come for ten years.
pub(super) fn next_day() -> Result<Once, Failure> {
    let first = day() - Days::new(3_650);
    let rule = Recurrence::parse("FREQ=MONTHLY;BYMONTHDAY=-1", first)?;
    Ok(Box::new(move || {
        let next = black_box(&rule).days_from(day(), 1);
        (next.len() == 1)
            .then_some(())
            .ok_or_else(|| "it never comes".into())
    }))
}

/// An amount in another currency, by way of a third.
pub(super) fn convert() -> Result<Once, Failure> {
    let (from, to) = (Rate::parse("1.0842")?, Rate::parse("157.31")?);
    let (amount, yen) = (Money::new(123_456, usd()?), Currency::parse("JPY")?);
    Ok(Box::new(move || {
        let rate = Rate::across(black_box(from), black_box(to))?;
        black_box(rate.convert(amount, yen)?);
        Ok(())
    }))
}

/// What is found among as many expenses as a look reads at the most.
pub(super) fn insights() -> Result<Once, Failure> {
    let currency = usd()?;
    let today: NaiveDate = day();
    let expense = move |number: u64| Expense {
        id: Uuid::from_u128(number.into()),
        date: today - Days::new(400 - number / 5),
        minor: 100 + i64::try_from(number * 7_919 % 20_000).unwrap_or(0),
        wallet_id: Uuid::from_u128(1),
        category_id: Some(Uuid::from_u128((number % 10).into())),
        payee: Some(Payee::new(format!("Payee {}", letter(number % 50)))),
    };
    Ok(Box::new(move || {
        let expenses: Vec<Expense> = (0..black_box(2_000)).map(expense).collect();
        let expenses = &expenses;
        let comes_back = regular::regular(expenses, today);
        let usual: BTreeSet<String> = comes_back.iter().map(|it| it.key.clone()).collect();
        let name_of = |_| Some("Groceries".to_owned());
        black_box((
            regular::insights(&comes_back, currency),
            charge::twice(expenses, currency, today),
            charge::unusual(expenses, &usual, name_of, currency, today),
        ));
        Ok(())
    }))
}

/// Payees are told apart by letters alone.
fn letter(number: u64) -> String {
    "abcdefghij"
        .chars()
        .nth(usize::try_from(number % 10).unwrap_or(0))
        .map(|letter| {
            letter
                .to_string()
                .repeat(1 + usize::try_from(number / 10).unwrap_or(0))
        })
        .unwrap_or_default()
}
