//! Variables of the environment with a few accepted values.
//!
//! The variables are read by calls that say so in their names; nothing here reads the environment
//! by itself.

use std::fmt;

use spanscope_model::text::first_chars;

/// A variable of the environment has a value that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableError {
    name: &'static str,
    input: String,
    accepted: String,
}

impl VariableError {
    /// Creates the error of a variable from its name, its value, and what to write in its place.
    #[must_use]
    pub fn new(name: &'static str, input: &str, accepted: impl Into<String>) -> Self {
        Self {
            name,
            input: first_chars(input, 60).to_owned(),
            accepted: accepted.into(),
        }
    }

    /// Returns the variable's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the first 60 characters of its value.
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Returns what is accepted in its place, as a sentence.
    #[must_use]
    pub fn accepted(&self) -> &str {
        &self.accepted
    }
}

impl fmt::Display for VariableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}: {}", self.name, self.input, self.accepted)
    }
}

impl std::error::Error for VariableError {}

/// Returns a variable's value; a blank one counts as not set.
#[cfg(feature = "console")]
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    (!value.trim().is_empty()).then_some(value)
}

/// Returns the value of a variable that switches something on or off.
#[cfg(feature = "console")]
pub(crate) fn flag(name: &'static str) -> Result<Option<bool>, VariableError> {
    let Some(text) = variable(name) else {
        return Ok(None);
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(Some(true)),
        "0" | "false" => Ok(Some(false)),
        _ => Err(VariableError::new(name, &text, "use one of 1 true 0 false")),
    }
}
