//! Stores the measurements of an import, without a limit of label sets.
//!
//! A measurement has no id, and a source may contain several equal ones. So equal measurements are
//! counted: if N of them are stored when the first one is read, the first N are skipped, and only
//! further ones are added.

use rusqlite::{Connection, Statement, params};

use super::record::InPoint;
use crate::file::series::{Amount, NewPoint, Points};

/// Stores the measurements of one transaction.
pub(super) struct PointTarget<'db> {
    db: &'db Connection,
    batch: Option<Points<'db>>,
    find: Statement<'db>,
    last: Option<RepeatedPoint>,
}

/// The previous point, and the number of equal stored ones that the source has not matched yet.
pub(super) type RepeatedPoint = (Key, i64);

/// The identity of a measurement: its metric, unit, labels, time, span and value.
pub(super) type Key = (String, String, String, i64, Option<i64>, Amount);

impl<'db> PointTarget<'db> {
    pub(super) fn new(db: &'db Connection, last: Option<RepeatedPoint>) -> rusqlite::Result<Self> {
        Ok(Self {
            db,
            batch: None,
            find: db.prepare(
                "SELECT count(*) FROM _point WHERE time = ?1 AND series = ?2 AND span_id IS ?3 AND value = ?4",
            )?,
            last,
        })
    }

    /// Stores a measurement; returns `false` if it is already stored.
    pub(super) fn store(&mut self, point: &InPoint, process: i64, tenant: i64) -> rusqlite::Result<bool> {
        let batch = match &mut self.batch {
            Some(batch) => batch,
            none => none.insert(Points::begin(self.db, u64::MAX)?),
        };
        let new = NewPoint {
            metric: &point.metric,
            unit: &point.unit,
            kind: point.kind,
            labels: &point.labels,
            time: point.time,
            value: point.value,
            trace: point.trace,
            span: point.span,
            process,
            expires: point.expires,
            tenant,
            detail: point.detail.as_deref(),
        };
        let key = (
            point.metric.clone(),
            point.unit.clone(),
            point.labels.clone(),
            point.time,
            point.span,
            point.value,
        );
        let mut there = match self.last.take() {
            Some((last, there)) if last == key => there,
            _ => {
                let series = batch.series_of(&new)?;
                self.find
                    .query_row(params![point.time, series, point.span, point.value], |row| {
                        row.get(0)
                    })?
            }
        };
        let is_known = there > 0;
        there -= i64::from(is_known);
        self.last = Some((key, there));
        if !is_known {
            batch.add(&new)?;
        }
        Ok(!is_known)
    }

    /// Writes the rest of the transaction; the caller commits.
    pub(super) fn finish(self) -> rusqlite::Result<Option<RepeatedPoint>> {
        if let Some(batch) = self.batch {
            batch.finish()?;
        }
        Ok(self.last)
    }
}
