//! The records that a follower of a store reads: those stored after a cursor.
//!
//! The interpretation of runs does not belong here; `spanscope-runs` does it.

use crate::{Cursor, LogEvent, Severity, Span, TraceId, setters};

/// Selects the records that [`stored_after`](crate::TraceStore::stored_after) returns. The default
/// is all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoredFilter {
    /// Only records of this trace.
    pub trace_id: Option<TraceId>,
    /// Only log events of at least this severity. Spans have no severity and pass.
    pub min_severity: Option<Severity>,
}

setters!(StoredFilter {
    trace_id: into [Option<TraceId>],
    min_severity: into [Option<Severity>],
});

/// Records that were stored after a cursor, in their state at [`upto`](Self::upto).
///
/// Each list is in the order of storing. Continue from `upto` until there is no
/// [`more`](Self::more): then each span appears once in `spans`, without an end if it was running,
/// and once in `ended` if its end was stored later.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Stored {
    /// Spans that were stored after the cursor.
    pub spans: Vec<Span>,
    /// Spans that were stored before it without an end, whose ends were stored after it.
    pub ended: Vec<Span>,
    /// Log events that were stored after it.
    pub events: Vec<LogEvent>,
    /// The cursor up to which records were read.
    pub upto: Cursor,
    /// Whether there are more records after `upto`.
    pub more: bool,
}

setters!(Stored {
    spans: [Vec<Span>],
    ended: [Vec<Span>],
    events: [Vec<LogEvent>],
    upto: [Cursor],
    more: [bool],
});
