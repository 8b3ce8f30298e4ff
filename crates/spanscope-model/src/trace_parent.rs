//! [`TraceParent`]: the header `traceparent` of W3C trace context.
//!
//! The one parser of the header: middleware, exporter, receiver and demo use it, so that a header
//! means the same everywhere. It follows the recommendation
//! (<https://www.w3.org/TR/trace-context/#traceparent-header>) to the letter: a receiver ignores a
//! malformed header as a whole, because half of one would join unrelated traces.

use std::fmt;
use std::str::FromStr;

use crate::{SpanId, TraceId};

/// The lengths of version, trace id, parent id and flags, with the dashes between them.
const LEN: usize = 2 + 1 + TraceId::DIGITS + 1 + SpanId::DIGITS + 1 + 2;

/// The trace and the span that a request continues, as in the header `traceparent`.
///
/// Parsing is strict about version 00, and reads the parts of version 00 from higher versions. It
/// refuses ids that are all zero, upper-case digits and spaces. Only the flag `sampled` has a
/// meaning. `Display` writes a header of version 00.
///
/// # Examples
///
/// ```
/// use spanscope_model::TraceParent;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent: TraceParent = header.parse()?;
/// assert_eq!(parent.span_id.to_string(), "00f067aa0ba902b7");
/// assert!(parent.is_sampled);
/// assert_eq!(parent.to_string(), header);
/// # Ok::<(), spanscope_model::ParseTraceParentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TraceParent {
    /// The trace that the request belongs to.
    pub trace_id: TraceId,
    /// The caller's span, which the recommendation calls `parent-id`.
    pub span_id: SpanId,
    /// Whether the caller may have recorded the trace.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Creates the context of a call, with the calling span as the parent.
    #[must_use]
    pub fn new(trace_id: TraceId, span_id: SpanId, is_sampled: bool) -> Self {
        Self {
            trace_id,
            span_id,
            is_sampled,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LEN)?;
        let mut parts = known.split('-');
        let version = digits(parts.next()?, 2)?;
        let trace_id = digits(parts.next()?, TraceId::DIGITS)?;
        let span_id = digits(parts.next()?, SpanId::DIGITS)?;
        let flags = digits(parts.next()?, 2)?;
        // Version 0 ends here; later ones may add parts; ff is reserved.
        let is_well_formed = match version {
            "00" => rest.is_empty(),
            "ff" => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        if !is_well_formed {
            return None;
        }
        Some(Self {
            trace_id: trace_id.parse().ok()?,
            span_id: span_id.parse().ok()?,
            is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 != 0,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every outgoing request has one, so it is written in one piece.
        let mut text = [b'-'; LEN];
        let (start, end) = (3, 3 + TraceId::DIGITS);
        text[..2].copy_from_slice(b"00");
        let mut digits = const_hex::Buffer::<16>::new();
        text[start..end].copy_from_slice(digits.format(&self.trace_id.to_bytes()).as_bytes());
        let (start, end) = (end + 1, end + 1 + SpanId::DIGITS);
        let mut digits = const_hex::Buffer::<8>::new();
        text[start..end].copy_from_slice(digits.format(&self.span_id.to_bytes()).as_bytes());
        text[end + 1..].copy_from_slice(if self.is_sampled { b"01" } else { b"00" });
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for TraceParent {
    type Err = ParseTraceParentError;

    fn from_str(text: &str) -> Result<Self, ParseTraceParentError> {
        Self::parse(text).ok_or(ParseTraceParentError(()))
    }
}

/// The error of a text that is not a `traceparent`. It doesn't repeat the text, because another
/// program sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTraceParentError(());

impl fmt::Display for ParseTraceParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a traceparent: give 00-TRACE-SPAN-FLAGS with 32, 16 and 2 lower-case hexadecimal digits, \
             ids not all zero",
        )
    }
}

impl std::error::Error for ParseTraceParentError {}

/// Returns the text, if it consists of `count` lower-case digits. The ids' own parsers accept upper
/// case.
fn digits(text: &str, count: usize) -> Option<&str> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == count && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_proper_header_gives_both_ids_and_the_sampled_flag() {
        for (text, is_sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            (format!("00-{TRACE}-{SPAN}-03"), true), // with the flag `random` of the recommendation's level 2
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("00-{TRACE}-{SPAN}-fe"), false),
            (format!("cc-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-01-"), true),
            (format!("cc-{TRACE}-{SPAN}-00-what-comes-later"), false),
            (format!("01-{TRACE}-{SPAN}-00-É"), false),
        ] {
            let parent = TraceParent::parse(&text).map(|parent| {
                let ids = (parent.trace_id.to_string(), parent.span_id.to_string());
                (ids, parent.is_sampled)
            });
            assert_eq!(
                parent,
                Some(((TRACE.to_owned(), SPAN.to_owned()), is_sampled)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_malformed_header_is_refused_as_a_whole() {
        for text in [
            String::new(),
            "00".to_owned(),
            "00-1-2-01".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("+0-{TRACE}-{SPAN}-01"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("ff-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("cc-{TRACE}-{SPAN}-0"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("CC-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0X"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("cc-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-0x{}-{SPAN}-01", &TRACE[2..]),
            format!("00-{SPAN}-{TRACE}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}{SPAN}--01"),
            format!("00-{TRACE}-é{}-01", &SPAN[2..]),
            "é".repeat(28),
            "-".repeat(LEN),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_displayed_parent_is_a_header_of_version_00_that_parses_to_the_same() {
        for flags in ["00", "01"] {
            let later = format!("cc-{TRACE}-{SPAN}-{flags}-more");
            let parent = TraceParent::parse(&later);
            let shown = parent.map(|parent| parent.to_string());
            assert_eq!(shown, Some(format!("00-{TRACE}-{SPAN}-{flags}")));
            assert_eq!(shown.and_then(|text| TraceParent::parse(&text)), parent);
        }
    }
}
