//! What is said about a value that can't be used: errors for code, warnings for text from outside.
//!
//! Text from outside may be long and hostile. What is quoted of it is cut and escaped, so that a warning can't forge a
//! line or restyle a terminal, and however many bad parts a value has, few warnings come of it.

use std::fmt;

use spanscope_model::text::nearest;

/// So many bad parts of one value are warned about one by one; the rest is counted.
pub const MAX_WARNINGS: usize = 10;

/// So many characters of a bad part are quoted.
pub(super) const QUOTED_CHARS: usize = 60;

/// Something in a value from outside (`LLAMA_STACK_LOGGING`, `RUST_LOG`, a configuration file) that changed nothing.
///
/// Shown, it quotes the bad part, says what is accepted, and guesses what was meant:
///
/// ```
/// use spanscope_layers::{Categories, Levels};
/// let warnings = Levels::new().set_pairs(&Categories::new(), "LLAMA_STACK_LOGGING", "server=dbug");
/// assert_eq!(
///     warnings[0].to_string(),
///     "LLAMA_STACK_LOGGING: `server=dbug`: unknown level `dbug`, did you mean `debug`? \
///      accepted: trace, debug, info, warn, error, critical, off"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelWarning {
    source: &'static str,
    message: String,
}

impl LevelWarning {
    pub(super) fn new(source: &'static str, message: String) -> Self {
        Self { source, message }
    }

    /// Where the value came from, as it was given to the one who read it.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }
}

impl fmt::Display for LevelWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.message)
    }
}

/// Collects the warnings about one value and stops before there are too many.
pub(super) struct Warnings {
    source: &'static str,
    list: Vec<LevelWarning>,
    left_out: usize,
}

impl Warnings {
    pub(super) fn new(source: &'static str) -> Self {
        Self {
            source,
            list: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds one about a part. The message is only made where it is kept: looking for a likely name costs time.
    pub(super) fn add<T: fmt::Display>(&mut self, part: &str, message: impl FnOnce() -> T) {
        if self.list.len() < MAX_WARNINGS {
            let message = format!("`{}`: {}", quoted(part), message());
            self.list.push(LevelWarning::new(self.source, message));
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn finish(mut self) -> Vec<LevelWarning> {
        if self.left_out > 0 {
            let message = match self.left_out {
                1 => "and 1 more part like these".to_owned(),
                more => format!("and {more} more parts like these"),
            };
            self.list.push(LevelWarning::new(self.source, message));
        }
        self.list
    }
}

/// A category name that is neither one of the known ones nor a finer name (`core::routers`) under one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCategory {
    message: String,
}

impl UnknownCategory {
    pub(super) fn new<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let first = name.split("::").next().unwrap_or_default();
        let known: Vec<&str> = known.collect();
        let message = format!(
            "unknown category `{}`{} known: all, {}",
            quoted(name),
            guess(first, known.iter().copied()),
            known.join(", ")
        );
        Self { message }
    }
}

impl fmt::Display for UnknownCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UnknownCategory {}

/// A name that can't be a category's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCategoryName {
    message: String,
}

impl BadCategoryName {
    pub(super) fn new(name: &str, reason: &str) -> Self {
        let message = format!("`{}` can't be a category: {reason}", quoted(name));
        Self { message }
    }
}

impl fmt::Display for BadCategoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadCategoryName {}

/// A text from outside as it may be shown: cut, and without anything that a terminal would obey.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::new();
    for (index, letter) in text.chars().enumerate() {
        if index == QUOTED_CHARS {
            shown.push('…');
            break;
        }
        match letter {
            '\'' | '"' | '\\' => shown.push(letter),
            _ => shown.extend(letter.escape_debug()),
        }
    }
    shown
}

/// `, did you mean ...?`, or `;` where no known name is near.
pub(super) fn guess<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!(", did you mean `{near}`?"),
        None => ";".to_owned(),
    }
}
