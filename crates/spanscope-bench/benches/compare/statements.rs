//! The duration of SQL that people type into `sqlite3`: every statement in `docs/how-to/ask.md`,
//! and similar ones by trace id, span id, attribute, message and time, and joins. They run on the
//! views, through a plain SQLite connection.
//!
//! `SPANSCOPE_BENCH_OTHER_FILE` names a file that another build has filled in the same way; each
//! statement is then run on both in turn, and its row says how much longer it takes here.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, named_params};
use spanscope_bench::sample::Sample;
use spanscope_bench::table::{Goal, Table, nanos};

use crate::sizes::Sizes;

/// Names the file to compare with.
const OTHER_FILE: &str = "SPANSCOPE_BENCH_OTHER_FILE";
/// How much longer a statement may take than in the other file.
const MOST: f64 = 1.2;
/// A query by a span id alone takes at most this.
const MOST_BY_SPAN_ID_MS: f64 = 100.0;

/// A description and the statement. `:trace` and `:span` are ids from the middle of the file.
const STATEMENTS: [(&str, &str); 17] = [
    (
        "the book: traces of the last hour",
        "SELECT * FROM traces WHERE timestamp > datetime('now', '-1 hour')",
    ),
    (
        "the book: average duration by name",
        "SELECT name, AVG(duration_ms) as avg_duration FROM spans GROUP BY name ORDER BY avg_duration DESC",
    ),
    (
        "the book: slow spans",
        "SELECT * FROM spans WHERE duration_ms > 1000 ORDER BY duration_ms DESC",
    ),
    (
        "the book: a metric's sum",
        "SELECT metric, SUM(value) FROM metrics WHERE timestamp > datetime('now', '-1 hour') GROUP BY metric",
    ),
    (
        "examples: all spans",
        "SELECT name, kind, status, duration_ms FROM spans",
    ),
    (
        "spans of a trace",
        "SELECT * FROM spans WHERE trace_id = :trace ORDER BY start_time",
    ),
    (
        "logs of a trace",
        "SELECT timestamp, severity, message FROM logs WHERE trace_id = :trace",
    ),
    (BY_SPAN_ID, "SELECT * FROM spans WHERE span_id = :span"),
    (
        "spans by an attribute",
        "SELECT span_id, name FROM spans WHERE json_extract(attributes, '$.document') = 'doc-00042'",
    ),
    (
        "count by an attribute",
        "SELECT count(*) FROM spans WHERE attributes ->> '$.component' = 'reranker'",
    ),
    (
        "logs by message",
        "SELECT count(*) FROM logs WHERE message = 'request was answered'",
    ),
    (
        "logs by a part of the message",
        "SELECT * FROM logs WHERE message LIKE '%refused%'",
    ),
    (
        "newest logs",
        "SELECT * FROM logs ORDER BY timestamp DESC LIMIT 20",
    ),
    (
        "spans by time",
        "SELECT count(*) FROM spans WHERE start_time > datetime('now', '-1 hour')",
    ),
    (
        "a trace's spans with their events",
        "SELECT s.name, count(*) FROM spans s JOIN span_events e ON e.span_id = s.span_id WHERE s.trace_id = :trace \
         GROUP BY s.name",
    ),
    (
        "a trace's spans with their parents",
        "SELECT p.name, c.name, c.duration_ms FROM spans c JOIN spans p ON p.span_id = c.parent_span_id \
         WHERE c.trace_id = :trace",
    ),
    (
        "logs with their service",
        "SELECT t.service_name, count(*) FROM logs l JOIN traces t ON t.trace_id = l.trace_id WHERE t.trace_id = :trace \
         GROUP BY t.service_name",
    ),
];
const BY_SPAN_ID: &str = "a span by its id alone";

/// A file to query, and the ids for its statements.
struct Asked {
    db: Connection,
    trace: String,
    span: String,
}

impl Asked {
    fn open(path: &Path) -> Result<Self> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let (trace, span) = db
            .query_row(
                "SELECT trace_id, span_id FROM spans LIMIT 1 OFFSET (SELECT count(*) / 2 FROM spans)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .context("the file has no spans")?;
        Ok(Self { db, trace, span })
    }

    /// Runs the statement once, and returns the nanoseconds that it took and the number of rows.
    fn ask(&self, sql: &str) -> Result<(f64, usize)> {
        let start = Instant::now();
        let mut statement = self.db.prepare(sql)?;
        for (name, value) in named_params! {":trace": self.trace, ":span": self.span} {
            if let Some(index) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(index, value)?;
            }
        }
        let mut rows = statement.raw_query();
        let mut found = 0;
        while rows.next()?.is_some() {
            found += 1;
        }
        Ok((start.elapsed().as_secs_f64() * 1e9, found))
    }
}

/// Runs all statements and adds their rows to the table.
pub(crate) fn report(table: &mut Table, file: &Path, sizes: &Sizes) -> Result<()> {
    let here = Asked::open(file)?;
    let other = match std::env::var_os(OTHER_FILE) {
        Some(path) => Some(Asked::open(Path::new(&path))?),
        None => None,
    };
    for (measure, sql) in STATEMENTS {
        let (mut took, mut took_there, mut found) = (Vec::new(), Vec::new(), 0);
        for _ in 0..sizes.questions {
            let (nanos, rows) = here.ask(sql)?;
            took.push(nanos);
            found = rows;
            if let Some(other) = &other {
                took_there.push(other.ask(sql)?.0);
            }
        }
        let took = Sample::new(took);
        let measure = format!("SQL, {measure} ({found} rows)");
        let value = nanos(took.median());
        if other.is_some() {
            let ratio = took.ratio_to(&Sample::new(took_there));
            table.judged(
                &measure,
                value,
                format!("{ratio:.2} x the other file"),
                ratio,
                Goal::AtMost(MOST),
                &format!("<= {MOST} x"),
            );
        } else if measure.contains(BY_SPAN_ID) {
            table.judged(
                &measure,
                value,
                "",
                took.median() / 1e6,
                Goal::AtMost(MOST_BY_SPAN_ID_MS),
                &format!("<= {MOST_BY_SPAN_ID_MS} ms"),
            );
        } else {
            table.plain(&measure, value, "");
        }
    }
    Ok(())
}
