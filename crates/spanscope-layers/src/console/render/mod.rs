//! Rendering of entries as text: shared by the console, the log file and `spanscope tail`.
//!
//! A [`Renderer`] turns an [`Entry`] into whole lines, or into one line of JSON: it reads no clock,
//! no environment and no terminal, and writes only to the given string. The same entry under the
//! same [`RenderOptions`] is always the same text.
//!
//! Guarantees for any input: an entry begins at the first column and every further line of it is
//! indented, so data can't forge an entry; no data reaches the terminal as an escape code or a mark
//! of writing direction (see `text.rs`); every style ends with its piece of text. Only messages
//! that request it are [`markup`]. Letters that are written from right to left are kept, so a
//! terminal may reorder them and adjacent punctuation within their line.
//!
//! Styles are `anstyle`'s, widths `unicode-width`'s, and `textwrap` wraps lines. Written here are
//! the hyperlink's escape code, the markup, the box and the highlighter, because no established
//! crate has them; the highlighter is one scanner without regular expressions, because every shown
//! text passes it.

mod canvas;
mod entry;
mod error_text;
mod failure;
mod highlight;
mod json;
mod lines;
pub mod markup;
mod options;
mod text;
mod theme;
mod time;
mod value;

#[cfg(test)]
mod tests;

pub use entry::{Entry, EntryKind, Outcome};
pub use options::{
    AttributeLayout, Color, ContentPolicy, DEFAULT_MAX_VALUE_CHARS, DEFAULT_WIDTH, Format, MIN_WIDTH,
    PREVIEW_CHARS, RenderOptions, SHORT_TRACE_ID_DIGITS,
};

use json::Json;
use lines::Lines;

/// Renders entries as text.
///
/// ```
/// use spanscope_core::capture::RawValue;
/// use spanscope_layers::console::render::{Entry, RenderOptions, Renderer, EntryKind};
/// use spanscope_model::{Severity, Timestamp};
///
/// let mut out = String::new();
/// Renderer::new(RenderOptions::new().width(80)).render(
///     &Entry {
///         severity: Severity::Info,
///         time: Timestamp::from_nanos(1_764_000_202_123_000_000),
///         target: "my_app::agents",
///         line: Some(42),
///         link: None,
///         service: "",
///         category: "agents",
///         kind: EntryKind::Event { message: "planning [bold]the answer[/bold]", markup: true, keeps_lines: true },
///         fields: &[("steps", RawValue::U64(3)), ("model", RawValue::Text("tiny", None))],
///         trace_id: None,
///         span_id: None,
///         parent_span_id: None,
///         names_trace: false,
///         span_name: "",
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
    options: RenderOptions,
    lines: Lines,
    json: Json,
}

impl Renderer {
    /// Creates a renderer with these options.
    #[must_use]
    pub fn new(options: RenderOptions) -> Self {
        Self {
            lines: Lines::new(&options),
            json: Json::new(),
            options,
        }
    }

    /// Changes the width, after the terminal's changed.
    pub fn set_width(&mut self, columns: usize) {
        self.options.width = columns.max(options::MIN_WIDTH);
    }

    /// Appends the entry: whole lines, each ended by `\n`. Only buffers of the renderer change.
    pub fn render(&mut self, entry: &Entry<'_>, out: &mut String) {
        match self.options.format {
            Format::Text => self.lines.write(&self.options, entry, out),
            Format::Json => self.json.write(&self.options, entry, out),
        }
    }
}
