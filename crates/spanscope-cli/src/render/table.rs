//! Tables that fit the terminal.
//!
//! Rows are one line high: what does not fit is cut, the columns that matter least first. Where a table has more
//! columns than the terminal can show, as a `SELECT *` may, each row becomes a block of `name: value` lines instead.
//! In a pipe or a file nothing is cut.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

use super::colour::Paint;
use super::pairs;
use super::text::{fit, visible, width};
use crate::output::Output;

/// Columns between columns.
const GAP: u16 = 2;
/// A minor column takes at most so many columns, with its gap.
const MAX_MINOR: Width = Width::Fixed(16);
/// Where nothing is cut, a longer text pushes the rest of its row to the right instead of widening the column for all rows.
const MAX_ALIGNED: usize = 60;
/// A column that can shrink keeps so many columns.
const MIN_COLUMN: usize = 6;

/// How a column behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// As wide as its content.
    Fixed,
    /// A number: as wide as its content, to the right.
    Number,
    /// Takes what room there is.
    Text,
    /// A text that leaves the room to the others.
    Minor,
}

/// One cell: a text and what it means.
#[derive(Debug, Clone)]
pub(crate) struct Shown(String, Paint);

impl<T: Into<String>> From<T> for Shown {
    fn from(text: T) -> Self {
        Self(text.into(), Paint::Plain)
    }
}

/// A cell with a meaning.
pub(crate) fn painted(paint: Paint, text: impl Into<String>) -> Shown {
    Shown(text.into(), paint)
}

/// Lays out rows under these heads.
pub(crate) fn table(out: &Output, columns: &[(&str, Column)], rows: Vec<Vec<Shown>>) -> String {
    if !out.is_bounded() {
        return uncut(out, columns, &rows);
    }
    let gaps = usize::from(GAP) * columns.len().saturating_sub(1);
    let least = gaps
        + (0..columns.len())
            .map(|at| least_width(columns[at].1, at, columns, &rows))
            .sum::<usize>();
    if least > out.width {
        return blocks(out, columns, &rows);
    }
    let mut head = Row::from(
        columns
            .iter()
            .map(|(name, _)| Cell::new(visible(name)))
            .collect::<Vec<_>>(),
    );
    head.max_height(1);
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_truncation_indicator("…")
        .set_width(u16::try_from(out.width).unwrap_or(u16::MAX))
        .set_header(head);
    if out.colour {
        table.force_no_tty().enforce_styling();
    } else {
        table.force_no_tty();
    }
    for row in rows {
        let cells = row.into_iter().map(|Shown(text, paint)| {
            let cell = Cell::new(fit(&text, out.width));
            paint.of_cell().into_iter().fold(cell, Cell::fg)
        });
        let mut row = Row::from(cells.collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    }
    for (column, (_, behaviour)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, GAP));
        match behaviour {
            Column::Text => {}
            Column::Minor => drop(column.set_constraint(ColumnConstraint::UpperBoundary(MAX_MINOR))),
            Column::Fixed => drop(column.set_constraint(ColumnConstraint::ContentWidth)),
            Column::Number => {
                column.set_constraint(ColumnConstraint::ContentWidth);
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    if let Some(last) = table.column_mut(columns.len().saturating_sub(1)) {
        last.set_padding((0, 0));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn least_width(behaviour: Column, at: usize, columns: &[(&str, Column)], rows: &[Vec<Shown>]) -> usize {
    let cells = rows
        .iter()
        .filter_map(|row| row.get(at))
        .map(|cell| width(&fit(&cell.0, 200)));
    let widest = cells.chain([width(columns[at].0)]).max().unwrap_or(0);
    match behaviour {
        Column::Text | Column::Minor => widest.min(MIN_COLUMN),
        Column::Fixed | Column::Number => widest,
    }
}

/// The table at its full width.
fn uncut(out: &Output, columns: &[(&str, Column)], rows: &[Vec<Shown>]) -> String {
    let head = columns.iter().map(|(name, _)| Shown::from(*name)).collect();
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
        for ((Shown(cell, paint), columns), (_, behaviour)) in row.iter().zip(&widths).zip(columns) {
            let cell = visible(cell);
            let padding = columns.saturating_sub(width(&cell));
            let (before, after) = match behaviour {
                Column::Number => (padding, 0),
                Column::Fixed | Column::Text | Column::Minor => (0, padding),
            };
            if !cell.is_empty() {
                line.extend(std::iter::repeat_n(' ', blanks + before));
                line.push_str(&paint.on(out.colour, &cell));
                blanks = 0;
            } else {
                blanks += before;
            }
            blanks += after + usize::from(GAP);
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn blocks(out: &Output, columns: &[(&str, Column)], rows: &[Vec<Shown>]) -> String {
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
    fn where_nothing_is_cut_rows_are_whole_and_columns_are_aligned_as_far_as_texts_are_short() {
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
