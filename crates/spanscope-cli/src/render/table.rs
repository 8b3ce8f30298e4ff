//! Tables that fit the terminal.
//!
//! Rows are one line high: texts that do not fit are truncated, the widest columns first.
//! If a table has more columns than the terminal can show, as a `SELECT *` may, each row becomes a
//! block of `name: value` lines instead. In a pipe or a file nothing is truncated.

use super::colour::Paint;
use super::pairs;
use super::text::{fit, visible, width};
use crate::output::Output;

/// Spaces between columns.
const GAP: usize = 2;
/// The maximum width of a minor column.
const MAX_MINOR: usize = 14;
/// Where nothing is cut, a longer text pushes the rest of its row to the right instead of widening
/// the column for all rows.
const MAX_ALIGNED: usize = 60;
/// The minimum width of a column that can shrink.
const MIN_COLUMN: usize = 6;

/// How a column behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// As wide as its content.
    Fixed,
    /// A number: as wide as its content, to the right.
    Number,
    /// Uses the available room.
    Text,
    /// A text of limited width, which is truncated after all others.
    Minor,
    /// A minor text that most rows have in common. If it is the same in all of them and the table
    /// is too wide, it is shown once above the table, the last of such columns first.
    Shared,
    /// A number, or a text of fixed width, that is omitted if the table is too wide, the last
    /// first.
    Spare,
}

impl Column {
    /// Returns the padding before and after a cell.
    fn sides(self, padding: usize) -> (usize, usize) {
        match self {
            Self::Number | Self::Spare => (padding, 0),
            Self::Fixed | Self::Text | Self::Minor | Self::Shared => (0, padding),
        }
    }
}

/// One cell: a text and its meaning.
#[derive(Debug, Clone)]
pub(crate) struct Cell(String, Paint);

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(text.into(), Paint::Plain)
    }
}

/// Creates a cell with a meaning.
pub(crate) fn painted(paint: Paint, text: impl Into<String>) -> Cell {
    Cell(text.into(), paint)
}

/// Lays out rows under these heads.
pub(crate) fn table(out: &Output, columns: &[(&str, Column)], rows: Vec<Vec<Cell>>) -> String {
    if !out.is_bounded() {
        return uncut(out, columns, &rows);
    }
    let mut columns = columns.to_vec();
    let mut rows = rows;
    let above = narrow(out, &mut columns, &mut rows);
    above + &bounded(out, &columns, &rows)
}

/// Removes columns until the rest fits, and returns the text above the table instead.
fn narrow(out: &Output, columns: &mut Vec<(&str, Column)>, rows: &mut [Vec<Cell>]) -> String {
    let mut above = String::new();
    let remove = |columns: &mut Vec<(&str, Column)>, rows: &mut [Vec<Cell>], at: usize| {
        columns.remove(at);
        for row in rows {
            row.remove(at);
        }
    };
    let shared = |columns: &[(&str, Column)], rows: &[Vec<Cell>]| {
        let same = |at: usize| {
            let mut cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| &cell.0);
            let first = cells.next()?;
            cells.all(|cell| cell == first).then(|| first.clone())
        };
        columns
            .iter()
            .enumerate()
            .filter(|(_, (_, behaviour))| *behaviour == Column::Shared)
            .rev()
            .find_map(|(at, _)| Some((at, same(at)?)))
    };
    while full_width(columns, rows) > out.width {
        if let Some((at, value)) = shared(columns, rows) {
            if !value.is_empty() {
                let line = format!("{} {}", columns[at].0, visible(&value));
                above.push_str(&Paint::Dim.on(out.colour, &fit(&line, out.width)));
                above.push('\n');
            }
            remove(columns, rows, at);
        } else if let Some(at) = columns
            .iter()
            .rposition(|(_, behaviour)| *behaviour == Column::Spare)
        {
            remove(columns, rows, at);
        } else {
            break;
        }
    }
    above
}

/// Returns the width at which nothing is truncated.
fn full_width(columns: &[(&str, Column)], rows: &[Vec<Cell>]) -> usize {
    let widths = (0..columns.len()).map(|at| widest(at, columns, rows));
    widths.sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

/// Lays out a table whose texts are truncated where necessary.
fn bounded(out: &Output, columns: &[(&str, Column)], rows: &[Vec<Cell>]) -> String {
    let Some(widths) = widths(out.width, columns, rows) else {
        return blocks(out, columns, rows);
    };
    let head = columns.iter().map(|(name, _)| Cell::from(*name)).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        let mut blanks = 0;
        for ((Cell(cell, paint), columns), (_, behaviour)) in row.iter().zip(&widths).zip(columns) {
            let cell = fit(cell, *columns);
            let padding = columns.saturating_sub(width(&cell));
            let (before, after) = behaviour.sides(padding);
            if cell.is_empty() {
                blanks += before;
            } else {
                line.extend(std::iter::repeat_n(' ', blanks + before));
                line.push_str(&paint.on(out.colour, &cell));
                blanks = 0;
            }
            blanks += after + GAP;
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Returns the width of each column; `None` if the terminal can't show them all.
fn widths(room: usize, columns: &[(&str, Column)], rows: &[Vec<Cell>]) -> Option<Vec<usize>> {
    let gaps = GAP * columns.len().saturating_sub(1);
    let room = room.checked_sub(gaps)?;
    let mut widths: Vec<usize> = (0..columns.len())
        .map(|at| match columns[at].1 {
            Column::Minor | Column::Shared => widest(at, columns, rows).min(MAX_MINOR),
            _ => widest(at, columns, rows),
        })
        .collect();
    // The widest text shrinks first, minor ones after all others.
    for behaviours in [&[Column::Text][..], &[Column::Minor, Column::Shared]] {
        while widths.iter().sum::<usize>() > room {
            let shrinking = (0..columns.len())
                .filter(|at| behaviours.contains(&columns[*at].1) && widths[*at] > MIN_COLUMN)
                .max_by_key(|at| (widths[*at], *at));
            match shrinking {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
    }
    (widths.iter().sum::<usize>() <= room).then_some(widths)
}

/// Returns the width of the widest cell of a column.
fn widest(at: usize, columns: &[(&str, Column)], rows: &[Vec<Cell>]) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(at));
    let cells = cells.map(|cell| width(&fit(&cell.0, 200)));
    cells.chain([width(columns[at].0)]).max().unwrap_or(0)
}

/// Lays out a table without truncation.
fn uncut(out: &Output, columns: &[(&str, Column)], rows: &[Vec<Cell>]) -> String {
    let head = columns.iter().map(|(name, _)| Cell::from(*name)).collect();
    let lines = || std::iter::once(&head).chain(rows);
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| {
            let cells = lines().filter_map(|row| row.get(at));
            let cells = cells.map(|cell| width(&visible(&cell.0)));
            cells.filter(|cell| *cell <= MAX_ALIGNED).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in lines() {
        let mut line = String::new();
        let mut blanks = 0;
        for ((Cell(cell, paint), columns), (_, behaviour)) in row.iter().zip(&widths).zip(columns) {
            let cell = visible(cell);
            let padding = columns.saturating_sub(width(&cell));
            let (before, after) = behaviour.sides(padding);
            if !cell.is_empty() {
                line.extend(std::iter::repeat_n(' ', blanks + before));
                line.push_str(&paint.on(out.colour, &cell));
                blanks = 0;
            } else {
                blanks += before;
            }
            blanks += after + GAP;
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn blocks(out: &Output, columns: &[(&str, Column)], rows: &[Vec<Cell>]) -> String {
    let blocks = rows.iter().map(|row| {
        let lines = columns
            .iter()
            .zip(row)
            .map(|((name, _), cell)| (*name, cell.0.clone()));
        pairs::pairs(out, &lines.collect::<Vec<_>>())
    });
    blocks.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::output;

    #[test]
    fn a_table_fits_the_width_and_cuts_texts_before_ids() {
        let columns = [
            ("id", Column::Fixed),
            ("name", Column::Text),
            ("n", Column::Number),
        ];
        let rows = vec![
            vec![
                "4bf92f35".into(),
                "a very long name indeed, far too long".into(),
                "5".into(),
            ],
            vec!["00f067aa".into(), "x\x1b[31m\nz".into(), "12".into()],
        ];
        let text = table(&output(40), &columns, rows);
        assert!(text.lines().all(|line| width(line) <= 40), "{text}");
        assert!(
            text.contains("4bf92f35") && text.contains('…') && text.contains("\\x1b[31m\\nz"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn without_a_maximum_width_rows_are_complete_and_short_texts_are_aligned() {
        let columns = [
            ("id", Column::Fixed),
            ("name", Column::Text),
            ("count", Column::Number),
            ("note", Column::Minor),
        ];
        let long = "x".repeat(5000);
        let rows = vec![
            vec!["4bf9".into(), "chat".into(), "7".into(), "".into()],
            vec!["00f0".into(), long.as_str().into(), "12".into(), "a\nb".into()],
        ];
        let text = table(&output(1 << 30), &columns, rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "id    name  count  note");
        assert_eq!(lines[1], "4bf9  chat      7");
        assert_eq!(lines[2], format!("00f0  {long}     12  a\\nb"));
    }

    #[test]
    fn values_that_all_rows_share_are_above_them_if_space_is_short() {
        let columns = [
            ("name", Column::Text),
            ("service", Column::Shared),
            ("n", Column::Number),
            ("last", Column::Spare),
        ];
        let row = |service: &str| -> Vec<Cell> {
            vec![
                "a name of 28 columns in all.".into(),
                service.into(),
                "5".into(),
                "12-01 10:00".into(),
            ]
        };
        let narrow = table(&output(44), &columns, vec![row("shop"), row("shop")]);
        assert_eq!(
            narrow,
            "service shop\nname                          n         last\n\
             a name of 28 columns in all.  5  12-01 10:00\na name of 28 columns in all.  5  12-01 10:00\n"
        );
        let narrower = table(&output(40), &columns, vec![row("shop"), row("bank")]);
        assert!(
            narrower.starts_with("name") && narrower.contains("in all.  shop"),
            "{narrower}"
        );
        assert!(!narrower.contains("last"), "{narrower}");
        let wide = table(&output(60), &columns, vec![row("shop"), row("shop")]);
        assert!(wide.contains("service") && wide.contains("12-01"), "{wide}");
    }

    #[test]
    fn too_many_columns_become_blocks() {
        let names: Vec<String> = (0..30).map(|n| format!("column{n}")).collect();
        let columns: Vec<(&str, Column)> = names.iter().map(|name| (name.as_str(), Column::Text)).collect();
        let text = table(
            &output(80),
            &columns,
            vec![(0..30).map(|n| n.to_string().into()).collect()],
        );
        assert_eq!(text.lines().count(), 30);
        assert!(text.starts_with("column0"), "{text}");
    }
}
