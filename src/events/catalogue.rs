//! The catalogue: every event type of the product, in one file.
//!
//! These are contracts with other programs: fields are added, never renamed or removed, and a
//! reader passes over fields it does not know. Keys are camelCase; the topic's name is the type.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Amount;
pub use super::booking::{BookedSplit, Booking, Words};
use crate::domain::insight::Kind;
use crate::domain::money::Currency;
use crate::domain::notification::AlertKind;
use crate::domain::period::PeriodKind;
use crate::domain::transaction::TransactionType;

macro_rules! catalogue {
    ($($(#[$doc:meta])* $variant:ident($data:ty) = $name:literal;)+) => {
        /// The type of an event, which is also the name of its topic.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType { $($(#[$doc])* $variant,)+ }

        impl EventType {
            /// Every type there is.
            pub const ALL: &'static [EventType] = &[$(EventType::$variant,)+];

            /// The type's name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(EventType::$variant => $name,)+ }
            }

            /// The type of this name, if the catalogue has it.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(EventType::$variant),)+ _ => None }
            }

            pub(super) fn schema(self) -> schemars::Schema {
                match self { $(EventType::$variant => schemars::schema_for!($data),)+ }
            }
        }

        /// The data of an event.
        #[derive(Debug, Clone, PartialEq)]
        pub enum EventData { $($(#[$doc])* $variant(Box<$data>),)+ }

        impl EventData {
            /// The event's type.
            #[must_use]
            pub const fn event_type(&self) -> EventType {
                match self { $(EventData::$variant(_) => EventType::$variant,)+ }
            }

            /// Whose event it is: the key under which the bus keeps order.
            #[must_use]
            pub fn user_id(&self) -> Uuid {
                match self { $(EventData::$variant(data) => data.user_id,)+ }
            }

            pub(super) fn to_value(&self) -> serde_json::Result<Value> {
                match self { $(EventData::$variant(data) => serde_json::to_value(data),)+ }
            }

            pub(super) fn from_value(event_type: EventType, value: Value) -> serde_json::Result<Self> {
                Ok(match event_type {
                    $(EventType::$variant => EventData::$variant(Box::new(serde_json::from_value(value)?)),)+
                })
            }
        }

        $(impl From<$data> for EventData {
            fn from(data: $data) -> Self {
                EventData::$variant(Box::new(data))
            }
        })+
    };
}

catalogue! {
    /// Somebody booked income, an expense or a transfer (api -> projector).
    TransactionCreated(TransactionCreated) = "finance.transaction.created";
    /// A booking was changed (api -> projector).
    TransactionUpdated(TransactionUpdated) = "finance.transaction.updated";
    /// A booking was removed (api -> projector).
    TransactionDeleted(TransactionDeleted) = "finance.transaction.deleted";
    /// A budget's threshold of 100 % or more was reached (projector -> notifier).
    BudgetExceeded(BudgetExceeded) = "finance.budget.exceeded";
    /// A goal is reached (api or projector -> notifier).
    GoalAchieved(GoalAchieved) = "finance.goal.achieved";
    /// Something worth knowing was found (projector -> notifier).
    InsightGenerated(InsightGenerated) = "ai.insight.generated";
    /// An alert was made and delivered (notifier -> api).
    AlertSent(AlertSent) = "notification.alert.sent";
    /// Somebody is to be asked whether their address is theirs (api -> notifier).
    ConfirmationRequested(ConfirmationRequested) = "user.confirmation.requested";
}

/// The projector's name as a consumer.
pub const PROJECTOR: &str = "projector";

/// The notifier's name as a consumer.
pub const NOTIFIER: &str = "notifier";

/// What the projector hears.
pub const PROJECTOR_HEARS: &[EventType] = &[
    EventType::TransactionCreated,
    EventType::TransactionUpdated,
    EventType::TransactionDeleted,
];

/// What the notifier hears.
pub const NOTIFIER_HEARS: &[EventType] = &[
    EventType::BudgetExceeded,
    EventType::GoalAchieved,
    EventType::InsightGenerated,
    EventType::ConfirmationRequested,
];

/// Every consumer with what it hears.
pub const CONSUMERS: &[(&str, &[EventType])] =
    &[(PROJECTOR, PROJECTOR_HEARS), (NOTIFIER, NOTIFIER_HEARS)];

/// What a topic of dead letters is called: this, then the type.
const DEAD_LETTERS: &str = "dlq.";

impl EventType {
    /// The name of its topic, where all names begin with this prefix.
    #[must_use]
    pub fn topic(self, prefix: &str) -> String {
        format!("{prefix}{self}")
    }

    /// The name of the topic of its dead letters, where all names begin with this prefix.
    #[must_use]
    pub fn dead_letter_topic(self, prefix: &str) -> String {
        format!("{prefix}{DEAD_LETTERS}{self}")
    }

    /// The type whose topic this is.
    #[must_use]
    pub fn of_topic(prefix: &str, topic: &str) -> Option<Self> {
        Self::named(topic.strip_prefix(prefix)?)
    }

    /// The type whose topic of dead letters this is.
    #[must_use]
    pub fn of_dead_letter_topic(prefix: &str, topic: &str) -> Option<Self> {
        Self::named(topic.strip_prefix(prefix)?.strip_prefix(DEAD_LETTERS)?)
    }

    /// The consumers that hear it.
    pub fn heard_by(self) -> impl Iterator<Item = &'static str> {
        let hear = CONSUMERS
            .iter()
            .filter(move |(_, hears)| hears.contains(&self));
        hear.map(|(name, _)| *name)
    }

    /// Those that somebody hears.
    pub fn heard() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|it| it.is_heard())
    }

    /// Whether anybody hears it, so that it can be refused.
    #[must_use]
    pub fn is_heard(self) -> bool {
        self.heard_by().next().is_some()
    }

    /// Whether it comes in numbers: with every booking. The others are rare, and somebody waits.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        matches!(
            self,
            Self::TransactionCreated | Self::TransactionUpdated | Self::TransactionDeleted
        )
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Data of [`EventType::TransactionCreated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransactionCreated {
    /// The transaction.
    pub transaction_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// Always above zero; the type tells the direction.
    pub amount: Amount,
    /// ISO 4217 code of the wallet's currency.
    pub currency: Currency,
    /// Income, expense or transfer.
    #[serde(rename = "type")]
    pub transaction_type: TransactionType,
    /// The category's name when the event was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Absent for a booking without a category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<Uuid>,
    /// Where there are some, they make the amount, and the categories are theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub splits: Vec<BookedSplit>,
    /// What the user wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who was paid, or who paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payee: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// In the order of the alphabet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The wallet that the money went into or came out of.
    pub wallet_id: Uuid,
    /// Of a transfer: the wallet that the money went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_wallet_id: Option<Uuid>,
    /// Of a transfer: what arrived there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_amount: Option<Amount>,
    /// Of a transfer: ISO 4217 code of that wallet's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_currency: Option<Currency>,
    /// The day of the booking, without hour or zone.
    pub date: NaiveDate,
    /// When it was recorded.
    pub timestamp: DateTime<Utc>,
    /// Version of the row, 1.
    pub version: i64,
}

impl TransactionCreated {
    /// What it adds to the sums.
    #[must_use]
    pub fn booking(&self) -> Booking {
        Booking {
            amount: self.amount.clone(),
            currency: self.currency,
            transaction_type: self.transaction_type,
            category: self.category.clone(),
            category_id: self.category_id,
            splits: self.splits.clone(),
            wallet_id: self.wallet_id,
            to_wallet_id: self.to_wallet_id,
            to_amount: self.to_amount.clone(),
            to_currency: self.to_currency,
            date: self.date,
            words: Words {
                description: self.description.clone(),
                payee: self.payee.clone(),
                notes: self.notes.clone(),
                tags: self.tags.clone(),
            },
        }
    }
}

/// A field's value before and after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Null where there was none.
    pub before: Value,
    /// Null where there is none now.
    pub after: Value,
}

/// Data of [`EventType::TransactionUpdated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransactionUpdated {
    /// The transaction.
    pub transaction_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// Each field that changed.
    pub changes: BTreeMap<String, Change>,
    /// What moved sums until now.
    pub before: Booking,
    /// What moves them from now on.
    pub after: Booking,
    /// Version of the row after the change.
    pub version: i64,
    /// When it was changed.
    pub updated_at: DateTime<Utc>,
}

/// Data of [`EventType::TransactionDeleted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransactionDeleted {
    /// The transaction.
    pub transaction_id: Uuid,
    /// Whose it was.
    pub user_id: Uuid,
    /// What it had added to the sums.
    pub before: Booking,
    /// The last version of the row.
    pub version: i64,
    /// When it was removed.
    pub deleted_at: DateTime<Utc>,
}

/// Data of [`EventType::BudgetExceeded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetExceeded {
    /// Whose budget it is.
    pub user_id: Uuid,
    /// The budget.
    pub budget_id: Uuid,
    /// The budget's name, and so usually its category's.
    pub category: String,
    /// The limit of the period.
    pub budget_amount: Amount,
    /// What was carried over into the period, above or below zero; absent of a budget without
    /// rollover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "Amount::signed")]
    pub carried: Option<Amount>,
    /// What was spent in the period when the threshold was reached.
    pub actual_amount: Amount,
    /// ISO 4217 code of the amounts.
    pub currency: Currency,
    /// Whole percent above the limit and what was carried over, rounded down; at most 999,999,900, which
    /// is also said where nothing was left to spend.
    pub percent_over: i64,
    /// The kind of period.
    pub period: PeriodKind,
    /// Its first day.
    pub period_start: NaiveDate,
    /// Its last day.
    pub period_end: NaiveDate,
    /// The threshold that was reached, in percent.
    pub threshold: u16,
    /// The period had already ended: to be recorded, not to be delivered.
    #[serde(default)]
    pub historic: bool,
}

/// The kinds of insight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InsightType {
    /// A budget is about to break.
    BudgetWarning,
    /// A category differs from its own past.
    SpendingPattern,
    /// A charge differs from what is usual, or may have been made twice.
    Anomaly,
    /// A payment comes back, or costs more than it did.
    Subscription,
    /// How a month or a budget will end.
    Forecast,
    /// Where something may be saved.
    SavingsTip,
}

impl From<Kind> for InsightType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::SpendingPattern => Self::SpendingPattern,
            Kind::Anomaly => Self::Anomaly,
            Kind::Subscription => Self::Subscription,
            Kind::Forecast => Self::Forecast,
            Kind::SavingsTip => Self::SavingsTip,
        }
    }
}

impl InsightType {
    /// The kind of the alert that tells of it.
    #[must_use]
    pub const fn alert_kind(self) -> AlertKind {
        match self {
            Self::BudgetWarning => AlertKind::BudgetWarning,
            Self::SpendingPattern => AlertKind::SpendingPattern,
            Self::Anomaly => AlertKind::Anomaly,
            Self::Subscription => AlertKind::Subscription,
            Self::Forecast => AlertKind::Forecast,
            Self::SavingsTip => AlertKind::SavingsTip,
        }
    }
}

/// Something that an insight is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelatedEntity {
    /// What it is: `budget`, `transaction` or `category`.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// Its id.
    pub id: Uuid,
}

/// Data of [`EventType::GoalAchieved`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoalAchieved {
    /// Whose goal it is.
    pub user_id: Uuid,
    /// The goal.
    pub goal_id: Uuid,
    /// What it is for.
    pub name: String,
    /// How much it took.
    pub target_amount: Amount,
    /// ISO 4217 code of the amount.
    pub currency: Currency,
    /// When it was found to be reached.
    pub achieved_at: DateTime<Utc>,
}

/// Data of [`EventType::InsightGenerated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsightGenerated {
    /// The insight.
    pub insight_id: Uuid,
    /// Whom it is for.
    pub user_id: Uuid,
    /// What kind of insight.
    pub insight_type: InsightType,
    /// At most 100 characters.
    #[schemars(length(max = 100))]
    pub title: String,
    /// At most 500 characters.
    #[schemars(length(max = 500))]
    pub message: String,
    /// From 0 to 1; 1 where the figures leave no doubt.
    #[schemars(schema_with = "confidence_schema")]
    pub confidence: serde_json::Number,
    /// What it is about.
    pub related_entities: Vec<RelatedEntity>,
    /// When it stops being of interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// For a budget warning: what was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetReached>,
    /// The period had already ended: to be recorded, not to be delivered.
    #[serde(default)]
    pub historic: bool,
}

fn confidence_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "number", "minimum": 0, "maximum": 1})
}

/// The figures behind a budget warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetReached {
    /// The budget.
    pub budget_id: Uuid,
    /// The limit of the period.
    pub budget_amount: Amount,
    /// What was carried over into the period, above or below zero; absent of a budget without
    /// rollover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "Amount::signed")]
    pub carried: Option<Amount>,
    /// What was spent in the period when the threshold was reached.
    pub actual_amount: Amount,
    /// ISO 4217 code of the amounts.
    pub currency: Currency,
    /// The period's first day.
    pub period_start: NaiveDate,
    /// Its last day.
    pub period_end: NaiveDate,
    /// The threshold that was reached, in percent.
    pub threshold: u16,
}

/// Ways by which an alert reaches somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The list and the live stream of the application.
    InApp,
    /// E-mail.
    Email,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It is where the user can see it; by e-mail: the mail server has taken it.
    Delivered,
    /// It could not be delivered, and is not tried any more.
    Failed,
}

/// Data of [`EventType::AlertSent`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertSent {
    /// The alert; one that is sent by e-mail alone is not in the list.
    pub alert_id: Uuid,
    /// Whom it is for.
    pub user_id: Uuid,
    /// How it was delivered.
    pub channel: Channel,
    /// The type of the event that it tells of.
    pub source_event: String,
    /// The id of that event.
    pub source_event_id: Uuid,
    /// When it was delivered, or given up.
    pub delivered_at: DateTime<Utc>,
    /// What became of it.
    pub status: DeliveryStatus,
}

/// Data of [`EventType::ConfirmationRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmationRequested {
    /// Whose address is to be confirmed. The address itself is told to nobody.
    pub user_id: Uuid,
    /// When the user asked for it.
    pub requested_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_after_their_type_and_read_back() {
        for event_type in EventType::ALL {
            for prefix in ["", "home-"] {
                let (topic, letters) = (
                    event_type.topic(prefix),
                    event_type.dead_letter_topic(prefix),
                );
                assert_eq!(EventType::of_topic(prefix, &topic), Some(*event_type));
                assert_eq!(EventType::of_topic(prefix, &letters), None);
                let read = EventType::of_dead_letter_topic(prefix, &letters);
                assert_eq!(read, Some(*event_type));
                assert_eq!(EventType::of_dead_letter_topic(prefix, &topic), None);
            }
        }
        assert_eq!(
            EventType::BudgetExceeded.dead_letter_topic("home-"),
            "home-dlq.finance.budget.exceeded"
        );
        assert_eq!(
            EventType::of_topic("home-", "finance.budget.exceeded"),
            None
        );
    }

    #[test]
    fn every_consumer_has_something_to_hear() {
        let heard: Vec<_> = EventType::TransactionCreated.heard_by().collect();
        assert_eq!(heard, [PROJECTOR]);
        assert!(!EventType::AlertSent.is_heard());
        assert!(CONSUMERS.iter().all(|(_, hears)| !hears.is_empty()));
    }
}
