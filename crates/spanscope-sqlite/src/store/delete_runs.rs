//! Deletes runs on request, on the thread that writes the file.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use spanscope_model::{StoreError, Timestamp};

use super::Failure;
use super::connections::{File, QueryContext};
use super::runs;
use super::turn::Turn;
use crate::file::retention;
use crate::file::runs::task_in;
use crate::file::traces::sum_up_or_delete;
use crate::file::writer::FileWriter;

/// Traces deleted per transaction, so that other programs can write in between.
const TRACES: usize = 16;
/// Pages freed per step.
const PAGES: u64 = 1_024;
/// The time passed to retention to delete whole traces, whatever the lifetimes of their records.
const END_OF_TIME: Timestamp = Timestamp::from_nanos(i64::MAX);

/// Deletes a run and returns its number of spans.
pub(super) fn run(file: &File, context: &QueryContext, task_id: &str) -> Result<u64, StoreError> {
    let mut deleted = 0;
    let mut is_found = false;
    // A task in more traces than one query returns is deleted in several steps.
    loop {
        let found = match file.read(&Turn::endless(), context, |db, scope| {
            runs::find(db, scope, task_id)
        }) {
            Err(error) if error.is_not_found() && is_found => return Ok(deleted),
            found => found?,
        };
        is_found = true;
        let writer = FileWriter::open(&file.path)?;
        let mut gone = 0;
        for some in found.traces.chunks(TRACES) {
            let (some, task_id) = (some.to_vec(), task_id.to_owned());
            gone += writer.change(move |file| {
                if !found.is_shared {
                    return Ok(retention::delete_traces(&file.db, &some, END_OF_TIME, None)?.spans);
                }
                let mut spans = 0;
                for trace in some {
                    spans += delete_below(&file.db, trace, &task_id)?;
                }
                Ok(spans)
            })?;
        }
        finish(&writer);
        deleted += gone;
        if gone == 0 || (found.traces.len() as i64) < runs::MAX_PARTS {
            return Ok(deleted);
        }
    }
}

/// Deletes the runs whose traces ended before this time, and returns their number.
pub(super) fn before(file: &File, context: &QueryContext, before: Timestamp) -> Result<u64, StoreError> {
    let (traces, runs) = file.read(&Turn::endless(), context, |db, scope| {
        runs::ended_before(db, scope, before)
    })?;
    if traces.is_empty() {
        return Ok(0);
    }
    let writer = FileWriter::open(&file.path)?;
    for some in traces.chunks(TRACES) {
        let some = some.to_vec();
        writer.change(move |file| Ok(retention::delete_traces(&file.db, &some, END_OF_TIME, None)?))?;
    }
    finish(&writer);
    Ok(runs)
}

/// Returns freed pages. The writer of the file does the same by itself, so a failure here is not
/// reported.
fn finish(writer: &FileWriter) {
    while let Ok(1..) = writer.change(|file| Ok(retention::give_back(&file.db, PAGES)?)) {}
    let _ = writer.change(|file| {
        file.keep();
        Ok(())
    });
}

/// Deletes the spans with the task id and their descendants, with their events; the other spans of
/// the trace stay.
fn delete_below(db: &Connection, trace: i64, task_id: &str) -> Result<u64, Failure> {
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    retention::keep_numbers(&transaction)?;
    let mut children: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
    let mut next: Vec<(i64, i64)> = Vec::new();
    {
        let mut find =
            transaction.prepare("SELECT id, span_id, parent, attributes FROM _span WHERE trace = ?1")?;
        let mut rows = find.query([trace])?;
        while let Some(row) = rows.next()? {
            let span = (row.get(0)?, row.get(1)?);
            if let Some(parent) = row.get::<_, Option<i64>>(2)? {
                children.entry(parent).or_default().push(span);
            }
            let attributes = row
                .get_ref(3)?
                .as_str_or_null()?
                .filter(|text| text.contains("\"task_id\""));
            if attributes.and_then(task_in).as_deref() == Some(task_id) {
                next.push(span);
            }
        }
    }
    let (mut rows, mut keys) = (HashSet::new(), HashSet::new());
    while let Some((row, key)) = next.pop() {
        if rows.insert(row) {
            keys.insert(key);
            next.extend(children.remove(&key).unwrap_or_default());
        }
    }
    let list = |numbers: &HashSet<i64>| serde_json::json!(numbers).to_string();
    let rows_gone = list(&rows);
    for delete in [
        "DELETE FROM _attr WHERE span IN (SELECT value FROM json_each(?1))",
        "DELETE FROM _span WHERE id IN (SELECT value FROM json_each(?1))",
    ] {
        transaction.execute(delete, [&rows_gone])?;
    }
    transaction.execute(
        "DELETE FROM _ended WHERE trace = ?1 AND span IN (SELECT value FROM json_each(?2))",
        params![trace, rows_gone],
    )?;
    transaction.execute(
        "DELETE FROM _event WHERE trace = ?1 AND span_id IN (SELECT value FROM json_each(?2))",
        params![trace, list(&keys)],
    )?;
    sum_up_or_delete(&transaction, trace)?;
    transaction.commit()?;
    Ok(rows.len() as u64)
}
