//! Runs a user's SQL on a connection that can only read.
//!
//! Three protections, because each alone had holes in some version of SQLite: the file is opened
//! read-only, SQLite calls [`allow`] for every part of a statement before it compiles it, and the
//! compiled statement must report itself read-only.

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, ErrorCode};
use serde_json::Value;
use spanscope_model::{SqlResult, StoreError};

use super::Failure;

const ACCEPTED: &str = "one SELECT over traces, spans, span_events, logs and metrics is accepted here";

/// Runs one query on a connection that is used for nothing else. Blobs become hexadecimal texts,
/// numbers that JSON does not have become texts.
pub(super) fn run(db: &mut Connection, query: &str, limit: usize) -> Result<SqlResult, Failure> {
    db.authorizer(Some(allow))?;
    let mut batch = Batch::new(db, query);
    let mut statement = batch
        .next()
        .map_err(refused)?
        .ok_or_else(|| StoreError::invalid(format!("there is no statement: {ACCEPTED}")))?;
    if batch.next().map_err(refused)?.is_some() {
        return Err(StoreError::invalid(format!("there is more than one statement: only {ACCEPTED}")).into());
    }
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(StoreError::invalid(format!("this statement is not read-only: only {ACCEPTED}")).into());
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = SqlResult::new(columns, Vec::new());
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(refused)? {
        if found.rows.len() == limit {
            found.is_truncated = true;
            break;
        }
        let values = (0..found.columns.len()).map(|column| row.get_ref(column).map(shown));
        found.rows.push(values.collect::<rusqlite::Result<_>>()?);
    }
    Ok(found)
}

fn allow(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if !function_name.eq_ignore_ascii_case("load_extension") => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// Separates mistakes in the query, which are invalid input, from failures of the file.
fn refused(error: rusqlite::Error) -> Failure {
    let message = match &error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly) => Failure::Store(
            StoreError::invalid(format!("refused ({message}): only {ACCEPTED}")).with_source(error),
        ),
        Some(ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange) => {
            Failure::Store(
                StoreError::invalid(format!("the query is wrong: {message}; {ACCEPTED}")).with_source(error),
            )
        }
        None => Failure::Store(
            StoreError::invalid(format!("the query is wrong: {message}; {ACCEPTED}")).with_source(error),
        ),
        Some(_) => Failure::Sql(error),
    }
}

fn shown(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) if number.is_finite() => number.into(),
        ValueRef::Real(number) => number.to_string().into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => const_hex::encode(bytes).into(),
    }
}
