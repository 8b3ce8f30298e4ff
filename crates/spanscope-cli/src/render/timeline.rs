//! The timeline of a run: one line per event, indented by its step's depth.
//!
//! It also draws a running run, whose later lines are unknown: columns then have typical widths.
//! The signs of the events are RAGFlow's without their emoji selector: with it terminals disagree
//! about their width, and the text after them would not be aligned.

use std::collections::HashMap;

use spanscope_model::text::first_chars;
use spanscope_model::{SpanId, TraceId};
use spanscope_runs::{DetailLevel, EventType, RunEvent};

use super::colour::Paint;
use super::duration::format_ms;
use super::pairs;
use super::text::{fit, pad, pad_whole, width, wrap};
use super::time;
use crate::output::Output;

/// Columns of `14:03:00.123`.
const CLOCK: usize = 12;
/// Columns of a sign.
const SIGN: usize = 2;
/// The longest type of event.
const TYPE: usize = 19;
const DURATION: usize = 8;
/// In narrower terminals events have only their signs, without their types.
const MIN_WIDTH_FOR_TYPES: usize = 64;
/// The indentation of an event's further lines, below its type.
const BELOW: usize = CLOCK + SIGN + 2;
/// The minimum width of components and of their names, and the maximum.
const MIN_COMPONENT: usize = 12;
const MIN_NAME: usize = 8;
const MAX_COMPONENT: usize = 48;
/// The widths of components and notes while a run is running.
const LIVE_COMPONENT: usize = 32;
const LIVE_NOTE: usize = 13;
/// Deeper steps are not indented further.
const MAX_DEPTH: usize = 8;
/// Maximum number of lines of an error or message, unless everything is shown.
const MAX_LINES: usize = 4;
/// Maximum number of characters of such a text.
const MAX_CHARS: usize = 4_000;

type Key = (TraceId, SpanId);

/// A step, as far as its events were read.
#[derive(Debug, Clone, Copy)]
struct Step {
    parent: Option<SpanId>,
    /// Whether it has its own events, so that it is a step and not the run itself.
    is_step: bool,
}

/// Draws events.
pub(crate) struct Timeline<'a> {
    out: &'a Output,
    level: DetailLevel,
    /// Whether marks are ASCII instead of emoji.
    is_plain: bool,
    steps: HashMap<Key, Step>,
    component: usize,
    note: usize,
}

impl<'a> Timeline<'a> {
    /// Creates a timeline for a run that is still running.
    pub(crate) fn live(out: &'a Output, level: DetailLevel, is_plain: bool) -> Self {
        let mut timeline = Self {
            out,
            level,
            is_plain,
            steps: HashMap::new(),
            component: LIVE_COMPONENT,
            note: LIVE_NOTE,
        };
        timeline.share_room();
        timeline
    }

    /// Draws the events of a whole run. `events` are those of all levels; only those of `level` are
    /// drawn.
    pub(crate) fn whole(out: &'a Output, level: DetailLevel, is_plain: bool, events: &[RunEvent]) -> String {
        let mut timeline = Self::live(out, level, is_plain);
        timeline.add_steps(events);
        let shown = || events.iter().filter(|event| level.shows(event.event_type));
        let component = |event: &RunEvent| {
            let name = width(&fit(&event.component_name, out.at_most(MAX_COMPONENT)));
            2 * timeline.depth(event) + name
        };
        let component = shown()
            .map(component)
            .max()
            .unwrap_or(0)
            .min(out.at_most(MAX_COMPONENT));
        let note = shown().map(|event| width(&note(event))).max().unwrap_or(0);
        (timeline.component, timeline.note) = (component, note);
        timeline.share_room();
        let mut text = String::new();
        for event in shown() {
            timeline.draw(event, &mut text);
        }
        text
    }

    /// Returns the lines of the next events; those of the level are drawn.
    pub(crate) fn next(&mut self, events: &[RunEvent]) -> String {
        self.add_steps(events);
        let mut text = String::new();
        for event in events.iter().filter(|event| self.level.shows(event.event_type)) {
            self.draw(event, &mut text);
        }
        text
    }

    fn has_types(&self) -> bool {
        self.out.width >= MIN_WIDTH_FOR_TYPES
    }

    /// Divides the width. Notes have priority over the ends of long names, and are omitted if there
    /// is no room for them.
    fn share_room(&mut self) {
        let types = if self.has_types() { TYPE + 1 } else { 0 };
        let left = self.out.width.saturating_sub(BELOW + types + 1 + DURATION);
        if left < MIN_COMPONENT + 1 + self.note {
            self.note = 0;
        }
        let note = if self.note > 0 { self.note + 1 } else { 0 };
        self.component = self.component.min(left.saturating_sub(note)).max(MIN_COMPONENT);
    }

    fn add_steps(&mut self, events: &[RunEvent]) {
        for event in events {
            let Some(key) = event.metadata.trace_id.zip(event.metadata.span_id) else {
                continue;
            };
            if event.event_id.starts_with("log:") {
                continue;
            }
            let step = Step {
                parent: event.metadata.parent_id,
                is_step: !is_run_event(event),
            };
            let known = self.steps.entry(key).or_insert(step);
            known.is_step |= step.is_step;
        }
    }

    /// Returns the number of ancestors. The walk is bounded, so that a cycle is harmless.
    fn depth(&self, event: &RunEvent) -> usize {
        if is_run_event(event) {
            return 0;
        }
        let mut depth = 1;
        let is_log = event.event_id.starts_with("log:");
        let (Some(trace), Some(span)) = (event.metadata.trace_id, event.metadata.span_id) else {
            return depth;
        };
        // A log event belongs to its span; a step belongs to its parent.
        let mut above = if is_log {
            Some(span)
        } else {
            event.metadata.parent_id
        };
        while let Some(step) = above.and_then(|span| self.steps.get(&(trace, span))) {
            depth += usize::from(step.is_step);
            above = step.parent;
            if depth >= MAX_DEPTH {
                break;
            }
        }
        depth
    }

    fn draw(&self, event: &RunEvent, text: &mut String) {
        let colour = self.out.colour;
        let failed = event.error.is_some();
        let bad = |otherwise| if failed { Paint::Bad } else { otherwise };
        let time = Paint::Dim.on(colour, &time::clock(event.timestamp, &self.out.zone));
        let sign = if self.is_plain {
            pad(plain_mark(event.event_type), SIGN)
        } else {
            pad(&event.event_type.icon().replace('\u{fe0f}', ""), SIGN)
        };
        let mut line = format!("{time} {sign} ");
        if self.has_types() {
            let name = format!("{:<TYPE$} ", event.event_type.as_str());
            line.push_str(&bad(paint_of(event.event_type)).on(colour, &name));
        }
        let levels = self.component.saturating_sub(MIN_NAME) / 2;
        let indent = 2 * self.depth(event).min(levels);
        let room = self.component - indent;
        let name = match self.out.is_bounded() {
            true => pad(&event.component_name, room),
            false => pad_whole(&event.component_name, room),
        };
        line.push_str(&format!("{:indent$}{}", "", bad(Paint::Plain).on(colour, &name)));
        let duration = event.elapsed_time.map(|seconds| format_ms(seconds * 1e3));
        line.push_str(&format!(" {:>DURATION$}", duration.unwrap_or_default()));
        let note = note(event);
        if width(&note) <= self.out.at_most(self.note) {
            line.push_str(&format!(" {}", Paint::Dim.on(colour, &note)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if let Some(error) = &event.error {
            self.below(&format!("✗ {error}"), Paint::Bad, text);
        }
        self.payload(event, text);
    }

    /// Adds the message of an answer. For other events, at the level debug, adds thoughts, inputs
    /// and outputs.
    fn payload(&self, event: &RunEvent, text: &mut String) {
        if event.event_type == EventType::MessageGenerated {
            let content = event.outputs.as_ref().and_then(|outputs| outputs.get("content"));
            let content = content.map(|content| {
                content
                    .as_str()
                    .map_or_else(|| content.to_string(), ToOwned::to_owned)
            });
            if let Some(content) = content {
                self.below(&content, Paint::Plain, text);
            }
            return;
        }
        if self.level < DetailLevel::Debug {
            return;
        }
        let mut lines = Vec::new();
        if let Some(thoughts) = &event.thoughts {
            lines.push(("thoughts", thoughts.clone()));
        }
        for payload in [&event.inputs, &event.outputs].into_iter().flatten() {
            let values = payload.iter().map(|(key, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), ToOwned::to_owned);
                (key.as_str(), value)
            });
            lines.extend(values);
        }
        text.push_str(&pairs::indented(self.out, &lines, BELOW));
    }

    /// Adds the lines of a text below its event.
    fn below(&self, body: &str, paint: Paint, text: &mut String) {
        let max = match self.level {
            DetailLevel::Debug => usize::MAX,
            _ => self.out.at_most(MAX_LINES),
        };
        let part = match self.level {
            DetailLevel::Debug => body,
            _ => first_chars(body, self.out.at_most(MAX_CHARS)),
        };
        let lines = wrap(part.trim(), self.out.width.saturating_sub(BELOW + 1));
        let more = lines.len() > max || part.len() < body.len();
        let shown = lines.len().min(max);
        for (at, line) in lines.into_iter().take(max).enumerate() {
            let cut = if more && at + 1 == shown { "…" } else { "" };
            let line = format!(
                "{:BELOW$}{}",
                "",
                paint.on(self.out.colour, &format!("{line}{cut}"))
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
}

fn is_run_event(event: &RunEvent) -> bool {
    matches!(event.event_id.as_str(), "run:start" | "run:end")
}

/// Returns the ASCII mark of an event: whether something started, ended or failed.
fn plain_mark(event_type: EventType) -> &'static str {
    match event_type {
        EventType::WorkflowFailed | EventType::NodeFailed | EventType::ErrorOccurred => "!",
        EventType::MessageGenerated => "=",
        EventType::WorkflowStarted
        | EventType::NodeStarted
        | EventType::RetrievalStarted
        | EventType::LlmCallStarted
        | EventType::ToolCallStarted
        | EventType::ThinkingStarted => ">",
        EventType::WorkflowCompleted
        | EventType::NodeFinished
        | EventType::RetrievalCompleted
        | EventType::LlmCallCompleted
        | EventType::ToolCallCompleted
        | EventType::ThinkingCompleted => "<",
    }
}

fn paint_of(event_type: EventType) -> Paint {
    match event_type {
        EventType::WorkflowStarted | EventType::WorkflowCompleted | EventType::MessageGenerated => {
            Paint::Title
        }
        EventType::WorkflowFailed | EventType::NodeFailed | EventType::ErrorOccurred => Paint::Bad,
        _ => Paint::Plain,
    }
}

/// Formats the tokens of a call.
fn note(event: &RunEvent) -> String {
    let number = |tokens: Option<u64>| tokens.map_or_else(|| "?".to_owned(), |tokens| tokens.to_string());
    match &event.metadata.tokens {
        Some(tokens) if tokens.prompt.or(tokens.completion).is_some() => {
            format!("{}→{} tok", number(tokens.prompt), number(tokens.completion))
        }
        Some(tokens) => format!("{} tok", number(tokens.total)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use spanscope_model::{Cursor, RunInfo, RunRecords, RunSpan, RunStatus, Span, SpanState, SpanStatus};
    use spanscope_runs::{Run, RunReader};

    use super::*;
    use crate::render::fixtures::{output, span};

    fn records(spans: Vec<Span>) -> RunRecords {
        let open = spans.iter().filter(|span| span.end_time.is_none()).count();
        let stored = |(order, span)| RunSpan::new(order, span);
        RunRecords::new(
            RunInfo::new(
                "task",
                spans[0].trace_id,
                spans[0].name.clone(),
                spans[0].start_time,
                RunStatus::Completed,
            )
            .agent_id("librarian")
            .tenant_id("default")
            .updated_at(spans[0].start_time)
            .span_count(3)
            .error_count(1),
        )
        .traces(vec![spans[0].trace_id])
        .spans((1..).zip(spans).map(stored).collect())
        .upto(Cursor::default())
        .open(u64::try_from(open).unwrap_or(0))
    }

    fn agent() -> Vec<Span> {
        let mut spans = vec![
            span(1, 0, "invoke_agent", 0, 100),
            span(2, 1, "step", 10, 80),
            span(3, 2, "execute_tool", 20, 50),
        ];
        spans[0].attributes.set("gen_ai.operation.name", "invoke_agent");
        spans[2].attributes.set("gen_ai.operation.name", "execute_tool");
        spans[2].attributes.set("gen_ai.tool.name", "weather");
        spans[2].status = Some(SpanStatus::Error);
        spans[2].status_message = Some("refused".to_owned());
        spans
    }

    #[test]
    fn times_are_aligned_and_steps_are_indented_below_their_parents() {
        let records = records(agent());
        let run = Run::of(&records);
        let text = Timeline::whole(
            &output(80),
            DetailLevel::Detailed,
            false,
            &run.events(DetailLevel::Debug),
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "22:13:20.000 🚀 workflow_started    invoke_agent",
                "22:13:20.010 ▶  node_started          step",
                "22:13:20.020 🔧 tool_call_started       weather",
                "22:13:20.070 ⚙  tool_call_completed     weather    50.0ms",
                "                ✗ refused",
                "22:13:20.090 ✔  node_finished         step         80.0ms",
                "22:13:20.100 ✅ workflow_completed  invoke_agent    100ms",
            ]
        );
        let plain = Timeline::whole(
            &output(80),
            DetailLevel::Detailed,
            true,
            &run.events(DetailLevel::Debug),
        );
        let plain: Vec<&str> = plain.lines().collect();
        assert_eq!(plain[0], "22:13:20.000 >  workflow_started    invoke_agent");
        assert_eq!(
            plain[3],
            "22:13:20.070 <  tool_call_completed     weather    50.0ms"
        );
        let minimal = Timeline::whole(
            &output(80),
            DetailLevel::Minimal,
            false,
            &run.events(DetailLevel::Debug),
        );
        assert_eq!(minimal.lines().count(), 2, "{minimal}");
    }

    #[test]
    fn a_running_run_is_drawn_as_it_grows() {
        let mut spans = agent();
        let later = spans.split_off(2);
        let out = output(80);
        let mut timeline = Timeline::live(&out, DetailLevel::Detailed, false);
        let mut reader = RunReader::new();
        let first = timeline.next(&reader.read(&records(spans)));
        assert!(first.contains("  step"), "{first}");
        let next = timeline.next(&reader.read(&records(later)));
        assert!(
            next.contains("tool_call_started       weather") && !next.contains("workflow_started"),
            "{next}"
        );
    }

    #[test]
    fn hostile_names_cycles_and_narrow_terminals_keep_lines_within_the_width() {
        let hostile = "x\x1b[2J\u{202e}".repeat(40);
        let mut spans = agent();
        for number in 4..60 {
            spans.push(span(number, number - 1, &hostile, 30, 10));
        }
        spans.push(span(60, 61, "round", 30, 10));
        spans.push(span(61, 60, "and round", 30, 10));
        spans[3].status = Some(SpanStatus::Error);
        spans[3].status_message = Some(format!("{hostile}\n").repeat(200));
        spans[0].end_time = None;
        spans[0].state = SpanState::Abandoned;
        let records = records(spans);
        for (columns, level) in [
            (40, DetailLevel::Detailed),
            (80, DetailLevel::Debug),
            (200, DetailLevel::Detailed),
        ] {
            let events = Run::of(&records).events(DetailLevel::Debug);
            let out = output(columns);
            for text in [
                Timeline::whole(&out, level, false, &events),
                Timeline::live(&out, level, true).next(&events),
            ] {
                assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
                assert!(
                    text.lines().all(|line| width(line) <= columns),
                    "{columns}: {text}"
                );
                assert!(text.contains("abandoned"), "{text}");
            }
        }
    }
}
