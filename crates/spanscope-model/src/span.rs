//! Spans and traces as Llama Stack's telemetry API shows them, with further data from `tracing`.

use serde::{Deserialize, Serialize};

use crate::{Attributes, SpanId, Timestamp, TraceId, setters, text_enum};

text_enum!(
    /// How a span ended.
    SpanStatus, "status",
    /// Without an error.
    Ok = "ok",
    /// With an error: set on the span, or caused by an ERROR event in it or by a panic.
    Error = "error",
);

text_enum!(
    /// The role of a span between programs, as OpenTelemetry names it (`otel.kind`).
    SpanKind, "span kind",
    /// Work inside a program; the default.
    Internal = "internal",
    /// Handles a request.
    Server = "server",
    /// Makes a request.
    Client = "client",
    /// Sends a message.
    Producer = "producer",
    /// Receives a message.
    Consumer = "consumer",
);

text_enum!(
    /// Whether a span has ended.
    SpanState, "span state",
    /// It has an end.
    Ended = "ended",
    /// The span and its program still run.
    Running = "running",
    /// Its program ended before the span did.
    Abandoned = "abandoned",
);

/// A span that another one points to without being its child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Link {
    /// The id of the linked trace.
    pub trace_id: TraceId,
    /// The id of the linked span.
    pub span_id: SpanId,
    /// The link's attributes.
    #[serde(default)]
    pub attributes: Attributes,
}

impl Link {
    /// Creates a link without attributes.
    #[must_use]
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            trace_id,
            span_id,
            attributes: Attributes::new(),
        }
    }
}

setters!(Link {
    attributes: [Attributes],
});

/// One operation of a trace.
///
/// In JSON it has all fields of the API's `SpanWithStatus`, and those of `tracing` and
/// OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Span {
    /// The span's id.
    pub span_id: SpanId,
    /// The id of its trace.
    pub trace_id: TraceId,
    /// The parent's id; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// Its name, for people.
    pub name: String,
    /// When it began.
    pub start_time: Timestamp,
    /// When it ended; `None` while it runs, and if its program died.
    pub end_time: Option<Timestamp>,
    /// The attributes that the program recorded.
    #[serde(default)]
    pub attributes: Attributes,
    /// Its status; `None` while it runs.
    #[serde(default)]
    pub status: Option<SpanStatus>,
    /// The reason why it failed, if the program recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// Its role between programs.
    #[serde(default = "SpanKind::internal")]
    pub kind: SpanKind,
    /// Whether it has ended.
    #[serde(default = "SpanState::ended")]
    pub state: SpanState,
    /// The service name; empty if it has none.
    #[serde(default)]
    pub service_name: String,
    /// `tracing`'s target: the location in the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `tracing`'s level as a severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<crate::Severity>,
    /// The part of the system it belongs to, such as `inference`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Spans that it follows from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The W3C `tracestate` that it was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<String>,
    /// OpenTelemetry's resource: attributes of the program that sent it. Only the query of a single
    /// span returns it, because it is the same for all spans of a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Attributes>,
    /// The library that made it. Only the query of a single span returns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<crate::Scope>,
}

setters!(Span {
    span_id: [SpanId],
    trace_id: [TraceId],
    parent_span_id: into [Option<SpanId>],
    name: into [String],
    start_time: [Timestamp],
    end_time: into [Option<Timestamp>],
    attributes: [Attributes],
    status: into [Option<SpanStatus>],
    status_message: into [Option<String>],
    kind: [SpanKind],
    state: [SpanState],
    service_name: into [String],
    target: into [Option<String>],
    level: into [Option<crate::Severity>],
    category: into [Option<String>],
    links: [Vec<Link>],
    trace_state: into [Option<String>],
    resource: into [Option<Attributes>],
    scope: into [Option<crate::Scope>],
});

impl SpanKind {
    fn internal() -> Self {
        Self::Internal
    }
}

impl SpanState {
    fn ended() -> Self {
        Self::Ended
    }
}

impl Span {
    /// Creates a span with a start and no further data.
    pub fn new(trace_id: TraceId, span_id: SpanId, name: impl Into<String>, start_time: Timestamp) -> Self {
        Self {
            span_id,
            trace_id,
            parent_span_id: None,
            name: name.into(),
            start_time,
            end_time: None,
            attributes: Attributes::new(),
            status: None,
            status_message: None,
            kind: SpanKind::Internal,
            state: SpanState::Running,
            service_name: String::new(),
            target: None,
            level: None,
            category: None,
            links: Vec::new(),
            trace_state: None,
            resource: None,
            scope: None,
        }
    }

    /// Returns the duration in milliseconds; `None` while it runs.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a float of milliseconds is what the SQL contract shows"
    )]
    pub fn duration_ms(&self) -> Option<f64> {
        self.end_time
            .map(|end| end.as_nanos().saturating_sub(self.start_time.as_nanos()) as f64 / 1e6)
    }
}

/// A span of a tree, with its depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SpanNode {
    /// The span itself.
    #[serde(flatten)]
    pub span: Span,
    /// 1 for the requested span, 2 for its children, and so on.
    pub depth: u32,
}

impl SpanNode {
    /// Creates a node.
    #[must_use]
    pub fn new(span: Span, depth: u32) -> Self {
        Self { span, depth }
    }
}

/// One trace, as Llama Stack's telemetry API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Trace {
    /// The trace's id.
    pub trace_id: TraceId,
    /// The first local span: the one without a parent, or whose parent is in another process.
    pub root_span_id: SpanId,
    /// When its first span started.
    pub start_time: Timestamp,
    /// When its last span ended; `None` while one runs.
    pub end_time: Option<Timestamp>,
}

impl Trace {
    /// Creates a trace that runs.
    #[must_use]
    pub fn new(trace_id: TraceId, root_span_id: SpanId, start_time: Timestamp) -> Self {
        Self {
            trace_id,
            root_span_id,
            start_time,
            end_time: None,
        }
    }
}

setters!(Trace {
    end_time: into [Option<Timestamp>],
});

/// One entry of a list of traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceSummary {
    /// The trace.
    #[serde(flatten)]
    pub trace: Trace,
    /// The name of its root span.
    pub root_name: String,
    /// The service of its root span.
    pub service_name: String,
    /// Milliseconds from the first start to the last end; `None` while a span runs.
    pub duration_ms: Option<f64>,
    /// `error` if a span failed, else `ok`; `None` while it runs without an error.
    pub status: Option<SpanStatus>,
    /// Whether a span of it still runs or was abandoned.
    pub state: SpanState,
    /// The number of stored spans.
    pub span_count: u64,
    /// The number of failed spans.
    pub error_count: u64,
}

impl TraceSummary {
    /// Creates a summary without a status and counts.
    pub fn new(trace: Trace, root_name: impl Into<String>, state: SpanState) -> Self {
        Self {
            trace,
            root_name: root_name.into(),
            service_name: String::new(),
            duration_ms: None,
            status: None,
            state,
            span_count: 0,
            error_count: 0,
        }
    }
}

setters!(TraceSummary {
    service_name: into [String],
    duration_ms: into [Option<f64>],
    status: into [Option<SpanStatus>],
    span_count: [u64],
    error_count: [u64],
});
