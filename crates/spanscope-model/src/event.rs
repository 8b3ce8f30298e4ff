//! What happens at one moment: log messages, metric measurements, starts and ends of spans.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::filter::text_contains;
use crate::{Attributes, Severity, SpanId, SpanStatus, Timestamp, TraceId, Value};

/// One telemetry event, as seed 1 has it.
///
/// Where seed 1 demands a trace and a span, here both may be missing: an event outside of every span is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(transform = crate::schema::with_ids_of_spans)
)]
pub struct Event {
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// When it happened.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::sent_time"))]
    pub timestamp: Timestamp,
    /// What the program said about it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Attributes>"))]
    pub attributes: Attributes,
    /// What kind of event it is.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
        #[cfg_attr(feature = "schema", schemars(with = "f64"))]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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

impl LogEvent {
    /// Whether the text is in what is shown of the event: its name, its message, or one of its
    /// attributes as `key=value`. Upper and lower case of ASCII are alike.
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
        text_contains(&self.name, text) || text_contains(&self.message, text) || self.attributes.contain(text)
    }
}

/// An error names the field that is wrong or missing.
///
/// ```
/// let event = r#"{"timestamp": "2025-07-20T08:26:40Z", "type": "metric", "metric": "jobs", "value": 7}"#;
/// let error = serde_json::from_str::<spanscope_model::Event>(event).unwrap_err();
/// assert!(error.to_string().contains("missing field `unit`"));
/// ```
impl<'de> Deserialize<'de> for Event {
    // Not derived: serde reads flattened and tagged types through a buffer, after which no error
    // can name its field.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        EventFields::deserialize(deserializer)?.into_event()
    }
}

/// All fields that some kind of event has.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct EventFields {
    #[serde(default)]
    trace_id: Option<TraceId>,
    #[serde(default)]
    span_id: Option<SpanId>,
    timestamp: Timestamp,
    /// Seed 1 allows `null`.
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
