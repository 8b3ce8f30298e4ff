//! Trees of spans, and the spans of selected traces down to a depth.

use serde_json::json;
use spanscope_model::filter::Filter;
use spanscope_model::{Attributes, Condition, ConditionOp, block_on};

use crate::Fixture;
use crate::made::span_id;
use crate::rows::{MIDNIGHT, Row, Rows};

/// Returns ids and depths, in the order of ids.
fn tree<F: Fixture>(file: &Rows<F>, top: i64, max_depth: Option<u32>) -> Vec<(i64, u32)> {
    let tree = block_on(file.store().get_span_tree(span_id(top), None, max_depth)).unwrap();
    tree.iter()
        .map(|(id, node)| {
            assert_eq!(*id, node.span.span_id);
            (i64::from_be_bytes(id.to_bytes()), node.depth)
        })
        .collect()
}

/// What is shown of attributes, in stores with types of values or without.
fn texts(attributes: &Attributes) -> Vec<String> {
    let texts = attributes.iter().map(|(key, value)| format!("{key}={value}"));
    texts.collect()
}

/// 1 -> (2 -> 3, 4); 5 is an orphan with the child 6; 7 and 8 are each other's parent; 9 is its own
/// parent.
fn forest<F: Fixture>() -> Option<Rows<F>> {
    let file = Rows::<F>::that(|_| true)?;
    for (id, parent) in [
        (1, None),
        (2, Some(1)),
        (3, Some(2)),
        (4, Some(1)),
        (5, Some(77)),
        (6, Some(5)),
        (7, Some(8)),
        (8, Some(7)),
        (9, Some(9)),
    ] {
        let attributes = if id % 2 == 0 {
            json!({"even": id, "id": id})
        } else {
            json!({"id": id})
        };
        file.add(&Row {
            id,
            parent,
            attributes,
            start: MIDNIGHT + id,
            ..Row::default()
        });
    }
    Some(file)
}

pub fn a_tree_has_the_descendants_down_to_its_depth<F: Fixture>() {
    let Some(file) = forest::<F>() else {
        return;
    };
    assert_eq!(tree(&file, 1, None), [(1, 1), (2, 2), (3, 3), (4, 2)]);
    assert_eq!(tree(&file, 1, Some(2)), [(1, 1), (2, 2), (4, 2)]);
    assert_eq!(tree(&file, 1, Some(1)), [(1, 1)]);
    assert_eq!(tree(&file, 2, None), [(2, 1), (3, 2)]);
    assert!(
        block_on(file.store().get_span_tree(span_id(1), None, Some(0)))
            .unwrap_err()
            .is_invalid_input()
    );
    assert!(
        block_on(file.store().get_span_tree(span_id(99), None, None))
            .unwrap_err()
            .is_not_found()
    );
}

pub fn cycles_and_orphans_do_no_harm<F: Fixture>() {
    let Some(file) = forest::<F>() else {
        return;
    };
    assert_eq!(tree(&file, 5, None), [(5, 1), (6, 2)]);
    assert_eq!(tree(&file, 7, None), [(7, 1), (8, 2)]);
    assert_eq!(tree(&file, 8, None), [(7, 2), (8, 1)]);
    assert_eq!(tree(&file, 9, None), [(9, 1)]);
}

pub fn attributes_are_cut_to_the_ones_asked_for<F: Fixture>() {
    let Some(file) = forest::<F>() else {
        return;
    };
    let cut = |keys: Option<Vec<String>>| {
        let tree = block_on(file.store().get_span_tree(span_id(2), keys, Some(1))).unwrap();
        texts(&tree[&span_id(2)].span.attributes)
    };
    assert_eq!(cut(None), ["even=2", "id=2"]);
    assert_eq!(cut(Some(vec!["id".into(), "none".into()])), ["id=2"]);
    assert_eq!(cut(Some(vec![])), [""; 0]);
}

pub fn of_a_span_id_in_two_traces_the_newest_counts<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    file.add(&Row {
        id: 1,
        ..Row::default()
    });
    file.add(&Row {
        id: 1,
        trace: 2,
        start: MIDNIGHT + 1,
        ..Row::default()
    });
    file.add(&Row {
        id: 2,
        trace: 2,
        parent: Some(1),
        start: MIDNIGHT + 2,
        ..Row::default()
    });
    assert_eq!(tree(&file, 1, None), [(1, 1), (2, 2)]);
}

pub fn a_deep_chain_is_no_problem<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    for id in 1..=10_000 {
        file.add(&Row {
            id,
            parent: (id > 1).then_some(id - 1),
            ..Row::default()
        });
    }
    let tree = block_on(file.store().get_span_tree(span_id(1), None, None)).unwrap();
    assert_eq!(tree[&span_id(10_000)].depth, 10_000);
}

pub fn query_spans_returns_spans_that_have_all_attributes<F: Fixture>() {
    let Some(file) = forest::<F>() else {
        return;
    };
    file.add(&Row {
        id: 20,
        trace: 2,
        attributes: json!({"even": 20}),
        ..Row::default()
    });
    let ids = |conditions, attributes: &[&str], depth| {
        let attributes = attributes.iter().map(|key| (*key).to_owned()).collect();
        let spans = block_on(
            file.store()
                .query_spans(conditions, Filter::default(), attributes, depth),
        )
        .unwrap();
        spans
            .iter()
            .map(|span| i64::from_be_bytes(span.span_id.to_bytes()))
            .collect::<Vec<_>>()
    };
    let third = || vec![Condition::new("id", ConditionOp::Eq, 3)];
    assert_eq!(ids(third(), &[], None), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(ids(third(), &["even", "id"], None), [2, 4, 6, 8]);
    assert_eq!(ids(third(), &["none"], None), [0_i64; 0]);
    assert_eq!(
        ids(third(), &[], Some(1)),
        [1, 5],
        "spans without a stored parent are roots"
    );
    assert_eq!(ids(third(), &[], Some(2)), [1, 2, 4, 5, 6]);
    assert_eq!(ids(vec![], &["even"], None).len(), 5);
    let spans = block_on(
        file.store()
            .query_spans(third(), Filter::default(), vec!["even".into()], None),
    )
    .unwrap();
    assert_eq!(texts(&spans[0].attributes), ["even=2"]);
}
