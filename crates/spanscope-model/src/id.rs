//! Trace and span ids: fixed-width bytes inside, lower-case hex outside, never all zero.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no id.
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
            "{input:?} is no {what}: give {digits} hexadecimal digits that are not all zero"
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
            /// How many hexadecimal digits the text form has.
            pub const DIGITS: usize = $bytes * 2;

            /// Makes an id of big-endian bytes; `None` if they are all zero, which W3C trace context reserves.
            #[must_use]
            pub fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// The big-endian bytes.
            #[must_use]
            pub fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let mut text = [0u8; $bytes * 2];
                for (i, byte) in self.0.iter().enumerate() {
                    text[2 * i] = HEX[usize::from(byte >> 4)];
                    text[2 * i + 1] = HEX[usize::from(byte & 15)];
                }
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
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
                    input: text.chars().take(80).collect(),
                };
                let digits = text.as_bytes();
                if digits.len() != $bytes * 2 {
                    return Err(fail());
                }
                let mut bytes = [0u8; $bytes];
                for (i, pair) in digits.chunks_exact(2).enumerate() {
                    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
                    match (digit(pair[0]), digit(pair[1])) {
                        (Some(high), Some(low)) => bytes[i] = high << 4 | low,
                        _ => return Err(fail()),
                    }
                }
                Self::from_bytes(bytes).ok_or_else(fail)
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
    /// Names one trace: 16 bytes, shown as 32 lower-case hexadecimal digits.
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
    /// Names one span in its trace: 8 bytes, shown as 16 lower-case hexadecimal digits.
    ///
    /// Unlike the ids of `tracing`'s registry it is never used again for another span.
    SpanId,
    8,
    "span id"
);
