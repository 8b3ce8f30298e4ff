//! Entries as text: what the console, the log file and `spanscope tail` share.
//!
//! A [`Renderer`] turns an [`Entry`] into whole lines, or into one line of JSON, and does nothing else: it reads no clock, no
//! environment and no terminal, and writes nowhere but to the string it is given. The same entry under the same
//! [`Look`] is always the same text.
//!
//! What holds for any entry, whatever it was made of: it begins at the first column and every further line of it is
//! indented, so nobody can forge an entry; nothing of it is sent to the terminal as an escape code or a mark of writing
//! direction (see [`text`]); every style ends with the piece of text that has it. Only messages of the application carry
//! [`markup`]. Letters that are written from right to left stay, so a terminal may draw them and the signs beside them in
//! another order within their line.
//!
//! Styles are those of `anstyle`, widths those of `unicode-width`, lines are wrapped by `textwrap`. By hand are the
//! hyperlink's escape code, the markup, the box and the highlighter, since no well-kept crate has them; the highlighter
//! is one scanner without regular expressions, because it goes over every text that is shown.

mod canvas;
mod failure;
mod highlight;
mod json;
mod lines;
mod look;
pub mod markup;
mod text;
mod theme;
mod time;
mod value;

#[cfg(test)]
mod tests;

use std::time::Duration;

use spanscope_model::{Severity, SpanId, Timestamp, TraceId};

pub use look::{
    Color, Content, DEFAULT_MAX_VALUE_CHARS, DEFAULT_WIDTH, Format, Look, MIN_WIDTH, PREVIEW_CHARS,
};

use json::Json;
use lines::Lines;
use spanscope_core::capture::RawValue;

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
    pub what: What<'a>,
    /// Fields of the event or attributes of the span, each key once. Secrets are masked by whoever makes the entry.
    pub fields: &'a [(&'a str, RawValue<'a>)],
    /// The trace, for JSON.
    pub trace_id: Option<TraceId>,
    /// The span, for JSON.
    pub span_id: Option<SpanId>,
    /// The span's parent, for JSON.
    pub parent_span_id: Option<SpanId>,
    /// How deep it is in its tree, in a mode that shows trees; else 0.
    pub depth: usize,
    /// Names of the spans around it, innermost first; the box of an error shows them.
    pub spans: &'a [&'a str],
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    /// An event.
    Event {
        /// Its text.
        message: &'a str,
        /// Whether the application wrote the text: then [`markup`] is read, and its lines stay lines. Of other texts
        /// markup is shown as it is, and line ends as escapes.
        markup: bool,
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

/// Turns entries into text.
///
/// ```
/// use spanscope_core::capture::RawValue;
/// use spanscope_layers::console::render::{Entry, Look, Renderer, What};
/// use spanscope_model::{Severity, Timestamp};
///
/// let mut out = String::new();
/// Renderer::new(Look::new().width(80)).render(
///     &Entry {
///         severity: Severity::Info,
///         time: Timestamp::from_nanos(1_764_000_202_123_000_000),
///         target: "my_app::agents",
///         line: Some(42),
///         service: "",
///         category: "agents",
///         what: What::Event { message: "planning [bold]the answer[/bold]", markup: true },
///         fields: &[("steps", RawValue::U64(3)), ("model", RawValue::Text("tiny", None))],
///         trace_id: None,
///         span_id: None,
///         parent_span_id: None,
///         depth: 0,
///         spans: &[],
///     },
///     &mut out,
/// );
/// assert_eq!(
///     out,
///     "INFO     16:03:22.123 my_app::agents:42 agents: planning the answer steps=3\n         model=tiny\n"
/// );
/// ```
#[derive(Debug)]
pub struct Renderer {
    look: Look,
    lines: Lines,
    json: Json,
}

impl Renderer {
    /// A renderer that shows entries like this.
    #[must_use]
    pub fn new(look: Look) -> Self {
        Self {
            lines: Lines::new(&look),
            json: Json::new(),
            look,
        }
    }

    /// Takes another width: the terminal has changed.
    pub fn set_width(&mut self, columns: usize) {
        self.look.width = columns.max(look::MIN_WIDTH);
    }

    /// Appends the entry: whole lines, each ended by `\n`. It changes nothing of itself but buffers.
    pub fn render(&mut self, entry: &Entry<'_>, out: &mut String) {
        match self.look.format {
            Format::Text => self.lines.write(&self.look, entry, out),
            Format::Json => self.json.write(&self.look, entry, out),
        }
    }
}
