//! The options of the renderer, with their defaults.

use jiff::tz::TimeZone;

/// The default width in columns, as in Llama Stack.
pub const DEFAULT_WIDTH: usize = 120;

/// Minimum width in columns; less would leave no room next to the level.
pub const MIN_WIDTH: usize = 20;

/// Maximum length of a value in characters; longer ones are truncated.
pub const DEFAULT_MAX_VALUE_CHARS: usize = 1000;

/// The number of digits of a trace id on a line: a prefix that the command accepts. Our ids begin
/// with 8 digits for the second, so 4 more distinguish the traces of one second.
pub const SHORT_TRACE_ID_DIGITS: usize = 12;

/// The length of the preview of content, in characters.
pub const PREVIEW_CHARS: usize = 120;

/// The colours that the output supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Color {
    /// No colours: no escape codes are written.
    #[default]
    None,
    /// The sixteen colours of every terminal; other colours of markup are mapped to the nearest.
    Ansi16,
    /// All colours.
    TrueColor,
}

/// Where the attributes of a span are shown in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AttributeLayout {
    /// After the span's name as `key=value`, as far as they fit the line (the next line, if a start
    /// leaves no room): a string is truncated to a quarter of the width, and the attributes that
    /// don't fit are counted.
    #[default]
    Inline,
    /// Each on a separate line below, truncated to the maximum length of a value.
    Below,
}

/// Text for people or lines for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// Lines in the style of Python's rich.
    #[default]
    Text,
    /// One JSON object per entry and line.
    Json,
}

/// How much of prompts, completions, tool arguments and other content is shown (see
/// [`is_content`](spanscope_model::semconv::is_content)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ContentPolicy {
    /// Nothing, not even the key.
    None,
    /// The length and a hash: equal contents have equal hashes. The hash is 64-bit
    /// FNV-1a without a key: a short content can be found by guessing.
    Redacted,
    /// The first [`PREVIEW_CHARS`] characters.
    #[default]
    Preview,
    /// Like every other value.
    Full,
}

/// The options of a [`Renderer`](super::Renderer).
///
/// ```
/// use spanscope_layers::console::render::{Color, RenderOptions};
/// let options = RenderOptions::new().width(80).color(Color::Ansi16);
/// ```
#[derive(Debug, Clone)]
pub struct RenderOptions {
    pub(super) width: usize,
    pub(super) color: Color,
    pub(super) zone: TimeZone,
    pub(super) date: bool,
    pub(super) format: Format,
    pub(super) attributes: AttributeLayout,
    pub(super) max_value_chars: usize,
    pub(super) content: ContentPolicy,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            width: DEFAULT_WIDTH,
            color: Color::default(),
            zone: TimeZone::UTC,
            date: false,
            format: Format::default(),
            attributes: AttributeLayout::default(),
            max_value_chars: DEFAULT_MAX_VALUE_CHARS,
            content: ContentPolicy::default(),
        }
    }
}

impl RenderOptions {
    /// Creates the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the width of a line in columns; default [`DEFAULT_WIDTH`], at least [`MIN_WIDTH`]. JSON
    /// lines are not limited.
    #[must_use]
    pub fn width(mut self, columns: usize) -> Self {
        self.width = columns.max(MIN_WIDTH);
        self
    }

    /// Sets the colours; default none. JSON lines have none.
    #[must_use]
    pub fn color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    /// Sets the time zone; default UTC. JSON lines are always in UTC.
    #[must_use]
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// Sets whether the date precedes the time; default no.
    #[must_use]
    pub fn date(mut self, date: bool) -> Self {
        self.date = date;
        self
    }

    /// Sets text or JSON lines; default text.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Sets where the attributes of spans are shown; default after the name. JSON has all of them.
    #[must_use]
    pub fn attributes(mut self, attributes: AttributeLayout) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the maximum length of a value in characters, in text only; default
    /// [`DEFAULT_MAX_VALUE_CHARS`].
    #[must_use]
    pub fn max_value_chars(mut self, characters: usize) -> Self {
        self.max_value_chars = characters;
        self
    }

    /// Sets how much of content is shown; default a preview.
    #[must_use]
    pub fn content(mut self, content: ContentPolicy) -> Self {
        self.content = content;
        self
    }
}
