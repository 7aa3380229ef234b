//! Collects what is wrong with the fields of an input, so that a client is told all of it at once.

use std::fmt::Display;

use super::Problem;
use super::problem::FieldError;

/// The checks of one input.
#[derive(Debug, Default)]
pub struct Checks {
    errors: Vec<FieldError>,
}

impl Checks {
    /// No checks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the value of a check, or notes what is wrong.
    pub fn field<T, E: Display>(&mut self, pointer: &str, checked: Result<T, E>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(pointer, error.to_string());
                None
            }
        }
    }

    /// Checks a value if there is one.
    pub fn optional<V, T, E: Display>(
        &mut self,
        pointer: &str,
        value: Option<V>,
        check: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<T> {
        value.and_then(|value| self.field(pointer, check(value)))
    }

    /// Checks a value that may be removed, if there is one.
    pub fn removable<V, T, E: Display>(
        &mut self,
        pointer: &str,
        value: Option<Option<V>>,
        check: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match value {
            None => None,
            Some(None) => Some(None),
            Some(Some(value)) => self.field(pointer, check(value)).map(Some),
        }
    }

    /// Notes what is wrong.
    pub fn wrong(&mut self, pointer: &str, detail: impl Into<String>) {
        self.errors.push(FieldError {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        });
    }

    /// Nothing was wrong, or all that was.
    ///
    /// # Errors
    /// 422 with every field that is wrong.
    pub fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::fields(self.errors))
        }
    }

    /// As [`Self::finish`]; then every required value is there.
    ///
    /// # Errors
    /// 422 with every field that is wrong.
    pub fn all<T: AllThere>(self, values: T) -> Result<T::Values, Problem> {
        self.finish()?;
        values
            .all_there()
            .ok_or_else(|| Problem::defect("a check failed without saying why"))
    }
}

/// Values of checks, all of which must be there.
pub trait AllThere {
    /// The values.
    type Values;

    /// All of them, or none.
    fn all_there(self) -> Option<Self::Values>;
}

macro_rules! all_there {
    ($($name:ident),+) => {
        impl<$($name),+> AllThere for ($(Option<$name>,)+) {
            type Values = ($($name,)+);

            #[allow(non_snake_case, reason = "one name for the type and its value")]
            fn all_there(self) -> Option<Self::Values> {
                let ($($name,)+) = self;
                Some(($($name?,)+))
            }
        }
    };
}
all_there!(A);
all_there!(A, B);
all_there!(A, B, C);
all_there!(A, B, C, D);
