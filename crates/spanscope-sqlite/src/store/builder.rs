//! SQL that is composed of fixed pieces and bound values.
//!
//! Pieces are `&'static str`, so that the compiler keeps a caller's input out of the text of a
//! query.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

/// A query or a piece of one, with the values of its parameters in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(super) fn new(text: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Appends a fixed piece.
    pub(super) fn push(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Appends a parameter with this value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.text.push('?');
        self.values.push(value.into());
        self
    }

    /// Appends the value of a parameter whose `?` is part of a fixed piece.
    pub(super) fn value(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Appends another piece with its values.
    pub(super) fn add(mut self, piece: &Self) -> Self {
        self.text.push_str(&piece.text);
        self.values.extend(piece.values.iter().cloned());
        self
    }

    /// Runs it and maps every row.
    pub(super) fn rows<T>(
        &self,
        db: &Connection,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        db.prepare(&self.text)?
            .query_map(params_from_iter(&self.values), map)?
            .collect()
    }

    /// Runs it and passes every row to `each`, for rows that should not be collected.
    pub(super) fn for_each<E: From<rusqlite::Error>>(
        &self,
        db: &Connection,
        mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = db.prepare(&self.text)?;
        let mut rows = statement.query(params_from_iter(&self.values))?;
        while let Some(row) = rows.next()? {
            each(row)?;
        }
        Ok(())
    }
}

/// Converts a count to SQLite's integers, which are signed.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
