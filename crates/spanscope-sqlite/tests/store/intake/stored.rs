//! What is stored is what was given, and once.

use serde_json::json;
use spanscope_model::{
    Adds, Attributes, Condition, ConditionOp, IngestReceipt, Link, LogEvent, LogFilter, NewEvent, NewRecords,
    NewSpan, Scope, Severity, Source, SourceRecords, SpanFilter, SpanKind, SpanStatus, SqlStore as _,
    TraceFilter, TraceStore, UsageBy, UsageQuery, Value, block_on,
};
use spanscope_sqlite::SqliteStore;

use crate::support::{span_id, trace_id};

use super::{ago, event, of, open, point, points, records, span, store, total};

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
    let found = block_on(open.store.get_span(trace_id(1), span_id(1))).unwrap();
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
    let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
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
    assert_eq!(block_on(open.store.list_spans(by_session)).unwrap().len(), 1);
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
        IngestReceipt {
            stored: 2,
            known: 1,
            ..IngestReceipt::default()
        }
    );
    assert_eq!(
        store(&open.store, records(spans())),
        IngestReceipt {
            stored: 0,
            known: 3,
            ..IngestReceipt::default()
        }
    );
    let later = vec![span(1, 3, 1, "later")];
    assert_eq!(store(&open.store, records(later)).stored, 1);
    let traces = block_on(open.store.list_traces(TraceFilter::default())).unwrap();
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
        let trace = block_on(open.store.list_traces(TraceFilter::default()))
            .unwrap()
            .remove(0);
        assert_eq!(trace.duration_ms, Some(100.0), "spans first: {spans_first}");
        assert_eq!(
            block_on(open.store.list_logs(LogFilter::default()))
                .unwrap()
                .len(),
            2
        );
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
    let acme = open.store.for_tenant(&"acme".parse().unwrap());
    assert_eq!(store(&open.store, batch()).stored, 2);
    assert_eq!(
        store(&open.store, batch()),
        IngestReceipt {
            known: 2,
            ..IngestReceipt::default()
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
        IngestReceipt {
            known: 1,
            ..IngestReceipt::default()
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
        let usage = block_on(open.store.usage(usage)).unwrap();
        assert_eq!((usage.len(), usage[0].calls, usage[0].total), (1, 1, 15));
        assert_eq!(usage[0].model, "small");
    }
}
