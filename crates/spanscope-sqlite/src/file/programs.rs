//! Deletes the rows of programs that wrote the file, once they have ended and none of their records
//! is stored.
//!
//! Each opening of a file leaves a row, so a program that is started each minute leaves half a
//! million a year. There is no index of records by program, which would cost each record 10 bytes.
//! So the tables are read, for a few milliseconds a second, and only while there is a row that may
//! be deleted. The account of a deleted program is added to one row for all of them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_model::Timestamp;

use super::retention::immediately;

/// The duration of one step.
const STEP: Duration = Duration::from_millis(10);
/// Rows that are read between two checks of the clock.
const ROWS: i64 = 1_000;
/// Maximum number of programs per search.
const MAX_PROGRAMS: i64 = 1_000;
/// The pause between two searches.
const EVERY: Duration = Duration::from_secs(3600);
/// A program that has not ended and was not seen for this long was killed: an idle program reports
/// once an hour that it is alive.
const SILENCE: Duration = Duration::from_secs(24 * 3600);
/// The process id of the row that represents killed programs. Their records in flight are lost,
/// which the account counts for rows with a process id and without an end.
const KILLED: i64 = -1;

const TABLES: [&str; 3] = ["_span", "_event", "_point"];

/// A search for programs whose rows can be deleted.
#[derive(Debug, Default)]
pub(super) struct ProgramSweep {
    /// Old programs, of which no record was found yet.
    candidates: HashSet<i64>,
    /// The current table, and the last row that was read.
    position: Option<(usize, i64)>,
    next: Option<Instant>,
}

impl ProgramSweep {
    /// Continues the search, or starts one if it is due.
    pub(super) fn step(&mut self, db: &Connection, retention: Duration) -> rusqlite::Result<()> {
        let began = Instant::now();
        if self.next.is_some_and(|next| began < next) {
            return Ok(());
        }
        let (mut table, mut last) = match self.position.take() {
            Some(position) => position,
            None => {
                self.candidates = old_programs(db, Timestamp::now(), retention)?;
                (0, i64::MIN)
            }
        };
        while !self.candidates.is_empty() && table < TABLES.len() {
            match self.read(db, TABLES[table], last)? {
                Some(row) => last = row,
                None => (table, last) = (table + 1, i64::MIN),
            }
            if began.elapsed() >= STEP && table < TABLES.len() {
                self.position = Some((table, last));
                return Ok(());
            }
        }
        self.next = began.checked_add(EVERY);
        forget(
            db,
            &std::mem::take(&mut self.candidates),
            Timestamp::now().as_nanos(),
        )
    }

    /// Reads some rows; returns the last one, and `None` at the end of the table.
    fn read(&mut self, db: &Connection, table: &str, after: i64) -> rusqlite::Result<Option<i64>> {
        let mut statement = db.prepare_cached(&format!(
            "SELECT id, process FROM {table} WHERE id > ?1 ORDER BY id LIMIT ?2"
        ))?;
        let mut rows = statement.query([after, ROWS])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            last = Some(row.get(0)?);
            let program: i64 = row.get(1)?;
            self.candidates.remove(&program);
        }
        Ok(last)
    }
}

/// Returns programs that ended, or were last seen, before the retention time. The newest row is
/// kept, because its id would be reused for the next program.
fn old_programs(db: &Connection, now: Timestamp, retention: Duration) -> rusqlite::Result<HashSet<i64>> {
    let over = now.before(retention).as_nanos();
    let silent = now.before(retention.max(SILENCE)).as_nanos();
    db.prepare(
        "SELECT id FROM _process WHERE scope IS NULL AND NOT (pid <= 0 AND service_name = '')
         AND CASE WHEN ended_at IS NULL THEN seen_at < ?2 ELSE ended_at < ?1 END
         AND id < (SELECT max(id) FROM _process) ORDER BY id LIMIT ?3",
    )?
    .query_map([over, silent, MAX_PROGRAMS], |row| row.get(0))?
    .collect()
}

fn forget(db: &Connection, programs: &HashSet<i64>, now: i64) -> rusqlite::Result<()> {
    if programs.is_empty() {
        return Ok(());
    }
    immediately(db, |db| {
        for program in programs {
            let (tenant, has_ended) = db
                .prepare_cached("SELECT tenant, ended_at IS NOT NULL FROM _process WHERE id = ?1")?
                .query_row([program], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let heir = match has_ended {
                true => heir(db, tenant, now)?,
                false => heir_of_killed(db, tenant)?,
            };
            add_account(db, heir, *program)?;
            db.prepare_cached("DELETE FROM _process WHERE id = ?1")?
                .execute([program])?;
        }
        Ok(())
    })
}

/// Returns the row that inherits the account of a tenant's deleted senders and programs.
pub(super) fn heir(db: &Connection, tenant: i64, now: i64) -> rusqlite::Result<i64> {
    heir_with(db, tenant, 0, now, Some(now))
}

fn heir_of_killed(db: &Connection, tenant: i64) -> rusqlite::Result<i64> {
    heir_with(db, tenant, KILLED, 0, None)
}

fn heir_with(
    db: &Connection,
    tenant: i64,
    pid: i64,
    seen_at: i64,
    ended_at: Option<i64>,
) -> rusqlite::Result<i64> {
    let found = db
        .prepare_cached(
            "SELECT min(id) FROM _process
             WHERE resource IS NULL AND service_name = '' AND pid = ?1 AND tenant = ?2",
        )?
        .query_row([pid, tenant], |row| row.get::<_, Option<i64>>(0))
        .optional()?
        .flatten();
    if let Some(row) = found {
        return Ok(row);
    }
    db.prepare_cached(
        "INSERT INTO _process (service_name, pid, started_at, seen_at, ended_at, tenant)
         VALUES ('', ?1, ?2, ?2, ?3, ?4)",
    )?
    .execute(params![pid, seen_at, ended_at, tenant])?;
    Ok(db.last_insert_rowid())
}

/// Adds the counts of one row to another.
pub(super) fn add_account(db: &Connection, to: i64, from: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE _process SET (offered, stored, dropped_queue_full, dropped_write_failed, dropped_shutdown, dropped_sampled) =
         (SELECT _process.offered + f.offered, _process.stored + f.stored,
                 _process.dropped_queue_full + f.dropped_queue_full,
                 _process.dropped_write_failed + f.dropped_write_failed,
                 _process.dropped_shutdown + f.dropped_shutdown, _process.dropped_sampled + f.dropped_sampled
          FROM _process f WHERE f.id = ?2) WHERE id = ?1",
    )?
    .execute([to, from])?;
    Ok(())
}
