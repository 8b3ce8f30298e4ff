//! Opens the store's file, for all commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use spanscope_model::TraceStore;
use spanscope_sqlite::SqliteStore;

use crate::failure::Stop;

/// The store's file, from the command line or by default.
pub(super) struct StoreFile(pub(super) Option<PathBuf>);

impl StoreFile {
    pub(super) fn path(&self) -> Result<PathBuf> {
        match &self.0 {
            Some(path) => {
                must_be_file(path)?;
                Ok(path.clone())
            }
            None => spanscope::default_db_path().context("name the store's file with --db"),
        }
    }

    /// Opens the store, for commands with queries that any store supports.
    pub(super) fn open(&self) -> Result<Arc<dyn TraceStore>> {
        Ok(Arc::new(self.open_file()?))
    }

    /// Opens the file, for commands that need more than queries.
    pub(super) fn open_file(&self) -> Result<SqliteStore> {
        Ok(SqliteStore::open(self.path()?)?)
    }

    /// Returns the flag that makes a suggested command use the same file.
    pub(super) fn flag(&self) -> String {
        match &self.0 {
            Some(path) => format!(" --db {}", quoted(path)),
            None => String::new(),
        }
    }
}

/// Refuses the name with which SQLite opens a temporary database of this process.
pub(super) fn must_be_file(path: &Path) -> Result<()> {
    if path.as_os_str() == ":memory:" {
        return Err(Stop::usage(
            ":memory: is not a file: nothing would be stored, and no other command could read it; name a file",
        ));
    }
    Ok(())
}

fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    if path.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c)) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_suggested_commands_are_quoted_for_the_shell() {
        assert_eq!(quoted(Path::new("/tmp/a.db")), "/tmp/a.db");
        assert_eq!(quoted(Path::new("it's here.db")), r"'it'\''s here.db'");
    }
}
