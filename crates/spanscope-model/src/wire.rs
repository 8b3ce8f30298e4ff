//! Names that Spanscope's programs use in OTLP requests and in the attributes of records.
//!
//! The OTLP exporter and the export of a store write them, the receiver and the stores read them:
//! each name is declared here only. Names of OpenTelemetry's semantic conventions are not here.

use crate::semconv::SemanticAttribute;

/// HTTP header or gRPC metadata: the file that the sender writes itself. A server that serves this
/// file does not store the request again.
pub const STORED_IN: &str = "spanscope-stored-in";
/// Scope attribute, `true` if the sender measures the tokens of its spans itself: a receiver must
/// not count them again.
pub const COUNTS_TOKENS: &str = "spanscope.counts_tokens";
/// Scope attribute, `true` if the sender also sends the events of its spans as log records: a
/// receiver keeps those.
pub const LOGS_EVENTS: &str = "spanscope.logs_events";
/// Attribute of an exported span that has not ended: its [`SpanState`](crate::SpanState). An
/// imported span keeps it, as the state at the time of the export.
pub const STATE: &str = "spanscope.state";
/// Attribute of a span whose [level](crate::Span::level) is not `info`, for which OTLP has no
/// field: the level.
pub const LEVEL: &str = "spanscope.level";
/// Metadata of an exported metric, a JSON list with an object for each data point: the stored
/// `value` and its `detail`. It is present only if the data points alone would be read differently:
/// totals, of which the store keeps the increases, and single observations.
pub const POINTS: &str = "spanscope.points";
/// Attribute of a span whose sender's clock was set back while it ran: by how many nanoseconds the
/// end precedes the start.
pub const END_BEFORE_START: &str = "spanscope.end_before_start_ns";

/// Attribute of a server's span that was sent under the id of the client's span, as Zipkin does:
/// that id. The server's span is stored under another id, with the client's span as its parent.
pub const SHARED_SPAN_ID: &str = "spanscope.shared_span_id";

/// Attribute of a record, `true` if one of its texts was not UTF-8, so that the invalid bytes were
/// replaced by U+FFFD.
pub const REPAIRED_TEXT: &str = "spanscope.repaired_text";
/// Attribute of a span that was derived from a log event, because its program sends no spans: the
/// event's name.
pub const READ_FROM: &str = "spanscope.read_from";
/// Attribute of a log event, `true` if it marks the end of the session, or that the session waits
/// for its user. The session's run, which has no root span, is then over.
pub const SESSION_ENDED: &str = "spanscope.session_ended";
/// The attribute for the name of a log record from before OTLP had a field for it.
pub const EVENT_NAME: &str = "event.name";
/// The same attribute in programs whose logging library can't set the field.
pub const OTEL_EVENT_NAME: &str = "otel.event.name";

/// Attribute for an OTLP field that the model does not have: the number of attributes that the
/// sender dropped. The following ones are of the same kind.
pub const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";
/// The number of events that the sender dropped from a span, or that had an impossible time.
pub const DROPPED_EVENTS: &str = "otel.dropped_events_count";
/// The number of links that the sender dropped from a span, or that pointed to no span.
pub const DROPPED_LINKS: &str = "otel.dropped_links_count";
/// The number of a span kind that this version does not know.
pub const KIND: &str = SemanticAttribute::SpanKind.name();
/// The schema URL of a resource or a scope.
pub const SCHEMA_URL: &str = "otel.schema_url";
/// The sender's own text for the severity of a log record, if it is more specific than the number.
pub const SEVERITY_TEXT: &str = "otel.severity_text";

/// Attributes of an event within a span that carry the severity, the target, and the message of a
/// named event. OTLP has no fields for them there.
pub const SEVERITY: &str = "severity";
/// See [`SEVERITY`].
pub const TARGET: &str = "target";
/// See [`SEVERITY`].
pub const MESSAGE: &str = "message";
/// An empty name, so that a receiver does not infer one for an event without a name. It is set on
/// an event within a span, whose message is in OTLP's field for the name, if it has an attribute
/// [`MESSAGE`], and on a log record if it has an attribute [`EVENT_NAME`].
pub const NAME: &str = "spanscope.name";
/// The category of a span or an event, if it has one.
pub const CATEGORY: &str = "category";

/// Attribute of a span that recorded more keys than it has room for: the number of dropped keys.
pub const DROPPED_FIELDS: &str = "spanscope.dropped_attributes";

/// Returns the key for Spanscope's value if the record already has an attribute under `key`, one of
/// [`SEVERITY`], [`TARGET`], [`MESSAGE`] and [`CATEGORY`]: a key is sent once, and the program's
/// own attribute keeps its name.
///
/// ```
/// assert_eq!(spanscope_model::wire::fallback_key("severity"), "spanscope.severity");
/// ```
#[must_use]
pub fn fallback_key(key: &str) -> String {
    format!("spanscope.{key}")
}

/// Returns the attribute that holds the original length, in bytes, of a truncated value:
/// `spanscope.cut.` and the value's key.
///
/// ```
/// assert_eq!(spanscope_model::wire::cut_length("http.url"), "spanscope.cut.http.url");
/// ```
#[must_use]
pub fn cut_length(key: &str) -> String {
    format!("spanscope.cut.{key}")
}
