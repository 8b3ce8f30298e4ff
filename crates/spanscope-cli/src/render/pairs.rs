//! Names and values, one below the other.

use spanscope_model::text::first_chars;

use super::colour::Paint;
use super::text::{fit, grouped, pad, visible, width, wrap};
use crate::output::Output;

/// Longer values are cut; JSON has them whole.
const MAX_CHARACTERS: usize = 1000;
/// The maximum width of names.
const MAX_NAME: usize = 34;

/// Formats lines of `name  value`. Wrapped lines of a value are aligned with its first.
pub(crate) fn pairs(out: &Output, pairs: &[(&str, String)]) -> String {
    let names = pairs
        .iter()
        .map(|(name, _)| width(&visible(name)).min(out.at_most(MAX_NAME)))
        .max()
        .unwrap_or(0);
    let room = out.width.saturating_sub(names + 2).max(16);
    let mut text = String::new();
    for (name, value) in pairs {
        let mut lines = wrap(&cut(out, value), room).into_iter();
        let name = Paint::Dim.on(out.colour, &pad(&fit(name, out.at_most(MAX_NAME)), names));
        let first = lines.next().unwrap_or_default();
        text.push_str(format!("{name}  {first}").trim_end());
        text.push('\n');
        for line in lines {
            text.push_str(format!("{:names$}  {line}", "").trim_end());
            text.push('\n');
        }
    }
    text
}

/// Formats lines of `name  value`, indented by this number of columns.
pub(crate) fn indented(out: &Output, lines: &[(&str, String)], by: usize) -> String {
    let narrower = Output {
        width: match out.is_bounded() {
            true => out.width.saturating_sub(by),
            false => out.width,
        },
        ..out.clone()
    };
    let text = pairs(&narrower, lines);
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

fn cut(out: &Output, value: &str) -> String {
    let first = first_chars(value, out.at_most(MAX_CHARACTERS));
    if first.len() == value.len() {
        return value.to_owned();
    }
    let size = grouped(u64::try_from(value.len()).unwrap_or(u64::MAX));
    format!("{first}… (cut here; {size} bytes, --json shows all)")
}
