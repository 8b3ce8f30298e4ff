//! What is known of the terminal: whether there is one, how wide it is, which colours it shows.

use std::io::IsTerminal as _;

use spanscope_model::text::first_chars;

use super::render::Color;

/// The variable with the width of lines (seed 3).
pub const WIDTH_VARIABLE: &str = "LLAMA_STACK_LOG_WIDTH";

/// The variables that [`ConsoleLayerBuilder::env`](super::ConsoleLayerBuilder::env) reads about colours, beside `TERM`
/// and `COLORTERM`.
pub const COLOR_VARIABLES: [&str; 4] = ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"];

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// Where the output is a terminal. The default.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Returns what `NO_COLOR`, `FORCE_COLOR`, `CLICOLOR_FORCE` and `CLICOLOR` ask for, in this order;
    /// else `Never` where `TERM` names a terminal without colours, and `Auto` where it names another.
    #[must_use]
    pub fn from_env() -> Self {
        match choice_from_env() {
            Some(choice) => choice,
            None if terminal_has_colors() => Self::Auto,
            None => Self::Never,
        }
    }
}

/// The columns of the terminal that stderr is; `None` where it is none.
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stderr()).map(|(columns, _)| usize::from(columns.0))
}

pub(super) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// What the usual switches say: `NO_COLOR` before `FORCE_COLOR` and `CLICOLOR_FORCE`, these before `CLICOLOR`, that before a
/// terminal that can't; `None` where nothing is said.
pub(super) fn choice_from_env() -> Option<ColorChoice> {
    // By hand, because `anstyle_query` takes `CLICOLOR_FORCE=0`, which says no, for a yes, and knows no `FORCE_COLOR`.
    let forces = |name| {
        let value = std::env::var_os(name).unwrap_or_default();
        !value.is_empty() && value != "0" && value != "false"
    };
    if anstyle_query::no_color() {
        Some(ColorChoice::Never)
    } else if forces("FORCE_COLOR") || forces("CLICOLOR_FORCE") {
        Some(ColorChoice::Always)
    } else if anstyle_query::clicolor() == Some(false) {
        Some(ColorChoice::Never)
    } else {
        None
    }
}

/// Whether `TERM` names a terminal that shows colours.
pub(super) fn terminal_has_colors() -> bool {
    anstyle_query::term_supports_color()
}

/// How many colours are used where some are; `None` where nothing is said.
pub(super) fn depth_from_env() -> Option<Color> {
    anstyle_query::truecolor().then_some(Color::TrueColor)
}

/// What `LLAMA_STACK_LOG_WIDTH` says; an error quotes what is no width.
pub(super) fn width_from_env() -> Result<Option<usize>, String> {
    let Some(value) = std::env::var_os(WIDTH_VARIABLE) else {
        return Ok(None);
    };
    let text = value.to_string_lossy();
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(columns) if columns > 0 => Ok(Some(columns)),
        _ => {
            let shown = first_chars(text, 60);
            Err(format!(
                "{WIDTH_VARIABLE} is {shown:?}: it must be a number of columns, like 100; the terminal's width is used"
            ))
        }
    }
}
