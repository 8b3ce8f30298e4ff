//! [`SqlStore`]: stores that run a user's SQL.
//!
//! SQL of the server or of other programs does not belong here; they use [`TraceStore`]'s methods.
//!
//! [`TraceStore`]: crate::TraceStore

use crate::{StoreError, setters};

/// The rows that a query returns.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SqlResult {
    /// The names of the columns, which may repeat.
    pub columns: Vec<String>,
    /// The rows, with a value for each column.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether there are more rows than the limit.
    pub is_truncated: bool,
}

impl SqlResult {
    /// Creates a complete result.
    #[must_use]
    pub fn new(columns: Vec<String>, rows: Vec<Vec<serde_json::Value>>) -> Self {
        Self {
            columns,
            rows,
            is_truncated: false,
        }
    }
}

setters!(SqlResult { is_truncated: [bool] });

/// A store that runs read-only SQL over documented tables. It shows the records of all tenants.
pub trait SqlStore: Send + Sync {
    /// Runs one `SELECT` of the user, and returns up to `limit` rows. Blocks until it is done.
    ///
    /// # Errors
    /// Fails with invalid input if the query is not valid SQL, is more than one statement, or does
    /// anything but read.
    fn sql(&self, query: &str, limit: usize) -> Result<SqlResult, StoreError>;
}
