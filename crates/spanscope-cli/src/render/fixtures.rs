//! Spans and an output for unit tests.

use spanscope_model::{Span, SpanId, SpanState, SpanStatus, Timestamp, TraceId};

use crate::args::Format;
use crate::output::Output;

/// A table output without colour, of this width.
pub(crate) fn output(width: usize) -> Output {
    Output {
        format: Format::Table,
        colour: false,
        width,
        zone: jiff::tz::TimeZone::UTC,
    }
}

/// Returns a number as a span id.
pub(crate) fn id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap_or_else(|| panic!("0 is not a span id"))
}

/// A successful span; parent 0 means none. Times are in milliseconds.
pub(crate) fn span(number: u64, parent: u64, name: &str, start: i64, duration: i64) -> Span {
    let time = |ms: i64| Timestamp::from_nanos(1_700_000_000_000_000_000 + ms * 1_000_000);
    let trace_id = TraceId::from_bytes([7; 16]).unwrap_or_else(|| panic!("not zero"));
    Span::new(trace_id, id(number), name, time(start))
        .parent_span_id((parent != 0).then(|| id(parent)))
        .end_time(time(start + duration))
        .status(SpanStatus::Ok)
        .state(SpanState::Ended)
        .service_name("shop")
        .target("shop::orders".to_owned())
}
