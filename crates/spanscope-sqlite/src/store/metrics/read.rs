//! Reads points and roll-ups of the wanted series, in the order of time.

use rusqlite::{Connection, Statement};

use crate::file::Failure;
use crate::file::series::{Amount, MINUTE};

/// The number of minutes of roll-ups that one query reads.
const MINUTES_AT_ONCE: i64 = 240;
/// Looking up one roll-up costs as much as scanning this number of them.
const PASSED_PER_LOOK_UP: i64 = 4;

/// The wanted series, and their positions in the result.
pub(super) struct Wanted {
    /// Row ids of series and their positions, sorted.
    series: Vec<(i64, usize)>,
    json: String,
}

impl Wanted {
    /// Returns `None` if no series are wanted.
    pub(super) fn new(series: &[i64]) -> Option<Self> {
        let mut sorted: Vec<(i64, usize)> = series.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        sorted.first()?;
        Some(Self {
            json: serde_json::to_string(series).ok()?,
            series: sorted,
        })
    }

    /// Returns the wanted series as a JSON list.
    pub(super) fn json(&self) -> &str {
        &self.json
    }

    pub(super) fn place(&self, series: i64) -> Option<usize> {
        let found = self.series.binary_search_by_key(&series, |(series, _)| *series);
        found
            .ok()
            .and_then(|index| self.series.get(index))
            .map(|(_, at)| *at)
    }
}

/// Receives a point: the index of its series, its time, its value.
type Take<'t> = &'t mut dyn FnMut(usize, i64, Amount);

/// Reads measurements.
pub(super) struct Points<'q> {
    wanted: &'q Wanted,
    all: Statement<'q>,
    one: Statement<'q>,
}

impl<'q> Points<'q> {
    pub(super) fn new(db: &'q Connection, wanted: &'q Wanted) -> rusqlite::Result<Self> {
        Ok(Self {
            wanted,
            all: db.prepare(
                "SELECT series, time, value FROM _point INDEXED BY _point_time WHERE time >= ?1 AND time < ?2 \
                 AND series IN (SELECT value FROM json_each(?3)) ORDER BY time, series, id",
            )?,
            one: db.prepare(
                "SELECT series, time, value FROM _point INDEXED BY _point_time WHERE time >= ?1 AND time < ?2 \
                 AND series = ?3 ORDER BY time, id",
            )?,
        })
    }

    /// Reads the measurements from `start` on and before `end`.
    pub(super) fn read(&mut self, start: i64, end: i64, take: Take<'_>) -> Result<(), Failure> {
        if start >= end {
            return Ok(());
        }
        let mut rows = self.all.query((start, end, &self.wanted.json))?;
        while let Some(row) = rows.next()? {
            if let Some(at) = self.wanted.place(row.get(0)?) {
                take(at, row.get(1)?, row.get(2)?);
            }
        }
        Ok(())
    }

    /// Reads the measurements of the series at this position in the minute that begins at `start`.
    pub(super) fn read_one(&mut self, at: usize, start: i64, take: Take<'_>) -> Result<(), Failure> {
        let series = self.wanted.series.iter().find(|(_, place)| *place == at);
        let mut rows = self.one.query((
            start,
            start.saturating_add(MINUTE),
            series.map(|(series, _)| *series),
        ))?;
        while let Some(row) = rows.next()? {
            take(at, row.get(1)?, row.get(2)?);
        }
        Ok(())
    }
}

/// The sum and the last value of a minute, if all of its points are stored.
type Rollup = Option<(Amount, Amount)>;

/// Passes the roll-ups of these minutes to `take`, with the index of their series and the minute.
///
/// The rows of a minute are adjacent, for all series, so that writing is cheap. Reading scans all
/// of them if there are few, and looks up each wanted one if there are many. SQLite itself does
/// both, because returning a row costs five times as much as skipping it.
pub(super) fn rollups(
    db: &Connection,
    wanted: &Wanted,
    (first, last): (i64, i64),
    take: &mut dyn FnMut(usize, i64, Rollup) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut next = db.prepare("SELECT min(minute) FROM _rollup WHERE minute >= ?1")?;
    let mut count = db.prepare(
        "SELECT count(*) FROM (SELECT 1 FROM _rollup WHERE minute >= ?1 AND minute < ?2 LIMIT ?3)",
    )?;
    let mut go_through = db.prepare(
        "SELECT minute, series, sum, last FROM _rollup WHERE minute >= ?1 AND minute < ?2 \
         AND series IN (SELECT value FROM json_each(?3)) ORDER BY minute, series",
    )?;
    let mut look_up = db.prepare(
        "WITH RECURSIVE n (minute) AS (SELECT ?1 UNION ALL SELECT minute + 1 FROM n WHERE minute + 1 < ?2) \
         SELECT r.minute, r.series, r.sum, r.last FROM n CROSS JOIN json_each(?3) w \
         CROSS JOIN _rollup r ON r.minute = n.minute AND r.series = w.value ORDER BY n.minute",
    )?;
    let mut from = first;
    loop {
        let found: Option<i64> = next.query_row([from], |row| row.get(0))?;
        let Some(start) = found.filter(|start| *start < last) else {
            return Ok(());
        };
        let end = start.saturating_add(MINUTES_AT_ONCE).min(last);
        let look_ups = i64::try_from(wanted.series.len())
            .unwrap_or(i64::MAX)
            .saturating_mul(end - start);
        let many = look_ups.saturating_mul(PASSED_PER_LOOK_UP);
        let rows: i64 = count.query_row((start, end, many), |row| row.get(0))?;
        let statement = if rows < many {
            &mut go_through
        } else {
            &mut look_up
        };
        let mut rows = statement.query((start, end, &wanted.json))?;
        while let Some(row) = rows.next()? {
            let Some(at) = wanted.place(row.get(1)?) else {
                continue;
            };
            let sum: Option<Amount> = row.get(2)?;
            let rollup = match sum {
                Some(sum) => Some((sum, row.get(3)?)),
                None => None,
            };
            take(at, row.get(0)?, rollup)?;
        }
        from = end;
    }
}
