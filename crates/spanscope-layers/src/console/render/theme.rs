//! The styles of rich's default theme, each with its precomputed escape code.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Reset, Style};
use spanscope_model::Severity;

const fn fg(color: AnsiColor) -> Style {
    color.on_default()
}

macro_rules! theme {
    ($($ink:ident = $style:expr;)*) => {
        /// A style with a meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Ink {
            $($ink,)*
        }

        const STYLES: &[Style] = &[$($style,)*];
    };
}

theme! {
    Plain = Style::new();
    Dim = Style::new().dimmed();
    Category = fg(AnsiColor::Cyan);
    Verbose = Style::new().dimmed();
    Debug = fg(AnsiColor::Green);
    Info = fg(AnsiColor::Blue);
    Warn = fg(AnsiColor::Yellow);
    Error = fg(AnsiColor::Red).bold();
    Critical = fg(AnsiColor::Red).bold().invert();
    Bracket = fg(AnsiColor::Magenta).bold();
    Name = Style::new().bold();
    Reason = fg(AnsiColor::Red);
    Number = fg(AnsiColor::Cyan).bold();
    Text = fg(AnsiColor::Green);
    True = fg(AnsiColor::BrightGreen).italic();
    False = fg(AnsiColor::BrightRed).italic();
    Nothing = fg(AnsiColor::Magenta).italic();
    Url = fg(AnsiColor::BrightBlue).underline();
    Uuid = fg(AnsiColor::BrightYellow);
    Ip = fg(AnsiColor::BrightGreen).bold();
    Path = fg(AnsiColor::Magenta);
    File = fg(AnsiColor::BrightMagenta);
}

impl Ink {
    pub(super) const fn style(self) -> Style {
        STYLES[self as usize]
    }

    /// Returns the style of a level.
    pub(super) fn of(severity: Severity) -> Self {
        match severity {
            Severity::Verbose => Self::Verbose,
            Severity::Debug => Self::Debug,
            Severity::Info => Self::Info,
            Severity::Warn => Self::Warn,
            Severity::Error => Self::Error,
            Severity::Critical => Self::Critical,
        }
    }
}

/// The escape codes of the theme; empty without colours.
#[derive(Debug)]
pub(super) struct Palette {
    codes: Vec<String>,
    reset: String,
}

impl Palette {
    pub(super) fn new(colored: bool) -> Self {
        if !colored {
            return Self {
                codes: Vec::new(),
                reset: String::new(),
            };
        }
        Self {
            codes: STYLES.iter().map(|style| style.render().to_string()).collect(),
            reset: Reset.render().to_string(),
        }
    }

    /// Appends the text in this style.
    pub(super) fn push(&self, out: &mut String, text: &str, ink: Ink) {
        match self.codes.get(ink as usize) {
            Some(code) if !code.is_empty() && !text.is_empty() => {
                out.push_str(code);
                out.push_str(text);
                out.push_str(&self.reset);
            }
            _ => out.push_str(text),
        }
    }

    /// Appends the text in a style from markup.
    pub(super) fn push_styled(&self, out: &mut String, text: &str, style: Style) {
        if style.is_plain() || self.codes.is_empty() {
            return out.push_str(text);
        }
        // Writing to a string can't fail.
        let _ = write!(out, "{}{text}{}", style.render(), self.reset);
    }
}
