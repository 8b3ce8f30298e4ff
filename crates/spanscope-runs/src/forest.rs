//! The steps of a run as trees: who is above whom, whatever was stored of it.
//!
//! A parent may be missing, and clients can send spans that are each other's parents. A step whose parent is missing is
//! a root; a circle is cut where it closes. Everything here is linear, and nothing recurses: a run may be as deep as it
//! is long.

use std::collections::HashMap;

use crate::step::{Key, Step};

#[derive(Debug, Clone)]
pub(crate) struct Forest {
    /// The place of each step's parent, if that is part of the run too.
    pub(crate) parents: Vec<Option<usize>>,
    /// The places of each step's children, in the order of the steps.
    pub(crate) children: Vec<Vec<usize>>,
    /// The places of the steps, parents before their children; only those that belong to the run.
    pub(crate) order: Vec<usize>,
}

impl Forest {
    /// The trees of those steps that belong to the run.
    pub(crate) fn of(steps: &[Step], index: &HashMap<Key, usize>) -> Self {
        let mut parents: Vec<Option<usize>> = steps
            .iter()
            .map(|step| {
                let parent = *index.get(&(step.key.0, step.parent?))?;
                (step.belongs && steps[parent].belongs).then_some(parent)
            })
            .collect();
        cut_circles(&mut parents);
        let mut children = vec![Vec::new(); steps.len()];
        for (place, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(place);
            }
        }
        let is_root = |place: &usize| parents[*place].is_none() && steps[*place].belongs;
        let mut order: Vec<usize> = (0..steps.len()).filter(is_root).collect();
        let mut next = 0;
        while let Some(place) = order.get(next) {
            order.extend_from_slice(&children[*place]);
            next += 1;
        }
        Self {
            parents,
            children,
            order,
        }
    }

    /// The roots, and the steps whose parents are missing.
    pub(crate) fn tops(&self) -> impl Iterator<Item = usize> {
        self.order
            .iter()
            .copied()
            .filter(|place| self.parents[*place].is_none())
    }

    /// Whether such a step lies above each step, by place.
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

/// Takes the parent away from one step of each circle.
fn cut_circles(parents: &mut [Option<usize>]) {
    const UNKNOWN: usize = 0;
    // Which walk came by first. One that comes to the trace of an earlier one ends as that did.
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
