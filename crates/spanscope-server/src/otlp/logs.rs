//! Log records of a logs request.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use spanscope_model::received::{self, take_category};
use spanscope_model::{LogEvent, NewEvent, SourceRecords, SpanId, Timestamp, TraceId, UNCATEGORIZED, wire};

use super::attributes::{attributes, has_replacement, has_replacements, set_dropped, value, weight};
use super::coding_agents;
use super::ids;
use super::sources::{ResourceRecords, ScopeRecords, by_source};
use super::tally::{RequestTally, quoted};

pub(super) fn records(request: ExportLogsServiceRequest, tally: &mut RequestTally) -> Vec<SourceRecords> {
    let sent = request.resource_logs.into_iter().map(|of| ResourceRecords {
        resource: of.resource,
        schema_url: of.schema_url,
        scopes: of
            .scope_logs
            .into_iter()
            .map(|of| ScopeRecords {
                scope: of.scope,
                schema_url: of.schema_url,
                sent: of.log_records,
            })
            .collect(),
    });
    by_source(sent, tally, |_| 1, add_log)
}

fn add_log(record: LogRecord, records: &mut SourceRecords, tally: &mut RequestTally) {
    let target = &records.source.scope.name;
    let frame = Frame::of(&record);
    match frame.and_then(|frame| tally.copy(target.len()).map(|()| frame)) {
        Ok(frame) => {
            if let Some(why) = &frame.bad_id {
                let message = || message(record.body.clone(), &record.event_name);
                tally.leave_out_id(|| format!("log record {}: {why}", quoted(&message())));
            }
            if ids::are_digits(&record.trace_id, &record.span_id) {
                tally.read_id(|| "of a log record".to_owned());
            }
            tally.see_time(match record.time_unix_nano {
                0 => record.observed_time_unix_nano,
                time => time,
            });
            let time = frame.time.unwrap_or_else(|| tally.now());
            let has_repairs = tally.repaired_texts() > 0;
            let mut event = new_event(record, &frame, time, target.clone());
            if has_repairs && is_repaired(&event.event) {
                event.event.attributes.set(wire::REPAIRED_TEXT, true);
            }
            if let Some(span) = coding_agents::span_of(&mut event.event, &records.source.service_name) {
                match tally.copy(weight(&span.span.attributes)) {
                    Ok(()) => records.spans.push(span),
                    Err(why) => tally.note(format!("the call in an event is not counted: {why}")),
                }
            }
            records.events.push(event);
        }
        Err(why) => {
            let message = message(record.body, &record.event_name);
            tally.reject(1, format!("log record {}: {why}", quoted(&message)));
        }
    }
}

/// Returns whether bytes of the record may have been replaced.
pub(super) fn is_repaired(event: &LogEvent) -> bool {
    has_replacement(&event.message) || has_replacement(&event.name) || has_replacements(&event.attributes)
}

/// The mandatory parts of a log record.
struct Frame {
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    /// The error of an id, which is left out because of it.
    bad_id: Option<String>,
    time: Option<Timestamp>,
}

impl Frame {
    /// Returns an error for an invalid time only: a message is worth more than its ids.
    fn of(record: &LogRecord) -> Result<Self, String> {
        let mut bad_id = None;
        let trace_id = ids::trace_id(&record.trace_id).unwrap_or_else(|why| {
            bad_id = Some(why);
            None
        });
        let mut span_id = ids::span_id(&record.span_id, "span id").unwrap_or_else(|why| {
            bad_id.get_or_insert(why);
            None
        });
        if span_id.is_some() && trace_id.is_none() {
            bad_id.get_or_insert_with(|| {
                "it has a span id without a trace id: give both, or neither".to_owned()
            });
            span_id = None;
        }
        let time = match ids::time(record.time_unix_nano, "time")? {
            Some(time) => Some(time),
            None => ids::time(record.observed_time_unix_nano, "observed time")?,
        };
        Ok(Self {
            trace_id,
            span_id,
            bad_id,
            time,
        })
    }
}

fn new_event(record: LogRecord, frame: &Frame, timestamp: Timestamp, target: String) -> NewEvent {
    let mut attributes = attributes(record.attributes);
    let category = take_category(&mut attributes);
    let severity = received::log_severity(record.severity_number, &record.severity_text, &attributes);
    // A number outside OpenTelemetry's range is kept as it is.
    let text = match record.severity_number {
        0..=24 => record.severity_text,
        number if record.severity_text.is_empty() => number.to_string(),
        _ => record.severity_text,
    };
    let name = received::log_name(record.event_name, &mut attributes);
    received::note_severity_text(text, severity, &mut attributes);
    set_dropped(
        &mut attributes,
        wire::DROPPED_ATTRIBUTES,
        record.dropped_attributes_count,
    );
    let event = LogEvent::new(timestamp, severity, message(record.body, &name))
        .trace_id(frame.trace_id)
        .span_id(frame.span_id)
        .name(name)
        .target(target)
        .category(category.unwrap_or_else(|| UNCATEGORIZED.to_owned()))
        .attributes(attributes);
    NewEvent::new(event)
}

/// Returns a string body as it is, any other as JSON, and the event's name if there is no body.
fn message(body: Option<AnyValue>, event_name: &str) -> String {
    match body.filter(|body| body.value.is_some()) {
        Some(body) => value(Some(body)).to_string(),
        None => event_name.to_owned(),
    }
}
