//! An event as it is sent, read field by field.
//!
//! `Event` can read itself, but through a buffer (serde's `flatten` and `tag`), after which nobody knows which field was wrong.
//! Whoever sent it is to hear that it was `event.payload.status`.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use spanscope_model::{
    Attributes, Event, EventKind, Severity, SpanId, SpanPayload, SpanStatus, Timestamp, TraceId, Value,
};

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Sent {
    #[serde(default)]
    trace_id: Option<TraceId>,
    #[serde(default)]
    span_id: Option<SpanId>,
    timestamp: Timestamp,
    /// Seed 1 allows `null`.
    #[serde(default)]
    attributes: Option<Attributes>,
    r#type: Kind,
    message: Option<String>,
    severity: Option<Severity>,
    metric: Option<String>,
    value: Option<Value>,
    unit: Option<String>,
    payload: Option<Payload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    UnstructuredLog,
    Metric,
    StructuredLog,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Payload {
    r#type: PayloadKind,
    name: Option<String>,
    #[serde(default)]
    parent_span_id: Option<SpanId>,
    status: Option<SpanStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PayloadKind {
    SpanStart,
    SpanEnd,
}

pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Event, D::Error> {
    let sent = Sent::deserialize(deserializer)?;
    let kind = match sent.r#type {
        Kind::UnstructuredLog => EventKind::UnstructuredLog {
            message: there(sent.message, "message")?,
            severity: there(sent.severity, "severity")?,
        },
        Kind::Metric => EventKind::Metric {
            metric: there(sent.metric, "metric")?,
            value: there(sent.value, "value")?,
            unit: there(sent.unit, "unit")?,
        },
        Kind::StructuredLog => EventKind::StructuredLog {
            payload: payload(there(sent.payload, "payload")?)?,
        },
    };
    Ok(Event {
        trace_id: sent.trace_id,
        span_id: sent.span_id,
        timestamp: sent.timestamp,
        attributes: sent.attributes.unwrap_or_default(),
        kind,
    })
}

fn payload<E: Error>(sent: Payload) -> Result<SpanPayload, E> {
    Ok(match sent.r#type {
        PayloadKind::SpanStart => SpanPayload::SpanStart {
            name: there(sent.name, "payload.name")?,
            parent_span_id: sent.parent_span_id,
        },
        PayloadKind::SpanEnd => SpanPayload::SpanEnd {
            status: there(sent.status, "payload.status")?,
        },
    })
}

fn there<T, E: Error>(value: Option<T>, field: &'static str) -> Result<T, E> {
    value.ok_or_else(|| E::missing_field(field))
}
