//! The layers in TOML: the embedded defaults and the file of `--config`.

use std::fmt;
use std::fs;
use std::path::Path;

use toml::de::{DeInteger, DeTable, DeValue};

use crate::config::keys::{self, KeySpec, Kind};
use crate::config::layers::{DEFAULTS, Layer, unknown_key};
use crate::config::problem::{Problem, ProblemKind};
use crate::config::suggest;

pub(super) fn defaults(problems: &mut Vec<Problem>) -> Layer {
    Document {
        name: DocumentName::Defaults,
        text: DEFAULTS,
    }
    .read(problems)
}

pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Layer {
    let name = DocumentName::File(path);
    match fs::read_to_string(path) {
        Ok(text) => Document { name, text: &text }.read(problems),
        Err(error) => {
            let kind = ProblemKind::UnreadableFile(error.to_string());
            problems.push(Problem::of_source(name.to_string(), kind));
            Layer::default()
        }
    }
}

#[derive(Clone, Copy)]
enum DocumentName<'a> {
    Defaults,
    File(&'a Path),
}

impl fmt::Display for DocumentName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

struct Document<'a> {
    name: DocumentName<'a>,
    text: &'a str,
}

impl Document<'_> {
    fn read(&self, problems: &mut Vec<Problem>) -> Layer {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        let mut layer = Layer::default();
        if errors.is_empty() {
            self.read_table("", root.get_ref(), &mut layer, problems);
        } else {
            // What was recovered from broken syntax may mean something else than what was written:
            // none of it counts.
            self.report_syntax(errors, problems);
        }
        layer
    }

    /// One problem for each faulty line: the parser's later errors on a line follow from the first.
    /// Only its messages are used, since its Display quotes the line, secrets and all.
    fn report_syntax(&self, mut errors: Vec<toml::de::Error>, problems: &mut Vec<Problem>) {
        let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        errors.sort_by_key(start);
        errors.dedup_by_key(|error| self.line(start(error)));
        for error in errors {
            let origin = self.origin(start(&error));
            let message = error
                .message()
                .trim_end_matches(", expected nothing")
                .replace('\n', "; ");
            problems.push(Problem::of_source(
                origin,
                ProblemKind::InvalidToml(message),
            ));
        }
    }

    fn read_table(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        layer: &mut Layer,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in table {
            let key = format!("{prefix}{}", segment(name.get_ref()));
            let origin = self.origin(name.span().start);
            match (keys::find(&key), value.get_ref()) {
                (Some(spec), value) => read_value(spec, value, origin, layer, problems),
                (None, DeValue::Table(inner)) if !inner.is_empty() => {
                    self.read_table(&format!("{key}."), inner, layer, problems);
                }
                (None, value) => problems.extend(misplaced(&key, value, origin)),
            }
        }
    }

    fn origin(&self, offset: usize) -> String {
        match self.name {
            DocumentName::Defaults => self.name.to_string(),
            DocumentName::File(_) => format!("{}:{}", self.name, self.line(offset)),
        }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count()
    }
}

/// A name as it is written in a dotted key: in quotes when it would otherwise look like several
/// names.
fn segment(name: &str) -> String {
    let is_bare_char = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare_char) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

/// The problem of a value where no key is; an empty section is none.
fn misplaced(key: &str, value: &DeValue<'_>, origin: String) -> Option<Problem> {
    match (keys::is_section(key), value) {
        (true, DeValue::Table(_)) => None,
        (true, value) => {
            let kind = ProblemKind::WrongType {
                expected: "a section",
                found: type_name(value),
            };
            Some(Problem::new(key, origin, kind))
        }
        (false, DeValue::Table(_)) => {
            let nearest = suggest::nearest_section(key);
            Some(Problem::new(
                key,
                origin,
                ProblemKind::UnknownKey { nearest },
            ))
        }
        (false, _) => Some(unknown_key(key, origin)),
    }
}

fn read_value(
    spec: &KeySpec,
    value: &DeValue<'_>,
    origin: String,
    layer: &mut Layer,
    problems: &mut Vec<Problem>,
) {
    let found = match (spec.kind, value) {
        (Kind::Integer { .. }, DeValue::Integer(digits)) => match number(digits) {
            Some(number) => return layer.set(spec, number, &origin),
            None => "a number beyond 64 bits",
        },
        (Kind::Switch, DeValue::Boolean(on)) => return layer.set(spec, *on, &origin),
        (Kind::Integer { .. } | Kind::Switch, other) => type_name(other),
        (_, DeValue::String(text)) => return layer.set(spec, text.as_ref(), &origin),
        (_, other) => type_name(other),
    };
    let kind = ProblemKind::WrongType {
        expected: spec.kind.type_name(),
        found,
    };
    problems.push(Problem::new(spec.name, origin, kind));
}

fn number(digits: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
