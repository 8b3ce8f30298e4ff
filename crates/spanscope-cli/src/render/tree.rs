//! A trace as a tree: rows with their numbers, names with guides, durations, a bar each on the
//! trace's time axis, failures and tokens.

use spanscope_model::semconv::{SemanticAttribute as A, names_of};
use spanscope_model::{Span, SpanId, SpanState, SpanStatus, Timestamp};

use super::bar::Axis;
use super::colour::Paint;
use super::duration::format_ms;
use super::forest::{self, Line, Node};
use super::text::{count, fit, pad, visible, width};
use super::time;
use crate::output::Output;
use crate::tokens;

/// The width of durations, and of `abandoned`.
const DURATION: usize = 9;
/// The minimum width of a bar.
const MIN_BAR: usize = 10;
/// The maximum width of the last column: tokens or the reason of a failure.
const MAX_NOTE: usize = 24;

/// Which part of a trace is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TreeOptions<'a> {
    /// Only this span and its descendants.
    pub(crate) top: Option<SpanId>,
    /// The maximum number of levels.
    pub(crate) max_depth: Option<u32>,
    /// Attributes next to the names.
    pub(crate) attributes: &'a [String],
}

/// Draws the tree with its head. `spans` are all of the trace, at least one.
pub(crate) fn tree(out: &Output, spans: &[Span], options: TreeOptions<'_>) -> String {
    let whole = forest::lines(spans, options.top, None);
    let whole: Vec<&Span> = forest::spans_of(&whole, spans).collect();
    let axis = axis(&whole);
    let lines = forest::lines(spans, options.top, options.max_depth);
    let numbers = forest::rows(spans);
    let rows: Vec<Row> = lines
        .iter()
        .map(|line| Row::new(out, line, spans, &numbers, options.attributes))
        .collect();

    let widest = |columns: &dyn Fn(&Row<'_>) -> usize| rows.iter().map(columns).max().unwrap_or(0);
    let digits = widest(&|row| row.number.map_or(0, |number| number.to_string().len()));
    // Gaps: 1 after the number, 2 before the duration, 2 before the bar, 1 each before the mark,
    // after it and before the note.
    let without_bar = digits + 1 + 2 + DURATION + 2 + 3;
    // Names have priority over reasons of failures, tokens over names, and all of them over long
    // bars.
    let tokens = widest(&|row| if row.has_tokens { width(&row.note) } else { 0 });
    let names = widest(&|row| width(&row.name));
    let notes = widest(&|row| width(&row.note)).min(MAX_NOTE);
    let bar = (out.width / 4)
        .min(out.width.saturating_sub(without_bar + names + notes))
        .clamp(MIN_BAR, 40);
    let fixed = without_bar + bar;
    let left = out.width.saturating_sub(fixed + names);
    let note = widest(&|row| width(&row.note))
        .min(left.max(tokens))
        .min(out.at_most(MAX_NOTE));
    let name = names.min(out.width.saturating_sub(fixed + note)).max(10);
    let columns = Columns {
        digits,
        name,
        bar,
        note,
    };

    let mut text = head(out, &whole);
    for row in rows {
        text.push_str(&row.draw(out, &columns, axis));
        text.push('\n');
    }
    text
}

/// The widths of the columns.
struct Columns {
    digits: usize,
    name: usize,
    bar: usize,
    note: usize,
}

fn axis(spans: &[&Span]) -> Axis {
    let start = spans.iter().map(|span| span.start_time).min().unwrap_or_default();
    let end = spans
        .iter()
        .map(|span| end(span).unwrap_or(span.start_time))
        .max()
        .unwrap_or(start);
    Axis::new(start.as_nanos(), end.as_nanos())
}

/// Returns the end, or now for a running span. The end of an abandoned span is unknown.
fn end(span: &Span) -> Option<Timestamp> {
    match span.state {
        SpanState::Running => Some(span.end_time.unwrap_or_else(Timestamp::now)),
        SpanState::Ended | SpanState::Abandoned => span.end_time,
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn head(out: &Output, spans: &[&Span]) -> String {
    let Some(first) = spans.iter().min_by_key(|span| span.start_time) else {
        return String::new();
    };
    let last = spans
        .iter()
        .filter_map(|span| end(span))
        .max()
        .unwrap_or(first.start_time);
    let failed = spans
        .iter()
        .filter(|span| span.status == Some(SpanStatus::Error))
        .count();
    let length = last.as_nanos().saturating_sub(first.start_time.as_nanos()) as f64 / 1e6;
    let mut facts = vec![
        time::full(first.start_time, &out.zone),
        format_ms(length),
        count(u64::try_from(spans.len()).unwrap_or(u64::MAX), "span"),
    ];
    if failed > 0 {
        facts.push(format!("{failed} failed"));
    }
    if spans.iter().any(|span| span.state == SpanState::Running) {
        facts.push("still running".to_owned());
    }
    if !first.service_name.is_empty() {
        facts.push(first.service_name.clone());
    }
    let title = Paint::Title.on(out.colour, &format!("trace {}", first.trace_id));
    let facts = Paint::Dim.on(out.colour, &fit(&facts.join(", "), out.width));
    format!("{title}\n{facts}\n\n")
}

/// A line before the widths are known.
struct Row<'a> {
    /// The row of a span.
    number: Option<usize>,
    guide: &'a str,
    name: String,
    span: Option<&'a Span>,
    note: String,
    has_tokens: bool,
}

impl<'a> Row<'a> {
    fn new(
        out: &Output,
        line: &'a Line,
        spans: &'a [Span],
        numbers: &[usize],
        attributes: &[String],
    ) -> Self {
        let (label, span) = match line.node {
            Node::Missing(id) => (format!("{id} (parent not stored)"), None),
            Node::Below(number) => (
                format!(
                    "… {} below",
                    count(u64::try_from(number).unwrap_or(u64::MAX), "more span")
                ),
                None,
            ),
            Node::Span(at) => (label(out, &spans[at], attributes), Some(&spans[at])),
        };
        let number = match line.node {
            Node::Span(at) => numbers.get(at).copied(),
            Node::Missing(_) | Node::Below(_) => None,
        };
        Self {
            number,
            guide: &line.guide,
            name: format!("{}{label}", line.guide),
            span,
            note: span.map(|span| note(out, span)).unwrap_or_default(),
            has_tokens: span.is_some_and(|span| tokens::of_span(&span.attributes).is_some()),
        }
    }

    fn draw(&self, out: &Output, columns: &Columns, axis: Axis) -> String {
        let digits = columns.digits;
        let Some(span) = self.span else {
            let room = out.width.saturating_sub(digits + 1);
            let name = Paint::Dim.on(out.colour, &fit(&self.name, room));
            return format!("{:digits$} {name}", "");
        };
        let number = self.number.map(|number| number.to_string()).unwrap_or_default();
        let failed = span.status == Some(SpanStatus::Error);
        let (duration, paint) = match (span.state, span.duration_ms()) {
            (SpanState::Running, _) => ("running".to_owned(), Paint::Warn),
            (SpanState::Abandoned, _) => ("abandoned".to_owned(), Paint::Warn),
            (SpanState::Ended, Some(ms)) => (format_ms(ms), Paint::Plain),
            (SpanState::Ended, None) => ("?".to_owned(), Paint::Warn),
        };
        let to = end(span).map_or(i64::MAX, Timestamp::as_nanos);
        let drawn = axis.bar(span.start_time.as_nanos(), to, columns.bar);

        let cell = pad(&self.name, columns.name);
        let (guide, label) = match cell.strip_prefix(self.guide) {
            Some(label) => (self.guide, label),
            None => ("", cell.as_str()),
        };
        let line = format!(
            "{} {}{}  {}  {} {} {}",
            Paint::Dim.on(out.colour, &format!("{number:>digits$}")),
            Paint::Dim.on(out.colour, guide),
            if failed { Paint::Bad } else { Paint::Plain }.on(out.colour, label),
            paint.on(out.colour, &format!("{duration:>DURATION$}")),
            if failed { Paint::Bad } else { Paint::Accent }.on(out.colour, &drawn),
            if failed {
                Paint::Bad.on(out.colour, "✗")
            } else {
                " ".to_owned()
            },
            Paint::Dim.on(out.colour, &fit(&self.note, columns.note)),
        );
        line.trim_end().to_owned()
    }
}

fn label(out: &Output, span: &Span, attributes: &[String]) -> String {
    let mut label = visible(&span.name).into_owned();
    for key in attributes {
        if let Some(value) = span.attributes.get(key) {
            label.push_str(&format!(
                "  {}={}",
                visible(key),
                fit(&value.to_string(), out.at_most(60))
            ));
        }
    }
    label
}

/// Formats the tokens, or the reason of a failure.
fn note(out: &Output, span: &Span) -> String {
    if let Some((input, output)) = tokens::of_span(&span.attributes) {
        return format!("{input}→{output} tok");
    }
    if span.status != Some(SpanStatus::Error) {
        return String::new();
    }
    let attribute = names_of(&[A::ExceptionMessage, A::PlainError, A::ErrorType])
        .find_map(|name| span.attributes.get(name));
    match (&span.status_message, attribute) {
        (Some(message), _) => fit(message, out.at_most(MAX_NOTE)),
        (None, Some(value)) => fit(&value.to_string(), out.at_most(MAX_NOTE)),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::{output, span};

    #[test]
    fn a_tree_shows_durations_bars_failures_and_tokens() {
        let mut spans = vec![
            span(1, 0, "agent", 0, 100),
            span(2, 1, "chat", 0, 50),
            span(3, 1, "tool", 50, 50),
        ];
        spans[1].attributes.set("gen_ai.usage.input_tokens", 12);
        spans[1].attributes.set("gen_ai.usage.output_tokens", 34);
        spans[2].status = Some(SpanStatus::Error);
        spans[2].status_message = Some("refused".to_owned());
        let text = tree(&output(80), &spans, TreeOptions::default());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "trace 07070707070707070707070707070707",
                "2023-11-14 22:13:20.000 +00:00, 100ms, 3 spans, 1 failed, shop",
                "",
                "1 agent           100ms  ████████████████████",
                "2 ├─ chat        50.0ms  ██████████             12→34 tok",
                "3 └─ tool        50.0ms            ██████████ ✗ refused",
            ]
        );
    }

    #[test]
    fn hostile_names_and_narrow_terminals_keep_rows_within_the_width() {
        let mut spans = vec![span(1, 9, &"x\x1b[2J\u{202e}".repeat(40), 0, 100)];
        spans[0].end_time = None;
        spans[0].state = SpanState::Abandoned;
        for columns in [40, 80, 200] {
            let text = tree(&output(columns), &spans, TreeOptions::default());
            assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
            assert!(
                text.contains("(parent not stored)") && text.contains("abandoned"),
                "{text}"
            );
            let body = text.lines().skip(1);
            assert!(
                body.clone().all(|line| width(line) <= columns),
                "{columns}: {text}"
            );
        }
    }
}
