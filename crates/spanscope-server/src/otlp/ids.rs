//! Ids and times as OTLP writes them: bytes that may be missing, nanoseconds that may be zero.
//!
//! Error messages begin with "its trace id"; the caller prepends which record it is.

use spanscope_model::filter::TimeUnit;
use spanscope_model::{SpanId, Timestamp, TraceId};

/// The JSON reader stores these bytes for an id that is not hexadecimal, so that the record can be
/// kept without the id.
pub(super) const UNREADABLE: [u8; 1] = [0];

/// The years 2015 to 2100, in seconds since 1970. If a time is in this range only when it is read
/// as seconds, milliseconds or microseconds, it has that unit.
const PLAUSIBLE: std::ops::Range<u64> = 1_420_070_400..4_102_444_800;

/// Returns the trace id; `None` if there is none.
pub(super) fn trace_id(bytes: &[u8]) -> Result<Option<TraceId>, String> {
    Ok(id(bytes, "trace id")?.and_then(TraceId::from_bytes))
}

/// Returns a span id; `None` if there is none.
pub(super) fn span_id(bytes: &[u8], what: &str) -> Result<Option<SpanId>, String> {
    Ok(id(bytes, what)?.and_then(SpanId::from_bytes))
}

/// Some programs write zeros for a missing id, which W3C's trace context reserves for that.
fn id<const N: usize>(bytes: &[u8], what: &str) -> Result<Option<[u8; N]>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if let Some(bytes) = parse_hex(bytes) {
        return Ok(Some(bytes));
    }
    let wrong = || {
        let (digits, have) = (2 * N, bytes.len());
        if bytes == UNREADABLE {
            return format!("its {what} is not a number of {digits} hexadecimal digits");
        }
        format!("its {what} has {have} bytes: give {N}, in JSON as {digits} hexadecimal digits")
    };
    bytes.try_into().map(Some).map_err(|_| wrong())
}

/// Returns the id from its hexadecimal digits, which some programs send in place of its bytes.
fn parse_hex<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    if bytes.len() != 2 * N || !const_hex::check_raw(bytes) {
        return None;
    }
    let mut id = [0; N];
    const_hex::decode_to_slice(bytes, &mut id).ok()?;
    Some(id)
}

/// Returns whether an id was sent as hexadecimal digits.
pub(super) fn are_digits(trace: &[u8], span: &[u8]) -> bool {
    parse_hex::<16>(trace).is_some() || parse_hex::<8>(span).is_some()
}

/// Returns the bytes of an id of this length, or of its hexadecimal digits. `None` if they are
/// neither.
pub(super) fn id_bytes(bytes: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    match bytes.len() == length {
        true => Some(bytes),
        false => const_hex::check_raw(&bytes)
            .then(|| const_hex::decode(bytes).ok())
            .flatten(),
    }
}

/// Returns the trace id and the span id of a record that needs both.
pub(super) fn both_ids(trace: &[u8], span: &[u8]) -> Result<(TraceId, SpanId), String> {
    let trace = trace_id(trace)?.ok_or("it has no trace id: give 16 bytes that are not all zero")?;
    let span = span_id(span, "span id")?.ok_or("it has no span id: give 8 bytes that are not all zero")?;
    Ok((trace, span))
}

/// Returns a time; `None` if it is zero, OTLP's form for a missing one. Times in another unit are
/// converted, because they would mean 1970.
pub(super) fn time(sent: u64, what: &str) -> Result<Option<Timestamp>, String> {
    let nanos = sent.saturating_mul(nanos_of(time_unit(sent)));
    match i64::try_from(nanos) {
        Ok(0) => Ok(None),
        Ok(nanos) => Ok(Some(Timestamp::from_nanos(nanos))),
        Err(_) => Err(format!(
            "its {what} is after the year 2262: give nanoseconds since 1970"
        )),
    }
}

/// Returns the number of nanoseconds in a unit.
const fn nanos_of(unit: TimeUnit) -> u64 {
    match unit {
        TimeUnit::Seconds => 1_000_000_000,
        TimeUnit::Millis => 1_000_000,
        TimeUnit::Micros => 1_000,
        _ => 1,
    }
}

/// Converts a time with a fraction, in any unit, to nanoseconds. `None` if it is not a plausible
/// time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number that is too large or negative is no plausible time, and a float is no more exact than this"
)]
pub(super) fn nanos_of_fraction(sent: f64) -> Option<u64> {
    let nanos = (sent * nanos_of(time_unit(sent as u64)) as f64) as u64;
    PLAUSIBLE.contains(&(nanos / 1_000_000_000)).then_some(nanos)
}

/// Returns the unit in which a time was sent. The range of plausible years is so narrow that no
/// time is plausible in two units.
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
