//! Filters from the command line: parsed, shown with the position of an error, and checked for
//! typos in their keys.

use std::collections::HashSet;
use std::fmt;

use anyhow::Result;
use clap::CommandFactory as _;
use spanscope_model::filter::{Filter, FilterError, FilterField, FilterTest, TraceField, resource_key};
use spanscope_model::text::nearest;
use spanscope_model::{TraceStore, block_on};

use crate::args::Args;
use crate::failure::Stop;
use crate::remark::remark;
use crate::render::text::{visible, width};

/// Number of newest spans whose keys are searched before a key counts as unknown.
const NEWEST_SPANS: u64 = 20_000;
/// Maximum number of columns of a filter that are shown before the position of an error.
const BEFORE: usize = 60;
/// Maximum number of characters that are shown after it.
const AFTER: usize = 40;

/// A filter as the user typed it, and remarks on interpretations that may surprise.
#[derive(Debug, Default)]
pub(crate) struct TypedFilter {
    /// All terms of all texts.
    pub(crate) filter: Filter,
    read_as: Vec<String>,
}

impl TypedFilter {
    /// Reads the filter of a command, and the texts of its flag `--where`.
    pub(crate) fn read(filter: Option<&str>, conditions: &[String]) -> Result<Self> {
        let mut typed = Self::default();
        if let Some(text) = filter {
            // A filter may begin with `-`, so a typo in the name of a flag is parsed as one.
            if text.starts_with("--") {
                return Err(unknown_flag(text));
            }
            typed.filter = text.parse().map_err(|error| wrong(text, error))?;
        }
        for text in conditions {
            let filter = Filter::parse_where(text).map_err(|error| wrong(text, error))?;
            if text.parse::<Filter>().is_ok_and(|plain| plain != filter) {
                typed
                    .read_as
                    .push(format!("--where {text:?} is read as {filter}"));
            }
            typed.filter.terms.extend(filter.terms);
        }
        Ok(typed)
    }

    /// Reports keys that no recent span has, if they may explain the result: if nothing was found,
    /// or if a term also matches spans without its key.
    pub(crate) fn remark_unknown_keys(&self, store: &dyn TraceStore, is_empty: bool) -> Result<()> {
        if is_empty {
            self.read_as.iter().for_each(remark);
        }
        let has_negated_comparison = |filter: &Filter| {
            let terms = filter.terms.iter();
            terms
                .filter(|term| term.negated)
                .any(|term| matches!(term.test, FilterTest::Compare(_)))
        };
        if !(is_empty || has_negated_comparison(&self.filter))
            || self.filter.attribute_keys().next().is_none()
        {
            return Ok(());
        }
        let known = block_on(store.attribute_keys(NEWEST_SPANS))?;
        let known: HashSet<&str> = known.iter().map(String::as_str).collect();
        if known.is_empty() {
            return Ok(());
        }
        let fields = FilterField::ALL.iter().map(|field| field.as_str());
        let numbers = TraceField::ALL.iter().map(|field| field.as_str());
        let names: Vec<&str> = known.iter().copied().chain(fields).chain(numbers).collect();
        let mut reported = HashSet::new();
        for key in self.filter.attribute_keys() {
            if known.contains(key) || known.contains(resource_key(key)) || !reported.insert(key) {
                continue;
            }
            let suggestion = match nearest(resource_key(key), names.iter().copied()) {
                Some(suggestion) => format!(": did you mean {}?", visible(suggestion)),
                None => String::new(),
            };
            remark(format_args!(
                "no attribute of the newest spans is called {}{suggestion}",
                visible(key)
            ));
        }
        Ok(())
    }
}

fn unknown_flag(text: &str) -> anyhow::Error {
    let command = Args::command();
    let lists = command
        .get_subcommands()
        .filter(|command| matches!(command.get_name(), "traces" | "spans" | "logs"));
    let flags: Vec<String> = lists
        .flat_map(|command| command.get_arguments())
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect();
    let name = text.split('=').next().unwrap_or_default();
    let suggestion = match nearest(name, flags.iter().map(String::as_str)) {
        Some(suggestion) => format!("did you mean {suggestion}?"),
        None => "--help lists the flags".to_owned(),
    };
    Stop::usage(format!("unknown flag {name}: {suggestion}"))
}

/// An invalid filter, with the position of the error.
#[derive(Debug)]
pub(crate) struct WrongFilter {
    text: String,
    error: FilterError,
}

fn wrong(text: &str, error: FilterError) -> anyhow::Error {
    Stop::Filter(WrongFilter {
        text: text.to_owned(),
        error,
    })
    .into()
}

/// The error, the text, and a caret below the position. It has several lines, in which no input can
/// move the cursor.
impl fmt::Display for WrongFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.text.split_at(self.error.position());
        let (before, after) = (visible(before), visible(after));
        let mut start = before.len();
        for (at, _) in before.char_indices().rev() {
            if width(&before[at..]) > BEFORE {
                break;
            }
            start = at;
        }
        let dots = if start > 0 { "…" } else { "" };
        let before = &before[start..];
        let end = after.char_indices().nth(AFTER).map_or(after.len(), |(at, _)| at);
        let more = if end < after.len() { "…" } else { "" };
        let column = width(dots) + width(before);
        write!(
            f,
            "{}\n  {dots}{before}{}{more}\n  {:column$}^",
            visible(&self.error.to_string()),
            &after[..end],
            ""
        )
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn shown(text: &str) -> String {
        let error = TypedFilter::read(Some(text), &[]).unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_caret_marks_the_position_of_the_error() {
        assert_eq!(
            shown("duration>1s status=eror"),
            "at byte 19: expected ok or error, found \"eror\": did you mean \"error\"?\n  \
             duration>1s status=eror\n  \
             \x20                  ^"
        );
        let wide = shown("名=日本 status=x");
        let lines: Vec<&str> = wide.lines().collect();
        assert_eq!(width(lines[2]), width("  名=日本 status=") + 1, "{wide}");
    }

    #[test]
    fn a_long_filter_is_truncated_and_its_control_characters_are_escaped() {
        let text = format!("a=\"{}\u{1b}[2J\" status=x {}", "b".repeat(500), "c".repeat(500));
        let shown = shown(&text);
        assert_eq!(shown.lines().count(), 3, "{shown}");
        let widths: Vec<usize> = shown.lines().map(width).collect();
        assert!(widths[0] < 200, "the message quotes an excerpt: {shown}");
        assert!(widths[1] < 80 && widths[2] < 80, "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
