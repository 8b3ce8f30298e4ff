//! Rows of processes, senders, resources and tenants, and the accounts of processes.

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_core::queue::LayerStats;
use spanscope_model::{Attributes, Timestamp};

use super::text::without_nul;

/// Maximum size of a program's description in bytes; longer ones are truncated.
pub(crate) const MAX_SOURCE: usize = 16 * 1024;

/// A process that was seen within this time counts as running.
const SEEN_WITHIN_NANOS: i64 = 15_000_000_000;

/// Returns the time since which a running process must have been seen.
pub(crate) fn alive_since() -> i64 {
    Timestamp::now().as_nanos().saturating_sub(SEEN_WITHIN_NANOS)
}

/// Adds a program that writes the file itself, and returns its row. Unlike a sender it has no
/// scope.
pub(crate) fn add_program(
    db: &Connection,
    service_name: &str,
    resource: &Attributes,
) -> rusqlite::Result<i64> {
    let mut resource = resource.clone();
    let resource = loop {
        let json = serde_json::to_string(&resource).unwrap_or_default();
        match resource.iter().last().map(|(key, _)| key.to_owned()) {
            Some(last) if json.len() > MAX_SOURCE => resource.retain(|key, _| key != last),
            _ => break json,
        }
    };
    db.execute(
        "INSERT INTO _process (service_name, pid, started_at, seen_at, resource) VALUES (?1, ?2, ?3, ?3, ?4)",
        params![
            without_nul(service_name),
            std::process::id(),
            Timestamp::now().as_nanos(),
            resource,
        ],
    )?;
    Ok(db.last_insert_rowid())
}

/// Adds a program whose records were copied from another file, and returns its row. `description`
/// is its resource and its scope, if the other file has them. A sender with the same description is
/// the same program.
pub(crate) fn add_copied(
    db: &Connection,
    service_name: &str,
    description: (Option<&str>, Option<&str>),
    tenant: i64,
    now: i64,
) -> rusqlite::Result<i64> {
    let service_name = without_nul(service_name);
    let (resource, scope) = description;
    if let (Some(resource), Some(scope)) = description {
        let there = db
            .prepare_cached(
                "SELECT id FROM _process WHERE tenant = ?1 AND resource = ?2 AND scope = ?3 AND service_name = ?4",
            )?
            .query_row(params![tenant, resource, scope, service_name], |row| row.get(0))
            .optional()?;
        if let Some(there) = there {
            return Ok(there);
        }
    }
    db.prepare_cached(
        "INSERT INTO _process (service_name, pid, started_at, seen_at, ended_at, tenant, resource, scope)
         VALUES (?1, 0, ?2, ?2, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![service_name, now, tenant, resource, scope])?;
    Ok(db.last_insert_rowid())
}

/// Replaces the account of a program with its layer's counts. Returns `false` if the program's row
/// was deleted, which happens to a program that slept for days.
pub(crate) fn write_account(
    db: &Connection,
    process: i64,
    account: &LayerStats,
    ended: bool,
) -> rusqlite::Result<bool> {
    let now = Timestamp::now().as_nanos();
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(
        "UPDATE _process SET offered = ?2, stored = ?3, dropped_queue_full = ?4, dropped_write_failed = ?5,
         dropped_shutdown = ?6, dropped_sampled = ?7, seen_at = ?8, ended_at = ?9 WHERE id = ?1",
    )?;
    let found = statement.execute(params![
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
    Ok(found > 0)
}

/// Restores the deleted row of a program. Its id was not reused.
pub(crate) fn add_program_again(db: &Connection, process: i64, service_name: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO _process (id, service_name, pid, started_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?4)",
        params![
            process,
            without_nul(service_name),
            std::process::id(),
            Timestamp::now().as_nanos()
        ],
    )?;
    Ok(())
}

/// Adds the size of a process's records outside traces; negative for deletions.
pub(crate) fn add_bytes(db: &Connection, process: i64, bytes: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE _process SET bytes = MAX(bytes + ?2, 0) WHERE id = ?1")?
        .execute([process, bytes])?;
    Ok(())
}

/// Returns the row of a tenant, and creates it if it is missing.
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
