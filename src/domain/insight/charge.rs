//! Single charges: unusually large for their category, or made twice.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use serde_json::json;
use uuid::Uuid;

use super::{Expense, Insight, Kind, Thing, median, short, text, unit, unusual_from};
use crate::domain::money::Currency;

/// What is older was seen by now.
const LATELY_DAYS: u64 = 14;
/// Two charges so many days apart may be one.
const TWICE_DAYS: i64 = 2;
/// Smaller ones are bought twice: a coffee, a ticket. In units.
const TWICE_UNITS: i64 = 15;
/// Charges of a category that show what is usual, and how many are looked at.
const USUAL_SHOWN_BY: usize = 10;
const USUAL_MAX: usize = 60;
/// An unusual charge is so many times the median, and above it by so many units, at the least.
const UNUSUAL_TIMES: i64 = 2;
const UNUSUAL_UNITS: i64 = 50;
/// Where one in so many is nearly as large, in percent of it, large ones are usual: small things and now and then
/// something big from the same shop.
const RARELY_ONE_IN: usize = 20;
const NEARLY_PERCENT: i64 = 80;
/// Whoever took this part of it before, in percent, is known to.
const KNOWN_PERCENT: i64 = 60;

fn is_lately(expense: &Expense, today: NaiveDate) -> bool {
    let since = today.checked_sub_days(Days::new(LATELY_DAYS));
    expense.date <= today && since.is_some_and(|since| expense.date >= since)
}

/// Charges of the last days that may have been made twice: of one wallet to the same, of one amount, within
/// two days. Whoever is often paid so is left out.
#[must_use]
pub fn twice(expenses: &[Expense], currency: Currency, today: NaiveDate) -> Vec<Insight> {
    let mut alike: BTreeMap<(&str, Uuid, i64), Vec<&Expense>> = BTreeMap::new();
    for expense in expenses {
        let is_large = expense.minor >= TWICE_UNITS * unit(currency);
        if let (Some(payee), true) = (expense.payee_key(), is_large) {
            let key = (payee, expense.wallet_id, expense.minor);
            alike.entry(key).or_default().push(expense);
        }
    }
    let mut found = Vec::new();
    for mut of_one in alike.into_values() {
        of_one.sort_by_key(|it| (it.date, it.id));
        let is_near = |pair: &&[&Expense]| {
            pair[1].date.signed_duration_since(pair[0].date).num_days() <= TWICE_DAYS
        };
        let pairs: Vec<&[&Expense]> = of_one.windows(2).filter(is_near).collect();
        // Once is a suspicion, more often is a habit.
        if let [pair] = pairs.as_slice()
            && is_lately(pair[1], today)
        {
            found.push(twice_of(pair[0], pair[1], currency));
        }
    }
    found
}

fn twice_of(first: &Expense, second: &Expense, currency: Currency) -> Insight {
    let payee = short(second.payee_written().unwrap_or_default());
    let (amount, code) = (text(second.minor, currency), currency.code());
    let same_day = first.date == second.date;
    let (first_id, second_id) = (first.id.min(second.id), first.id.max(second.id));
    Insight {
        kind: Kind::Anomaly,
        key: format!("twice {first_id} {second_id}"),
        title: format!("{payee}: charged twice?"),
        message: if same_day {
            format!("{payee} took {amount} {code} twice on {}.", first.date)
        } else {
            format!(
                "{payee} took {amount} {code} on {} and again on {}.",
                first.date, second.date
            )
        },
        facts: json!({
            "payee": payee, "amount": amount, "currency": code, "first_on": first.date,
            "second_on": second.date,
        }),
        confidence: if same_day { 75 } else { 60 },
        related: vec![
            (Thing::Transaction, first.id),
            (Thing::Transaction, second.id),
        ],
        expires_on: second.date.checked_add_days(Days::new(30)),
    }
}

/// Charges of the last days that are far above what their category is used to. `usual` are payees who come
/// back, whose amounts are known.
#[must_use]
pub fn unusual(
    expenses: &[Expense],
    usual: &BTreeSet<String>,
    name_of: impl Fn(Uuid) -> Option<String>,
    currency: Currency,
    today: NaiveDate,
) -> Vec<Insight> {
    let is_usual = |it: &&Expense| it.payee_key().is_some_and(|key| usual.contains(key));
    let mut by_category: BTreeMap<Uuid, Vec<&Expense>> = BTreeMap::new();
    for expense in expenses.iter().filter(|it| !is_usual(it)) {
        if let Some(category) = expense.category_id {
            by_category.entry(category).or_default().push(expense);
        }
    }
    let mut found = Vec::new();
    for (category, mut charges) in by_category {
        charges.sort_by_key(|it| (it.date, it.id));
        // The most that each payee has taken before.
        let mut taken: BTreeMap<Option<&str>, i64> = BTreeMap::new();
        for (place, charge) in charges.iter().enumerate() {
            let most = taken.entry(charge.payee_key()).or_default();
            let is_known =
                i128::from(*most) * 100 >= i128::from(charge.minor) * i128::from(KNOWN_PERCENT);
            *most = charge.minor.max(*most);
            if is_known || !is_lately(charge, today) {
                continue;
            }
            let before = &charges[place.saturating_sub(USUAL_MAX)..place];
            let before: Vec<i64> = before.iter().map(|it| it.minor).collect();
            if let Some(middle) = exceeded(&before, charge.minor, currency) {
                let name = name_of(category).unwrap_or_default();
                found.push(unusual_of(
                    charge,
                    category,
                    &name,
                    middle,
                    before.len(),
                    currency,
                ));
            }
        }
    }
    found
}

/// The median of what is usual, if this is far above it.
fn exceeded(usual: &[i64], minor: i64, currency: Currency) -> Option<i64> {
    if usual.len() < USUAL_SHOWN_BY {
        return None;
    }
    let is_nearly =
        |it: &&i64| i128::from(**it) * 100 >= i128::from(minor) * i128::from(NEARLY_PERCENT);
    if usual.iter().filter(is_nearly).count() * RARELY_ONE_IN > usual.len() {
        return None;
    }
    let middle = median(usual.to_vec())?;
    let is_unusual = i128::from(minor) > unusual_from(usual, middle)?
        && minor >= middle.saturating_mul(UNUSUAL_TIMES)
        && minor - middle >= UNUSUAL_UNITS * unit(currency);
    is_unusual.then_some(middle)
}

fn unusual_of(
    charge: &Expense,
    category_id: Uuid,
    category: &str,
    middle: i64,
    count: usize,
    currency: Currency,
) -> Insight {
    let category = short(category);
    let payee = charge
        .payee_written()
        .map_or_else(|| category.clone(), short);
    let (amount, usual) = (text(charge.minor, currency), text(middle, currency));
    let code = currency.code();
    Insight {
        kind: Kind::Anomaly,
        key: format!("unusual {}", charge.id),
        title: format!("{payee}: more than usual"),
        message: format!(
            "{payee} took {amount} {code} on {}; half of the {count} charges before in {category} were {usual} \
             {code} or less.",
            charge.date
        ),
        facts: json!({
            "payee": payee, "amount": amount, "median": usual, "currency": code, "category": category,
            "charges": count, "on": charge.date,
        }),
        confidence: if charge.minor >= middle.saturating_mul(5) {
            90
        } else {
            75
        },
        related: vec![
            (Thing::Transaction, charge.id),
            (Thing::Category, category_id),
        ],
        expires_on: charge.date.checked_add_days(Days::new(30)),
    }
}
