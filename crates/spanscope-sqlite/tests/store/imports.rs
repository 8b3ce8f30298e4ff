//! Imports of Llama Stack's file, and of other Spanscope stores.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use spanscope_model::{LogFilter, Severity, SpanKind, SpanStatus, TraceQuery, TraceStore, block_on};
use spanscope_sqlite::{ImportReport, SqliteStore};

use crate::support::{Row, StoreFile, imported_report, span_id, trace_id};

fn llama_stack_file(folder: &Path) -> (PathBuf, Connection) {
    let path = folder.join("described.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE traces (trace_id TEXT PRIMARY KEY, service_name TEXT, root_span_id TEXT, start_time TIMESTAMP, \
            end_time TIMESTAMP, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
         CREATE TABLE spans (span_id TEXT PRIMARY KEY, trace_id TEXT REFERENCES traces(trace_id), parent_span_id TEXT, \
            name TEXT, start_time TIMESTAMP, end_time TIMESTAMP, attributes TEXT, status TEXT, kind TEXT);
         CREATE TABLE span_events (id INTEGER PRIMARY KEY AUTOINCREMENT, span_id TEXT, name TEXT, \
            timestamp TIMESTAMP, attributes TEXT);",
    )
    .unwrap();
    (path, db)
}

fn import(target: &Path, source: &Path) -> ImportReport {
    SqliteStore::import(target, source, |_, _| ()).unwrap()
}

#[test]
fn a_llama_stack_file_is_imported_completely_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let (source, db) = llama_stack_file(folder.path());
    db.execute_batch(
        r#"INSERT INTO traces VALUES
            ('abc', 'stack', 'a1', '2025-09-30T10:12:04.000001+00:00', '2025-09-30T10:12:05+00:00', '2025-09-30 10:12:06'),
            ('trace-x', '', 'b1', '2025-09-30T12:00:00+02:00', NULL, NULL);
           INSERT INTO spans VALUES
            ('a1', 'abc', NULL, 'ask', '2025-09-30T10:12:04.000001+00:00', '2025-09-30T10:12:05+00:00',
                '{"model": "llama", "n": 5, "a.b": true}', 'ok', 'SpanKind.SERVER'),
            ('00a2', 'abc', '00000000000000a1', 'chat', '2025-09-30T10:12:04.5+00:00', '2025-09-30T10:12:04.75+00:00',
                '{"cost": NaN}', 'StatusCode.ERROR', 'client'),
            ('a3', 'abc', '00a2', 'tool', '2025-09-30T10:12:04.6', '2025-09-30T10:12:04.7', NULL, 'UNSET', NULL),
            ('a4', 'abc', 'a1', 'broken', 'no time', NULL, NULL, NULL, NULL),
            ('not hex', 'trace-x', NULL, 'odd', '2025-09-30T12:00:00+02:00', NULL, '{}', NULL, 'internal'),
            ('child', 'trace-x', 'not hex', 'odder', '2025-09-30T12:00:01+02:00', NULL, '{}', NULL, 'internal');
           INSERT INTO span_events (span_id, name, timestamp, attributes) VALUES
            ('00a2', 'unstructured_log', '2025-09-30T10:12:04.6+00:00',
                '{"message": "hello", "severity": "warn", "k": 1}'),
            ('a1', 'tool_started', '2025-09-30T10:12:04.1+00:00', '{"tool": "search"}'),
            ('child', 'unstructured_log', '2025-09-30T12:00:01+02:00', '{"message": "odd"}'),
            ('gone', 'unstructured_log', '2025-09-30T10:12:04.1+00:00', '{}');"#,
    )
    .unwrap();
    let target = folder.path().join("trace_store.db");
    let mut last = (0, 0);
    let done = SqliteStore::import(&target, &source, |done, total| last = (done, total)).unwrap();
    assert_eq!(done, imported_report([2, 5, 3, 0, 2]));
    assert_eq!(last, (10, 10));

    let store = SqliteStore::open(&target).unwrap();
    let trace = block_on(store.get_trace(trace_id(0xabc))).unwrap();
    assert_eq!(trace.root_span_id, span_id(0xa1));
    assert_eq!(trace.end_time.unwrap().to_string(), "2025-09-30T10:12:05Z");
    let tree = block_on(store.get_span_tree(span_id(0xa1), None, None)).unwrap();
    let depths: Vec<_> = tree
        .values()
        .map(|node| (node.span.name.as_str(), node.depth))
        .collect();
    assert_eq!(depths, [("ask", 1), ("chat", 2), ("tool", 3)]);
    let ask = &tree[&span_id(0xa1)].span;
    assert_eq!(
        (ask.kind, ask.status, ask.service_name.as_str()),
        (SpanKind::Server, Some(SpanStatus::Ok), "stack")
    );
    assert_eq!(
        serde_json::to_string(&ask.attributes).unwrap(),
        r#"{"model":"llama","n":5,"a.b":true}"#
    );
    let chat = &tree[&span_id(0xa2)].span;
    assert_eq!(
        (chat.status, chat.duration_ms()),
        (Some(SpanStatus::Error), Some(250.0))
    );
    assert_eq!(
        chat.attributes.get("import.attributes").unwrap().as_str(),
        Some(r#"{"cost": NaN}"#)
    );
    let logs = block_on(store.list_logs(LogFilter::default().trace_id(trace_id(0xabc)))).unwrap();
    assert_eq!(
        (logs[0].name.as_str(), logs[0].message.as_str()),
        ("tool_started", "")
    );
    assert_eq!(
        (logs[1].message.as_str(), logs[1].severity),
        ("hello", Severity::Warn)
    );
    assert_eq!(serde_json::to_string(&logs[1].attributes).unwrap(), r#"{"k":1}"#);

    let odd = &block_on(store.query_traces(TraceQuery::default())).unwrap()[1];
    let tree = block_on(store.get_span_tree(odd.root_span_id, None, None)).unwrap();
    let root = &tree[&odd.root_span_id].span;
    assert_eq!(tree.len(), 2, "derived ids keep their parents");
    assert_eq!(
        root.attributes.get("import.original_id").unwrap().as_str(),
        Some("not hex")
    );
    assert_eq!(
        root.attributes.get("import.original_trace_id").unwrap().as_str(),
        Some("trace-x")
    );

    let stats = block_on(store.statistics()).unwrap();
    let account = stats.account.unwrap();
    assert_eq!(
        (account.offered, account.stored, stats.spans + stats.events),
        (8, 8, 8)
    );

    let again = import(&target, &source);
    assert_eq!(again, imported_report([0, 0, 0, 0, 10]));
    assert_eq!(block_on(store.statistics()).unwrap(), stats);
}

#[test]
fn an_import_adds_newer_records() {
    let folder = tempfile::tempdir().unwrap();
    let (source, db) = llama_stack_file(folder.path());
    let target = folder.path().join("trace_store.db");
    let add = |span: &str, parent: Option<&str>| {
        db.execute(
            "INSERT OR IGNORE INTO traces VALUES ('1', 's', 'a', '2025-09-30T10:00:00Z', NULL, NULL)",
            [],
        )
        .unwrap();
        db.execute(
            "INSERT INTO spans VALUES (?1, '1', ?2, 'n', '2025-09-30T10:00:00Z', '2025-09-30T10:00:01Z', '{}', 'ok', '')",
            params![span, parent],
        )
        .unwrap();
    };
    add("b", Some("a"));
    assert_eq!(import(&target, &source).spans, 1);
    add("a", None);
    assert_eq!(import(&target, &source), imported_report([1, 1, 0, 0, 1]));
    let trace = block_on(SqliteStore::open(&target).unwrap().get_trace(trace_id(1))).unwrap();
    assert_eq!(trace.root_span_id, span_id(0xa), "the root is looked for again");
}

#[test]
fn a_hundred_thousand_spans_keep_their_trees() {
    let folder = tempfile::tempdir().unwrap();
    let (source, db) = llama_stack_file(folder.path());
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
         INSERT INTO traces SELECT printf('%032x', i + 1), 'stack', printf('%x', i * 10 + 1),
            '2025-09-30T10:00:00.' || printf('%06d', i) || '+00:00', NULL, NULL FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
         INSERT INTO spans SELECT printf('%x', i + 1), printf('%032x', i / 10 + 1),
            CASE WHEN i % 10 > 0 THEN printf('%016x', i / 10 * 10 + 1 + (i % 10 - 1) / 3) END, 'span ' || i % 10,
            '2025-09-30T10:00:00.' || printf('%06d', i) || '+00:00', '2025-09-30T10:00:01.5+00:00',
            '{\"n\": ' || i || '}', 'ok', 'internal' FROM n;",
    )
    .unwrap();
    let target = folder.path().join("trace_store.db");
    assert_eq!(
        import(&target, &source),
        imported_report([10_000, 100_000, 0, 0, 0])
    );
    let parents = |path: &Path, sql: &str| -> Vec<(String, String, Option<String>)> {
        let db = Connection::open(path).unwrap();
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let before = parents(
        &source,
        "SELECT trace_id, printf('%16s', span_id), parent_span_id FROM spans ORDER BY 1, 2",
    );
    let after = parents(
        &target,
        "SELECT trace_id, span_id, parent_span_id FROM spans ORDER BY 1, 2",
    );
    assert_eq!(before.len(), after.len());
    for (before, after) in before.into_iter().zip(after) {
        assert_eq!((before.0, before.1.replace(' ', "0"), before.2), after);
    }
    assert_eq!(import(&target, &source), imported_report([0, 0, 0, 0, 100_000]));
}

#[test]
fn another_spanscope_store_is_imported_completely() {
    let from = StoreFile::new();
    from.add(&Row {
        id: 1,
        attributes: serde_json::json!({"session": "s", "n": 1}),
        ..Row::default()
    });
    from.add_with(
        &Row {
            id: 2,
            parent: Some(1),
            is_error: true,
            name: "inner",
            ..Row::default()
        },
        2,
    );
    from.add_event(Some(1), Some(2), 5, "in a span", 13);
    from.add_event(None, None, 6, "loose", 17);
    let to = StoreFile::new();
    to.db
        .execute_batch("INSERT INTO _attr_key (key) VALUES ('session')")
        .unwrap();
    to.add(&Row {
        trace: 9,
        id: 9,
        ..Row::default()
    });
    assert_eq!(import(&to.path, &from.path), imported_report([1, 2, 2, 0, 0]));
    assert_eq!(import(&to.path, &from.path), imported_report([0, 0, 0, 0, 4]));
    let spans = |file: &StoreFile| block_on(file.store().trace_spans(trace_id(1))).unwrap();
    assert_eq!(spans(&from), spans(&to));
    let logs = |file: &StoreFile| block_on(file.store().list_logs(LogFilter::default())).unwrap();
    assert_eq!(logs(&from), logs(&to));
    assert_eq!(to.number("SELECT count(*) FROM _attr WHERE value = 's'"), 1);
    assert_eq!(
        to.number("SELECT error_count FROM _trace WHERE span_count = 2"),
        1
    );
}

#[test]
fn other_sources_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("trace_store.db");
    let refused = |source: &Path| SqliteStore::import(&target, source, |_, _| ()).unwrap_err();
    assert!(refused(&folder.path().join("none")).is_not_found());
    let text = folder.path().join("text");
    std::fs::write(&text, "x".repeat(5000)).unwrap();
    assert!(refused(&text).to_string().contains("is not a database"));
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    assert!(refused(&foreign).to_string().contains("another application"));
    assert!(
        !target.exists(),
        "nothing is made for a source that can't be read"
    );
    let own = StoreFile::new();
    assert!(
        SqliteStore::import(&own.path, &own.path, |_, _| ())
            .unwrap_err()
            .is_invalid_input()
    );
}
