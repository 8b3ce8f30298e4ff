//! W3C trace context between the client and the server, so that both sides are in one trace.

use spanscope_core::SpanExt;
use spanscope_model::TraceParent;
use tracing::Span;

/// The header of W3C trace context.
pub(crate) const HEADER: &str = "traceparent";

/// What to send along with a request made in this span.
pub(crate) fn header_of(span: &Span) -> Option<String> {
    let (trace_id, span_id) = span.ids()?;
    Some(TraceParent::new(trace_id, span_id, true).to_string())
}

/// Makes the span a child of the one that the header names; a header that makes no sense is ignored, as W3C says.
pub(crate) fn continue_from(span: &Span, header: &str) {
    if let Ok(parent) = header.parse::<TraceParent>() {
        span.set_remote_parent_with(parent.trace_id, parent.span_id, parent.is_sampled);
    }
}
