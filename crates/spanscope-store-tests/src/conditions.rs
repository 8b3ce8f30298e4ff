//! Conditions compare by type, take keys and values literally, and must all hold on the same span.

use serde_json::{Value, json};
use spanscope_model::filter::Filter;
use spanscope_model::{Condition, ConditionOp, SpanFilter, SpanKind, TraceFilter, TraceQuery, block_on};

use crate::Fixture;
use crate::made::trace_id;
use crate::rows::{MIDNIGHT, MILLISECOND, Row, Rows, SECOND};
use ConditionOp::{Eq, Gt, Lt, Ne};

/// Returns the ids of the spans that meet the conditions, in order. Checks that the other queries
/// with conditions find the same traces.
fn matching<F: Fixture>(file: &Rows<F>, conditions: &[Condition]) -> Vec<i64> {
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

fn one<F: Fixture>(file: &Rows<F>, key: &str, op: ConditionOp, value: impl Into<Value>) -> Vec<i64> {
    matching(file, &[Condition::new(key, op, value)])
}

/// Adds spans with the ids 1, 2, ... and these values under one key, and a span without the key.
fn with_values<F: Fixture>(key: &str, values: &[Value]) -> Option<Rows<F>> {
    let file = Rows::<F>::that(|_| true)?;
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
    Some(file)
}

pub fn values_compare_by_their_json_type<F: Fixture>() {
    let Some(file) = with_values::<F>(
        "k",
        &[
            json!(5),
            json!("5"),
            json!(5.0),
            json!(7.5),
            json!(true),
            json!(false),
            json!("b"),
            json!(null),
            json!([5]),
        ],
    ) else {
        return;
    };
    if !file.store().capabilities().typed_attributes {
        // The question decides: the text of a number is one for it.
        for value in [json!(5), json!(5.0)] {
            assert_eq!(one(&file, "k", Eq, value), [1, 2, 3]);
        }
        assert_eq!(one(&file, "k", Eq, true), [5]);
        assert_eq!(one(&file, "k", Eq, false), [6]);
        assert_eq!(one(&file, "k", Eq, 1), [0_i64; 0], "true is no number");
        assert_eq!(one(&file, "k", Gt, 5), [4]);
        assert_eq!(one(&file, "k", Lt, 7.5), [1, 2, 3]);
        assert_eq!(one(&file, "k", Eq, "b"), [7]);
        assert_eq!(one(&file, "missing", Ne, 5), [0_i64; 0]);
        return;
    }
    assert_eq!(one(&file, "k", Eq, 5), [1, 3]);
    assert_eq!(one(&file, "k", Eq, 5.0), [1, 3]);
    assert_eq!(one(&file, "k", Eq, "5"), [2]);
    assert_eq!(one(&file, "k", Eq, true), [5]);
    assert_eq!(one(&file, "k", Eq, false), [6]);
    assert_eq!(one(&file, "k", Eq, 1), [0_i64; 0], "true is no number");
    assert_eq!(one(&file, "k", Gt, 5), [4]);
    assert_eq!(one(&file, "k", Lt, 7.5), [1, 3]);
    assert_eq!(one(&file, "k", Gt, "5"), [7]);
    assert_eq!(one(&file, "k", Lt, "b"), [2]);
    assert_eq!(
        one(&file, "k", Ne, 5),
        [2, 4, 5, 6, 7, 8, 9],
        "the key must be there"
    );
    assert_eq!(one(&file, "k", Ne, "b"), [1, 2, 3, 4, 5, 6, 8, 9]);
    assert_eq!(one(&file, "k", Ne, true), [1, 2, 3, 4, 6, 7, 8, 9]);
    assert_eq!(one(&file, "missing", Ne, 5), [0_i64; 0]);
}

pub fn integers_beyond_the_signed_range_keep_their_last_digit<F: Fixture>() {
    let Some(file) = with_values::<F>(
        "k",
        &[
            json!(u64::MAX),
            json!(u64::MAX - 1),
            json!(i64::MAX),
            json!(i64::MAX - 1),
        ],
    ) else {
        return;
    };
    assert_eq!(one(&file, "k", Eq, u64::MAX), [1]);
    assert_eq!(one(&file, "k", Ne, u64::MAX), [2, 3, 4]);
    assert_eq!(one(&file, "k", Lt, u64::MAX), [2, 3, 4]);
    assert_eq!(one(&file, "k", Eq, i64::MAX), [3]);
}

pub fn keys_are_literal_whatever_is_in_them<F: Fixture>() {
    let keys = [
        "gen_ai.request.model",
        "gen_ai",
        "a\"b",
        "a\\b",
        "a'b",
        "'; drop table _span; --",
        "%",
        "_",
        "$",
        "$.a",
        "[0]",
        "a[0]",
        "a b",
        "",
        "line\nbreak",
        "\u{202e}rtl",
        "ключ",
        "😀",
        "#-1",
    ];
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    for (i, key) in (1..).zip(keys) {
        file.add(&Row {
            id: i,
            trace: i.unsigned_abs().into(),
            attributes: json!({key: "here"}),
            ..Row::default()
        });
    }
    for (i, key) in (1..).zip(keys) {
        let forced = format!("attributes.{key}");
        assert_eq!(one(&file, &forced, Eq, "here"), [i], "{key:?}");
        assert_eq!(one(&file, &forced, Ne, "elsewhere"), [i], "{key:?}");
        assert_eq!(one(&file, &forced, Gt, "h"), [i], "{key:?}");
        assert_eq!(one(&file, &forced, Eq, "her"), [0_i64; 0], "{key:?}");
    }
    assert_eq!(
        block_on(file.store().statistics()).unwrap().spans,
        keys.len() as u64,
        "no key was taken for SQL"
    );
}

pub fn values_are_literal_whatever_is_in_them<F: Fixture>() {
    let values = [
        "a",
        "a\"b",
        "a\\b",
        "' OR 1=1 --",
        "%",
        "line\nbreak",
        "",
        "ключ",
        "\u{202e}x",
    ];
    let Some(file) = with_values::<F>("k", &values.map(Value::from)) else {
        return;
    };
    for (i, value) in (1..).zip(values) {
        assert_eq!(one(&file, "k", Eq, value), [i], "{value:?}");
    }
}

pub fn a_nested_object_is_not_reached_by_dots<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    file.add(&Row {
        id: 1,
        attributes: json!({"a": {"b": 1}}),
        ..Row::default()
    });
    file.add(&Row {
        id: 2,
        trace: 2,
        attributes: json!({"a.b": 1}),
        ..Row::default()
    });
    assert_eq!(one(&file, "a.b", Eq, 1), [2]);
}

pub fn own_fields_are_asked_for_by_name<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|can| can.running_spans) else {
        return;
    };
    file.add(&Row {
        id: 0x1a,
        name: "chat",
        duration: Some(1500 * MILLISECOND + 5),
        ..Row::default()
    });
    file.add(&Row {
        id: 0x2b,
        trace: 2,
        parent: Some(0x1a),
        service: "bank",
        start: MIDNIGHT + SECOND,
        is_error: true,
        ..Row::default()
    });
    file.add(&Row {
        id: 0x3c,
        trace: 3,
        name: "own",
        category: "tools",
        kind: SpanKind::Client,
        duration: None,
        start: MIDNIGHT + 2 * SECOND,
        ..Row::default()
    });
    let all = [0x1a, 0x2b, 0x3c];
    assert_eq!(one(&file, "name", Eq, "chat"), [0x1a]);
    assert_eq!(one(&file, "name", Eq, "own"), [0x3c]);
    assert_eq!(one(&file, "name", Ne, "chat"), [0x2b, 0x3c]);
    assert_eq!(one(&file, "category", Eq, "tools"), [0x3c]);
    assert_eq!(one(&file, "category", Ne, "tools"), [0x1a, 0x2b]);
    assert_eq!(one(&file, "status", Eq, "ERROR"), [0x2b]);
    assert_eq!(
        one(&file, "status", Ne, "error"),
        [0x1a],
        "a running span has no status"
    );
    assert_eq!(one(&file, "kind", Eq, "client"), [0x3c]);
    assert_eq!(one(&file, "service_name", Eq, "bank"), [0x2b]);
    assert_eq!(one(&file, "span_id", Eq, "000000000000001A"), [0x1a]);
    assert_eq!(one(&file, "parent_span_id", Eq, "000000000000001a"), [0x2b]);
    assert_eq!(one(&file, "trace_id", Eq, trace_id(2).to_string()), [0x2b]);
    assert_eq!(one(&file, "duration_ms", Gt, 1000), [0x1a]);
    assert_eq!(one(&file, "duration_ms", Gt, 99), [0x1a, 0x2b]);
    assert_eq!(one(&file, "duration_ms", Eq, 1_500.000_005), [0x1a]);
    assert_eq!(one(&file, "duration_ms", Lt, 1000), [0x2b]);
    assert_eq!(one(&file, "start_time", Gt, "2026-11-21T00:00:00Z"), [0x2b, 0x3c]);
    assert_eq!(one(&file, "start_time", Eq, "2026-11-21 00:00:00"), [0x1a]);
    assert_eq!(one(&file, "start_time", Lt, MIDNIGHT + 1), [0x1a]);
    assert_eq!(one(&file, "end_time", Gt, "2026-11-21T00:00:01Z"), [0x1a, 0x2b]);
    assert_eq!(one(&file, "attributes.name", Eq, "chat"), [0_i64; 0]);
    assert_eq!(one(&file, "start_time", Gt, 0), all);
}

pub fn all_conditions_must_hold_on_one_same_span<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    file.add(&Row {
        id: 1,
        attributes: json!({"a": 1}),
        ..Row::default()
    });
    file.add(&Row {
        id: 2,
        parent: Some(1),
        attributes: json!({"b": 1}),
        ..Row::default()
    });
    file.add(&Row {
        id: 3,
        trace: 2,
        attributes: json!({"a": 1, "b": 1}),
        ..Row::default()
    });
    let both = [Condition::new("a", Eq, 1), Condition::new("b", Eq, 1)];
    assert_eq!(matching(&file, &both), [3]);
}

pub fn conditions_that_make_no_sense_are_refused_with_the_fix<F: Fixture>() {
    let Some(file) = with_values::<F>("k", &[json!(1)]) else {
        return;
    };
    let store = file.store();
    for (key, op, value, said) in [
        ("duration_ms", Gt, json!("1000"), "a number of milliseconds"),
        ("start_time", Gt, json!("yesterday"), "write it as"),
        ("name", Eq, json!(5), "attributes.name"),
        ("k", Eq, json!(null), "give a text, a number or a truth value"),
        ("k", Gt, json!(true), "use eq or ne"),
    ] {
        let query = TraceQuery::default().attribute_filters(vec![Condition::new(key, op, value)]);
        let error = block_on(store.query_traces(query)).unwrap_err();
        assert!(
            error.is_invalid_input() && error.to_string().contains(said),
            "{error}"
        );
    }
}
