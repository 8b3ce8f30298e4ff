//! The console and the log file: what the program says, for people, while it runs.
//!
//! [`ConsoleLayer`] writes to stderr, [`LogFileLayer`] appends the same text without colour to a file. Both listen as
//! every layer of ours does, push records into a queue, and leave rendering and writing to a thread, so that a blocked
//! terminal or a full disk never holds up the program: when the queue is full, lines are dropped, counted, and said.
//!
//! [`render`] is the pure half, from an entry to text; `spanscope tail` shows what other programs stored through the
//! same functions.
//!
//! What well-kept crates do: styles (`anstyle`), what the terminal can show (`anstyle-query`), its size
//! (`terminal_size`), display widths (`unicode-width`), where lines may break (`textwrap`). Written here, because none
//! does it: reading rich's markup, highlighting values in one pass without regular expressions, making control
//! characters visible, the box around errors, limits by callsite.

mod builder;
mod decode;
mod layer;
mod limit;
mod page;
pub mod render;
mod sink;
mod style;
mod terminal;
mod tree;
mod writer;

use render::AttributeLayout;

pub use builder::{ConsoleLayerBuilder, LogFileLayerBuilder};
pub use layer::{ConsoleGuard, ConsoleHandle, ConsoleLayer, LogFileLayer};
pub use limit::RateLimit;
pub use style::{
    ConsoleStyle, MARKUP_VARIABLE, STYLE_VARIABLE, SYNC_VARIABLE, VariableError, markup_from_env,
    sync_from_env,
};
pub use terminal::{COLOR_VARIABLES, ColorChoice, WIDTH_VARIABLE};

/// Lines that may wait for the terminal or the file, in bytes of records: about 40,000.
pub const DEFAULT_QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// How long dropping the guard waits for the last lines.
pub const DEFAULT_SHUTDOWN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// What is shown of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpanDisplay {
    /// A line where a span begins and one where it ends, in the order of time, with its attributes behind it as far as
    /// they fit the line. The default.
    #[default]
    Lines,
    /// The same, with each attribute on a line of its own below.
    Verbose,
    /// The same, indented by depth, the lines of each root span together once it ends: traces that run side by side
    /// don't mix. Roots that take longer than 10 s, and very long ones, come in parts.
    Tree,
    /// Events only.
    Events,
}

impl SpanDisplay {
    fn attributes(self) -> AttributeLayout {
        if self == Self::Verbose {
            AttributeLayout::Below
        } else {
            AttributeLayout::Inline
        }
    }

    fn is_tree(self) -> bool {
        self == Self::Tree
    }

    fn shows_spans(self) -> bool {
        self != Self::Events
    }

    fn depth(self, depth: usize) -> usize {
        if self.is_tree() { depth } else { 0 }
    }
}
