//! W3C trace context: the caller's ids, and whether it has the trace sampled, out of the header `traceparent`.
//!
//! Strict, as the recommendation asks: what is malformed in any way is ignored, and the request begins a trace of its own.
//! Never an error, never half of it.

use http::{HeaderMap, HeaderName};
use spanscope_model::TraceParent;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace and the span that the request continues, if it says so properly and once.
pub(crate) fn remote_parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

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
