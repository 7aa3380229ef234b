//! What is said of a crossing: below 100 percent a warning, from there on that the budget is
//! exceeded.

use uuid::Uuid;

use super::fold::Crossing;
use crate::domain::budget;
use crate::events::EventData;
use crate::events::catalogue::{
    BudgetExceeded, BudgetReached, InsightGenerated, InsightType, RelatedEntity,
};

/// The event of a crossing.
pub(super) fn event_data(
    crossing: &Crossing<'_>,
    historic: bool,
    insight_id: impl FnOnce() -> Uuid,
) -> EventData {
    if budget::is_exceeded(crossing.threshold) {
        exceeded(crossing, historic).into()
    } else {
        warning(crossing, historic, insight_id()).into()
    }
}

fn exceeded(crossing: &Crossing<'_>, historic: bool) -> BudgetExceeded {
    let budget = crossing.budget;
    let percent = budget::percent(crossing.spent.minor(), crossing.available.minor());
    BudgetExceeded {
        user_id: budget.user_id,
        budget_id: budget.id,
        category: budget.name.clone(),
        budget_amount: crossing.limit().into(),
        carried: crossing.carried().map(Into::into),
        actual_amount: crossing.spent.into(),
        currency: budget.currency(),
        percent_over: percent.saturating_sub(100),
        period: budget.period,
        period_start: crossing.period.start,
        period_end: crossing.period.end,
        threshold: crossing.threshold,
        historic,
    }
}

fn warning(crossing: &Crossing<'_>, historic: bool, insight_id: Uuid) -> InsightGenerated {
    let budget = crossing.budget;
    let currency = budget.currency();
    InsightGenerated {
        insight_id,
        user_id: budget.user_id,
        insight_type: InsightType::BudgetWarning,
        title: shortened(
            format!("{} % of {} is spent", crossing.threshold, budget.name),
            100,
        ),
        message: shortened(
            format!(
                "{} of {} {currency} is spent of the budget {}, which lasts until {}.",
                crossing.spent, crossing.available, budget.name, crossing.period.end
            ),
            500,
        ),
        confidence: 1.into(),
        related_entities: vec![RelatedEntity {
            entity_type: "budget".to_owned(),
            id: budget.id,
        }],
        expires_at: None,
        budget: Some(BudgetReached {
            budget_id: budget.id,
            budget_amount: crossing.limit().into(),
            carried: crossing.carried().map(Into::into),
            actual_amount: crossing.spent.into(),
            currency,
            period_start: crossing.period.start,
            period_end: crossing.period.end,
            threshold: crossing.threshold,
        }),
        historic,
    }
}

/// Titles and messages have bounds in characters; names may be as long.
fn shortened(text: String, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text;
    }
    let mut short: String = text.chars().take(chars_max - 1).collect();
    short.push('…');
    short
}
