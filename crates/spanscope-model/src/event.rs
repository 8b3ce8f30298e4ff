//! Events: log messages, metric measurements, starts and ends of spans.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::filter::text_contains;
use crate::{Attributes, Severity, SpanId, SpanStatus, Timestamp, TraceId, Value, setters};

/// One event of Llama Stack's telemetry API.
///
/// The API requires a trace and a span. Here both may be missing, so that an event outside every
/// span is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(transform = crate::schema::with_ids_of_spans)
)]
#[non_exhaustive]
pub struct Event {
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// When it happened.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::sent_time"))]
    pub timestamp: Timestamp,
    /// The attributes that the program recorded.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Attributes>"))]
    pub attributes: Attributes,
    /// What kind of event it is.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// Creates an event without ids and attributes.
    #[must_use]
    pub fn new(timestamp: Timestamp, kind: EventKind) -> Self {
        Self {
            trace_id: None,
            span_id: None,
            timestamp,
            attributes: Attributes::new(),
            kind,
        }
    }
}

setters!(Event {
    trace_id: into [Option<TraceId>],
    span_id: into [Option<SpanId>],
    timestamp: [Timestamp],
    attributes: [Attributes],
    kind: [EventKind],
});

/// The content of an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A log message.
    UnstructuredLog {
        /// The text.
        message: String,
        /// The severity.
        severity: Severity,
    },
    /// A measurement.
    Metric {
        /// The metric's name.
        metric: String,
        /// The measured number; integers stay integers.
        #[cfg_attr(feature = "schema", schemars(with = "f64"))]
        value: Value,
        /// The unit of the number.
        unit: String,
    },
    /// The start or the end of a span.
    StructuredLog {
        /// Start or end.
        payload: SpanPayload,
    },
}

/// The payload of a structured log: the start or the end of a span.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SpanPayload {
    /// The start of a span.
    SpanStart {
        /// Its name.
        name: String,
        /// The parent's id; `None` for a root.
        parent_span_id: Option<SpanId>,
    },
    /// The end of a span.
    SpanEnd {
        /// The span's status.
        status: SpanStatus,
    },
}

/// A stored log message, with its location in the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogEvent {
    /// The event's id in its store: ASCII letters, digits, `.`, `:` and `_`, at most 100 bytes. The
    /// store assigns it; before that, and in an export, it is empty and absent from JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The trace it belongs to, if any.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to, if any.
    pub span_id: Option<SpanId>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The severity.
    pub severity: Severity,
    /// The event's own name: `exception`, or the `name:` of the macro; else empty.
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
    /// The attributes that the program recorded.
    #[serde(default)]
    pub attributes: Attributes,
}

impl LogEvent {
    /// Creates an event outside of any span.
    pub fn new(timestamp: Timestamp, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            id: String::new(),
            trace_id: None,
            span_id: None,
            timestamp,
            severity,
            name: String::new(),
            message: message.into(),
            target: String::new(),
            category: crate::UNCATEGORIZED.to_owned(),
            service_name: String::new(),
            attributes: Attributes::new(),
        }
    }
}

setters!(LogEvent {
    id: into [String],
    trace_id: into [Option<TraceId>],
    span_id: into [Option<SpanId>],
    timestamp: [Timestamp],
    severity: [Severity],
    name: into [String],
    message: into [String],
    target: into [String],
    category: into [String],
    service_name: into [String],
    attributes: [Attributes],
});

impl LogEvent {
    /// Returns whether the event's name, its message, or one of its attributes written as
    /// `key=value` contains the text. ASCII case is ignored.
    ///
    /// ```
    /// # let event: spanscope_model::LogEvent = serde_json::from_value(serde_json::json!({
    /// #     "id": "1", "trace_id": null, "span_id": null, "timestamp": "2026-11-21T14:03:00Z", "severity": "warn",
    /// #     "name": "", "message": "Payment declined", "target": "", "category": "core", "service_name": "bank",
    /// #     "attributes": {"order": "A-7", "attempt": 3}
    /// # })).unwrap();
    /// // "Payment declined", with order=A-7 and attempt=3
    /// for text in ["DECLINED", "a-7", "order=A", "attempt=3"] {
    ///     assert!(event.contains(text), "{text}");
    /// }
    /// assert!(!event.contains("refused"));
    /// ```
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        text_contains(&self.name, text)
            || text_contains(&self.message, text)
            || self.attributes.contains_text(text)
    }
}

/// An error names the invalid or missing field.
///
/// ```
/// let event = r#"{"timestamp": "2025-07-20T08:26:40Z", "type": "metric", "metric": "jobs", "value": 7}"#;
/// let error = serde_json::from_str::<spanscope_model::Event>(event).unwrap_err();
/// assert!(error.to_string().contains("missing field `unit`"));
/// ```
impl<'de> Deserialize<'de> for Event {
    // Not derived: serde reads flattened and tagged types through a buffer, after which errors
    // can't name their field.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        EventFields::deserialize(deserializer)?.into_event()
    }
}

/// The fields of all kinds of events.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct EventFields {
    #[serde(default)]
    trace_id: Option<TraceId>,
    #[serde(default)]
    span_id: Option<SpanId>,
    timestamp: Timestamp,
    /// The API allows `null`.
    #[serde(default)]
    attributes: Option<Attributes>,
    r#type: EventType,
    message: Option<String>,
    severity: Option<Severity>,
    metric: Option<String>,
    value: Option<Value>,
    unit: Option<String>,
    payload: Option<PayloadFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventType {
    UnstructuredLog,
    Metric,
    StructuredLog,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct PayloadFields {
    r#type: PayloadType,
    name: Option<String>,
    #[serde(default)]
    parent_span_id: Option<SpanId>,
    status: Option<SpanStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PayloadType {
    SpanStart,
    SpanEnd,
}

impl EventFields {
    fn into_event<E: Error>(self) -> Result<Event, E> {
        let kind = match self.r#type {
            EventType::UnstructuredLog => EventKind::UnstructuredLog {
                message: required(self.message, "message")?,
                severity: required(self.severity, "severity")?,
            },
            EventType::Metric => EventKind::Metric {
                metric: required(self.metric, "metric")?,
                value: required(self.value, "value")?,
                unit: required(self.unit, "unit")?,
            },
            EventType::StructuredLog => EventKind::StructuredLog {
                payload: required(self.payload, "payload")?.into_payload()?,
            },
        };
        Ok(Event {
            trace_id: self.trace_id,
            span_id: self.span_id,
            timestamp: self.timestamp,
            attributes: self.attributes.unwrap_or_default(),
            kind,
        })
    }
}

impl PayloadFields {
    fn into_payload<E: Error>(self) -> Result<SpanPayload, E> {
        Ok(match self.r#type {
            PayloadType::SpanStart => SpanPayload::SpanStart {
                name: required(self.name, "payload.name")?,
                parent_span_id: self.parent_span_id,
            },
            PayloadType::SpanEnd => SpanPayload::SpanEnd {
                status: required(self.status, "payload.status")?,
            },
        })
    }
}

fn required<T, E: Error>(value: Option<T>, field: &'static str) -> Result<T, E> {
    value.ok_or_else(|| E::missing_field(field))
}
