//! Spans for unit tests.

use spanscope_model::{Attributes, Span, SpanId, SpanKind, SpanState, SpanStatus, Timestamp, TraceId};

/// A span id of a small number.
pub(crate) fn id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap_or_else(|| panic!("0 is no span id"))
}

/// A span that ended well; parent 0 means none. Times are in milliseconds.
pub(crate) fn span(number: u64, parent: u64, name: &str, start: i64, duration: i64) -> Span {
    let time = |ms: i64| Timestamp::from_nanos(1_700_000_000_000_000_000 + ms * 1_000_000);
    Span {
        span_id: id(number),
        trace_id: TraceId::from_bytes([7; 16]).unwrap_or_else(|| panic!("not zero")),
        parent_span_id: (parent != 0).then(|| id(parent)),
        name: name.to_owned(),
        start_time: time(start),
        end_time: Some(time(start + duration)),
        attributes: Attributes::new(),
        status: Some(SpanStatus::Ok),
        status_message: None,
        kind: SpanKind::Internal,
        state: SpanState::Ended,
        service_name: "shop".to_owned(),
        target: Some("shop::orders".to_owned()),
        level: None,
        category: None,
        links: Vec::new(),
    }
}
