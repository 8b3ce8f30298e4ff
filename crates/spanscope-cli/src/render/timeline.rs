//! What happened in a run when: a line an event, moved to the right by how deep its step lies.
//!
//! It also draws a run that goes on, whose later lines are not known: then columns have widths that fit most. The signs
//! of the events are those of the described service without their emoji selector: with it terminals disagree about their
//! width, and what stands behind them would not be in columns.

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
/// Where the types of events have no room, their signs have to do.
const MIN_WIDTH_FOR_TYPES: usize = 64;
/// What follows an event stands below its type.
const BELOW: usize = CLOCK + SIGN + 2;
/// Components keep so many columns, their names so many of them, and get so many at most.
const MIN_COMPONENT: usize = 12;
const MIN_NAME: usize = 8;
const MAX_COMPONENT: usize = 48;
/// While a run goes on, components and notes have so many.
const LIVE_COMPONENT: usize = 32;
const LIVE_NOTE: usize = 13;
/// What lies deeper is not moved further.
const MAX_DEPTH: usize = 8;
/// Errors and answers are cut to so many lines, unless everything is shown.
const MAX_LINES: usize = 4;
/// And to so many characters before they are laid out.
const MAX_CHARS: usize = 4_000;

type Key = (TraceId, SpanId);

/// A step, as far as its events tell.
#[derive(Debug, Clone, Copy)]
struct Place {
    parent: Option<SpanId>,
    /// It has events of its own, so it lies in the run and is not the run itself.
    is_step: bool,
}

/// Draws events.
pub(crate) struct Timeline<'a> {
    out: &'a Output,
    level: DetailLevel,
    places: HashMap<Key, Place>,
    component: usize,
    note: usize,
}

impl<'a> Timeline<'a> {
    /// For a run that goes on.
    pub(crate) fn live(out: &'a Output, level: DetailLevel) -> Self {
        let mut timeline = Self {
            out,
            level,
            places: HashMap::new(),
            component: LIVE_COMPONENT,
            note: LIVE_NOTE,
        };
        timeline.share_room();
        timeline
    }

    /// All events of a run, of all levels; those that the level shows are drawn.
    pub(crate) fn whole(out: &'a Output, level: DetailLevel, events: &[RunEvent]) -> String {
        let mut timeline = Self::live(out, level);
        timeline.learn(events);
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

    /// The lines of what happened next; those that the level shows are drawn.
    pub(crate) fn next(&mut self, events: &[RunEvent]) -> String {
        self.learn(events);
        let mut text = String::new();
        for event in events.iter().filter(|event| self.level.shows(event.event_type)) {
            self.draw(event, &mut text);
        }
        text
    }

    fn has_types(&self) -> bool {
        self.out.width >= MIN_WIDTH_FOR_TYPES
    }

    /// Notes come before the ends of long names; where they have no room, there are none.
    fn share_room(&mut self) {
        let types = if self.has_types() { TYPE + 1 } else { 0 };
        let left = self.out.width.saturating_sub(BELOW + types + 1 + DURATION);
        if left < MIN_COMPONENT + 1 + self.note {
            self.note = 0;
        }
        let note = if self.note > 0 { self.note + 1 } else { 0 };
        self.component = self.component.min(left.saturating_sub(note)).max(MIN_COMPONENT);
    }

    fn learn(&mut self, events: &[RunEvent]) {
        for event in events {
            let Some(key) = event.metadata.trace_id.zip(event.metadata.span_id) else {
                continue;
            };
            if event.event_id.starts_with("log:") {
                continue;
            }
            let place = Place {
                parent: event.metadata.parent_id,
                is_step: !is_of_the_run(event),
            };
            let known = self.places.entry(key).or_insert(place);
            known.is_step |= place.is_step;
        }
    }

    /// How many steps lie above. The walk is bounded, so that a circle does no harm.
    fn depth(&self, event: &RunEvent) -> usize {
        if is_of_the_run(event) {
            return 0;
        }
        let mut depth = 1;
        let is_log = event.event_id.starts_with("log:");
        let (Some(trace), Some(span)) = (event.metadata.trace_id, event.metadata.span_id) else {
            return depth;
        };
        // What is logged lies in its span; a step lies in its parent.
        let mut above = if is_log {
            Some(span)
        } else {
            event.metadata.parent_id
        };
        while let Some(place) = above.and_then(|span| self.places.get(&(trace, span))) {
            depth += usize::from(place.is_step);
            above = place.parent;
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
        let sign = pad(&event.event_type.icon().replace('\u{fe0f}', ""), SIGN);
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

    /// What was said; all that went in and out at the level that shows it.
    fn payload(&self, event: &RunEvent, text: &mut String) {
        if event.event_type == EventType::MessageGenerated {
            let said = event.outputs.as_ref().and_then(|outputs| outputs.get("content"));
            let said = said.map(|said| said.as_str().map_or_else(|| said.to_string(), ToOwned::to_owned));
            if let Some(said) = said {
                self.below(&said, Paint::Plain, text);
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

    /// Lines of a text below the event that it belongs to.
    fn below(&self, said: &str, paint: Paint, text: &mut String) {
        let max = match self.level {
            DetailLevel::Debug => usize::MAX,
            _ => self.out.at_most(MAX_LINES),
        };
        let part = match self.level {
            DetailLevel::Debug => said,
            _ => first_chars(said, self.out.at_most(MAX_CHARS)),
        };
        let lines = wrap(part.trim(), self.out.width.saturating_sub(BELOW + 1));
        let more = lines.len() > max || part.len() < said.len();
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

fn is_of_the_run(event: &RunEvent) -> bool {
    matches!(event.event_id.as_str(), "run:start" | "run:end")
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

/// Tokens of a call.
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
        let stored = |(order, span)| RunSpan { order, span };
        RunRecords {
            info: RunInfo {
                task_id: "task".to_owned(),
                agent_id: "librarian".to_owned(),
                session_id: String::new(),
                user_id: String::new(),
                tenant_id: "default".to_owned(),
                trace_level: String::new(),
                trace_id: spans[0].trace_id,
                name: spans[0].name.clone(),
                created_at: spans[0].start_time,
                completed_at: None,
                updated_at: spans[0].start_time,
                status: RunStatus::Completed,
                span_count: 3,
                error_count: 1,
            },
            traces: vec![spans[0].trace_id],
            is_shared: false,
            spans: (1..).zip(spans).map(stored).collect(),
            ended: Vec::new(),
            events: Vec::new(),
            upto: Cursor::default(),
            more: false,
            open: u64::try_from(open).unwrap_or(0),
            alive: false,
            has_sent: false,
        }
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
    fn events_stand_below_their_times_and_steps_below_what_they_lie_in() {
        let records = records(agent());
        let run = Run::of(&records);
        let text = Timeline::whole(
            &output(80),
            DetailLevel::Detailed,
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
        let minimal = Timeline::whole(&output(80), DetailLevel::Minimal, &run.events(DetailLevel::Debug));
        assert_eq!(minimal.lines().count(), 2, "{minimal}");
    }

    #[test]
    fn a_run_that_goes_on_is_drawn_as_it_comes() {
        let mut spans = agent();
        let later = spans.split_off(2);
        let out = output(80);
        let mut timeline = Timeline::live(&out, DetailLevel::Detailed);
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
    fn hostile_names_circles_and_narrow_terminals_keep_the_lines_in_place() {
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
                Timeline::whole(&out, level, &events),
                Timeline::live(&out, level).next(&events),
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
