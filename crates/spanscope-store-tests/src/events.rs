//! Events of Llama Stack's telemetry API, in any order.

use spanscope_model::{
    Event, EventKind, LogFilter, Severity, SpanPayload, SpanState, SpanStatus, Timestamp, TraceFilter, Value,
    block_on,
};

use crate::made::{ago, log_event, span_id, trace_id};
use crate::{Fixture, Open};

pub fn log(kind: EventKind, ids: Option<(u128, i64)>, at: Timestamp, attributes: &[(&str, &str)]) -> Event {
    Event::new(at, kind)
        .trace_id(ids.map(|(trace, _)| trace_id(trace)))
        .span_id(ids.map(|(_, span)| span_id(span)))
        .attributes(attributes.iter().copied().collect())
}

pub fn start(name: &str, parent: Option<i64>) -> EventKind {
    EventKind::StructuredLog {
        payload: SpanPayload::SpanStart {
            name: name.to_owned(),
            parent_span_id: parent.map(span_id),
        },
    }
}

pub fn end(status: SpanStatus) -> EventKind {
    EventKind::StructuredLog {
        payload: SpanPayload::SpanEnd { status },
    }
}

pub fn events_of_the_telemetry_api_become_spans_whichever_comes_first<F: Fixture>() {
    for end_first in [false, true] {
        let Some(open) = Open::<F>::that(|can| can.writes && can.running_spans) else {
            return;
        };
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
            log_event::<F>(open.store(), event.clone(), 3600);
            log_event::<F>(open.store(), event, 3600); // a start that is seen twice is one span
        }
        let found = block_on(open.store().get_span(trace_id(1), span_id(1))).unwrap();
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
        let trace = block_on(open.store().list_traces(TraceFilter::default()))
            .unwrap()
            .remove(0);
        assert_eq!(
            (trace.span_count, trace.error_count, trace.state),
            (1, 1, SpanState::Ended)
        );
    }
}

pub fn a_span_that_was_begun_runs_until_its_end_comes<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.writes && can.running_spans) else {
        return;
    };
    log_event::<F>(
        open.store(),
        log(start("work", None), Some((1, 1)), ago(1000), &[]),
        3600,
    );
    let found = block_on(open.store().get_span(trace_id(1), span_id(1))).unwrap();
    assert_eq!(
        (found.state, found.end_time, found.status),
        (SpanState::Running, None, None)
    );
    log_event::<F>(
        open.store(),
        log(end(SpanStatus::Ok), Some((1, 1)), ago(0), &[]),
        3600,
    );
    let found = block_on(open.store().get_span(trace_id(1), span_id(1))).unwrap();
    assert_eq!(
        (found.state, found.status),
        (SpanState::Ended, Some(SpanStatus::Ok))
    );
}

pub fn a_traceparent_continues_that_trace_for_all_that_follows<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.writes) else {
        return;
    };
    let parent = format!("00-{}-{}-01", trace_id(77), span_id(5));
    let begin = log(
        start("root", None),
        Some((1, 1)),
        ago(3000),
        &[("traceparent", &parent)],
    );
    log_event::<F>(open.store(), begin, 3600);
    log_event::<F>(
        open.store(),
        log(start("child", Some(1)), Some((1, 2)), ago(2000), &[]),
        3600,
    );
    log_event::<F>(
        open.store(),
        log(end(SpanStatus::Ok), Some((1, 2)), ago(1000), &[]),
        3600,
    );
    let said = EventKind::UnstructuredLog {
        message: "hello".to_owned(),
        severity: Severity::Info,
    };
    log_event::<F>(open.store(), log(said, Some((1, 1)), ago(900), &[]), 3600);
    let spans = block_on(open.store().trace_spans(trace_id(77))).unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].parent_span_id, Some(span_id(5)));
    assert!(spans[0].attributes.is_empty(), "it is not stored");
    assert_eq!(spans[1].status, Some(SpanStatus::Ok));
    assert!(
        block_on(open.store().get_trace(trace_id(1)))
            .unwrap_err()
            .is_not_found()
    );
    let logs = block_on(open.store().list_logs(LogFilter::default())).unwrap();
    assert_eq!(logs[0].trace_id, Some(trace_id(77)));
}

pub fn a_malformed_traceparent_continues_nothing_and_is_not_stored<F: Fixture>() {
    let good = format!("00-{}-{}-01", trace_id(77), span_id(5));
    for malformed in [
        format!(" {good}"),
        good.replace("-01", "-0A"),
        format!("{good}-more"),
    ] {
        let Some(open) = Open::<F>::that(|can| can.writes) else {
            return;
        };
        let begin = log(
            start("root", None),
            Some((1, 1)),
            ago(3000),
            &[("traceparent", &malformed)],
        );
        log_event::<F>(open.store(), begin, 3600);
        let spans = block_on(open.store().trace_spans(trace_id(1))).unwrap();
        assert_eq!(spans.len(), 1, "{malformed:?}");
        assert_eq!(spans[0].parent_span_id, None, "{malformed:?}");
        assert!(spans[0].attributes.is_empty(), "{malformed:?}");
    }
}

pub fn events_that_make_no_sense_are_refused<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.writes) else {
        return;
    };
    let own_parent = log(start("loop", Some(1)), Some((1, 1)), ago(0), &[]);
    let no_ids = log(start("nowhere", None), None, ago(0), &[]);
    let metric = EventKind::Metric {
        metric: "m".to_owned(),
        value: Value::F64(f64::INFINITY),
        unit: String::new(),
    };
    for event in [own_parent, no_ids, log(metric, None, ago(0), &[])] {
        let error = block_on(open.store().log_event(event, 3600)).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
    }
    open.check_account((0, 0));
}
