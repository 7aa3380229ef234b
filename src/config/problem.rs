//! What can be wrong with a configuration, said without ever repeating a secret.

use std::fmt;

/// Everything that is wrong with a configuration; never empty. Displays one line a problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

impl ConfigErrors {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// The problems: those of the file first, then of the environment, of flags, of values, and
    /// between values.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `http.public_addr`; `None` when a whole file is at fault.
    pub key: Option<String>,
    /// Where the value came from: `default`, `file wealth.toml:3` (the line), `environment
    /// WEALTH__HTTP__WORKERS` or `flag --data-dir`.
    pub origin: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

impl Problem {
    pub(super) fn new(
        key: impl Into<String>,
        origin: impl Into<String>,
        kind: ProblemKind,
    ) -> Self {
        Self {
            key: Some(key.into()),
            origin: origin.into(),
            kind,
        }
    }

    pub(super) fn of_source(origin: impl Into<String>, kind: ProblemKind) -> Self {
        Self {
            key: None,
            origin: origin.into(),
            kind,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, kind } = self;
        let origin = printable(origin);
        match key {
            Some(key) => write!(f, "{}: {kind} ({origin})", printable(key))?,
            None => write!(f, "{origin}: {kind}")?,
        }
        if let ProblemKind::UnknownKey {
            nearest: Some(nearest),
        } = kind
        {
            write!(f, "; did you mean {nearest}?")?;
        }
        Ok(())
    }
}

/// Keeps a problem on one line, whatever names of unknown keys and files hold.
fn printable(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_debug().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// The ways in which a configuration can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemKind {
    /// No setting has this name.
    #[error("unknown key")]
    UnknownKey {
        /// The valid key, or section, that looks most like it.
        nearest: Option<&'static str>,
    },
    /// The value is of another type than the key's.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// The type of the key.
        expected: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// The number is too small or too large.
    #[error("{value} is out of bounds, {min} to {max}")]
    OutOfBounds {
        /// The number given.
        value: i64,
        /// The smallest valid number.
        min: i64,
        /// The largest valid number.
        max: i64,
    },
    /// The value has the right type but not a valid form.
    #[error("{0}")]
    Malformed(String),
    /// The value disagrees with that of another key, or of another name of the same key.
    #[error("{0}")]
    Contradiction(String),
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    UnreadableFile(String),
    /// The file is not valid TOML.
    #[error("not valid TOML: {0}")]
    InvalidToml(String),
    /// The checks and the types of this program disagree: a defect of the program.
    #[error("the checked values do not fit their types: {0}")]
    Internal(String),
}
