//! Shows the configuration in force and where each value comes from: `config show`.

use std::fmt;

use ::config::ValueKind;
use serde_json::json;

use crate::config::keys::{KEYS, KeySpec, Kind};
use crate::config::merged::Merged;
use crate::config::secrets;

/// Longer values stand beyond the column of sources rather than push it away for all.
const VALUE_WIDTH_MAX: usize = 45;

/// One key with its value, fit to be shown, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, `section.key`.
    pub key: &'static str,
    /// The value.
    pub value: Shown,
    /// Where it came from: `default`, `file PATH:LINE`, `environment NAME` or `flag NAME`.
    pub origin: String,
}

/// A value that is fit to be shown: it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A number.
    Number(i64),
    /// True or false.
    Switch(bool),
    /// Text; of a URL, with `***` in place of the password.
    Text(String),
    /// A secret of so many characters.
    Hidden(usize),
    /// An empty secret.
    NotSet,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Switch(on) => write!(f, "{on}"),
            // Debug escapes what could upset a terminal.
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Hidden(characters) => write!(f, "(hidden, {characters} characters)"),
            Self::NotSet => f.write_str("(not set)"),
        }
    }
}

impl Shown {
    fn of(spec: &KeySpec, value: &ValueKind) -> Self {
        match (spec.kind, value) {
            (_, ValueKind::I64(number)) => Self::Number(*number),
            (_, ValueKind::Boolean(on)) => Self::Switch(*on),
            (Kind::Secret | Kind::SigningKeys, ValueKind::String(text))
                if text.trim().is_empty() =>
            {
                Self::NotSet
            }
            (Kind::Secret | Kind::SigningKeys, ValueKind::String(text)) => {
                Self::Hidden(text.chars().count())
            }
            (Kind::Url { .. }, ValueKind::String(text)) => Self::Text(secrets::mask_url(text)),
            (_, ValueKind::String(text)) => Self::Text(text.clone()),
            // No layer holds another type.
            _ => Self::NotSet,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Number(number) => json!(number),
            Self::Switch(on) => json!(on),
            Self::Text(text) => json!(text),
            Self::Hidden(_) | Self::NotSet => json!(self.to_string()),
        }
    }
}

/// All settings of merged layers, in the order of the table of keys.
pub(super) fn settings(merged: &Merged) -> Vec<Setting> {
    let shown = |spec: &'static KeySpec| {
        let value = Shown::of(spec, &merged.value(spec.name)?.kind);
        Some(Setting {
            key: spec.name,
            value,
            origin: origin(merged, spec),
        })
    };
    KEYS.iter().filter_map(shown).collect()
}

/// Where a value comes from. The secret store is asked at the start, and not for this.
fn origin(merged: &Merged, spec: &KeySpec) -> String {
    let configured = merged.origin(spec.name);
    match merged.text("dapr.secretstore") {
        Some(store)
            if !store.is_empty() && spec.is_stored() && !configured.starts_with("flag ") =>
        {
            format!("(from the secret store {store:?} at the start) {configured}")
        }
        _ => configured.to_owned(),
    }
}

/// The configuration as `config show` prints it. Displays as aligned lines, `key = value   #
/// source`.
#[derive(Clone, Copy, Debug)]
pub struct Explanation<'a> {
    settings: &'a [Setting],
}

impl<'a> Explanation<'a> {
    pub(super) fn new(settings: &'a [Setting]) -> Self {
        Self { settings }
    }

    /// The JSON form: an object with a member for each key, `{"value": …, "source": "…"}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let member = |setting: &Setting| {
            (
                setting.key.to_owned(),
                json!({ "value": setting.value.to_json(), "source": setting.origin }),
            )
        };
        serde_json::Value::Object(self.settings.iter().map(member).collect())
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<(&Setting, String)> = self
            .settings
            .iter()
            .map(|setting| (setting, setting.value.to_string()))
            .collect();
        let key_width = lines
            .iter()
            .map(|(setting, _)| setting.key.len())
            .max()
            .unwrap_or_default();
        let value_width = lines
            .iter()
            .map(|(_, value)| value.chars().count())
            .max()
            .unwrap_or_default();
        let value_width = value_width.min(VALUE_WIDTH_MAX);
        for (Setting { key, origin, .. }, value) in lines {
            writeln!(f, "{key:key_width$} = {value:value_width$}   # {origin}")?;
        }
        Ok(())
    }
}
