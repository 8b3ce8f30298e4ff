//! How entries are shown: every switch of the renderer, with its default.

use jiff::tz::TimeZone;

/// Columns of a line where nothing else is known: what the described system takes.
pub const DEFAULT_WIDTH: usize = 120;

/// A narrower line is taken to be as wide as this; less would leave no room beside the level.
pub const MIN_WIDTH: usize = 20;

/// Longer values are cut after so many characters.
pub const DEFAULT_MAX_VALUE_CHARS: usize = 1000;

/// So many digits of a trace id name it on a line: a prefix, which the command takes as it is. Ids of ours begin with
/// 8 digits for the second, so 4 more tell the traces of one second apart.
pub const SHORT_TRACE_ID_DIGITS: usize = 12;

/// So many characters of a content value are a preview of it.
pub const PREVIEW_CHARS: usize = 120;

/// Which colours the reader of the text can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// None: not one escape code is written.
    #[default]
    None,
    /// The sixteen of every terminal; other colours of markup become the nearest of them.
    Ansi16,
    /// All of them.
    TrueColor,
}

/// Where the attributes of a span are shown in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttributeLayout {
    /// Behind the span's name as `key=value`, as far as they fit the line (the next line, where a start leaves
    /// no room): a text is cut to a quarter of the width, and the attributes that don't fit are counted.
    #[default]
    Inline,
    /// Each on a line of its own below, cut after the most characters of a value.
    Below,
}

/// Text for people or lines for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Lines as Python's rich shows them.
    #[default]
    Text,
    /// One JSON object per entry and line.
    Json,
}

/// What is shown of prompts, completions, tool arguments and the like (see [`is_content`](spanscope_model::semconv::is_content)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentPolicy {
    /// Nothing, not even the key.
    None,
    /// How long it is and a hash: equal contents can be told from different ones. The hash is FNV-1a with 64 bits, which
    /// has no key: who can guess a short content can check the guess.
    Redacted,
    /// The first [`PREVIEW_CHARS`] characters.
    #[default]
    Preview,
    /// As every other value.
    Full,
}

/// How entries are shown.
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
    /// All defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Columns of a line; default [`DEFAULT_WIDTH`], at least [`MIN_WIDTH`]. JSON lines are as long as they are.
    #[must_use]
    pub fn width(mut self, columns: usize) -> Self {
        self.width = columns.max(MIN_WIDTH);
        self
    }

    /// The colours; default none. JSON lines have none.
    #[must_use]
    pub fn color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    /// The zone of the times; default UTC. JSON lines have UTC always.
    #[must_use]
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// Whether the date stands before the time; default no.
    #[must_use]
    pub fn date(mut self, date: bool) -> Self {
        self.date = date;
        self
    }

    /// Text or JSON lines; default text.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Where the attributes of spans are shown; default behind the name. JSON has all of them.
    #[must_use]
    pub fn attributes(mut self, attributes: AttributeLayout) -> Self {
        self.attributes = attributes;
        self
    }

    /// Longer values are cut after so many characters, in text only; default [`DEFAULT_MAX_VALUE_CHARS`].
    #[must_use]
    pub fn max_value_chars(mut self, characters: usize) -> Self {
        self.max_value_chars = characters;
        self
    }

    /// What is shown of contents; default a preview.
    #[must_use]
    pub fn content(mut self, content: ContentPolicy) -> Self {
        self.content = content;
        self
    }
}
