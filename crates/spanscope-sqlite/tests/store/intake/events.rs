//! Events of the telemetry API, in any order.

use spanscope_model::{
    Event, EventKind, LogFilter, Severity, SpanPayload, SpanState, SpanStatus, Timestamp, TraceFilter,
    TraceStore, Value, block_on,
};
use spanscope_sqlite::SqliteStore;

use crate::support::{span_id, trace_id};

use super::{ago, open, records, span, store};

pub(super) fn log(
    kind: EventKind,
    ids: Option<(u128, i64)>,
    at: Timestamp,
    attributes: &[(&str, &str)],
) -> Event {
    Event {
        trace_id: ids.map(|(trace, _)| trace_id(trace)),
        span_id: ids.map(|(_, span)| span_id(span)),
        timestamp: at,
        attributes: attributes.iter().copied().collect(),
        kind,
    }
}

fn start(name: &str, parent: Option<i64>) -> EventKind {
    EventKind::StructuredLog {
        payload: SpanPayload::SpanStart {
            name: name.to_owned(),
            parent_span_id: parent.map(span_id),
        },
    }
}

pub(super) fn end(status: SpanStatus) -> EventKind {
    EventKind::StructuredLog {
        payload: SpanPayload::SpanEnd { status },
    }
}

#[test]
fn events_of_the_telemetry_api_become_spans_whichever_comes_first() {
    for end_first in [false, true] {
        let open = open();
        let (began, ended) = (ago(2000), ago(1000));
        let mut events = vec![
            log(
                start("work", None),
                Some((1, 1)),
                began,
                &[("a", "1"), ("b", "1")],
            ),
            log(end(SpanStatus::Error), Some((1, 1)), ended, &[("b", "2")]),
        ];
        if end_first {
            events.reverse();
        }
        for event in events {
            block_on(open.store.log_event(event.clone(), 3600)).unwrap();
            block_on(open.store.log_event(event, 3600)).unwrap(); // a start that is seen twice is one span
        }
        let found = block_on(open.store.get_span(trace_id(1), span_id(1))).unwrap();
        assert_eq!((found.start_time, found.end_time), (began, Some(ended)));
        assert_eq!(
            (found.name.as_str(), found.status),
            ("work", Some(SpanStatus::Error))
        );
        let attributes: Vec<_> = found
            .attributes
            .iter()
            .map(|(key, value)| (key, value.to_string()))
            .collect();
        assert_eq!(attributes, [("a", "1".to_owned()), ("b", "2".to_owned())]);
        let trace = block_on(open.store.list_traces(TraceFilter::default()))
            .unwrap()
            .remove(0);
        assert_eq!(
            (trace.span_count, trace.error_count, trace.state),
            (1, 1, SpanState::Ended)
        );
    }
}

#[test]
fn a_span_that_was_begun_runs_until_its_end_comes() {
    let open = open();
    block_on(
        open.store
            .log_event(log(start("work", None), Some((1, 1)), ago(1000), &[]), 3600),
    )
    .unwrap();
    let found = block_on(open.store.get_span(trace_id(1), span_id(1))).unwrap();
    assert_eq!(
        (found.state, found.end_time, found.status),
        (SpanState::Running, None, None)
    );
    block_on(
        open.store
            .log_event(log(end(SpanStatus::Ok), Some((1, 1)), ago(0), &[]), 3600),
    )
    .unwrap();
    let found = block_on(open.store.get_span(trace_id(1), span_id(1))).unwrap();
    assert_eq!(
        (found.state, found.status),
        (SpanState::Ended, Some(SpanStatus::Ok))
    );
}

#[test]
fn a_traceparent_continues_that_trace_for_all_that_follows() {
    let open = open();
    let parent = format!("00-{}-{}-01", trace_id(77), span_id(5));
    let begin = log(
        start("root", None),
        Some((1, 1)),
        ago(3000),
        &[("traceparent", &parent)],
    );
    block_on(open.store.log_event(begin, 3600)).unwrap();
    block_on(
        open.store
            .log_event(log(start("child", Some(1)), Some((1, 2)), ago(2000), &[]), 3600),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(end(SpanStatus::Ok), Some((1, 2)), ago(1000), &[]), 3600),
    )
    .unwrap();
    let said = EventKind::UnstructuredLog {
        message: "hello".to_owned(),
        severity: Severity::Info,
    };
    block_on(open.store.log_event(log(said, Some((1, 1)), ago(900), &[]), 3600)).unwrap();
    let spans = block_on(open.store.trace_spans(trace_id(77))).unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].parent_span_id, Some(span_id(5)));
    assert!(spans[0].attributes.is_empty(), "it is not stored");
    assert_eq!(spans[1].status, Some(SpanStatus::Ok));
    assert!(
        block_on(open.store.get_trace(trace_id(1)))
            .unwrap_err()
            .is_not_found()
    );
    let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
    assert_eq!(logs[0].trace_id, Some(trace_id(77)));
}

#[test]
fn a_malformed_traceparent_continues_nothing_and_is_not_stored() {
    let good = format!("00-{}-{}-01", trace_id(77), span_id(5));
    for malformed in [
        format!(" {good}"),
        good.replace("-01", "-0A"),
        format!("{good}-more"),
    ] {
        let open = open();
        let begin = log(
            start("root", None),
            Some((1, 1)),
            ago(3000),
            &[("traceparent", &malformed)],
        );
        block_on(open.store.log_event(begin, 3600)).unwrap();
        let spans = block_on(open.store.trace_spans(trace_id(1))).unwrap();
        assert_eq!(spans.len(), 1, "{malformed:?}");
        assert_eq!(spans[0].parent_span_id, None, "{malformed:?}");
        assert!(spans[0].attributes.is_empty(), "{malformed:?}");
    }
}

#[test]
fn events_that_make_no_sense_are_refused() {
    let open = open();
    let own_parent = log(start("loop", Some(1)), Some((1, 1)), ago(0), &[]);
    let no_ids = log(start("nowhere", None), None, ago(0), &[]);
    let metric = EventKind::Metric {
        metric: "m".to_owned(),
        value: Value::F64(f64::INFINITY),
        unit: String::new(),
    };
    for event in [own_parent, no_ids, log(metric, None, ago(0), &[])] {
        let error = block_on(open.store.log_event(event, 3600)).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
    }
    assert_eq!(open.account(), (0, 0));
}

#[test]
fn what_is_given_with_a_time_to_live_goes_when_it_is_over() {
    let open = open();
    block_on(
        open.store
            .log_event(log(start("short", None), Some((1, 1)), ago(5000), &[]), 0),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(end(SpanStatus::Ok), Some((1, 1)), ago(4000), &[]), 0),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(start("long", None), Some((2, 2)), ago(5000), &[]), 3600),
    )
    .unwrap();
    // The longest of a trace counts, and a span without one has its trace go by age.
    block_on(
        open.store
            .log_event(log(start("a", None), Some((3, 3)), ago(5000), &[]), 0),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(start("b", Some(3)), Some((3, 4)), ago(5000), &[]), 3600),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(start("c", None), Some((4, 5)), ago(5000), &[]), 0),
    )
    .unwrap();
    store(&open.store, records(vec![span(4, 6, 5, "d")]));
    let path = open.store.path().to_owned();
    let week = std::time::Duration::from_secs(7 * 24 * 3600);
    assert_eq!(SqliteStore::cleanup(&path, week, true).unwrap().traces, 1);
    assert_eq!(SqliteStore::cleanup(&path, week, false).unwrap().traces, 1);
    let left = block_on(open.store.list_traces(TraceFilter::default())).unwrap();
    let mut left: Vec<_> = left.iter().map(|trace| trace.trace.trace_id).collect();
    left.sort();
    assert_eq!(left, [trace_id(2), trace_id(3), trace_id(4)]);
}
