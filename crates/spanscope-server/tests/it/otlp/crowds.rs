//! Requests with very many records of one kind, which must not delay other requests for long.

use opentelemetry_proto::tonic::trace::v1::Span;

use super::{send, span, text, traces};
use crate::running::open;

/// Model calls, each below the one before, to the maximum depth of a tree.
fn calls(count: u64, depth: u64) -> Vec<Span> {
    let id = |number: u64| number.to_be_bytes().to_vec();
    (1..=count)
        .map(|number| Span {
            span_id: id(number),
            parent_span_id: match number % depth {
                1 => Vec::new(),
                _ => id(number - 1),
            },
            attributes: vec![
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.request.model", "model"),
            ],
            ..span("call")
        })
        .collect()
}

#[test]
fn a_trace_of_thousands_of_calls_is_stored_within_the_request_timeout() {
    let open = open();
    let answer = send(&traces(calls(4_000, 250))).to(open.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    // And the next one of that trace, which all of them could be below.
    let answer = send(&traces(vec![span("next")])).to(open.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(open.counts().0, 4_001);
}
