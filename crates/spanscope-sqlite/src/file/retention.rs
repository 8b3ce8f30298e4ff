//! Deletion of old and expired records, and of the oldest traces when the file is too large.
//!
//! Traces are deleted as a whole. Every transaction is short, so that writers of other processes
//! get a turn; a huge trace takes several of them, its own row last, so that the next deletion
//! continues an interrupted one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use spanscope_model::Timestamp;

use super::processes::add_bytes;
use super::{programs, schema, series};

/// A transaction starts no further trace after this time.
const TRANSACTION: Duration = Duration::from_millis(25);
/// Rows deleted by one statement.
pub(super) const CHUNK: usize = 1000;
/// The size of an event, counted like in [`RowWriter`](super::rows::RowWriter).
const EVENT_SIZE: &str = "50 + octet_length(message) + COALESCE(octet_length(attributes), 2) \
                          + COALESCE(octet_length(name), 0) + COALESCE(octet_length(category), 0)";
/// The number of pages that are freed between two checks whether there are more.
const PAGES: u64 = 256;

/// How long the id of a stored batch is kept, to recognize the batch if it is sent again.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// The time when a deletion stops early, so that other work gets a turn; `None`: never. At least
/// one transaction is always done.
pub(crate) type Deadline = Option<Instant>;

pub(super) fn is_over(deadline: Deadline) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// How much was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CleanupReport {
    /// Whole traces.
    pub traces: u64,
    /// Spans of these traces.
    pub spans: u64,
    /// Events, of these traces and outside traces.
    pub events: u64,
    /// Measurements, which are deleted by their age.
    pub points: u64,
}

impl std::ops::AddAssign for CleanupReport {
    fn add_assign(&mut self, other: Self) {
        self.traces += other.traces;
        self.spans += other.spans;
        self.events += other.events;
        self.points += other.points;
    }
}

/// Deletes up to `max_traces` traces that ended before the cutoff, and the events outside traces
/// and the measurements before it.
///
/// Events and measurements with their own time to live stay until it expires, even if their trace
/// is deleted.
pub(crate) fn delete_older_than(
    db: &Connection,
    cutoff: Timestamp,
    max_traces: usize,
    deadline: Deadline,
) -> rusqlite::Result<CleanupReport> {
    let now = Timestamp::now();
    let mut deleted = CleanupReport::default();
    let mut traces = rowids(
        db,
        "SELECT id FROM _trace WHERE start < ?1 AND (end < ?1 OR (end > ?2 AND created < ?1))
         AND (expires IS NULL OR expires <= ?2) ORDER BY start LIMIT ?3",
        (cutoff.as_nanos(), now.as_nanos(), sql_count(max_traces)),
    )?;
    // A record with a future date counts by its time of storing: otherwise it would stay until its
    // date.
    traces.extend(rowids(
        db,
        "SELECT id FROM _trace WHERE start > ?2 AND created < ?1 AND (expires IS NULL OR expires <= ?2) LIMIT ?3",
        (cutoff.as_nanos(), now.as_nanos(), sql_count(max_traces)),
    )?);
    deleted += delete_traces(db, &traces, now, deadline)?;
    deleted.events += chunks(db, deadline, |db| {
        delete_events(
            db,
            "DELETE FROM _event WHERE id IN (SELECT id FROM _event WHERE trace IS NULL AND time < ?1 \
             AND (expires IS NULL OR expires <= ?2) LIMIT ?3)",
            (cutoff.as_nanos(), now.as_nanos(), sql_count(CHUNK)),
        )
    })?;
    deleted.points += chunks(db, deadline, |db| {
        let values = (cutoff.as_nanos(), now.as_nanos(), sql_count(CHUNK));
        series::delete(
            db,
            "DELETE FROM _point WHERE id IN (SELECT id FROM _point WHERE time < ?1 \
             AND (expires IS NULL OR expires <= ?2) ORDER BY time LIMIT ?3)",
            values,
        )
    })?;
    // The last mark before the cutoff shows where the events at the cutoff begin.
    immediately(db, |db| {
        db.execute(
            "DELETE FROM _mark WHERE time < (SELECT max(time) FROM _mark WHERE time < ?1)",
            [cutoff.as_nanos()],
        )
    })?;
    Ok(deleted)
}

/// Counts what [`delete_older_than`] and [`delete_expired`] would delete.
pub(crate) fn count_older_than(db: &Connection, cutoff: Timestamp) -> rusqlite::Result<CleanupReport> {
    let now = Timestamp::now().as_nanos();
    let count = |sql: &str| {
        db.query_row(sql, [cutoff.as_nanos(), now], |row| row.get::<_, i64>(0))
            .map(|count| u64::try_from(count).unwrap_or(0))
    };
    // A trace with its own time to live is deleted by that only.
    let gone = match schema::has_tenants(db)? {
        true => {
            "(CASE WHEN t.expires IS NULL THEN (t.start < ?1 AND (t.end < ?1 OR (t.end > ?2 AND t.created < ?1)))
                 OR (t.start > ?2 AND t.created < ?1) ELSE t.expires <= ?2 END)"
        }
        false => "(t.start < ?1 AND t.end < ?1)",
    };
    // Both values have to be used by every statement.
    let both = "?1 IS NOT NULL AND ?2 IS NOT NULL";
    Ok(CleanupReport {
        traces: count(&format!("SELECT count(*) FROM _trace t WHERE {both} AND {gone}"))?,
        spans: count(&format!(
            "SELECT count(*) FROM _trace t JOIN _span s ON s.trace = t.id WHERE {both} AND {gone}"
        ))?,
        events: count(&format!(
            "SELECT (SELECT count(*) FROM _trace t JOIN _event e ON e.trace = t.id \
                     WHERE {gone} AND (e.expires IS NULL OR e.expires <= ?2)) \
                  + (SELECT count(*) FROM _event WHERE trace IS NULL AND time < ?1 AND (expires IS NULL OR expires <= ?2)) \
                  + (SELECT count(*) FROM _event e LEFT JOIN _trace t ON t.id = e.trace WHERE e.expires <= ?2 \
                     AND NOT (e.trace IS NULL AND e.time < ?1) AND NOT COALESCE({gone}, 0))"
        ))?,
        points: match schema::has_metrics(db)? {
            true => count(
                "SELECT (SELECT count(*) FROM _point WHERE time < ?1 AND (expires IS NULL OR expires <= ?2)) \
                      + (SELECT count(*) FROM _point WHERE time >= ?1 AND expires <= ?2)",
            )?,
            false => 0,
        },
    })
}

/// Deletes the traces, events and measurements whose own time to live has expired.
pub(crate) fn delete_expired(
    db: &Connection,
    now: Timestamp,
    deadline: Deadline,
) -> rusqlite::Result<CleanupReport> {
    let mut deleted = CleanupReport::default();
    loop {
        let traces = rowids(
            db,
            "SELECT id FROM _trace WHERE expires <= ?1 LIMIT ?2",
            (now.as_nanos(), sql_count(CHUNK)),
        )?;
        deleted += delete_traces(db, &traces, now, deadline)?;
        if traces.len() < CHUNK || is_over(deadline) {
            break;
        }
    }
    let events = chunks(db, deadline, |db| {
        delete_events(
            db,
            "DELETE FROM _event WHERE id IN (SELECT id FROM _event WHERE expires <= ?1 LIMIT ?2)",
            (now.as_nanos(), sql_count(CHUNK)),
        )
    })?;
    let points = chunks(db, deadline, |db| {
        series::delete(
            db,
            "DELETE FROM _point WHERE id IN (SELECT id FROM _point WHERE expires <= ?1 LIMIT ?2)",
            (now.as_nanos(), sql_count(CHUNK)),
        )
    })?;
    deleted.events += events;
    deleted.points += points;
    Ok(deleted)
}

/// Deletes the data that only served senders: batch ids after an hour, aliases of traces, and
/// senders without any stored records. The records of such a sender stay in the account, under
/// another row.
pub(crate) fn forget(db: &Connection, now: Timestamp, retention: Duration) -> rusqlite::Result<()> {
    let chunk = sql_count(CHUNK);
    chunks(db, None, |db| {
        db.execute(
            "DELETE FROM _batch WHERE digest IN (SELECT digest FROM _batch WHERE time < ?1 LIMIT ?2)",
            (now.before(KNOWN_FOR).as_nanos(), chunk),
        )
    })?;
    let cutoff = now.before(retention).as_nanos();
    immediately(db, |db| {
        db.execute("DELETE FROM _continued WHERE time < ?1", [cutoff])
    })?;
    immediately(db, |db| {
        let mut find = db.prepare_cached(
            "SELECT id FROM _process WHERE scope IS NOT NULL AND seen_at < ?1
             AND (expires IS NULL OR expires <= ?2) AND id < (SELECT max(id) FROM _process) LIMIT ?3",
        )?;
        let gone: Vec<i64> = find
            .query_map((cutoff, now.as_nanos(), chunk), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        if gone.is_empty() {
            return Ok(());
        }
        for process in &gone {
            let tenant = db
                .prepare_cached("SELECT tenant FROM _process WHERE id = ?1")?
                .query_row([process], |row| row.get(0))?;
            let heir = programs::heir(db, tenant, now.as_nanos())?;
            programs::add_account(db, heir, *process)?;
            db.prepare_cached("DELETE FROM _total WHERE process = ?1")?
                .execute([process])?;
            db.prepare_cached("DELETE FROM _process WHERE id = ?1")?
                .execute([process])?;
        }
        Ok(())
    })
}

/// Returns the size of the file without its free pages, in bytes.
pub(crate) fn used_bytes(db: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(number("page_size")?)).unwrap_or(0))
}

/// Returns up to `pages` free pages to the file system, and returns their number.
pub(crate) fn give_back(db: &Connection, pages: u64) -> rusqlite::Result<u64> {
    let free = || {
        db.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0))
            .map(|pages| u64::try_from(pages).unwrap_or(0))
    };
    let mut given = 0;
    let mut before = free()?;
    while given < pages && before > 0 {
        let step = PAGES.min(pages - given);
        let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({step})"))?;
        let mut rows = statement.query([])?;
        // Each row is a freed page: SQLite frees pages only while rows are read.
        while rows.next()?.is_some() {}
        let after = free()?;
        if after >= before {
            break;
        }
        given += before - after;
        before = after;
    }
    Ok(given)
}

/// Deletes these traces, until the deadline.
pub(crate) fn delete_traces(
    db: &Connection,
    traces: &[i64],
    now: Timestamp,
    deadline: Deadline,
) -> rusqlite::Result<CleanupReport> {
    let mut deleted = CleanupReport::default();
    let mut traces = traces.iter().copied();
    let mut current = traces.next();
    while current.is_some() {
        let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
        keep_numbers(&transaction)?;
        let began = Instant::now();
        {
            let mut trace_rows = TraceRows::new(&transaction)?;
            while let Some(trace) = current {
                if trace_rows.delete(trace, now, &mut deleted)? {
                    current = traces.next();
                }
                if began.elapsed() > TRANSACTION {
                    break;
                }
            }
        }
        transaction.commit()?;
        if is_over(deadline) {
            break;
        }
    }
    Ok(deleted)
}

/// The statements that delete the rows of a trace.
struct TraceRows<'db> {
    db: &'db Connection,
    attributes: rusqlite::Statement<'db>,
    spans: rusqlite::Statement<'db>,
    events: rusqlite::Statement<'db>,
    foreign: rusqlite::Statement<'db>,
    loosen: rusqlite::Statement<'db>,
    runs: rusqlite::Statement<'db>,
    ends: rusqlite::Statement<'db>,
    trace: rusqlite::Statement<'db>,
}

impl<'db> TraceRows<'db> {
    fn new(db: &'db Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            db,
            attributes: db.prepare(
                "DELETE FROM _attr WHERE span IN (SELECT id FROM _span WHERE trace = ?1 ORDER BY id LIMIT ?2)",
            )?,
            spans: db.prepare(
                "DELETE FROM _span WHERE id IN (SELECT id FROM _span WHERE trace = ?1 ORDER BY id LIMIT ?2)",
            )?,
            events: db.prepare(
                "DELETE FROM _event WHERE id IN (SELECT id FROM _event WHERE trace = ?1 \
                 AND (expires IS NULL OR expires <= ?3) LIMIT ?2)",
            )?,
            // Without its trace, an event belongs to the tenant of its process. If that is not the
            // trace's tenant, the event is deleted with the trace, so that no tenant reads another
            // tenant's event.
            foreign: db.prepare(
                "DELETE FROM _event WHERE trace = ?1 AND COALESCE((SELECT tenant FROM _process WHERE id = process), 0) \
                 <> (SELECT tenant FROM _trace WHERE id = ?1)",
            )?,
            loosen: db.prepare(&format!(
                "UPDATE _event SET trace = NULL WHERE trace = ?1 RETURNING process, {EVENT_SIZE}"
            ))?,
            runs: db.prepare("DELETE FROM _run WHERE trace = ?1")?,
            ends: db.prepare("DELETE FROM _ended WHERE trace = ?1")?,
            trace: db.prepare("DELETE FROM _trace WHERE id = ?1")?,
        })
    }

    /// Deletes a chunk of each kind; returns whether the whole trace is deleted.
    fn delete(&mut self, trace: i64, now: Timestamp, deleted: &mut CleanupReport) -> rusqlite::Result<bool> {
        let chunk = sql_count(CHUNK);
        self.attributes.execute((trace, chunk))?;
        let spans = self.spans.execute((trace, chunk))?;
        let events = self.events.execute((trace, chunk, now.as_nanos()))?;
        deleted.spans += spans as u64;
        deleted.events += events as u64;
        if spans == CHUNK || events == CHUNK {
            return Ok(false);
        }
        deleted.events += self.foreign.execute([trace])? as u64;
        for (process, bytes) in by_process(self.loosen.query([trace])?)?.1 {
            add_bytes(self.db, process, bytes)?;
        }
        self.runs.execute([trace])?;
        self.ends.execute([trace])?;
        deleted.traces += self.trace.execute([trace])? as u64;
        Ok(true)
    }
}

/// Runs a `DELETE FROM _event ...` without `RETURNING`, subtracts events outside traces from the
/// account of their processes, and returns the number of deleted rows.
pub(super) fn delete_events(
    db: &Connection,
    statement: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<usize> {
    let mut statement = db.prepare_cached(&format!(
        "{statement} RETURNING process, CASE WHEN trace IS NULL THEN {EVENT_SIZE} ELSE 0 END"
    ))?;
    let (deleted, bytes) = by_process(statement.query(values)?)?;
    for (process, bytes) in bytes {
        add_bytes(db, process, -bytes)?;
    }
    Ok(deleted)
}

/// Reads rows of a process and a size. Returns their number, and the sum of the sizes by process.
fn by_process(mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<(usize, BTreeMap<i64, i64>)> {
    let (mut count, mut sums) = (0, BTreeMap::new());
    while let Some(row) = rows.next()? {
        *sums.entry(row.get(0)?).or_default() += row.get::<_, i64>(1)?;
        count += 1;
    }
    Ok((count, sums))
}

pub(super) fn rowids(
    db: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<i64>> {
    db.prepare(sql)?.query_map(values, |row| row.get(0))?.collect()
}

/// Repeats a statement that changes up to [`CHUNK`] rows until it changes fewer, or until the
/// deadline; each run is its own transaction.
pub(super) fn chunks(
    db: &Connection,
    deadline: Deadline,
    mut statement: impl FnMut(&Connection) -> rusqlite::Result<usize>,
) -> rusqlite::Result<u64> {
    let mut all = 0;
    loop {
        let changed = immediately(db, &mut statement)?;
        all += changed as u64;
        if changed < CHUNK || is_over(deadline) {
            return Ok(all);
        }
    }
}

/// Does work in a transaction that takes the write lock first: one that begins as a reader would
/// fail at once while another process writes.
pub(super) fn immediately<T>(
    db: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    keep_numbers(&transaction)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// Prevents reuse of the ids that are about to be deleted: a follower would miss the new rows, and
/// a pending deletion would delete another row.
pub(crate) fn keep_numbers(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE _given SET trace = MAX(trace, (SELECT COALESCE(MAX(id), 0) FROM _trace)),
         span = MAX(span, (SELECT COALESCE(MAX(id), 0) FROM _span)), event = MAX(event, (SELECT COALESCE(MAX(id), 0) FROM _event))",
    )?
    .execute([])?;
    Ok(())
}

pub(super) fn sql_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
