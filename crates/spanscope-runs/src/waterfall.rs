//! [`Waterfall`]: the spans of a trace as rows of a drawing, and its critical path.
//!
//! Rows come in the order of a walk, parents before their children and children by start, so that
//! everything below a row lies behind it without a gap. Everything is linear but for sorting, and
//! nothing recurses.

use std::collections::HashMap;

use spanscope_model::{SpanId, SpanStatus, Timestamp, TraceShape};

use crate::StepKind;
use crate::analysis::path::{Stretch, walk_segments};
use crate::forest::cut_circles;

/// The rows of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Waterfall {
    /// The index of each row's span in [`TraceShape::spans`].
    pub spans: Vec<usize>,
    /// The row of each row's parent. None of a root, of a row whose parent is not stored, and of
    /// one row of each circle of parents.
    pub parents: Vec<Option<usize>>,
    /// The rows whose parents are not stored, and the ids of these.
    pub missing: Vec<(usize, SpanId)>,
    /// Spans that were left out of a large trace, by the row that they lie below.
    pub folded: Vec<FoldedSpans>,
    /// The critical path, in the order of time.
    pub critical: Vec<PathSegment>,
    /// When the first span began.
    pub start: Timestamp,
    /// When the last one ended, or the last thing that is known of spans without an end.
    pub end: Timestamp,
}

/// Spans that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoldedSpans {
    /// The row that they lie below; none for whole trees.
    pub row: Option<usize>,
    /// How many they are.
    pub spans: u64,
    /// Nanoseconds of the longest of those right below the row.
    pub longest_nanos: i64,
}

/// A time in which the trace waited for one span alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathSegment {
    /// The row of the span, or of the nearest one above that has a row. None where no span ran.
    pub row: Option<usize>,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub to: Timestamp,
}

impl Waterfall {
    /// Arranges the spans of a trace, or those at and below one span. Of more than `limit` spans
    /// the highest levels have rows, and of lower ones failed spans and calls of models with all
    /// that lies above them. `None` where no span has the id.
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

/// Who is above whom.
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
        cut_circles(&mut parents);
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

    /// The spans at and below these, parents before their children.
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

/// Chooses the spans that have rows, none without its parent.
fn keep(shape: &TraceShape, tree: &Tree, tops: &[usize], walk: &[usize], limit: usize) -> Vec<bool> {
    let mut kept = vec![false; shape.spans.len()];
    let mut count = 0;
    // Errors get a half of the rows at most, calls of models the rest of three
    // quarters, so that the highest levels are always there.
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
            // A chain that does not fit is not begun.
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

/// The spans without rows, by the row that they lie below.
fn folded(shape: &TraceShape, tree: &Tree, walk: &[usize], rows: &[usize]) -> Vec<FoldedSpans> {
    // The place of the nearest row above each span without one.
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

/// The time from the first start to the last end that is known. An end before its start, which
/// clocks that disagree make, is no end.
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
    // A span without a row counts as the nearest one above.
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
        // What lies above the chosen span is no part of the walk, and has the whole stretch.
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
