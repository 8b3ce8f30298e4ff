//! Counts of traces and of log events over time.

use rusqlite::{Connection, Row};
use spanscope_model::{Histogram, HistogramRange, LogFilter, Severity, StoreError, TraceFilter};

use super::Failure;
use super::builder::{Sql, count};
use super::logs;
use super::scope::Scope;
use super::spans::first_since;
use super::traces;

/// Beyond this number of traces a sample is counted: 1,000,000 traces take a fifth of a second.
const EXACT_TRACES: i64 = 200_000;

const TRACE_WORDS: [&str; 3] = ["ok", "error", "running"];

/// Counts the traces that the filter lets through. `matching` has the traces that meet the
/// conditions, if a scan has already found them.
pub(super) fn of_traces(
    db: &Connection,
    scope: Scope,
    filter: &TraceFilter,
    matching: Option<&[i64]>,
    range: HistogramRange,
) -> Result<Histogram, Failure> {
    check(range)?;
    let step = range.step_nanos();
    let mut filter = filter
        .clone()
        .since(filter.since.map_or(range.from, |since| since.max(range.from)))
        .until(filter.until.map_or(range.to, |until| until.min(range.to)));
    filter.before = None;
    let within = match is_plain(&filter) {
        true => Some(starts_within(db, scope, &filter, range)?),
        false => None,
    };
    let all: i64 = within.iter().flatten().sum();
    let every = (all.saturating_add(EXACT_TRACES - 1) / EXACT_TRACES).max(1);
    if let Some(within) = within.filter(|_| every == 1) {
        return of_all_traces(db, scope, &filter, range, &within);
    }
    let mut sql = Sql::new("SELECT (t.start - ")
        .bind(range.from.as_nanos())
        .push(") / ")
        .bind(step)
        .push(
            ", CASE WHEN t.error_count > 0 THEN 1 WHEN t.open_count > 0 THEN 2 ELSE 0 END, count(*) \
             FROM _trace t WHERE t.span_count > 0",
        )
        .add(&traces::chosen(db, scope, &filter, matching)?);
    if every > 1 {
        sql = sql.push(" AND t.id % ").bind(every).push(" = 0");
    }
    let sql = sql.push(" GROUP BY 1, 2");
    let mut counts = Counts::new(range, TRACE_WORDS.len());
    sql.for_each(db, |row| counts.add_row(row, every))?;
    Ok(Histogram::default()
        .series(TRACE_WORDS.into_iter().zip(counts.0).collect())
        .every(u64::try_from(every).unwrap_or(1)))
}

/// Whether a filter only names a time.
fn is_plain(filter: &TraceFilter) -> bool {
    traces::criteria_of(filter).is_empty() && !filter.errors && !filter.running && filter.service.is_none()
}

/// Counts the traces that began in each bucket, including traces without spans. The index by start
/// is enough for that, which takes a tenth of the time of reading the traces.
fn starts_within(
    db: &Connection,
    scope: Scope,
    filter: &TraceFilter,
    range: HistogramRange,
) -> Result<Vec<i64>, Failure> {
    let (since, until) = limits(filter, range);
    let step = range.step_nanos();
    let edge = |bucket: u32| {
        let since_start = step.saturating_mul(i64::from(bucket));
        range.from.as_nanos().saturating_add(since_start)
    };
    let mut counts = Vec::new();
    for bucket in 0..range.buckets {
        let (first, after) = (edge(bucket).max(since), edge(bucket + 1).min(until));
        if first >= after {
            counts.push(0);
            continue;
        }
        let found = Sql::new("SELECT count(*) FROM _trace t WHERE t.start >= ")
            .bind(first)
            .push(" AND t.start < ")
            .bind(after)
            .add(&scope.of_traces())
            .rows(db, |row| row.get(0))?;
        counts.push(found.into_iter().next().unwrap_or(0));
    }
    Ok(counts)
}

/// The first nanosecond of the range, and the one after the last.
fn limits(filter: &TraceFilter, range: HistogramRange) -> (i64, i64) {
    (
        filter.since.unwrap_or(range.from).as_nanos(),
        filter.until.unwrap_or(range.to).as_nanos(),
    )
}

/// Counts all traces of a range: each counts as `ok`, and only the others are read to correct that.
fn of_all_traces(
    db: &Connection,
    scope: Scope,
    filter: &TraceFilter,
    range: HistogramRange,
    within: &[i64],
) -> Result<Histogram, Failure> {
    const NO_SPANS: i64 = -1;
    let (since, until) = limits(filter, range);
    let mut counts = Counts::new(range, TRACE_WORDS.len());
    for (count, within) in counts.0[0].iter_mut().zip(within) {
        *count = u64::try_from(*within).unwrap_or(0);
    }
    let stored: Vec<i64> = Sql::new("SELECT (SELECT max(id) FROM _trace) - (SELECT min(id) FROM _trace)")
        .rows(db, |row| Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(0)))?;
    let is_most = within.iter().sum::<i64>() > stored.first().copied().unwrap_or(0) / 2;
    let mut sql = Sql::new(
        "SELECT t.start, CASE WHEN t.span_count = 0 THEN -1 WHEN t.error_count > 0 THEN 1 ELSE 2 END \
         FROM _trace t WHERE (t.span_count = 0 OR t.error_count > 0 OR t.open_count > 0)",
    )
    .add(&scope.of_traces());
    // If most of the table is read, its own order is faster than the index's. The `+` keeps SQLite
    // from using the index.
    sql = match is_most {
        true => sql.push(" AND +t.start >= ").bind(since).push(" AND +t.start < "),
        false => sql.push(" AND t.start >= ").bind(since).push(" AND t.start < "),
    }
    .bind(until);
    sql.for_each(db, |row| {
        let (start, word): (i64, i64) = (row.get(0)?, row.get(1)?);
        let bucket = start.saturating_sub(range.from.as_nanos()) / range.step_nanos();
        let Ok(bucket) = usize::try_from(bucket) else {
            return Ok::<_, Failure>(());
        };
        if let Some(ok) = counts.0[0].get_mut(bucket) {
            *ok = ok.saturating_sub(1);
        }
        if word != NO_SPANS
            && let Some(of_word) = usize::try_from(word).ok().and_then(|word| counts.0.get_mut(word))
            && let Some(count) = of_word.get_mut(bucket)
        {
            *count += 1;
        }
        Ok(())
    })?;
    Ok(Histogram::default()
        .series(TRACE_WORDS.into_iter().zip(counts.0).collect())
        .every(1))
}

fn check(range: HistogramRange) -> Result<(), StoreError> {
    if range.from >= range.to {
        return Err(StoreError::invalid(format!(
            "the histogram would begin at {} and end at {}: give an end after the start",
            range.from, range.to
        )));
    }
    if !(1..=HistogramRange::MAX_BUCKETS).contains(&range.buckets) {
        return Err(StoreError::invalid(format!(
            "a histogram has 1 to {} buckets, not {}",
            HistogramRange::MAX_BUCKETS,
            range.buckets
        )));
    }
    Ok(())
}

/// A count for each word and bucket.
#[derive(Debug)]
struct Counts(Vec<Vec<u64>>);

impl Counts {
    fn new(range: HistogramRange, words: usize) -> Self {
        Self(vec![vec![0; range.buckets as usize]; words])
    }

    /// Adds a row of bucket, word and count.
    fn add_row(&mut self, row: &Row<'_>, every: i64) -> Result<(), Failure> {
        let (bucket, word): (i64, i64) = (row.get(0)?, row.get(1)?);
        let found = u64::try_from(row.get::<_, i64>(2)?.saturating_mul(every)).unwrap_or(0);
        let of_word = usize::try_from(word).ok().and_then(|word| self.0.get_mut(word));
        let bucket = usize::try_from(bucket).ok();
        if let Some(of_bucket) = of_word.and_then(|counts| counts.get_mut(bucket?)) {
            *of_bucket += found;
        }
        Ok(())
    }
}

/// Counts of log events, which are added up over pieces.
#[derive(Debug)]
pub(super) struct LogCounts(Counts);

impl LogCounts {
    pub(super) fn new(range: HistogramRange) -> Self {
        // `read` refuses an invalid range.
        let buckets = range.buckets.min(HistogramRange::MAX_BUCKETS);
        Self(Counts::new(
            HistogramRange { buckets, ..range },
            Severity::ALL.len(),
        ))
    }

    /// Counts the events that the filter lets through, in a piece or in the whole table.
    pub(super) fn read(
        db: &Connection,
        scope: Scope,
        filter: &LogFilter,
        range: HistogramRange,
        piece: Option<(i64, i64)>,
    ) -> Result<Self, Failure> {
        check(range)?;
        let mut sql = Sql::new("SELECT (e.time - ")
            .bind(range.from.as_nanos())
            .push(") / ")
            .bind(range.step_nanos())
            .push(", COALESCE(e.severity, (SELECT level FROM _callsite WHERE id = e.callsite)), count(*) FROM _event e WHERE 1");
        match piece {
            Some((first, last)) => {
                sql = sql
                    .push(" AND e.id BETWEEN ")
                    .bind(first)
                    .push(" AND ")
                    .bind(last);
            }
            None => {
                if let Some(since) = filter.since {
                    sql = sql.push(" AND e.id >= ").bind(first_since(db, since)?.1);
                }
            }
        }
        if let Some(since) = filter.since {
            sql = sql.push(" AND e.time >= ").bind(since.as_nanos());
        }
        let Some(of_place) = logs::of_place(db, scope, filter)? else {
            return Ok(Self::new(range));
        };
        let sql = sql
            .add(&scope.of_events())
            .add(&of_place)
            .add(&logs::lets_through(db, filter)?)
            .push(" GROUP BY 1, 2 LIMIT ")
            .bind(count(u64::from(range.buckets) * 256));
        let mut counts = Self::new(range);
        sql.for_each(db, |row| {
            let severity = Severity::from_number(row.get(1)?);
            let word = Severity::ALL.iter().position(|known| *known == severity);
            let bucket: i64 = row.get(0)?;
            let bucket = usize::try_from(bucket).ok();
            let of_word = word.and_then(|word| counts.0.0.get_mut(word));
            if let Some(of_bucket) = of_word.and_then(|counts| counts.get_mut(bucket?)) {
                *of_bucket += u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
            }
            Ok::<_, Failure>(())
        })?;
        Ok(counts)
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (counts, more) in self.0.0.iter_mut().zip(&other.0.0) {
            for (count, more) in counts.iter_mut().zip(more) {
                *count += more;
            }
        }
    }

    pub(super) fn finish(self) -> Histogram {
        let words = Severity::ALL.iter().map(|severity| severity.as_str());
        Histogram::default()
            .series(words.zip(self.0.0).collect())
            .every(1)
    }
}
