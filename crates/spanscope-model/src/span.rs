//! Spans and traces as the telemetry API shows them (seed 1), with what `tracing` knows beside it.

use serde::{Deserialize, Serialize};

use crate::{Attributes, SpanId, Timestamp, TraceId, text_enum};

text_enum!(
    /// How a span ended.
    SpanStatus, "status",
    /// Without an error.
    Ok = "ok",
    /// With an error: said by the span, by an ERROR event in it, or by a panic.
    Error = "error",
);

text_enum!(
    /// What role a span plays between programs, as OpenTelemetry names it (`otel.kind`).
    SpanKind, "span kind",
    /// Work inside of a program; the default.
    Internal = "internal",
    /// Answers a request.
    Server = "server",
    /// Makes a request.
    Client = "client",
    /// Hands over a message.
    Producer = "producer",
    /// Takes a message.
    Consumer = "consumer",
);

text_enum!(
    /// Whether a span is over.
    SpanState, "span state",
    /// It has an end.
    Ended = "ended",
    /// Its program still runs, and so does the span.
    Running = "running",
    /// Its program ended or died before the span did.
    Abandoned = "abandoned",
);

/// A span that another one points to without being its child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Link {
    /// The trace pointed to.
    pub trace_id: TraceId,
    /// The span pointed to.
    pub span_id: SpanId,
    /// What the link says of itself.
    #[serde(default)]
    pub attributes: Attributes,
}

/// One operation of a trace.
///
/// In JSON it has all fields of seed 1's `SpanWithStatus`, and the ones that `tracing` and OpenTelemetry know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Span {
    /// Names the span.
    pub span_id: SpanId,
    /// Names the trace it belongs to.
    pub trace_id: TraceId,
    /// The span it was made in; none for the root.
    pub parent_span_id: Option<SpanId>,
    /// What it does, for people.
    pub name: String,
    /// When it began.
    pub start_time: Timestamp,
    /// When it ended; none while it runs, and if its program died.
    pub end_time: Option<Timestamp>,
    /// What the program said about it.
    #[serde(default)]
    pub attributes: Attributes,
    /// How it ended; none while it runs.
    #[serde(default)]
    pub status: Option<SpanStatus>,
    /// Why it failed, where the program said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// Its role between programs.
    #[serde(default = "SpanKind::internal")]
    pub kind: SpanKind,
    /// Whether it is over.
    #[serde(default = "SpanState::ended")]
    pub state: SpanState,
    /// The name of the service that it ran in; empty if it has none.
    #[serde(default)]
    pub service_name: String,
    /// `tracing`'s target: where in the program it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `tracing`'s level as a severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<crate::Severity>,
    /// The part of the system it belongs to, see [`CATEGORIES`](crate::CATEGORIES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Spans that it follows from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The W3C `tracestate` that it was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<String>,
    /// What describes the program that sent it, as OpenTelemetry's resource. Only
    /// [`get_span`](crate::TraceStore::get_span) answers it: it is the same for all spans of a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Attributes>,
    /// The library that made it, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<crate::Scope>,
}

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
    /// How long it took in milliseconds; none while it runs.
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

/// A span in the answer of [`get_span_tree`](crate::TraceStore::get_span_tree), with how deep it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SpanNode {
    /// The span itself.
    #[serde(flatten)]
    pub span: Span,
    /// 1 for the span that was asked for, 2 for its children, and so on.
    pub depth: u32,
}

/// One trace, as seed 1 shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Trace {
    /// Names the trace.
    pub trace_id: TraceId,
    /// The first local span: the one without a parent, or whose parent is in another process.
    pub root_span_id: SpanId,
    /// When its first span began.
    pub start_time: Timestamp,
    /// When its last span ended; none while one runs.
    pub end_time: Option<Timestamp>,
}

/// A trace with what a list of traces shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// The trace.
    #[serde(flatten)]
    pub trace: Trace,
    /// The name of its root span.
    pub root_name: String,
    /// The service of its root span.
    pub service_name: String,
    /// Milliseconds from first start to last end; none while a span runs.
    pub duration_ms: Option<f64>,
    /// `error` if a span failed, else `ok`; none while it runs without an error.
    pub status: Option<SpanStatus>,
    /// Whether a span of it still runs or was abandoned.
    pub state: SpanState,
    /// How many spans are stored.
    pub span_count: u64,
    /// How many of them failed.
    pub error_count: u64,
}
