//! Sizes, counts and losses of the store, and durations by span name.
//!
//! Percentiles are computed from the spans themselves instead of being maintained while writing:
//! the necessary columns are the first of each row, two threads read a half each, and a histogram
//! with 64 buckets per doubling has a name's durations within 0.8 %. A million spans take about a
//! tenth of a second, and writing costs nothing.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use spanscope_model::{
    Account, DropCounts, DurationRank, FileStats, NameStats, ServiceStats, StoreStats, Timestamp,
};

use super::Failure;
use super::builder::Sql;
use super::rows::alive_since;
use super::scope::Scope;
use super::spans::first_since;
use crate::file::schema;
use crate::file::text::without_nul;

/// Up to this number, the durations of a name are kept in a list, which is exact and smaller than a
/// histogram.
const EXACT: usize = 256;
/// Callsites with smaller ids are found by index in a vector.
const SMALL_CALLSITES: usize = 4096;
/// Each doubling of a duration is cut into 2^6 buckets.
const BITS: u32 = 6;

/// Returns sizes, counts and losses.
pub(super) fn store(db: &Connection, scope: Scope, path: &Path) -> Result<StoreStats, Failure> {
    let first = |sql: Sql| -> rusqlite::Result<Option<i64>> {
        let found = sql.rows(db, |row| row.get::<_, Option<i64>>(0))?;
        Ok(found.into_iter().next().flatten())
    };
    let number = |sql: Sql| first(sql).map(|number| natural(number.unwrap_or(0)));
    let moment = |sql: Sql| first(sql).map(|time| time.map(Timestamp::from_nanos));
    let is_all = scope.is_all();
    // The file has all tenants' records; its size would reveal how much others store.
    let file = match is_all {
        true => Some(file(db, path)?),
        false => None,
    };
    let account = |column: &'static str| {
        let sql = Sql::new("SELECT sum(")
            .push(column)
            .push(") FROM _process p WHERE 1");
        number(sql.add(&scope.of_processes()))
    };
    let services = services(db, scope)?;
    let has_sampled = schema::has_sampled(db)?;
    // A program that is alive has records in flight, which are not lost.
    let lost = Sql::new("SELECT sum(p.offered - p.stored - p.dropped_queue_full - p.dropped_write_failed - p.dropped_shutdown")
        .push(if has_sampled { " - p.dropped_sampled" } else { "" })
        .push(") FROM _process p WHERE p.ended_at IS NULL AND p.pid <> 0 AND p.seen_at < ")
        .bind(alive_since());
    let lost = number(lost.add(&scope.of_processes()))?;
    Ok(StoreStats::default()
        .bytes(file.map_or(0, |file| file.bytes + file.wal_bytes))
        .traces(number(
            Sql::new("SELECT count(*) FROM _trace t WHERE t.span_count > 0").add(&scope.of_traces()),
        )?)
        .spans(services.iter().map(|service| service.spans).sum())
        .events(number(
            Sql::new("SELECT count(*) FROM _event e WHERE 1").add(&scope.of_events()),
        )?)
        .points(match (schema::has_metrics(db)?, is_all) {
            (false, _) => 0,
            (true, true) => number(Sql::new("SELECT count(*) FROM _point"))?,
            (true, false) => number(
                Sql::new("SELECT sum(s.points) FROM _series s JOIN _metric m ON m.id = s.metric WHERE 1")
                    .add(&scope.of_metrics()),
            )?,
        })
        .oldest(moment(
            Sql::new("SELECT min(t.start) FROM _trace t WHERE 1").add(&scope.of_traces()),
        )?)
        .newest(moment(
            Sql::new("SELECT max(t.start) FROM _trace t WHERE 1").add(&scope.of_traces()),
        )?)
        .file(file)
        .account(
            Account::default()
                .offered(account("offered")?)
                .stored(account("stored")?)
                .dropped(
                    DropCounts::default()
                        .queue_full(account("dropped_queue_full")?)
                        .write_failed(account("dropped_write_failed")?)
                        .shutdown(account("dropped_shutdown")?)
                        .sampled(match has_sampled {
                            true => account("dropped_sampled")?,
                            false => 0,
                        }),
                )
                .lost(lost),
        )
        .services(services))
}

/// Returns the time of the oldest trace or log event outside traces.
pub(super) fn oldest(db: &Connection, scope: Scope) -> Result<Option<Timestamp>, Failure> {
    let first = |sql: Sql| -> rusqlite::Result<Option<i64>> { Ok(sql.rows(db, |row| row.get(0))?.pop()) };
    let trace = Sql::new("SELECT t.start FROM _trace t WHERE 1")
        .add(&scope.of_traces())
        .push(" ORDER BY t.start LIMIT 1");
    let event = Sql::new("SELECT e.time FROM _event e INDEXED BY _event_loose WHERE e.trace IS NULL")
        .add(&scope.of_events())
        .push(" ORDER BY e.time LIMIT 1");
    let oldest = first(trace)?.into_iter().chain(first(event)?).min();
    Ok(oldest.map(Timestamp::from_nanos))
}

fn file(db: &Connection, path: &Path) -> rusqlite::Result<FileStats> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get(0).map(natural));
    Ok(FileStats::default()
        .bytes(size(path))
        .wal_bytes(size(Path::new(&wal)))
        .free_bytes(pragma("freelist_count")? * pragma("page_size")?))
}

/// Returns the numbers of spans and of failed spans by service, the busiest first.
fn services(db: &Connection, scope: Scope) -> rusqlite::Result<Vec<ServiceStats>> {
    Sql::new(
        "SELECT COALESCE(p.service_name, ''), sum(n.spans), sum(n.errors) FROM \
         (SELECT s.process, count(*) AS spans, count(*) FILTER (WHERE s.status = 1) AS errors FROM _span s WHERE 1",
    )
    .add(&scope.of_spans())
    .push(
        " GROUP BY s.process) n LEFT JOIN _process p ON p.id = n.process \
         GROUP BY 1 ORDER BY sum(n.spans) DESC, 1",
    )
    .rows(db, |row| {
        Ok(ServiceStats::new(row.get::<_, String>(0)?).spans(natural(row.get(1)?)).errors(natural(row.get(2)?)))
    })
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Returns the row id of the first span that may have begun since `since`, of the last span, and
/// of the middle between them.
pub(super) fn halves(db: &Connection, since: Option<Timestamp>) -> Result<(i64, i64, i64), Failure> {
    let (least, last): (i64, i64) = db.query_row(
        "SELECT COALESCE((SELECT min(id) FROM _span), 0), COALESCE((SELECT max(id) FROM _span), 0)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let first = match since {
        Some(since) => first_since(db, since)?.0.max(least),
        None => least,
    };
    Ok((first, first + (last - first) / 2, last))
}

/// Durations of the spans of a part of the file.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// By the callsite's id, which is small: a million look-ups in a hash table would cost a fifth
    /// of the time.
    by_callsite: Vec<Sketch>,
    by_large_callsite: HashMap<i64, Sketch>,
    by_name: HashMap<String, Sketch>,
}

impl Durations {
    /// Adds the spans with these row ids, first and last included.
    pub(super) fn read(
        &mut self,
        db: &Connection,
        scope: Scope,
        (first, last): (i64, i64),
        (since, until): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<(), Failure> {
        let mut sql =
            Sql::new("SELECT s.callsite, s.name, s.duration, s.status FROM _span s WHERE s.id BETWEEN ")
                .bind(first)
                .push(" AND ")
                .bind(last)
                .push(" AND s.duration IS NOT NULL")
                .add(&scope.of_spans());
        if let Some(since) = since {
            sql = sql.push(" AND s.start >= ").bind(since.as_nanos());
        }
        if let Some(until) = until {
            sql = sql.push(" AND s.start < ").bind(until.as_nanos());
        }
        sql.for_each(db, |row| {
            let nanos = natural(row.get(2)?);
            let is_error = row.get::<_, Option<i64>>(3)? == Some(1);
            match row.get_ref(1)?.as_str_or_null()? {
                None => self.of_callsite(row.get(0)?).add(nanos, is_error),
                Some(name) => self.add_named(name, nanos, is_error),
            }
            Ok::<_, Failure>(())
        })
    }

    /// Adds another part of the same file.
    pub(super) fn add(&mut self, other: Self) {
        let small = (0..)
            .zip(other.by_callsite)
            .filter(|(_, sketch)| sketch.count > 0);
        for (callsite, sketch) in small.chain(other.by_large_callsite) {
            self.of_callsite(callsite).merge(sketch);
        }
        for (name, sketch) in other.by_name {
            self.by_name.entry(name).or_default().merge(sketch);
        }
    }

    fn of_callsite(&mut self, id: i64) -> &mut Sketch {
        match usize::try_from(id) {
            Ok(index) if index < SMALL_CALLSITES => {
                if index >= self.by_callsite.len() {
                    self.by_callsite.resize_with(index + 1, Sketch::default);
                }
                &mut self.by_callsite[index]
            }
            _ => self.by_large_callsite.entry(id).or_default(),
        }
    }

    /// Adds to the sketch of a name, without an allocation if the name is known.
    fn add_named(&mut self, name: &str, nanos: u64, is_error: bool) {
        match self.by_name.get_mut(name) {
            Some(sketch) => sketch.add(nanos, is_error),
            None => self
                .by_name
                .entry(name.to_owned())
                .or_default()
                .add(nanos, is_error),
        }
    }

    /// Merges the parts, by name, the largest total first.
    pub(super) fn finish(db: &Connection, parts: Vec<Self>) -> Result<Vec<NameStats>, Failure> {
        let mut names = db.prepare("SELECT name FROM _callsite WHERE id = ?1")?;
        let mut sketches: HashMap<String, Sketch> = HashMap::new();
        for part in parts {
            let small = (0..).zip(part.by_callsite).filter(|(_, sketch)| sketch.count > 0);
            for (callsite, sketch) in small.chain(part.by_large_callsite) {
                let name: String = names.query_row([callsite], |row| row.get(0))?;
                sketches.entry(name).or_default().merge(sketch);
            }
            for (name, sketch) in part.by_name {
                sketches.entry(name).or_default().merge(sketch);
            }
        }
        let mut stats: Vec<NameStats> = sketches
            .into_iter()
            .map(|(name, sketch)| sketch.into_stats(name))
            .collect();
        stats.sort_by(|a, b| {
            b.total_ms
                .total_cmp(&a.total_ms)
                .then_with(|| a.name.cmp(&b.name))
        });
        Ok(stats)
    }
}

/// The durations of one name, and how many of them are below a given one.
#[derive(Debug, Default)]
pub(super) struct Rank {
    sketch: Sketch,
    faster: u64,
}

impl Rank {
    /// Reads the spans with these row ids, first and last included.
    pub(super) fn read(
        db: &Connection,
        scope: Scope,
        name: &str,
        (first, last): (i64, i64),
        since: Timestamp,
        nanos: u64,
    ) -> Result<Self, Failure> {
        let mut rank = Self::default();
        // A span's row has its name only if it is not the callsite's.
        let name = without_nul(name).into_owned();
        let sql = Sql::new("SELECT s.duration, s.status FROM _span s WHERE s.id BETWEEN ")
            .bind(first)
            .push(" AND ")
            .bind(last)
            .push(" AND s.duration IS NOT NULL AND CASE WHEN s.name IS NULL THEN s.callsite IN (SELECT id FROM _callsite WHERE name = ")
            .bind(name.clone())
            .push(") ELSE s.name = ")
            .bind(name)
            .push(" END AND s.start >= ")
            .bind(since.as_nanos())
            .add(&scope.of_spans());
        sql.for_each(db, |row| {
            let duration = natural(row.get(0)?);
            rank.sketch
                .add(duration, row.get::<_, Option<i64>>(1)? == Some(1));
            rank.faster += u64::from(duration < nanos);
            Ok::<_, Failure>(())
        })?;
        Ok(rank)
    }

    /// Adds another part of the same file.
    pub(super) fn add(&mut self, other: Self) {
        self.sketch.merge(other.sketch);
        self.faster += other.faster;
    }

    pub(super) fn finish(mut self) -> DurationRank {
        self.sketch.exact.sort_unstable();
        DurationRank::default()
            .count(self.sketch.count)
            .faster(self.faster)
            .p50_nanos(self.sketch.percentile(50))
            .p95_nanos(self.sketch.percentile(95))
    }
}

/// The distribution of durations: exact while there are few, then by bucket.
#[derive(Debug, Default)]
struct Sketch {
    count: u64,
    errors: u64,
    total: u128,
    exact: Vec<u64>,
    buckets: Vec<u64>,
}

impl Sketch {
    fn add(&mut self, nanos: u64, is_error: bool) {
        self.count += 1;
        self.errors += u64::from(is_error);
        self.total += u128::from(nanos);
        if self.buckets.is_empty() && self.exact.len() < EXACT {
            self.exact.push(nanos);
        } else {
            self.spill();
            self.put(nanos, 1);
        }
    }

    fn spill(&mut self) {
        for nanos in std::mem::take(&mut self.exact) {
            self.put(nanos, 1);
        }
    }

    fn put(&mut self, nanos: u64, times: u64) {
        let bucket = bucket(nanos);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += times;
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.total += other.total;
        if self.buckets.is_empty()
            && other.buckets.is_empty()
            && self.exact.len() + other.exact.len() <= EXACT
        {
            self.exact.extend(other.exact);
            return;
        }
        self.spill();
        for nanos in other.exact {
            self.put(nanos, 1);
        }
        for (bucket, times) in other
            .buckets
            .into_iter()
            .enumerate()
            .filter(|(_, times)| *times > 0)
        {
            self.put(middle(bucket), times);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "statistics are floats of milliseconds")]
    fn into_stats(mut self, name: String) -> NameStats {
        self.exact.sort_unstable();
        let percentile = |percent: u64| self.percentile(percent) as f64 / 1e6;
        NameStats::new(name)
            .p50_ms(percentile(50))
            .p95_ms(percentile(95))
            .p99_ms(percentile(99))
            .total_ms(self.total as f64 / 1e6)
            .count(self.count)
            .errors(self.errors)
    }

    /// Returns the duration that this percentage of the spans does not exceed. `exact` must be
    /// sorted.
    fn percentile(&self, percent: u64) -> u64 {
        self.at_rank((self.count * percent).div_ceil(100).max(1))
    }

    /// Returns the duration at this rank, counted from 1.
    fn at_rank(&self, rank: u64) -> u64 {
        if self.buckets.is_empty() {
            let index = usize::try_from(rank.saturating_sub(1)).unwrap_or(usize::MAX);
            return self.exact.get(index).copied().unwrap_or(0);
        }
        let mut seen = 0;
        for (bucket, times) in self.buckets.iter().enumerate() {
            seen += times;
            if seen >= rank {
                return middle(bucket);
            }
        }
        0
    }
}

/// Returns the bucket of a duration. Small numbers have a bucket each; for larger ones, the
/// position of the highest bit and the [`BITS`] bits after it are the bucket.
fn bucket(nanos: u64) -> usize {
    let exponent = (u64::BITS - nanos.leading_zeros()).saturating_sub(BITS + 1);
    let bucket = (u64::from(exponent) << BITS) + (nanos >> exponent);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// Returns the middle of a bucket, which is within 0.8 % of every duration in it.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let exponent = (bucket >> BITS).saturating_sub(1);
    let lowest = (bucket - (exponent << BITS)) << exponent;
    lowest + ((1_u64 << exponent) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "a test of relative errors")]
    fn every_duration_is_within_one_percent_of_the_middle_of_its_bucket() {
        let mut nanos = 1_u64;
        let mut last = 0;
        while nanos < 1 << 62 {
            let bucket = bucket(nanos);
            assert!(bucket >= last, "buckets grow with durations");
            last = bucket;
            let error = (middle(bucket) as f64 - nanos as f64).abs() / nanos as f64;
            assert!(error <= 0.01, "{nanos} is {error} away");
            nanos += 1 + nanos / 97;
        }
        assert!((0..200).all(|small| bucket(small) != bucket(small + 1) || small >= 128));
        assert!(bucket(u64::MAX) < 4096);
    }
}
