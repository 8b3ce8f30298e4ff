//! The output: the format, the terminal's width and colours, the time zone.
//!
//! Every command writes to stdout through [`Output`], so that a closed pipe is distinguished from
//! other failures in one place.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use jiff::tz::TimeZone;
use serde::Serialize;
use spanscope_layers::console::ColorChoice;

use crate::args::{Format, OutputArgs};
use crate::failure::Stop;
use crate::render::text::is_hidden;

/// Columns of a terminal that does not report its width.
const DEFAULT_WIDTH: usize = 80;
/// The width of pipes and files: nothing is cut and nothing is wrapped, so that a search finds a
/// row or an entry whole, on one line.
const UNBOUNDED: usize = 1 << 30;

/// How to show a result.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The format.
    pub(crate) format: Format,
    /// Whether colours may be used.
    pub(crate) colour: bool,
    /// The maximum width of a line in columns.
    pub(crate) width: usize,
    /// The time zone of shown times, and of input without its own.
    pub(crate) zone: TimeZone,
}

impl Output {
    /// Reads the terminal and its environment variables.
    pub(crate) fn new(args: &OutputArgs) -> Self {
        Self {
            format: if args.json { Format::Json } else { args.format },
            colour: colour_wanted(),
            width: known_width().unwrap_or_else(|| match io::stdout().is_terminal() {
                true => DEFAULT_WIDTH,
                false => UNBOUNDED,
            }),
            zone: if args.utc {
                TimeZone::UTC
            } else {
                TimeZone::system()
            },
        }
    }

    /// Whether texts are cut and wrapped. They are not in pipes and files, unless `COLUMNS` is set.
    pub(crate) fn is_bounded(&self) -> bool {
        self.width < UNBOUNDED
    }

    /// Returns `limit` if texts are truncated, else no limit.
    pub(crate) fn at_most(&self, limit: usize) -> usize {
        match self.is_bounded() {
            true => limit,
            false => UNBOUNDED,
        }
    }

    /// Writes a text and flushes.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stop_on_closed_pipe(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// Writes a list: an array, one line per item, or the text of `table`.
    pub(crate) fn list<T: Serialize>(&self, items: &[T], table: impl FnOnce() -> String) -> Result<()> {
        match self.format {
            Format::Table => self.print(&table()),
            Format::Json => self.print(&pretty_json(&items)?),
            Format::Jsonl => {
                let lines: Result<String> = items.iter().map(json_line).collect();
                self.print(&lines?)
            }
        }
    }

    /// Writes one item: an object, or the text of `table`.
    pub(crate) fn one<T: Serialize>(&self, item: &T, table: impl FnOnce() -> String) -> Result<()> {
        match self.format {
            Format::Table => self.print(&table()),
            Format::Json => self.print(&pretty_json(item)?),
            Format::Jsonl => self.print(&json_line(item)?),
        }
    }
}

/// Maps a broken pipe to the end of the command: the reader of stdout has read enough.
pub(crate) fn stop_on_closed_pipe(result: io::Result<()>) -> Result<()> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Stop::ClosedPipe.into(),
        _ => anyhow::Error::new(error).context("could not write the result"),
    })
}

/// Returns the value as a line of JSON, with its line end.
pub(crate) fn json_line<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    Ok(harmless_json(serde_json::to_string(value)?))
}

fn pretty_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    Ok(harmless_json(serde_json::to_string_pretty(value)?))
}

/// Escapes characters that a terminal would interpret, and adds a line end.
///
/// JSON itself only escapes ASCII control characters. The others only occur inside strings, so they
/// can be escaped afterwards.
fn harmless_json(json: String) -> String {
    let suspicious = |c: char| c != '\n' && is_hidden(c);
    let mut safe = if json.contains(suspicious) {
        json.chars()
            .fold(String::with_capacity(json.len() + 16), |mut safe, c| {
                if suspicious(c) {
                    // JSON represents characters beyond four digits by two halves, as UTF-16 does.
                    for half in c.encode_utf16(&mut [0; 2]) {
                        safe.push_str(&format!("\\u{half:04x}"));
                    }
                } else {
                    safe.push(c);
                }
                safe
            })
    } else {
        json
    };
    safe.push('\n');
    safe
}

fn colour_wanted() -> bool {
    match ColorChoice::from_env() {
        ColorChoice::Always => true,
        ColorChoice::Auto => io::stdout().is_terminal(),
        _ => false,
    }
}

/// Returns the terminal's width, or the value of `COLUMNS`.
fn known_width() -> Option<usize> {
    let of_terminal = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let of_variable = || {
        std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok())
    };
    // Below 40 columns nothing can be laid out; such a terminal wraps by itself.
    of_terminal
        .or_else(of_variable)
        .map(|width: usize| width.clamp(40, 500))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn json_shows_direction_marks_and_high_control_characters_as_escapes() {
        let text = "a\u{202e}b\u{9b}31m\u{7f}\u{e0041}";
        let line = json_line(text).unwrap();
        assert_eq!(line, "\"a\\u202eb\\u009b31m\\u007f\\udb40\\udc41\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
