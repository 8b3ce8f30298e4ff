//! W3C trace context between the client and the server, so that both sides are in one trace.

use spanscope_layers::SpanExt;
use spanscope_model::{SpanId, TraceId};
use tracing::Span;

/// The header of W3C trace context.
pub(crate) const HEADER: &str = "traceparent";

/// What to send along with a request made in this span.
pub(crate) fn header_of(span: &Span) -> Option<String> {
    let (trace, span) = span.ids()?;
    Some(format!("00-{trace}-{span}-01"))
}

/// Makes the span a child of the one that the header names; a header that makes no sense is ignored, as W3C says.
pub(crate) fn continue_from(span: &Span, header: &str) {
    if let Some((trace, parent)) = parse(header) {
        span.set_remote_parent(trace, parent);
    }
}

fn parse(header: &str) -> Option<(TraceId, SpanId)> {
    let mut parts = header.trim().split('-');
    let (version, trace, parent, _flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    Some((trace.parse().ok()?, parent.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_header_gives_its_ids() {
        let ids = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let ids = ids.map(|(trace, span)| (trace.to_string(), span.to_string()));
        assert_eq!(
            ids,
            Some((
                "4bf92f3577b34da6a3ce929d0e0e4736".into(),
                "00f067aa0ba902b7".into()
            ))
        );
    }

    #[test]
    fn a_header_that_makes_no_sense_is_ignored() {
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
    }
}
