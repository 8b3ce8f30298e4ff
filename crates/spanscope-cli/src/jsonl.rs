//! Spanscope's own JSON lines, written by `export` and read by `import`: one line for each span
//! with its events, each event outside spans, and each measurement. Each line names the record's
//! source.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use spanscope_model::semconv::SpanCall;
use spanscope_model::{
    Attributes, LogEvent, MetricKind, NewEvent, NewPoint, NewSpan, Scope, Source, SourceRecords, Span,
    SpanId, Temporality, Timestamp, TraceId, Value,
};

use crate::render::json::SpanJson;

/// A line of an export.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Line<'a> {
    /// A span with its events.
    Span {
        #[serde(flatten)]
        span: SpanJson<'a>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        counts_tokens: bool,
        events: Vec<&'a LogEvent>,
    },
    /// An event.
    Event {
        #[serde(flatten)]
        event: &'a LogEvent,
        #[serde(flatten)]
        source: SourceJson,
    },
    /// A measurement.
    Point(Box<PointJson>),
}

/// The source of a record, besides the service name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SourceJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<Attributes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
}

/// A measurement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PointJson {
    metric: String,
    #[serde(default = "gauge")]
    kind: MetricKind,
    #[serde(default)]
    unit: String,
    timestamp: Timestamp,
    value: Value,
    #[serde(default)]
    labels: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    span_id: Option<SpanId>,
    /// Further data of the measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<Json>,
    #[serde(default)]
    service_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<Attributes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
}

fn gauge() -> MetricKind {
    MetricKind::Gauge
}

impl SourceJson {
    fn of(source: &Source, target: &str) -> Self {
        Self {
            resource: Some(source.named_resource()).filter(|resource| !resource.is_empty()),
            scope: Some(source.scope_of(target)).filter(|scope| *scope != Scope::default()),
        }
    }

    fn source(self, service_name: &str) -> Source {
        Source::default()
            .service_name(service_name)
            .resource(self.resource.unwrap_or_default())
            .scope(self.scope.unwrap_or_default())
    }
}

impl PointJson {
    fn of(point: &NewPoint, source: &Source) -> Self {
        let SourceJson { resource, scope } = SourceJson::of(source, "");
        let labels = point.labels.iter();
        Self {
            metric: point.metric.clone(),
            kind: point.kind,
            unit: point.unit.clone(),
            timestamp: point.timestamp,
            value: point.value.clone(),
            labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
            trace_id: point.trace_id,
            span_id: point.span_id,
            detail: point.detail.clone(),
            service_name: source.service_name.clone(),
            resource,
            scope,
        }
    }

    /// Converts the line to records.
    ///
    /// # Errors
    /// Fails if the value is not a finite number.
    fn records(self) -> Result<SourceRecords, String> {
        if !self.value.as_f64().is_some_and(f64::is_finite) {
            return Err(format!(
                "the value of the measurement is {}: give a finite number",
                self.value
            ));
        }
        let source = SourceJson {
            resource: self.resource,
            scope: self.scope,
        };
        let labels = self.labels.iter();
        let point = NewPoint::new(self.metric, self.value, self.kind, self.timestamp)
            .labels(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_string()))
                    .collect(),
            )
            .temporality(Temporality::Delta)
            .unit(self.unit)
            .trace_id(self.trace_id)
            .span_id(self.span_id)
            .detail(self.detail.filter(Json::is_object));
        Ok(SourceRecords::default()
            .source(source.source(&self.service_name))
            .points(vec![point]))
    }
}

/// Passes each record to `write` as a line: spans by their start, then events and measurements by
/// their time.
///
/// # Errors
/// Returns the error of `write`.
pub(crate) fn write<E>(
    records: &[SourceRecords],
    mut write: impl FnMut(&Line<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut spans: Vec<(&Source, &NewSpan)> = Vec::new();
    let mut events: Vec<(&Source, &NewEvent)> = Vec::new();
    let mut points: Vec<(&Source, &NewPoint)> = Vec::new();
    for of in records {
        spans.extend(of.spans.iter().map(|new| (&of.source, new)));
        events.extend(of.events.iter().map(|new| (&of.source, new)));
        points.extend(of.points.iter().map(|point| (&of.source, point)));
    }
    spans.sort_by_key(|(_, new)| (new.span.start_time, new.span.span_id));
    events.sort_by_key(|(_, new)| new.event.timestamp);
    points.sort_by_key(|(_, point)| point.timestamp);
    for (source, new) in spans {
        let target = new.span.target.as_deref().unwrap_or_default();
        let SourceJson { resource, scope } = SourceJson::of(source, target);
        let span = new.span.clone().resource(resource).scope(scope);
        write(&Line::Span {
            span: SpanJson::of(&span),
            counts_tokens: source.counts_tokens && SpanCall::of(span.attributes.raw()).is_some(),
            events: new.events.iter().map(|new| &new.event).collect(),
        })?;
    }
    for (source, new) in events {
        write(&Line::Event {
            event: &new.event,
            source: SourceJson::of(source, &new.event.target),
        })?;
    }
    for (source, point) in points {
        write(&Line::Point(Box::new(PointJson::of(point, source))))?;
    }
    Ok(())
}

/// The fields of a span's line besides the span.
#[derive(Deserialize)]
struct SpanLineFields {
    #[serde(default)]
    counts_tokens: bool,
    #[serde(default)]
    events: Vec<LogEvent>,
}

/// Parses one record; returns `None` if it is of another format. `has` returns whether its object
/// has a field.
///
/// # Errors
/// Returns a message if a field is invalid.
pub(crate) fn read(record: &[u8], has: impl Fn(&str) -> bool) -> Result<Option<SourceRecords>, String> {
    fn parsed<'de, T: Deserialize<'de>>(record: &'de [u8]) -> Result<T, String> {
        serde_json::from_slice(record).map_err(|error| error.to_string())
    }
    if has("span_id") && has("start_time") && has("name") {
        let mut span: Span = parsed(record)?;
        let SpanLineFields {
            counts_tokens,
            events,
        } = parsed(record)?;
        let source = SourceJson {
            resource: span.resource.take(),
            scope: span.scope.take(),
        };
        let events = events.into_iter().map(NewEvent::new);
        return Ok(Some(
            SourceRecords::default()
                .source(source.source(&span.service_name).counts_tokens(counts_tokens))
                .spans(vec![NewSpan::new(span).events(events.collect())]),
        ));
    }
    if has("message") && has("severity") && has("timestamp") {
        let event: LogEvent = parsed(record)?;
        let source: SourceJson = parsed(record)?;
        return Ok(Some(
            SourceRecords::default()
                .source(source.source(&event.service_name))
                .events(vec![NewEvent::new(event)]),
        ));
    }
    if has("metric") && has("value") && has("timestamp") {
        return parsed::<PointJson>(record)?.records().map(Some);
    }
    Ok(None)
}
