//! Completions of the text that a user types, from stored records.

use rusqlite::{Connection, Row};
use spanscope_model::{Completion, CompletionOf, CompletionQuery};

use super::Failure;
use super::builder::{Sql, count};
use super::scope::Scope;
use crate::file::text::without_nul;

/// The number of spans that are read: those that were stored last.
const NEWEST_SPANS: u64 = 20_000;
/// Longer values, in characters, are not offered.
const LONGEST_VALUE: u64 = 200;

pub(super) fn of(db: &Connection, scope: Scope, query: &CompletionQuery) -> Result<Vec<Completion>, Failure> {
    let part = without_nul(&query.part).into_owned();
    let newest = |columns: &'static str| {
        Sql::new("(SELECT ")
            .push(columns)
            .push(" FROM _span s WHERE 1")
            .add(&scope.of_spans())
            .push(" ORDER BY s.id DESC LIMIT ")
            .bind(count(NEWEST_SPANS))
            .push(") a")
    };
    let texts = match query.of {
        // One row for each key and type; a key's most frequent type is chosen below.
        CompletionOf::Key => Sql::new("SELECT k.key AS text, k.type AS type, count(*) AS n FROM ")
            .add(&newest("s.attributes"))
            .push(", json_each(a.attributes) k WHERE k.type <> 'null' GROUP BY 1, 2"),
        CompletionOf::Value => Sql::new(
            "SELECT CASE k.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(k.value AS TEXT) END AS text, \
             k.type AS type, count(*) AS n FROM ",
        )
        .add(&newest("s.attributes"))
        .push(", json_each(a.attributes) k WHERE k.key = ")
        .bind(without_nul(&query.key).into_owned())
        .push(" AND k.type NOT IN ('null', 'array', 'object') AND length(k.value) <= ")
        .bind(count(LONGEST_VALUE))
        .push(" GROUP BY 1, 2"),
        CompletionOf::Name => Sql::new(
            "SELECT COALESCE(a.name, (SELECT name FROM _callsite WHERE id = a.callsite)) AS text, 'text' AS type, \
             count(*) AS n FROM ",
        )
        .add(&newest("s.name, s.callsite"))
        .push(" GROUP BY 1"),
        CompletionOf::Category => Sql::new(
            "SELECT COALESCE(a.category, (SELECT category FROM _callsite WHERE id = a.callsite)) AS text, 'text' AS type, \
             count(*) AS n FROM ",
        )
        .add(&newest("s.category, s.callsite"))
        .push(" GROUP BY 1"),
        CompletionOf::Service => Sql::new(
            "SELECT (SELECT service_name FROM _process WHERE id = a.process) AS text, 'text' AS type, count(*) AS n FROM ",
        )
        .add(&newest("s.process"))
        .push(" GROUP BY 1"),
    };
    let sql = Sql::new("SELECT text, type, sum(n) AS total, max(n) FROM (")
        .add(&texts)
        .push(") WHERE text <> '' AND spanscope_contains(text, ")
        .bind(part.clone())
        // With max(), SQLite takes the other columns from the row with the maximum.
        .push(") GROUP BY text ORDER BY lower(substr(text, 1, ")
        .bind(count(part.chars().count() as u64))
        .push(")) = lower(")
        .bind(part)
        .push(") DESC, total DESC, text LIMIT ")
        .bind(count(query.limit));
    Ok(sql.rows(db, completion)?)
}

fn completion(row: &Row<'_>) -> rusqlite::Result<Completion> {
    let kind: String = row.get(1)?;
    Ok(Completion::new(
        row.get::<_, String>(0)?,
        match kind.as_str() {
            "integer" => 'i',
            "real" => 'f',
            "true" | "false" => 'b',
            "array" | "object" => 'j',
            _ => 's',
        },
        u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
    ))
}
