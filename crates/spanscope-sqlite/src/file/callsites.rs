//! Rows of callsites: the data that all spans or events of one callsite share.

use rusqlite::{Connection, OptionalExtension, params};

use super::text::without_nul;

/// Returns the row of a callsite in the open file, and creates it if it is missing.
pub(crate) fn callsite_row(
    db: &Connection,
    name: &str,
    target: &str,
    level: u8,
    category: &str,
) -> rusqlite::Result<i64> {
    if let Some(row) = find_callsite(db, name, target, level, category)? {
        return Ok(row);
    }
    let [name, target, category] = [name, target, category].map(without_nul);
    db.prepare_cached("INSERT INTO _callsite (name, target, level, category) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![name, target, level, category])?;
    Ok(db.last_insert_rowid())
}

/// Returns the row of a callsite, if it exists.
pub(crate) fn find_callsite(
    db: &Connection,
    name: &str,
    target: &str,
    level: u8,
    category: &str,
) -> rusqlite::Result<Option<i64>> {
    let [name, target, category] = [name, target, category].map(without_nul);
    db.prepare_cached(
        "SELECT id FROM _callsite WHERE name = ?1 AND target = ?2 AND level = ?3 AND category = ?4",
    )?
    .query_row(params![name, target, level, category], |row| row.get(0))
    .optional()
}
