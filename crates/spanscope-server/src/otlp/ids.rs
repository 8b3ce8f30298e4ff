//! Ids and times as OTLP writes them: bytes that may be missing, nanoseconds that may be zero.
//!
//! What is wrong is said about "its trace id", so that the caller puts before it whose.

use spanscope_model::filter::TimeUnit;
use spanscope_model::{SpanId, Timestamp, TraceId};

/// Stands for an id in JSON that is no hexadecimal number, in records that are kept without it.
pub(super) const UNREADABLE: [u8; 1] = [0];

/// From 2015 to 2100, in seconds since 1970. A time that only lies there in another unit is in that unit.
const PLAUSIBLE: std::ops::Range<u64> = 1_420_070_400..4_102_444_800;

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
        if bytes == UNREADABLE {
            return format!("its {what} is no number of {digits} hexadecimal digits");
        }
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

/// A moment; none where it is zero, which is how OTLP leaves one out. Senders that count in another
/// unit are understood, because a span of 1970 helps nobody.
pub(super) fn time(sent: u64, what: &str) -> Result<Option<Timestamp>, String> {
    let nanos = match time_unit(sent) {
        TimeUnit::Seconds => sent.saturating_mul(1_000_000_000),
        TimeUnit::Millis => sent.saturating_mul(1_000_000),
        TimeUnit::Micros => sent.saturating_mul(1_000),
        _ => sent,
    };
    match i64::try_from(nanos) {
        Ok(0) => Ok(None),
        Ok(nanos) => Ok(Some(Timestamp::from_nanos(nanos))),
        Err(_) => Err(format!(
            "its {what} is after the year 2262: give nanoseconds since 1970"
        )),
    }
}

/// The unit that a time was sent in. The years that are plausible are so few that no time is in two
/// units at once.
pub(super) fn time_unit(sent: u64) -> TimeUnit {
    for (unit, to_seconds) in [
        (TimeUnit::Seconds, 1),
        (TimeUnit::Millis, 1_000),
        (TimeUnit::Micros, 1_000_000),
    ] {
        if PLAUSIBLE.contains(&(sent / to_seconds)) {
            return unit;
        }
    }
    TimeUnit::Nanos
}
