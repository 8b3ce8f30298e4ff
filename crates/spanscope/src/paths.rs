//! Paths: of the span store, and in variables.

use std::path::PathBuf;

#[cfg(feature = "sqlite")]
use etcetera::BaseStrategy as _;

#[cfg(feature = "sqlite")]
use crate::{InitError, InitErrorKind};

/// The folder of the span store's file.
pub(crate) const STORE_FOLDER_VARIABLE: &str = "SQLITE_STORE_DIR";

/// Returns the file that [`init`](crate::init) writes and the `spanscope` command reads:
/// `trace_store.db` in `SQLITE_STORE_DIR`, or in `spanscope` in the user's data folder. Reads the
/// environment; creates nothing.
///
/// # Errors
/// Fails if the variable is not set and the user has no data folder.
#[cfg(feature = "sqlite")]
pub fn default_db_path() -> Result<PathBuf, InitError> {
    Ok(db_path()?)
}

#[cfg(feature = "sqlite")]
pub(crate) fn db_path() -> Result<PathBuf, InitErrorKind> {
    let folder = match path_variable(STORE_FOLDER_VARIABLE) {
        Some(folder) => folder,
        None => etcetera::choose_base_strategy()
            .map_err(|_| InitErrorKind::NoFolder)?
            .data_dir()
            .join("spanscope"),
    };
    Ok(folder.join("trace_store.db"))
}

/// Returns a variable's value as a path, which need not be UTF-8; a blank one counts as not set.
pub(crate) fn path_variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name)?;
    let is_blank = value.to_str().is_some_and(|text| text.trim().is_empty());
    (!is_blank).then(|| value.into())
}
