//! Analysis of a run: where it spent its time, its errors, and recommendations.
//!
//! RAGFlow's agent trace API defines a bottleneck as a component that takes more than five seconds
//! on average. By that definition the root, which contains all steps, is a bottleneck, and ten
//! short calls in a row are not. Here a component is measured by its time without nested steps, and
//! by its share of the critical path: the chain of steps without which the run would have been
//! shorter.

mod advice;
mod findings;
pub(crate) mod path;

use std::collections::{BTreeMap, HashMap};

pub use findings::{Analysis, Bottleneck, BottleneckReason, ComponentTime, CriticalStep, RunError};

use crate::Run;
use crate::format::{cut_text, rounded};
use crate::step::seconds;

/// A component is a bottleneck if its average time without nested steps is longer than this.
const SLOW_SECONDS: f64 = 5.0;
/// A component with at least this share of the critical path is a bottleneck too.
const LARGE_SHARE: f64 = 0.5;

/// Maximum length of an error in characters.
const MAX_ERROR_CHARS: usize = 2000;

impl Run<'_> {
    /// Returns where the run spent its time, its errors, and recommendations.
    #[must_use]
    pub fn analysis(&self) -> Analysis {
        of(self)
    }
}

fn of(run: &Run<'_>) -> Analysis {
    let mut event_distribution = BTreeMap::new();
    for event in run.outline() {
        *event_distribution.entry(event.event_type).or_insert(0) += 1;
    }
    let errors = run.errors().into_iter().map(|event| RunError {
        component: event.component_name.clone(),
        error: cut_text(event.error.as_deref().unwrap_or_default(), MAX_ERROR_CHARS),
        timestamp: event.timestamp,
    });
    let errors = errors.collect();
    let path = path::of(run.all_steps(), run.forest(), run.started_at(), run.ended_at());
    let mut component_execution_times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (step, _) in run.steps() {
        if let Some(nanos) = step.nanos().filter(|_| !step.is_run_itself()) {
            let times = component_execution_times
                .entry(step.component.name.clone())
                .or_default();
            times.push(seconds(nanos));
        }
    }
    let components = components(run, &path);
    let bottlenecks = bottlenecks(&components);
    Analysis {
        task_id: run.info().task_id.clone(),
        total_events: run.outline().len() as u64,
        event_distribution,
        component_execution_times,
        critical_path: critical_steps(run, &path),
        recommendations: advice::of(run, &components, &bottlenecks),
        components,
        bottlenecks,
        errors,
    }
}

fn critical_steps(run: &Run<'_>, path: &path::Path) -> Vec<CriticalStep> {
    let shown = path.parts.iter().map(|part| CriticalStep {
        component: part
            .step
            .map(|place| run.all_steps()[place].component.name.clone()),
        span_id: part.step.map(|place| run.all_steps()[place].key.1),
        seconds: seconds(part.nanos),
    });
    shown.collect()
}

/// Returns the times of each component, summed over steps with the same name.
fn components(run: &Run<'_>, path: &path::Path) -> Vec<ComponentTime> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut components: Vec<ComponentTime> = Vec::new();
    let mut ended: Vec<u64> = Vec::new();
    for &place in &run.forest().order {
        let step = &run.all_steps()[place];
        let at = *places.entry(&step.component.name).or_insert_with(|| {
            components.push(ComponentTime {
                component: step.component.name.clone(),
                component_type: step.component.kind.clone(),
                executions: 0,
                errors: 0,
                total_time: 0.0,
                avg_time: 0.0,
                max_time: 0.0,
                self_time: 0.0,
                critical_path_time: 0.0,
                critical_path_share: 0.0,
            });
            ended.push(0);
            components.len() - 1
        });
        let component = &mut components[at];
        component.executions += 1;
        component.errors += u64::from(step.error.is_some());
        if let Some(nanos) = step.nanos() {
            ended[at] += 1;
            component.total_time += seconds(nanos);
            component.max_time = component.max_time.max(seconds(nanos));
        }
        component.self_time += seconds(path.own_nanos[place]);
    }
    for part in &path.parts {
        if let Some(place) = part.step
            && let Some(at) = places.get(run.all_steps()[place].component.name.as_str())
        {
            components[*at].critical_path_time += seconds(part.nanos);
        }
    }
    let total = seconds(path.parts.iter().map(|part| part.nanos).sum());
    for (component, ended) in components.iter_mut().zip(ended) {
        component.avg_time = average(component.total_time, ended);
        if total > 0.0 {
            component.critical_path_share = component.critical_path_time / total;
        }
    }
    let key = |component: &ComponentTime| (component.critical_path_time, component.self_time);
    components.sort_by(|a, b| key(b).partial_cmp(&key(a)).unwrap_or(std::cmp::Ordering::Equal));
    components
}

fn bottlenecks(components: &[ComponentTime]) -> Vec<Bottleneck> {
    let found = components.iter().filter_map(|component| {
        let own = average(component.self_time, component.executions);
        let share = component.critical_path_share;
        let reason = match (own > SLOW_SECONDS, share >= LARGE_SHARE) {
            (true, true) => BottleneckReason::Both,
            (true, false) => BottleneckReason::Average,
            (false, true) => BottleneckReason::CriticalPath,
            (false, false) => return None,
        };
        Some(Bottleneck {
            component: component.component.clone(),
            avg_execution_time: rounded(own, 2).as_f64().unwrap_or_default(),
            executions: component.executions,
            critical_path_share: rounded(share, 4).as_f64().unwrap_or_default(),
            reason,
        })
    });
    found.collect()
}

#[expect(clippy::cast_precision_loss, reason = "a run has less than 2^53 steps")]
fn average(sum: f64, count: u64) -> f64 {
    match count {
        0 => 0.0,
        count => sum / count as f64,
    }
}
