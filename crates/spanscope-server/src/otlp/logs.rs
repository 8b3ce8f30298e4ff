//! Log records of a logs request.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use spanscope_model::{
    LogEvent, NewEvent, Severity, SourceRecords, SpanId, Timestamp, TraceId, UNCATEGORIZED, wire,
};

use super::attributes::{attributes, set_dropped, take_category, value};
use super::ids;
use super::sources::{OfResource, OfScope, by_source};
use super::tally::{RequestTally, shown};

pub(super) fn records(request: ExportLogsServiceRequest, tally: &mut RequestTally) -> Vec<SourceRecords> {
    let sent = request.resource_logs.into_iter().map(|of| OfResource {
        resource: of.resource,
        schema_url: of.schema_url,
        scopes: of
            .scope_logs
            .into_iter()
            .map(|of| OfScope {
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
            let time = frame.time.unwrap_or_else(|| tally.now());
            let event = new_event(record, &frame, time, target.clone());
            records.events.push(event);
        }
        Err(why) => {
            let message = message(record.body, &record.event_name);
            tally.reject(1, format!("log record {}: {why}", shown(&message)));
        }
    }
}

/// What must be right about a log record.
struct Frame {
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    time: Option<Timestamp>,
}

impl Frame {
    fn of(record: &LogRecord) -> Result<Self, String> {
        let trace_id = ids::trace_id(&record.trace_id)?;
        let span_id = ids::span_id(&record.span_id, "span id")?;
        if span_id.is_some() && trace_id.is_none() {
            return Err("it has a span id without a trace id: give both, or none".to_owned());
        }
        let time = match ids::time(record.time_unix_nano, "time")? {
            Some(time) => Some(time),
            None => ids::time(record.observed_time_unix_nano, "observed time")?,
        };
        Ok(Self {
            trace_id,
            span_id,
            time,
        })
    }
}

fn new_event(record: LogRecord, frame: &Frame, timestamp: Timestamp, target: String) -> NewEvent {
    let mut attributes = attributes(record.attributes);
    let category = take_category(&mut attributes);
    let severity = severity(record.severity_number, &record.severity_text);
    let text = record.severity_text;
    if !text.is_empty() && !text.eq_ignore_ascii_case(severity.as_str()) {
        attributes.set(wire::SEVERITY_TEXT, text);
    }
    set_dropped(
        &mut attributes,
        wire::DROPPED_ATTRIBUTES,
        record.dropped_attributes_count,
    );
    let event = LogEvent {
        id: String::new(),
        trace_id: frame.trace_id,
        span_id: frame.span_id,
        timestamp,
        severity,
        message: message(record.body, &record.event_name),
        name: record.event_name,
        target,
        category: category.unwrap_or_else(|| UNCATEGORIZED.to_owned()),
        service_name: String::new(),
        attributes,
    };
    NewEvent { event, expires: None }
}

/// A text as it is, anything else as JSON; the event's name where there is no body.
fn message(body: Option<AnyValue>, event_name: &str) -> String {
    match body.filter(|body| body.value.is_some()) {
        Some(body) => value(Some(body)).to_string(),
        None => event_name.to_owned(),
    }
}

/// By its number. Where there is none, or none that is known, by what the text says in one of the usual words.
fn severity(number: i32, text: &str) -> Severity {
    if let Ok(number @ 1..=24) = u8::try_from(number) {
        return Severity::from_number(number);
    }
    if let Ok(severity) = text.parse() {
        return severity;
    }
    // The words of syslog, Python, Java and OpenTelemetry that are not ours.
    match text.to_ascii_lowercase().as_str() {
        "trace" | "finest" | "finer" => Severity::Verbose,
        "fine" => Severity::Debug,
        "warning" => Severity::Warn,
        "err" | "severe" => Severity::Error,
        "fatal" | "crit" | "alert" | "emerg" | "emergency" | "panic" => Severity::Critical,
        _ => Severity::Info,
    }
}
