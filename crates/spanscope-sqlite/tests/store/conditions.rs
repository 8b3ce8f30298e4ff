//! Conditions on attributes: with an index, by a scan, and with NUL bytes.

use serde_json::{Value, json};
use spanscope_model::filter::Filter;
use spanscope_model::{Condition, ConditionOp, SpanFilter, TraceFilter, TraceStore, block_on};

use crate::support::{MIDNIGHT, Row, StoreFile, trace_id};
use ConditionOp::{Eq, Ne};

/// Returns the span ids that meet the conditions, in order; queried in both possible ways, which
/// must agree.
fn matching(file: &StoreFile, conditions: &[Condition]) -> Vec<i64> {
    let store = file.store();
    let filter = SpanFilter::default().conditions(conditions.to_vec());
    let mut ids: Vec<i64> = block_on(store.list_spans(filter))
        .unwrap()
        .into_iter()
        .map(|span| i64::from_be_bytes(span.span_id.to_bytes()))
        .collect();
    ids.sort_unstable();
    let spans = block_on(store.query_spans(conditions.to_vec(), Filter::default(), vec![], None)).unwrap();
    let mut traces: Vec<_> = spans.iter().map(|span| span.trace_id).collect();
    traces.sort_unstable();
    traces.dedup();
    let filter = TraceFilter::default().conditions(conditions.to_vec());
    let mut listed: Vec<_> = block_on(store.list_traces(filter))
        .unwrap()
        .iter()
        .map(|trace| trace.trace.trace_id)
        .collect();
    listed.sort_unstable();
    assert_eq!(traces, listed);
    ids
}

fn one(file: &StoreFile, key: &str, op: ConditionOp, value: impl Into<Value>) -> Vec<i64> {
    matching(file, &[Condition::new(key, op, value)])
}

/// Spans 1.. with these values under one key, and a last one without the key.
fn with_values(key: &str, values: &[Value]) -> StoreFile {
    let file = StoreFile::new();
    for (i, value) in (1..).zip(values) {
        file.add(&Row {
            id: i,
            trace: i.unsigned_abs().into(),
            attributes: json!({"other": 1, key: value}),
            ..Row::default()
        });
    }
    file.add(&Row {
        id: 99,
        trace: 99,
        attributes: json!({"other": 1}),
        ..Row::default()
    });
    file
}

#[test]
fn the_attribute_index_returns_the_same_as_a_scan() {
    let values = [
        json!(5),
        json!("5"),
        json!(5.0),
        json!(true),
        json!("x"),
        json!(-1.5),
    ];
    let scanned = with_values("k", &values);
    let indexed = with_values("k", &values);
    indexed
        .db
        .execute_batch("INSERT INTO _attr_key (key) VALUES ('k')")
        .unwrap();
    indexed
        .db
        .execute_batch(
            "INSERT INTO _attr SELECT 1, a.value, s.id FROM _span s, json_each(s.attributes) a \
             WHERE a.key = 'k' AND a.type IN ('text', 'integer', 'real')",
        )
        .unwrap();
    for value in values {
        for op in [Eq, Ne] {
            assert_eq!(
                one(&indexed, "k", op, value.clone()),
                one(&scanned, "k", op, value.clone()),
                "{op} {value}"
            );
        }
    }
    let explained: String = indexed
        .db
        .query_row(
            "EXPLAIN QUERY PLAN SELECT span FROM _attr WHERE key = 1 AND value = 'x'",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(explained.contains("PRIMARY KEY"), "{explained}");
}

#[test]
fn a_frequent_value_is_found_by_walking_traces_with_the_same_result() {
    let file = StoreFile::new();
    file.db
        .execute_batch(&format!(
            "INSERT INTO _attr_key (key) VALUES ('model');
             INSERT INTO _callsite (name, target, level, category) VALUES ('n', '', 9, 'core');
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)
             INSERT INTO _trace (trace_id, start, end, span_count, error_count, open_count, created, root)
                SELECT printf('%032x', i), {MIDNIGHT} + i, {MIDNIGHT} + i, 1, 0, 0, 0, i FROM n;
             INSERT INTO _span (callsite, start, duration, status, trace, process, kind, span_id, attributes)
                SELECT 1, start, 5, 0, id, 1, 0, id, '{{\"model\":\"m\",\"n\":' || id || '}}' FROM _trace;
             INSERT INTO _attr SELECT 1, 'm', id FROM _span;"
        ))
        .unwrap();
    let newest = |conditions| {
        let filter = TraceFilter::default().conditions(conditions).limit(3);
        let found = block_on(file.store().list_traces(filter)).unwrap();
        found.iter().map(|trace| trace.trace.trace_id).collect::<Vec<_>>()
    };
    let model = Condition::new("model", Eq, "m");
    assert_eq!(newest(vec![model.clone()]), [25000, 24999, 24998].map(trace_id));
    assert_eq!(newest(vec![model, Condition::new("n", Eq, 7)]), [trace_id(7)]);
}

/// Programs that send records lose NULs on the way; those that write the file themselves don't.
#[test]
fn keys_and_values_with_nul_are_literal_too() {
    let file = with_values("k", &[json!("a\0b"), json!("a")]);
    assert_eq!(
        (one(&file, "k", Eq, "a\0b"), one(&file, "k", Eq, "a")),
        (vec![1], vec![2])
    );
    for (id, key) in [(3, "nul\0nul"), (4, "nul")] {
        file.add(&Row {
            id,
            trace: 3,
            attributes: json!({key: "here"}),
            ..Row::default()
        });
        assert_eq!(one(&file, key, Eq, "here"), [id], "{key:?}");
        assert_eq!(one(&file, key, Ne, "elsewhere"), [id], "{key:?}");
    }
}
