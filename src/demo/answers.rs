//! What the demo reads of the API's answers; other fields are left alone.

use chrono::NaiveDate;
use serde::Deserialize;
use uuid::Uuid;

/// The answer to a registration.
#[derive(Deserialize)]
pub(super) struct Session {
    pub(super) access_token: String,
}

/// Whatever was created.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub(super) id: Uuid,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
}

/// A category.
#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) kind: String,
}

/// An alert, from the list or from the stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Alert {
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) budget_id: Option<Uuid>,
    /// About a period that had already ended.
    pub(super) historic: bool,
}

impl Alert {
    /// Whether it says that the budget has reached the threshold (percent).
    pub(super) fn tells_of(&self, budget_id: Uuid, threshold: u64) -> bool {
        let kind = if threshold < 100 {
            "budget_warning"
        } else {
            "budget_exceeded"
        };
        self.kind == kind && self.budget_id == Some(budget_id)
    }

    /// Whether it is about a limit that is used up, not one that comes near.
    pub(super) fn is_excess(&self) -> bool {
        self.kind == "budget_exceeded"
    }
}

/// A month at a glance.
#[derive(Debug, Deserialize)]
pub(super) struct Dashboard {
    pub(super) spending: String,
    pub(super) by_category: Vec<CategorySum>,
    pub(super) budgets: Vec<Budget>,
    pub(super) trend: Vec<TrendMonth>,
}

/// What a month has of one category.
#[derive(Debug, Deserialize)]
pub(super) struct CategorySum {
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) amount: String,
}

/// A budget and where it stands.
#[derive(Debug, Deserialize)]
pub(super) struct Budget {
    pub(super) name: String,
    pub(super) amount: String,
    pub(super) current: Standing,
}

/// How far a budget is spent in its current period.
#[derive(Debug, Deserialize)]
pub(super) struct Standing {
    pub(super) spent: String,
    /// Of the limit, in whole percent.
    pub(super) percent: i64,
}

/// A month of the trend.
#[derive(Debug, Deserialize)]
pub(super) struct TrendMonth {
    pub(super) month: String,
    pub(super) income: String,
    pub(super) spending: String,
    pub(super) net: String,
}

/// A wallet, and what is in it.
#[derive(Debug, Deserialize)]
pub(super) struct Wallet {
    pub(super) name: String,
    pub(super) balance: String,
}

/// A booking that comes again.
#[derive(Debug, Deserialize)]
pub(super) struct Recurring {
    pub(super) next_on: Option<NaiveDate>,
}

/// A goal, and how far it has come.
#[derive(Debug, Deserialize)]
pub(super) struct Goal {
    pub(super) saved: String,
    /// Of the target, in whole percent.
    pub(super) percent: i64,
}

/// What a rule would change.
#[derive(Debug, Deserialize)]
pub(super) struct Preview {
    pub(super) examined: u64,
    pub(super) would_change: u64,
}

/// A run of a rule.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) state: String,
    pub(super) changed: u64,
}

/// Something worth knowing.
#[derive(Debug, Deserialize)]
pub(super) struct Insight {
    pub(super) title: String,
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

impl Problem {
    /// The title and the detail; the fields too where the detail does not name them.
    pub(super) fn in_words(&self) -> String {
        let mut words = self.title.clone();
        if !self.detail.is_empty() {
            words = format!("{words}: {}", self.detail);
        }
        for error in &self.errors {
            if !self.detail.contains(&error.pointer) {
                words = format!("{words}\n  {}: {}", error.pointer, error.detail);
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Alert, Dashboard, Problem};

    #[test]
    fn problems_are_told_with_their_fields_once() {
        let one: Problem = serde_json::from_str(
            r#"{"type":"urn:x","title":"Fields are wrong","status":422,"detail":"/amount: too long",
                "instance":"1","errors":[{"pointer":"/amount","detail":"too long"}]}"#,
        )
        .unwrap();
        assert_eq!(one.in_words(), "Fields are wrong: /amount: too long");
        let two: Problem = serde_json::from_str(
            r#"{"title":"Fields are wrong","detail":"2 fields are wrong",
                "errors":[{"pointer":"/a","detail":"x"},{"pointer":"/b","detail":"y"}]}"#,
        )
        .unwrap();
        assert_eq!(
            two.in_words(),
            "Fields are wrong: 2 fields are wrong\n  /a: x\n  /b: y"
        );
        let bare: Problem = serde_json::from_str(r#"{"title":"Sign in first"}"#).unwrap();
        assert_eq!(bare.in_words(), "Sign in first");
    }

    #[test]
    fn an_alert_belongs_to_one_budget_and_one_threshold() {
        let budget_id = Uuid::from_u128(7);
        let alert: Alert = serde_json::from_value(serde_json::json!({
            "kind": "budget_warning", "title": "t", "message": "m", "budget_id": budget_id,
            "historic": false, "details": {"threshold": 80},
        }))
        .unwrap();
        assert!(alert.tells_of(budget_id, 80) && !alert.is_excess());
        assert!(!alert.tells_of(budget_id, 100) && !alert.tells_of(Uuid::nil(), 80));
    }

    #[test]
    fn a_dashboard_is_read_with_whatever_else_it_has() {
        let dashboard: Dashboard = serde_json::from_str(
            r#"{"month":"2026-02","currency":"USD","income":"1.00","spending":"2.00","net":"-1.00",
                "by_category":[{"category_id":null,"name":null,"type":"expense","amount":"2.00"}],
                "by_wallet":[],"latest":[],"trend":[],
                "budgets":[{"name":"Fun","amount":"4.00","current":{"spent":"2.00","remaining":"2.00",
                "percent":50}}]}"#,
        )
        .unwrap();
        assert_eq!(dashboard.budgets[0].current.percent, 50);
        assert_eq!(dashboard.by_category[0].name, None);
    }
}
