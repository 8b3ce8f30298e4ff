//! Agent runs in a store: the list of runs, and the records of one run.
//!
//! A run is not a separate record: it is derived from spans. A store finds the runs among its
//! traces ([`TraceStore::list_runs`]) and returns a run's records, all of them or those stored
//! since a cursor ([`TraceStore::run_records`]). The crate `spanscope-runs` derives steps, events
//! and an analysis from these records, and does not depend on a store.
//!
//! [`TraceStore::list_runs`]: crate::TraceStore::list_runs
//! [`TraceStore::run_records`]: crate::TraceStore::run_records

use serde::{Deserialize, Serialize};

use crate::{Cursor, LogEvent, Span, Timestamp, TraceId, setters, text_enum};

text_enum!(
    /// The status of a run.
    RunStatus, "status of a run",
    /// A span of the run has not ended yet.
    Running = "running",
    /// The root span ended without an error.
    Completed = "completed",
    /// The root span ended with an error.
    Failed = "failed",
    /// A span of the run never ended, and its program no longer runs.
    Abandoned = "abandoned",
);

/// A query for runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunFilter {
    /// Only runs of this agent, by its id or, without one, by its name.
    pub agent_id: Option<String>,
    /// Only runs of this session.
    pub session_id: Option<String>,
    /// Only runs of this user.
    pub user_id: Option<String>,
    /// Only runs with this status.
    pub status: Option<RunStatus>,
    /// Only runs that started at this time or later. If a task has several traces, the start of
    /// the newest one is compared.
    pub since: Option<Timestamp>,
    /// Only runs that started before this time, compared in the same way.
    pub until: Option<Timestamp>,
    /// Only runs that are still running, or whose last activity was at this time or later.
    pub alive_since: Option<Timestamp>,
    /// Maximum number of runs. Default: 20.
    pub limit: u64,
    /// Number of runs to skip, newest first.
    pub offset: u64,
}

setters!(RunFilter {
    agent_id: into [Option<String>],
    session_id: into [Option<String>],
    user_id: into [Option<String>],
    status: into [Option<RunStatus>],
    since: into [Option<Timestamp>],
    until: into [Option<Timestamp>],
    alive_since: into [Option<Timestamp>],
    limit: [u64],
    offset: [u64],
});

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

/// One entry of a list of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RunInfo {
    /// The run's id: the `task_id` of one of its spans, else the trace id.
    pub task_id: String,
    /// The agent's id, else its name; empty if it is unknown.
    pub agent_id: String,
    /// The session (conversation); empty if it is unknown.
    pub session_id: String,
    /// The user; empty if it is unknown.
    pub user_id: String,
    /// The tenant.
    pub tenant_id: String,
    /// The level of detail that the program requests; empty if it requests none.
    pub trace_level: String,
    /// The first trace of the run.
    pub trace_id: TraceId,
    /// The name of the run's root span.
    pub name: String,
    /// When its first span started.
    pub created_at: Timestamp,
    /// When its last span ended; `None` while one is running.
    pub completed_at: Option<Timestamp>,
    /// The last known activity: an end, or the start of a running span.
    pub updated_at: Timestamp,
    /// The status of the run.
    pub status: RunStatus,
    /// The number of stored spans of the run.
    pub span_count: u64,
    /// The number of failed spans of the run.
    pub error_count: u64,
}

impl RunInfo {
    /// Creates the list entry of a run without spans. Its tenant is the default tenant; its agent,
    /// session and user are unknown.
    pub fn new(
        task_id: impl Into<String>,
        trace_id: TraceId,
        name: impl Into<String>,
        created_at: Timestamp,
        status: RunStatus,
    ) -> Self {
        Self {
            task_id: task_id.into(),
            agent_id: String::new(),
            session_id: String::new(),
            user_id: String::new(),
            tenant_id: crate::Tenant::default().as_str().to_owned(),
            trace_level: String::new(),
            trace_id,
            name: name.into(),
            created_at,
            completed_at: None,
            updated_at: created_at,
            status,
            span_count: 0,
            error_count: 0,
        }
    }
}

setters!(RunInfo {
    task_id: into [String],
    agent_id: into [String],
    session_id: into [String],
    user_id: into [String],
    tenant_id: into [String],
    trace_level: into [String],
    trace_id: [TraceId],
    name: into [String],
    created_at: [Timestamp],
    completed_at: into [Option<Timestamp>],
    updated_at: [Timestamp],
    status: [RunStatus],
    span_count: [u64],
    error_count: [u64],
});

/// A page of a list of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RunPage {
    /// The number of matching runs on all pages.
    pub total: u64,
    /// The runs of this page, newest first.
    pub runs: Vec<RunInfo>,
}

impl RunPage {
    /// Creates a page.
    #[must_use]
    pub fn new(total: u64, runs: Vec<RunInfo>) -> Self {
        Self { total, runs }
    }
}

/// A query for the records of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunRange {
    /// Only records stored after this.
    pub after: Cursor,
    /// Only records stored at or before this, if it is set: the result is the state at that cursor,
    /// whatever was stored since.
    pub upto: Option<Cursor>,
    /// Approximate maximum number of records; the result reports where it stopped.
    pub limit: u64,
}

setters!(RunRange {
    after: [Cursor],
    upto: into [Option<Cursor>],
    limit: [u64],
});

impl RunRange {
    /// All records.
    pub const ALL: Self = Self {
        after: Cursor::START,
        upto: None,
        limit: u64::MAX,
    };
}

/// A span of a run, with its position in the order of storing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunSpan {
    /// The position in the order of storing: never less than that of a span stored earlier. Spans
    /// may share a position; readers then order them by id, so that all readers see the same order.
    pub order: u64,
    /// The span as of [`RunRecords::upto`]: it has no end if its end was stored later. Its name and
    /// attributes may be newer.
    pub span: Span,
}

impl RunSpan {
    /// Creates a span with its position.
    #[must_use]
    pub fn new(order: u64, span: Span) -> Self {
        Self { order, span }
    }
}

/// Records of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunRecords {
    /// The run.
    pub info: RunInfo,
    /// The traces of the run; usually one.
    pub traces: Vec<TraceId>,
    /// Whether the traces contain other runs too. If so, only spans with this run's `task_id` and
    /// their descendants belong to this run.
    pub is_shared: bool,
    /// Spans stored in the range.
    pub spans: Vec<RunSpan>,
    /// Spans stored earlier, whose ends were stored in the range.
    pub ended: Vec<RunSpan>,
    /// Events stored in the range that may matter to a run, in the order of storing: errors, events
    /// with an `event_type`, and those that carry the inputs and outputs of steps
    /// ([`ContentEvent`](crate::semconv::ContentEvent)).
    pub events: Vec<LogEvent>,
    /// The cursor up to which records were read.
    pub upto: Cursor,
    /// Whether there are more records after `upto`.
    pub more: bool,
    /// The number of spans without an end in the run's traces at the time of the query, even if the
    /// range stops earlier.
    pub open: u64,
    /// Whether the program of one of these spans is alive.
    pub alive: bool,
    /// Whether a span of the range was sent to the store, rather than written by its program
    /// directly to the store's file. More spans may then arrive late, because senders batch them.
    pub has_sent: bool,
}

impl RunRecords {
    /// Creates an empty set of records of a run.
    #[must_use]
    pub fn new(info: RunInfo) -> Self {
        Self {
            info,
            traces: Vec::new(),
            is_shared: false,
            spans: Vec::new(),
            ended: Vec::new(),
            events: Vec::new(),
            upto: Cursor::START,
            more: false,
            open: 0,
            alive: false,
            has_sent: false,
        }
    }
}

setters!(RunRecords {
    traces: [Vec<TraceId>],
    is_shared: [bool],
    spans: [Vec<RunSpan>],
    ended: [Vec<RunSpan>],
    events: [Vec<LogEvent>],
    upto: [Cursor],
    more: [bool],
    open: [u64],
    alive: [bool],
    has_sent: [bool],
});
