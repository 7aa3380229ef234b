//! Payments that come back: to the same, at even distances, of about the same amount.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use serde_json::json;

use super::{Expense, Insight, Kind, Thing, median, short, text, unit};
use crate::domain::money::Currency;

/// How often a payment comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// Every seven days.
    Weekly,
    /// Once a month.
    Monthly,
}

impl Rhythm {
    /// Days between two payments: months differ, and so do weekends.
    const fn days(self) -> (i64, i64) {
        match self {
            Self::Weekly => (6, 8),
            Self::Monthly => (26, 36),
        }
    }

    /// How many payments show that they come back.
    const fn shown_by(self) -> usize {
        match self {
            Self::Weekly => 5,
            Self::Monthly => 3,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Weekly => "week",
            Self::Monthly => "month",
        }
    }
}

/// A payment that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regular {
    /// By what it is known.
    pub key: String,
    /// As it was written last.
    pub payee: String,
    /// How often it comes.
    pub rhythm: Rhythm,
    /// The payments, oldest first.
    pub payments: Vec<Expense>,
}

/// Payments of one payee may differ by so much, in percent of their middle.
const STEADY_PERCENT: i64 = 12;
/// A payment that is this many days late has ended.
const LATE_DAYS: u64 = 20;
/// A rise is worth a word from these percent on.
const RISE_PERCENT: i64 = 2;
/// And of these hundredths of a unit.
const RISE_HUNDREDTHS: i64 = 30;
/// Payments before a rise that agree on what it cost.
const RISE_SHOWN_BY: usize = 2;

impl Regular {
    /// The last payment.
    fn last(&self) -> Option<&Expense> {
        self.payments.last()
    }

    /// What it costs a month.
    fn monthly_minor(&self) -> i64 {
        let last = self.last().map_or(0, |payment| payment.minor);
        match self.rhythm {
            Rhythm::Weekly => last.saturating_mul(52) / 12,
            Rhythm::Monthly => last,
        }
    }
}

/// The payments of one currency that come back and have not ended; `expenses` in any order.
#[must_use]
pub fn regular(expenses: &[Expense], today: NaiveDate) -> Vec<Regular> {
    let mut by_payee: BTreeMap<&str, Vec<&Expense>> = BTreeMap::new();
    for expense in expenses.iter().filter(|it| it.date <= today) {
        if let Some(key) = expense.payee_key() {
            by_payee.entry(key).or_default().push(expense);
        }
    }
    by_payee
        .into_iter()
        .filter_map(|(key, mut of_payee)| {
            of_payee.sort_by_key(|it| (it.date, it.id));
            of_payee_regular(key, &of_payee, today)
        })
        .collect()
}

/// The longest run of even distances that ends with the last payment. Whoever is paid in between as well is
/// a shop, not a subscription.
fn of_payee_regular(key: &str, of_payee: &[&Expense], today: NaiveDate) -> Option<Regular> {
    for rhythm in [Rhythm::Monthly, Rhythm::Weekly] {
        let (least, most) = rhythm.days();
        let is_even = |pair: &[&Expense]| {
            let days = pair[1].date.signed_duration_since(pair[0].date).num_days();
            (least..=most).contains(&days)
        };
        let run = of_payee.windows(2).rev().take_while(|pair| is_even(pair));
        let run = run.count() + 1;
        if run < rhythm.shown_by() {
            continue;
        }
        let payments = &of_payee[of_payee.len() - run..];
        let last = payments.last()?;
        let most = u64::try_from(most).ok()?;
        let ends = last.date.checked_add_days(Days::new(most + LATE_DAYS))?;
        if ends < today || !is_steady(payments) {
            continue;
        }
        return Some(Regular {
            key: key.to_owned(),
            payee: short(last.payee_written().unwrap_or_default()),
            rhythm,
            payments: payments.iter().map(|it| (*it).clone()).collect(),
        });
    }
    None
}

/// Whether amounts stay where they are, but for steps: each is near the one before, and most are.
fn is_steady(payments: &[&Expense]) -> bool {
    let Some(middle) = median(payments.iter().map(|it| it.minor).collect()) else {
        return false;
    };
    let near = |a: i64, b: i64| (a - b).abs() * 100 <= middle * STEADY_PERCENT;
    let steps = payments.windows(2);
    let jumps = steps
        .filter(|pair| !near(pair[0].minor, pair[1].minor))
        .count();
    // One step, as when a price is raised.
    jumps <= 1 && payments.len() > jumps * 3
}

/// What is said of payments that come back: that they do, and that they cost more than they did.
#[must_use]
pub fn insights(regular: &[Regular], currency: Currency) -> Vec<Insight> {
    let mut found = Vec::new();
    for payment in regular {
        found.extend(comes_back(payment, currency));
        found.extend(costs_more(payment, currency));
    }
    found
}

fn comes_back(regular: &Regular, currency: Currency) -> Option<Insight> {
    let last = regular.last()?;
    let (amount, word) = (text(last.minor, currency), regular.rhythm.word());
    let count = regular.payments.len();
    Some(Insight {
        kind: Kind::Subscription,
        key: format!("subscription {} {} {}", word, currency.code(), regular.key),
        title: format!("{} comes back every {word}", regular.payee),
        message: format!(
            "{} was paid {count} times, once a {word}, lately {amount} {}.",
            regular.payee,
            currency.code()
        ),
        facts: json!({
            "payee": regular.payee, "amount": amount, "currency": currency.code(), "every": word,
            "times": count, "last_on": last.date,
        }),
        confidence: match count {
            0..=3 => 70,
            4 | 5 => 85,
            _ => 95,
        },
        related: vec![(Thing::Transaction, last.id)],
        expires_on: None,
    })
}

fn costs_more(regular: &Regular, currency: Currency) -> Option<Insight> {
    let (last, before) = regular.payments.split_last()?;
    let previous = before.last()?;
    let agree = before
        .iter()
        .rev()
        .take_while(|it| it.minor == previous.minor);
    let rise = last.minor - previous.minor;
    let is_rise = agree.count() >= RISE_SHOWN_BY
        && rise * 100 >= previous.minor * RISE_PERCENT
        && rise * 100 >= unit(currency) * RISE_HUNDREDTHS;
    if !is_rise {
        return None;
    }
    let (now, was) = (text(last.minor, currency), text(previous.minor, currency));
    let percent = rise * 100 / previous.minor;
    let code = currency.code();
    Some(Insight {
        kind: Kind::Subscription,
        key: format!("price {} {}", regular.key, last.id),
        title: format!("{} costs more", regular.payee),
        message: format!(
            "{} took {now} {code} on {}, {was} {code} before: {percent} % more.",
            regular.payee, last.date
        ),
        facts: json!({
            "payee": regular.payee, "amount": now, "before": was, "currency": code,
            "percent": percent, "on": last.date,
        }),
        confidence: 90,
        related: vec![
            (Thing::Transaction, last.id),
            (Thing::Transaction, previous.id),
        ],
        expires_on: last.date.checked_add_days(Days::new(60)),
    })
}

/// The key of a tip about what comes back, told on this day: of two tips the later has the greater key.
#[must_use]
pub fn tip_key(currency: Currency, told_on: NaiveDate) -> String {
    format!("tip subscriptions {} {told_on}", currency.code())
}

/// What they make together: for who was not told so for a year.
#[must_use]
pub fn tip(regular: &[Regular], currency: Currency, today: NaiveDate) -> Option<Insight> {
    let small: Vec<&Regular> = regular
        .iter()
        .filter(|it| it.monthly_minor() <= 100 * unit(currency))
        .collect();
    let monthly: i64 = small.iter().map(|it| it.monthly_minor()).sum();
    if small.len() < 3 || monthly < 20 * unit(currency) {
        return None;
    }
    let (count, code) = (small.len(), currency.code());
    let (month, year) = (
        text(monthly, currency),
        text(monthly.saturating_mul(12), currency),
    );
    Some(Insight {
        kind: Kind::SavingsTip,
        key: tip_key(currency, today),
        title: format!("{count} regular payments make {month} {code} a month"),
        message: format!(
            "{count} payments of up to {} {code} come back by themselves and make {month} {code} a month, \
             {year} {code} a year. Is each of them still of use?",
            text(100 * unit(currency), currency)
        ),
        facts: json!({
            "count": count, "monthly": month, "yearly": year, "currency": code,
            "payees": small.iter().take(10).map(|it| &it.payee).collect::<Vec<_>>(),
        }),
        confidence: 80,
        related: small
            .iter()
            .take(10)
            .filter_map(|it| Some((Thing::Transaction, it.last()?.id)))
            .collect(),
        expires_on: today.checked_add_days(Days::new(90)),
    })
}
