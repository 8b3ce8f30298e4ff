//! Hand-made records, and the calls that most tests need.

use spanscope_model::{
    Event, IngestReceipt, LogEvent, MetricKind, MetricQuery, MetricQueryType, NewEvent, NewPoint, NewRecords,
    NewSpan, Severity, SourceRecords, Span, SpanId, SpanState, SpanStatus, Temporality, Timestamp, TraceId,
    TraceStore, Value, block_on,
};

use crate::Fixture;

pub const MS: i64 = 1_000_000;

pub fn trace_id(number: u128) -> TraceId {
    TraceId::from_bytes(number.to_be_bytes()).unwrap()
}

pub fn span_id(number: i64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

pub fn ago(ms: i64) -> Timestamp {
    Timestamp::from_nanos(Timestamp::now().as_nanos() - ms * MS)
}

/// An ended span with a duration of 100 ms; parent 0 means none.
pub fn span(trace: u128, id: i64, parent: i64, name: &str) -> Span {
    let start = ago(10_000 - id);
    Span::new(trace_id(trace), span_id(id), name, start)
        .parent_span_id((parent != 0).then(|| span_id(parent)))
        .end_time(Timestamp::from_nanos(start.as_nanos() + 100 * MS))
        .status(SpanStatus::Ok)
        .state(SpanState::Ended)
}

pub fn records(spans: Vec<Span>) -> NewRecords {
    of(SourceRecords::default().spans(spans.into_iter().map(NewSpan::new).collect()))
}

pub fn of(records: SourceRecords) -> NewRecords {
    NewRecords::default().sources(vec![records])
}

pub fn event(trace: Option<u128>, message: &str) -> NewEvent {
    NewEvent::new(
        LogEvent::new(ago(1000), Severity::Warn, message)
            .trace_id(trace.map(trace_id))
            .target("their.logger")
            .category("uncategorized"),
    )
}

/// A log event whose message is a number.
pub fn log_event_of(number: i64) -> NewEvent {
    event(None, &number.to_string())
}

pub fn point(metric: &str, value: Value, temporality: Temporality, at: Timestamp) -> NewPoint {
    NewPoint::new(metric, value, MetricKind::Counter, at)
        .temporality(temporality)
        .unit("jobs")
        .labels(vec![("queue".to_owned(), "a".to_owned())])
}

pub fn points(points: Vec<NewPoint>) -> NewRecords {
    of(SourceRecords::default().points(points))
}

pub fn total(store: &dyn TraceStore, metric: &str) -> Option<Value> {
    let mut query = MetricQuery::range(metric, ago(3_600_000));
    query.query_type = MetricQueryType::Instant;
    query.end = Some(ago(-3_600_000));
    let series = block_on(store.query_metrics(query)).unwrap();
    series.first().map(|series| series.values[0].value.clone())
}

pub fn with(mut span: Span, attributes: &[(&str, &str)]) -> Span {
    for (key, value) in attributes {
        span.attributes.set(*key, *value);
    }
    span
}

pub fn running(span: Span) -> Span {
    span.end_time(None::<Timestamp>)
        .status(None::<SpanStatus>)
        .state(SpanState::Running)
}

pub fn failed(span: Span) -> Span {
    span.status(SpanStatus::Error)
}

/// Stores records, and waits until the store returns them.
pub fn store<F: Fixture>(store: &dyn TraceStore, records: NewRecords) -> IngestReceipt {
    let receipt = block_on(store.store(records)).unwrap();
    F::settle(store);
    receipt
}

/// Stores an event of the telemetry API, and waits until the store returns it.
pub fn log_event<F: Fixture>(store: &dyn TraceStore, event: Event, ttl_seconds: i64) {
    block_on(store.log_event(event, ttl_seconds)).unwrap();
    F::settle(store);
}
