//! Repairs a protobuf body that `prost` refuses as a whole.
//!
//! `prost` reads a whole body or nothing: one string that is not UTF-8 (Latin-1 of a database, a
//! truncated character) or one record that is nested too deeply would cost a batch of thousands. So
//! such a body is walked again by the fields with strings and messages. Invalid bytes of strings
//! become U+FFFD, records that are still unreadable are rejected, each separately, the containers
//! of OTLP before 0.15 get their current number, and everything else stays as it is. Only bodies
//! that could not be read, or were empty, get here, so that normal reading costs nothing.
//!
//! This module does not interpret records. An error outside records (a truncated body) stays an
//! error.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use prost::encoding::encode_varint;

use super::Signal;
use super::tally::RequestTally;
use super::weight::next_field;

/// The decoder's limit.
const MAX_DEPTH: usize = 100;
/// Maximum number of invalid sequences of one string that become U+FFFD, which has three bytes.
/// Further ones become `?`, so that no string grows to three times its length.
const REPLACED: usize = 16;
/// `instrumentation_library_spans` and its siblings, whose messages have the same fields as
/// `scope_spans`, and their number.
const LEGACY_SCOPES: u32 = 1000;
const SCOPES: u32 = 2;
/// The type of fields that have a length.
const LENGTH_DELIMITED: u64 = 2;

/// The content of a field with a length.
enum Holds {
    Text,
    Message(&'static Shape),
    /// A message that is left out alone if it can't be read.
    Record(&'static Shape, fn(&[u8]) -> Result<(), prost::DecodeError>),
}

/// A message: the contents of its fields, by number. Others are copied.
struct Shape(&'static [(u32, Holds)]);

/// The result of a repair.
pub(super) enum Repaired {
    /// The body with repaired strings and without unreadable records.
    Body(Vec<u8>),
    /// No record can be read, and no string was repaired.
    Nothing,
    /// The body is invalid outside its records and strings.
    Unreadable,
}

/// Walks a body by its fields, and repairs its strings and records.
pub(super) fn repaired(signal: Signal, body: &[u8], tally: &mut RequestTally) -> Repaired {
    let request = match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    };
    let mut repair = Repair {
        tally,
        kept: 0,
        texts: 0,
    };
    let Some(body) = repair.message(body, request, MAX_DEPTH) else {
        return Repaired::Unreadable;
    };
    let (kept, texts) = (repair.kept, repair.texts);
    tally.repair_texts(texts);
    match kept > 0 || texts > 0 {
        true => Repaired::Body(body),
        false => Repaired::Nothing,
    }
}

struct Repair<'a> {
    tally: &'a mut RequestTally,
    /// Records that can be read.
    kept: u64,
    /// Strings in which bytes were replaced. Those of rejected records do not count: if the data
    /// are not a record, the bytes of a string may be anything.
    texts: u64,
}

impl Repair<'_> {
    fn message(&mut self, mut message: &[u8], shape: &Shape, depth: usize) -> Option<Vec<u8>> {
        let depth = depth.checked_sub(1)?;
        let mut repaired = Vec::with_capacity(message.len());
        let mut index = 0_u64;
        while !message.is_empty() {
            let before = message;
            let (number, value) = next_field(&mut message)?;
            let whole = &before[..before.len() - message.len()];
            let holds = shape.0.iter().find(|(have, _)| *have == number);
            match (holds, value) {
                (Some((_, Holds::Text)), Some(text)) => {
                    let text = self.text(text);
                    push_field(&mut repaired, number, &text);
                }
                (Some((_, Holds::Message(shape))), Some(inner)) => {
                    push_field(&mut repaired, number, &self.message(inner, shape, depth)?);
                }
                (Some((_, Holds::Record(shape, check))), Some(inner)) => {
                    let texts = self.texts;
                    match self.record(inner, shape, *check, depth) {
                        Ok(record) => {
                            self.kept += 1;
                            push_field(&mut repaired, number, &record);
                        }
                        Err(why) => {
                            self.texts = texts;
                            self.tally
                                .reject(1, format!("record {index} of its scope: {why}"));
                        }
                    }
                    index += 1;
                }
                _ => repaired.extend_from_slice(whole),
            }
        }
        Some(repaired)
    }

    fn record(
        &mut self,
        record: &[u8],
        shape: &Shape,
        check: fn(&[u8]) -> Result<(), prost::DecodeError>,
        depth: usize,
    ) -> Result<Vec<u8>, String> {
        // A record that can't be walked stays unchanged: the decoder refuses it, with a reason.
        let repaired = self
            .message(record, shape, depth)
            .unwrap_or_else(|| record.to_vec());
        check(&repaired).map_err(|error| error.to_string())?;
        Ok(repaired)
    }

    fn text<'t>(&mut self, text: &'t [u8]) -> std::borrow::Cow<'t, [u8]> {
        match lossy(text) {
            None => text.into(),
            Some(repaired) => {
                self.texts += 1;
                repaired.into_bytes().into()
            }
        }
    }
}

/// Returns the text with U+FFFD in place of invalid UTF-8; `None` if it is valid.
pub(super) fn lossy(text: &[u8]) -> Option<String> {
    std::str::from_utf8(text).err()?;
    let mut repaired = String::with_capacity(text.len() + 3 * REPLACED);
    let mut replaced = 0;
    for chunk in text.utf8_chunks() {
        repaired.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            repaired.push(if replaced < REPLACED {
                char::REPLACEMENT_CHARACTER
            } else {
                '?'
            });
            replaced += 1;
        }
    }
    Some(repaired)
}

fn push_field(message: &mut Vec<u8>, number: u32, value: &[u8]) {
    let number = if number == LEGACY_SCOPES { SCOPES } else { number };
    encode_varint(u64::from(number) << 3 | LENGTH_DELIMITED, message);
    encode_varint(value.len() as u64, message);
    message.extend_from_slice(value);
}

fn can_decode<T: Message + Default>(record: &[u8]) -> Result<(), prost::DecodeError> {
    T::decode(record).map(drop)
}

use Holds::{Record, Text};
const fn of(shape: &'static Shape) -> Holds {
    Holds::Message(shape)
}

static TRACES: Shape = Shape(&[(1, of(&RESOURCE_SPANS))]);
static METRICS: Shape = Shape(&[(1, of(&RESOURCE_METRICS))]);
static LOGS: Shape = Shape(&[(1, of(&RESOURCE_LOGS))]);
static RESOURCE_SPANS: Shape = Shape(&[
    (1, of(&RESOURCE)),
    (2, of(&SCOPE_SPANS)),
    (3, Text),
    (LEGACY_SCOPES, of(&SCOPE_SPANS)),
]);
static RESOURCE_METRICS: Shape = Shape(&[
    (1, of(&RESOURCE)),
    (2, of(&SCOPE_METRICS)),
    (3, Text),
    (LEGACY_SCOPES, of(&SCOPE_METRICS)),
]);
static RESOURCE_LOGS: Shape = Shape(&[
    (1, of(&RESOURCE)),
    (2, of(&SCOPE_LOGS)),
    (3, Text),
    (LEGACY_SCOPES, of(&SCOPE_LOGS)),
]);
static SCOPE_SPANS: Shape = Shape(&[(1, of(&SCOPE)), (2, Record(&SPAN, can_decode::<Span>)), (3, Text)]);
static SCOPE_METRICS: Shape = Shape(&[
    (1, of(&SCOPE)),
    (2, Record(&METRIC, can_decode::<Metric>)),
    (3, Text),
]);
static SCOPE_LOGS: Shape = Shape(&[
    (1, of(&SCOPE)),
    (2, Record(&LOG, can_decode::<LogRecord>)),
    (3, Text),
]);
static RESOURCE: Shape = Shape(&[(1, of(&KEY_VALUE)), (3, of(&ENTITY))]);
static ENTITY: Shape = Shape(&[(1, Text), (2, Text), (3, Text), (4, Text)]);
static SCOPE: Shape = Shape(&[(1, Text), (2, Text), (3, of(&KEY_VALUE))]);
static KEY_VALUE: Shape = Shape(&[(1, Text), (2, of(&VALUE))]);
static VALUE: Shape = Shape(&[(1, Text), (5, of(&LIST)), (6, of(&MAP))]);
static LIST: Shape = Shape(&[(1, of(&VALUE))]);
static MAP: Shape = Shape(&[(1, of(&KEY_VALUE))]);
static SPAN: Shape = Shape(&[
    (3, Text),
    (5, Text),
    (9, of(&KEY_VALUE)),
    (11, of(&EVENT)),
    (13, of(&LINK)),
    (15, of(&STATUS)),
]);
static EVENT: Shape = Shape(&[(2, Text), (3, of(&KEY_VALUE))]);
static LINK: Shape = Shape(&[(3, Text), (4, of(&KEY_VALUE))]);
static STATUS: Shape = Shape(&[(2, Text)]);
static LOG: Shape = Shape(&[(3, Text), (5, of(&VALUE)), (6, of(&KEY_VALUE)), (12, Text)]);
static METRIC: Shape = Shape(&[
    (1, Text),
    (2, Text),
    (3, Text),
    (5, of(&NUMBERS)),
    (7, of(&NUMBERS)),
    (9, of(&HISTOGRAM)),
    (10, of(&EXPONENTIAL)),
    (11, of(&SUMMARY)),
    (12, of(&KEY_VALUE)),
]);
static NUMBERS: Shape = Shape(&[(1, of(&NUMBER_POINT))]);
static HISTOGRAM: Shape = Shape(&[(1, of(&HISTOGRAM_POINT))]);
static EXPONENTIAL: Shape = Shape(&[(1, of(&EXPONENTIAL_POINT))]);
static SUMMARY: Shape = Shape(&[(1, of(&SUMMARY_POINT))]);
static NUMBER_POINT: Shape = Shape(&[(5, of(&EXEMPLAR)), (7, of(&KEY_VALUE))]);
static HISTOGRAM_POINT: Shape = Shape(&[(8, of(&EXEMPLAR)), (9, of(&KEY_VALUE))]);
static EXPONENTIAL_POINT: Shape = Shape(&[(1, of(&KEY_VALUE)), (11, of(&EXEMPLAR))]);
static SUMMARY_POINT: Shape = Shape(&[(7, of(&KEY_VALUE))]);
static EXEMPLAR: Shape = Shape(&[(7, of(&KEY_VALUE))]);
