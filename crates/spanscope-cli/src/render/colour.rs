//! The few colours that have a meaning.

use anstyle::{AnsiColor, Style};
use comfy_table::Color;

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Nothing special.
    Plain,
    /// Something failed.
    Bad,
    /// Something may become a problem, or is not over.
    Warn,
    /// All is well.
    Good,
    /// Beside the point.
    Dim,
    /// What a block is about.
    Title,
    /// A measure to see at a glance.
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

    /// The colour as tables have it.
    pub(super) fn of_cell(self) -> Option<Color> {
        match self {
            Self::Plain | Self::Title => None,
            Self::Bad => Some(Color::DarkRed),
            Self::Warn => Some(Color::DarkYellow),
            Self::Good => Some(Color::DarkGreen),
            Self::Dim => Some(Color::DarkGrey),
            Self::Accent => Some(Color::DarkCyan),
        }
    }
}
