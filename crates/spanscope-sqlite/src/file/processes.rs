//! Rows of processes, senders, resources and tenants: who stored something, whose it is, and the
//! account of it.

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_core::queue::LayerStats;
use spanscope_model::Timestamp;

use super::text::without_nul;

/// Makes a program known to the file that writes it, and returns its row.
pub(crate) fn add_program(db: &Connection, service_name: &str) -> rusqlite::Result<i64> {
    db.execute(
        "INSERT INTO _process (service_name, pid, started_at, seen_at) VALUES (?1, ?2, ?3, ?3)",
        params![
            without_nul(service_name),
            std::process::id(),
            Timestamp::now().as_nanos()
        ],
    )?;
    Ok(db.last_insert_rowid())
}

/// Makes a service known whose records were copied from another file, and returns its row.
pub(crate) fn add_copied(
    db: &Connection,
    service_name: &str,
    tenant: i64,
    now: i64,
) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO _process (service_name, pid, started_at, seen_at, ended_at, tenant)
         VALUES (?1, 0, ?2, ?2, ?2, ?3)",
    )?
    .execute(params![without_nul(service_name), now, tenant])?;
    Ok(db.last_insert_rowid())
}

/// Replaces the account of a program by what its layer has counted.
pub(crate) fn write_account(
    db: &Connection,
    process: i64,
    account: &LayerStats,
    ended: bool,
) -> rusqlite::Result<()> {
    let now = Timestamp::now().as_nanos();
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(
        "UPDATE _process SET offered = ?2, stored = ?3, dropped_queue_full = ?4, dropped_write_failed = ?5,
         dropped_shutdown = ?6, dropped_sampled = ?7, seen_at = ?8, ended_at = ?9 WHERE id = ?1",
    )?;
    statement.execute(params![
        process,
        count(account.offered),
        count(account.stored),
        count(account.dropped.queue_full),
        count(account.dropped.write_failed),
        count(account.dropped.shutdown),
        count(account.dropped.sampled),
        now,
        ended.then_some(now),
    ])?;
    Ok(())
}

/// Accounts for what a process stored outside of traces, or for what of it was deleted.
pub(crate) fn add_bytes(db: &Connection, process: i64, bytes: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE _process SET bytes = MAX(bytes + ?2, 0) WHERE id = ?1")?
        .execute([process, bytes])?;
    Ok(())
}

/// The row of a tenant, which is made if it is not there.
pub(crate) fn tenant_row(db: &Connection, name: &str) -> rusqlite::Result<i64> {
    let name = without_nul(name);
    let mut find = db.prepare_cached("SELECT id FROM _tenant WHERE name = ?1")?;
    if let Some(row) = find.query_row([&name], |row| row.get(0)).optional()? {
        return Ok(row);
    }
    db.prepare_cached("INSERT INTO _tenant (name) VALUES (?1)")?
        .execute([&name])?;
    Ok(db.last_insert_rowid())
}
