//! A span that was stored while it runs: what the writer knows of its row, and how the row ends if the
//! end of the span never comes.

use rusqlite::{Connection, params};
use tracing_core::span::Id;

/// A running span that has a row without an end.
#[derive(Debug)]
pub(super) struct OpenSpan {
    pub(super) row: i64,
    pub(super) id: Id,
    pub(super) field_changes: u32,
    /// It was closed when last looked for, and its end has not come: the queue was full then.
    pub(super) missing: bool,
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
