//! The days to come, as things stand now.

use std::collections::HashSet;

use chrono::NaiveDate;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::{RULES_MAX, Recurring, SKIPPED, SKIPPED_MAX};
use crate::store::entities::recurring;
use crate::store::given::Given;
use crate::store::{Page, PageRequest, StoreError};

/// The key of a list of days: the next first, of a day the rule made first.
pub type ByDay = (NaiveDate, Uuid);

/// A day on which a rule comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Upcoming {
    /// The day.
    pub on: NaiveDate,
    /// The rule.
    pub rule: Recurring,
}

/// The user's rules that book anything as things stand, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn rules(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Vec<Recurring>, StoreError> {
    let rows = recurring::Entity::find()
        .filter(recurring::Column::UserId.eq(user_id))
        .order_by_asc(recurring::Column::Id)
        .all(db)
        .await?;
    rows.into_iter().map(Recurring::try_from).collect()
}

/// The days on which these rules of one user come, up to and with a day.
///
/// # Errors
/// The database cannot be read.
pub async fn days(
    db: &impl ConnectionTrait,
    rules: &[Recurring],
    until: Option<NaiveDate>,
    page: PageRequest<ByDay>,
) -> Result<Page<Upcoming, ByDay>, StoreError> {
    debug_assert!(rules.len() as u64 <= RULES_MAX);
    let rules = rules.iter().filter(|rule| !rule.paused);
    let rules: Vec<_> = rules
        .filter_map(|rule| Some((rule, rule.next_on?)))
        .collect();
    let skipped = skipped(db, &rules).await?;
    let wanted = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
    let mut last = until.unwrap_or(NaiveDate::MAX);
    let mut found: Vec<ByDay> = Vec::new();
    for (rule, next_on) in &rules {
        let id = rule.template.id;
        let from = page.after.map_or(*next_on, |(day, _)| day.max(*next_on));
        let days = rule
            .recurrence
            .days_from(from, wanted + 1 + SKIPPED_MAX.min(skipped.len()));
        let days = days.into_iter().take_while(|day| *day <= last);
        let days = days.map(|day| (day, id));
        found.extend(
            days.filter(|it| page.after.is_none_or(|after| *it > after) && !skipped.contains(it)),
        );
        found.sort_unstable();
        found.truncate(wanted);
        // Nothing later is on the page.
        if let Some((day, _)) = found.last().filter(|_| found.len() == wanted) {
            last = last.min(*day);
        }
    }
    let of = |id: Uuid| rules.iter().find(|(rule, _)| rule.template.id == id);
    let found = found.into_iter().filter_map(|(on, id)| {
        let rule = of(id)?.0.clone();
        Some(Upcoming { on, rule })
    });
    Ok(Page::cut(found.collect(), page.limit, |it| {
        (it.on, it.rule.template.id)
    }))
}

/// What is left out of what is to come.
async fn skipped(
    db: &impl ConnectionTrait,
    rules: &[(&Recurring, NaiveDate)],
) -> Result<HashSet<ByDay>, StoreError> {
    let keys = rules
        .iter()
        .map(|(rule, next_on)| [rule.template.id.into(), (*next_on).into()]);
    let text = "SELECT o.date, o.recurring_id FROM given \
         JOIN recurring_occurrences o ON o.recurring_id = given.id AND o.date >= given.next_on \
         WHERE o.outcome = $1";
    let given = Given::new(["id", "next_on"], keys);
    let rows = given.run(db, text, [SKIPPED.into()]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}
