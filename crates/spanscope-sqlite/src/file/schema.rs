//! The file's identity and version; creates a new file's schema and upgrades an older one.

use rusqlite::Connection;

use crate::file::runs;

/// Marks a SQLite file as a Spanscope store: "SpSc" in SQLite's `application_id`.
pub(crate) const APPLICATION_ID: i32 = 0x5370_5363;
/// The schema version that this crate writes, in SQLite's `user_version`.
pub(crate) const VERSION: i32 = 6;
/// The first version that has metrics.
const VERSION_WITH_METRICS: i32 = 2;
/// The first version that counts records dropped by a tail rule.
const VERSION_WITH_SAMPLED: i32 = 3;
/// The first version that has tenants and senders.
const VERSION_WITH_TENANTS: i32 = 4;
/// The first version with agent runs.
const VERSION_WITH_RUNS: i32 = 5;
/// The first version with halves of spans.
const VERSION_WITH_HALVES: i32 = 6;

/// The additions of each version. A new file is created by the same steps as an old one is
/// upgraded, so that they can't differ.
const STEPS: [(i32, &str); 6] = [
    (1, include_str!("schema.sql")),
    (VERSION_WITH_METRICS, include_str!("schema_2.sql")),
    (VERSION_WITH_SAMPLED, include_str!("schema_3.sql")),
    (VERSION_WITH_TENANTS, include_str!("schema_4.sql")),
    (VERSION_WITH_RUNS, include_str!("schema_5.sql")),
    (VERSION_WITH_HALVES, include_str!("schema_6.sql")),
];
const VIEWS: &str = include_str!("views.sql");
const NO_VIEWS: &str = "DROP VIEW IF EXISTS traces; DROP VIEW IF EXISTS spans; DROP VIEW IF EXISTS logs; \
     DROP VIEW IF EXISTS span_events; DROP VIEW IF EXISTS metrics;";

/// Creates the tables and views in an empty database, upgrades an older version, and leaves a
/// current one unchanged.
///
/// The caller holds a write transaction, so that only one of two processes that open a file at once
/// changes it.
pub(crate) fn upgrade(db: &Connection) -> rusqlite::Result<()> {
    let version = version(db)?;
    if version >= VERSION {
        return Ok(());
    }
    // A table that a view names can't be replaced.
    db.execute_batch(NO_VIEWS)?;
    let others = drop_user_views(db)?;
    for (_, sql) in STEPS.iter().filter(|(step, _)| *step > version) {
        db.execute_batch(sql)?;
    }
    if version > 0 && version < VERSION_WITH_RUNS {
        runs::find_all(db)?;
    }
    db.execute_batch(VIEWS)?;
    for sql in others {
        db.execute_batch(&sql)?;
    }
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    db.pragma_update(None, "user_version", VERSION)
}

/// Drops the views and triggers that users have added to the file, and returns the statements that
/// create them again. SQLite reads the whole schema when a column is dropped, and fails if a user's
/// view refers to one of Spanscope's views, which are already dropped.
fn drop_user_views(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let others: Vec<(String, String, String)> = db
        .prepare(
            "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger') AND sql IS NOT NULL
             ORDER BY type = 'trigger', rowid",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    // Triggers first, because dropping a view drops its triggers.
    for (kind, name, _) in others.iter().rev() {
        let name = name.replace('"', "\"\"");
        db.execute_batch(&format!("DROP {kind} IF EXISTS \"{name}\""))?;
    }
    Ok(others.into_iter().map(|(_, _, sql)| sql).collect())
}

/// Returns whether the file has the tables of metrics. A reader changes nothing, so it may find a
/// file without them.
pub(crate) fn has_metrics(db: &Connection) -> rusqlite::Result<bool> {
    Ok(version(db)? >= VERSION_WITH_METRICS)
}

/// Returns whether the file's account counts records dropped by a tail rule; a file without that
/// never had such a rule.
pub(crate) fn has_sampled(db: &Connection) -> rusqlite::Result<bool> {
    Ok(version(db)? >= VERSION_WITH_SAMPLED)
}

/// Returns whether the file has tenants and senders; without them, everything belongs to the
/// default tenant.
pub(crate) fn has_tenants(db: &Connection) -> rusqlite::Result<bool> {
    Ok(version(db)? >= VERSION_WITH_TENANTS)
}

/// Returns whether the file has agent runs.
pub(crate) fn has_runs(db: &Connection) -> rusqlite::Result<bool> {
    Ok(version(db)? >= VERSION_WITH_RUNS)
}

/// Returns whether the file has halves of spans.
pub(crate) fn has_halves(db: &Connection) -> rusqlite::Result<bool> {
    Ok(version(db)? >= VERSION_WITH_HALVES)
}

fn version(db: &Connection) -> rusqlite::Result<i32> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}
