//! Reads the sources of configuration, each into a layer of typed values that know their origin,
//! and merges them.

mod environment;
mod file;

use std::num::IntErrorKind;

use ::config::{ConfigError, Map, Source, Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};

use crate::config::keys::{self, KEYS, KeySpec, Kind};
use crate::config::merged::Merged;
use crate::config::problem::{Problem, ProblemKind};
use crate::config::suggest;
use crate::config::{Flag, LoadArgs, Stored};

/// The embedded defaults.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Reads all sources and merges them, later over earlier. What cannot be read is left out and told
/// in `problems`.
pub(super) fn merge(args: &LoadArgs, problems: &mut Vec<Problem>) -> Merged {
    let mut layers = vec![file::defaults(problems)];
    if let Some(path) = &args.file {
        layers.push(file::read(path, problems));
    }
    layers.push(environment::read(&args.environment, problems));
    if let Some(stored) = &args.secrets {
        layers.push(read_secrets(stored, problems));
    }
    layers.push(read_flags(&args.flags, problems));
    Merged::of(layers, problems)
}

fn read_secrets(stored: &Stored, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    for spec in KEYS.iter().filter(|spec| spec.is_stored()) {
        let named = |(name, _): &&(&str, SecretString)| spec.bare_env == Some(name);
        if let Some((name, value)) = stored.values.iter().find(named) {
            let origin = format!("secret store {:?}, {name}", stored.store);
            layer.set_text(spec, value.expose_secret(), origin, problems);
        }
    }
    layer
}

fn read_flags(flags: &[Flag], problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    for Flag { key, value, name } in flags {
        let origin = format!("flag {name}");
        match keys::find(key) {
            Some(spec) => layer.set_text(spec, value, origin, problems),
            None => problems.push(unknown_key(key, origin)),
        }
    }
    layer
}

fn unknown_key(key: &str, origin: String) -> Problem {
    Problem::new(
        key,
        origin,
        ProblemKind::UnknownKey {
            nearest: suggest::nearest_key(key),
        },
    )
}

/// The values of one source: only known keys, each with a value of the key's type.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    values: Map<String, Value>,
}

impl Layer {
    fn set(&mut self, spec: &KeySpec, value: impl Into<ValueKind>, origin: &String) {
        self.values
            .insert(spec.name.to_owned(), Value::new(Some(origin), value));
    }

    /// Sets a key from a source that knows nothing but text.
    fn set_text(
        &mut self,
        spec: &KeySpec,
        text: &str,
        origin: String,
        problems: &mut Vec<Problem>,
    ) {
        let expected = spec.kind.type_name();
        match spec.kind {
            Kind::Integer { .. } => match text.trim().parse::<i64>() {
                Ok(number) => self.set(spec, number, &origin),
                Err(error) => {
                    let found = match error.kind() {
                        IntErrorKind::Empty => "nothing",
                        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
                            "a number beyond 64 bits"
                        }
                        _ => "other text",
                    };
                    problems.push(Problem::new(
                        spec.name,
                        origin,
                        ProblemKind::WrongType { expected, found },
                    ));
                }
            },
            Kind::Switch => match text.trim().parse::<bool>() {
                Ok(on) => self.set(spec, on, &origin),
                Err(_) => {
                    let found = "other text than true or false";
                    problems.push(Problem::new(
                        spec.name,
                        origin,
                        ProblemKind::WrongType { expected, found },
                    ));
                }
            },
            _ => self.set(spec, text, &origin),
        }
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}
