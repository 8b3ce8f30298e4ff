//! The memory of a body once it is decoded, computed before decoding.
//!
//! Two bytes of protobuf are an empty log record, which takes 400 as a message and as a record; so
//! do three of JSON. A body of 64 MiB would become 13 GiB, and gzip packs it into 64 KiB. Therefore
//! the items in a body are counted first. The count only knows which field contains which items and
//! how large one is: what it can't read the decoder can't read either.
//!
//! The estimate is two to three times the memory that decoding was measured to take. Counting takes
//! a fifth of the instructions of decoding.

mod json;
mod kinds;

use prost::encoding::decode_varint;

use self::kinds::{FIXED, Kind, LOGS, MAX_DEPTH, METRICS, TRACES, VALUE, VARINT};
use super::{Encoding, Signal};

/// Copies of each text that exist at once: in the message, in the record, in the stored row.
const COPIES: usize = 3;

/// Returns roughly the memory of a body once it is decoded, in bytes.
pub(crate) fn weight(signal: Signal, encoding: Encoding, body: &[u8]) -> usize {
    let request = match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    };
    let items = match encoding {
        Encoding::Protobuf => in_protobuf(body, request, MAX_DEPTH),
        Encoding::Json => json::weight(body, request),
    };
    body.len().saturating_mul(COPIES).saturating_add(items)
}

fn in_protobuf(mut message: &[u8], kind: &Kind, depth: usize) -> usize {
    let mut weight = 0;
    while let Some((number, value)) = next_field(&mut message) {
        let held = kind.fields.iter().find(|(have, _, _)| *have == number);
        let (Some((_, _, held)), Some(depth)) = (held, depth.checked_sub(1)) else {
            continue;
        };
        weight += match value {
            Some(bytes) if std::ptr::eq(*held, &FIXED) => held.weight * bytes.len().div_ceil(8),
            Some(bytes) if std::ptr::eq(*held, &VARINT) => held.weight * bytes.len(),
            Some(_) if held.fields.is_empty() => held.weight,
            Some(bytes) if std::ptr::eq(*held, &VALUE) && is_one_text(bytes) => 0,
            Some(bytes) => held.weight + in_protobuf(bytes, held, depth),
            // A list of numbers need not be packed.
            None => held.weight,
        };
    }
    weight
}

/// Returns whether a value is only a short string, as most values are.
fn is_one_text(value: &[u8]) -> bool {
    matches!(value, [0x0a, length, text @ ..] if *length < 0x80 && usize::from(*length) == text.len())
}

/// Returns the number of the next field and, if it has a length, its content. `None` at the end and
/// where no decoder would continue.
pub(super) fn next_field<'a>(message: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    if message.is_empty() {
        return None;
    }
    let key = varint(message)?;
    let number = u32::try_from(key >> 3).ok()?;
    let length = match key & 7 {
        0 => {
            varint(message)?;
            return Some((number, None));
        }
        1 => 8,
        5 => 4,
        2 => {
            let length = usize::try_from(varint(message)?).ok()?;
            let (value, rest) = message.split_at_checked(length)?;
            *message = rest;
            return Some((number, Some(value)));
        }
        // The start and the end of a group, whose fields are counted as if they were here.
        3 | 4 => 0,
        _ => return None,
    };
    *message = message.get(length..)?;
    Some((number, None))
}

/// Reads a number. Most numbers have one byte, so calling a function would take longer than
/// reading it.
#[inline(always)]
fn varint(message: &mut &[u8]) -> Option<u64> {
    match message.split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *message = rest;
            Some(u64::from(byte))
        }
        _ => decode_varint(message).ok(),
    }
}
