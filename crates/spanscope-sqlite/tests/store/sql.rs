//! SQL queries of users: read-only, with limits, types and errors.

use std::fs;

use spanscope_model::SqlStore as _;

use crate::support::{Row, StoreFile};

#[test]
fn statements_that_write_are_refused_and_the_file_is_unchanged() {
    let file = StoreFile::new();
    file.add(&Row::default());
    file.db
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let other = file.folder.path().join("other.db");
    let before = fs::read(&file.path).unwrap();
    let store = file.store();
    let attach = format!("ATTACH '{}' AS other", other.display());
    let vacuum = format!("VACUUM INTO '{}'", other.display());
    for query in [
        "INSERT INTO _mark VALUES (1, 1, 1)",
        "INSERT INTO _mark VALUES (1, 1, 1) RETURNING *",
        "UPDATE _span SET attributes = '{}'",
        "DELETE FROM _span",
        "DROP TABLE _span",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t AS SELECT 1",
        "ALTER TABLE _span RENAME TO s",
        "REINDEX",
        "ANALYZE",
        "VACUUM",
        vacuum.as_str(),
        attach.as_str(),
        "DETACH main",
        "PRAGMA writable_schema = 1",
        "PRAGMA user_version = 7",
        "PRAGMA query_only = 0",
        "PRAGMA journal_mode",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT s",
        "SELECT load_extension('x')",
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM _span",
        "WITH x AS (SELECT 1) DELETE FROM _span",
        "EXPLAIN DELETE FROM _span",
        "REPLACE INTO _attr_key VALUES (1, 'x')",
        "",
        "-- nothing",
        ";",
    ] {
        let error = store.sql(query, 10).unwrap_err();
        assert!(error.is_invalid_input(), "{query}: {error}");
        assert!(
            error
                .to_string()
                .contains("one SELECT over traces, spans, span_events, logs and metrics"),
            "{query}: {error}"
        );
    }
    assert_eq!(fs::read(&file.path).unwrap(), before);
    assert!(!other.exists());
    assert_eq!(file.number("SELECT count(*) FROM _span"), 1);
}

#[test]
fn invalid_queries_are_the_callers_error() {
    let store = StoreFile::new();
    for query in [
        "SELEC 1",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM spans",
        "SELECT 'x",
        "SELECT json('{')",
        "DELETE FROM spans",
    ] {
        let error = store.store().sql(query, 10).unwrap_err();
        assert!(
            error.is_invalid_input() && error.to_string().starts_with("the query is wrong"),
            "{query}: {error}"
        );
    }
}

#[test]
fn results_keep_their_types_and_say_when_they_are_truncated() {
    let file = StoreFile::new();
    let store = file.store();
    let found = store
        .sql("SELECT 1, 1.5, 'x', NULL, x'00ff', 9e999;", 10)
        .unwrap();
    assert_eq!(
        serde_json::to_string(&found.rows).unwrap(),
        r#"[[1,1.5,"x",null,"00ff","inf"]]"#
    );
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i FROM n";
    let cut = store.sql(many, 3).unwrap();
    assert_eq!((cut.rows.len(), cut.is_truncated), (3, true));
    let whole = store.sql(many, 10).unwrap();
    assert_eq!((whole.rows.len(), whole.is_truncated), (10, false));
}

#[test]
fn all_documented_tables_and_json_can_be_read() {
    let file = StoreFile::new();
    file.add(&Row {
        attributes: serde_json::json!({"a.b": 5}),
        ..Row::default()
    });
    file.add_event(Some(1), Some(1), 5, "hello", 13);
    let store = file.store();
    for table in ["traces", "spans", "span_events", "logs"] {
        assert_eq!(
            store
                .sql(&format!("SELECT * FROM {table}"), 10)
                .unwrap()
                .rows
                .len(),
            1,
            "{table}"
        );
    }
    let found = store
        .sql(
            "SELECT j.key, j.value FROM spans, json_each(spans.attributes) j",
            10,
        )
        .unwrap();
    assert_eq!(serde_json::to_string(&found.rows).unwrap(), r#"[["a.b",5]]"#);
    assert_eq!(
        store
            .sql("EXPLAIN QUERY PLAN SELECT * FROM spans", 99)
            .unwrap()
            .columns
            .len(),
        4
    );
}
