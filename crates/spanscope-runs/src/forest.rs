//! Arranges the steps of a run as trees, for any set of stored spans.
//!
//! A parent may be missing, and clients can send spans that are each other's parents. A step whose
//! parent is missing is a root; a cycle is cut where it closes. All functions are linear and do not
//! recurse, because a run may be as deep as it is long.

use std::collections::HashMap;

use crate::step::{Key, Step};

#[derive(Debug, Clone)]
pub(crate) struct Forest {
    /// The index of each step's parent, if the parent is part of the run.
    pub(crate) parents: Vec<Option<usize>>,
    /// The indexes of each step's children, in the order of the steps.
    pub(crate) children: Vec<Vec<usize>>,
    /// The indexes of the steps, parents before their children; only those that belong to the run.
    pub(crate) order: Vec<usize>,
}

impl Forest {
    /// Builds the trees of the steps that belong to the run.
    pub(crate) fn of(steps: &[Step], index: &HashMap<Key, usize>) -> Self {
        let mut parents: Vec<Option<usize>> = steps
            .iter()
            .map(|step| {
                let parent = *index.get(&(step.key.0, step.parent?))?;
                (step.belongs && steps[parent].belongs).then_some(parent)
            })
            .collect();
        cut_cycles(&mut parents);
        let children = children_of(&parents);
        let is_root = |place: &usize| parents[*place].is_none() && steps[*place].belongs;
        let order = parents_first((0..steps.len()).filter(is_root).collect(), &children);
        Self {
            parents,
            children,
            order,
        }
    }

    /// Returns the roots, and the steps whose parents are missing.
    pub(crate) fn tops(&self) -> impl Iterator<Item = usize> {
        self.order
            .iter()
            .copied()
            .filter(|place| self.parents[*place].is_none())
    }

    /// Returns for each step, by index, whether `is_such` is true of an ancestor.
    pub(crate) fn is_below(&self, is_such: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut below = vec![false; self.parents.len()];
        for place in &self.order {
            if let Some(parent) = self.parents[*place] {
                below[*place] = below[parent] || is_such(parent);
            }
        }
        below
    }
}

/// Returns the indexes of each one's children, in ascending order.
pub(crate) fn children_of(parents: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); parents.len()];
    for (place, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(place);
        }
    }
    children
}

/// Returns the roots and everything below them, parents before their children.
pub(crate) fn parents_first(mut roots: Vec<usize>, children: &[Vec<usize>]) -> Vec<usize> {
    let mut next = 0;
    while let Some(place) = roots.get(next) {
        roots.extend_from_slice(&children[*place]);
        next += 1;
    }
    roots
}

/// Removes the parent of one step of each cycle.
pub(crate) fn cut_cycles(parents: &mut [Option<usize>]) {
    const UNKNOWN: usize = 0;
    // The first walk that visited each step. A walk stops where an earlier one passed, because the
    // rest is already without cycles.
    let mut walked = vec![UNKNOWN; parents.len()];
    for first in 0..parents.len() {
        let walk = first + 1;
        let mut place = first;
        while walked[place] == UNKNOWN {
            walked[place] = walk;
            let Some(parent) = parents[place] else { break };
            if walked[parent] == walk {
                parents[place] = None;
                break;
            }
            place = parent;
        }
    }
}
