//! An entry as one line of JSON.
//!
//! The escaping is our own because JSON's is not enough here: the line may be shown on a terminal,
//! so characters that a terminal interprets or hides (`\u007f`, `\u009b`, marks of writing
//! direction) are escaped too; every parser reads them back.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::tz::TimeZone;
use spanscope_model::{SpanId, TraceId, non_finite_name};

use super::entry::{Entry, EntryKind, Outcome};
use super::markup;
use super::options::RenderOptions;
use super::text::{is_hidden, is_printable_ascii};
use super::time::Clock;
use super::value::{Cut, Shown};
use spanscope_core::capture::RawValue;

/// Writes entries as JSON.
#[derive(Debug)]
pub(super) struct Json {
    clock: Clock,
    scratch: String,
}

impl Json {
    pub(super) fn new() -> Self {
        Self {
            clock: Clock::new(TimeZone::UTC, "%Y-%m-%dT%H:%M:%S"),
            scratch: String::new(),
        }
    }

    pub(super) fn write(&mut self, options: &RenderOptions, entry: &Entry<'_>, out: &mut String) {
        out.push_str("{\"timestamp\":\"");
        self.clock.push_nanos(entry.time, out);
        out.push_str("Z\",\"severity\":\"");
        out.push_str(entry.severity.as_str());
        out.push_str("\",\"kind\":\"");
        out.push_str(kind_of(&entry.kind));
        out.push('"');
        if !entry.service.is_empty() {
            push_pair(out, "service", entry.service);
        }
        push_pair(out, "target", entry.target);
        if let Some(line) = entry.line {
            let _ = write!(out, ",\"line\":{line}");
        }
        push_pair(out, "category", entry.category);
        push_kind(out, &entry.kind);
        push_id(out, "trace_id", entry.trace_id.map(|id: TraceId| id.to_string()));
        push_id(out, "span_id", entry.span_id.map(|id: SpanId| id.to_string()));
        push_id(
            out,
            "parent_span_id",
            entry.parent_span_id.map(|id: SpanId| id.to_string()),
        );
        out.push_str(",\"attributes\":{");
        let mut is_first = true;
        for (key, value) in entry.fields.iter().copied() {
            // Programs read this, so only the content policy truncates values.
            let Some(shown) = Shown::of(key, value, options, usize::MAX) else {
                continue;
            };
            if !std::mem::take(&mut is_first) {
                out.push(',');
            }
            push_text(out, key);
            out.push(':');
            self.push_value(out, &shown);
        }
        out.push_str("}}\n");
    }

    fn push_value(&mut self, out: &mut String, value: &Shown<'_>) {
        match value {
            Shown::Typed(value) => push_typed(out, *value),
            Shown::Text(text, Cut::Nothing) => push_text(out, text),
            Shown::Redacted(note) => push_text(out, note),
            Shown::Text(text, missing) => {
                self.scratch.clear();
                self.scratch.push_str(text);
                missing.push(&mut self.scratch);
                push_text(out, &self.scratch);
            }
        }
    }
}

fn kind_of(kind: &EntryKind<'_>) -> &'static str {
    match kind {
        EntryKind::Event { .. } => "event",
        EntryKind::SpanStart { .. } => "span_start",
        EntryKind::SpanEnd { .. } => "span_end",
        EntryKind::RateLimited { .. } => "held_back",
    }
}

fn push_kind(out: &mut String, kind: &EntryKind<'_>) {
    match *kind {
        EntryKind::Event {
            message,
            markup: true,
            ..
        } if message.contains('[') => push_pair(out, "message", &markup::strip(message)),
        EntryKind::Event { message, .. } => push_pair(out, "message", message),
        EntryKind::SpanStart { name } => push_pair(out, "name", name),
        EntryKind::SpanEnd {
            name,
            total,
            busy,
            outcome,
            slow,
        } => {
            push_pair(out, "name", name);
            if outcome != Outcome::Abandoned {
                push_ms(out, "duration_ms", total);
            }
            if let Some(busy) = busy {
                push_ms(out, "busy_ms", busy);
            }
            let (status, reason) = match outcome {
                Outcome::Ok => ("ok", None),
                Outcome::Failed(reason) => ("error", reason),
                Outcome::Abandoned => ("abandoned", None),
            };
            push_pair(out, "status", status);
            if let Some(reason) = reason {
                push_pair(out, "status_message", reason);
            }
            if slow {
                out.push_str(",\"slow\":true");
            }
        }
        EntryKind::RateLimited {
            lines,
            during,
            message,
        } => {
            push_pair(out, "message", message);
            let _ = write!(out, ",\"held_back\":{lines}");
            push_ms(out, "during_ms", during);
        }
    }
}

fn push_id(out: &mut String, key: &str, id: Option<String>) {
    if let Some(id) = id {
        push_pair(out, key, &id);
    }
}

fn push_pair(out: &mut String, key: &str, text: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    push_text(out, text);
}

fn push_ms(out: &mut String, key: &str, duration: Duration) {
    let _ = write!(out, ",\"{key}\":{:?}", duration.as_secs_f64() * 1e3);
}

fn push_typed(out: &mut String, value: RawValue<'_>) {
    let _ = match value {
        RawValue::Bool(value) => write!(out, "{value}"),
        RawValue::I64(value) => write!(out, "{value}"),
        RawValue::U64(value) => write!(out, "{value}"),
        RawValue::F64(value) => match non_finite_name(value) {
            None => write!(out, "{value:?}"),
            Some(name) => write!(out, "\"{name}\""),
        },
        RawValue::Text(text, _) => {
            push_text(out, text);
            Ok(())
        }
    };
}

fn push_text(out: &mut String, text: &str) {
    out.push('"');
    if is_printable_ascii(text) && !text.contains(['"', '\\']) {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if is_hidden(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
    }
    out.push('"');
}
