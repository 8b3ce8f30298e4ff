//! The console's style, as one word in an environment variable or a configuration file.

use std::fmt;
use std::str::FromStr;

use spanscope_model::ParseEnumError;

/// The style of the console: the value of `SPANSCOPE_CONSOLE` and of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ConsoleStyle {
    /// A line for the start of a span, one for its end, and one for each event. The default.
    #[default]
    Lines,
    /// As `Lines`, with each attribute of a span in full on a separate line below.
    Verbose,
    /// Events without the lines of spans.
    Events,
    /// As `Lines`, indented by depth. The lines of each root span are printed together.
    Tree,
    /// One JSON object per line.
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

    pub(super) const ACCEPTED: &'static str = "lines verbose events tree json off";

    /// Returns its text form.
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
}

impl fmt::Display for ConsoleStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ConsoleStyle {
    type Err = ParseEnumError;

    /// Parses the text form; ASCII case is ignored.
    fn from_str(text: &str) -> Result<Self, ParseEnumError> {
        let mut all = Self::ALL.iter();
        let found = all.find(|style| text.eq_ignore_ascii_case(style.as_str()));
        found
            .copied()
            .ok_or_else(|| ParseEnumError::new("style of the console", text, Self::ACCEPTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_style_is_parsed_from_its_name() {
        let words: Vec<&str> = ConsoleStyle::ALL.iter().map(|style| style.as_str()).collect();
        assert_eq!(words.join(" "), ConsoleStyle::ACCEPTED);
        for style in ConsoleStyle::ALL {
            assert_eq!(style.as_str().to_uppercase().parse(), Ok(*style));
        }
        assert!("quiet".parse::<ConsoleStyle>().is_err());
    }
}
