//! A text with its styles, before it is broken into lines.
//!
//! The text is plain; its styles are stored separately as runs of bytes. So it is measured and
//! wrapped without regard to styles, and each piece of a line is painted and reset separately:
//! nothing leaks into the indent or into the next entry.

use std::fmt::Write as _;
use std::ops::Range;

use anstyle::Style;
use spanscope_model::text::first_chars;
use textwrap::WordSeparator;
use textwrap::core::Word;
use textwrap::wrap_algorithms::wrap_first_fit;

use super::highlight::highlight;
use super::text::{columns, cut_and_count, pieces, push_visible};
use super::theme::{Ink, Palette};

/// Minimum number of columns for the text, however deep it is indented.
const MIN_TEXT: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    Theme(Ink),
    /// A style from markup, by its index.
    Markup(usize),
}

/// The style of the bytes from the end of the previous run up to `end`.
#[derive(Debug)]
struct Run {
    end: usize,
    paint: Paint,
}

/// A logical line, which may be wrapped into several rows.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    indent: usize,
    hang: usize,
}

/// A row of the output: a part of one line.
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
    markup_styles: Vec<(Style, Option<String>)>,
    rows: Vec<Row>,
}

impl Canvas {
    pub(super) fn new(colored: bool) -> Self {
        Self {
            colored,
            text: String::new(),
            runs: Vec::new(),
            lines: Vec::new(),
            markup_styles: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.runs.clear();
        self.lines.clear();
        self.markup_styles.clear();
    }

    /// Begins a line with this indent; `hang` is the indent of its continuation lines.
    pub(super) fn begin_line(&mut self, indent: usize, hang: usize) {
        self.lines.push(Line {
            start: self.text.len(),
            indent,
            hang,
        });
    }

    /// Returns the buffer for a caller that formats a text itself; [`paint`](Self::paint) must
    /// follow. The text has to be safe to show.
    pub(super) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Appends a space between two parts of a line, unless there is one or the line begins here.
    pub(super) fn push_gap(&mut self) {
        let begins = self
            .lines
            .last()
            .is_some_and(|line| line.start == self.text.len());
        if !begins && !self.text.ends_with(' ') {
            self.text.push(' ');
        }
    }

    /// Returns the length of the text in bytes, for [`cut_back`](Self::cut_back).
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Returns the number of columns of the text from this byte on.
    pub(super) fn columns_from(&self, start: usize) -> usize {
        columns(&self.text[start..])
    }

    /// Removes what was appended since the text had this length.
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

    /// Applies this style to everything that has none yet.
    pub(super) fn paint(&mut self, ink: Ink) {
        if self.colored {
            push_run(&mut self.runs, self.text.len(), Paint::Theme(ink));
        }
    }

    /// Appends a text that is known to be safe to show.
    pub(super) fn push(&mut self, text: &str, ink: Ink) {
        self.text.push_str(text);
        self.paint(ink);
    }

    /// Appends a text of the program, escaped.
    pub(super) fn push_data(&mut self, text: &str, ink: Ink) {
        push_visible(&mut self.text, text);
        self.paint(ink);
    }

    /// Appends a text of the program, escaped and truncated to `max_chars` characters.
    pub(super) fn push_cut(&mut self, text: &str, max_chars: usize, ink: Ink) {
        let (head, total) = cut_and_count(text, max_chars);
        self.push_data(head, ink);
        if total.is_some() {
            self.push("…", ink);
        }
    }

    /// Appends a text of the program, escaped and highlighted.
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

    /// Appends a text of the program, escaped, in a style from markup.
    pub(super) fn push_styled(&mut self, text: &str, style: Style, link: Option<&str>) {
        push_visible(&mut self.text, text);
        if self.colored {
            let link = link.map(ToOwned::to_owned);
            if self
                .markup_styles
                .last()
                .is_none_or(|last| last.0 != style || last.1 != link)
            {
                self.markup_styles.push((style, link));
            }
            push_run(
                &mut self.runs,
                self.text.len(),
                Paint::Markup(self.markup_styles.len() - 1),
            );
        }
    }

    /// Appends the source location of an entry, its target and line, as a hyperlink if `link` is
    /// set.
    pub(super) fn push_place(
        &mut self,
        target: &str,
        line: Option<u32>,
        link: Option<&str>,
        max_chars: usize,
        ink: Ink,
    ) {
        // Text before it is not part of the link.
        self.paint(ink);
        let (head, total) = cut_and_count(target, max_chars);
        push_visible(&mut self.text, head);
        if total.is_some() {
            self.text.push('…');
        }
        if let Some(line) = line {
            // Writing to a string can't fail.
            let _ = write!(self.text, ":{line}");
        }
        if self.colored
            && let Some(link) = link
        {
            self.markup_styles.push((ink.style(), Some(link.to_owned())));
            push_run(
                &mut self.runs,
                self.text.len(),
                Paint::Markup(self.markup_styles.len() - 1),
            );
        }
        self.paint(ink);
    }

    /// Appends everything to `out`, wrapped to lines of at most `width` columns.
    pub(super) fn write(&mut self, palette: &Palette, width: usize, out: &mut String) {
        self.wrap(width);
        let mut run = 0;
        for row in &self.rows {
            push_blanks(out, row.indent);
            self.write_range(palette, row.range.clone(), &mut run, out);
            out.push('\n');
        }
    }

    /// Appends everything to `out` in a box with round corners, after an indent and within a
    /// maximum width.
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

    /// Appends a range of the text. Ranges are in order, so the runs are read once.
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
                Paint::Markup(index) => self.write_markup(palette, piece, *index, out),
            }
            at += piece.len();
        }
    }

    fn write_markup(&self, palette: &Palette, piece: &str, index: usize, out: &mut String) {
        let Some((style, link)) = self.markup_styles.get(index) else {
            return out.push_str(piece);
        };
        // The one escape code that anstyle doesn't have: OSC 8, a hyperlink, ended by an empty
        // link.
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

/// Adds a word, in parts if it is longer than a line. `break_words` of textwrap counts an emoji
/// with its variation selector, which makes it wide, as one column.
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

/// Returns the escaped text, truncated to this number of columns; `…` marks a truncation.
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
