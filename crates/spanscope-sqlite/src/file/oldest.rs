//! Deletes the oldest records of one tenant or of all, when the file has reached its size limit.
//!
//! A record with a future date counts by its time of storing, so that it does not outlive correctly
//! dated ones. A trace's row has its time of creation; events and measurements with future dates
//! get a time to live, see [`date_rows`].

use std::time::Duration;

use rusqlite::Connection;
use spanscope_model::Timestamp;

use super::retention::{
    CHUNK, CleanupReport, Deadline, chunks, delete_events, delete_traces, immediately, is_over, rowids,
    sql_count, used_bytes,
};
use super::series;

/// Maximum number of traces per step.
const TRACES: usize = 200;
/// Maximum number of events and measurements per search if no trace is left. It is large, because
/// finding one tenant's records reads those of all tenants.
const MAX_LOOSE: usize = 20_000;
/// Records dated further ahead than this count by their time of storing. The clocks of correctly
/// set machines differ by less.
const AHEAD: Duration = Duration::from_secs(3600);

/// The size of a row of the tables that [`trim`] shortens, with its part of the indexes.
const BATCH_BYTES: u64 = 80;
const CONTINUED_BYTES: u64 = 130;
const MARK_BYTES: u64 = 30;

/// Deletes the oldest traces, and the events and measurements outside traces up to their start. If
/// no trace is left, deletes the oldest events and measurements until the file has `target` bytes.
/// With a tenant, only that tenant's records are deleted. It stops at the deadline; the next call
/// continues.
pub(super) fn delete(
    db: &Connection,
    tenant: Option<i64>,
    retention: Duration,
    target: u64,
    deadline: Deadline,
) -> rusqlite::Result<CleanupReport> {
    let now = Timestamp::now().as_nanos();
    // -1, the id of no tenant, stands for all tenants.
    let tenant_parameter = tenant.unwrap_or(-1);
    let mut oldest: Vec<(i64, i64)> = db
        .prepare(match tenant {
            Some(_) => {
                "SELECT start, id FROM _trace WHERE tenant = ?1 AND start <= ?2 ORDER BY start LIMIT ?3"
            }
            None => "SELECT start, id FROM _trace WHERE ?1 < 0 AND start <= ?2 ORDER BY start LIMIT ?3",
        })?
        .query_map((tenant_parameter, now, sql_count(TRACES)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let ahead: Vec<(i64, i64)> = db
        .prepare(
            "SELECT MIN(created, ?2), id FROM _trace WHERE start > ?2 AND (?1 < 0 OR tenant = ?1) ORDER BY created, id LIMIT ?3",
        )?
        .query_map((tenant_parameter, now, sql_count(TRACES)), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    oldest.extend(ahead);
    oldest.sort_unstable();
    oldest.truncate(TRACES);
    let until = oldest.last().map(|(time, _)| *time);
    let oldest: Vec<i64> = oldest.into_iter().map(|(_, id)| id).collect();
    // Events of the traces are deleted whatever their time to live, so the latest time is passed.
    let mut deleted = delete_traces(db, &oldest, Timestamp::from_nanos(i64::MAX), deadline)?;
    if deleted.traces < oldest.len() as u64 {
        return Ok(deleted); // the next call deletes the loose records of the same age
    }
    let loose = Loose {
        tenant,
        retention: i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX),
        now,
        deadline,
    };
    match until {
        Some(until) => {
            deleted.events += loose.delete_until(db, Kind::Event, until)?;
            deleted.points += loose.delete_until(db, Kind::Point, until)?;
        }
        None => {
            deleted.events += loose.delete_oldest(db, Kind::Event, target)?;
            deleted.points += loose.delete_oldest(db, Kind::Point, target)?;
        }
    }
    Ok(deleted)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Event,
    Point,
}

impl Kind {
    const fn table(self) -> &'static str {
        match self {
            Self::Event => "_event WHERE trace IS NULL AND",
            Self::Point => "_point WHERE",
        }
    }

    fn delete(self, db: &Connection, which: &str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        match self {
            Self::Event => delete_events(db, &format!("DELETE FROM _event WHERE {which}"), values),
            Self::Point => series::delete(db, &format!("DELETE FROM _point WHERE {which}"), values),
        }
    }
}

/// Events and measurements outside traces, of a tenant or of all.
#[derive(Debug, Clone, Copy)]
struct Loose {
    tenant: Option<i64>,
    retention: i64,
    now: i64,
    deadline: Deadline,
}

impl Loose {
    /// Returns the condition that a row belongs to the tenant in parameter 1.
    const fn tenant_condition(self) -> &'static str {
        match self.tenant {
            Some(_) => "COALESCE((SELECT tenant FROM _process WHERE id = process), 0) = ?1",
            None => "?1 < 0",
        }
    }

    fn tenant_parameter(self) -> i64 {
        self.tenant.unwrap_or(-1)
    }

    /// Deletes all records up to this time.
    fn delete_until(self, db: &Connection, kind: Kind, until: i64) -> rusqlite::Result<u64> {
        let (table, tenant_condition) = (kind.table(), self.tenant_condition());
        let old = format!(
            "id IN (SELECT id FROM {table} time <= ?2 AND {tenant_condition} ORDER BY time LIMIT ?3)"
        );
        let dated_in_past = chunks(db, self.deadline, |db| {
            kind.delete(
                db,
                &old,
                (self.tenant_parameter(), until.min(self.now), sql_count(CHUNK)),
            )
        })?;
        let old = format!(
            "id IN (SELECT id FROM {table} time > ?2 AND expires <= ?4 AND {tenant_condition} LIMIT ?3)"
        );
        let expired = until.saturating_add(self.retention);
        let dated_in_future = chunks(db, self.deadline, |db| {
            kind.delete(
                db,
                &old,
                (self.tenant_parameter(), self.now, sql_count(CHUNK), expired),
            )
        })?;
        Ok(dated_in_past + dated_in_future)
    }

    /// Deletes the oldest records, up to [`MAX_LOOSE`], until the file takes `target` bytes.
    fn delete_oldest(self, db: &Connection, kind: Kind, target: u64) -> rusqlite::Result<u64> {
        let (table, tenant_condition) = (kind.table(), self.tenant_condition());
        let oldest = rowids(
            db,
            &format!(
                "SELECT id FROM (SELECT * FROM (SELECT id, time AS age FROM {table} time <= ?2 AND {tenant_condition} \
                 ORDER BY time LIMIT ?3) \
                 UNION ALL SELECT id, MIN(COALESCE(expires - ?4, ?2), ?2) FROM {table} time > ?2 AND {tenant_condition}) \
                 ORDER BY age, id LIMIT ?3"
            ),
            (
                self.tenant_parameter(),
                self.now,
                sql_count(MAX_LOOSE),
                self.retention,
            ),
        )?;
        let mut deleted = 0;
        for some in oldest.chunks(CHUNK) {
            if used_bytes(db)? <= target || (deleted > 0 && is_over(self.deadline)) {
                break;
            }
            let ids = serde_json::json!(some).to_string();
            deleted += immediately(db, |db| {
                kind.delete(db, "id IN (SELECT value FROM json_each(?1))", [&ids])
            })? as u64;
        }
        Ok(deleted)
    }
}

/// Shortens the tables of batch ids and of marks if they take more than `bytes` each: in a small
/// file they would leave no room for records. The newest rows are kept.
pub(super) fn trim(db: &Connection, bytes: u64) -> rusqlite::Result<()> {
    for (table, order, size) in [
        ("_batch", "time", BATCH_BYTES),
        ("_continued", "time", CONTINUED_BYTES),
        ("_mark", "time", MARK_BYTES),
    ] {
        let keep = sql_count(usize::try_from(bytes / size).unwrap_or(usize::MAX).max(1));
        let count: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        if count > keep {
            immediately(db, |db| {
                db.execute(
                    &format!(
                        "DELETE FROM {table} WHERE {order} < (SELECT {order} FROM {table} ORDER BY {order} DESC LIMIT 1 OFFSET ?1)"
                    ),
                    [keep - 1],
                )
            })?;
        }
    }
    Ok(())
}

/// Corrects creation times that a wrong clock set far in the future, and gives events and
/// measurements with future dates a time to live from now on.
pub(super) fn date_rows(db: &Connection, now: Timestamp, retention: Duration) -> rusqlite::Result<()> {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let now = now.as_nanos();
    let ahead = now.saturating_add(nanos(AHEAD));
    let expires = now.saturating_add(nanos(retention));
    immediately(db, |db| {
        db.prepare_cached("UPDATE _trace SET created = ?1 WHERE start > ?1 AND created > ?1")?
            .execute([now])?;
        for table in ["_event WHERE trace IS NULL AND", "_point WHERE"] {
            let (name, condition) = table.split_once(' ').unwrap_or((table, ""));
            db.prepare_cached(&format!(
                "UPDATE {name} SET expires = ?2 {condition} time > ?1 AND expires IS NULL"
            ))?
            .execute([ahead, expires])?;
        }
        Ok(())
    })
}
