//! Advice about a run, as text that names the component and the numbers.

use spanscope_model::text::visible;

use super::findings::{Bottleneck, BottleneckReason, ComponentTime};
use crate::format::cut_text;
use crate::token_usage::tokens_of;
use crate::{Run, StepKind};

/// Prompts with more tokens get an advice.
const MANY_PROMPT_TOKENS: u64 = 32_000;
/// Maximum number of pieces of advice about one matter, the most important first.
const MAX_EACH: usize = 10;

pub(super) fn of(run: &Run<'_>, components: &[ComponentTime], bottlenecks: &[Bottleneck]) -> Vec<String> {
    let slow = bottlenecks.iter().map(|bottleneck| slow(bottleneck, components));
    let mut failing: Vec<&ComponentTime> = components
        .iter()
        .filter(|component| component.errors > 0)
        .collect();
    failing.sort_by_key(|component| std::cmp::Reverse(component.errors));
    let failing = failing.into_iter().map(|component| {
        let name = name(&component.component);
        let (errors, executions) = (component.errors, component.executions);
        let what = match component.component_type.as_str() {
            "tool" => "check its arguments and what it depends on",
            "llm" => "check limits and time-outs of its provider, or fall back to another model",
            _ => "see the errors for why",
        };
        format!("{name}: {errors} of {} failed; {what}", times(executions))
    });
    let mut advice: Vec<String> = slow.take(MAX_EACH).collect();
    advice.extend(failing.take(MAX_EACH));
    advice.extend(long_prompts(run));
    advice
}

fn slow(bottleneck: &Bottleneck, components: &[ComponentTime]) -> String {
    let name = name(&bottleneck.component);
    let share = bottleneck.critical_path_share * 100.0;
    let average = bottleneck.avg_execution_time;
    let numbers = match bottleneck.reason {
        BottleneckReason::Average => {
            format!(
                "takes {average:.2} s on average in {}",
                times(bottleneck.executions)
            )
        }
        _ => format!(
            "is {share:.0}% of the critical path ({average:.2} s on average in {})",
            times(bottleneck.executions)
        ),
    };
    let mut known = components
        .iter()
        .filter(|component| component.component == bottleneck.component);
    let kind = known
        .next()
        .map_or("", |component| component.component_type.as_str());
    let what = match (kind, bottleneck.executions) {
        ("llm", 1) => "try a smaller model, a shorter prompt or output, or stream the output",
        ("llm", _) => "try a smaller model, shorter prompts, or fewer turns",
        ("retrieval", _) => "request fewer chunks, add an index, or cache repeated queries",
        ("tool", 2..) => {
            "run the calls side by side where they don't need each other, or cache their results"
        }
        ("tool", _) => "make it faster, or cache its results",
        _ => "time in it is not explained by steps below it: make it faster, or give its parts spans",
    };
    format!("{name} {numbers}: {what}")
}

/// Returns one advice about all model calls with very long prompts.
fn long_prompts(run: &Run<'_>) -> Option<String> {
    let steps = run.steps();
    let calls = steps.iter().filter(|(step, _)| step.kind == StepKind::LlmCall);
    let calls = calls.filter_map(|(step, span)| Some((*step, tokens_of(&span.attributes)?.prompt?)));
    let long: Vec<_> = calls.filter(|(_, prompt)| *prompt > MANY_PROMPT_TOKENS).collect();
    let (step, most) = long.iter().max_by_key(|(_, prompt)| *prompt)?;
    let name = name(&step.component.name);
    Some(format!(
        "{name}: {} with more than {MANY_PROMPT_TOKENS} prompt tokens, the longest with {most}; shorten the history, \
         retrieve fewer chunks, or cache the beginning of the prompt",
        match long.len() {
            1 => "a call".to_owned(),
            calls => format!("{calls} calls"),
        },
    ))
}

fn times(executions: u64) -> String {
    match executions {
        1 => "1 execution".to_owned(),
        executions => format!("{executions} executions"),
    }
}

/// Returns a component's name in a form that is safe to show; a program's names may contain
/// anything, and be long.
fn name(name: &str) -> String {
    const MAX_NAME: usize = 100;
    visible(&cut_text(name, MAX_NAME)).into_owned()
}
