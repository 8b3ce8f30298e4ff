//! Errors of a query or an import, before the path of the file is added to the message.

use std::path::Path;

use spanscope_model::StoreError;

use super::open::sql_error;

/// The failure of a query or an import.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of SQLite, without the path.
    Sql(rusqlite::Error),
    /// An error with a message for the user.
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
    /// Converts it to the error that the caller of a store gets.
    pub(crate) fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::Sql(error) => sql_error(path, error),
            Self::Store(error) => error,
        }
    }
}
