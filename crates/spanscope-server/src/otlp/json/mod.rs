//! OTLP's JSON, read into the messages of protobuf.
//!
//! `opentelemetry-proto` can read JSON with serde, but not as the protocol requires. It fails the
//! whole body if one id is not hexadecimal, if a list or a string is `null`, if an enum is a name,
//! a double is `"NaN"`, an `arrayValue` has no `values` (which other writers leave out when empty),
//! or a `bytesValue` has no padding. And it silently drops a metric with such a value: serde's
//! flattened options turn every error into `None`, so all data points of the metric are gone and
//! the response is a success. JavaScript's SDK sends whole numbers of any size as `intValue`, and
//! strings that were truncated inside a pair of surrogates.
//!
//! So this reads JSON by hand. Unreadable parts of a record are left out, or kept as what they are,
//! and reported; a record without readable ids or times is rejected alone, and so is an invalid
//! container of records. Unknown fields are ignored, and `null` means a missing field.

mod base64;
mod common;
mod invalid_value;
mod metric;
mod node;
mod object;
mod records;
mod surrogates;
mod write;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use super::repair::lossy;
use super::signal::Signal;
use super::tally::{RequestTally, quoted};
use common::or_left_out;
pub(super) use invalid_value::InvalidValue;
pub(super) use node::Node;
use object::Object;
pub(super) use object::is_snake_case;
pub(super) use write::{logs as write_logs, metrics as write_metrics, traces as write_traces};

/// Reads a body, which may be any JSON that is not nested deeper than 128 brackets.
pub(super) fn read<T>(
    body: &[u8],
    tally: &mut RequestTally,
    read: fn(Node<'_>, &mut RequestTally) -> Result<T, InvalidValue>,
) -> Result<T, String> {
    // Writers of .NET prefix a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let (utf8, repaired);
    let node = match serde_json::from_slice(body) {
        Ok(node) => node,
        Err(error) => {
            // Bytes that are not UTF-8 occur inside strings; elsewhere the body stays invalid.
            utf8 = lossy(body);
            tally.repair_texts(u64::from(utf8.is_some()));
            let text = utf8.as_ref().map_or(body, |text| text.as_bytes());
            match (serde_json::from_slice(text), utf8.is_some()) {
                (Ok(node), true) => node,
                _ => {
                    repaired = surrogates::repaired(text).ok_or_else(|| error.to_string())?;
                    serde_json::from_slice(&repaired).map_err(|error| error.to_string())?
                }
            }
        }
    };
    read(node, tally).map_err(|wrong| wrong.to_string())
}

/// Reads a list of containers under its current name or the one that OTLP had before 0.15.
fn containers<'a, T>(
    of: &mut Object<'a>,
    [field, older, scope, records]: [&str; 4],
    tally: &mut RequestTally,
    mut read: impl FnMut(Object<'a>, &str, &mut RequestTally) -> Result<T, InvalidValue>,
) -> Result<Vec<T>, InvalidValue> {
    let (field, scope) = match (of.has(field), of.has(older)) {
        (false, true) => (older, "instrumentationLibrary"),
        _ => (field, scope),
    };
    if !of.has(field)
        && let Some(other) = of.first_list()
    {
        tally.note(format!(
            "a resource has no field `{field}` but {}, so nothing in it was read",
            quoted(other)
        ));
    }
    of.containers(
        field,
        tally,
        |of| records_in(of, &[records]),
        |of, tally| read(of, scope, tally),
    )
}

/// Returns how many records are lost with their container: those in the lists of these fields, at
/// least one.
fn records_in(of: &Node<'_>, fields: &[&str]) -> u64 {
    let records = match (of, fields) {
        (Node::List(items), []) => items.len() as u64,
        (Node::List(items), fields) => items.iter().map(|of| records_in(of, fields)).sum(),
        (Node::Object(_), [field, fields @ ..]) => of.get(field).map_or(1, |of| records_in(of, fields)),
        _ => 1,
    };
    records.max(1)
}

/// Notes that the records of a container were not read, if they are under another name.
fn note_unread(of: &Object<'_>, field: &str, tally: &mut RequestTally) {
    if !of.has(field)
        && let Some(other) = of.first_list()
    {
        tally.note(format!(
            "a scope has no field `{field}` but {}, so nothing in it was read",
            quoted(other)
        ));
    }
}

pub(super) fn traces(
    body: Node<'_>,
    tally: &mut RequestTally,
) -> Result<ExportTraceServiceRequest, InvalidValue> {
    let mut request = request(body, Signal::Traces, tally)?;
    let resource_spans = request.containers(
        Signal::Traces.field(),
        tally,
        |of| records_in(of, &["scopeSpans", "spans"]),
        |mut of, tally| {
            let names = ["scopeSpans", "instrumentationLibrarySpans", "scope", "spans"];
            Ok(ResourceSpans {
                resource: resource(&mut of, tally),
                schema_url: or_left_out(of.text("schemaUrl"), tally),
                scope_spans: containers(&mut of, names, tally, |mut of, scope, tally| {
                    note_unread(&of, "spans", tally);
                    Ok(ScopeSpans {
                        scope: self::scope(&mut of, scope, tally),
                        schema_url: or_left_out(of.text("schemaUrl"), tally),
                        spans: of.records("spans", tally, |_| 1, records::span)?,
                    })
                })?,
            })
        },
    )?;
    Ok(ExportTraceServiceRequest { resource_spans })
}

pub(super) fn logs(
    body: Node<'_>,
    tally: &mut RequestTally,
) -> Result<ExportLogsServiceRequest, InvalidValue> {
    let mut request = request(body, Signal::Logs, tally)?;
    let resource_logs = request.containers(
        Signal::Logs.field(),
        tally,
        |of| records_in(of, &["scopeLogs", "logRecords"]),
        |mut of, tally| {
            let names = ["scopeLogs", "instrumentationLibraryLogs", "scope", "logRecords"];
            Ok(ResourceLogs {
                resource: resource(&mut of, tally),
                schema_url: or_left_out(of.text("schemaUrl"), tally),
                scope_logs: containers(&mut of, names, tally, |mut of, scope, tally| {
                    note_unread(&of, "logRecords", tally);
                    Ok(ScopeLogs {
                        scope: self::scope(&mut of, scope, tally),
                        schema_url: or_left_out(of.text("schemaUrl"), tally),
                        log_records: of.records("logRecords", tally, |_| 1, records::log)?,
                    })
                })?,
            })
        },
    )?;
    Ok(ExportLogsServiceRequest { resource_logs })
}

pub(super) fn metrics(
    body: Node<'_>,
    tally: &mut RequestTally,
) -> Result<ExportMetricsServiceRequest, InvalidValue> {
    let mut request = request(body, Signal::Metrics, tally)?;
    let resource_metrics = request.containers(
        Signal::Metrics.field(),
        tally,
        |of| records_in(of, &["scopeMetrics", "metrics"]),
        |mut of, tally| {
            let names = [
                "scopeMetrics",
                "instrumentationLibraryMetrics",
                "scope",
                "metrics",
            ];
            Ok(ResourceMetrics {
                resource: resource(&mut of, tally),
                schema_url: or_left_out(of.text("schemaUrl"), tally),
                scope_metrics: containers(&mut of, names, tally, |mut of, scope, tally| {
                    note_unread(&of, "metrics", tally);
                    Ok(ScopeMetrics {
                        scope: self::scope(&mut of, scope, tally),
                        schema_url: or_left_out(of.text("schemaUrl"), tally),
                        metrics: of.records("metrics", tally, metric::points, metric::metric)?,
                    })
                })?,
            })
        },
    )?;
    Ok(ExportMetricsServiceRequest { resource_metrics })
}

/// Reads the resource of records. The records are worth more than its description.
fn resource(of: &mut Object<'_>, tally: &mut RequestTally) -> Option<Resource> {
    let resource = of.message("resource", |resource| Ok(common::resource(resource, tally)));
    or_left_out(resource, tally)
}

fn scope(of: &mut Object<'_>, field: &str, tally: &mut RequestTally) -> Option<InstrumentationScope> {
    let scope = of.message(field, |scope| Ok(common::scope(scope, tally)));
    or_left_out(scope, tally)
}

/// Reads the request itself. It has only one known field. A request with other fields and without
/// that one is most likely a mistake, so it is refused or noted.
fn request<'a>(body: Node<'a>, signal: Signal, tally: &mut RequestTally) -> Result<Object<'a>, InvalidValue> {
    let request = Object::of(body)?;
    let field = signal.field();
    let is_it = |other: &Signal| other.field() != field && request.has(other.field());
    if !request.has(field)
        && let Some(other) = Signal::ALL.into_iter().find(is_it)
    {
        return Err(InvalidValue::new(format!(
            "its field `{}` is of a request to {}",
            other.field(),
            other.path()
        )));
    }
    if !request.is_empty() && !request.has(field) {
        tally.note(format!(
            "the body has no field `{field}`, so nothing in it was read"
        ));
    }
    Ok(request)
}
