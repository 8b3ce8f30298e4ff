//! Deletion of measurements and their aggregates.

use std::collections::BTreeMap;

use rusqlite::{Connection, Params, params};

use super::{POINT_BYTES, minute_of};
use crate::file::processes::add_bytes;

/// Runs a `DELETE FROM _point ...` without `RETURNING` and returns how many rows it deleted. The
/// caller holds the write transaction.
///
/// A value can't be subtracted exactly from a floating-point sum, nor can the last value be reset
/// to the one before. So a roll-up that loses some of its points is only marked; a query then reads
/// that minute from the points.
pub(crate) fn delete(db: &Connection, statement: &str, values: impl Params) -> rusqlite::Result<usize> {
    let mut minutes: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    let mut all: BTreeMap<i64, i64> = BTreeMap::new();
    let mut bytes: BTreeMap<i64, i64> = BTreeMap::new();
    let mut deleted = 0;
    let mut statement = db.prepare_cached(&format!(
        "{statement} RETURNING series, time, process, {POINT_BYTES} + COALESCE(octet_length(detail), 0)"
    ))?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        let (series, time) = (row.get(0)?, row.get(1)?);
        *minutes.entry((minute_of(time), series)).or_default() += 1;
        *all.entry(series).or_default() += 1;
        *bytes.entry(row.get(2)?).or_default() += row.get::<_, i64>(3)?;
        deleted += 1;
    }
    for (process, bytes) in bytes {
        add_bytes(db, process, -bytes)?;
    }
    let mut shrink = db.prepare_cached(
        "UPDATE _rollup SET count = count - ?3, sum = NULL WHERE minute = ?1 AND series = ?2",
    )?;
    let mut drop_empty =
        db.prepare_cached("DELETE FROM _rollup WHERE minute = ?1 AND series = ?2 AND count <= 0")?;
    for ((minute, series), count) in minutes {
        shrink.execute(params![minute, series, count])?;
        drop_empty.execute(params![minute, series])?;
    }
    let mut shrink = db.prepare_cached("UPDATE _series SET points = points - ?2 WHERE id = ?1")?;
    let mut drop_empty =
        db.prepare_cached("DELETE FROM _series WHERE id = ?1 AND points <= 0 RETURNING metric")?;
    let mut drop_metric = db.prepare_cached(
        "DELETE FROM _metric WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM _series WHERE metric = ?1)",
    )?;
    for (series, count) in all {
        shrink.execute(params![series, count])?;
        let metrics: Vec<i64> = drop_empty
            .query_map([series], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for metric in metrics {
            drop_metric.execute([metric])?;
        }
    }
    Ok(deleted)
}
