//! Months: categories beside their own past, how the month will end, and budgets that will not hold.

use chrono::{Datelike, NaiveDate};
use serde_json::json;
use uuid::Uuid;

use super::{Insight, Kind, Thing, median, short, text, unit, unusual_from};
use crate::domain::money::Currency;
use crate::domain::period::{Month, Period};

/// Full months before that show what is usual, and how many are looked at.
const MONTHS_SHOWN_BY: usize = 3;
/// How many months before are looked at.
pub const MONTHS_MAX: i32 = 6;
/// A category stands out from this part of its median on, in percent, and by so many units.
const STANDS_OUT_PERCENT: i64 = 150;
const STANDS_OUT_UNITS: i64 = 50;
/// The first day of a month on which its end is foreseen.
const FORESEEN_FROM_DAY: u32 = 10;
/// And the last: then it is nearly there.
const FORESEEN_TO_DAY: u32 = 25;
/// A budget is looked at from this part of its period on, and until then, in percent.
const PACE_FROM_PERCENT: i64 = 20;
const PACE_TO_PERCENT: i64 = 85;
/// It will not hold if the pace leads above this part of what there is, in percent.
const PACE_OVER_PERCENT: i64 = 115;

/// What was spent in a category, month by month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryMonths {
    /// The category.
    pub category_id: Uuid,
    /// Its name.
    pub name: String,
    /// The months before this one, the latest first: those in which nothing was spent are zero, and those before
    /// the first booking are left out.
    pub before: Vec<i64>,
    /// This month, so far.
    pub now: i64,
}

/// Categories on which more was spent this month already than is usual in a whole one.
#[must_use]
pub fn patterns(
    categories: &[CategoryMonths],
    currency: Currency,
    today: NaiveDate,
) -> Vec<Insight> {
    let month = Month::of(today);
    categories
        .iter()
        .filter_map(|it| {
            let usual = it.before.iter().filter(|minor| **minor > 0).count();
            let is_usual = |middle: &i64| usual >= MONTHS_SHOWN_BY && *middle > 0;
            let middle = median(it.before.clone()).filter(is_usual)?;
            let over = it.now - middle;
            let stands_out = it.now.saturating_mul(100)
                >= middle.saturating_mul(STANDS_OUT_PERCENT)
                && over >= STANDS_OUT_UNITS * unit(currency);
            stands_out.then(|| pattern(it, middle, month, currency))
        })
        .collect()
}

fn pattern(it: &CategoryMonths, middle: i64, month: Month, currency: Currency) -> Insight {
    let (name, code) = (short(&it.name), currency.code());
    let (now, usual) = (text(it.now, currency), text(middle, currency));
    let months = it.before.len();
    Insight {
        kind: Kind::SpendingPattern,
        key: format!("pattern {} {} {month}", it.category_id, code),
        title: format!("{name}: more than usual this month"),
        message: format!(
            "{now} {code} went to {name} in {month} so far; in the middle of the {months} months before it was {usual} \
             {code} in all."
        ),
        facts: json!({
            "category": name, "spent": now, "median": usual, "currency": code, "months": months,
            "month": month.to_string(),
        }),
        confidence: if months >= 6 { 85 } else { 70 },
        related: vec![(Thing::Category, it.category_id)],
        expires_on: Some(month.plus(1).last_day()),
    }
}

/// What was spent on the days of months before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastMonth {
    /// Up to the day of the month that is today.
    pub until_today: i64,
    /// After it.
    pub rest: i64,
}

/// How the month will end: what was spent, and what was spent in the rest of the months before, in the middle and at
/// the ends, but for months that are far from all others.
#[must_use]
pub fn forecast(
    spent: i64,
    before: &[PastMonth],
    currency: Currency,
    today: NaiveDate,
) -> Option<Insight> {
    let before: Vec<&PastMonth> = before
        .iter()
        .filter(|month| month.until_today + month.rest > 0)
        .collect();
    if !(FORESEEN_FROM_DAY..=FORESEEN_TO_DAY).contains(&today.day())
        || before.len() < MONTHS_SHOWN_BY
    {
        return None;
    }
    let rests: Vec<i64> = before.iter().map(|month| month.rest).collect();
    let middle = median(rests.clone())?;
    // A month with a new roof says nothing of the others.
    let bound = unusual_from(&rests, middle)?;
    let alike: Vec<i64> = rests
        .into_iter()
        .filter(|rest| i128::from(*rest) <= bound)
        .collect();
    let (least, most) = (
        *alike.iter().min()?,
        *alike.iter().max().filter(|most| **most > 0)?,
    );
    let at = |rest: i64| text(spent.saturating_add(rest), currency);
    let (month, code) = (Month::of(today), currency.code());
    let (low, likely, high) = (at(least), at(middle), at(most));
    let so_far = text(spent, currency);
    let months = before.len();
    Some(Insight {
        kind: Kind::Forecast,
        key: format!("forecast {code} {month}"),
        title: format!("{month} will end near {likely} {code}"),
        message: format!(
            "{so_far} {code} are spent. As the last {months} months went on from this day, {month} will end at {likely} \
             {code}, between {low} and {high}."
        ),
        facts: json!({
            "spent": so_far, "low": low, "likely": likely, "high": high, "currency": code,
            "months": months, "month": month.to_string(),
        }),
        confidence: within(alike.len(), months),
        related: Vec::new(),
        expires_on: Some(month.last_day()),
    })
}

/// How likely this month lies between the least and the most of those that are alike, among so many before it, in
/// percent: where each order of the months is as likely as any other, it is in one of all gaps between them, and
/// `alike - 1` of the `months + 1` are inside (a prediction interval of order statistics, whatever the distribution).
fn within(alike: usize, months: usize) -> u8 {
    let percent = alike.saturating_sub(1) * 100 / (months + 1);
    u8::try_from(percent).unwrap_or(100).max(1)
}

/// A budget and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// The budget.
    pub budget_id: Uuid,
    /// What it is called.
    pub name: String,
    /// The period.
    pub period: Period,
    /// What may be spent in it.
    pub available: i64,
    /// What was.
    pub spent: i64,
    /// In which currency.
    pub currency: Currency,
}

/// A budget that will be exceeded if the days to come are like those that were.
#[must_use]
pub fn will_not_hold(pace: &Pace, today: NaiveDate) -> Option<Insight> {
    let days = |to: NaiveDate| to.signed_duration_since(pace.period.start).num_days() + 1;
    let (gone, all) = (days(today), days(pace.period.end));
    let share = gone * 100 / all.max(1);
    if !(PACE_FROM_PERCENT..=PACE_TO_PERCENT).contains(&share) || pace.spent >= pace.available {
        return None;
    }
    let end = i128::from(pace.spent) * i128::from(all) / i128::from(gone.max(1));
    let end = i64::try_from(end).ok()?;
    if end.saturating_mul(100) < pace.available.saturating_mul(PACE_OVER_PERCENT) {
        return None;
    }
    let (name, code) = (short(&pace.name), pace.currency.code());
    let amount = |minor| text(minor, pace.currency);
    let (spent, available, end) = (amount(pace.spent), amount(pace.available), amount(end));
    Some(Insight {
        kind: Kind::Forecast,
        key: format!("pace {} {}", pace.budget_id, pace.period.start),
        title: format!("{name} will not hold"),
        message: format!(
            "{spent} of {available} {code} are spent of the budget {name} after {gone} of {all} days. Going on like that, \
             it ends at {end} {code}."
        ),
        facts: json!({
            "budget": name, "spent": spent, "available": available, "foreseen": end, "currency": code,
            "days": gone, "days_in_all": all, "period_end": pace.period.end,
        }),
        confidence: if share >= 50 { 80 } else { 60 },
        related: vec![(Thing::Budget, pace.budget_id)],
        expires_on: Some(pace.period.end),
    })
}
