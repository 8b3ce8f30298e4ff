//! [`RootSteps`]: the steps that determine a run's outcome.

use std::collections::HashMap;

use spanscope_model::{RunRecords, RunStatus, Timestamp};

use crate::forest::Forest;
use crate::step::{Key, Step};

/// The top-level steps of a run. The run's outcome is that of the step that started last: a run
/// whose first attempt failed and whose second attempt succeeded has not failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootSteps {
    /// Steps that name the run as their task, without such an ancestor.
    Tasks(Vec<usize>),
    /// Steps without a parent.
    Roots(Vec<usize>),
    /// Agents and workflows without such an ancestor; their caller is not stored.
    Agents(Vec<usize>),
    /// All steps without a stored parent.
    Others(Vec<usize>),
}

impl RootSteps {
    pub(crate) fn of(steps: &[Step], forest: &Forest) -> Self {
        let some = |places: Vec<usize>| (!places.is_empty()).then_some(places);
        let topmost = |is_such: &dyn Fn(usize) -> bool| {
            let below = forest.is_below(is_such);
            let order = forest.order.iter().copied();
            some(order.filter(|place| is_such(*place) && !below[*place]).collect())
        };
        if let Some(tasks) = topmost(&|place| steps[place].names_task) {
            return Self::Tasks(tasks);
        }
        if let Some(roots) = some(
            forest
                .tops()
                .filter(|place| steps[*place].parent.is_none())
                .collect(),
        ) {
            return Self::Roots(roots);
        }
        match topmost(&|place| steps[place].is_agent()) {
            Some(agents) => Self::Agents(agents),
            None => Self::Others(forest.tops().collect()),
        }
    }

    /// Returns when the run itself ended: the last end of these steps and of the topmost agents and
    /// workflows below them, because a root may be only the request that started the run. Other
    /// steps may end later. `None` while one of them runs, or if the run itself is unknown.
    pub(crate) fn ended_at(&self, steps: &[Step], forest: &Forest) -> Option<Timestamp> {
        if !self.are_certain() {
            return None;
        }
        let is_head = |place: usize| self.places().contains(&place);
        let below_agent = forest.is_below(|place| steps[place].is_agent());
        let mut last = None;
        for &place in &forest.order {
            if is_head(place) || (steps[place].is_agent() && !below_agent[place]) {
                last = last.max(Some(steps[place].end?));
            }
        }
        last
    }

    fn places(&self) -> &[usize] {
        match self {
            Self::Tasks(places) | Self::Roots(places) | Self::Agents(places) | Self::Others(places) => places,
        }
    }

    pub(crate) fn first_started(&self, steps: &[Step]) -> Option<usize> {
        let places = self.places().iter().copied();
        places.min_by_key(|place| (steps[*place].start, steps[*place].rank()))
    }

    pub(crate) fn last_started(&self, steps: &[Step]) -> Option<usize> {
        let places = self.places().iter().copied();
        places.max_by_key(|place| (steps[*place].start, steps[*place].rank()))
    }

    /// Returns whether they are certainly the run itself, and not only the stored part of it.
    pub(crate) fn are_certain(&self) -> bool {
        matches!(self, Self::Tasks(_) | Self::Roots(_))
    }
}

/// Returns the status of a run whose steps were read up to the end of these records.
pub(crate) fn status_of(steps: &[Step], index: &HashMap<Key, usize>, records: &RunRecords) -> RunStatus {
    if records.more {
        return RunStatus::Running;
    }
    let is_open = match records.is_shared {
        // The records count the open spans of the other runs too.
        true => steps.iter().any(|step| step.belongs && step.end.is_none()),
        false => records.open > 0,
    };
    if is_open {
        return match records.alive {
            true => RunStatus::Running,
            false => RunStatus::Abandoned,
        };
    }
    let heads = RootSteps::of(steps, &Forest::of(steps, index));
    match heads.last_started(steps) {
        Some(head) if steps[head].fails_run => RunStatus::Failed,
        _ => RunStatus::Completed,
    }
}
