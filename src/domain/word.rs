//! Closed word lists: one spelling per enum variant, shared by JSON, storage and query parameters.

/// A word that is not on its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown word; expected one of: {}", expected.join(", "))]
pub struct UnknownWord {
    /// Every word of the list, in its order.
    pub expected: &'static [&'static str],
}

/// Gives an enum `ALL`, `WORDS`, `as_str`, `Display` and `FromStr` from one list of its words.
///
/// One list per module. The enum derives serde itself, so that schema generators see its names; a
/// generated test holds both together.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every variant, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Every word, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word as it stands in JSON and storage.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::word::UnknownWord;

            /// Reads a word exactly as [`as_str`](Self::as_str) writes it.
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::domain::word::UnknownWord {
                        expected: Self::WORDS,
                    }),
                }
            }
        }

        #[cfg(test)]
        mod words {
            #[test]
            fn serde_and_from_str_agree_with_as_str() {
                for &value in super::$name::ALL {
                    let json = serde_json::json!(value.as_str());
                    assert_eq!(serde_json::json!(value), json);
                    assert_eq!(serde_json::from_value(json).ok(), Some(value));
                    assert_eq!(value.as_str().parse(), Ok(value));
                }
                assert!("no such word".parse::<super::$name>().is_err());
            }
        }
    };
}

/// Gives a type that prints and parses as text its serde and both schemas (JSON Schema and OpenAPI)
/// as a string.
macro_rules! string_type {
    (
        $name:ident,
        parse = $parse:expr,
        pattern = $pattern:literal,
        example = $example:literal,
        $about:literal
    ) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": $about,
                    "pattern": $pattern,
                    "examples": [$example],
                })
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($about))
                    .pattern(Some($pattern))
                    .examples([$example])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

pub(crate) use {string_type, words};
