//! The box below an event that carries an error, as rich shows tracebacks: the error, its causes, the spans it happened
//! in, and the backtrace where one was captured.

use std::fmt::Write as _;

use spanscope_core::capture::RawValue;
use spanscope_model::semconv::SemanticAttribute as A;
use spanscope_model::text::first_chars;

use super::canvas::Canvas;
use super::entry::Entry;
use super::text::{cut_and_count, push_visible};
use super::theme::Ink;

const MESSAGE: &str = A::ExceptionMessage.name();
const TYPE: &str = A::ExceptionType.name();
const CHAIN: &str = A::ExceptionChain.name();

/// Fields that hold several lines, and what stands above them.
const TRACES: [(&str, &str); 3] = [
    ("span_trace", "span trace"),
    (A::ExceptionStacktrace.name(), "stack trace"),
    ("backtrace", "backtrace"),
];

/// So many causes, spans, or lines of a backtrace are shown; what is left is counted.
const MAX_CAUSES: usize = 32;
const MAX_SPANS: usize = 16;
const MAX_TRACE_LINES: usize = 64;

/// What an event says about its error.
pub(super) struct Failure<'a> {
    message: &'a str,
    title: &'a str,
}

impl<'a> Failure<'a> {
    /// The error among the fields, if there is one.
    pub(super) fn of(fields: &[(&'a str, RawValue<'a>)]) -> Option<Self> {
        let message = text_of(fields, MESSAGE)?;
        let title = text_of(fields, TYPE).filter(|title| !title.is_empty());
        Some(Self {
            message,
            title: title.unwrap_or("error"),
        })
    }

    /// What stands in the upper edge.
    pub(super) fn title(&self) -> &'a str {
        self.title
    }

    /// Whether the box shows this field, under its own name or as the field that the error was given to.
    pub(super) fn shows(&self, key: &str, value: RawValue<'_>) -> bool {
        matches!(key, MESSAGE | TYPE | CHAIN)
            || TRACES.iter().any(|(trace, _)| *trace == key)
            || (!self.message.is_empty() && value.as_text() == Some(self.message))
    }

    /// Writes what is inside of the box.
    pub(super) fn write(&self, entry: &Entry<'_>, max_chars: usize, canvas: &mut Canvas) {
        let (message, total) = cut_and_count(self.message, max_chars);
        for line in message.lines() {
            canvas.begin_line(0, 0);
            canvas.push_highlighted(line);
        }
        if total.is_some() {
            canvas.push("…", Ink::Dim);
        }
        let causes = text_of(entry.fields, CHAIN).unwrap_or_default();
        if !causes.is_empty() {
            canvas.begin_line(0, 0);
            canvas.push("caused by", Ink::Dim);
        }
        for (number, cause) in causes.lines().enumerate().take(MAX_CAUSES) {
            canvas.begin_line(2, 5);
            // Writing to a string can't fail.
            let _ = write!(canvas.text_mut(), "{}: ", number + 1);
            canvas.paint(Ink::Dim);
            canvas.push_highlighted(first_chars(cause, max_chars));
        }
        more(canvas, causes.lines().count(), MAX_CAUSES, "causes");
        for name in entry.spans.iter().take(MAX_SPANS) {
            canvas.begin_line(0, 3);
            canvas.push("in ", Ink::Dim);
            canvas.push_cut(name, max_chars, Ink::Name);
        }
        more(canvas, entry.spans.len(), MAX_SPANS, "spans");
        for (key, heading) in TRACES {
            if let Some(trace) = text_of(entry.fields, key).filter(|trace| !trace.is_empty()) {
                canvas.begin_line(0, 0);
                canvas.push(heading, Ink::Dim);
                write_trace(canvas, trace, max_chars);
            }
        }
    }
}

/// Writes the lines of a trace with their own indents, which tell frames from places.
fn write_trace(canvas: &mut Canvas, trace: &str, max_chars: usize) {
    for line in trace.lines().take(MAX_TRACE_LINES) {
        let text = line.trim_start_matches([' ', '\t']);
        let blanks = &line[..line.len() - text.len()];
        let indent = 2 + blanks
            .bytes()
            .map(|byte| if byte == b'\t' { 4 } else { 1 })
            .sum::<usize>()
            .min(12);
        canvas.begin_line(indent, indent + 2);
        push_visible(canvas.text_mut(), first_chars(text, max_chars));
        canvas.paint(Ink::Plain);
    }
    more(canvas, trace.lines().count(), MAX_TRACE_LINES, "lines");
}

fn more(canvas: &mut Canvas, count: usize, shown: usize, what: &str) {
    if count > shown {
        canvas.begin_line(2, 2);
        let _ = write!(canvas.text_mut(), "… {} more {what}", count - shown);
        canvas.paint(Ink::Dim);
    }
}

fn text_of<'a>(fields: &[(&'a str, RawValue<'a>)], key: &str) -> Option<&'a str> {
    let found = fields.iter().rev().find(|(have, _)| *have == key);
    found.and_then(|(_, value)| value.as_text())
}
