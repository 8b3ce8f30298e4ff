//! What happens at one moment: log messages, metric measurements, starts and ends of spans.

use serde::{Deserialize, Serialize};

use crate::{Attributes, SpanId, SpanStatus, Timestamp, TraceId, Value, text_enum};

text_enum!(
    /// How serious a log message is.
    Severity, "severity",
    /// Finest detail; `tracing`'s TRACE.
    Verbose = "verbose",
    /// For development.
    Debug = "debug",
    /// Normal operation.
    Info = "info",
    /// May become a problem.
    Warn = "warn",
    /// Something failed, the program goes on.
    Error = "error",
    /// The program can't go on; an ERROR event with the field `severity = "critical"`.
    Critical = "critical",
);

impl Severity {
    /// OpenTelemetry's severity number: 1, 5, 9, 13, 17, 21.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Verbose => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Critical => 21,
        }
    }

    /// The severity of an OpenTelemetry number; 0 and unknown numbers are info.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1..=4 => Self::Verbose,
            5..=8 => Self::Debug,
            13..=16 => Self::Warn,
            17..=20 => Self::Error,
            21..=24 => Self::Critical,
            _ => Self::Info,
        }
    }
}

/// One telemetry event, as seed 1 has it.
///
/// Where seed 1 demands a trace and a span, here both may be missing: an event outside of every span is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What the program said about it.
    #[serde(default)]
    pub attributes: Attributes,
    /// What kind of event it is.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A log message.
    UnstructuredLog {
        /// The text.
        message: String,
        /// How serious it is.
        severity: Severity,
    },
    /// A measurement.
    Metric {
        /// The metric's name.
        metric: String,
        /// The measured number; integers stay integers.
        value: Value,
        /// The unit of the number.
        unit: String,
    },
    /// A span began or ended.
    StructuredLog {
        /// Which of the two.
        payload: SpanPayload,
    },
}

/// The payload of a [`EventKind::StructuredLog`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SpanPayload {
    /// A span began.
    SpanStart {
        /// Its name.
        name: String,
        /// Its parent, if it has one.
        parent_span_id: Option<SpanId>,
    },
    /// A span ended.
    SpanEnd {
        /// How.
        status: SpanStatus,
    },
}

/// A stored log message, with where in the program it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Names the event in its store: ASCII letters, digits, `.`, `:` and `_`, 100 bytes at most. The
    /// store gives it when it stores the event; empty before.
    pub id: String,
    /// The trace it belongs to, if any.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to, if any.
    pub span_id: Option<SpanId>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// How serious it is.
    pub severity: Severity,
    /// The event's own name: `exception`, or the `name:` that the program gave it; else empty.
    #[serde(default)]
    pub name: String,
    /// The text.
    pub message: String,
    /// `tracing`'s target.
    #[serde(default)]
    pub target: String,
    /// The part of the system it belongs to.
    #[serde(default)]
    pub category: String,
    /// The service that it happened in.
    #[serde(default)]
    pub service_name: String,
    /// What the program said about it.
    #[serde(default)]
    pub attributes: Attributes,
}
