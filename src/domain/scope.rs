//! What personal access tokens may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::word::{UnknownWord, words};

/// What a personal access token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read the books.
    Read,
    /// Change the books, and read them.
    Write,
    /// Read insights, and dismiss them.
    Ai,
}

words!(Scope {
    Read = "read",
    Write = "write",
    Ai = "ai",
});

impl Scope {
    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::Ai => 4,
        }
    }
}

/// The scopes of a token; as text its words, by spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether a token of these may do what takes that scope: who may change the books may read them.
    #[must_use]
    pub fn allow(self, wanted: Scope) -> bool {
        self.has(wanted) || (wanted == Scope::Read && self.has(Scope::Write))
    }

    fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Those that were given, in the order of the list.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        let all = Scope::ALL.iter().copied();
        all.filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let bits = scopes.into_iter().map(Scope::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        text.split_whitespace().map(str::parse::<Scope>).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for (text, written) in [
            ("", ""),
            ("read", "read"),
            ("ai read", "read ai"),
            ("write write ai", "write ai"),
            ("ai write read", "read write ai"),
        ] {
            let scopes: Scopes = text.parse().expect("scopes");
            assert_eq!(scopes.to_string(), written);
            assert_eq!(scopes.to_string().parse(), Ok(scopes));
        }
        assert!("read all".parse::<Scopes>().is_err());
    }

    #[test]
    fn who_may_write_may_read_and_nothing_else_implies_anything() {
        let may = |text: &str| -> Vec<Scope> {
            let scopes: Scopes = text.parse().expect("scopes");
            let all = Scope::ALL.iter().copied();
            all.filter(|scope| scopes.allow(*scope)).collect()
        };
        assert_eq!(may(""), []);
        assert_eq!(may("read"), [Scope::Read]);
        assert_eq!(may("write"), [Scope::Read, Scope::Write]);
        assert_eq!(may("ai"), [Scope::Ai]);
        assert_eq!(may("read ai"), [Scope::Read, Scope::Ai]);
    }
}
