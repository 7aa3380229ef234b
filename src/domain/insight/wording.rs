//! An insight in somebody else's words: what is given away for it, and what of the answer is believed.
//!
//! Given away are the figures and the rules' own words, with slots (`{payee}`) where names stand: who was paid, and
//! what people call their categories, is nobody's business, and cannot tell a model what to do either. An answer is
//! plain text with the same slots; a figure in it that is not one of the insight's, and it is not used.

/// The figures that a text says.
mod figures;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Insight, Kind};
use crate::domain::money::Currency;
use crate::domain::word::words;
use figures::{Allowed, Figure};

pub use figures::Unreadable;

/// Whose words a title and a message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WordedBy {
    /// The rules' that found it.
    Rules,
    /// Those of Google's Gemini, with the rules' figures.
    Gemini,
}

words!(WordedBy {
    Rules = "rules",
    Gemini = "gemini",
});

/// What is said to the model before each finding.
pub const INSTRUCTION: &str = "You say a finding about somebody's spending in friendly, plain English. The input is \
JSON: the title and the message as a program has worded them, and the figures that they rest on. {payee}, {category} \
and {budget} stand for names: keep each one that is in the input's title or message, exactly as it is written there, \
and use no other. Use the figures of the input alone, as they are: do not round, add up, convert or compare them to \
anything, write them in digits, with the currency's code behind amounts, and write no other number, not in words \
either. Keep what the message claims: claim nothing that it does not, and give no advice that it does not give. Plain \
sentences: no lists, no links, no markup, no emojis. The title has 60 characters at the most, the message 300.";

/// Facts that are names, and the slots that stand for them.
const NAMES: [(&str, &str); 3] = [
    ("payee", "{payee}"),
    ("category", "{category}"),
    ("budget", "{budget}"),
];
/// Words that a fact may be.
const WORDS: [&str; 2] = ["month", "week"];
/// Characters of a title and of a message at the most.
const TITLE_MAX: usize = 100;
const MESSAGE_MAX: usize = 500;

/// What is given away of an insight.
#[derive(Debug, Clone)]
pub struct Ask {
    kind: Kind,
    title: String,
    message: String,
    facts: Map<String, Value>,
    /// The slots in title and message, and what stands there.
    slots: Vec<(&'static str, String)>,
    currency: Currency,
    allowed: Allowed,
}

/// Title and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// At most 100 characters.
    pub title: String,
    /// At most 500.
    pub message: String,
}

/// Why an answer is not used. It does not repeat the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing, or more than fits.
    #[error("it is empty or too long")]
    Length,
    /// A slot is missing, or not one of the insight's.
    #[error("it does not name what the rules name, or names something else")]
    Names,
    /// What no plain sentence has.
    #[error("it is not plain text")]
    NotPlain,
    /// A number that is written in a way that leaves open what it is.
    #[error("a number in it is unclear")]
    Unclear,
    /// Another currency.
    #[error("it is of another currency")]
    Currency,
    /// A figure that is not among the facts.
    #[error("a figure in it is not among the facts")]
    NotAFact,
    /// No amount, though the rules say one.
    #[error("it says no amount")]
    NoAmount,
}

impl From<Unreadable> for Refusal {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::NotPlain => Self::NotPlain,
            Unreadable::Unclear => Self::Unclear,
            Unreadable::Currency => Self::Currency,
        }
    }
}

impl Ask {
    /// What may be given away of an insight; none where the rules' words cannot be taken apart for it.
    #[must_use]
    pub fn of(insight: &Insight) -> Option<Self> {
        let facts = insight.facts.as_object()?;
        let currency = Currency::parse(facts.get("currency")?.as_str()?).ok()?;
        let (title, message, slots) = slotted(insight, facts)?;
        let facts = given_away(facts);
        let mut allowed = Allowed::default();
        allowed.add_facts(&facts);
        for text in [&title, &message] {
            allowed.add(figures::read(&unslotted(text)?, currency).ok()?);
        }
        Some(Self {
            kind: insight.kind,
            title,
            message,
            facts,
            slots,
            currency,
            allowed,
        })
    }

    /// What is sent: JSON.
    #[must_use]
    pub fn text(&self) -> String {
        json!({
            "kind": self.kind.as_str(), "title": self.title, "message": self.message, "figures": self.facts,
        })
        .to_string()
    }

    /// An answer with the names in it, if it says what the insight says and nothing else.
    ///
    /// # Errors
    /// It is not used, and why.
    pub fn accept(&self, answer: &Wording) -> Result<Wording, Refusal> {
        let (title, message) = (answer.title.trim(), answer.message.trim());
        let mut said = Vec::new();
        for text in [title, message] {
            let plain = unslotted(text).ok_or(Refusal::Names)?;
            said.extend(figures::read(&plain, self.currency)?);
        }
        let is_named = |text: &str, slot: &str| text.contains(slot);
        for (_, slot) in NAMES {
            let wanted = is_named(&self.title, slot) || is_named(&self.message, slot);
            let named = is_named(title, slot) || is_named(message, slot);
            if wanted != named {
                return Err(Refusal::Names);
            }
        }
        if !said.iter().all(|figure| self.allowed.has(figure)) {
            return Err(Refusal::NotAFact);
        }
        let says_amount = |figure: &Figure| self.allowed.is_amount(figure);
        if self.allowed.has_amounts() && !said.iter().any(says_amount) {
            return Err(Refusal::NoAmount);
        }
        let wording = Wording {
            title: self.filled(title),
            message: self.filled(message),
        };
        let fits = |text: &str, most| (1..=most).contains(&text.chars().count());
        if fits(&wording.title, TITLE_MAX) && fits(&wording.message, MESSAGE_MAX) {
            Ok(wording)
        } else {
            Err(Refusal::Length)
        }
    }

    /// With the names in place, each once: a name that looks like a slot stays what it is.
    fn filled(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            filled.push_str(before);
            let slot = self.slots.iter().find(|(slot, _)| from.starts_with(slot));
            let Some((slot, name)) = slot else {
                break;
            };
            filled.push_str(name);
            rest = &from[slot.len()..];
        }
        filled + rest
    }
}

/// Title and message of the rules with slots for names, and the names.
#[expect(clippy::type_complexity, reason = "of this file alone")]
fn slotted(
    insight: &Insight,
    facts: &Map<String, Value>,
) -> Option<(String, String, Vec<(&'static str, String)>)> {
    let mut slots = Vec::new();
    for (fact, slot) in NAMES {
        let name = facts.get(fact).and_then(Value::as_str).unwrap_or_default();
        if !name.is_empty() {
            // A name without letters could be any of the figures.
            let is_plain = name.contains(char::is_alphabetic) && !name.contains(['{', '}']);
            slots.push((slot, is_plain.then(|| name.to_owned())?));
        }
    }
    // A name may be a part of another.
    slots.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
    let with_slots = |text: &str| {
        let put = |text: String, (slot, name): &(&str, String)| replace_words(&text, name, slot);
        slots.iter().fold(text.to_owned(), put)
    };
    let (title, message) = (with_slots(&insight.title), with_slots(&insight.message));
    Some((title, message, slots))
}

/// Replaces a text where it stands between other words.
fn replace_words(text: &str, from: &str, to: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut copied = 0;
    for (at, found) in text.match_indices(from) {
        let end = at + found.len();
        let before = text[..at].chars().next_back();
        let after = text[end..].chars().next();
        let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        if !is_word(before) && !is_word(after) {
            replaced.push_str(&text[copied..at]);
            replaced.push_str(to);
            copied = end;
        }
    }
    replaced + &text[copied..]
}

/// With a word in place of each slot; none where other braces are.
fn unslotted(text: &str) -> Option<String> {
    let plain = NAMES.iter().fold(text.to_owned(), |text, (_, slot)| {
        text.replace(slot, "Name")
    });
    (!plain.contains(['{', '}'])).then_some(plain)
}

/// The facts that are figures: numbers, amounts, days, the currency, and the words for spans of time. Anything else
/// stays here, whatever it is.
fn given_away(facts: &Map<String, Value>) -> Map<String, Value> {
    let is_figure = |key: &str, value: &Value| match value {
        Value::Number(_) => true,
        Value::String(text) => {
            key == "currency"
                || figures::is_amount(text)
                || figures::day_of(text).is_some()
                || WORDS.contains(&text.as_str())
        }
        _ => false,
    };
    let is_name = |key: &str| NAMES.iter().any(|(fact, _)| *fact == key);
    facts
        .iter()
        .filter(|(key, value)| !is_name(key) && is_figure(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
