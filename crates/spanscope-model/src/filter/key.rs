//! What a filter compares: built-in fields of spans and events, numbers of the whole trace,
//! attributes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ConditionTarget, SpanField, semconv};

/// Prefix that selects the attribute where the key would otherwise name a built-in field.
pub(super) const ATTRIBUTE_PREFIX: &str = "attributes.";
/// Prefix of keys that name a resource attribute.
const RESOURCE_PREFIX: &str = "resource.";
/// Prefix of keys that name a number of the whole trace.
pub(super) const TRACE_PREFIX: &str = "trace.";

crate::text_enum!(
    /// A built-in field of a span or an event, by its name in filters.
    FilterField, "field",
    /// The name.
    Name = "name",
    /// `ok` or `error`; missing while the span runs.
    Status = "status",
    /// `internal`, `server`, `client`, `producer` or `consumer`.
    Kind = "kind",
    /// The duration; a number without a unit is in milliseconds. Missing while the span runs.
    Duration = "duration",
    /// The start of a span, the time of an event.
    Start = "start",
    /// The end; missing while the span runs.
    End = "end_time",
    /// The service name; empty if there is none.
    Service = "service",
    /// The category.
    Category = "category",
    /// The trace id.
    Trace = "trace",
    /// The span id.
    Span = "span",
    /// The parent's span id; missing for a root.
    Parent = "parent",
    /// The level of a span or the severity of an event; levels are ordered.
    Level = "level",
);

crate::text_enum!(
    /// A number of the whole trace that a span belongs to, by its name in filters.
    TraceField, "number of a trace",
    /// From the first start to the last end; a number without a unit is in milliseconds.
    Duration = "trace.duration",
    /// The number of spans.
    Spans = "trace.spans",
    /// The number of failed spans.
    Errors = "trace.errors",
    /// Input and output tokens.
    Tokens = "trace.tokens",
    /// The cost, in the currency of the price table.
    Cost = "trace.cost",
);

/// What a comparison compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterKey {
    /// A built-in field.
    Field(FilterField),
    /// A number of the whole trace.
    Trace(TraceField),
    /// The attribute with this literal key; if the span lacks it, that of its
    /// [resource](resource_key).
    Attribute(String),
}

/// Returns the key to look up in the resource if a span lacks the attribute. `resource.KEY` selects
/// the resource only.
///
/// ```
/// use spanscope_model::filter::resource_key;
///
/// assert_eq!(resource_key("host.name"), "host.name");
/// assert_eq!(resource_key("resource.host.name"), "host.name");
/// ```
#[must_use]
pub fn resource_key(key: &str) -> &str {
    key.strip_prefix(RESOURCE_PREFIX).unwrap_or(key)
}

impl FilterKey {
    /// Parses a key. Returns `None` if it begins with `trace.` and names no number of a trace.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(attribute) = text.strip_prefix(ATTRIBUTE_PREFIX) {
            return Some(Self::Attribute(attribute.to_owned()));
        }
        let field = FilterField::ALL.iter().find(|field| text == field.as_str());
        if let Some(field) = field {
            return Some(Self::Field(*field));
        }
        // The names that conditions of the telemetry API use for the same fields.
        if let Some(field) = SpanField::named(text) {
            return Some(Self::Field(field.into()));
        }
        if text.starts_with(TRACE_PREFIX) {
            let known = TraceField::ALL.iter().find(|field| text == field.as_str());
            return known.copied().map(Self::Trace);
        }
        Some(Self::Attribute(text.to_owned()))
    }

    /// Returns the unit of numbers under this key, if it is a time.
    pub(super) fn time_unit(&self) -> Option<TimeUnit> {
        match self {
            Self::Field(FilterField::Duration) | Self::Trace(TraceField::Duration) => Some(TimeUnit::Millis),
            Self::Field(_) | Self::Trace(_) => None,
            Self::Attribute(key) => {
                let unit = semconv::find(key).map_or("", |attribute| attribute.unit);
                TimeUnit::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str() == unit || has_suffix(key, *known))
            }
        }
    }

    /// Returns whether a text under this key that reads as a number is compared as one.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Self::Field(_) | Self::Trace(_) => false,
            Self::Attribute(key) => semconv::is_number(key),
        }
    }
}

/// Returns whether the key ends with its unit, as `latency_ms` does.
fn has_suffix(key: &str, unit: TimeUnit) -> bool {
    let last = key.rsplit(['_', '.']).next();
    last.is_some_and(|last| {
        last.len() < key.len()
            && match unit {
                TimeUnit::Nanos => matches!(last, "ns" | "nanos" | "nanoseconds"),
                TimeUnit::Micros => matches!(last, "us" | "micros" | "microseconds"),
                TimeUnit::Millis => matches!(last, "ms" | "millis" | "milliseconds"),
                TimeUnit::Seconds => matches!(last, "s" | "secs" | "seconds"),
                TimeUnit::Minutes => last == "minutes",
                TimeUnit::Hours => last == "hours",
            }
    })
}

/// The form of the key in a filter, without quotes.
impl fmt::Display for FilterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.write_str(field.as_str()),
            Self::Trace(field) => f.write_str(field.as_str()),
            Self::Attribute(key) => {
                if Self::parse(key).as_ref() != Some(self) {
                    f.write_str(ATTRIBUTE_PREFIX)?;
                }
                f.write_str(key)
            }
        }
    }
}

impl From<SpanField> for FilterField {
    fn from(field: SpanField) -> Self {
        match field {
            SpanField::Name => Self::Name,
            SpanField::Status => Self::Status,
            SpanField::Kind => Self::Kind,
            SpanField::DurationMs => Self::Duration,
            SpanField::StartTime => Self::Start,
            SpanField::EndTime => Self::End,
            SpanField::SpanId => Self::Span,
            SpanField::TraceId => Self::Trace,
            SpanField::ParentSpanId => Self::Parent,
            SpanField::ServiceName => Self::Service,
            SpanField::Category => Self::Category,
        }
    }
}

impl FilterField {
    /// Returns the field of conditions of the telemetry API; they have no level.
    #[must_use]
    pub const fn span_field(self) -> Option<SpanField> {
        Some(match self {
            Self::Name => SpanField::Name,
            Self::Status => SpanField::Status,
            Self::Kind => SpanField::Kind,
            Self::Duration => SpanField::DurationMs,
            Self::Start => SpanField::StartTime,
            Self::End => SpanField::EndTime,
            Self::Service => SpanField::ServiceName,
            Self::Category => SpanField::Category,
            Self::Trace => SpanField::TraceId,
            Self::Span => SpanField::SpanId,
            Self::Parent => SpanField::ParentSpanId,
            Self::Level => return None,
        })
    }
}

impl From<ConditionTarget<'_>> for FilterKey {
    fn from(target: ConditionTarget<'_>) -> Self {
        match target {
            ConditionTarget::Field(field) => Self::Field(field.into()),
            ConditionTarget::Attribute(key) => Self::Attribute(key.to_owned()),
        }
    }
}

crate::text_enum!(
    /// A unit of time in a filter.
    TimeUnit, "unit",
    /// Nanoseconds.
    Nanos = "ns",
    /// Microseconds.
    Micros = "us",
    /// Milliseconds.
    Millis = "ms",
    /// Seconds.
    Seconds = "s",
    /// Minutes.
    Minutes = "m",
    /// Hours.
    Hours = "h",
);

impl TimeUnit {
    /// Returns the length in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> f64 {
        match self {
            Self::Nanos => 1.0,
            Self::Micros => 1e3,
            Self::Millis => 1e6,
            Self::Seconds => 1e9,
            Self::Minutes => 60e9,
            Self::Hours => 3600e9,
        }
    }
}
