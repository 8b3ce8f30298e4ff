//! What can go wrong with a file, before it is known which file to blame.

use std::path::Path;

use spanscope_model::StoreError;

use super::open::sql_error;

/// A question's or an import's failure.
#[derive(Debug)]
pub(crate) enum Failure {
    /// SQLite's.
    Sql(rusqlite::Error),
    /// One that says already what to do.
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<rusqlite::types::FromSqlError> for Failure {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Sql(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// The failure as the caller of a store sees it.
    pub(crate) fn of(self, path: &Path) -> StoreError {
        match self {
            Self::Sql(error) => sql_error(path, error),
            Self::Store(error) => error,
        }
    }
}
