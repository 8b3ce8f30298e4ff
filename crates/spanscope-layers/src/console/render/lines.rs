//! An entry as lines for people.

use std::time::Duration;

use anstyle::{Color as AnyColor, Style};
use anstyle_lossy::color_to_ansi;
use anstyle_lossy::palette::DEFAULT as TERMINAL;
use spanscope_model::{Severity, UNCATEGORIZED};

use super::canvas::{Canvas, push_blanks};
use super::entry::{Entry, EntryKind, Outcome};
use super::failure::Failure;
use super::markup;
use super::options::{AttributeLayout, Color, RenderOptions, SHORT_TRACE_ID_DIGITS};
use super::text::{columns, push_grouped};
use super::theme::{Ink, Palette};
use super::time::{Clock, push_duration};
use super::value::{Shown, push_attribute, push_field};

/// The column where the text begins, after the level.
const TEXT_COLUMN: usize = 9;

/// The indent per level of the tree, and of attributes.
const STEP: usize = 2;

/// Columns reserved for the number of attributes that did not fit: ` … 999 more`.
const COUNT_COLUMNS: usize = 11;

/// Maximum indent of a tree, also on unlimited lines.
const MAX_TREE: usize = 120;

/// Writes entries as lines.
#[derive(Debug)]
pub(super) struct Lines {
    palette: Palette,
    clock: Clock,
    canvas: Canvas,
    panel: Canvas,
}

impl Lines {
    pub(super) fn new(options: &RenderOptions) -> Self {
        let colored = options.color != Color::None;
        let pattern = if options.date {
            "%Y-%m-%d %H:%M:%S"
        } else {
            "%H:%M:%S"
        };
        Self {
            palette: Palette::new(colored),
            clock: Clock::new(options.zone.clone(), pattern),
            canvas: Canvas::new(colored),
            panel: Canvas::new(colored),
        }
    }

    pub(super) fn write(&mut self, options: &RenderOptions, entry: &Entry<'_>, out: &mut String) {
        let hang = TEXT_COLUMN + self.write_head(options, entry);
        let failure = Failure::of(entry);
        match entry.kind {
            EntryKind::Event {
                message,
                markup,
                keeps_lines,
            } => {
                if !entry.span_name.is_empty() {
                    self.canvas.push("in ", Ink::Dim);
                    self.canvas
                        .push_cut(entry.span_name, options.max_value_chars, Ink::Dim);
                    self.canvas.push(": ", Ink::Dim);
                }
                let first = failure.as_ref().filter(|_| !keeps_lines);
                match first.and_then(|failure| failure.first_line_of(message)) {
                    Some(line) => self.canvas.push_highlighted(&line),
                    None => self.write_message(options, message, (markup, keeps_lines), hang),
                }
                for (key, value) in entry.fields.iter().copied() {
                    if !is_internal(key) && !shows(failure.as_ref(), key, value) {
                        self.write_field(options, key, value);
                    }
                }
            }
            EntryKind::SpanStart { name } => {
                self.canvas.push("[START] ", Ink::Bracket);
                self.canvas.push_cut(name, options.max_value_chars, Ink::Name);
                self.write_attributes(options, entry, failure.as_ref(), hang);
            }
            EntryKind::SpanEnd { .. } => {
                self.write_end(options, &entry.kind, failure.as_ref());
                self.write_attributes(options, entry, failure.as_ref(), hang);
            }
            EntryKind::RateLimited {
                lines,
                during,
                message,
            } => {
                let text = self.canvas.text_mut();
                text.push_str("… ");
                push_grouped(text, lines);
                text.push_str(" more of this within ");
                push_duration(text, during, 1);
                text.push_str(" were held back: ");
                self.canvas.paint(Ink::Warn);
                self.canvas.push_highlighted(message);
            }
        }
        self.canvas.write(&self.palette, options.width, out);
        if let Some(failure) = failure {
            self.panel.clear();
            failure.write(entry, options.max_value_chars, &mut self.panel);
            self.panel
                .write_boxed(&self.palette, failure.title(), hang, options.width, out);
        }
    }

    /// Writes level, time, service, target and category. Returns the tree's indent of the entry.
    fn write_head(&mut self, options: &RenderOptions, entry: &Entry<'_>) -> usize {
        // At any depth of the tree, two thirds of the line are left to the text.
        let most = (options.width.saturating_sub(TEXT_COLUMN) / 3).min(MAX_TREE);
        let tree = entry.depth.saturating_mul(STEP).min(most);
        let severity = match entry.kind {
            EntryKind::RateLimited { .. } => Severity::Warn,
            _ => entry.severity,
        };
        let canvas = &mut self.canvas;
        canvas.clear();
        canvas.begin_line(0, TEXT_COLUMN + tree);
        canvas.push(level_of(severity), Ink::of(severity));
        canvas.push(" ", Ink::Plain);
        self.clock.push_millis(entry.time, canvas.text_mut());
        canvas.text_mut().push(' ');
        if let Some(trace) = entry.trace_id.filter(|_| entry.names_trace) {
            let trace = trace.to_string();
            let text = canvas.text_mut();
            text.push_str(trace.get(..SHORT_TRACE_ID_DIGITS).unwrap_or(&trace));
            text.push(' ');
        }
        push_blanks(canvas.text_mut(), tree);
        if !entry.service.is_empty() {
            canvas.push_cut(entry.service, options.max_value_chars, Ink::Dim);
            canvas.text_mut().push(' ');
        }
        // A category that equals the target is not repeated.
        let has_category = !matches!(entry.category, "" | UNCATEGORIZED) && entry.category != entry.target;
        if !entry.target.is_empty() {
            canvas.push_place(
                entry.target,
                entry.line,
                entry.link,
                options.max_value_chars,
                Ink::Dim,
            );
            canvas.text_mut().push_str(if has_category { " " } else { ": " });
        }
        canvas.paint(Ink::Dim);
        if has_category {
            canvas.push_cut(entry.category, options.max_value_chars, Ink::Category);
            canvas.push(": ", Ink::Category);
        }
        tree
    }

    /// Writes a message. The application's own messages keep their lines; in others a line end is
    /// escaped.
    fn write_message(
        &mut self,
        options: &RenderOptions,
        message: &str,
        (reads_markup, keeps_lines): (bool, bool),
        hang: usize,
    ) {
        let canvas = &mut self.canvas;
        if !reads_markup && !keeps_lines {
            return canvas.push_highlighted(message);
        }
        let message = message.trim_end_matches(['\n', '\r']);
        if !reads_markup || !message.contains('[') {
            return write_own_lines(canvas, message, hang, Canvas::push_highlighted);
        }
        markup::pieces(message, |piece| {
            if piece.style.is_plain() && piece.link.is_none() {
                return write_own_lines(canvas, piece.text, hang, Canvas::push_highlighted);
            }
            let style = shown_in(options.color, piece.style);
            write_own_lines(canvas, piece.text, hang, |canvas, line| {
                canvas.push_styled(line, style, piece.link);
            });
        });
    }

    fn write_field(
        &mut self,
        options: &RenderOptions,
        key: &str,
        value: spanscope_core::capture::RawValue<'_>,
    ) {
        if let Some(shown) = Shown::of(key, value, options, options.max_value_chars) {
            push_field(&mut self.canvas, key, &shown);
        }
    }

    fn write_end(&mut self, options: &RenderOptions, kind: &EntryKind<'_>, failure: Option<&Failure<'_>>) {
        let EntryKind::SpanEnd {
            name,
            total,
            busy,
            outcome,
            slow,
        } = *kind
        else {
            return;
        };
        let canvas = &mut self.canvas;
        match outcome {
            Outcome::Abandoned => canvas.push("[ABANDONED] ", Ink::Warn),
            Outcome::Ok | Outcome::Failed(_) => canvas.push("[END] ", Ink::Bracket),
        }
        canvas.push_cut(name, options.max_value_chars, Ink::Name);
        if outcome == Outcome::Abandoned {
            return; // its end is unknown
        }
        canvas.text_mut().push_str(" (");
        push_duration(canvas.text_mut(), total, 2);
        canvas.push(")", if slow { Ink::Warn } else { Ink::Plain });
        if let Some(busy) = busy {
            let text = canvas.text_mut();
            text.push_str(" busy ");
            push_duration(text, busy, 1);
            text.push_str(", idle ");
            push_duration(text, total.checked_sub(busy).unwrap_or(Duration::ZERO), 1);
            canvas.paint(Ink::Dim);
        }
        if slow {
            canvas.push(" SLOW", Ink::Warn);
        }
        if let Outcome::Failed(reason) = outcome {
            canvas.push(" [ERROR]", Ink::Error);
            if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
                canvas.push(" ", Ink::Plain);
                let first = failure.and_then(|failure| failure.first_line_of(reason));
                let reason = first.as_deref().unwrap_or(reason);
                canvas.push_cut(reason, options.max_value_chars, Ink::Reason);
            }
        }
    }

    /// Writes the attributes of a span, except those in the box of its failure.
    fn write_attributes(
        &mut self,
        options: &RenderOptions,
        entry: &Entry<'_>,
        failure: Option<&Failure<'_>>,
        hang: usize,
    ) {
        let left: Vec<_>;
        let mut entry = *entry;
        if failure.is_some() {
            let fields = entry.fields.iter().copied();
            left = fields
                .filter(|(key, value)| !shows(failure, key, *value))
                .collect();
            entry.fields = &left;
        }
        let entry = &entry;
        match options.attributes {
            AttributeLayout::Inline => self.write_attributes_inline(options, entry, hang),
            AttributeLayout::Below => self.write_attributes_below(options, entry, hang),
        }
    }

    /// Writes as many attributes of a span after its name as fit the line, and the number of the
    /// others. If none fits the line of a start, they are written on the next one: a start shows
    /// what the span is about, an end only adds to it.
    fn write_attributes_inline(&mut self, options: &RenderOptions, entry: &Entry<'_>, hang: usize) {
        let room = self.room_left(options.width, hang);
        let (mut shown, mut left_out) = self.write_what_fits(options, entry, room);
        let mut room = room;
        if left_out > 0 && shown == 0 && matches!(entry.kind, EntryKind::SpanStart { .. }) {
            self.canvas.begin_line(hang, hang);
            room = options.width.saturating_sub(hang);
            (shown, left_out) = self.write_what_fits(options, entry, room);
        }
        if left_out > 0 {
            room = room.saturating_sub(shown);
            self.canvas.push_gap();
            let count = format!("… {left_out} more");
            let fits = room > columns(&count);
            self.canvas.text_mut().push_str(if fits { &count } else { "…" });
            self.canvas.paint(Ink::Dim);
        }
    }

    /// Writes the attributes that fit into this number of columns. Returns the columns they use,
    /// and the number of the others.
    fn write_what_fits(&mut self, options: &RenderOptions, entry: &Entry<'_>, room: usize) -> (usize, usize) {
        let max_chars = options.max_value_chars.min(options.width / 4);
        let (mut used, mut left_out) = (0, 0);
        let mut fields = entry
            .fields
            .iter()
            .filter(|(key, _)| !is_internal(key))
            .peekable();
        while let Some((key, value)) = fields.next() {
            let Some(shown) = Shown::of(key, *value, options, max_chars) else {
                continue;
            };
            let shown = if max_chars < options.max_value_chars {
                shown.without_length()
            } else {
                shown
            };
            let start = self.canvas.len();
            push_field(&mut self.canvas, key, &shown);
            let width = self.canvas.columns_from(start);
            let is_last = left_out == 0 && fields.peek().is_none();
            if used + width + if is_last { 0 } else { COUNT_COLUMNS } <= room {
                used += width;
            } else {
                self.canvas.cut_back(start);
                left_out += 1;
            }
        }
        (used, left_out)
    }

    /// Returns the columns that are free on the text's last line, once it is wrapped.
    fn room_left(&self, width: usize, hang: usize) -> usize {
        let used = self.canvas.columns_from(0);
        let rest = width.saturating_sub(hang).max(1);
        match used.checked_sub(width) {
            None => width - used,
            Some(beyond) => rest - beyond % rest,
        }
    }

    /// Writes each attribute of a span on a separate line.
    fn write_attributes_below(&mut self, options: &RenderOptions, entry: &Entry<'_>, hang: usize) {
        for (key, value) in entry.fields.iter().copied() {
            if is_internal(key) {
                continue;
            }
            if let Some(shown) = Shown::of(key, value, options, options.max_value_chars) {
                self.canvas.begin_line(hang + STEP, hang + 2 * STEP);
                push_attribute(&mut self.canvas, key, &shown);
            }
        }
    }
}

fn shows(failure: Option<&Failure<'_>>, key: &str, value: spanscope_core::capture::RawValue<'_>) -> bool {
    failure.is_some_and(|failure| failure.shows(key, value))
}

/// Returns whether a key is for programs, not for people.
fn is_internal(key: &str) -> bool {
    key.starts_with("__")
}

/// Returns the level, padded to eight columns.
fn level_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Verbose => "VERBOSE ",
        Severity::Debug => "DEBUG   ",
        Severity::Info => "INFO    ",
        Severity::Warn => "WARN    ",
        Severity::Error => "ERROR   ",
        Severity::Critical => "CRITICAL",
    }
}

/// Appends a text that keeps its line ends; continuation lines are indented, so none of them can
/// pass for an entry. A tab becomes four spaces.
fn write_own_lines(canvas: &mut Canvas, text: &str, hang: usize, mut push: impl FnMut(&mut Canvas, &str)) {
    if !text.contains(['\n', '\t']) {
        return push(canvas, text);
    }
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            canvas.begin_line(hang, hang);
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        for (number, part) in line.split('\t').enumerate() {
            if number > 0 {
                push(canvas, "    ");
            }
            push(canvas, part);
        }
    }
}

/// Returns the style with colours that can be shown.
fn shown_in(color: Color, style: Style) -> Style {
    if color != Color::Ansi16 {
        return style;
    }
    let nearest = |color: AnyColor| AnyColor::Ansi(color_to_ansi(color, TERMINAL));
    style
        .fg_color(style.get_fg_color().map(nearest))
        .bg_color(style.get_bg_color().map(nearest))
}
