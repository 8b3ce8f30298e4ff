//! What a store tells of agent runs (specification section 10): which there are, and the records that one is read from.
//!
//! A run is not recorded: it is read from spans. A store finds the runs among its traces ([`TraceStore::list_runs`]) and
//! hands out a run's records, all of them or those that came since ([`TraceStore::run_records`]). What they mean (steps,
//! events, analysis) is told by `spanscope-runs`, which knows no store.
//!
//! [`TraceStore::list_runs`]: crate::TraceStore::list_runs
//! [`TraceStore::run_records`]: crate::TraceStore::run_records

use serde::{Deserialize, Serialize};

use crate::{Cursor, LogEvent, Span, Timestamp, TraceId, text_enum};

text_enum!(
    /// How far a run is.
    RunStatus, "status of a run",
    /// A span of it still runs.
    Running = "running",
    /// Its root ended without an error.
    Completed = "completed",
    /// Its root ended with an error.
    Failed = "failed",
    /// A span of it never ended, and the program that ran it is gone.
    Abandoned = "abandoned",
);

/// Which runs are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    /// Only those of this agent, by its id or, where it has none, its name.
    pub agent_id: Option<String>,
    /// Only those of this session.
    pub session_id: Option<String>,
    /// Only those that this user asked for.
    pub user_id: Option<String>,
    /// Only those that are so far.
    pub status: Option<RunStatus>,
    /// Only those that began then or later.
    pub since: Option<Timestamp>,
    /// Only those that began before.
    pub until: Option<Timestamp>,
    /// Only those that go on, or whose latest moment was then or later.
    pub alive_since: Option<Timestamp>,
    /// How many at most. Default: 20.
    pub limit: u64,
    /// How many of the newest are passed over.
    pub offset: u64,
}

impl Default for RunFilter {
    fn default() -> Self {
        Self {
            agent_id: None,
            session_id: None,
            user_id: None,
            status: None,
            since: None,
            until: None,
            alive_since: None,
            limit: 20,
            offset: 0,
        }
    }
}

/// A run with what a list of runs shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunInfo {
    /// The run's id: what a span of it calls `task_id`, else the trace id.
    pub task_id: String,
    /// The agent: its id, or else its name; empty if nothing names it.
    pub agent_id: String,
    /// The session (conversation) that it is part of; empty if nothing names it.
    pub session_id: String,
    /// Who asked; empty likewise.
    pub user_id: String,
    /// Whose it is.
    pub tenant_id: String,
    /// The level at which the program wishes it to be shown; empty if it does not say.
    pub trace_level: String,
    /// The first trace that it was recorded in.
    pub trace_id: TraceId,
    /// What its root span is called.
    pub name: String,
    /// When its first span began.
    pub created_at: Timestamp,
    /// When its last span ended; none while one runs.
    pub completed_at: Option<Timestamp>,
    /// The latest moment that is known of it: an end, or the start of a span that runs.
    pub updated_at: Timestamp,
    /// How far it is.
    pub status: RunStatus,
    /// How many spans are stored of its trace.
    pub span_count: u64,
    /// How many of them failed.
    pub error_count: u64,
}

/// A page of a list of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunPage {
    /// How many runs the filter lets through, on all pages.
    pub total: u64,
    /// Those of this page, newest first.
    pub runs: Vec<RunInfo>,
}

/// Which records of a run are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRange {
    /// Those stored after this.
    pub after: Cursor,
    /// And not after this, if it is given: the answer is what was known then, whatever is stored since.
    pub upto: Option<Cursor>,
    /// About how many records at most; the answer says where it stopped.
    pub limit: u64,
}

impl RunRange {
    /// All records.
    pub const ALL: Self = Self {
        after: Cursor::START,
        upto: None,
        limit: u64::MAX,
    };
}

/// A span of a run, with its place in the order in which the store took it in.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSpan {
    /// Grows with every span of the run that is stored. Spans may share a place; readers then order
    /// them by their ids, so that all readers see one order.
    pub order: u64,
    /// The span as it was known at [`RunRecords::upto`]: it has no end if its end was stored later.
    /// Its name and attributes may be those that became known since.
    pub span: Span,
}

/// Records of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecords {
    /// The run.
    pub info: RunInfo,
    /// The traces that it was recorded in; mostly one.
    pub traces: Vec<TraceId>,
    /// The traces hold other runs too: only what is below a span with this `task_id` belongs to this
    /// one.
    pub is_shared: bool,
    /// Spans that were stored in the range.
    pub spans: Vec<RunSpan>,
    /// Spans that were stored before, whose ends were stored in the range.
    pub ended: Vec<RunSpan>,
    /// Events that were stored in the range and may matter to a run, in the order of storing:
    /// errors, events with an `event_type`, and those that carry what steps were given and gave back
    /// ([`ContentEvent`](crate::semconv::ContentEvent)).
    pub events: Vec<LogEvent>,
    /// Everything up to here was read.
    pub upto: Cursor,
    /// There are more records after `upto`.
    pub more: bool,
    /// How many spans of its traces have no end, now.
    pub open: u64,
    /// Whether a program that runs one of them is alive.
    pub alive: bool,
    /// A span of the range was sent by its program, which may hold back others in a batch, rather than
    /// written into the store.
    pub has_sent: bool,
}
