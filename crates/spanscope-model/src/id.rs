//! Trace and span ids: fixed-width bytes in memory, lower-case hex in text, never all zero.

use std::fmt;
use std::str::FromStr;

use crate::text::first_chars;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The error of a text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseIdError {
    what: &'static str,
    digits: usize,
    input: String,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, digits, input } = self;
        write!(
            f,
            "{input:?} is not a valid {what}: give {digits} hexadecimal digits that are not all zero"
        )
    }
}

impl std::error::Error for ParseIdError {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The number of hexadecimal digits of the text form.
            pub const DIGITS: usize = $bytes * 2;

            /// Creates an id from big-endian bytes; `None` if they are all zero, which W3C trace
            /// context reserves.
            #[must_use]
            pub fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// Returns the big-endian bytes.
            #[must_use]
            pub fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(const_hex::Buffer::<$bytes>::new().format(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let fail = || ParseIdError {
                    what: $what,
                    digits: $bytes * 2,
                    input: first_chars(text, 80).to_owned(),
                };
                // The length is checked first, because the decoder strips a leading `0x`.
                let bytes = (text.len() == Self::DIGITS)
                    .then(|| const_hex::decode_to_array(text).ok())
                    .flatten();
                bytes.and_then(Self::from_bytes).ok_or_else(fail)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// The id of a trace: 16 bytes, shown as 32 lower-case hexadecimal digits.
    ///
    /// ```
    /// use spanscope_model::TraceId;
    /// let id: TraceId = "4BF92F3577B34DA6A3CE929D0E0E4736".parse()?;
    /// assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// assert!("00000000000000000000000000000000".parse::<TraceId>().is_err());
    /// # Ok::<(), spanscope_model::ParseIdError>(())
    /// ```
    TraceId,
    16,
    "trace id"
);

id!(
    /// The id of a span in its trace: 8 bytes, shown as 16 lower-case hexadecimal digits.
    ///
    /// Unlike the ids of `tracing`'s registry it is never reused.
    SpanId,
    8,
    "span id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixteen_hexadecimal_digits_that_are_not_all_zero_are_a_span_id() {
        let good = "00f067AA0ba902b7";
        let shown = good.parse::<SpanId>().map(|id| id.to_string());
        assert_eq!(shown.as_deref(), Ok("00f067aa0ba902b7"));
        for bad in [
            "",
            "00f067aa0ba902b",
            "00f067aa0ba902b70",
            "0xf067aa0ba902b7",
            "0x00f067aa0ba902b7",
            " 0f067aa0ba902b7",
            "+0f067aa0ba902b7",
            "é0f067aa0ba902b",
            "0000000000000000",
        ] {
            assert!(bad.parse::<SpanId>().is_err(), "{bad:?}");
        }
    }
}
