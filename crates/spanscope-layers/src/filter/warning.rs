//! Errors for code and warnings for external text about invalid values.
//!
//! External text may be long and hostile. Quoted parts are truncated and escaped, so that a warning
//! can't forge a line or restyle a terminal, and the number of warnings is bounded.

use std::fmt;

use spanscope_model::text::nearest;

/// Maximum number of invalid parts of one value with a warning each; the rest is counted.
pub const MAX_WARNINGS: usize = 10;

/// Maximum number of quoted characters of an invalid part.
pub(super) const QUOTED_CHARS: usize = 60;

/// An invalid part of an external value (`LLAMA_STACK_LOGGING`, `RUST_LOG`, a configuration file),
/// which changed nothing.
///
/// Its `Display` quotes the part, lists the accepted values, and suggests a correction:
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

    /// Returns the origin of the value, as passed to the parser.
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

impl std::error::Error for LevelWarning {}

/// Collects the warnings about one value up to their limit.
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

    /// Adds a warning about a part. The message is only created if it is kept: searching for a
    /// similar name takes time.
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

/// The error of a category name that is neither known nor a finer name (`core::routers`) under a
/// known one.
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

/// The error of a name that can't be a category's.
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

/// Returns external text in a form that is safe to show: truncated and escaped.
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

/// Returns `, did you mean ...?`, or `;` if no known name is similar.
pub(super) fn guess<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!(", did you mean `{near}`?"),
        None => ";".to_owned(),
    }
}
