//! The critical path: the chain of steps without which the run would have been shorter.
//!
//! It is walked from the end: a step waited for the child that ended last, before that for the
//! child that ended last before this one started, and so on; time that no child covers is the
//! step's own. A child that was still running at that time ran in parallel and is not on the path.
//! Clocks of programs disagree, so only the part of a child inside its parent counts. Top-level
//! steps are treated as children of the run.

use std::cmp::Reverse;

use spanscope_model::Timestamp;

use crate::forest::Forest;
use crate::step::Step;

/// A step on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// `None` for time in which nothing was recorded.
    pub(super) step: Option<usize>,
    /// How long the run waited for it alone.
    pub(super) nanos: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Path {
    /// In the order of time, and parents before nested steps.
    pub(super) parts: Vec<Part>,
    /// The time of each step without nested steps, by index.
    pub(super) own_nanos: Vec<i64>,
}

/// A time range in nanoseconds, whose end is not before its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Stretch {
    pub(crate) fn inside_of(self, outer: Self) -> Self {
        let from = self.from.clamp(outer.from, outer.to);
        Self {
            from,
            to: self.to.clamp(from, outer.to),
        }
    }

    pub(crate) fn len(self) -> i64 {
        self.to.saturating_sub(self.from)
    }
}

/// Computes the path through the steps of a run that took from `first` to `last`. Open steps count
/// as running until `last`.
pub(super) fn of(steps: &[Step], forest: &Forest, first: Timestamp, last: Timestamp) -> Path {
    let whole = Stretch {
        from: first.as_nanos(),
        to: last.as_nanos().max(first.as_nanos()),
    };
    let mut stretches = vec![whole; steps.len()];
    for &place in &forest.order {
        let step = &steps[place];
        let stretch = Stretch {
            from: step.start.as_nanos(),
            to: step.end.map_or(whole.to, Timestamp::as_nanos),
        };
        let outer = forest.parents[place].map_or(whole, |parent| stretches[parent]);
        stretches[place] = stretch.inside_of(outer);
    }
    let own_nanos = (0..steps.len())
        .map(|place| stretches[place].len() - covered(&forest.children[place], &stretches))
        .collect();
    Path {
        parts: walk(forest, whole, &stretches),
        own_nanos,
    }
}

/// Returns how much of their parent the children cover together.
fn covered(children: &[usize], stretches: &[Stretch]) -> i64 {
    let mut inner: Vec<Stretch> = children.iter().map(|child| stretches[*child]).collect();
    inner.sort_unstable_by_key(|stretch| stretch.from);
    let mut covered = 0;
    let mut reached = i64::MIN;
    for stretch in inner {
        covered += stretch.to.saturating_sub(stretch.from.max(reached)).max(0);
        reached = reached.max(stretch.to);
    }
    covered
}

fn walk(forest: &Forest, whole: Stretch, stretches: &[Stretch]) -> Vec<Part> {
    let mut parts: Vec<(i64, usize, Part)> = Vec::new();
    let tops: Vec<usize> = forest.tops().collect();
    let children = |step: usize| forest.children[step].as_slice();
    walk_segments(&tops, children, whole, stretches, |step, depth, own| {
        let from = step.map_or(whole, |step| stretches[step]).from;
        let nanos = own.iter().map(|segment| segment.len()).sum();
        if nanos > 0 {
            parts.push((from, depth, Part { step, nanos }));
        }
    });
    parts.sort_by_key(|(from, depth, _)| (*from, *depth));
    parts.into_iter().map(|(_, _, part)| part).collect()
}

/// Passes each step on the path to `each`, with its depth and the times in which the whole waited
/// for this step alone, the last one first. `None` stands for the whole around the top steps.
pub(crate) fn walk_segments<'a>(
    tops: &'a [usize],
    children: impl Fn(usize) -> &'a [usize],
    whole: Stretch,
    stretches: &[Stretch],
    mut each: impl FnMut(Option<usize>, usize, &[Stretch]),
) {
    let mut ahead: Vec<(Option<usize>, usize)> = vec![(None, 0)];
    let (mut sorted, mut own) = (Vec::new(), Vec::new());
    while let Some((step, depth)) = ahead.pop() {
        let stretch = step.map_or(whole, |step| stretches[step]);
        sorted.clear();
        sorted.extend_from_slice(step.map_or(tops, &children));
        sorted.sort_unstable_by_key(|child| {
            let stretch = stretches[*child];
            (Reverse(stretch.to), Reverse(stretch.len()), *child)
        });
        own.clear();
        let mut now = stretch.to;
        let mut waits = |from: i64, to: i64| {
            if from < to {
                own.push(Stretch { from, to });
            }
        };
        for child in &sorted {
            let inner = stretches[*child];
            if inner.to > now || inner.len() == 0 {
                continue;
            }
            waits(inner.to, now);
            now = inner.from;
            ahead.push((Some(*child), depth + 1));
        }
        waits(stretch.from, now);
        each(step, depth, &own);
    }
}
