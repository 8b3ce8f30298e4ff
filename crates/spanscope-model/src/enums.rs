//! Enums whose variants have a text form, and the error for a text that names no variant.
//!
//! All crates use the one macro, so that parsing, display, JSON and schema of such an enum never
//! differ.

use std::fmt;

use crate::text::first_chars;

/// A text that is not one of the accepted values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseEnumError {
    what: &'static str,
    input: String,
    accepted: &'static str,
}

impl ParseEnumError {
    /// Creates the error for `input`, which is not a valid `what`; `accepted` lists the valid
    /// values, separated by spaces. The first 80 characters of the input are kept.
    #[doc(hidden)]
    #[must_use]
    pub fn new(what: &'static str, input: &str, accepted: &'static str) -> Self {
        Self {
            what,
            input: first_chars(input, 80).to_owned(),
            accepted,
        }
    }
}

impl fmt::Display for ParseEnumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            input,
            accepted,
        } = self;
        write!(f, "{input:?} is not a valid {what}: use one of {accepted}")
    }
}

impl std::error::Error for ParseEnumError {}

/// Deserializes a text of an enum as its position in the list, for [`text_enum`]. All enums share
/// this visitor; serde's derive would compile one for each.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct EnumTextVisitor(pub &'static [&'static str]);

impl serde::de::Visitor<'_> for EnumTextVisitor {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<usize, E> {
        let position = self.0.iter().position(|known| *known == text);
        position.ok_or_else(|| E::unknown_variant(text, self.0))
    }
}

/// Declares an enum with a text for each variant: `as_str`, `ALL`, `Display`, `FromStr` (ASCII case
/// is ignored), serde and, with the calling crate's feature `schema`, `JsonSchema`.
///
/// The calling crate needs `serde`, and a feature `schema` with `schemars`.
#[doc(hidden)]
#[macro_export]
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident, $what:literal, $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_doc])* #[cfg_attr(feature = "schema", schemars(rename = $text))] $variant,)*
        }

        impl $name {
            /// All variants, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns its text in JSON, SQL and commands.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const TEXTS: &[&str] = &[$($text),*];
                let index = deserializer.deserialize_str($crate::EnumTextVisitor(TEXTS))?;
                Ok(Self::ALL[index])
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ParseEnumError;

            /// Parses the text; ASCII case is ignored.
            fn from_str(text: &str) -> Result<Self, $crate::ParseEnumError> {
                let known = Self::ALL.iter().find(|variant| text.eq_ignore_ascii_case(variant.as_str()));
                known.copied().ok_or_else(|| {
                    let accepted = concat!($($text, " "),*).trim_ascii_end();
                    $crate::ParseEnumError::new($what, text, accepted)
                })
            }
        }
    };
}
