//! The codec between OTLP's messages and the model's records, for received requests and for
//! exports.
//!
//! The input is the body of an export request, as protobuf or as JSON. The output is [`NewRecords`]
//! for a store, and the body of the response. An invalid record is left out, counted and described,
//! and the others are kept: no sender corrects a batch and sends it again. Only an unreadable body
//! is an error.
//!
//! This module knows neither HTTP nor a store, and never panics. The two decoders bound the
//! nesting, at 100 messages and 128 brackets, so all other code here may recurse over values.
//! [`RequestTally::copy`] bounds memory: data that a request contains once for many records is
//! copied to each record, up to a limit.

mod attributes;
mod coding_agents;
mod detail;
mod encode;
mod ids;
mod json;
mod logs;
mod metrics;
mod repair;
mod response;
mod signal;
mod sources;
mod span_events;
mod spans;
mod tally;
#[cfg(test)]
mod tests;
mod weight;

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use foldhash::quality::FixedState;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Deserialize;
use serde::de::IgnoredAny;
use spanscope_model::{NewRecords, SourceRecords};

use repair::Repaired;
#[cfg(feature = "schema")]
pub(crate) use response::Status;
#[cfg(feature = "http")]
pub(crate) use response::{answer, failure};
pub(crate) use signal::{Encoding, Signal};
use tally::RequestTally;
#[cfg(feature = "http")]
pub(crate) use weight::weight;

/// A converted request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Converted {
    /// The records to store.
    pub(crate) records: NewRecords,
    /// The number of spans, data points or log records that were left out.
    pub(crate) rejected: u64,
    /// The error of the first of them and its fix; empty if there is nothing to report.
    pub(crate) message: String,
    /// The number of records and strings that were changed so that they could be stored.
    pub(crate) repaired: u64,
}

/// Converts a body, which is already decompressed, to records. Records older than `retention` are
/// reported to the sender.
///
/// # Errors
/// Returns the error of the body and what is accepted instead.
pub(crate) fn convert(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    retention: Option<Duration>,
) -> Result<Converted, String> {
    let mut tally = RequestTally::new(body.len(), retention);
    let sources = match signal {
        Signal::Traces => {
            let is_empty = |request: &ExportTraceServiceRequest| {
                request.resource_spans.iter().all(|of| of.scope_spans.is_empty())
            };
            let request = read(signal, encoding, body, json::traces, is_empty, &mut tally)?;
            spans::records(request, &mut tally)
        }
        Signal::Metrics => {
            let is_empty = |request: &ExportMetricsServiceRequest| {
                request
                    .resource_metrics
                    .iter()
                    .all(|of| of.scope_metrics.is_empty())
            };
            let request = read(signal, encoding, body, json::metrics, is_empty, &mut tally)?;
            metrics::records(request, &mut tally)
        }
        Signal::Logs => {
            let is_empty = |request: &ExportLogsServiceRequest| {
                request.resource_logs.iter().all(|of| of.scope_logs.is_empty())
            };
            let request = read(signal, encoding, body, json::logs, is_empty, &mut tally)?;
            logs::records(request, &mut tally)
        }
    };
    let records = NewRecords::default()
        // Two equal requests with an event without a time are two events.
        .batch((!tally.used_clock()).then(|| digest(signal, body)))
        .sources(sources);
    // A partial success would tell the sender that part of the request was stored.
    if tally.has_unreadable_container() && records.is_empty() {
        return Err(unreadable(signal, encoding, &tally.message()));
    }
    Ok(Converted {
        records,
        rejected: tally.rejected(),
        message: tally.message(),
        repaired: tally.repaired(),
    })
}

/// Returns records as requests in OTLP's JSON, the format of [`otlp_router`](crate::otlp_router),
/// [`read_otlp_json`] and the collector's file receiver: one for the spans with their events, one
/// for other events and one for measurements, without empty ones.
///
/// Reading them back returns the same records. Data without a field in OTLP is in attributes with
/// the names of [`wire`](spanscope_model::wire). Times to live are not written.
///
/// ```
/// use spanscope_model::{NewSpan, SourceRecords, Span, Timestamp};
/// use spanscope_server::otlp_json;
///
/// let span = Span::new(
///     "4bf92f3577b34da6a3ce929d0e0e4736".parse()?,
///     "00f067aa0ba902b7".parse()?,
///     "ask",
///     Timestamp::from_nanos(1),
/// );
/// let records = SourceRecords::default().spans(vec![NewSpan::new(span)]);
/// let requests = otlp_json(&[records]);
/// assert_eq!(requests[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"], "ask");
/// # Ok::<(), spanscope_model::ParseIdError>(())
/// ```
#[must_use]
pub fn otlp_json(records: &[SourceRecords]) -> Vec<serde_json::Value> {
    let any = |has: fn(&SourceRecords) -> bool| records.iter().any(has);
    let mut requests = Vec::new();
    if any(|of| !of.spans.is_empty()) {
        requests.push(json::write_traces(encode::traces(records)));
    }
    if any(|of| !of.events.is_empty()) {
        requests.push(json::write_logs(encode::logs(records)));
    }
    if any(|of| !of.points.is_empty()) {
        requests.push(json::write_metrics(encode::metrics(records)));
    }
    requests
}

/// A document in OTLP's JSON.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OtlpDocument {
    /// The records to store.
    pub records: NewRecords,
    /// The number of spans, data points or log records that were left out.
    pub rejected: u64,
    /// The error or repair of the first of them, and its fix; empty if there is nothing to report.
    pub message: String,
}

/// The fields that identify a document's contents.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Containers {
    #[serde(alias = "resource_spans")]
    resource_spans: Option<IgnoredAny>,
    #[serde(alias = "resource_metrics")]
    resource_metrics: Option<IgnoredAny>,
    #[serde(alias = "resource_logs")]
    resource_logs: Option<IgnoredAny>,
}

/// Reads a document in OTLP's JSON: an object with `resourceSpans`, `resourceMetrics` or
/// `resourceLogs`, as [`otlp_json`] and the collector's file exporter write it. It may have several
/// of them.
///
/// # Errors
/// Returns the error of an unreadable document. An unreadable record is left out and counted.
pub fn read_otlp_json(document: &[u8]) -> Result<OtlpDocument, String> {
    // A document whose fields can't be read, because its text is not UTF-8, is most likely one of
    // spans.
    let has = serde_json::from_slice(document).unwrap_or(Containers {
        resource_spans: Some(IgnoredAny),
        ..Containers::default()
    });
    let signals = [
        (Signal::Traces, has.resource_spans),
        (Signal::Metrics, has.resource_metrics),
        (Signal::Logs, has.resource_logs),
    ];
    let mut read = OtlpDocument {
        records: NewRecords::default(),
        rejected: 0,
        message: String::new(),
    };
    let mut has_any = false;
    for (signal, _) in signals.into_iter().filter(|(_, has)| has.is_some()) {
        has_any = true;
        let converted = convert(signal, Encoding::Json, document, None)?;
        read.records.sources.extend(converted.records.sources);
        read.rejected += converted.rejected;
        if read.message.is_empty() {
            read.message = converted.message;
        }
    }
    match has_any {
        true => Ok(read),
        false => Err(
            "the document has none of the fields `resourceSpans`, `resourceMetrics` and `resourceLogs`: \
             give a request of OTLP in JSON"
                .to_owned(),
        ),
    }
}

fn read<T: Message + Default>(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    read_json: fn(json::Node<'_>, &mut RequestTally) -> Result<T, json::InvalidValue>,
    is_empty: fn(&T) -> bool,
    tally: &mut RequestTally,
) -> Result<T, String> {
    match encoding {
        Encoding::Protobuf => {
            let unreadable = |error: &str| unreadable(signal, encoding, error);
            let decoded = T::decode(body);
            match &decoded {
                Ok(request) if !is_empty(request) => {}
                // The containers of OTLP before 0.15 are unknown to the decoder, which passes over
                // them.
                Ok(_) | Err(_) => match repair::repaired(signal, body, tally) {
                    Repaired::Body(body) => {
                        return T::decode(&*body).map_err(|error| unreadable(&error.to_string()));
                    }
                    Repaired::Unreadable if decoded.is_ok() => {
                        return Err(unreadable("one of its scopes can't be read"));
                    }
                    Repaired::Nothing | Repaired::Unreadable => {}
                },
            }
            decoded.map_err(|error| unreadable(&error.to_string()))
        }
        Encoding::Json => {
            json::read(body, tally, read_json).map_err(|error| unreadable(signal, encoding, &error))
        }
    }
}

/// Returns the error for a body of which nothing can be stored.
fn unreadable(signal: Signal, encoding: Encoding, error: &str) -> String {
    let (request, field) = (signal.request(), signal.field());
    match encoding {
        Encoding::Protobuf => format!(
            "the body is not an {request} in protobuf: {error}: send one, or JSON with the header `content-type: application/json`"
        ),
        Encoding::Json => format!(
            "the body is not an {request} in JSON: {error}: send {{\"{field}\": [...]}}, or protobuf with the header `content-type: application/x-protobuf`"
        ),
    }
}

/// Identifies a batch by its decompressed body: a sender that got no response sends the same bytes
/// again, compressed or not.
///
/// A sender that changes from protobuf to JSON in between is not recognized: that would need a
/// digest of the message, which would have to be encoded again. The hash may change with the
/// version of its crate, which does no harm: batches are recognized for an hour. It is no defence
/// against forgery: a sender that knows another's next body byte for byte could make it count as a
/// repetition.
fn digest(signal: Signal, body: &[u8]) -> u128 {
    let half = |half: u64| {
        let mut hasher = FixedState::with_seed(half).build_hasher();
        hasher.write(signal.request().as_bytes());
        hasher.write(body);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
