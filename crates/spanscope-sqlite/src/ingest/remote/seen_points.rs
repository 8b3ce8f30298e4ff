//! Finds the measurements of an import that are already stored.
//!
//! A measurement has no id, and a source may contain several equal ones. So equal measurements are
//! counted: if N of them are stored when the first one is read, the first N are skipped, and only
//! further ones are added.

use std::collections::HashMap;

use rusqlite::params;

use super::batch::Batch;
use crate::file::series::{Amount, NewPoint};

/// The measurements that were looked up, each with the number of stored ones that the import has
/// not matched yet.
#[derive(Debug, Default)]
pub(super) struct SeenPoints {
    unmatched: HashMap<Key, i64>,
}

/// The series, the time, the span and the bits of the value.
type Key = (i64, i64, Option<i64>, u64);

impl SeenPoints {
    /// Returns whether the measurement is stored; each stored one matches once.
    pub(super) fn is_known(&mut self, batch: &mut Batch<'_>, point: &NewPoint<'_>) -> rusqlite::Result<bool> {
        let series = batch.series_of(point)?;
        let value = match point.value {
            Amount::Integer(number) => number.cast_unsigned(),
            Amount::Real(number) => number.to_bits(),
        };
        let key = (series, point.time, point.span, value);
        let unmatched = match self.unmatched.get_mut(&key) {
            Some(unmatched) => unmatched,
            None => {
                let stored = batch
                    .db
                    .prepare_cached(
                        "SELECT count(*) FROM _point WHERE time = ?1 AND series = ?2 AND span_id IS ?3 AND value = ?4",
                    )?
                    .query_row(params![point.time, series, point.span, point.value], |row| {
                        row.get(0)
                    })?;
                self.unmatched.entry(key).or_insert(stored)
            }
        };
        let is_known = *unmatched > 0;
        *unmatched -= i64::from(is_known);
        Ok(is_known)
    }
}
