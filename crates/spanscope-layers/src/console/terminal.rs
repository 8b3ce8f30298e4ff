//! Properties of the terminal: whether there is one, its width, its colours.

use std::io::IsTerminal as _;

use super::render::Color;
use crate::variable::{VariableError, variable};

/// The variable with the width of lines, as in Llama Stack.
pub const WIDTH_VARIABLE: &str = "LLAMA_STACK_LOG_WIDTH";

/// The variables about colours that [`ConsoleEnv`](super::ConsoleEnv) reads in addition to `TERM`
/// and `COLORTERM`.
pub const COLOR_VARIABLES: [&str; 4] = ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"];

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ColorChoice {
    /// If the output is a terminal. The default.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Returns the setting of `NO_COLOR`, `FORCE_COLOR`, `CLICOLOR_FORCE` and `CLICOLOR`, in this
    /// order; else `Never` if `TERM` names a terminal without colours, and `Auto` for any other.
    #[must_use]
    pub fn from_env() -> Self {
        match choice_from_env() {
            Some(choice) => choice,
            None if terminal_has_colors() => Self::Auto,
            None => Self::Never,
        }
    }
}

/// Returns the columns of stderr's terminal; `None` if it is not a terminal.
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stderr()).map(|(columns, _)| usize::from(columns.0))
}

pub(super) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Returns the setting of the usual variables: `NO_COLOR` has priority over `FORCE_COLOR` and
/// `CLICOLOR_FORCE`, these over `CLICOLOR`; `None` if none is set.
pub(super) fn choice_from_env() -> Option<ColorChoice> {
    // `anstyle_query` is not used here: it reads `CLICOLOR_FORCE=0` as yes, and does not know
    // `FORCE_COLOR`.
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

/// Returns whether `TERM` names a terminal with colours.
pub(super) fn terminal_has_colors() -> bool {
    anstyle_query::term_supports_color()
}

/// Returns the supported colours; `None` if no variable names them.
pub(super) fn depth_from_env() -> Option<Color> {
    anstyle_query::truecolor().then_some(Color::TrueColor)
}

/// Returns whether the variables name a terminal that is known to show hyperlinks (OSC 8). Other
/// terminals ignore them, or print the escape code as text, so an unknown one gets none.
pub(super) fn shows_hyperlinks(variable: impl Fn(&str) -> Option<String>) -> bool {
    let term = variable("TERM").unwrap_or_default();
    // A multiplexer sets the variables of the terminal around it and may not pass links on.
    if term == "dumb" || term.starts_with("screen") || term.starts_with("tmux") {
        return false;
    }
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let by_term = ["alacritty", "foot", "wezterm", "xterm-ghostty", "xterm-kitty"];
    let by_program = [
        "ghostty",
        "Hyper",
        "iTerm.app",
        "rio",
        "vscode",
        "WezTerm",
        "WarpTerminal",
    ];
    by_term.iter().any(|known| term.starts_with(known))
        || variable("TERM_PROGRAM").is_some_and(|program| by_program.contains(&program.as_str()))
        // GNOME's terminals have them since 0.50, Windows Terminal and Konsole set their own names.
        || variable("VTE_VERSION").is_some_and(|version| version.parse().is_ok_and(|version: u32| version >= 5000))
        || is_set("WT_SESSION")
        || is_set("KONSOLE_VERSION")
}

/// Reads `LLAMA_STACK_LOG_WIDTH`.
pub(super) fn width_from_env() -> Result<Option<usize>, VariableError> {
    let Some(value) = variable(WIDTH_VARIABLE) else {
        return Ok(None);
    };
    let text = value.trim();
    match text.parse() {
        Ok(columns) if columns > 0 => Ok(Some(columns)),
        _ => Err(VariableError::new(
            WIDTH_VARIABLE,
            text,
            "it must be a number of columns, like 100; the terminal's width is used",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(variables: &[(&str, &str)]) -> bool {
        shows_hyperlinks(|name| {
            let mut all = variables.iter();
            all.find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn known_terminals_show_hyperlinks_and_no_other_does() {
        assert!(shows(&[("TERM", "xterm-kitty")]));
        assert!(shows(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")]));
        assert!(shows(&[("TERM", "xterm-256color"), ("VTE_VERSION", "7603")]));
        assert!(shows(&[("WT_SESSION", "7a1f")]));
        assert!(!shows(&[]));
        assert!(!shows(&[("TERM", "xterm-256color")]));
        assert!(!shows(&[("TERM", "linux"), ("VTE_VERSION", "4205")]));
        assert!(!shows(&[("TERM", "dumb"), ("TERM_PROGRAM", "vscode")]));
        assert!(!shows(&[("TERM", "tmux-256color"), ("TERM_PROGRAM", "WezTerm")]));
        assert!(!shows(&[
            ("TERM", "xterm-256color"),
            ("TERM_PROGRAM", "Apple_Terminal")
        ]));
    }
}
