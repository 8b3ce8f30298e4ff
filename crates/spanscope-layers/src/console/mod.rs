//! The console and the log file: the program's output for people, while it runs.
//!
//! [`ConsoleLayer`] writes to stderr, [`LogFileLayer`] appends the same text without colour to a
//! file. Both capture as every Spanscope layer does, push records into a queue, and leave rendering
//! and writing to a thread, so that a blocked terminal or a full disk never blocks the program:
//! when the queue is full, lines are dropped, counted, and reported.
//!
//! [`render`] is the pure part, from an entry to text; `spanscope tail` uses it for records that
//! other programs stored.
//!
//! Established crates provide styles (`anstyle`), the terminal's capabilities (`anstyle-query`) and
//! size (`terminal_size`), display widths (`unicode-width`), and line breaking (`textwrap`).
//! Written here, because no crate has them: rich's markup, highlighting of values in one pass
//! without regular expressions, escapes for control characters, the box around errors, limits per
//! callsite.

mod builder;
mod decode;
mod env;
mod layer;
mod limit;
mod links;
mod page;
pub mod render;
mod sink;
mod style;
mod terminal;
mod tree;
mod writer;

use render::AttributeLayout;

pub use crate::variable::VariableError;
pub use builder::{ConsoleLayerBuilder, LogFileLayerBuilder};
pub use env::ConsoleEnv;
pub use layer::{ConsoleGuard, ConsoleHandle, ConsoleLayer, LogFileLayer};
pub use limit::RateLimit;
pub use style::ConsoleStyle;
pub use terminal::{COLOR_VARIABLES, ColorChoice, WIDTH_VARIABLE};

/// The variable with the console's [`ConsoleStyle`].
pub const STYLE_VARIABLE: &str = "SPANSCOPE_CONSOLE";

/// The variable that makes the console read markup in the application's messages.
pub const MARKUP_VARIABLE: &str = "SPANSCOPE_CONSOLE_MARKUP";

/// The variable that makes the calling thread write the console's lines.
pub const SYNC_VARIABLE: &str = "SPANSCOPE_CONSOLE_SYNC";

/// The variable that switches hyperlinks of the console on or off.
pub const HYPERLINKS_VARIABLE: &str = "SPANSCOPE_CONSOLE_HYPERLINKS";

/// Maximum size of records that wait for the terminal or the file, in bytes: about 40,000 lines.
pub const DEFAULT_QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// How long dropping the guard waits for the last lines.
pub const DEFAULT_SHUTDOWN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// What is shown of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SpanDisplay {
    /// A line for the start of a span and one for its end, in the order of time, followed by as
    /// many attributes as fit. The default.
    #[default]
    Lines,
    /// As `Lines`, with each attribute on a separate line below.
    Verbose,
    /// As `Lines`, indented by depth, with the lines of each root span together once it ends:
    /// concurrent traces don't mix. Roots that take longer than 10 s, and very long ones, are shown
    /// in parts.
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
