//! The roles of a callsite's fields, resolved once on the sink's thread and the same for every
//! sink.

use spanscope_model::Severity;
use spanscope_model::semconv::{self, SecretKind, SemanticAttribute, secret_kind};
use tracing_core::{Level, Metadata};

use super::category::CategoryLookup;

/// The role of a field, derived from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldRole {
    /// An attribute.
    Attribute,
    /// The event's message (`message`).
    Message,
    /// The span's name (`otel.name`).
    Name,
    /// The span's kind (`otel.kind`).
    Kind,
    /// `ok` or `error` (`otel.status_code`).
    StatusCode,
    /// The reason of a failure (`otel.status_description`).
    StatusDescription,
    /// An attribute that marks a span without a status as failed (`error.type`).
    Failure,
    /// The category (`category`).
    Category,
    /// A finer severity of an event (`severity`).
    Severity,
    /// How long a measurement is kept (`ttl_seconds`).
    Ttl,
    /// The error of an event without a message (`error`, as `#[instrument(err)]` writes it).
    Error,
    /// The target of a record of the `log` crate (`log.target`).
    LogTarget,
    /// The source location of a record of the `log` crate; `tracing-log` adds it to every record.
    LogPlace,
}

impl FieldRole {
    /// Returns the role that the table of semantic attributes gives a key on a span or on an event.
    #[must_use]
    pub fn of(key: &str, is_span: bool) -> Self {
        let Some(attribute) = semconv::find(key) else {
            return Self::Attribute;
        };
        match (attribute.meaning, is_span) {
            (SemanticAttribute::Category, _) => Self::Category,
            (SemanticAttribute::SpanName, true) => Self::Name,
            (SemanticAttribute::SpanKind, true) => Self::Kind,
            (SemanticAttribute::StatusCode, true) => Self::StatusCode,
            (SemanticAttribute::StatusDescription, true) => Self::StatusDescription,
            (SemanticAttribute::ErrorType | SemanticAttribute::ToolOutcome, true) => Self::Failure,
            (SemanticAttribute::EventMessage, false) => Self::Message,
            (SemanticAttribute::Severity, false) => Self::Severity,
            (SemanticAttribute::TimeToLive, false) => Self::Ttl,
            (SemanticAttribute::PlainError, false) => Self::Error,
            (SemanticAttribute::LogTarget, false) => Self::LogTarget,
            (SemanticAttribute::LogPlace, false) => Self::LogPlace,
            _ => Self::Attribute,
        }
    }
}

/// One field of a callsite.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FieldInfo {
    /// Its name.
    pub name: &'static str,
    /// Its role.
    pub role: FieldRole,
    /// Which part of its value is secret, by its name.
    pub secret: Option<SecretKind>,
}

/// A callsite and its fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallsiteInfo {
    /// `tracing`'s metadata.
    pub metadata: &'static Metadata<'static>,
    /// Its level.
    pub severity: Severity,
    /// The category, derived from its target or its module.
    pub category: String,
    /// Whether it belongs to the application's own crates.
    pub is_app: bool,
    /// Its fields, by index.
    pub fields: Vec<FieldInfo>,
    /// Whether it is an event that can be a measurement: it has the fields `metric` and `value`.
    pub measures: bool,
    /// An event's own name, as set by the program; not the location that `tracing` uses as a
    /// default.
    pub event_name: &'static str,
    /// Whether two of its fields have the same name.
    pub(super) repeats_a_name: bool,
}

impl CallsiteInfo {
    /// Resolves the fields of a callsite.
    #[must_use]
    pub fn new(metadata: &'static Metadata<'static>, categories: &dyn CategoryLookup) -> Self {
        let origin = categories.category_of(metadata);
        let is_span = metadata.is_span();
        let is_log = is_log_record(metadata);
        let measures = can_measure(metadata);
        let fields = metadata.fields().iter().map(|field| {
            let name = field.name();
            let role = FieldRole::of(name, is_span);
            FieldInfo {
                name,
                // Only log records have these roles: otherwise any event could forge a source
                // location.
                role: match role {
                    FieldRole::LogTarget | FieldRole::LogPlace if !is_log => FieldRole::Attribute,
                    FieldRole::Ttl if !measures => FieldRole::Attribute,
                    role => role,
                },
                secret: secret_kind(name),
            }
        });
        let name = metadata.name();
        let mut names: Vec<&str> = metadata.fields().iter().map(|field| field.name()).collect();
        names.sort_unstable();
        Self {
            repeats_a_name: names.windows(2).any(|pair| pair[0] == pair[1]),
            metadata,
            severity: severity_of(*metadata.level()),
            category: origin.category.to_owned(),
            is_app: origin.is_app,
            fields: fields.collect(),
            measures,
            event_name: if name.starts_with("event ") || name == "log event" {
                ""
            } else {
                name
            },
        }
    }
}

/// Returns whether this is the callsite of an event that can be a measurement: it has the fields
/// `metric` and `value`.
#[must_use]
pub fn can_measure(metadata: &Metadata<'_>) -> bool {
    let has = |name: &&str| metadata.fields().field(name).is_some();
    metadata.is_event() && ["metric", "value"].iter().all(has)
}

/// Returns whether an event of this callsite is a record of the `log` crate, converted by
/// `tracing-log`.
#[must_use]
pub fn is_log_record(metadata: &Metadata<'_>) -> bool {
    metadata.name() == "log event" && metadata.target() == "log"
}

/// Returns `tracing`'s level as a severity.
#[must_use]
pub fn severity_of(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Verbose,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_special_fields_of_spans_and_of_events_have_their_roles() {
        for (key, on_span, on_event) in [
            ("otel.name", FieldRole::Name, FieldRole::Attribute),
            ("otel.kind", FieldRole::Kind, FieldRole::Attribute),
            ("otel.status_code", FieldRole::StatusCode, FieldRole::Attribute),
            (
                "otel.status_description",
                FieldRole::StatusDescription,
                FieldRole::Attribute,
            ),
            (
                "otel.status_message",
                FieldRole::StatusDescription,
                FieldRole::Attribute,
            ),
            ("category", FieldRole::Category, FieldRole::Category),
            ("message", FieldRole::Attribute, FieldRole::Message),
            ("severity", FieldRole::Attribute, FieldRole::Severity),
            ("ttl_seconds", FieldRole::Attribute, FieldRole::Ttl),
            ("error", FieldRole::Attribute, FieldRole::Error),
            ("log.target", FieldRole::Attribute, FieldRole::LogTarget),
            ("log.module_path", FieldRole::Attribute, FieldRole::LogPlace),
            ("log.file", FieldRole::Attribute, FieldRole::LogPlace),
            ("log.line", FieldRole::Attribute, FieldRole::LogPlace),
            ("error.type", FieldRole::Failure, FieldRole::Attribute),
            ("gen_ai.request.model", FieldRole::Attribute, FieldRole::Attribute),
            ("anything", FieldRole::Attribute, FieldRole::Attribute),
        ] {
            assert_eq!(
                (FieldRole::of(key, true), FieldRole::of(key, false)),
                (on_span, on_event),
                "{key}"
            );
        }
    }
}
