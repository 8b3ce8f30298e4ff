//! Measurements in the file: storing them with their roll-ups, and deleting them.
//!
//! The writer and an import store through [`Points`], one for each transaction. A series is looked
//! up in each transaction, because another process may have deleted it since the last one. Points,
//! roll-ups and counts change in the same transaction, so they are always consistent for a reader.

mod amount;
mod delete;

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use spanscope_model::MetricKind;
use spanscope_model::semconv::SemanticAttribute;

pub(crate) use self::amount::Amount;
pub(crate) use self::delete::delete;
use crate::file::bulk::{Bulk, Cell, Table};
use crate::file::processes::add_bytes;
use crate::json::{push_key, push_text};

/// The width of a roll-up, in nanoseconds.
pub(crate) const MINUTE: i64 = 60_000_000_000;
/// The labels of measurements beyond the limit of label sets, as OpenTelemetry defines them.
const OVERFLOW: &str = r#"{"otel.metric.overflow":"true"}"#;
/// The label of a measurement whose unit differs from its metric's.
pub(crate) const UNIT: &str = "unit";

/// The labels of a token measurement that name the model; the first present one counts.
pub(crate) const MODEL_LABELS: [&str; 3] = [
    "model_id",
    SemanticAttribute::RequestModel.name(),
    SemanticAttribute::ResponseModel.name(),
];
/// The labels of a token measurement that name the provider; the first present one counts.
pub(crate) const PROVIDER_LABELS: [&str; 2] = ["provider_id", SemanticAttribute::Provider.name()];

/// Returns the minute of a time, counted from 1970.
pub(crate) fn minute_of(time: i64) -> i64 {
    time.div_euclid(MINUTE)
}

/// Returns labels, which must be sorted and unique, as JSON text.
pub(crate) fn labels_text<'l>(labels: impl Iterator<Item = (&'l str, &'l str)>) -> String {
    let mut text = String::from("{");
    for (key, value) in labels {
        if text.len() > 1 {
            text.push(',');
        }
        push_key(&mut text, key);
        push_text(&mut text, value);
    }
    text.push('}');
    text
}

/// A measurement to be stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewPoint<'p> {
    /// Without NUL, like the unit and the labels.
    pub(crate) metric: &'p str,
    pub(crate) unit: &'p str,
    pub(crate) kind: MetricKind,
    /// A JSON object of texts by key.
    pub(crate) labels: &'p str,
    pub(crate) time: i64,
    pub(crate) value: Amount,
    pub(crate) trace: Option<[u8; 16]>,
    pub(crate) span: Option<i64>,
    pub(crate) process: i64,
    pub(crate) expires: Option<i64>,
    pub(crate) tenant: i64,
    /// Further data of the measurement, as JSON.
    pub(crate) detail: Option<&'p str>,
}

/// The size of a measurement's row in addition to its detail, with its part of the indexes.
const POINT_BYTES: usize = 90;

const POINTS: Table<8> = Table {
    insert: "INSERT OR FAIL INTO _point",
    columns: [
        "series", "time", "value", "process", "trace", "span_id", "expires", "detail",
    ],
    rare: 4,
};

/// Stores measurements within one transaction.
pub(crate) struct Points<'db> {
    db: &'db Connection,
    max_series: i64,
    rows: Bulk<'db, 8>,
    find_series: CachedStatement<'db>,
    metrics: HashMap<(i64, String), MetricRow>,
    /// By tenant, metric, unit and labels, with NUL between them.
    known: HashMap<String, i64>,
    key: String,
    /// The number of new points of each series, and their latest time.
    grown: BTreeMap<i64, (i64, i64)>,
    /// By minute and series, in the order of the table.
    rollups: BTreeMap<(i64, i64), Rollup>,
    /// The bytes that processes stored.
    bytes: HashMap<i64, i64>,
    overflowed: Vec<String>,
}

#[derive(Debug)]
struct MetricRow {
    id: i64,
    unit: String,
    /// The number of its label sets, once it was read.
    series: Option<i64>,
}

#[derive(Debug)]
struct Rollup {
    count: i64,
    sum: Amount,
    least: Amount,
    greatest: Amount,
    last: Amount,
    last_time: i64,
}

impl<'db> Points<'db> {
    /// Begins a batch; the caller holds the write transaction. A metric gets at most `max_series`
    /// label sets.
    pub(crate) fn begin(db: &'db Connection, max_series: u64) -> rusqlite::Result<Self> {
        Ok(Self {
            db,
            max_series: i64::try_from(max_series).unwrap_or(i64::MAX),
            rows: Bulk::new(db, &POINTS),
            find_series: db.prepare_cached("SELECT id FROM _series WHERE metric = ?1 AND labels = ?2")?,
            metrics: HashMap::new(),
            known: HashMap::new(),
            key: String::new(),
            grown: BTreeMap::new(),
            rollups: BTreeMap::new(),
            bytes: HashMap::new(),
            overflowed: Vec::new(),
        })
    }

    /// Stores a measurement.
    pub(crate) fn add(&mut self, point: &NewPoint<'_>) -> rusqlite::Result<()> {
        let series = self.series_of(point)?;
        self.rows.push([
            series.into(),
            point.time.into(),
            match point.value {
                Amount::Integer(number) => Cell::Integer(number),
                Amount::Real(number) => Cell::Real(number),
            },
            point.process.into(),
            point.trace.as_ref().map(|trace| Cell::Blob(trace)).into(),
            point.span.into(),
            point.expires.into(),
            point.detail.into(),
        ])?;
        let bytes = POINT_BYTES + point.detail.map_or(0, str::len);
        *self.bytes.entry(point.process).or_default() += i64::try_from(bytes).unwrap_or(0);
        let (points, last) = self.grown.entry(series).or_insert((0, point.time));
        *points += 1;
        *last = (*last).max(point.time);
        let value = point.value;
        self.rollups
            .entry((minute_of(point.time), series))
            .and_modify(|rollup| {
                rollup.count += 1;
                rollup.sum = rollup.sum.plus(value);
                rollup.least = rollup.least.least(value);
                rollup.greatest = rollup.greatest.greatest(value);
                if point.time >= rollup.last_time {
                    (rollup.last, rollup.last_time) = (value, point.time);
                }
            })
            .or_insert(Rollup {
                count: 1,
                sum: value,
                least: value,
                greatest: value,
                last: value,
                last_time: point.time,
            });
        Ok(())
    }

    /// Returns the row of a point's series, and creates it if it is missing.
    pub(crate) fn series_of(&mut self, point: &NewPoint<'_>) -> rusqlite::Result<i64> {
        self.key.clear();
        self.key.push_str(itoa::Buffer::new().format(point.tenant));
        for part in ["\0", point.metric, "\0", point.unit, "\0", point.labels] {
            self.key.push_str(part);
        }
        if let Some(series) = self.known.get(self.key.as_str()) {
            return Ok(*series);
        }
        let series = self.find_or_create(point)?;
        self.known.insert(self.key.clone(), series);
        Ok(series)
    }

    fn find_or_create(&mut self, point: &NewPoint<'_>) -> rusqlite::Result<i64> {
        let key = (point.tenant, point.metric.to_owned());
        let metric = match self.metrics.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(metric_row(self.db, point)?),
        };
        if metric.unit.is_empty() && !point.unit.is_empty() {
            self.db
                .prepare_cached("UPDATE _metric SET unit = ?2 WHERE id = ?1")?
                .execute(params![metric.id, point.unit])?;
            point.unit.clone_into(&mut metric.unit);
        }
        let is_other_unit = !point.unit.is_empty() && point.unit != metric.unit;
        let labels: Cow<'_, str> = match is_other_unit {
            true => Cow::Owned(with_unit(point.labels, point.unit)),
            false => Cow::Borrowed(point.labels),
        };
        let id = metric.id;
        let mut find = |labels: &str| {
            let found = self
                .find_series
                .query_row(params![id, labels], |row| row.get::<_, i64>(0));
            found.optional()
        };
        if let Some(series) = find(&labels)? {
            return Ok(series);
        }
        let count = match metric.series {
            Some(count) => count,
            None => self
                .db
                .prepare_cached("SELECT count(*) FROM _series WHERE metric = ?1 AND labels <> ?2")?
                .query_row(params![id, OVERFLOW], |row| row.get(0))?,
        };
        let labels = if count < self.max_series {
            metric.series = Some(count + 1);
            labels
        } else {
            metric.series = Some(count);
            if !self.overflowed.iter().any(|name| name == point.metric) {
                self.overflowed.push(point.metric.to_owned());
            }
            if let Some(series) = find(OVERFLOW)? {
                return Ok(series);
            }
            Cow::Borrowed(OVERFLOW)
        };
        self.db
            .prepare_cached("INSERT INTO _series (metric, labels, points, last) VALUES (?1, ?2, 0, ?3)")?
            .execute(params![id, labels, point.time])?;
        Ok(self.db.last_insert_rowid())
    }

    /// Writes the remaining points, the roll-ups and the counts. Returns the metrics that exceeded
    /// the limit of label sets.
    pub(crate) fn finish(mut self) -> rusqlite::Result<Vec<String>> {
        self.rows.flush()?;
        let mut roll_up = self.db.prepare_cached(
            "INSERT INTO _rollup (minute, series, count, sum, least, greatest, last, last_time)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (minute, series) DO UPDATE SET
                 count = count + excluded.count,
                 sum = sum + excluded.sum,
                 least = MIN(least, excluded.least),
                 greatest = MAX(greatest, excluded.greatest),
                 last = CASE WHEN excluded.last_time >= last_time THEN excluded.last ELSE last END,
                 last_time = MAX(last_time, excluded.last_time)",
        )?;
        for ((minute, series), rollup) in &self.rollups {
            let Rollup {
                count,
                sum,
                least,
                greatest,
                last,
                last_time,
            } = rollup;
            roll_up.execute(params![
                minute, series, count, sum, least, greatest, last, last_time
            ])?;
        }
        let mut grow = self
            .db
            .prepare_cached("UPDATE _series SET points = points + ?2, last = MAX(last, ?3) WHERE id = ?1")?;
        for (series, (points, last)) in &self.grown {
            grow.execute(params![series, points, last])?;
        }
        for (process, bytes) in self.bytes {
            add_bytes(self.db, process, bytes)?;
        }
        Ok(self.overflowed)
    }
}

fn metric_row(db: &Connection, point: &NewPoint<'_>) -> rusqlite::Result<MetricRow> {
    let mut find = db.prepare_cached("SELECT id, unit FROM _metric WHERE name = ?1 AND tenant = ?2")?;
    let found = find.query_row(params![point.metric, point.tenant], |row| {
        Ok(MetricRow {
            id: row.get(0)?,
            unit: row.get(1)?,
            series: None,
        })
    });
    if let Some(found) = found.optional()? {
        return Ok(found);
    }
    db.prepare_cached("INSERT INTO _metric (name, unit, kind, tenant) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            point.metric,
            point.unit,
            point.kind.as_str(),
            point.tenant
        ])?;
    Ok(MetricRow {
        id: db.last_insert_rowid(),
        unit: point.unit.to_owned(),
        series: None,
    })
}

/// Removes the unit that [`with_unit`] added to the labels.
pub(crate) fn take_unit(labels: &mut String) -> Option<String> {
    if !labels.contains("\"unit\":") {
        return None;
    }
    let mut parsed: BTreeMap<String, String> = serde_json::from_str(labels).ok()?;
    let unit = parsed.remove(UNIT)?;
    *labels = labels_text(parsed.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    Some(unit)
}

/// Returns the labels with the label `unit`, which no measurement has itself, because its unit is a
/// separate field.
fn with_unit(labels: &str, unit: &str) -> String {
    let mut labels: BTreeMap<String, String> = serde_json::from_str(labels).unwrap_or_default();
    labels.insert(UNIT.to_owned(), unit.to_owned());
    labels_text(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}
