//! W3C trace context: the caller's ids, and whether it has the trace sampled, out of the header `traceparent`.
//!
//! Strict, as the recommendation asks: what is malformed in any way is ignored, and the request begins a trace of its own.
//! Never an error, never half of it.

use http::{HeaderMap, HeaderName};
use spanscope_layers::capture::{RemoteParent, SpanIds};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The lengths of version, trace id, parent id and flags, with the dashes between them.
const LEN: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// The trace and the span that the request continues, if it says so properly and once.
pub(crate) fn remote_parent(headers: &HeaderMap) -> Option<RemoteParent> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    parse(value.to_str().ok()?)
}

fn parse(text: &str) -> Option<RemoteParent> {
    let (known, rest) = text.split_at_checked(LEN)?;
    let mut parts = known.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32)?;
    let span_id = hex(parts.next()?, 16)?;
    let flags = u8::from_str_radix(hex(parts.next()?, 2)?, 16).ok()?;
    // Version 0 ends here; later ones may add parts; ff is reserved.
    let is_well_formed = match version {
        "00" => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    if !is_well_formed {
        return None;
    }
    Some(RemoteParent {
        ids: SpanIds {
            trace_id: trace_id.parse().ok()?,
            span_id: span_id.parse().ok()?,
        },
        // The other bits mean nothing yet, or nothing to us.
        is_sampled: flags & 1 != 0,
    })
}

/// The text, if it has so many digits, all of them lower-case.
fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_proper_header_gives_both_ids_and_the_sampled_flag() {
        for (text, is_sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("00-{TRACE}-{SPAN}-fe"), false),
            (format!("cc-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-00-what-comes-later"), false),
        ] {
            let ids = SpanIds {
                trace_id: TRACE.parse().unwrap(),
                span_id: SPAN.parse().unwrap(),
            };
            assert_eq!(parse(&text), Some(RemoteParent { ids, is_sampled }), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0X"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{SPAN}-{TRACE}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}{SPAN}--01"),
            format!("00-{TRACE}-é{}-01", &SPAN[2..]),
            "é".repeat(28),
            "-".repeat(LEN),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_header_that_is_there_twice_or_is_no_text_is_ignored() {
        let good = HeaderValue::from_str(&format!("00-{TRACE}-{SPAN}-01")).ok();
        let mut headers = HeaderMap::new();
        headers.extend(good.clone().map(|value| (TRACEPARENT.clone(), value)));
        assert!(remote_parent(&headers).is_some());
        if let Some(value) = good {
            headers.append("traceparent", value);
        }
        assert_eq!(remote_parent(&headers), None);
        let mut headers = HeaderMap::new();
        headers.extend(
            HeaderValue::from_bytes(b"00-\xff")
                .ok()
                .map(|value| (TRACEPARENT.clone(), value)),
        );
        assert_eq!(remote_parent(&headers), None);
    }
}
