//! The box below an event with an error, like rich's tracebacks: the error, its causes, its spans,
//! and the backtrace if one was captured.

use std::borrow::Cow;
use std::fmt::Write as _;

use spanscope_core::capture::RawValue;
use spanscope_model::Severity;
use spanscope_model::semconv::{self, SemanticAttribute as A};
use spanscope_model::text::first_chars;

use super::canvas::Canvas;
use super::entry::{Entry, EntryKind, Outcome};
use super::error_text::{ErrorText, lists_causes, literal_with_lines, with_lines};
use super::text::{cut_and_count, push_visible};
use super::theme::Ink;
use super::value::Cut;

const MESSAGE: &str = A::ExceptionMessage.name();
const TYPE: &str = A::ExceptionType.name();
const CHAIN: &str = A::ExceptionChain.name();

/// Multi-line fields, and their headings.
const TRACES: [(&str, &str); 3] = [
    ("span_trace", "span trace"),
    (A::ExceptionStacktrace.name(), "stack trace"),
    ("backtrace", "backtrace"),
];

/// Maximum number of causes, spans, or backtrace lines that are shown; the rest is counted.
const MAX_CAUSES: usize = 32;
const MAX_SPANS: usize = 16;
const MAX_TRACE_LINES: usize = 64;

/// The error of an entry.
pub(super) struct Failure<'a> {
    /// Its text as the program recorded it.
    source: &'a str,
    /// The text with its lines.
    text: Cow<'a, str>,
    title: &'a str,
    /// Whether the event has the attributes of an exception, which `tracing` provides for `&dyn
    /// Error`.
    is_exception: bool,
    /// The original length in bytes, if capture has truncated the text.
    cut_from: Option<u64>,
}

impl<'a> Failure<'a> {
    /// Returns the error of the entry, if it is shown in a box: an exception, or a multi-line text
    /// of an error.
    pub(super) fn of(entry: &Entry<'a>) -> Option<Self> {
        match entry.kind {
            EntryKind::Event {
                message, keeps_lines, ..
            } => Self::exception(entry.fields)
                .or_else(|| Self::in_fields(entry.fields))
                .or_else(|| Self::in_message(message).filter(|_| !keeps_lines && is_error(entry, message))),
            EntryKind::SpanStart { .. } => Self::in_fields(entry.fields),
            EntryKind::SpanEnd { outcome, .. } => Self::in_fields(entry.fields).or_else(|| match outcome {
                Outcome::Failed(Some(reason)) => Self::in_message(reason),
                _ => None,
            }),
            EntryKind::RateLimited { .. } => None,
        }
    }

    fn exception(fields: &[(&'a str, RawValue<'a>)]) -> Option<Self> {
        let (source, cut_from) = text_of(fields, MESSAGE)?;
        let title = text_of(fields, TYPE).map(|(title, _)| title);
        Some(Self {
            source,
            text: Cow::Borrowed(source),
            title: title.filter(|title| !title.is_empty()).unwrap_or("error"),
            is_exception: true,
            cut_from,
        })
    }

    /// Returns the last of the fields with a multi-line text of an error, as `error = ?error`
    /// records it.
    fn in_fields(fields: &[(&'a str, RawValue<'a>)]) -> Option<Self> {
        fields.iter().rev().find_map(|(key, value)| {
            let RawValue::Text(source, cut_from) = *value else {
                return None;
            };
            let names_error = semconv::find(key).is_some_and(|found| found.meaning == A::PlainError);
            let text = if names_error {
                with_lines(source)
            } else {
                Cow::Borrowed(source)
            };
            let has_lines = names_error && text.contains('\n') || lists_causes(&text);
            has_lines.then_some(Self {
                source,
                text,
                title: "error",
                is_exception: false,
                cut_from,
            })
        })
    }

    fn in_message(source: &'a str) -> Option<Self> {
        let text = literal_with_lines(source);
        text.contains('\n').then_some(Self {
            source,
            text,
            title: "error",
            is_exception: false,
            cut_from: None,
        })
    }

    /// Returns the title in the upper edge.
    pub(super) fn title(&self) -> &'a str {
        self.title
    }

    /// Returns a text that ends with the error, up to the error's first line, if the box has the
    /// other lines.
    pub(super) fn first_line_of(&self, text: &str) -> Option<String> {
        let before = text.strip_suffix(self.source)?;
        let mut lines = self.text.trim().lines();
        let first = lines.next()?;
        (lines.next().is_some() && !before.contains('\n')).then(|| format!("{before}{first}"))
    }

    /// Returns whether the box shows this field, under its own name or as the field with the error.
    pub(super) fn shows(&self, key: &str, value: RawValue<'_>) -> bool {
        let is_detail = self.is_exception && matches!(key, MESSAGE | TYPE | CHAIN);
        is_detail
            || TRACES.iter().any(|(trace, _)| *trace == key)
            || (!self.source.is_empty() && value.as_text() == Some(self.source))
    }

    /// Writes the inside of the box.
    pub(super) fn write(&self, entry: &Entry<'_>, max_chars: usize, canvas: &mut Canvas) {
        let chain = text_of(entry.fields, CHAIN).filter(|_| self.is_exception);
        let chain = chain.map(|(chain, _)| chain).unwrap_or_default();
        let mut read = match chain {
            "" => ErrorText::read(&self.text),
            _ => ErrorText {
                message: &self.text,
                ..ErrorText::default()
            },
        };
        read.causes.extend(chain.lines().map(ToOwned::to_owned));
        let (message, total) = cut_and_count(read.message, max_chars);
        for line in message.lines() {
            begin_indented(canvas, line, 0);
            canvas.push_highlighted(line.trim_start_matches([' ', '\t']));
        }
        if total.is_some() {
            canvas.push("…", Ink::Dim);
        }
        if !read.causes.is_empty() {
            canvas.begin_line(0, 0);
            canvas.push("caused by", Ink::Dim);
        }
        for (number, cause) in read.causes.iter().enumerate().take(MAX_CAUSES) {
            canvas.begin_line(2, 5);
            // Writing to a string can't fail.
            let _ = write!(canvas.text_mut(), "{}: ", number + 1);
            canvas.paint(Ink::Dim);
            for (number, line) in first_chars(cause, max_chars).lines().enumerate() {
                if number > 0 {
                    canvas.begin_line(5, 5);
                }
                canvas.push_highlighted(line);
            }
        }
        more(canvas, read.causes.len(), MAX_CAUSES, "causes");
        for name in entry.spans.iter().take(MAX_SPANS) {
            canvas.begin_line(0, 3);
            canvas.push("in ", Ink::Dim);
            canvas.push_cut(name, max_chars, Ink::Name);
        }
        more(canvas, entry.spans.len(), MAX_SPANS, "spans");
        let traces = TRACES.iter().filter_map(|(key, heading)| {
            let (trace, _) = text_of(entry.fields, key)?;
            Some((*heading, trace))
        });
        for (heading, trace) in read.sections.iter().copied().chain(traces) {
            if !trace.is_empty() {
                canvas.begin_line(0, 0);
                canvas.push(heading, Ink::Dim);
                write_trace(canvas, trace, max_chars);
            }
        }
        if let Some(bytes) = self.cut_from {
            canvas.begin_line(0, 0);
            Cut::Bytes(bytes).push(canvas.text_mut());
            canvas.paint(Ink::Dim);
        }
    }
}

/// Returns whether a message that the application did not write itself is an error.
fn is_error(entry: &Entry<'_>, message: &str) -> bool {
    entry.severity >= Severity::Error || lists_causes(message)
}

/// Begins a line with the text's indentation.
fn begin_indented(canvas: &mut Canvas, line: &str, indent: usize) {
    let text = line.trim_start_matches([' ', '\t']);
    let blanks = &line[..line.len() - text.len()];
    let columns = blanks.bytes().map(|byte| if byte == b'\t' { 4 } else { 1 });
    let columns = columns.sum::<usize>().min(12);
    let hang = if columns + indent > 0 {
        columns + indent + 2
    } else {
        0
    };
    canvas.begin_line(indent + columns, hang);
}

/// Writes the lines of a trace with their own indents, which distinguish frames from locations.
fn write_trace(canvas: &mut Canvas, trace: &str, max_chars: usize) {
    for line in trace.lines().take(MAX_TRACE_LINES) {
        begin_indented(canvas, line, 2);
        let text = line.trim_start_matches([' ', '\t']);
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

/// Returns the text of a key, and its original length in bytes if capture has truncated it.
fn text_of<'a>(fields: &[(&'a str, RawValue<'a>)], key: &str) -> Option<(&'a str, Option<u64>)> {
    let (_, value) = fields.iter().rev().find(|(have, _)| *have == key)?;
    match *value {
        RawValue::Text(text, cut_from) => Some((text, cut_from)),
        _ => None,
    }
}
