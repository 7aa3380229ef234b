//! The merged layers: for each key the value that won, and its origin.

use ::config::{Source, Value, ValueKind};

use crate::config::problem::{Problem, ProblemKind};
use crate::config::schema::Config;

const INTERNAL_ORIGIN: &str = "merged configuration";

/// The value of each key after merging, of the key's type but not yet checked further.
pub(super) struct Merged(::config::Config);

impl Merged {
    /// Lays later layers over earlier ones.
    pub(super) fn of<L>(layers: Vec<L>, problems: &mut Vec<Problem>) -> Self
    where
        L: Source + Send + Sync + 'static,
    {
        let mut builder = ::config::Config::builder();
        for layer in layers {
            builder = builder.add_source(layer);
        }
        Self(builder.build().unwrap_or_else(|error| {
            problems.push(internal(&error));
            ::config::Config::default()
        }))
    }

    /// The value of a key; `None` only when its defaults could not be read.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        key.split('.')
            .try_fold(&self.0.cache, |value, name| match &value.kind {
                ValueKind::Table(table) => table.get(name),
                _ => None,
            })
    }

    /// The value of a key that holds an integer.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        match self.value(key)?.kind {
            ValueKind::I64(number) => Some(number),
            _ => None,
        }
    }

    /// The value of a key that holds text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.value(key)?.kind {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// Where the value of a key came from.
    pub(super) fn origin(&self, key: &str) -> &str {
        self.value(key).and_then(Value::origin).unwrap_or_default()
    }

    /// The typed configuration. Fails only when the table of keys and the types disagree.
    pub(super) fn into_config(self) -> Result<Config, Problem> {
        self.0.try_deserialize().map_err(|error| internal(&error))
    }
}

fn internal(error: &::config::ConfigError) -> Problem {
    Problem::of_source(INTERNAL_ORIGIN, ProblemKind::Internal(error.to_string()))
}
