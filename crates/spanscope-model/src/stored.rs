//! What a follower of a store reads: the records that were stored after a cursor.
//!
//! Never here: what one run means, which is the business of `spanscope-runs`.

use crate::{Cursor, LogEvent, Severity, Span, TraceId};

/// Which records [`stored_after`](crate::TraceStore::stored_after) returns. By default all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredFilter {
    /// Only records of this trace.
    pub trace_id: Option<TraceId>,
    /// Only log events at least this serious. Spans have no severity and pass.
    pub min_severity: Option<Severity>,
}

/// Records that were stored after a cursor, as they were known at [`upto`](Self::upto).
///
/// Each list is in the order of storing. Read on from `upto` until there is no [`more`](Self::more):
/// then each span comes once in `spans`, without an end if it ran, and once in `ended` if its end
/// was stored later.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stored {
    /// Spans that were stored after the cursor.
    pub spans: Vec<Span>,
    /// Spans that were stored before it without an end, whose ends were stored after it.
    pub ended: Vec<Span>,
    /// Log events that were stored after it.
    pub events: Vec<LogEvent>,
    /// Everything up to here was read.
    pub upto: Cursor,
    /// There are more records after `upto` already.
    pub more: bool,
}
