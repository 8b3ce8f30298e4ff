//! A hand-made store file.

use std::path::PathBuf;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use spanscope_model::{SpanId, TraceId};
use spanscope_sqlite::{CleanupReport, ImportReport, SqliteStore};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MILLISECOND: i64 = 1_000_000;
/// 2026-11-21T00:00:00Z
pub(crate) const MIDNIGHT: i64 = 1_795_219_200 * SECOND;

pub(crate) struct StoreFile {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) db: Connection,
}

/// A span to be stored; `Row::default()` is an ended one of a tenth of a second.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) trace: u128,
    pub(crate) id: i64,
    pub(crate) parent: Option<i64>,
    pub(crate) name: &'static str,
    pub(crate) start: i64,
    pub(crate) duration: Option<i64>,
    pub(crate) is_error: bool,
    pub(crate) attributes: Value,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            trace: 1,
            id: 1,
            parent: None,
            name: "work",
            start: MIDNIGHT,
            duration: Some(100 * MILLISECOND),
            is_error: false,
            attributes: json!({}),
        }
    }
}

pub(crate) fn trace_id(number: u128) -> TraceId {
    TraceId::from_bytes(number.to_be_bytes()).unwrap()
}

pub(crate) fn span_id(number: i64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

impl StoreFile {
    pub(crate) fn new() -> Self {
        Self::with_processes(&[
            include_str!("../../src/file/schema.sql"),
            include_str!("../../src/file/schema_2.sql"),
            include_str!("../../src/file/schema_3.sql"),
            include_str!("../../src/file/schema_4.sql"),
            include_str!("../../src/file/schema_5.sql"),
            include_str!("../../src/file/schema_6.sql"),
            include_str!("../../src/file/views.sql"),
            "PRAGMA application_id = 0x53705363; PRAGMA user_version = 6;",
        ])
    }

    /// A file that a program of version 3 has made.
    pub(crate) fn of_version_3() -> Self {
        Self::with_processes(&[include_str!("version_3.sql")])
    }

    /// A file that programs of version 5 have written.
    pub(crate) fn of_version_5() -> Self {
        Self::made_by(&[include_str!("version_5.sql")])
    }

    fn with_processes(schema: &[&str]) -> Self {
        let file = Self::made_by(schema);
        file.db
            .execute_batch(
                "INSERT INTO _process (id, service_name, pid, started_at, seen_at, ended_at, offered, stored) \
                 VALUES (1, 'shop', 1, 0, 0, 0, 0, 0), (2, 'bank', 2, 0, 0, 0, 0, 0);",
            )
            .unwrap();
        file
    }

    fn made_by(schema: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")
            .unwrap();
        for sql in schema {
            db.execute_batch(sql).unwrap();
        }
        Self { folder, path, db }
    }

    pub(crate) fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.path).unwrap()
    }

    pub(crate) fn add(&self, row: &Row) -> i64 {
        self.add_with(row, 1)
    }

    /// Stores a span of one of the two processes and brings its trace up to date.
    pub(crate) fn add_with(&self, row: &Row, process: i64) -> i64 {
        let db = &self.db;
        db.execute(
            "INSERT OR IGNORE INTO _callsite (name, target, level, category) VALUES (?1, 'app', 9, 'core')",
            [row.name],
        )
        .unwrap();
        let hex = trace_id(row.trace).to_string();
        db.execute(
            "INSERT OR IGNORE INTO _trace (trace_id, start, end, span_count, error_count, open_count, created) \
             VALUES (?1, ?2, ?2, 0, 0, 0, ?2)",
            params![hex, row.start],
        )
        .unwrap();
        db.execute(
            "INSERT INTO _span (callsite, start, duration, status, trace, process, kind, span_id, parent, attributes) \
             VALUES ((SELECT id FROM _callsite WHERE name = ?1), ?2, ?3, ?4, \
             (SELECT id FROM _trace WHERE trace_id = ?5), ?6, 0, ?7, ?8, ?9)",
            params![
                row.name,
                row.start,
                row.duration,
                row.duration.map(|_| i64::from(row.is_error)),
                hex,
                process,
                row.id,
                row.parent,
                row.attributes.to_string(),
            ],
        )
        .unwrap();
        let id = db.last_insert_rowid();
        db.execute(
            "UPDATE _trace SET start = min(start, ?2), end = max(end, ?2 + COALESCE(?3, 0)), \
             span_count = span_count + 1, error_count = error_count + ?4, open_count = open_count + (?3 IS NULL), \
             root = COALESCE(root, CASE WHEN ?5 THEN ?6 END) WHERE trace_id = ?1",
            params![hex, row.start, row.duration, row.is_error, row.parent.is_none(), id],
        )
        .unwrap();
        id
    }

    pub(crate) fn add_event(
        &self,
        trace: Option<u128>,
        span: Option<i64>,
        time: i64,
        message: &str,
        severity: u8,
    ) {
        self.db
            .execute_batch("INSERT OR IGNORE INTO _callsite (name, target, level, category) VALUES ('', 'app', 9, 'core')")
            .unwrap();
        self.db
            .execute(
                "INSERT INTO _event (callsite, time, trace, span_id, process, severity, message) VALUES \
                 ((SELECT id FROM _callsite WHERE name = ''), ?1, (SELECT id FROM _trace WHERE trace_id = ?2), ?3, 1, \
                 ?4, ?5)",
                params![time, trace.map(|trace| trace_id(trace).to_string()), span, severity, message],
            )
            .unwrap();
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.db.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// A report with these counts: traces, spans, events, measurements, skipped.
pub(crate) fn imported_report([traces, spans, events, points, skipped]: [u64; 5]) -> ImportReport {
    let mut report = ImportReport::default();
    report.traces = traces;
    report.spans = spans;
    report.events = events;
    report.points = points;
    report.skipped = skipped;
    report
}

/// A report with these counts: traces, spans, events, measurements.
pub(crate) fn cleanup_report([traces, spans, events, points]: [u64; 4]) -> CleanupReport {
    let mut report = CleanupReport::default();
    report.traces = traces;
    report.spans = spans;
    report.events = events;
    report.points = points;
    report
}
