//! Inserts of many rows by one statement.
//!
//! A statement for one row opens a cursor on the table and on each of its indexes, and closes them
//! again, for every row. 32 rows per statement saved 14 % of a whole run's time, 128 rows some 5 %
//! more. A statement that calls a function, such as the one that computes the text of a span's id,
//! keeps a separate journal of each page that it changes.
//!
//! Strings are copied once, into one buffer, and bound from there. Rarely filled columns are left
//! out of the statement while no row has a value in them. Consecutive row ids are left to SQLite,
//! which then appends to the table without searching a position. Together this saved up to 5 % of a
//! whole run's time.
//!
//! The statements use `OR FAIL`, so that those without such a function need no journal: a failure
//! rolls the whole transaction back anyway.

use std::fmt::Write as _;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::text::without_nul;

/// Rows per statement.
const ROWS: usize = 128;

/// A value of a row that is about to be inserted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'r> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'r str),
    Blob(&'r [u8]),
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<'r> From<&'r str> for Cell<'r> {
    fn from(text: &'r str) -> Self {
        Self::Text(text)
    }
}

impl<'r, T: Into<Cell<'r>>> From<Option<T>> for Cell<'r> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A table whose rows are inserted in bulk.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    /// The statement up to the table's name.
    pub(crate) insert: &'static str,
    /// Without the row id, which is the column `id` in tables with one.
    pub(crate) columns: [&'static str; COLUMNS],
    /// The number of rarely filled columns at the end.
    pub(crate) rare: usize,
}

/// A [`Cell`] without its bytes, which are in one buffer, one value after the other.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Null,
    Integer(i64),
    Real(f64),
    Text(usize),
    Blob(usize),
}

/// Collects rows of one table until there are enough for one statement.
pub(crate) struct Bulk<'db, const COLUMNS: usize> {
    db: &'db Connection,
    table: &'static Table<COLUMNS>,
    /// The statements for many rows: with the rarely filled columns, and without.
    many: [Option<CachedStatement<'db>>; 2],
    one: [Option<CachedStatement<'db>>; 2],
    kept: Vec<Kept>,
    bytes: Vec<u8>,
    /// Whether a row has a value in a rarely filled column.
    is_full: bool,
    /// The row id that SQLite assigns next.
    next: Option<i64>,
}

impl<'db, const COLUMNS: usize> Bulk<'db, COLUMNS> {
    pub(crate) const fn new(db: &'db Connection, table: &'static Table<COLUMNS>) -> Self {
        Self {
            db,
            table,
            many: [None, None],
            one: [None, None],
            kept: Vec::new(),
            bytes: Vec::new(),
            is_full: false,
            next: None,
        }
    }

    /// Adds a row of a table without row ids.
    pub(crate) fn push(&mut self, row: [Cell<'_>; COLUMNS]) -> rusqlite::Result<()> {
        self.keep(row);
        if self.kept.len() == ROWS * COLUMNS {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds a row with an id that is larger than all ids in the table.
    pub(crate) fn push_numbered(&mut self, number: i64, row: [Cell<'_>; COLUMNS]) -> rusqlite::Result<()> {
        if self.next == Some(number) {
            self.next = Some(number + 1);
            return self.push(row);
        }
        self.flush()?;
        self.keep(row);
        let sql = self.sql(true, true, 1);
        let mut statement = self.db.prepare_cached(&sql)?;
        statement.raw_bind_parameter(1, number)?;
        bind::<COLUMNS>(&mut statement, 2, &self.kept, &self.bytes, COLUMNS)?;
        statement.raw_execute()?;
        self.clear();
        self.next = Some(number + 1);
        Ok(())
    }

    /// Writes the remaining rows.
    pub(crate) fn flush(&mut self) -> rusqlite::Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let shape = usize::from(!self.is_full);
        let columns = if self.is_full {
            COLUMNS
        } else {
            COLUMNS - self.table.rare
        };
        if self.kept.len() == ROWS * COLUMNS {
            let statement = match self.many[shape].take() {
                Some(statement) => statement,
                None => self.db.prepare_cached(&self.sql(false, self.is_full, ROWS))?,
            };
            let statement = self.many[shape].insert(statement);
            bind::<COLUMNS>(statement, 1, &self.kept, &self.bytes, columns)?;
            statement.raw_execute()?;
        } else {
            let statement = match self.one[shape].take() {
                Some(statement) => statement,
                None => self.db.prepare_cached(&self.sql(false, self.is_full, 1))?,
            };
            let statement = self.one[shape].insert(statement);
            let mut bytes = self.bytes.as_slice();
            for row in self.kept.chunks_exact(COLUMNS) {
                bytes = bind::<COLUMNS>(statement, 1, row, bytes, columns)?;
                statement.raw_execute()?;
            }
        }
        self.clear();
        Ok(())
    }

    fn keep(&mut self, row: [Cell<'_>; COLUMNS]) {
        for (column, cell) in row.into_iter().enumerate() {
            self.is_full |= column >= COLUMNS - self.table.rare && !matches!(cell, Cell::Null);
            let visible;
            let (kept, bytes) = match cell {
                Cell::Null => (Kept::Null, &[][..]),
                Cell::Integer(number) => (Kept::Integer(number), &[][..]),
                Cell::Real(number) => (Kept::Real(number), &[][..]),
                Cell::Text(text) => {
                    visible = without_nul(text);
                    (Kept::Text(visible.len()), visible.as_bytes())
                }
                Cell::Blob(blob) => (Kept::Blob(blob.len()), blob),
            };
            self.kept.push(kept);
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn clear(&mut self) {
        self.kept.clear();
        self.bytes.clear();
        self.is_full = false;
    }

    fn sql(&self, with_number: bool, is_full: bool, rows: usize) -> String {
        let columns = &self.table.columns[..if is_full {
            COLUMNS
        } else {
            COLUMNS - self.table.rare
        }];
        let columns: Vec<&str> = with_number
            .then_some("id")
            .into_iter()
            .chain(columns.iter().copied())
            .collect();
        let row = format!("({})", vec!["?"; columns.len()].join(", "));
        let mut sql = format!("{} ({}) VALUES {row}", self.table.insert, columns.join(", "));
        for _ in 1..rows {
            let _ = write!(sql, ", {row}");
        }
        sql
    }
}

/// Binds the first `columns` values of each row, and returns the bytes of the other rows.
fn bind<'b, const COLUMNS: usize>(
    statement: &mut CachedStatement<'_>,
    first: usize,
    rows: &[Kept],
    mut bytes: &'b [u8],
    columns: usize,
) -> rusqlite::Result<&'b [u8]> {
    let mut take = |length: usize| {
        let (value, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        bytes = rest;
        value
    };
    let mut index = first;
    for row in rows.chunks_exact(COLUMNS) {
        for kept in &row[..columns] {
            let value = match *kept {
                Kept::Null => ValueRef::Null,
                Kept::Integer(number) => ValueRef::Integer(number),
                Kept::Real(number) => ValueRef::Real(number),
                Kept::Text(length) => ValueRef::Text(take(length)),
                Kept::Blob(length) => ValueRef::Blob(take(length)),
            };
            statement.raw_bind_parameter(index, ToSqlOutput::Borrowed(value))?;
            index += 1;
        }
    }
    Ok(bytes)
}
