//! [`RowCursor`]: the row ids behind this store's [`Cursor`].
//!
//! The ids of spans, of ends (`_ended`) and of events only grow, are assigned inside write
//! transactions, and are not reused after a deletion. So the rows between two cursors stay the
//! same, except for deletions, and can be read again at any time.

use spanscope_model::Cursor;

/// The last row of each table that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowCursor {
    /// Of `_span`.
    pub(super) span: i64,
    /// Of `_ended`: ends of spans that were stored while they ran.
    pub(super) end: i64,
    /// Of `_event`.
    pub(super) event: i64,
}

impl From<Cursor> for RowCursor {
    fn from(cursor: Cursor) -> Self {
        // A cursor beyond every row id covers every row.
        let [span, end, event] = cursor
            .parts()
            .map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        Self { span, end, event }
    }
}

impl From<RowCursor> for Cursor {
    fn from(row: RowCursor) -> Self {
        Self::new([row.span, row.end, row.event].map(order_of))
    }
}

/// Converts a row id to the model's order number; row ids start at 1.
pub(super) fn order_of(row: i64) -> u64 {
    u64::try_from(row).unwrap_or(0)
}
