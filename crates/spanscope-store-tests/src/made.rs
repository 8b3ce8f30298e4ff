//! Records made by hand, and the calls that most tests make.

use spanscope_model::{
    Adds, Attributes, Event, IngestReceipt, LogEvent, MetricKind, MetricQuery, MetricQueryType, NewEvent,
    NewPoint, NewRecords, NewSpan, Severity, SourceRecords, Span, SpanId, SpanState, SpanStatus, Timestamp,
    TraceId, TraceStore, Value, block_on,
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

/// An ended span of a tenth of a second; parent 0 is none.
pub fn span(trace: u128, id: i64, parent: i64, name: &str) -> Span {
    let start = ago(10_000 - id);
    Span {
        parent_span_id: (parent != 0).then(|| span_id(parent)),
        end_time: Some(Timestamp::from_nanos(start.as_nanos() + 100 * MS)),
        status: Some(SpanStatus::Ok),
        state: SpanState::Ended,
        ..Span::new(trace_id(trace), span_id(id), name, start)
    }
}

pub fn records(spans: Vec<Span>) -> NewRecords {
    of(SourceRecords {
        spans: spans
            .into_iter()
            .map(|span| NewSpan {
                span,
                events: Vec::new(),
                expires: None,
            })
            .collect(),
        ..SourceRecords::default()
    })
}

pub fn of(records: SourceRecords) -> NewRecords {
    NewRecords {
        sources: vec![records],
        ..NewRecords::default()
    }
}

pub fn event(trace: Option<u128>, message: &str) -> NewEvent {
    NewEvent {
        event: LogEvent {
            id: String::new(),
            trace_id: trace.map(trace_id),
            span_id: None,
            timestamp: ago(1000),
            severity: Severity::Warn,
            name: String::new(),
            message: message.to_owned(),
            target: "their.logger".to_owned(),
            category: "uncategorized".to_owned(),
            service_name: String::new(),
            attributes: Attributes::new(),
        },
        expires: None,
    }
}

/// A log event whose message is a number.
pub fn log_event_of(number: i64) -> NewEvent {
    event(None, &number.to_string())
}

pub fn point(metric: &str, value: Value, adds: Adds, at: Timestamp) -> NewPoint {
    NewPoint {
        metric: metric.to_owned(),
        value,
        adds,
        unit: "jobs".to_owned(),
        kind: MetricKind::Counter,
        labels: vec![("queue".to_owned(), "a".to_owned())],
        timestamp: at,
        trace_id: None,
        span_id: None,
        detail: None,
        expires: None,
    }
}

pub fn points(points: Vec<NewPoint>) -> NewRecords {
    of(SourceRecords {
        points,
        ..SourceRecords::default()
    })
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
    Span {
        end_time: None,
        status: None,
        state: SpanState::Running,
        ..span
    }
}

pub fn failed(span: Span) -> Span {
    Span {
        status: Some(SpanStatus::Error),
        ..span
    }
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
