//! The console's style in one word, and the variables that set it without code.
//!
//! The variables are read by calls that say so; nothing here looks at the environment by itself.

use std::fmt;
use std::str::FromStr;

use spanscope_model::ParseEnumError;
use spanscope_model::text::first_chars;

/// The variable with the console's [`ConsoleStyle`].
pub const STYLE_VARIABLE: &str = "SPANSCOPE_CONSOLE";

/// The variable that has the console read markup in the application's messages.
pub const MARKUP_VARIABLE: &str = "SPANSCOPE_CONSOLE_MARKUP";

/// The variable that has the calling thread write the console's lines.
pub const SYNC_VARIABLE: &str = "SPANSCOPE_CONSOLE_SYNC";

/// What the console shows, in one word: what `SPANSCOPE_CONSOLE` and a file of settings name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ConsoleStyle {
    /// A line where a span starts and one where it ends, and a line an event. The default.
    #[default]
    Lines,
    /// The same, with each attribute of a span on a line of its own below, whole.
    Verbose,
    /// Events without the lines of spans.
    Events,
    /// Lines indented by depth, those of each root span together.
    Tree,
    /// One JSON object a line.
    Json,
    /// Nothing.
    Off,
}

impl ConsoleStyle {
    /// All styles.
    pub const ALL: &'static [Self] = &[
        Self::Lines,
        Self::Verbose,
        Self::Events,
        Self::Tree,
        Self::Json,
        Self::Off,
    ];

    const ACCEPTED: &'static str = "lines verbose events tree json off";

    /// The word that stands for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Verbose => "verbose",
            Self::Events => "events",
            Self::Tree => "tree",
            Self::Json => "json",
            Self::Off => "off",
        }
    }

    /// Reads `SPANSCOPE_CONSOLE`; `None` where it is not set or blank.
    ///
    /// # Errors
    /// The variable names no style.
    pub fn try_from_env() -> Result<Option<Self>, VariableError> {
        let Some(text) = variable(STYLE_VARIABLE) else {
            return Ok(None);
        };
        let style = text.trim().parse();
        style
            .map(Some)
            .map_err(|_: ParseEnumError| VariableError::new(STYLE_VARIABLE, &text, Self::ACCEPTED))
    }
}

impl fmt::Display for ConsoleStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ConsoleStyle {
    type Err = ParseEnumError;

    /// Parses the word; ASCII case is ignored.
    fn from_str(text: &str) -> Result<Self, ParseEnumError> {
        let mut all = Self::ALL.iter();
        let found = all.find(|style| text.eq_ignore_ascii_case(style.as_str()));
        found
            .copied()
            .ok_or_else(|| ParseEnumError::new("style of the console", text, Self::ACCEPTED))
    }
}

/// A variable of the console has a value that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableError {
    name: &'static str,
    input: String,
    accepted: &'static str,
}

impl VariableError {
    fn new(name: &'static str, input: &str, accepted: &'static str) -> Self {
        Self {
            name,
            input: first_chars(input, 60).to_owned(),
            accepted,
        }
    }

    /// The variable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The first 60 characters of its value.
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }

    /// What is accepted in its place.
    #[must_use]
    pub fn accepted(&self) -> String {
        format!("use one of {}", self.accepted)
    }
}

impl fmt::Display for VariableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}: {}", self.name, self.input, self.accepted())
    }
}

impl std::error::Error for VariableError {}

/// Reads `SPANSCOPE_CONSOLE_MARKUP`: whether the console reads markup in all of the application's messages. `None` where
/// it is not set or blank.
///
/// # Errors
/// The variable has another value than `1`, `true`, `0` or `false`.
pub fn markup_from_env() -> Result<Option<bool>, VariableError> {
    flag(MARKUP_VARIABLE)
}

/// Reads `SPANSCOPE_CONSOLE_SYNC`: whether the calling thread writes the console's lines, see
/// [`ConsoleLayerBuilder::synchronous`](super::ConsoleLayerBuilder::synchronous). `None` where it is not set or blank.
///
/// # Errors
/// The variable has another value than `1`, `true`, `0` or `false`.
pub fn sync_from_env() -> Result<Option<bool>, VariableError> {
    flag(SYNC_VARIABLE)
}

fn flag(name: &'static str) -> Result<Option<bool>, VariableError> {
    let Some(text) = variable(name) else {
        return Ok(None);
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(Some(true)),
        "0" | "false" => Ok(Some(false)),
        _ => Err(VariableError::new(name, &text, "1 true 0 false")),
    }
}

/// A variable's value; blank is as good as not set.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    (!value.trim().is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_style_has_a_word_that_is_read_back() {
        let words: Vec<&str> = ConsoleStyle::ALL.iter().map(|style| style.as_str()).collect();
        assert_eq!(words.join(" "), ConsoleStyle::ACCEPTED);
        for style in ConsoleStyle::ALL {
            assert_eq!(style.as_str().to_uppercase().parse(), Ok(*style));
        }
        assert!("quiet".parse::<ConsoleStyle>().is_err());
    }
}
