//! The console's settings in the environment.

use super::render::Color;
use super::style::ConsoleStyle;
use super::terminal;
use super::{ColorChoice, HYPERLINKS_VARIABLE, MARKUP_VARIABLE, STYLE_VARIABLE, SYNC_VARIABLE};
use crate::variable::{VariableError, flag, variable};

/// The console's settings in the environment, for
/// [`ConsoleLayerBuilder::env`](super::ConsoleLayerBuilder::env).
///
/// | variable | meaning |
/// |---|---|
/// | `SPANSCOPE_CONSOLE` | a [`ConsoleStyle`] |
/// | `SPANSCOPE_CONSOLE_MARKUP` | whether all messages of the application are markup |
/// | `SPANSCOPE_CONSOLE_SYNC` | whether the recording thread writes the lines |
/// | `SPANSCOPE_CONSOLE_HYPERLINKS` | whether target and line link to the source; default: on a terminal that is known to show hyperlinks |
/// | `LLAMA_STACK_LOG_WIDTH` | columns of a line |
/// | `NO_COLOR`, `FORCE_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, `TERM`, `COLORTERM` | colours |
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ConsoleEnv {
    /// `SPANSCOPE_CONSOLE`.
    pub style: Option<ConsoleStyle>,
    /// `SPANSCOPE_CONSOLE_MARKUP`.
    pub markup: Option<bool>,
    /// `SPANSCOPE_CONSOLE_SYNC`.
    pub synchronous: Option<bool>,
    /// `SPANSCOPE_CONSOLE_HYPERLINKS`.
    pub hyperlinks: Option<bool>,
    /// `LLAMA_STACK_LOG_WIDTH`.
    pub width: Option<usize>,
    pub(super) color: Option<ColorChoice>,
    pub(super) lacks_colors: bool,
    pub(super) depth: Option<Color>,
    pub(super) shows_hyperlinks: bool,
    problems: Vec<VariableError>,
}

impl ConsoleEnv {
    /// Reads the variables. Those with an invalid value count as not set, and are listed in
    /// [`problems`](Self::problems).
    #[must_use]
    pub fn from_env() -> Self {
        let mut problems = Vec::new();
        Self {
            style: kept(style(), &mut problems),
            markup: kept(flag(MARKUP_VARIABLE), &mut problems),
            synchronous: kept(flag(SYNC_VARIABLE), &mut problems),
            hyperlinks: kept(flag(HYPERLINKS_VARIABLE), &mut problems),
            width: kept(terminal::width_from_env(), &mut problems),
            color: terminal::choice_from_env(),
            lacks_colors: !terminal::terminal_has_colors(),
            depth: terminal::depth_from_env(),
            shows_hyperlinks: terminal::shows_hyperlinks(|name| std::env::var(name).ok()),
            problems,
        }
    }

    /// Reads the variables.
    ///
    /// # Errors
    /// A variable has a value that is not accepted.
    pub fn try_from_env() -> Result<Self, VariableError> {
        let mut read = Self::from_env();
        if read.problems.is_empty() {
            Ok(read)
        } else {
            Err(read.problems.swap_remove(0))
        }
    }

    /// Returns the variables with an invalid value.
    #[must_use]
    pub fn problems(&self) -> &[VariableError] {
        &self.problems
    }

    /// Removes and returns the problems, for a caller that reports them itself.
    #[must_use]
    pub fn take_problems(&mut self) -> Vec<VariableError> {
        std::mem::take(&mut self.problems)
    }
}

fn kept<T>(read: Result<Option<T>, VariableError>, problems: &mut Vec<VariableError>) -> Option<T> {
    read.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    })
}

fn style() -> Result<Option<ConsoleStyle>, VariableError> {
    let Some(text) = variable(STYLE_VARIABLE) else {
        return Ok(None);
    };
    let style = text.trim().parse().map(Some);
    style.map_err(|_| {
        let accepted = format!("use one of {}", ConsoleStyle::ACCEPTED);
        VariableError::new(STYLE_VARIABLE, &text, accepted)
    })
}
