//! The statistics of a run.

use std::collections::HashSet;

use serde::Serialize;
use spanscope_model::RunStatus;

use crate::content::{chunk_count, chunks_of};
use crate::counted::counted_steps;
use crate::format::rounded;
use crate::step::seconds;
use crate::token_usage::tokens_of;
use crate::{DetailLevel, Run, StepKind};

/// The statistics of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Summary {
    /// The run.
    pub task_id: String,
    /// The number of events that the level shows.
    pub total_events: u64,
    /// The number of model calls. Two spans that describe one call count once.
    pub total_llm_calls: u64,
    /// The number of retrievals.
    pub total_retrievals: u64,
    /// The number of tool calls.
    pub total_tool_calls: u64,
    /// Input and output tokens. Usage that several spans of one call report counts once, by the
    /// rule of the token metrics.
    pub total_tokens: u64,
    /// Input tokens.
    pub prompt_tokens: u64,
    /// Output tokens.
    pub completion_tokens: u64,
    /// The number of chunks that retrievals found.
    pub total_chunks_retrieved: u64,
    /// The number of different components that ran.
    pub nodes_executed: u64,
    /// The number of errors on all levels, each once.
    pub errors_count: u64,
    /// The status.
    pub status: RunStatus,
    /// Seconds from its start to its end, or to its last activity.
    pub total_elapsed_time: f64,
}

impl Run<'_> {
    /// Returns the statistics; events are counted only if this level shows them.
    #[must_use]
    pub fn summary(&self, level: DetailLevel) -> Summary {
        of(self, level)
    }
}

fn of(run: &Run<'_>, level: DetailLevel) -> Summary {
    let steps = run.steps();
    let count = |kind| steps.iter().filter(|(step, _)| step.kind == kind).count() as u64;
    let components: HashSet<&str> = steps.iter().map(|(step, _)| step.component.id.as_str()).collect();
    let retrievals = steps.iter().filter(|(step, _)| step.kind == StepKind::Retrieval);
    let chunks = retrievals
        .filter(|(step, _)| step.end.is_some())
        .map(|(_, span)| {
            let reported = chunk_count(&span.attributes, None);
            reported.or_else(|| chunk_count(&span.attributes, chunks_of(&span.attributes).as_ref()))
        });
    let counted = counted_steps(run);
    let tokens = used_tokens(run, &counted);
    let calls = (0..counted.len()).filter(|place| counted[*place]);
    let calls = calls.filter(|place| run.all_steps()[*place].kind == StepKind::LlmCall);
    Summary {
        task_id: run.info().task_id.clone(),
        total_events: run
            .outline()
            .iter()
            .filter(|event| level.shows(event.event_type))
            .count() as u64,
        total_llm_calls: calls.count() as u64,
        total_retrievals: count(StepKind::Retrieval),
        total_tool_calls: count(StepKind::ToolCall),
        total_tokens: tokens.total,
        prompt_tokens: tokens.prompt,
        completion_tokens: tokens.completion,
        total_chunks_retrieved: chunks.flatten().fold(0, u64::saturating_add),
        nodes_executed: components.len() as u64,
        errors_count: run.errors().len() as u64,
        status: run.status(),
        total_elapsed_time: rounded(seconds(run.nanos()), 3).as_f64().unwrap_or_default(),
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    prompt: u64,
    completion: u64,
    total: u64,
}

/// Returns the tokens of the calls that count.
fn used_tokens(run: &Run<'_>, counted: &[bool]) -> Used {
    let steps = run.all_steps();
    let mut used = Used::default();
    for (place, step) in steps.iter().enumerate() {
        if !counted[place] || step.end.is_none() {
            continue;
        }
        let Some(tokens) = tokens_of(&run.span(place).attributes) else {
            continue;
        };
        used.prompt = used.prompt.saturating_add(tokens.prompt.unwrap_or(0));
        used.completion = used.completion.saturating_add(tokens.completion.unwrap_or(0));
        used.total = used.total.saturating_add(tokens.total.unwrap_or(0));
    }
    used
}
