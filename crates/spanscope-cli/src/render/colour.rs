//! The few colours that have a meaning.

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
        let code = match self {
            Self::Plain => "",
            Self::Bad => "31",
            Self::Warn => "33",
            Self::Good => "32",
            Self::Dim => "2",
            Self::Title => "1",
            Self::Accent => "36",
        };
        if on && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
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
