//! Records that other programs send: stored once, whole, and nobody's but their tenant's.

use std::sync::Arc;

use serde_json::json;
use spanscope_model::{
    Adds, Attributes, Condition, ConditionOp, Event, EventKind, IdMatch, Link, LogEvent, LogFilter,
    MetricKind, MetricQuery, MetricQueryType, NewEvent, NewPoint, NewRecords, NewSpan, Scope, Severity,
    Source, SourceRecords, Span, SpanFilter, SpanKind, SpanPayload, SpanState, SpanStatus, StoreErrorKind,
    Taken, Tenant, Timestamp, TraceFilter, TraceQuery, TraceStore, UsageBy, UsageQuery, Value,
};
use spanscope_sqlite::{SqliteLayer, SqliteStore, wait};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{span_id, trace_id};

const MS: i64 = 1_000_000;

/// A store in a folder of its own that takes in records.
struct Open {
    folder: tempfile::TempDir,
    store: SqliteStore,
}

fn open() -> Open {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder()
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    Open { folder, store }
}

impl Open {
    fn sql(&self, query: &str) -> Vec<Vec<serde_json::Value>> {
        self.store.sql(query, 1000).unwrap().rows
    }

    /// What every question shows of the accounts: what was offered is there.
    fn account(&self) -> (u64, u64) {
        let stats = wait(self.store.statistics()).unwrap();
        (stats.offered, stats.stored)
    }
}

fn ago(ms: i64) -> Timestamp {
    Timestamp::from_nanos(Timestamp::now().as_nanos() - ms * MS)
}

/// An ended span of a tenth of a second; parent 0 is none.
fn span(trace: u128, id: i64, parent: i64, name: &str) -> Span {
    let start = ago(10_000 - id);
    Span {
        parent_span_id: (parent != 0).then(|| span_id(parent)),
        end_time: Some(Timestamp::from_nanos(start.as_nanos() + 100 * MS)),
        status: Some(SpanStatus::Ok),
        state: SpanState::Ended,
        ..Span::new(trace_id(trace), span_id(id), name, start)
    }
}

fn records(spans: Vec<Span>) -> NewRecords {
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

fn of(records: SourceRecords) -> NewRecords {
    NewRecords {
        sources: vec![records],
        ..NewRecords::default()
    }
}

fn event(trace: Option<u128>, message: &str) -> NewEvent {
    NewEvent {
        event: LogEvent {
            id: 0,
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

fn point(metric: &str, value: Value, adds: Adds, at: Timestamp) -> NewPoint {
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

fn points(points: Vec<NewPoint>) -> NewRecords {
    of(SourceRecords {
        points,
        ..SourceRecords::default()
    })
}

fn store(store: &dyn TraceStore, records: NewRecords) -> Taken {
    wait(store.store(records)).unwrap()
}

fn total(store: &dyn TraceStore, metric: &str) -> Option<Value> {
    let mut query = MetricQuery::range(metric, ago(3_600_000));
    query.query_type = MetricQueryType::Instant;
    query.end = Some(ago(-3_600_000));
    let series = wait(store.query_metrics(query)).unwrap();
    series.first().map(|series| series.values[0].value.clone())
}

#[test]
fn what_is_stored_is_what_was_given() {
    let open = open();
    let mut attributes = Attributes::new();
    attributes.set("text", "x\0y\"\\\u{7f}é");
    attributes.set("int", -7);
    attributes.set("large", u64::MAX);
    attributes.set("real", 2.0);
    attributes.set("nan", f64::NAN);
    attributes.set("bool", false);
    attributes.set("list", json!(["a", 1, null, {"k": 2.5}]));
    attributes.set("session.id", "s-1");
    attributes.set("password", "hunter2");
    let mut given = span(1, 1, 9, "GET /things");
    given.attributes = attributes;
    given.kind = SpanKind::Client;
    given.status = Some(SpanStatus::Error);
    given.status_message = Some("no".to_owned());
    given.target = Some("their.tracer".to_owned());
    given.category = Some("inference".to_owned());
    given.trace_state = Some("vendor=1".to_owned());
    given.links = vec![Link {
        trace_id: trace_id(2),
        span_id: span_id(3),
        attributes: [("why", Value::from("retry"))].into_iter().collect(),
    }];
    let resource: Attributes = [
        ("service.name", Value::from("shop")),
        ("host.cpus", Value::from(8)),
    ]
    .into_iter()
    .collect();
    let scope = Scope {
        name: "their.tracer".to_owned(),
        version: "1.2".to_owned(),
        attributes: [("beta", Value::from(true))].into_iter().collect(),
    };
    let inner = NewEvent {
        event: LogEvent {
            name: "exception".to_owned(),
            span_id: Some(span_id(1)),
            ..event(Some(1), "it broke").event
        },
        expires: None,
    };
    let taken = store(
        &open.store,
        of(SourceRecords {
            source: Source {
                service_name: "shop".to_owned(),
                resource: resource.clone(),
                scope: scope.clone(),
                counts_tokens: false,
                logs_events: false,
            },
            spans: vec![NewSpan {
                span: given.clone(),
                events: vec![inner],
                expires: None,
            }],
            events: vec![event(None, "outside")],
            ..SourceRecords::default()
        }),
    );
    assert_eq!((taken.stored, taken.known), (3, 0));
    let found = wait(open.store.get_span(trace_id(1), span_id(1))).unwrap();
    let mut expected = given;
    // SQL ends a text at NUL, JSON has no NaN, and what is secret is nobody's.
    expected.attributes.set("text", "x\u{fffd}y\"\\\u{7f}é");
    expected.attributes.set("nan", "NaN");
    expected.attributes.set("password", "[masked]");
    expected.service_name = "shop".to_owned();
    expected.level = Some(Severity::Info);
    expected.resource = Some(resource);
    expected.scope = Some(scope);
    assert_eq!(found, expected);
    let logs = wait(open.store.list_logs(LogFilter::default())).unwrap();
    let logs: Vec<_> = logs
        .iter()
        .map(|log| (log.name.as_str(), log.message.as_str(), log.trace_id.is_some()))
        .collect();
    assert!(logs.contains(&("exception", "it broke", true)), "{logs:?}");
    assert!(logs.contains(&("", "outside", false)), "{logs:?}");
    // Found by its index, as a span of our own would be.
    let by_session = SpanFilter {
        conditions: vec![Condition::new("session.id", ConditionOp::Eq, "s-1")],
        ..SpanFilter::default()
    };
    assert_eq!(wait(open.store.list_spans(by_session)).unwrap().len(), 1);
    assert_eq!(open.account(), (3, 3));
}

#[test]
fn a_span_is_stored_once_however_often_it_comes() {
    let open = open();
    let spans = || {
        vec![
            span(1, 1, 0, "root"),
            span(1, 2, 1, "child"),
            span(1, 2, 1, "child"),
        ]
    };
    assert_eq!(
        store(&open.store, records(spans())),
        Taken {
            stored: 2,
            known: 1,
            ..Taken::default()
        }
    );
    assert_eq!(
        store(&open.store, records(spans())),
        Taken {
            stored: 0,
            known: 3,
            ..Taken::default()
        }
    );
    let later = vec![span(1, 3, 1, "later")];
    assert_eq!(store(&open.store, records(later)).stored, 1);
    let traces = wait(open.store.list_traces(TraceFilter::default())).unwrap();
    assert_eq!((traces.len(), traces[0].span_count), (1, 3));
    assert_eq!(traces[0].root_name, "root");
    assert_eq!(open.account(), (3, 3));
}

#[test]
fn log_events_beside_the_spans_don_t_make_a_trace_longer() {
    let beside = |at| NewEvent {
        event: LogEvent {
            timestamp: at,
            ..event(Some(1), "late").event
        },
        expires: None,
    };
    let early_and_late = || {
        of(SourceRecords {
            events: vec![beside(ago(3_600_000)), beside(ago(-3_600_000))],
            ..SourceRecords::default()
        })
    };
    for spans_first in [true, false] {
        let open = open();
        let mut batches = vec![records(vec![span(1, 1, 0, "root")]), early_and_late()];
        if !spans_first {
            batches.reverse();
        }
        for batch in batches {
            store(&open.store, batch);
        }
        let trace = wait(open.store.list_traces(TraceFilter::default()))
            .unwrap()
            .remove(0);
        assert_eq!(trace.duration_ms, Some(100.0), "spans first: {spans_first}");
        assert_eq!(wait(open.store.list_logs(LogFilter::default())).unwrap().len(), 2);
    }
}

#[test]
fn a_batch_is_known_by_its_name_for_each_tenant() {
    let open = open();
    let batch = || NewRecords {
        batch: Some(17),
        ..of(SourceRecords {
            events: vec![event(None, "once")],
            points: vec![point("jobs_total", 3.into(), Adds::Alone, ago(0))],
            ..SourceRecords::default()
        })
    };
    let acme = open.store.within(&"acme".parse().unwrap());
    assert_eq!(store(&open.store, batch()).stored, 2);
    assert_eq!(
        store(&open.store, batch()),
        Taken {
            known: 2,
            ..Taken::default()
        }
    );
    assert_eq!(
        store(&*acme, batch()).stored,
        2,
        "another tenant's is another batch"
    );
    assert_eq!(total(&*acme, "jobs_total"), Some(Value::I64(3)));
}

#[test]
fn totals_are_stored_as_what_they_grew_by() {
    let open = open();
    let since = |ms| Adds::Since(ago(ms));
    let began = since(60_000);
    let at = |ms| ago(ms);
    let (first, second) = (at(3000), at(2000));
    store(
        &open.store,
        points(vec![point("jobs_total", 5.into(), began, first)]),
    );
    store(
        &open.store,
        points(vec![point("jobs_total", 8.into(), began, second)]),
    );
    let again = store(
        &open.store,
        points(vec![point("jobs_total", 8.into(), began, second)]),
    );
    assert_eq!(
        again,
        Taken {
            known: 1,
            ..Taken::default()
        }
    );
    assert_eq!(total(&open.store, "jobs_total"), Some(Value::I64(8)));
    // The store was closed meanwhile, and the program began anew.
    let path = open.store.path().to_owned();
    drop(open.store);
    let store_2 = SqliteStore::builder().open(&path).unwrap();
    store(
        &store_2,
        points(vec![point("jobs_total", 9.into(), began, at(1000))]),
    );
    store(
        &store_2,
        points(vec![point("jobs_total", 2.into(), since(500), at(100))]),
    );
    assert_eq!(total(&store_2, "jobs_total"), Some(Value::I64(11)));
    let rows = store_2
        .sql("SELECT value FROM metrics ORDER BY timestamp", 10)
        .unwrap()
        .rows;
    let values: Vec<i64> = rows.iter().map(|row| row[0].as_i64().unwrap()).collect();
    assert_eq!(values, [5, 3, 1, 2]);
}

#[test]
fn the_innermost_call_counts_its_tokens_in_whatever_order_the_spans_come() {
    let call = |id, parent, name: &str| {
        let mut span = span(1, id, parent, name);
        span.attributes = [
            ("gen_ai.operation.name", Value::from("chat")),
            ("gen_ai.request.model", Value::from("small")),
            ("gen_ai.usage.input_tokens", Value::from(10)),
            ("gen_ai.usage.output_tokens", Value::from(5)),
        ]
        .into_iter()
        .collect();
        span
    };
    let mut agent = call(1, 0, "agent");
    agent.attributes.set("gen_ai.operation.name", "invoke_agent");
    let spans = [
        agent,
        call(2, 1, "router"),
        span(1, 3, 2, "plain"),
        call(4, 3, "model"),
    ];
    // All at once, one by one from below, from above, and mixed.
    let orders: [Vec<Vec<usize>>; 4] = [
        vec![vec![0, 1, 2, 3]],
        vec![vec![3], vec![2], vec![1], vec![0]],
        vec![vec![0], vec![1], vec![2], vec![3]],
        vec![vec![3, 1], vec![0], vec![2]],
    ];
    for order in orders {
        let open = open();
        for some in &order {
            let some = some.iter().map(|at| spans[*at].clone()).collect();
            store(&open.store, records(some));
        }
        let rows = open.sql("SELECT metric, value, span_id FROM metrics ORDER BY metric");
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row[0].as_str().unwrap(),
                    row[1].as_i64().unwrap(),
                    row[2].as_str().unwrap(),
                )
            })
            .collect();
        let model = span_id(4).to_string();
        assert_eq!(
            rows,
            [
                ("completion_tokens", 5, model.as_str()),
                ("prompt_tokens", 10, &model),
                ("total_tokens", 15, &model)
            ],
            "{order:?}"
        );
        let usage = UsageQuery {
            since: None,
            until: None,
            trace_id: None,
            by: UsageBy::Model,
        };
        let usage = wait(open.store.usage(usage)).unwrap();
        assert_eq!((usage.len(), usage[0].calls, usage[0].total), (1, 1, 15));
        assert_eq!(usage[0].model, "small");
    }
}

fn log(kind: EventKind, ids: Option<(u128, i64)>, at: Timestamp, attributes: &[(&str, &str)]) -> Event {
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

fn end(status: SpanStatus) -> EventKind {
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
            wait(open.store.log_event(event.clone(), 3600)).unwrap();
            wait(open.store.log_event(event, 3600)).unwrap(); // a start that is seen twice is one span
        }
        let found = wait(open.store.get_span(trace_id(1), span_id(1))).unwrap();
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
        let trace = wait(open.store.list_traces(TraceFilter::default()))
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
    wait(
        open.store
            .log_event(log(start("work", None), Some((1, 1)), ago(1000), &[]), 3600),
    )
    .unwrap();
    let found = wait(open.store.get_span(trace_id(1), span_id(1))).unwrap();
    assert_eq!(
        (found.state, found.end_time, found.status),
        (SpanState::Running, None, None)
    );
    wait(
        open.store
            .log_event(log(end(SpanStatus::Ok), Some((1, 1)), ago(0), &[]), 3600),
    )
    .unwrap();
    let found = wait(open.store.get_span(trace_id(1), span_id(1))).unwrap();
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
    wait(open.store.log_event(begin, 3600)).unwrap();
    wait(
        open.store
            .log_event(log(start("child", Some(1)), Some((1, 2)), ago(2000), &[]), 3600),
    )
    .unwrap();
    wait(
        open.store
            .log_event(log(end(SpanStatus::Ok), Some((1, 2)), ago(1000), &[]), 3600),
    )
    .unwrap();
    let said = EventKind::UnstructuredLog {
        message: "hello".to_owned(),
        severity: Severity::Info,
    };
    wait(open.store.log_event(log(said, Some((1, 1)), ago(900), &[]), 3600)).unwrap();
    let spans = wait(open.store.trace_spans(trace_id(77))).unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].parent_span_id, Some(span_id(5)));
    assert!(spans[0].attributes.is_empty(), "it is not stored");
    assert_eq!(spans[1].status, Some(SpanStatus::Ok));
    assert!(
        wait(open.store.get_trace(trace_id(1)))
            .unwrap_err()
            .is_not_found()
    );
    let logs = wait(open.store.list_logs(LogFilter::default())).unwrap();
    assert_eq!(logs[0].trace_id, Some(trace_id(77)));
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
        let error = wait(open.store.log_event(event, 3600)).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
    }
    assert_eq!(open.account(), (0, 0));
}

#[test]
fn what_is_given_with_a_time_to_live_goes_when_it_is_over() {
    let open = open();
    wait(
        open.store
            .log_event(log(start("short", None), Some((1, 1)), ago(5000), &[]), 0),
    )
    .unwrap();
    wait(
        open.store
            .log_event(log(end(SpanStatus::Ok), Some((1, 1)), ago(4000), &[]), 0),
    )
    .unwrap();
    wait(
        open.store
            .log_event(log(start("long", None), Some((2, 2)), ago(5000), &[]), 3600),
    )
    .unwrap();
    // The longest of a trace counts, and a span without one has its trace go by age.
    wait(
        open.store
            .log_event(log(start("a", None), Some((3, 3)), ago(5000), &[]), 0),
    )
    .unwrap();
    wait(
        open.store
            .log_event(log(start("b", Some(3)), Some((3, 4)), ago(5000), &[]), 3600),
    )
    .unwrap();
    wait(
        open.store
            .log_event(log(start("c", None), Some((4, 5)), ago(5000), &[]), 0),
    )
    .unwrap();
    store(&open.store, records(vec![span(4, 6, 5, "d")]));
    let path = open.store.path().to_owned();
    let week = std::time::Duration::from_secs(7 * 24 * 3600);
    assert_eq!(SqliteStore::cleanup(&path, week, true).unwrap().traces, 1);
    assert_eq!(SqliteStore::cleanup(&path, week, false).unwrap().traces, 1);
    let left = wait(open.store.list_traces(TraceFilter::default())).unwrap();
    let mut left: Vec<_> = left.iter().map(|trace| trace.trace.trace_id).collect();
    left.sort();
    assert_eq!(left, [trace_id(2), trace_id(3), trace_id(4)]);
}

/// The same ids in the stores of two tenants, and one trace that only one of them has.
fn two_tenants() -> (Open, Arc<dyn TraceStore>, Arc<dyn TraceStore>) {
    let open = open();
    let acme = open.store.within(&"acme".parse().unwrap());
    let other = open.store.within(&"other".parse().unwrap());
    for (tenant, name) in [(&acme, "of acme"), (&other, "of other")] {
        let mut root = span(1, 1, 0, name);
        root.attributes.set("session_id", "s");
        let mut records = records(vec![root, span(1, 2, 1, name)]);
        records.sources[0].source.service_name = name.to_owned();
        records.sources[0].events = vec![event(Some(1), name), event(None, name)];
        records.sources[0].points = vec![point("jobs_total", 1.into(), Adds::Alone, ago(0))];
        store(&**tenant, records);
    }
    store(&*other, records(vec![span(9, 9, 0, "secret")]));
    (open, acme, other)
}

#[test]
fn a_tenant_sees_nothing_of_another_ones() {
    let (open, acme, other) = two_tenants();
    for (tenant, name, traces) in [(&acme, "of acme", 1), (&other, "of other", 2)] {
        let tenant = &**tenant;
        assert_eq!(
            wait(tenant.query_traces(TraceQuery::default())).unwrap().len(),
            traces
        );
        assert_eq!(
            wait(tenant.list_traces(TraceFilter::default())).unwrap().len(),
            traces
        );
        let by_session = TraceFilter {
            conditions: vec![Condition::new("session_id", ConditionOp::Eq, "s")],
            ..TraceFilter::default()
        };
        assert_eq!(
            wait(tenant.list_traces(by_session.clone())).unwrap()[0].root_name,
            name
        );
        assert_eq!(wait(tenant.get_span(trace_id(1), span_id(2))).unwrap().name, name);
        let tree = wait(tenant.get_span_tree(span_id(1), None, None)).unwrap();
        assert!(tree.len() == 2 && tree.values().all(|node| node.span.name == name));
        let spans = wait(tenant.query_spans(by_session.conditions, Vec::new(), None)).unwrap();
        assert!(spans.len() == 2 && spans.iter().all(|span| span.name == name));
        assert_eq!(wait(tenant.trace_spans(trace_id(1))).unwrap().len(), 2);
        let spans = wait(tenant.list_spans(SpanFilter::default())).unwrap();
        assert_eq!(spans.iter().filter(|span| span.name == name).count(), 2);
        assert_eq!(spans.len(), traces + 1);
        let logs = wait(tenant.list_logs(LogFilter::default())).unwrap();
        assert!(logs.len() == 2 && logs.iter().all(|log| log.message == name));
        assert_eq!(total(tenant, "jobs_total"), Some(Value::I64(1)));
        assert_eq!(wait(tenant.list_metrics()).unwrap()[0].points, 1);
        let stats = wait(tenant.statistics()).unwrap();
        assert_eq!((stats.traces, stats.spans), (traces as u64, traces as u64 + 1));
        assert_eq!((stats.events, stats.points, stats.file_bytes), (2, 1, 0));
        assert_eq!(stats.offered, stats.spans + 3);
        let names = wait(tenant.name_statistics(None)).unwrap();
        assert_eq!(names.iter().map(|name| name.count).sum::<u64>(), stats.spans);
        assert!(matches!(
            wait(tenant.resolve_id(span_id(1).to_string())),
            Ok(IdMatch::Span(..))
        ));
    }
    // What is there, but another one's.
    assert!(wait(acme.get_trace(trace_id(9))).unwrap_err().is_not_found());
    assert!(
        wait(acme.get_span(trace_id(9), span_id(9)))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        wait(acme.get_span_tree(span_id(9), None, None))
            .unwrap_err()
            .is_not_found()
    );
    assert!(wait(acme.trace_spans(trace_id(9))).unwrap_err().is_not_found());
    assert!(
        wait(acme.resolve_id(span_id(9).to_string()))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        wait(acme.resolve_id(trace_id(9).to_string()))
            .unwrap_err()
            .is_not_found()
    );
    let of_span = LogFilter {
        trace_id: Some(trace_id(9)),
        ..LogFilter::default()
    };
    assert!(wait(acme.list_logs(of_span)).unwrap().is_empty());
    let usage = UsageQuery {
        since: None,
        until: None,
        trace_id: Some(trace_id(9)),
        by: UsageBy::Agent,
    };
    assert!(wait(acme.usage(usage)).unwrap().is_empty());
    let nobody = open.store.within(&"nobody".parse().unwrap());
    assert!(
        wait(nobody.query_traces(TraceQuery::default()))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        wait(open.store.query_traces(TraceQuery::default()))
            .unwrap()
            .len(),
        3,
        "an administrator sees all"
    );
    let saved = |store: &dyn TraceStore| {
        wait(store.save_spans_to_dataset(Vec::new(), Vec::new(), "d".to_owned(), None))
    };
    assert_eq!((saved(&*acme).unwrap(), saved(&*other).unwrap()), (2, 3));
    let folder = open.folder.path().join("datasets/tenants");
    let lines = |name: &str| {
        std::fs::read_to_string(folder.join(name).join("d.jsonl"))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!((lines("acme"), lines("other")), (2, 3));
}

#[test]
fn a_tenant_can_not_change_what_is_another_ones() {
    let (open, acme, _) = two_tenants();
    // Ends, starts and spans of ids that only the other one has.
    let end = log(end(SpanStatus::Error), Some((9, 9)), ago(0), &[("forged", "1")]);
    wait(acme.log_event(end, 3600)).unwrap();
    store(&*acme, records(vec![span(9, 10, 9, "forged")]));
    let other = open.store.within(&"other".parse().unwrap());
    let spans = wait(other.trace_spans(trace_id(9))).unwrap();
    assert_eq!(
        (spans.len(), spans[0].name.as_str(), spans[0].status),
        (1, "secret", Some(SpanStatus::Ok))
    );
    // The unit and the kind of a metric are each tenant's own.
    let gauge = NewPoint {
        kind: MetricKind::Gauge,
        unit: "seconds".to_owned(),
        ..point("mine_total", 1.into(), Adds::Alone, ago(0))
    };
    store(&*acme, points(vec![gauge]));
    for _ in 0..2 {
        store(
            &*other,
            points(vec![point("mine_total", 1.into(), Adds::Alone, ago(0))]),
        );
    }
    assert_eq!(total(&*other, "mine_total"), Some(Value::I64(2)));
}

#[test]
fn a_run_belongs_to_the_tenant_that_its_root_names() {
    let open = open();
    let (layer, guard) = SqliteLayer::builder().open(open.store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info_span!("run", tenant_id = "acme").in_scope(|| {
            tracing::info_span!("step", tenant_id = "other").in_scope(|| tracing::info!("hello"));
        });
        tracing::info_span!("nobody's").in_scope(|| tracing::info!("hello"));
    });
    assert!(guard.shutdown());
    let seen = |tenant: &str| {
        let store = open.store.within(&tenant.parse().unwrap());
        let traces = wait(store.list_traces(TraceFilter::default())).unwrap();
        let logs = wait(store.list_logs(LogFilter::default())).unwrap();
        (
            traces
                .into_iter()
                .map(|trace| trace.root_name)
                .collect::<Vec<_>>(),
            logs.len(),
        )
    };
    assert_eq!(seen("acme"), (vec!["run".to_owned()], 1));
    assert_eq!(seen("other"), (vec![], 0));
    assert_eq!(seen(Tenant::DEFAULT), (vec!["nobody's".to_owned()], 1));
}

#[test]
fn a_program_that_writes_the_file_itself_is_not_stored_twice() {
    let open = open();
    let (layer, guard) = SqliteLayer::builder().open(open.store.path()).unwrap();
    let name = guard.store_name().to_owned();
    drop((layer, guard));
    let mine = NewRecords {
        stored_in: Some(name),
        ..records(vec![span(1, 1, 0, "mine")])
    };
    assert_eq!(
        store(&open.store, mine),
        Taken {
            known: 1,
            ..Taken::default()
        }
    );
    let theirs = NewRecords {
        stored_in: Some("another file".to_owned()),
        ..records(vec![span(1, 1, 0, "theirs")])
    };
    assert_eq!(store(&open.store, theirs).stored, 1);
}

#[test]
fn answers_that_are_too_large_are_refused_and_the_questions_can_be_narrowed() {
    let folder = tempfile::tempdir().unwrap();
    let small = SqliteStore::builder()
        .max_answer_bytes(64 * 1024)
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    let long = "x".repeat(1000);
    let spans = (1..=100)
        .map(|id| {
            let mut span = span(1, id, i64::from(id != 1), "many");
            span.attributes.set("text", long.as_str());
            span
        })
        .collect();
    store(&small, records(spans));
    let is_too_large = |result: Result<usize, spanscope_model::StoreError>| {
        result.is_err_and(|error| {
            error.kind() == StoreErrorKind::AnswerTooLarge && error.to_string().contains("ask for less")
        })
    };
    assert!(is_too_large(
        wait(small.trace_spans(trace_id(1))).map(|spans| spans.len())
    ));
    assert!(is_too_large(
        wait(small.query_spans(Vec::new(), Vec::new(), None)).map(|spans| spans.len())
    ));
    assert!(is_too_large(
        wait(small.get_span_tree(span_id(1), None, None)).map(|tree| tree.len())
    ));
    let raw = (0..5000)
        .map(|number| point("jobs_total", number.into(), Adds::Alone, ago(number)))
        .collect();
    store(&small, points(raw));
    let mut query = MetricQuery::range("jobs_total", ago(3_600_000));
    query.granularity = None;
    assert!(is_too_large(
        wait(small.query_metrics(query)).map(|series| series.len())
    ));
    assert_eq!(
        wait(small.query_spans(Vec::new(), Vec::new(), Some(1)))
            .unwrap()
            .len(),
        1
    );
    assert_eq!(total(&small, "jobs_total"), Some(Value::I64(4999 * 5000 / 2)));
}

#[test]
fn a_queue_that_is_full_refuses_and_what_was_taken_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let narrow = SqliteStore::builder().queue_bytes(1000).open(&path).unwrap();
    // Another program holds the file, so that nothing is written for now.
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let taken: Vec<_> = (1..=20)
        .map(|id| narrow.store(records(vec![span(1, id, 0, "some")])))
        .collect();
    foreign.execute_batch("COMMIT").unwrap();
    let answers: Vec<_> = taken.into_iter().map(wait).collect();
    let stored = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().flat_map(|answer| answer.as_ref().err());
    assert!(
        refused
            .clone()
            .all(|error| error.kind() == StoreErrorKind::Overloaded)
    );
    assert!(stored >= 1 && refused.count() >= 1, "{stored} of 20");
    assert_eq!(wait(narrow.trace_spans(trace_id(1))).unwrap().len(), stored);
}

#[test]
fn what_was_acknowledged_is_there_when_the_file_is_opened_anew() {
    let open = open();
    for id in 1..=50 {
        store(&open.store, records(vec![span(1, id, 0, "kept")]));
    }
    // As after a crash: the store that wrote is not closed.
    let copy = open.folder.path().join("copy.db");
    std::fs::copy(open.store.path(), &copy).unwrap();
    let wal = format!("{}-wal", open.store.path().display());
    std::fs::copy(wal, open.folder.path().join("copy.db-wal")).unwrap();
    let copy = SqliteStore::open(&copy).unwrap();
    assert_eq!(wait(copy.trace_spans(trace_id(1))).unwrap().len(), 50);
}

#[test]
fn a_store_that_was_opened_for_reading_says_how_to_write() {
    let open = open();
    let reader = SqliteStore::open(open.store.path()).unwrap();
    let error = wait(reader.store(records(vec![span(1, 1, 0, "no")]))).unwrap_err();
    assert!(error.is_invalid_input() && error.to_string().contains("SqliteStore::builder()"));
}

#[test]
fn a_trace_of_clocks_that_go_ahead_is_found_by_its_time() {
    let open = open();
    let ahead = Timestamp::from_nanos(Timestamp::now().as_nanos() + 600_000 * MS);
    let span = Span {
        end_time: Some(Timestamp::from_nanos(ahead.as_nanos() + MS)),
        ..span(1, 1, 0, "ahead")
    };
    store(
        &open.store,
        records(vec![Span {
            start_time: ahead,
            ..span
        }]),
    );
    // A mark of a later moment.
    let db = rusqlite::Connection::open(open.store.path()).unwrap();
    let later = ahead.as_nanos() - 300_000 * MS;
    db.execute("INSERT INTO _mark (time, span, event) VALUES (?1, 2, 1)", [later])
        .unwrap();
    let since = SpanFilter {
        since: Some(Timestamp::from_nanos(later + MS)),
        ..SpanFilter::default()
    };
    assert_eq!(wait(open.store.list_spans(since)).unwrap().len(), 1);
}

#[test]
fn senders_are_forgotten_with_the_last_that_they_can_have_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let keeper = SqliteStore::builder().open(&path).unwrap();
    let mut old = records(vec![span(1, 1, 0, "old")]);
    old.sources[0].source.service_name = "gone".to_owned();
    store(&keeper, old);
    store(
        &keeper,
        points(vec![point("t_total", 1.into(), Adds::Since(ago(5000)), ago(0))]),
    );
    drop(keeper);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("UPDATE _process SET seen_at = 0; UPDATE _batch SET time = 0")
        .unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM _total"), 1);
    let keeper = SqliteStore::builder().open(&path).unwrap();
    // The upkeep comes by itself within seconds.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while number("SELECT count(*) FROM _process WHERE resource IS NOT NULL") > 0 {
        assert!(std::time::Instant::now() < deadline, "senders were not forgotten");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(number("SELECT count(*) FROM _total"), 0);
    let stats = wait(keeper.statistics()).unwrap();
    assert_eq!(
        (stats.offered, stats.stored),
        (2, 2),
        "the account keeps what they gave"
    );
    assert_eq!(wait(keeper.trace_spans(trace_id(1))).unwrap().len(), 1);
}

#[test]
fn an_import_leaves_each_tenant_its_own() {
    let (open, _, _) = two_tenants();
    let target = open.folder.path().join("target.db");
    let first = SqliteStore::import(&target, open.store.path(), |_, _| ()).unwrap();
    assert_eq!(
        (first.traces, first.spans, first.events, first.points),
        (3, 5, 4, 2)
    );
    let second = SqliteStore::import(&target, open.store.path(), |_, _| ()).unwrap();
    assert_eq!((second.spans, second.events, second.points), (0, 0, 0));
    let target = SqliteStore::open(&target).unwrap();
    for (tenant, name, traces) in [
        ("acme", "of acme", 1),
        ("other", "of other", 2),
        ("default", "", 0),
    ] {
        let tenant = target.within(&tenant.parse().unwrap());
        assert_eq!(
            wait(tenant.query_traces(TraceQuery::default())).unwrap().len(),
            traces
        );
        let logs = wait(tenant.list_logs(LogFilter::default())).unwrap();
        assert!(logs.iter().all(|log| log.message == name));
        assert_eq!(logs.len(), if traces > 0 { 2 } else { 0 });
        let points = (traces > 0).then_some(Value::I64(1));
        assert_eq!(total(&*tenant, "jobs_total"), points);
    }
}
