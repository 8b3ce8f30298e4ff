//! What the renderer shows: an [`Entry`] says what happened and borrows all of its texts, so that
//! the console, the log file and `spanscope tail` make one from whatever they read.
//!
//! Nothing here knows how an entry looks.

use std::time::Duration;

use spanscope_core::capture::RawValue;
use spanscope_model::{Severity, SpanId, Timestamp, TraceId};

/// What is shown as one: an event, the start or the end of a span.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// How serious it is.
    pub severity: Severity,
    /// When it happened.
    pub time: Timestamp,
    /// `tracing`'s target; empty where there is none.
    pub target: &'a str,
    /// The line of the source, shown behind the target.
    pub line: Option<u32>,
    /// The service, where several are shown together; else empty.
    pub service: &'a str,
    /// The category. An empty one and `uncategorized` are not shown, since they would tell nothing.
    pub category: &'a str,
    /// What happened.
    pub kind: EntryKind<'a>,
    /// Fields of the event or attributes of the span, each key once. The caller masks secrets.
    pub fields: &'a [(&'a str, RawValue<'a>)],
    /// The trace. JSON has it always, text where [`names_trace`](Self::names_trace) says so.
    pub trace_id: Option<TraceId>,
    /// The span, for JSON.
    pub span_id: Option<SpanId>,
    /// The span's parent, for JSON.
    pub parent_span_id: Option<SpanId>,
    /// Whether text shows the first [`SHORT_TRACE_ID_DIGITS`](super::SHORT_TRACE_ID_DIGITS) digits of the trace.
    pub names_trace: bool,
    /// The span that an event happened in, shown before its text where events of several traces interleave; else empty.
    pub span_name: &'a str,
    /// How deep it is in its tree, in a mode that shows trees; else 0.
    pub depth: usize,
    /// Names of the spans around it, innermost first; the box of an error shows them.
    pub spans: &'a [&'a str],
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum EntryKind<'a> {
    /// An event.
    Event {
        /// Its text.
        message: &'a str,
        /// Whether the text is [`markup`](super::markup). A message is data unless it asks to be markup, because a text
        /// that holds data can't be told from a literal.
        markup: bool,
        /// Whether the application wrote the text: then its lines stay lines. Line ends of other texts are escapes.
        keeps_lines: bool,
    },
    /// A span began.
    SpanStart {
        /// Its name.
        name: &'a str,
    },
    /// A span ended.
    SpanEnd {
        /// Its name.
        name: &'a str,
        /// From its start to its end.
        total: Duration,
        /// How long it was entered, where that is known.
        busy: Option<Duration>,
        /// How it ended.
        outcome: Outcome<'a>,
        /// Whether it took longer than spans should.
        slow: bool,
    },
    /// A callsite that floods was held back; shown as a warning.
    HeldBack {
        /// How many entries are missing.
        lines: u64,
        /// In how much time.
        during: Duration,
        /// The text of one of them.
        message: &'a str,
    },
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Well.
    Ok,
    /// It failed, and why, where that is known.
    Failed(Option<&'a str>),
    /// Its process went away before it ended.
    Abandoned,
}
