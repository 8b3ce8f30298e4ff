//! Rows of a trace, for any spans that may be sent.

use spanscope_model::{ShapeSpan, SpanId, SpanKind, SpanState, SpanStatus, Timestamp, TraceShape};

use crate::{FoldedSpans, StepKind, Waterfall};

fn id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

/// A span from one nanosecond to another; parent 0 is none.
fn span(number: u64, parent: u64, from: i64, to: i64) -> ShapeSpan {
    ShapeSpan::new(
        number,
        id(number),
        Timestamp::from_nanos(from),
        StepKind::Node.as_str(),
    )
    .parent_span_id((parent != 0).then(|| id(parent)))
    .duration_nanos(Some(to - from))
    .status(SpanStatus::Ok)
    .state(SpanState::Ended)
    .kind(SpanKind::Internal)
}

fn shape(spans: Vec<ShapeSpan>) -> TraceShape {
    TraceShape::default().spans(spans)
}

/// The numbers of the spans in the order of rows, and the rows of their parents.
fn rows(shape: &TraceShape, waterfall: &Waterfall) -> Vec<(u64, Option<usize>)> {
    let numbers = waterfall.spans.iter().map(|place| shape.spans[*place].number);
    numbers.zip(waterfall.parents.iter().copied()).collect()
}

#[test]
fn rows_are_parents_before_children_and_children_by_start() {
    // Stored as SDKs send them: children before their parents.
    let shape = shape(vec![
        span(4, 2, 12, 18),
        span(3, 1, 5, 9),
        span(2, 1, 10, 20),
        span(1, 0, 0, 30),
    ]);
    let waterfall = Waterfall::of(&shape, 100, None).unwrap();
    assert_eq!(
        rows(&shape, &waterfall),
        [(1, None), (3, Some(0)), (2, Some(0)), (4, Some(2))]
    );
    assert!(waterfall.missing.is_empty() && waterfall.folded.is_empty());
    assert_eq!((waterfall.start.as_nanos(), waterfall.end.as_nanos()), (0, 30));
    let path: Vec<_> = waterfall
        .critical
        .iter()
        .map(|segment| {
            (
                segment.row.unwrap(),
                segment.from.as_nanos(),
                segment.to.as_nanos(),
            )
        })
        .collect();
    let expected = [
        (0, 0, 5),
        (1, 5, 9),
        (0, 9, 10),
        (2, 10, 12),
        (3, 12, 18),
        (2, 18, 20),
        (0, 20, 30),
    ];
    assert_eq!(path, expected);
    let below = Waterfall::of(&shape, 100, Some(id(2))).unwrap();
    assert_eq!(rows(&shape, &below), [(2, None), (4, Some(0))]);
    assert!(below.missing.is_empty(), "its parent is stored");
    assert_eq!(Waterfall::of(&shape, 100, Some(id(9))), None);
}

#[test]
fn every_span_has_a_row_whatever_its_parents_are() {
    let shape = shape(vec![
        span(1, 2, 0, 10), // two spans are each other's parents
        span(2, 1, 1, 9),
        span(3, 3, 2, 4),      // its own parent
        span(4, 77, 3, 5),     // a parent that is not stored
        span(5, 0, 20, 10),    // it ends before it begins
        span(5, 0, 21, 22),    // an id that came twice
        span(6, 5, 21, 22),    // a child of either
        span(7, 4, -5, 1_000), // longer than its parent on both sides
    ]);
    let waterfall = Waterfall::of(&shape, 100, None).unwrap();
    let mut seen = waterfall.spans.clone();
    seen.sort_unstable();
    assert_eq!(seen, (0..shape.spans.len()).collect::<Vec<_>>());
    let missing: Vec<_> = waterfall
        .missing
        .iter()
        .map(|(row, id)| (shape.spans[waterfall.spans[*row]].number, *id))
        .collect();
    assert_eq!(missing, [(4, id(77))]);
    for (row, parent) in waterfall.parents.iter().enumerate() {
        assert!(parent.is_none_or(|parent| parent < row));
    }
    let covered: i64 = waterfall
        .critical
        .iter()
        .map(|segment| segment.to.as_nanos() - segment.from.as_nanos())
        .sum();
    assert_eq!(covered, waterfall.end.as_nanos() - waterfall.start.as_nanos());
}

#[test]
fn a_chain_of_a_hundred_thousand_is_walked_without_a_deep_stack() {
    let depth = 100_000;
    let spans = (1..=depth).map(|number| {
        let number_of = i64::try_from(number).unwrap();
        span(number, number - 1, number_of, 1_000_000 - number_of)
    });
    let shape = shape(spans.collect());
    let waterfall = Waterfall::of(&shape, usize::MAX, None).unwrap();
    assert_eq!(waterfall.spans.len(), shape.spans.len());
    let folded = Waterfall::of(&shape, 1000, None).unwrap();
    assert_eq!(folded.spans.len(), 1000);
    let below = FoldedSpans {
        row: Some(999),
        spans: depth - 1000,
        longest_nanos: 1_000_000 - 2 * 1001,
    };
    assert_eq!(folded.folded, [below]);
}

#[test]
fn in_a_large_trace_errors_and_calls_keep_their_rows_and_other_spans_are_counted() {
    let mut spans = vec![span(1, 0, 0, 1_000_000)];
    for number in 2..=20_001_u64 {
        // Three levels below the root.
        let parent = match number {
            2..=101 => 1,
            102..=2_101 => (number - 102) / 20 + 2,
            _ => (number - 2_102) / 9 + 102,
        };
        let start = i64::try_from(number).unwrap();
        spans.push(span(number, parent, start, start + 10));
    }
    spans[19_999].status = Some(SpanStatus::Error);
    spans[15_000].step = StepKind::LlmCall.as_str();
    let shape = shape(spans);
    let waterfall = Waterfall::of(&shape, 500, None).unwrap();
    assert_eq!(waterfall.spans.len(), 500);
    for place in [0, 19_999, 15_000] {
        assert!(waterfall.spans.contains(&place), "{place}");
    }
    let folded: u64 = waterfall.folded.iter().map(|folded| folded.spans).sum();
    assert_eq!(folded, 20_001 - 500);
    for row in waterfall.folded.iter().filter_map(|folded| folded.row) {
        assert!(row < 500);
    }
    for (row, parent) in waterfall.parents.iter().enumerate() {
        assert!(
            parent.map_or(row == 0, |parent| parent < row),
            "{row} has its parent"
        );
    }
}
