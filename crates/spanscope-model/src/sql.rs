//! [`SqlStore`]: stores that answer SQL which a person wrote.
//!
//! Never here: SQL of the server or of any other program; those ask by [`TraceStore`]'s methods.
//!
//! [`TraceStore`]: crate::TraceStore

use crate::StoreError;

/// The rows that a query returns.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlResult {
    /// The names of the columns; two may share one.
    pub columns: Vec<String>,
    /// The rows, a value for each column.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// There are more rows than were asked for.
    pub is_truncated: bool,
}

/// A store that runs read-only SQL over documented tables. It shows the records of all tenants.
pub trait SqlStore: Send + Sync {
    /// Runs one `SELECT` that the user wrote, and returns up to `limit` rows. Blocks until it is
    /// done: a person asks, on a thread of the person's command.
    ///
    /// # Errors
    /// Invalid input if it is wrong, if it is not one statement, or if it does anything but read.
    fn sql(&self, query: &str, limit: usize) -> Result<SqlResult, StoreError>;
}
