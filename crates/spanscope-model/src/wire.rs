//! Names that programs of Spanscope write for each other into OTLP requests and into the attributes of records.
//!
//! A bridge writes them, the server and the store read them, an export repeats them: each name is declared here alone. Names of
//! OpenTelemetry's semantic conventions are not here.

use crate::semconv::SemanticAttribute;

/// HTTP header or gRPC metadata: the file that the sender writes itself. A server that serves this file does not store the
/// request again.
pub const STORED_IN: &str = "spanscope-stored-in";
/// Attribute of a scope, `true` where the sender measures the tokens of its spans itself: a receiver must not count them again.
pub const COUNTS_TOKENS: &str = "spanscope.counts_tokens";
/// Attribute of a scope, `true` where the sender sends the events of its spans as log records too: a receiver keeps those.
pub const LOGS_EVENTS: &str = "spanscope.logs_events";
/// Attribute of an exported span that has not ended: its [`SpanState`](crate::SpanState).
pub const STATE: &str = "spanscope.state";
/// Attribute of a span whose sender's clock was put back while it ran: by how many nanoseconds the end was before the start.
pub const END_BEFORE_START: &str = "spanscope.end_before_start_ns";

/// Attribute of the server's half of a call whose halves were sent under one span id (Zipkin): that id. The half has another one
/// here, and the client's is its parent.
pub const SHARED_SPAN_ID: &str = "spanscope.shared_span_id";

/// Attribute of a record, `true` where a text of it was not UTF-8 and its wrong bytes were replaced by U+FFFD.
pub const REPAIRED_TEXT: &str = "spanscope.repaired_text";
/// The log event that a span was read from, whose program sends none.
pub const READ_FROM: &str = "spanscope.read_from";
/// The attribute that was the name of a log record before OTLP had a field for it.
pub const EVENT_NAME: &str = "event.name";
/// The attribute of programs whose logging library can't set the field.
pub const OTEL_EVENT_NAME: &str = "otel.event.name";

/// Attributes in which a record keeps what OTLP says in fields that the model does not have.
pub const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";
/// Events that the sender left out of a span, or that had an impossible time.
pub const DROPPED_EVENTS: &str = "otel.dropped_events_count";
/// Links that the sender left out of a span, or that pointed to no span.
pub const DROPPED_LINKS: &str = "otel.dropped_links_count";
/// The number of a span kind that this version does not know.
pub const KIND: &str = SemanticAttribute::SpanKind.name();
/// The schema that a resource or a scope follows.
pub const SCHEMA_URL: &str = "otel.schema_url";
/// The severity of a log record in its sender's own word, where that says more than the number.
pub const SEVERITY_TEXT: &str = "otel.severity_text";

/// Attributes of an event within a span by which the severity, the target, and the message of a named event travel. OTLP has no
/// fields for them there.
pub const SEVERITY: &str = "severity";
/// See [`SEVERITY`].
pub const TARGET: &str = "target";
/// See [`SEVERITY`].
pub const MESSAGE: &str = "message";
/// The name of an event within a span, empty, where its message stands in the place of the name and
/// one of its attributes is called [`MESSAGE`].
pub const NAME: &str = "spanscope.name";
/// The category of a span or an event, where it has one.
pub const CATEGORY: &str = "category";

/// Attribute of a span that recorded more keys than it has room for: how many were left out.
pub const DROPPED_FIELDS: &str = "spanscope.dropped_attributes";

/// The key under which a value of ours travels where the record has an attribute of its own under
/// `key`, one of [`SEVERITY`], [`TARGET`], [`MESSAGE`] and [`CATEGORY`]: a key is sent once, and what
/// the program recorded keeps its name.
///
/// ```
/// assert_eq!(spanscope_model::wire::beside("severity"), "spanscope.severity");
/// ```
#[must_use]
pub fn beside(key: &str) -> String {
    format!("spanscope.{key}")
}

/// The attribute that holds the original length, in bytes, of a value that was cut: `spanscope.cut.` and the value's key.
///
/// ```
/// assert_eq!(spanscope_model::wire::cut_length("http.url"), "spanscope.cut.http.url");
/// ```
#[must_use]
pub fn cut_length(key: &str) -> String {
    format!("spanscope.cut.{key}")
}
