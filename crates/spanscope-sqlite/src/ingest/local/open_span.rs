//! A span that was stored while it was running: the writer's state of its row, and how the row is
//! ended if the span's end never arrives.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tracing_core::span::Id;

/// A running span that has a row without an end.
#[derive(Debug)]
pub(super) struct OpenSpan {
    pub(super) row: i64,
    /// Its start, as the row has it. Each conversion of a start to wall-clock time may differ by
    /// what the wall clock was set by meanwhile, or by the time between two readings.
    pub(super) start: i64,
    pub(super) id: Id,
    pub(super) field_changes: u32,
    /// The earliest time when its fields are read again.
    pub(super) next_look: Instant,
    /// Whether it was closed at the last check, and its end had not arrived.
    pub(super) missing: bool,
}

/// Returns the earliest time when the fields of a running span with this size are read again. The
/// program waits while they are read, so a span costs at most 64 KiB per second; smaller ones are
/// read at each check.
pub(super) fn next_look(field_bytes: usize) -> Instant {
    const BYTES_A_SECOND: usize = 64 * 1024;
    Instant::now() + Duration::from_secs((field_bytes / BYTES_A_SECOND) as u64)
}

/// Ends a running span whose end was lost in a full queue.
pub(super) fn end_lost_span(db: &Connection, row: i64, now: i64) -> rusqlite::Result<()> {
    let ended = db.execute(
        "UPDATE _span SET duration = MAX(0, ?2 - start),
         extra = json_set(COALESCE(extra, '{}'), '$.status_message', 'its end was dropped: the queue was full')
         WHERE id = ?1 AND duration IS NULL",
        params![row, now],
    )?;
    if ended > 0 {
        db.execute(
            "INSERT INTO _ended (trace, span) SELECT trace, id FROM _span WHERE id = ?1",
            [row],
        )?;
        db.execute(
            "UPDATE _run SET state = 1 WHERE state = 0 AND head = ?1 AND trace = (SELECT trace FROM _span WHERE id = ?1)",
            [row],
        )?;
        db.execute(
            "UPDATE _trace SET open_count = open_count - 1, end = MAX(end, ?2)
             WHERE id = (SELECT trace FROM _span WHERE id = ?1)",
            params![row, now],
        )?;
    }
    Ok(())
}
