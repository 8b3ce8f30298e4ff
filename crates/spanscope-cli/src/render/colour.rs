//! Colours, by the meaning of a text.

use anstyle::{AnsiColor, Style};

/// The meaning of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Nothing special.
    Plain,
    /// Something failed.
    Bad,
    /// Something may become a problem, or is not over.
    Warn,
    /// Something succeeded.
    Good,
    /// Secondary text.
    Dim,
    /// A block's title.
    Title,
    /// An id, a bar or a graph.
    Accent,
}

impl Paint {
    /// Colours the text, if colours are `on`.
    pub(crate) fn on(self, on: bool, text: &str) -> String {
        let style = self.style();
        if on && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Dim => Style::new().dimmed(),
            Self::Title => Style::new().bold(),
            Self::Accent => AnsiColor::Cyan.on_default(),
        }
    }
}
