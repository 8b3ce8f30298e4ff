//! The contents of a store, as its own queries return them.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use spanscope_model::{
    LogFilter, MetricQuery, SpanFilter, SqlStore as _, Timestamp, TraceStore as _, block_on,
};
use spanscope_sqlite::SqliteStore;

/// More than any test stores.
const ALL: u64 = 100_000;

/// The records of one service, each list in the order of [`sorted`]. `expected.rs` creates the same
/// from the sent records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) service: String,
    pub(crate) traces: Vec<Json>,
    /// Each with its resource and its scope.
    pub(crate) spans: Vec<Json>,
    /// Log events, those of spans among them.
    pub(crate) logs: Vec<Json>,
    /// Rows of the view `metrics`.
    pub(crate) points: Vec<Json>,
}

impl Records {
    /// Returns the stored records of a service.
    pub(crate) fn stored(store: &SqliteStore, service: &str) -> Self {
        let filter = SpanFilter::default().service(service.to_owned()).limit(ALL);
        let listed = block_on(store.list_spans(filter)).unwrap();
        let spans = listed.iter().map(|listed| {
            let span = block_on(store.get_span(listed.trace_id, listed.span_id)).unwrap();
            // A list of spans does not repeat their program's resource.
            let whole = json!(span);
            let mut json = whole.clone();
            let fields = json.as_object_mut().unwrap();
            fields.retain(|field, _| field != "resource" && field != "scope");
            assert_eq!(json!(listed), json);
            whole
        });
        let spans = sorted(spans.collect());
        let traces: BTreeSet<_> = listed.iter().map(|span| span.trace_id).collect();
        for trace in &traces {
            let of_trace = block_on(store.trace_spans(*trace)).unwrap();
            let in_list = listed.iter().filter(|span| span.trace_id == *trace);
            let in_list = sorted(in_list.map(|span| json!(span)).collect());
            assert_eq!(sorted(of_trace.iter().map(|span| json!(span)).collect()), in_list);
        }
        let traces = traces
            .iter()
            .map(|trace| json!(block_on(store.get_trace(*trace)).unwrap()));
        Self {
            service: service.to_owned(),
            traces: sorted(traces.collect()),
            spans,
            logs: logs(store, service),
            points: points(store, service),
        }
    }

    pub(crate) fn assert_same(&self, expected: &Self) {
        assert_eq!(self.service, expected.service);
        assert_same("spans", &self.spans, &expected.spans);
        assert_same("log events", &self.logs, &expected.logs);
        assert_same("measurements", &self.points, &expected.points);
        assert_same("traces", &self.traces, &expected.traces);
    }
}

fn logs(store: &SqliteStore, service: &str) -> Vec<Json> {
    let filter = LogFilter::default().limit(ALL);
    let logs = block_on(store.list_logs(filter)).unwrap();
    let logs = logs.into_iter().filter(|log| log.service_name == service);
    let logs = logs.map(|log| {
        let mut log = json!(log);
        log.as_object_mut().unwrap().remove("id");
        log
    });
    sorted(logs.collect())
}

fn points(store: &SqliteStore, service: &str) -> Vec<Json> {
    let found = store.sql("SELECT * FROM metrics", 100_000).unwrap();
    assert!(!found.is_truncated);
    let rows = found.rows.into_iter().map(|row| {
        let mut point: Json = found.columns.iter().cloned().zip(row).collect();
        for column in ["attributes", "detail"] {
            if let Some(text) = point[column].as_str() {
                point[column] = serde_json::from_str(text).unwrap();
            }
        }
        point
    });
    sorted(rows.filter(|point| point["service_name"] == service).collect())
}

/// Returns each measurement of these metrics, not aggregated, as series.
pub(crate) fn series<'m>(store: &SqliteStore, metrics: impl Iterator<Item = &'m str>) -> Vec<Json> {
    let metrics: BTreeSet<&str> = metrics.collect();
    let series = metrics.into_iter().flat_map(|metric| {
        let query = MetricQuery::range(metric, Timestamp::from_nanos(0))
            .granularity(None::<spanscope_model::Granularity>);
        block_on(store.query_metrics(query)).unwrap()
    });
    sorted(series.map(|series| json!(series)).collect())
}

/// Sorts documents independently of the order in which they were sent.
pub(crate) fn sorted(mut documents: Vec<Json>) -> Vec<Json> {
    documents.sort_by_cached_key(|document| {
        let mut whole = document.clone();
        whole.sort_all_objects();
        // The identity of documents comes first, so that those that differ in something else are
        // still compared in pairs.
        let key =
            ["trace_id", "span_id", "metric", "name", "timestamp"].map(|field| document[field].to_string());
        (key, whole.to_string())
    });
    documents
}

/// Compares one by one, so that a failure shows only the differing document.
fn assert_same(what: &str, found: &[Json], expected: &[Json]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
    let beyond = |these: &[Json], others: &[Json]| these.get(others.len()..).unwrap_or_default().to_vec();
    assert_eq!(
        beyond(found, expected),
        [] as [Json; 0],
        "more {what} than were sent"
    );
    assert_eq!(
        beyond(expected, found),
        [] as [Json; 0],
        "{what} that are missing"
    );
}
