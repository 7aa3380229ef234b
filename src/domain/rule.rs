//! Rules: which bookings they are about, and what they make of them. Pure: whoever applies them reads and writes.
//!
//! Rules are asked in their order, and each sees what those before it have made. Of several that set the same, the
//! first does. What is asked is bounded by what a rule may be: so many conditions, one pattern among them, whose
//! automaton is of bounded size and reads a text once.

/// What is asked of a booking.
mod condition;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use condition::{Condition, ConditionError, Field, Operator, PATTERN_CHARS_MAX};

use crate::domain::money::Money;
use crate::domain::transaction::{TAGS_MAX, TransactionType};
use condition::Test;

/// Conditions of a rule at the most; each of them must hold.
pub const CONDITIONS_MAX: usize = 10;

/// A rule: what must hold, and what is set then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The rule's id.
    pub id: Uuid,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// The category, of what can have one.
    pub category_id: Option<Uuid>,
    /// Who was paid, or who paid.
    pub payee: Option<String>,
    /// Tags that are added.
    pub tags: Vec<String>,
    /// No rule after it is asked where this one holds.
    pub stops: bool,
}

/// What rules set of a booking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// What it was earned by or spent on.
    pub category_id: Option<Uuid>,
    /// Who was paid, or who paid.
    pub payee: Option<String>,
    /// In the order of the alphabet, each once.
    pub tags: Vec<String>,
}

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Booked<'a> {
    /// Income, expense or transfer.
    pub transaction_type: TransactionType,
    /// The wallet.
    pub wallet_id: Uuid,
    /// The other wallet of a transfer.
    pub to_wallet_id: Option<Uuid>,
    /// Above zero, in the wallet's currency.
    pub amount: Money,
    /// What it was.
    pub description: Option<&'a str>,
    /// Whether its parts have categories of their own.
    pub is_split: bool,
    /// What it has of what rules set.
    pub labels: &'a Labels,
}

impl Booked<'_> {
    /// Whether it can have a category: transfers and what is split have none.
    #[must_use]
    pub fn takes_category(&self) -> bool {
        self.transaction_type != TransactionType::Transfer && !self.is_split
    }
}

/// What rules have made of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// What it has now.
    pub labels: Labels,
    /// The rules that have changed something, in their order.
    pub by: Vec<Uuid>,
}

/// What is done with a category or a payee that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It stays: only what is missing is filled in. Tags are added.
    Fill,
    /// It is replaced.
    Overwrite,
}

/// Rules that are ready to be asked, in their order.
#[derive(Debug)]
pub struct Ruleset {
    rules: Vec<(Rule, Vec<Test>)>,
}

impl Ruleset {
    /// Makes them ready.
    ///
    /// # Errors
    /// A condition that is none.
    pub fn new(rules: Vec<Rule>) -> Result<Self, ConditionError> {
        let ready = |rule: Rule| {
            let tests = rule.conditions.iter().map(Condition::test);
            let tests = tests.collect::<Result<_, ConditionError>>()?;
            Ok::<_, ConditionError>((rule, tests))
        };
        let rules = rules.into_iter().map(ready).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How many patterns there are among the conditions.
    #[must_use]
    pub fn patterns(&self) -> usize {
        let conditions = self.rules.iter().flat_map(|(rule, _)| &rule.conditions);
        conditions
            .filter(|condition| condition.operator == Operator::Matches)
            .count()
    }

    /// What they make of a booking; none where nothing changes.
    #[must_use]
    pub fn apply(&self, booked: Booked<'_>, mode: Mode) -> Option<Labelled> {
        let mut seen = Seen {
            booked,
            payee: booked.labels.payee.as_deref().map(fold),
            description: booked.description.map(fold),
        };
        let mut made = Making {
            labels: booked.labels.clone(),
            may_set_category: booked.takes_category()
                && may_set(booked.labels.category_id.is_some(), mode),
            may_set_payee: may_set(booked.labels.payee.as_ref().is_some(), mode),
        };
        let mut by = Vec::new();
        for (rule, tests) in &self.rules {
            if !tests.iter().all(|test| test.holds(&seen)) {
                continue;
            }
            if made.take(rule) {
                by.push(rule.id);
                seen.payee = made
                    .labels
                    .payee
                    .as_deref()
                    .map(|it| fold(it).into_owned().into());
            }
            if rule.stops {
                break;
            }
        }
        let labels = made.labels;
        (labels != *booked.labels).then_some(Labelled { labels, by })
    }
}

/// What conditions are asked of: texts as they are, and in lower case.
struct Seen<'a> {
    booked: Booked<'a>,
    payee: Option<Text<'a>>,
    description: Option<Text<'a>>,
}

/// A text in lower case.
type Text<'a> = Cow<'a, str>;

/// In lower case: what people and banks write is not told apart by it.
fn fold(text: &str) -> Text<'_> {
    if text.chars().any(char::is_uppercase) {
        text.to_lowercase().into()
    } else {
        text.into()
    }
}

fn may_set(is_there: bool, mode: Mode) -> bool {
    !is_there || mode == Mode::Overwrite
}

/// Labels that rules are setting, and what the next one may set.
struct Making {
    labels: Labels,
    may_set_category: bool,
    may_set_payee: bool,
}

impl Making {
    /// Sets what the rule sets; says whether that has changed anything.
    fn take(&mut self, rule: &Rule) -> bool {
        let labels = &mut self.labels;
        let mut changed = false;
        if self.may_set_category && rule.category_id.is_some() {
            changed |= labels.category_id != rule.category_id;
            labels.category_id = rule.category_id;
            self.may_set_category = false;
        }
        if self.may_set_payee && rule.payee.is_some() {
            changed |= labels.payee != rule.payee;
            labels.payee.clone_from(&rule.payee);
            self.may_set_payee = false;
        }
        for tag in &rule.tags {
            if let Err(place) = labels.tags.binary_search(tag)
                && labels.tags.len() < TAGS_MAX
            {
                labels.tags.insert(place, tag.clone());
                changed = true;
            }
        }
        changed
    }
}
