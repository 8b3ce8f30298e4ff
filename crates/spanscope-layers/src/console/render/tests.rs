//! What the renderer must show and must never send to a terminal.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod highlighted;
mod hostile;
mod json;
mod marked_up;
mod properties;
mod shown;

use std::time::Duration;

use spanscope_model::{Severity, Timestamp};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{AttributeLayout, Color, Entry, EntryKind, Outcome, RenderOptions, Renderer};
use spanscope_core::capture::RawValue;

/// 2026-11-21, 14:03:22.123456789 UTC.
pub(super) const NOW: Timestamp = Timestamp::from_nanos(1_795_269_802_123_456_789);

pub(super) const fn text(text: &str) -> RawValue<'_> {
    RawValue::Text(text, None)
}

/// An ordinary entry.
pub(super) const fn entry(kind: EntryKind<'_>) -> Entry<'_> {
    Entry {
        severity: Severity::Info,
        time: NOW,
        target: "my_app::agents",
        line: Some(42),
        link: None,
        service: "",
        category: "agents",
        kind,
        fields: &[],
        trace_id: None,
        span_id: None,
        parent_span_id: None,
        names_trace: false,
        span_name: "",
        depth: 0,
        spans: &[],
    }
}

/// A message of the application.
pub(super) const fn own(message: &str) -> Entry<'_> {
    entry(EntryKind::Event {
        message,
        markup: true,
        keeps_lines: true,
    })
}

/// A message from another crate.
pub(super) const fn foreign(message: &str) -> Entry<'_> {
    entry(EntryKind::Event {
        message,
        markup: false,
        keeps_lines: false,
    })
}

pub(super) const fn end(total: Duration, outcome: Outcome<'_>) -> Entry<'_> {
    entry(EntryKind::SpanEnd {
        name: "plan",
        total,
        busy: None,
        outcome,
        slow: false,
    })
}

pub(super) fn render(options: RenderOptions, entry: &Entry<'_>) -> String {
    let mut out = String::new();
    Renderer::new(options).render(entry, &mut out);
    out
}

pub(super) fn plain(width: usize, entry: &Entry<'_>) -> String {
    render(RenderOptions::new().width(width), entry)
}

pub(super) fn coloured(width: usize, entry: &Entry<'_>) -> String {
    render(RenderOptions::new().width(width).color(Color::TrueColor), entry)
}

/// Returns the text after the head, if it fits one line.
pub(super) fn after_head(line: &str) -> &str {
    line.split_once("agents: ").unwrap().1.trim_end_matches('\n')
}

/// Returns the text without our own escape codes: styles and hyperlinks. Any other one stays.
pub(super) fn without_codes(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        left.push_str(&rest[..at]);
        rest = &rest[at..];
        let style = rest.strip_prefix("\x1b[").and_then(|code| {
            let end = code.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            code[end..].strip_prefix('m')
        });
        let link = rest.strip_prefix("\x1b]8;;").and_then(|code| {
            let end = code.find(|c: char| !c.is_ascii_graphic())?;
            code[end..].strip_prefix("\x1b\\")
        });
        rest = style.or(link).unwrap_or_else(|| {
            left.push('\x1b');
            &rest[1..]
        });
    }
    left.push_str(rest);
    left
}

/// Returns the width of a line by the larger of the two ways in which terminals count it.
pub(super) fn width(line: &str) -> usize {
    let one_by_one: usize = line.chars().map(|c| c.width().unwrap_or(0)).sum();
    one_by_one.max(line.width())
}

/// Checks what must hold for every entry.
pub(super) fn check(columns: usize, entry: &Entry<'_>) {
    let text = plain(columns, entry);
    assert_eq!(
        without_codes(&coloured(columns, entry)),
        text,
        "colours change nothing else"
    );
    let lines: Vec<&str> = text.strip_suffix('\n').unwrap().split('\n').collect();
    assert!(lines[0].starts_with(|c: char| c.is_ascii_uppercase()));
    for line in &lines[1..] {
        assert!(line.starts_with("         "), "a forged line: {line:?}");
    }
    for line in lines {
        assert!(width(line) <= columns.max(20), "too wide for {columns}: {line:?}");
        assert!(
            !line.contains(super::text::is_hidden),
            "acts on the terminal: {line:?}"
        );
    }
}

#[test]
fn the_helpers_remove_only_our_codes_and_measure_widths() {
    assert_eq!(
        without_codes("a\x1b[1;31mb\x1b[0m\x1b]8;;http://x\x1b\\c\x1b]8;;\x1b\\"),
        "abc"
    );
    assert_eq!(
        without_codes("\x1b[2Ja\x1b]0;title\x07"),
        "\x1b[2Ja\x1b]0;title\x07"
    );
    assert_eq!(width("日本e\u{301}"), 5);
}
