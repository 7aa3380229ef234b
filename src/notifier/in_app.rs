//! Channel in-app: an alert is delivered by being written, for the list shows it and every stream
//! tails it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::bus::Heard;
use crate::domain::budget::PERCENT_BOUND;
use crate::domain::notification::AlertKind;
use crate::events::catalogue::{BudgetExceeded, Channel, GoalAchieved, InsightGenerated};
use crate::events::{Amount, EventData};
use crate::store::alerts::NewAlert;

/// How it is named in events.
pub const CHANNEL: Channel = Channel::InApp;

/// So that a title stays within its 100 characters.
const NAME_CHARS_MAX: usize = 80;

/// The alert that tells of an event; none for events that there is nothing to say of.
#[must_use]
pub fn alert(id: Uuid, heard: &Heard) -> Option<NewAlert> {
    let event = &heard.event;
    let said = match &event.data {
        EventData::BudgetExceeded(data) => exceeded(data),
        EventData::GoalAchieved(data) => achieved(data),
        EventData::InsightGenerated(data) => insight(data),
        _ => return None,
    };
    Some(NewAlert {
        id,
        user_id: event.data.user_id(),
        kind: said.kind,
        title: said.title,
        message: said.message,
        details: said.details,
        source_event: event.data.event_type().as_str(),
        source_event_id: event.id,
        budget_id: said.budget_id,
        historic: said.historic,
        cause: heard.as_cause(),
    })
}

struct Said {
    kind: AlertKind,
    title: String,
    message: String,
    details: Value,
    budget_id: Option<Uuid>,
    historic: bool,
}

fn exceeded(data: &BudgetExceeded) -> Said {
    let name: String = data.category.chars().take(NAME_CHARS_MAX).collect();
    Said {
        kind: AlertKind::BudgetExceeded,
        title: format!("{name}: {} % reached", data.threshold),
        message: format!(
            "{} of {} {}{} is spent of the budget {name}, which lasts until {}{}.",
            data.actual_amount,
            data.budget_amount,
            data.currency,
            carried_over(data.carried.as_ref()),
            data.period_end,
            over_the_limit(data.percent_over)
        ),
        details: with_carried(
            data.carried.as_ref(),
            json!({
                "budget_id": data.budget_id,
                "amount": data.budget_amount.to_string(),
                "spent": data.actual_amount.to_string(),
                "currency": data.currency,
                "period_start": data.period_start,
                "period_end": data.period_end,
                "threshold": data.threshold,
            }),
        ),
        budget_id: Some(data.budget_id),
        historic: data.historic,
    }
}

fn carried_over(carried: Option<&Amount>) -> String {
    carried.map_or_else(String::new, |amount| format!(" ({amount} carried over)"))
}

/// Where nothing was left to spend, no percentage says how far it is exceeded.
fn over_the_limit(percent: i64) -> String {
    if percent < PERCENT_BOUND - 100 {
        format!(": {percent} % over the limit")
    } else {
        String::new()
    }
}

fn with_carried(carried: Option<&Amount>, mut details: Value) -> Value {
    if let Some(amount) = carried {
        details["carried"] = amount.to_string().into();
    }
    details
}

fn achieved(data: &GoalAchieved) -> Said {
    let name: String = data.name.chars().take(NAME_CHARS_MAX).collect();
    Said {
        kind: AlertKind::GoalAchieved,
        title: format!("{name} is reached"),
        message: format!(
            "{} {} are there: the goal {name} is reached.",
            data.target_amount, data.currency
        ),
        details: json!({
            "goal_id": data.goal_id,
            "amount": data.target_amount.to_string(),
            "currency": data.currency,
        }),
        budget_id: None,
        historic: false,
    }
}

fn insight(data: &InsightGenerated) -> Said {
    let details = data.budget.as_ref().map(|budget| {
        let details = json!({
            "budget_id": budget.budget_id,
            "amount": budget.budget_amount.to_string(),
            "spent": budget.actual_amount.to_string(),
            "currency": budget.currency,
            "period_start": budget.period_start,
            "period_end": budget.period_end,
            "threshold": budget.threshold,
        });
        with_carried(budget.carried.as_ref(), details)
    });
    Said {
        kind: data.insight_type.alert_kind(),
        title: data.title.clone(),
        message: data.message.clone(),
        details: details.unwrap_or_else(|| json!({"insight_id": data.insight_id})),
        budget_id: data.budget.as_ref().map(|budget| budget.budget_id),
        historic: data.historic,
    }
}
