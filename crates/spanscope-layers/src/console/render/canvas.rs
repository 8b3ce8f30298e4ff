//! A text with its styles, before it is broken into lines.
//!
//! The text is plain; its styles lie beside it as runs of bytes. So it is measured and wrapped as if there were no styles,
//! and each piece of a line is painted and reset by itself: nothing leaks into the indent or into the next entry.

use std::ops::Range;

use anstyle::Style;
use spanscope_model::text::first_chars;
use textwrap::WordSeparator;
use textwrap::core::Word;
use textwrap::wrap_algorithms::wrap_first_fit;

use super::highlight::highlight;
use super::text::{columns, cut_and_count, pieces, push_visible};
use super::theme::{Ink, Palette};

/// So many columns are left to the text, however deep it is indented.
const MIN_TEXT: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    Theme(Ink),
    /// A style that markup made, by its place.
    Own(usize),
}

/// Everything from the end of the run before up to `end`.
#[derive(Debug)]
struct Run {
    end: usize,
    paint: Paint,
}

/// A line as the program meant it; it may become several.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    indent: usize,
    hang: usize,
}

/// A piece of one line as it is shown.
#[derive(Debug)]
struct Row {
    range: Range<usize>,
    indent: usize,
}

/// A text with its styles.
#[derive(Debug)]
pub(super) struct Canvas {
    colored: bool,
    text: String,
    runs: Vec<Run>,
    lines: Vec<Line>,
    own: Vec<(Style, Option<String>)>,
    rows: Vec<Row>,
}

impl Canvas {
    pub(super) fn new(colored: bool) -> Self {
        Self {
            colored,
            text: String::new(),
            runs: Vec::new(),
            lines: Vec::new(),
            own: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.runs.clear();
        self.lines.clear();
        self.own.clear();
    }

    /// Begins a line, indented by so many columns; `hang` is the indent of the lines that it is wrapped into.
    pub(super) fn begin_line(&mut self, indent: usize, hang: usize) {
        self.lines.push(Line {
            start: self.text.len(),
            indent,
            hang,
        });
    }

    /// Where a caller that formats a text itself appends it; [`paint`](Self::paint) comes after it. It has to be visible.
    pub(super) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Appends a blank between two parts of a line, unless there is one or the line begins here.
    pub(super) fn push_gap(&mut self) {
        let begins = self
            .lines
            .last()
            .is_some_and(|line| line.start == self.text.len());
        if !begins && !self.text.ends_with(' ') {
            self.text.push(' ');
        }
    }

    /// The bytes of the text, which [`cut_back`](Self::cut_back) takes.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// The columns of the text from this byte on.
    pub(super) fn columns_from(&self, start: usize) -> usize {
        columns(&self.text[start..])
    }

    /// Takes back what was appended since the text had so many bytes.
    pub(super) fn cut_back(&mut self, len: usize) {
        self.text.truncate(len);
        while self.runs.last().is_some_and(|run| run.end > len) {
            let start = self
                .runs
                .len()
                .checked_sub(2)
                .map_or(0, |before| self.runs[before].end);
            if start >= len {
                self.runs.pop();
            } else if let Some(last) = self.runs.last_mut() {
                last.end = len;
            }
        }
    }

    /// Gives everything that has no ink yet this one.
    pub(super) fn paint(&mut self, ink: Ink) {
        if self.colored {
            push_run(&mut self.runs, self.text.len(), Paint::Theme(ink));
        }
    }

    /// Appends a text that is known to be visible.
    pub(super) fn push(&mut self, text: &str, ink: Ink) {
        self.text.push_str(text);
        self.paint(ink);
    }

    /// Appends a text of the program, made visible.
    pub(super) fn push_data(&mut self, text: &str, ink: Ink) {
        push_visible(&mut self.text, text);
        self.paint(ink);
    }

    /// The same, cut after so many characters.
    pub(super) fn push_cut(&mut self, text: &str, max_chars: usize, ink: Ink) {
        let (head, total) = cut_and_count(text, max_chars);
        self.push_data(head, ink);
        if total.is_some() {
            self.push("…", ink);
        }
    }

    /// Appends a text of the program, made visible and highlighted.
    pub(super) fn push_highlighted(&mut self, text: &str) {
        let start = self.text.len();
        push_visible(&mut self.text, text);
        if self.colored {
            let runs = &mut self.runs;
            highlight(&self.text[start..], Ink::Plain, |end, ink| {
                push_run(runs, start + end, Paint::Theme(ink));
            });
        }
    }

    /// Appends a text of the program, made visible, in a style that markup made.
    pub(super) fn push_styled(&mut self, text: &str, style: Style, link: Option<&str>) {
        push_visible(&mut self.text, text);
        if self.colored {
            let link = link.map(ToOwned::to_owned);
            if self
                .own
                .last()
                .is_none_or(|last| last.0 != style || last.1 != link)
            {
                self.own.push((style, link));
            }
            push_run(&mut self.runs, self.text.len(), Paint::Own(self.own.len() - 1));
        }
    }

    /// Appends everything to `out`, wrapped into lines of at most so many columns.
    pub(super) fn write(&mut self, palette: &Palette, width: usize, out: &mut String) {
        self.wrap(width);
        let mut run = 0;
        for row in &self.rows {
            push_blanks(out, row.indent);
            self.write_range(palette, row.range.clone(), &mut run, out);
            out.push('\n');
        }
    }

    /// Appends everything to `out` in a box with round corners: so many columns at most, all of it after an indent.
    pub(super) fn write_boxed(
        &mut self,
        palette: &Palette,
        title: &str,
        indent: usize,
        width: usize,
        out: &mut String,
    ) {
        const EDGE: Ink = Ink::Reason;
        let max_inner = width.saturating_sub(indent + 4).max(MIN_TEXT);
        self.wrap(max_inner);
        let row_width = |row: &Row| row.indent + columns(&self.text[row.range.clone()]);
        let title = fit(title, max_inner - 1);
        let title_width = columns(&title);
        let inner = self.rows.iter().map(row_width).max().unwrap_or(0);
        let inner = inner.max(title_width + 1);

        let mut edge = String::from("╭─ ");
        push_blanks(out, indent);
        palette.push(out, &edge, EDGE);
        palette.push(out, &title, Ink::Error);
        edge.clear();
        edge.push(' ');
        edge.extend(std::iter::repeat_n('─', inner - 1 - title_width));
        edge.push('╮');
        palette.push(out, &edge, EDGE);
        out.push('\n');
        let mut run = 0;
        for row in &self.rows {
            push_blanks(out, indent);
            palette.push(out, "│", EDGE);
            push_blanks(out, 1 + row.indent);
            self.write_range(palette, row.range.clone(), &mut run, out);
            push_blanks(out, 1 + inner.saturating_sub(row_width(row)));
            palette.push(out, "│", EDGE);
            out.push('\n');
        }
        edge.clear();
        edge.push('╰');
        edge.extend(std::iter::repeat_n('─', inner + 2));
        edge.push('╯');
        push_blanks(out, indent);
        palette.push(out, &edge, EDGE);
        out.push('\n');
    }

    fn wrap(&mut self, width: usize) {
        self.rows.clear();
        for (place, line) in self.lines.iter().enumerate() {
            let end = self
                .lines
                .get(place + 1)
                .map_or(self.text.len(), |next| next.start);
            let max_indent = width.saturating_sub(MIN_TEXT);
            let line = Line {
                start: line.start,
                indent: line.indent.min(max_indent),
                hang: line.hang.min(max_indent),
            };
            wrap_line(&self.text[line.start..end], line, width, &mut self.rows);
        }
    }

    /// Appends a range of the text. Ranges come in order, so the runs are gone through once.
    fn write_range(&self, palette: &Palette, range: Range<usize>, run: &mut usize, out: &mut String) {
        if !self.colored {
            return out.push_str(&self.text[range]);
        }
        let mut at = range.start;
        while at < range.end {
            let Some(Run { end, paint }) = self.runs.get(*run) else {
                return out.push_str(&self.text[at..range.end]);
            };
            if *end <= at {
                *run += 1;
                continue;
            }
            let piece = &self.text[at..range.end.min(*end)];
            match paint {
                Paint::Theme(ink) => palette.push(out, piece, *ink),
                Paint::Own(own) => self.write_own(palette, piece, *own, out),
            }
            at += piece.len();
        }
    }

    fn write_own(&self, palette: &Palette, piece: &str, own: usize, out: &mut String) {
        let Some((style, link)) = self.own.get(own) else {
            return out.push_str(piece);
        };
        // The one escape code that anstyle doesn't have: OSC 8, a hyperlink, ended by a link to nothing.
        if let Some(link) = link {
            out.push_str("\x1b]8;;");
            out.push_str(link);
            out.push_str("\x1b\\");
        }
        palette.push_styled(out, piece, *style);
        if link.is_some() {
            out.push_str("\x1b]8;;\x1b\\");
        }
    }
}

fn push_run(runs: &mut Vec<Run>, end: usize, paint: Paint) {
    match runs.last_mut() {
        Some(last) if last.paint == paint => last.end = end,
        Some(last) if last.end == end => {}
        _ => runs.push(Run { end, paint }),
    }
}

pub(super) fn push_blanks(out: &mut String, count: usize) {
    const BLANKS: &str = "                                                                ";
    let mut left = count;
    while left > 0 {
        let part = left.min(BLANKS.len());
        out.push_str(&BLANKS[..part]);
        left -= part;
    }
}

fn wrap_line(text: &str, line: Line, width: usize, rows: &mut Vec<Row>) {
    let (first, rest) = (width - line.indent, width - line.hang);
    // No character has more columns than bytes, so this needs no measuring.
    if text.len() <= first {
        let end = line.start + text.trim_end_matches(' ').len();
        return rows.push(Row {
            range: line.start..end,
            indent: line.indent,
        });
    }
    let mut words = Vec::new();
    for word in WordSeparator::AsciiSpace.find_words(text) {
        push_words(&mut words, word, first.min(rest));
    }
    let mut start = line.start;
    #[expect(clippy::cast_precision_loss, reason = "no line is wider than 2^52 columns")]
    for words in wrap_first_fit(&words, &[first as f64, rest as f64]) {
        let len: usize = words
            .iter()
            .map(|word| word.word.len() + word.whitespace.len())
            .sum();
        let blanks = words.last().map_or(0, |word| word.whitespace.len());
        rows.push(Row {
            range: start..start + len - blanks,
            indent: if start == line.start {
                line.indent
            } else {
                line.hang
            },
        });
        start += len;
    }
}

/// Adds a word, in parts if it is longer than a line. `break_words` of textwrap would count a heart and the mark that makes
/// it wide as one column.
fn push_words<'a>(words: &mut Vec<Word<'a>>, word: Word<'a>, max_width: usize) {
    let text = word.word;
    let (mut start, mut width) = (0, 0);
    if !text.is_ascii() || text.len() > max_width {
        for (at, piece) in pieces(text) {
            if width > 0 && width + piece > max_width {
                words.push(Word {
                    word: &text[start..at],
                    whitespace: "",
                    penalty: "",
                    width,
                });
                (start, width) = (at, 0);
            }
            width += piece;
        }
    } else {
        width = text.len();
    }
    words.push(Word {
        word: &text[start..],
        width,
        ..word
    });
}

/// The visible text, cut to so many columns; a cut is shown by `…`.
fn fit(text: &str, max_columns: usize) -> String {
    let mut shown = String::new();
    push_visible(&mut shown, first_chars(text, max_columns));
    let is_cut = shown.len() < text.len();
    if !is_cut && columns(&shown) <= max_columns {
        return shown;
    }
    while columns(&shown) + 1 > max_columns && shown.pop().is_some() {}
    shown.push('…');
    shown
}
