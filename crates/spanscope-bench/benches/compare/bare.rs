//! SQLite's own rate: the same rows appended to two plain tables without any index, by prepared
//! statements, in large transactions. No store of spans in SQLite can be faster, so this is the
//! reference for the sustained rate.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use rusqlite::{Connection, params};
use spanscope_bench::subject::serve;

use crate::sizes::Sizes;
use crate::workload::SPANS_A_TRACE;

/// Rows in one transaction; half of them spans, half events.
const ROWS_A_TRANSACTION: i64 = 10_000;

/// The columns of the store's own two large tables, and nothing else of it.
const TABLES: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE span (
    id INTEGER PRIMARY KEY, callsite INTEGER, name TEXT, start INTEGER, duration INTEGER, status INTEGER,
    trace INTEGER, process INTEGER, kind INTEGER, span_id INTEGER, parent INTEGER, attributes TEXT, extra TEXT,
    category TEXT
);
CREATE TABLE event (
    id INTEGER PRIMARY KEY, callsite INTEGER, time INTEGER, trace INTEGER, span_id INTEGER, process INTEGER,
    severity INTEGER, name TEXT, message TEXT, attributes TEXT, expires INTEGER, category TEXT
);
";

const SPAN: &str =
    "INSERT INTO span (callsite, start, duration, status, trace, process, kind, span_id, parent, attributes)
    VALUES (?1, ?2, ?3, 0, ?4, 1, 0, ?5, ?6, ?7)";
const EVENT: &str = "INSERT INTO event (callsite, time, trace, span_id, process, message, attributes)
    VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)";

/// A time in nanoseconds since 1970, so that times take as many bytes as real ones, and an id as
/// random ones do.
const BEGINNING: i64 = 1_795_000_000_000_000_000;
const FIRST_SPAN_ID: i64 = 0x5d3f_9a71_0000_0000;

/// Runs this subject in a child process; a round reports the seconds that it took.
pub(crate) fn child(folder: &Path, sizes: &Sizes) -> Result<()> {
    serve(
        || Ok(vec![append(&folder.join("bare.db"), sizes)?]),
        || Ok(Vec::new()),
    )
}

fn append(file: &Path, sizes: &Sizes) -> Result<f64> {
    let connection = Connection::open(file)?;
    connection.execute_batch(TABLES)?;
    let a_trace = i64::try_from(SPANS_A_TRACE)?;
    let spans = i64::try_from(sizes.sustained_traces)? * a_trace;
    // As with the other side's fields, these texts exist before the clock starts; here even as
    // finished JSON.
    let root_attributes: Vec<String> = (0..1_000)
        .map(|n| format!(r#"{{"session.id":"session-{n:05}"}}"#))
        .collect();
    let child_attributes: Vec<String> = (0..1_000)
        .map(|n| {
            format!(
                r#"{{"component":"retriever","document":"doc-{n:05}","position":{},"bytes":{}}}"#,
                n % 9,
                n * 900
            )
        })
        .collect();
    let event_attributes: Vec<String> = (0..1_000)
        .map(|n| format!(r#"{{"chunk":{}}}"#, n * 900))
        .collect();

    let start = Instant::now();
    let (mut insert_span, mut insert_event) = (connection.prepare(SPAN)?, connection.prepare(EVENT)?);
    connection.execute_batch("BEGIN")?;
    for number in 0..spans {
        let (trace, place) = (number / a_trace, number % a_trace);
        let text = usize::try_from(number)? % 1_000;
        let (time, id) = (BEGINNING + number * 700, FIRST_SPAN_ID + number);
        // Children end, and are stored, before their root.
        let is_root = place == a_trace - 1;
        let root = FIRST_SPAN_ID + trace * a_trace + a_trace - 1;
        let attributes = if is_root {
            &root_attributes[text]
        } else {
            &child_attributes[text]
        };
        insert_event.execute(params![
            3,
            time,
            trace,
            id,
            "chunk was read",
            event_attributes[text]
        ])?;
        insert_span.execute(params![
            if is_root { 1 } else { 2 },
            time,
            600 + place,
            trace,
            id,
            (!is_root).then_some(root),
            attributes
        ])?;
        if (number + 1) % (ROWS_A_TRANSACTION / 2) == 0 {
            connection.execute_batch("COMMIT; BEGIN")?;
        }
    }
    connection.execute_batch("COMMIT")?;
    Ok(start.elapsed().as_secs_f64())
}
