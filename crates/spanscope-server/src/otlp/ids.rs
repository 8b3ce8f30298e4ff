//! Ids and times as OTLP writes them: bytes that may be missing, nanoseconds that may be zero.
//!
//! What is wrong is said about "its trace id", so that the caller puts before it whose.

use spanscope_model::{SpanId, Timestamp, TraceId};

/// The trace id; none where there is none.
pub(super) fn trace_id(bytes: &[u8]) -> Result<Option<TraceId>, String> {
    Ok(id(bytes, "trace id")?.and_then(TraceId::from_bytes))
}

/// A span id; none where there is none.
pub(super) fn span_id(bytes: &[u8], what: &str) -> Result<Option<SpanId>, String> {
    Ok(id(bytes, what)?.and_then(SpanId::from_bytes))
}

/// All zero is how some programs write that there is none: W3C trace context reserves it for that.
fn id<const N: usize>(bytes: &[u8], what: &str) -> Result<Option<[u8; N]>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        let (digits, have) = (2 * N, bytes.len());
        format!("its {what} has {have} bytes: give {N}, in JSON as {digits} hexadecimal digits")
    };
    bytes.try_into().map(Some).map_err(|_| wrong())
}

/// The trace id and the span id of a record that can't be without.
pub(super) fn both_ids(trace: &[u8], span: &[u8]) -> Result<(TraceId, SpanId), String> {
    let trace = trace_id(trace)?.ok_or("it has no trace id: give 16 bytes that are not all zero")?;
    let span = span_id(span, "span id")?.ok_or("it has no span id: give 8 bytes that are not all zero")?;
    Ok((trace, span))
}

/// A moment; none where it is zero, which is how OTLP leaves one out.
pub(super) fn time(nanos: u64, what: &str) -> Result<Option<Timestamp>, String> {
    match i64::try_from(nanos) {
        Ok(0) => Ok(None),
        Ok(nanos) => Ok(Some(Timestamp::from_nanos(nanos))),
        Err(_) => Err(format!(
            "its {what} is after the year 2262: give nanoseconds since 1970"
        )),
    }
}
