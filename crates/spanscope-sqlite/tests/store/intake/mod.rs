//! Records that other programs send: stored once, whole, and nobody's but their tenant's.

mod bounds;
mod events;
mod followed;
mod runs;
mod stored;
mod tenants;

use spanscope_model::{
    Adds, Attributes, IngestReceipt, LogEvent, MetricKind, MetricQuery, MetricQueryType, NewEvent, NewPoint,
    NewRecords, NewSpan, Severity, SourceRecords, Span, SpanState, SpanStatus, SqlStore as _, Timestamp,
    TraceStore, Value, block_on,
};
use spanscope_sqlite::SqliteStore;

use crate::support::{span_id, trace_id};

pub(crate) const MS: i64 = 1_000_000;

/// A store in a folder of its own that takes in records.
pub(crate) struct Open {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: SqliteStore,
}

pub(crate) fn open() -> Open {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder()
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    Open { folder, store }
}

impl Open {
    pub(crate) fn sql(&self, query: &str) -> Vec<Vec<serde_json::Value>> {
        self.store.sql(query, 1000).unwrap().rows
    }

    /// What every question shows of the accounts: what was offered is there.
    pub(crate) fn account(&self) -> (u64, u64) {
        let stats = block_on(self.store.statistics()).unwrap().account.unwrap();
        (stats.offered, stats.stored)
    }
}

pub(crate) fn ago(ms: i64) -> Timestamp {
    Timestamp::from_nanos(Timestamp::now().as_nanos() - ms * MS)
}

/// An ended span of a tenth of a second; parent 0 is none.
pub(crate) fn span(trace: u128, id: i64, parent: i64, name: &str) -> Span {
    let start = ago(10_000 - id);
    Span {
        parent_span_id: (parent != 0).then(|| span_id(parent)),
        end_time: Some(Timestamp::from_nanos(start.as_nanos() + 100 * MS)),
        status: Some(SpanStatus::Ok),
        state: SpanState::Ended,
        ..Span::new(trace_id(trace), span_id(id), name, start)
    }
}

pub(crate) fn records(spans: Vec<Span>) -> NewRecords {
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

pub(crate) fn of(records: SourceRecords) -> NewRecords {
    NewRecords {
        sources: vec![records],
        ..NewRecords::default()
    }
}

pub(crate) fn event(trace: Option<u128>, message: &str) -> NewEvent {
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

pub(crate) fn point(metric: &str, value: Value, adds: Adds, at: Timestamp) -> NewPoint {
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

pub(crate) fn points(points: Vec<NewPoint>) -> NewRecords {
    of(SourceRecords {
        points,
        ..SourceRecords::default()
    })
}

pub(crate) fn store(store: &dyn TraceStore, records: NewRecords) -> IngestReceipt {
    block_on(store.store(records)).unwrap()
}

pub(crate) fn total(store: &dyn TraceStore, metric: &str) -> Option<Value> {
    let mut query = MetricQuery::range(metric, ago(3_600_000));
    query.query_type = MetricQueryType::Instant;
    query.end = Some(ago(-3_600_000));
    let series = block_on(store.query_metrics(query)).unwrap();
    series.first().map(|series| series.values[0].value.clone())
}
