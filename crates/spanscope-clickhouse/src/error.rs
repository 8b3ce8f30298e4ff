//! Errors of a server in words that name what to do.

use spanscope_model::text::first_chars;
use spanscope_model::{StoreError, StoreErrorKind};

use crate::address::{PASSWORD_VARIABLE, StoreAddress};

/// The longest part of a server's own message that is repeated.
const MAX_MESSAGE: usize = 300;

/// Returns the error for an exception of the server, by its number.
pub(crate) fn of_exception(code: u32, message: &str, address: &StoreAddress) -> StoreError {
    let StoreAddress { user, database, .. } = address;
    let (kind, text) = match code {
        // AUTHENTICATION_FAILED and its older forms.
        192..=194 | 516 => (
            StoreErrorKind::Unusable,
            format!(
                "ClickHouse refuses the user {user:?}: set {PASSWORD_VARIABLE} to its password, and name the user in \
                 the URL"
            ),
        ),
        // ACCESS_DENIED
        497 => (
            StoreErrorKind::Unusable,
            format!(
                "the user {user:?} may not read in ClickHouse: GRANT SELECT ON {database}.* to it ({})",
                short(message)
            ),
        ),
        // READONLY and SETTING_CONSTRAINT_VIOLATION
        164 | 452 => (
            StoreErrorKind::Unusable,
            format!(
                "the profile of the user {user:?} forbids settings, which bound each query: give it readonly = 2 in \
                 place of 1, and no constraints on max_execution_time and max_result_bytes ({})",
                short(message)
            ),
        ),
        // UNKNOWN_DATABASE
        81 => (
            StoreErrorKind::Unusable,
            format!(
                "ClickHouse has no database {database:?}: name the collector's database at the end of the URL"
            ),
        ),
        // UNKNOWN_TABLE
        60 => (
            StoreErrorKind::Unusable,
            format!(
                "a table of the database {database:?} is gone: does the collector's exporter create it? ({})",
                short(message)
            ),
        ),
        // UNKNOWN_SETTING and UNKNOWN_FUNCTION
        115 | 46 => (
            StoreErrorKind::Unusable,
            format!(
                "this ClickHouse is too old, use 24.8 or later: {}",
                short(message)
            ),
        ),
        // TIMEOUT_EXCEEDED, TOO_SLOW, TOO_MANY_ROWS, TOO_MANY_BYTES, MEMORY_LIMIT_EXCEEDED
        158..=160 | 241 | 307 => (
            StoreErrorKind::QueryTooLarge,
            "the query reads more than ClickHouse allows at once: ask for a shorter time, by since and until"
                .to_owned(),
        ),
        // TOO_MANY_ROWS_OR_BYTES
        396 => (
            StoreErrorKind::ResultTooLarge,
            "the answer is larger than one query may be: ask for less, by a limit or a shorter time"
                .to_owned(),
        ),
        // TOO_MANY_SIMULTANEOUS_QUERIES and QUOTA_EXCEEDED
        201 | 202 => (
            StoreErrorKind::Overloaded,
            format!(
                "ClickHouse has too much to do: ask again in a second ({})",
                short(message)
            ),
        ),
        _ => (
            StoreErrorKind::Unavailable,
            format!("ClickHouse failed with code {code}: {}", short(message)),
        ),
    };
    StoreError::new(kind, text)
}

/// Returns the number of an exception in the text of one: `Code: 60. DB::Exception: ...`.
pub(crate) fn code_in(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let code = rest[..digits].parse().ok()?;
    rest.contains("DB::Exception").then_some(code)
}

/// The first line of a message, without what only its developers need.
fn short(message: &str) -> &str {
    let message = message
        .split_once("DB::Exception: ")
        .map_or(message, |(_, rest)| rest);
    let message = message.lines().next().unwrap_or_default();
    let message = message.split(" (version ").next().unwrap_or_default();
    first_chars(message.trim(), MAX_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_found_in_its_text() {
        let text =
            "Code: 60. DB::Exception: Table otel.x does not exist. (UNKNOWN_TABLE) (version 26.7.2.1)\nStack";
        assert_eq!(code_in(text), Some(60));
        assert_eq!(short(text), "Table otel.x does not exist. (UNKNOWN_TABLE)");
        assert_eq!(code_in("[\"Code: 60\"]"), None);
    }
}
