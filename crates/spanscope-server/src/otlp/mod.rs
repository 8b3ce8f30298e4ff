//! The codec between OTLP's messages and the model's records, for what other programs send and for
//! exports.
//!
//! The body of an export request comes in, as protobuf or as JSON. What leaves is [`NewRecords`] for a store, and the body of
//! the answer. A record that is wrong is left out, counted and described, and the others are kept: no sender mends a batch
//! and sends it again. Only a body that can't be read at all is an error.
//!
//! Never here: HTTP, a store, a panic. Nesting is bounded by the two decoders, which give up at 100
//! messages and 128 brackets; everything else here may recurse over values for that reason. Memory is
//! bounded by [`RequestTally::copy`]: what a request says once for many records is copied to each, and
//! only so often.

mod answer;
mod attributes;
mod coding_agents;
mod detail;
mod encode;
mod ids;
mod json;
mod logs;
mod metrics;
mod repair;
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
use spanscope_model::{LogEvent, NewRecords, Span};

pub(crate) use answer::{Status, answer, failure};
pub(crate) use signal::{Encoding, Signal};
use tally::RequestTally;
pub(crate) use weight::weight;

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Converted {
    /// What can be stored.
    pub(crate) records: NewRecords,
    /// How many spans, data points or log records were left out.
    pub(crate) rejected: u64,
    /// What was wrong with the first of them and how to fix it; empty if there is nothing to say.
    pub(crate) message: String,
    /// How many records and texts were changed so that they could be stored.
    pub(crate) repaired: u64,
}

/// Reads a body, which is already unpacked, and makes records of it. Records older than `retention` are
/// reported to the sender.
///
/// # Errors
/// What is wrong with the body and what is accepted instead.
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
    Ok(Converted {
        records: NewRecords {
            // The same text logged twice without a time is two events, however alike the requests are.
            batch: (!tally.used_clock()).then(|| digest(signal, body)),
            sources,
            ..NewRecords::default()
        },
        rejected: tally.rejected(),
        message: tally.message(),
        repaired: tally.repaired(),
    })
}

/// Spans of one trace and the events in them as a `TracesData` object of OTLP's JSON, which is what
/// [`otlp_router`](crate::otlp_router) and the collector's file receiver read.
///
/// Events that are in none of the spans are left out, because a trace of OTLP has no place for
/// them.
///
/// ```
/// use spanscope_model::{Span, Timestamp};
/// use spanscope_server::otlp_json;
///
/// let span = Span::new(
///     "4bf92f3577b34da6a3ce929d0e0e4736".parse()?,
///     "00f067aa0ba902b7".parse()?,
///     "ask",
///     Timestamp::from_nanos(1),
/// );
/// let data = otlp_json(&[span], &[]);
/// assert_eq!(data["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"], "ask");
/// # Ok::<(), spanscope_model::ParseIdError>(())
/// ```
#[must_use]
pub fn otlp_json(spans: &[Span], events: &[LogEvent]) -> serde_json::Value {
    json::write_traces(encode::traces(spans, events))
}

fn read<T: Message + Default>(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    read_json: fn(json::Node<'_>, &mut RequestTally) -> Result<T, json::Wrong>,
    is_empty: fn(&T) -> bool,
    tally: &mut RequestTally,
) -> Result<T, String> {
    let (request, field) = (signal.request(), signal.field());
    match encoding {
        Encoding::Protobuf => match T::decode(body) {
            // The containers of OTLP before 0.15 are unknown to the decoder, which passes over them.
            Ok(request) if is_empty(&request) => Ok(repair::repaired(signal, body, tally)
                .and_then(|body| T::decode(&*body).ok())
                .unwrap_or(request)),
            Ok(request) => Ok(request),
            Err(error) => repair::repaired(signal, body, tally)
                .and_then(|body| T::decode(&*body).ok())
                .ok_or_else(|| {
                    format!(
                        "the body is no {request} in protobuf: {error}: send one, or JSON with the header `content-type: application/json`"
                    )
                }),
        },
        Encoding::Json => json::read(body, tally, read_json).map_err(|error| {
            format!(
                "the body is no {request} in JSON: {error}: send {{\"{field}\": [...]}}, or protobuf with the header `content-type: application/x-protobuf`"
            )
        }),
    }
}

/// Identifies a batch by its unpacked body: a sender that saw no answer sends the same bytes again, packed or not.
///
/// A sender that changes from protobuf to JSON in between is not recognized: the digest would have
/// to be one of the message, which costs writing it again. The hash may change with the version of
/// its crate, which costs nothing: batches are recognized for an hour. It is no defence against
/// forgery: a sender that knows another's next body byte for byte could have it taken for known.
fn digest(signal: Signal, body: &[u8]) -> u128 {
    let half = |half: u64| {
        let mut hasher = FixedState::with_seed(half).build_hasher();
        hasher.write(signal.request().as_bytes());
        hasher.write(body);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
