//! The critical path: the chain of steps that the run would have been shorter without.
//!
//! It is walked from the end: a step waited for that child which ended last, before that for the one which ended last
//! before this began, and so on; time that no child covers is the step's own. A child that still ran when the path came by
//! ran beside it and is not on it. Clocks of programs disagree, so a child counts only as far as it lies inside of its
//! parent. Steps at the top lie in the run as children lie in their parent.

use std::cmp::Reverse;

use spanscope_model::Timestamp;

use crate::forest::Forest;
use crate::step::Step;

/// A step on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// None where nothing was recorded.
    pub(super) step: Option<usize>,
    /// How long the run waited for it alone.
    pub(super) nanos: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Path {
    /// In the order of time, and those above before those inside of them.
    pub(super) parts: Vec<Part>,
    /// How long each step took without those inside of it, by place.
    pub(super) own_nanos: Vec<i64>,
}

/// A time from one nanosecond to another, never backwards.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: i64,
    to: i64,
}

impl Stretch {
    fn inside_of(self, outer: Self) -> Self {
        let from = self.from.clamp(outer.from, outer.to);
        Self {
            from,
            to: self.to.clamp(from, outer.to),
        }
    }

    fn len(self) -> i64 {
        self.to.saturating_sub(self.from)
    }
}

/// The path through steps of a run that took from `first` to `last`. What still runs is taken to have run until then.
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

/// How much of their parent the children cover together.
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
    // None stands for the run around the steps at the top.
    let mut ahead: Vec<(Option<usize>, usize)> = vec![(None, 0)];
    while let Some((step, depth)) = ahead.pop() {
        let stretch = step.map_or(whole, |step| stretches[step]);
        let mut children = step.map_or(&tops, |step| &forest.children[step]).clone();
        children.sort_unstable_by_key(|child| {
            let stretch = stretches[*child];
            (Reverse(stretch.to), Reverse(stretch.len()), *child)
        });
        let mut own = 0;
        let mut now = stretch.to;
        for child in children {
            let inner = stretches[child];
            if inner.to > now || inner.len() == 0 {
                continue;
            }
            own += now - inner.to;
            now = inner.from;
            ahead.push((Some(child), depth + 1));
        }
        own += now - stretch.from;
        if own > 0 {
            parts.push((stretch.from, depth, Part { step, nanos: own }));
        }
    }
    parts.sort_by_key(|(from, depth, _)| (*from, *depth));
    parts.into_iter().map(|(_, _, part)| part).collect()
}
