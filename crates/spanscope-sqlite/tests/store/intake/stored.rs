//! The stored records, as SQL shows them.

use spanscope_model::{
    IngestReceipt, SpanStatus, SqlStore as _, Temporality, TraceFilter, TraceStore, UsageBy, UsageQuery,
    Value, block_on,
};
use spanscope_sqlite::SqliteStore;

use crate::support::{span_id, trace_id};

use spanscope_store_tests::made::{failed, running};

use super::{ago, open, point, points, records, span, store, total};

#[test]
fn totals_are_stored_as_their_increases() {
    let open = open();
    let since = |ms| Temporality::Cumulative { start: ago(ms) };
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
    assert_eq!(again, IngestReceipt::default().known(1));
    assert_eq!(total(&open.store, "jobs_total"), Some(Value::I64(8)));
    // The store was closed meanwhile, and the program restarted.
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
fn the_innermost_call_counts_its_tokens_in_any_order_of_spans() {
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
    // All together, one by one from below, from above, and mixed.
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
        let usage = UsageQuery::new(UsageBy::Model);
        let usage = block_on(open.store.usage(usage)).unwrap();
        assert_eq!((usage.len(), usage[0].calls, usage[0].total), (1, 1, 15));
        assert_eq!(usage[0].model, "small");
    }
}

#[test]
fn a_text_with_a_zero_byte_is_stored_completely() {
    let open = open();
    let mut given = span(1, 1, 0, "work");
    given.attributes.set("text", "x\0y\"\\\u{7f}é");
    store(&open.store, records(vec![given]));
    let found = block_on(open.store.get_span(trace_id(1), span_id(1))).unwrap();
    let text = found.attributes.get("text").unwrap();
    assert_eq!(
        text.as_str(),
        Some("x\u{fffd}y\"\\\u{7f}é"),
        "SQL ends a text at NUL"
    );
}

#[test]
fn a_span_that_fails_is_counted_once_by_the_status_of_its_end() {
    let open = open();
    let errors = |id| {
        let trace = block_on(open.store.list_traces(TraceFilter::default())).unwrap();
        let trace = trace
            .into_iter()
            .find(|trace| trace.trace.trace_id == trace_id(id));
        trace.unwrap().error_count
    };
    for (id, status, expected) in [(1, SpanStatus::Error, 1), (2, SpanStatus::Ok, 0)] {
        let end = failed(span(id, 1, 0, "task"));
        let start = running(end.clone()).status(SpanStatus::Error);
        store(&open.store, records(vec![start]));
        assert_eq!(errors(id), 1, "while it runs");
        store(&open.store, records(vec![end.status(status)]));
        assert_eq!(errors(id), expected);
    }
}
