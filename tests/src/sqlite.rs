//! Accesses a store's file with SQLite itself, as another program does.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Checks the integrity of the file with SQLite.
///
/// # Panics
/// Panics if the file is damaged or can't be read.
pub fn assert_intact(path: &Path) {
    let found = problems(path).unwrap();
    assert!(found.is_empty(), "{}: {found:#?}", path.display());
}

/// Runs statements on the file, as another program or an older version might.
///
/// # Panics
/// Panics if a statement fails.
pub fn change(path: &Path, statements: &str) {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    db.execute_batch(statements).unwrap();
}

/// Returns the problems that SQLite finds. The file is opened for writing, because only such a
/// connection recovers the log of a killed program.
fn problems(path: &Path) -> rusqlite::Result<Vec<String>> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut check = db.prepare("PRAGMA integrity_check")?;
    let lines = check.query_map([], |row| row.get(0))?;
    let mut found: Vec<String> = lines.collect::<Result<_, _>>()?;
    found.retain(|line| line != "ok");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_is_intact_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("CREATE TABLE t (a); CREATE INDEX t_a ON t (a); INSERT INTO t VALUES (1), (2)")
            .unwrap();
        assert_intact(&path);
        // The index contradicts the table.
        db.execute_batch(
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX t_a ON t (-a)' WHERE name = 't_a'",
        )
        .unwrap();
        drop(db);
        assert!(!problems(&path).unwrap().is_empty());
    }
}
