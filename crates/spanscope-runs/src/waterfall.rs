//! [`Waterfall`]: the spans of a trace as rows of a drawing, and its critical path.
//!
//! Rows are in depth-first order, children by start, so that the descendants of a row follow it
//! without a gap. Everything is linear except for sorting, and nothing recurses.

use std::collections::HashMap;

use spanscope_model::{SpanId, SpanStatus, Timestamp, TraceShape};

use crate::StepKind;
use crate::analysis::path::{Stretch, walk_segments};
use crate::forest::cut_cycles;

/// The rows of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Waterfall {
    /// The index of each row's span in [`TraceShape::spans`].
    pub spans: Vec<usize>,
    /// The row of each row's parent. `None` for a root, a row whose parent is not stored, and one
    /// row of each cycle of parents.
    pub parents: Vec<Option<usize>>,
    /// The rows whose parents are not stored, with the parents' ids.
    pub missing: Vec<(usize, SpanId)>,
    /// The spans of a large trace that have no rows, by their nearest ancestor with a row.
    pub folded: Vec<FoldedSpans>,
    /// The critical path, in the order of time.
    pub critical: Vec<PathSegment>,
    /// The start of the first span.
    pub start: Timestamp,
    /// The last end of a span. A span without an end counts with its start.
    pub end: Timestamp,
}

/// Spans without rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoldedSpans {
    /// The row of their nearest ancestor with a row; `None` for whole trees.
    pub row: Option<usize>,
    /// The number of these spans.
    pub spans: u64,
    /// The duration of the longest direct child of the row among them, in nanoseconds.
    pub longest_nanos: i64,
}

/// A time in which the trace waited for one span alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathSegment {
    /// The row of the span, or of its nearest ancestor with a row. `None` if no span ran.
    pub row: Option<usize>,
    /// The start of the segment.
    pub from: Timestamp,
    /// The end of the segment.
    pub to: Timestamp,
}

impl Waterfall {
    /// Arranges the spans of a trace, or one span and its descendants. If there are more than
    /// `limit`, the highest levels have rows, and on lower levels failed spans and model calls with
    /// their ancestors. `None` if no span has the id `below`.
    #[must_use]
    pub fn of(shape: &TraceShape, limit: usize, below: Option<SpanId>) -> Option<Self> {
        let tree = Tree::of(shape);
        let tops = match below {
            None => tree.tops.clone(),
            Some(id) => vec![*tree.places.get(&id)?],
        };
        let walk = tree.walk(&tops);
        let kept = (walk.len() > limit).then(|| keep(shape, &tree, &tops, &walk, limit));
        let is_kept = |place: usize| kept.as_ref().is_none_or(|kept| kept[place]);
        let mut rows = vec![usize::MAX; shape.spans.len()];
        let mut this = Self::default();
        for &place in walk.iter().filter(|place| is_kept(**place)) {
            let row = this.spans.len();
            rows[place] = row;
            this.spans.push(place);
            let parent = tree.parents[place].map(|parent| rows[parent]);
            let parent = parent.filter(|parent| *parent != usize::MAX);
            this.parents.push(parent);
            let id = shape.spans[place].parent_span_id;
            if let Some(id) = id.filter(|id| parent.is_none() && !tree.places.contains_key(id)) {
                this.missing.push((row, id));
            }
        }
        if kept.is_some() {
            this.folded = folded(shape, &tree, &walk, &rows);
        }
        let whole = bounds(shape, &walk);
        (this.start, this.end) = (Timestamp::from_nanos(whole.from), Timestamp::from_nanos(whole.to));
        this.critical = critical(shape, &tree, &tops, &walk, &rows, whole);
        Some(this)
    }
}

/// The parents and children of spans, by index.
struct Tree {
    /// The first span of each id.
    places: HashMap<SpanId, usize>,
    parents: Vec<Option<usize>>,
    /// The children of each span are `children[first[place]..first[place + 1]]`, by start.
    first: Vec<usize>,
    children: Vec<usize>,
    tops: Vec<usize>,
}

impl Tree {
    fn of(shape: &TraceShape) -> Self {
        let spans = &shape.spans;
        let mut places = HashMap::with_capacity(spans.len());
        for (place, span) in spans.iter().enumerate() {
            places.entry(span.span_id).or_insert(place);
        }
        let mut parents: Vec<Option<usize>> = spans
            .iter()
            .map(|span| places.get(&span.parent_span_id?).copied())
            .collect();
        cut_cycles(&mut parents);
        let mut by_start: Vec<usize> = (0..spans.len()).collect();
        by_start.sort_by_key(|place| (spans[*place].start, spans[*place].number));
        let mut first = vec![0; spans.len() + 1];
        for parent in parents.iter().flatten() {
            first[parent + 1] += 1;
        }
        for place in 0..spans.len() {
            first[place + 1] += first[place];
        }
        let mut next = first.clone();
        let mut children = vec![0; first[spans.len()]];
        let mut tops = Vec::new();
        for place in by_start {
            match parents[place] {
                Some(parent) => {
                    children[next[parent]] = place;
                    next[parent] += 1;
                }
                None => tops.push(place),
            }
        }
        Self {
            places,
            parents,
            first,
            children,
            tops,
        }
    }

    fn children(&self, place: usize) -> &[usize] {
        &self.children[self.first[place]..self.first[place + 1]]
    }

    /// Returns these spans and their descendants in depth-first order.
    fn walk(&self, tops: &[usize]) -> Vec<usize> {
        let mut walk = Vec::new();
        let mut ahead: Vec<usize> = tops.iter().rev().copied().collect();
        while let Some(place) = ahead.pop() {
            walk.push(place);
            ahead.extend(self.children(place).iter().rev());
        }
        walk
    }
}

/// Chooses the spans that have rows. A span has one only if its parent has.
fn keep(shape: &TraceShape, tree: &Tree, tops: &[usize], walk: &[usize], limit: usize) -> Vec<bool> {
    let mut kept = vec![false; shape.spans.len()];
    let mut count = 0;
    // Errors get at most half of the rows, and errors and model calls together three quarters, so
    // that the highest levels always have rows.
    let is_error = |place: usize| shape.spans[place].status == Some(SpanStatus::Error);
    let is_call = |place: usize| shape.spans[place].step == StepKind::LlmCall.as_str();
    let mut keep_some = |is_such: &dyn Fn(usize) -> bool, most: usize| {
        let mut chain = Vec::new();
        for &place in walk.iter().filter(|place| is_such(**place)) {
            chain.clear();
            let mut next = Some(place);
            while let Some(above) = next.filter(|above| !kept[*above] && count + chain.len() < most) {
                chain.push(above);
                next = match tops == [above] {
                    true => None,
                    false => tree.parents[above],
                };
            }
            // A chain of ancestors that does not fit is left out.
            if next.is_none_or(|above| kept[above]) {
                count += chain.len();
                for above in &chain {
                    kept[*above] = true;
                }
            }
        }
    };
    keep_some(&is_error, limit / 2);
    keep_some(&is_call, limit / 4 * 3);
    let mut level: Vec<usize> = tops.to_vec();
    while !level.is_empty() && count < limit {
        let mut new: Vec<usize> = level.iter().copied().filter(|place| !kept[*place]).collect();
        if count + new.len() > limit {
            let longest = |place: &usize| shape.spans[*place].duration_nanos.unwrap_or(i64::MAX);
            new.sort_by_key(|place| std::cmp::Reverse(longest(place)));
            new.truncate(limit - count);
        }
        count += new.len();
        for place in new {
            kept[place] = true;
        }
        level = level
            .iter()
            .filter(|place| kept[**place])
            .flat_map(|place| tree.children(*place))
            .copied()
            .collect();
    }
    kept
}

/// Returns the spans without rows, by their nearest ancestor with a row.
fn folded(shape: &TraceShape, tree: &Tree, walk: &[usize], rows: &[usize]) -> Vec<FoldedSpans> {
    // The index of the nearest ancestor with a row, for each span without one.
    let mut below: Vec<Option<usize>> = vec![None; shape.spans.len()];
    let mut found: HashMap<Option<usize>, FoldedSpans> = HashMap::new();
    for &place in walk {
        if rows[place] != usize::MAX {
            continue;
        }
        let parent = tree.parents[place];
        let of_parent = parent.filter(|parent| rows[*parent] != usize::MAX);
        let is_right_below = of_parent.is_some() || parent.is_none();
        below[place] = of_parent.or_else(|| below[parent?]);
        let row = below[place].map(|above| rows[above]);
        let entry = found.entry(row).or_insert(FoldedSpans {
            row,
            spans: 0,
            longest_nanos: 0,
        });
        entry.spans += 1;
        if is_right_below {
            let nanos = shape.spans[place].duration_nanos.unwrap_or(0);
            entry.longest_nanos = entry.longest_nanos.max(nanos);
        }
    }
    let mut found: Vec<FoldedSpans> = found.into_values().collect();
    found.sort_by_key(|folded| folded.row);
    found
}

/// Returns the time from the first start to the last end. A negative duration, from clocks that
/// disagree, counts as 0.
fn bounds(shape: &TraceShape, walk: &[usize]) -> Stretch {
    let spans = || walk.iter().map(|place| &shape.spans[*place]);
    let from = spans().map(|span| span.start.as_nanos()).min().unwrap_or(0);
    let end = |start: i64, nanos: Option<i64>| start.saturating_add(nanos.unwrap_or(0).max(0));
    let to = spans()
        .map(|span| end(span.start.as_nanos(), span.duration_nanos))
        .max();
    Stretch {
        from,
        to: to.unwrap_or(from),
    }
}

fn critical(
    shape: &TraceShape,
    tree: &Tree,
    tops: &[usize],
    walk: &[usize],
    rows: &[usize],
    whole: Stretch,
) -> Vec<PathSegment> {
    let mut stretches = vec![whole; shape.spans.len()];
    // A span without a row is shown as its nearest ancestor with a row.
    let mut shown: Vec<Option<usize>> = vec![None; shape.spans.len()];
    for &place in walk {
        let span = &shape.spans[place];
        let start = span.start.as_nanos();
        let stretch = Stretch {
            from: start,
            to: match span.duration_nanos {
                Some(nanos) => start.saturating_add(nanos.max(0)),
                None => whole.to,
            },
        };
        // Ancestors of the chosen span are not in the walk, and have the whole range.
        let outer = tree.parents[place].map_or(whole, |parent| stretches[parent]);
        stretches[place] = stretch.inside_of(outer);
        shown[place] = match rows[place] {
            usize::MAX => tree.parents[place].and_then(|parent| shown[parent]),
            row => Some(row),
        };
    }
    let mut segments: Vec<PathSegment> = Vec::new();
    walk_segments(
        tops,
        |place| tree.children(place),
        whole,
        &stretches,
        |place, _, own| {
            segments.extend(own.iter().map(|segment| PathSegment {
                row: place.and_then(|place| shown[place]),
                from: Timestamp::from_nanos(segment.from),
                to: Timestamp::from_nanos(segment.to),
            }));
        },
    );
    segments.sort_by_key(|segment| segment.from);
    segments.dedup_by(|next, before| {
        let goes_on = before.row == next.row && before.to == next.from;
        if goes_on {
            before.to = next.to;
        }
        goes_on
    });
    segments
}
