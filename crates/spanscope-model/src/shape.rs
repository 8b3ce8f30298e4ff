//! [`TraceShape`]: the spans of one trace without their attributes, to draw them.

use crate::{Cursor, Severity, SpanId, SpanKind, SpanState, SpanStatus, Timestamp, TraceId, setters};

/// The data that a drawing of a trace needs. It lacks attributes: those of a large trace are a
/// hundred times as many bytes, so that clients request them span by span.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct TraceShape {
    /// The names of the spans, each once.
    pub names: Vec<String>,
    /// The names of the services, each once.
    pub services: Vec<String>,
    /// The spans, in the order of storing.
    pub spans: Vec<ShapeSpan>,
    /// The tokens that model calls reported, by span.
    pub usage: Vec<SpanUsage>,
    /// The log events of the spans, in the order of storing, up to the requested limit.
    pub events: Vec<ShapeEvent>,
    /// The number of events beyond that limit.
    pub more_events: u64,
    /// The cursor at or before which all of these records were stored, except for ends of spans.
    pub upto: Cursor,
}

setters!(TraceShape {
    names: [Vec<String>],
    services: [Vec<String>],
    spans: [Vec<ShapeSpan>],
    usage: [Vec<SpanUsage>],
    events: [Vec<ShapeEvent>],
    more_events: [u64],
    upto: [Cursor],
});

/// One span of a [`TraceShape`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShapeSpan {
    /// Identifies the span among all stored spans of the trace, even if a client sent an id twice.
    /// It never changes.
    pub number: u64,
    /// Its id.
    pub span_id: SpanId,
    /// The id of its parent, which need not be stored.
    pub parent_span_id: Option<SpanId>,
    /// The index of its name in [`TraceShape::names`].
    pub name: u32,
    /// The index of its service in [`TraceShape::services`].
    pub service: u32,
    /// When it began.
    pub start: Timestamp,
    /// The duration in nanoseconds; `None` while it runs.
    pub duration_nanos: Option<i64>,
    /// Its status; `None` while it runs.
    pub status: Option<SpanStatus>,
    /// Whether it runs.
    pub state: SpanState,
    /// Its kind.
    pub kind: SpanKind,
    /// What it does: the text of a `spanscope_runs::StepKind`.
    pub step: &'static str,
}

impl ShapeSpan {
    /// Creates a running span without a parent, with the first name and the first service.
    #[must_use]
    pub fn new(number: u64, span_id: SpanId, start: Timestamp, step: &'static str) -> Self {
        Self {
            number,
            span_id,
            parent_span_id: None,
            name: 0,
            service: 0,
            start,
            duration_nanos: None,
            status: None,
            state: SpanState::Running,
            kind: SpanKind::Internal,
            step,
        }
    }
}

setters!(ShapeSpan {
    parent_span_id: into [Option<SpanId>],
    name: [u32],
    service: [u32],
    duration_nanos: [Option<i64>],
    status: into [Option<SpanStatus>],
    state: [SpanState],
    kind: [SpanKind],
});

/// The tokens that one span reported, of one model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanUsage {
    /// The span.
    pub span_id: SpanId,
    /// The model; empty where the call did not name one.
    pub model: String,
    /// The service that runs the model; empty where the call did not name it.
    pub provider: String,
    /// Tokens of the input, cached ones included.
    pub input: u64,
    /// Tokens of the output.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cached_read: u64,
    /// Input tokens that were written to a cache.
    pub cached_write: u64,
    /// The cost in US dollars, as the program reported it.
    pub reported_cost: Option<f64>,
}

impl SpanUsage {
    /// Creates usage of no tokens.
    #[must_use]
    pub fn new(span_id: SpanId) -> Self {
        Self {
            span_id,
            model: String::new(),
            provider: String::new(),
            input: 0,
            output: 0,
            cached_read: 0,
            cached_write: 0,
            reported_cost: None,
        }
    }
}

setters!(SpanUsage {
    model: into [String],
    provider: into [String],
    input: [u64],
    output: [u64],
    cached_read: [u64],
    cached_write: [u64],
    reported_cost: into [Option<f64>],
});

/// A log event of a span, as a mark on a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeEvent {
    /// The span that it happened in.
    pub span_id: SpanId,
    /// When it happened.
    pub time: Timestamp,
    /// The severity.
    pub severity: Severity,
}

/// The spans of a trace that a filter matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FoundSpans {
    /// The [numbers](ShapeSpan::number) of the first of them, by start, up to the requested limit.
    pub numbers: Vec<u64>,
    /// The number of matching spans.
    pub total: u64,
}

setters!(FoundSpans {
    numbers: [Vec<u64>],
    total: [u64],
});

/// The failed spans and the model calls that are next to a span, in the order in which the spans of
/// its trace began. A model call is a span that reported tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SpanNeighbours {
    /// The last failed span that began before it.
    pub previous_error: Option<SpanId>,
    /// The first failed span that began after it.
    pub next_error: Option<SpanId>,
    /// The last model call that began before it.
    pub previous_call: Option<SpanId>,
    /// The first model call that began after it.
    pub next_call: Option<SpanId>,
}

setters!(SpanNeighbours {
    previous_error: into [Option<SpanId>],
    next_error: into [Option<SpanId>],
    previous_call: into [Option<SpanId>],
    next_call: into [Option<SpanId>],
});

/// The data of a trace that a list of traces shows in addition to its
/// [`TraceSummary`](crate::TraceSummary).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TraceOverview {
    /// The trace.
    pub trace_id: TraceId,
    /// The usage of its model calls, a row for each model and provider.
    pub usage: Vec<crate::UsageRow>,
    /// Its first span that failed.
    pub error: Option<TraceError>,
    /// The run of an agent that it belongs to.
    pub run: Option<TraceRun>,
}

impl TraceOverview {
    /// Creates an overview without usage.
    #[must_use]
    pub fn new(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            usage: Vec::new(),
            error: None,
            run: None,
        }
    }
}

setters!(TraceOverview {
    usage: [Vec<crate::UsageRow>],
    error: into [Option<TraceError>],
    run: into [Option<TraceRun>],
});

/// A failed span.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceError {
    /// Its id.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// Why it failed; empty where nothing was recorded.
    pub message: String,
}

impl TraceError {
    /// Creates an error without a message.
    pub fn new(span_id: SpanId, name: impl Into<String>) -> Self {
        Self {
            span_id,
            name: name.into(),
            message: String::new(),
        }
    }
}

setters!(TraceError {
    message: into[String],
});

/// The run that a trace belongs to. A field that no span names is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TraceRun {
    /// The run.
    pub task_id: String,
    /// The agent.
    pub agent_id: String,
    /// The session or conversation.
    pub session_id: String,
    /// The user.
    pub user_id: String,
}

setters!(TraceRun {
    task_id: into[String],
    agent_id: into[String],
    session_id: into[String],
    user_id: into[String],
});
