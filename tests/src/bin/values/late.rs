//! Spans that record more than the limits.

use spanscope::SpanExt as _;
use tracing::field::Empty;
use tracing::{info, info_span};

/// The length of the growing answer.
const ANSWER: usize = 40_000;

/// The same fields repeatedly, as a streamed response does.
pub(crate) fn repeated() {
    let span = info_span!(
        "stream",
        model = "m",
        tokens = Empty,
        answer = Empty,
        finish = Empty
    );
    let _entered = span.clone().entered();
    let mut answer = String::with_capacity(ANSWER);
    for number in 0..1_000_000_u64 {
        span.record("tokens", number);
        if number % 250 == 0 {
            answer.push_str("abcdefghij");
            span.record("answer", answer.as_str());
            span.record_attribute("chunks", number / 250);
        }
    }
    assert_eq!(answer.len(), ANSWER);
    span.record("finish", "stop");
    span.record_attribute("late", true);
    info!("streamed");
}

/// More keys than a span has room for.
pub(crate) fn many_keys() {
    let span = info_span!("many", first = Empty);
    span.in_scope(|| ());
    for number in 0..150_000_u64 {
        span.record_attribute(&format!("key.{number}"), "some text of a usual length");
    }
    span.record("first", 7);
    span.record_attribute("key.0", "changed");
}
