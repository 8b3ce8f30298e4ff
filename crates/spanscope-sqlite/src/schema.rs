//! The file's identity and version, and how a new one is made.

use rusqlite::Connection;

/// Marks a SQLite file as a span store of ours: "SpSc" in SQLite's `application_id`.
pub(crate) const APPLICATION_ID: i32 = 0x5370_5363;
/// The schema version that this crate writes, in SQLite's `user_version`.
pub(crate) const VERSION: i32 = 1;

/// The tables and views of [`VERSION`].
pub(crate) const SQL: &str = include_str!("schema.sql");

/// Creates the tables and views in an empty database, or leaves a database of this version as it is.
///
/// The caller holds a write transaction, so that of two processes that open a new file together one makes it.
pub(crate) fn create_if_empty(db: &Connection) -> rusqlite::Result<()> {
    let version: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        db.execute_batch(SQL)?;
        db.pragma_update(None, "application_id", APPLICATION_ID)?;
        db.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(())
}
