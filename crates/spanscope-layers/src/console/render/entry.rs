//! The renderer's input: an [`Entry`] describes what happened and borrows all of its texts, so that
//! the console, the log file and `spanscope tail` can create one from any source.
//!
//! Nothing here decides how an entry looks.

use std::time::Duration;

use spanscope_core::capture::RawValue;
use spanscope_model::{Severity, SpanId, Timestamp, TraceId};

/// One entry: an event, the start or the end of a span.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The severity.
    pub severity: Severity,
    /// When it happened.
    pub time: Timestamp,
    /// `tracing`'s target; may be empty.
    pub target: &'a str,
    /// The source line, shown after the target.
    pub line: Option<u32>,
    /// The URL that target and line link to, where the text has colours; it has to be escaped.
    pub link: Option<&'a str>,
    /// The service, if several are shown together; else empty.
    pub service: &'a str,
    /// The category. An empty one and `uncategorized` are not shown.
    pub category: &'a str,
    /// What happened.
    pub kind: EntryKind<'a>,
    /// Fields of the event or attributes of the span, each key once. The caller masks secrets.
    pub fields: &'a [(&'a str, RawValue<'a>)],
    /// The trace. JSON always has it, text if [`names_trace`](Self::names_trace) is set.
    pub trace_id: Option<TraceId>,
    /// The span, for JSON.
    pub span_id: Option<SpanId>,
    /// The span's parent, for JSON.
    pub parent_span_id: Option<SpanId>,
    /// Whether text shows the first [`SHORT_TRACE_ID_DIGITS`](super::SHORT_TRACE_ID_DIGITS) digits
    /// of the trace id.
    pub names_trace: bool,
    /// The name of the event's span, shown before its text if events of several traces interleave;
    /// else empty.
    pub span_name: &'a str,
    /// Its depth in its tree, in a mode that shows trees; else 0.
    pub depth: usize,
    /// Names of its ancestors, innermost first; the box of an error shows them.
    pub spans: &'a [&'a str],
}

/// What happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum EntryKind<'a> {
    /// An event.
    Event {
        /// Its text.
        message: &'a str,
        /// Whether the text is [`markup`](super::markup). A message is literal unless it requests
        /// markup, because a literal can't be distinguished from a text with inserted data.
        markup: bool,
        /// Whether the application wrote the text: its lines are then kept. Line ends of other
        /// texts are escaped.
        keeps_lines: bool,
    },
    /// The start of a span.
    SpanStart {
        /// Its name.
        name: &'a str,
    },
    /// The end of a span.
    SpanEnd {
        /// Its name.
        name: &'a str,
        /// The time from its start to its end.
        total: Duration,
        /// The time during which it was entered, if known.
        busy: Option<Duration>,
        /// The outcome.
        outcome: Outcome<'a>,
        /// Whether it exceeded the threshold for slow spans.
        slow: bool,
    },
    /// Entries of a callsite were suppressed by its rate limit; shown as a warning.
    RateLimited {
        /// The number of suppressed entries.
        lines: u64,
        /// The time span.
        during: Duration,
        /// The text of one of them.
        message: &'a str,
    },
}

/// The outcome of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// Success.
    Ok,
    /// Failure, with the reason if it is known.
    Failed(Option<&'a str>),
    /// The process ended before the span did.
    Abandoned,
}
