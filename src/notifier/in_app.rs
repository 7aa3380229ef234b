//! Channel in-app: an alert is delivered by being written, for the list shows it and every stream
//! tails it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::bus::Heard;
use crate::events::EventData;
use crate::events::catalogue::{BudgetExceeded, Channel, InsightGenerated};
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
        EventData::InsightGenerated(data) => warning(data),
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
    kind: &'static str,
    title: String,
    message: String,
    details: Value,
    budget_id: Option<Uuid>,
    historic: bool,
}

fn exceeded(data: &BudgetExceeded) -> Said {
    let name: String = data.category.chars().take(NAME_CHARS_MAX).collect();
    Said {
        kind: "budget_exceeded",
        title: format!("{name}: {} % reached", data.threshold),
        message: format!(
            "{} of {} {} is spent of the budget {name}, which lasts until {}: {} % over the limit.",
            data.actual_amount,
            data.budget_amount,
            data.currency,
            data.period_end,
            data.percent_over
        ),
        details: json!({
            "budget_id": data.budget_id,
            "amount": data.budget_amount.to_string(),
            "spent": data.actual_amount.to_string(),
            "currency": data.currency,
            "period_start": data.period_start,
            "period_end": data.period_end,
            "threshold": data.threshold,
        }),
        budget_id: Some(data.budget_id),
        historic: data.historic,
    }
}

fn warning(data: &InsightGenerated) -> Said {
    let details = data.budget.as_ref().map(|budget| {
        json!({
            "budget_id": budget.budget_id,
            "amount": budget.budget_amount.to_string(),
            "spent": budget.actual_amount.to_string(),
            "currency": budget.currency,
            "period_start": budget.period_start,
            "period_end": budget.period_end,
            "threshold": budget.threshold,
        })
    });
    Said {
        kind: "budget_warning",
        title: data.title.clone(),
        message: data.message.clone(),
        details: details.unwrap_or_else(|| json!({})),
        budget_id: data.budget.as_ref().map(|budget| budget.budget_id),
        historic: data.historic,
    }
}
