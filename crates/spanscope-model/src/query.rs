//! Queries of a span store: conditions, orders, filters. Nothing here becomes SQL text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::{Cursor, Severity, SpanId, StoreError, Timestamp, TraceId, setters, text_enum};

text_enum!(
    /// The operator of a condition.
    ConditionOp, "operator",
    /// Equal in type and value.
    Eq = "eq",
    /// Present and not equal.
    Ne = "ne",
    /// Greater: numbers compare as numbers, strings as strings.
    Gt = "gt",
    /// Less.
    Lt = "lt",
);

/// One condition on a span: the `QueryCondition` of Llama Stack's telemetry API.
///
/// The key is literal: `gen_ai.request.model` is one key, not a path. It names an attribute or a
/// built-in field, such as `duration_ms`; `attributes.KEY` selects the attribute if both exist. A
/// span without the key matches no condition on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(transform = crate::schema::with_order)
)]
#[non_exhaustive]
pub struct Condition {
    /// The key.
    pub key: String,
    /// The operator.
    pub op: ConditionOp,
    /// The value: a string, a number or a boolean.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::scalar"))]
    pub value: serde_json::Value,
}

impl Condition {
    /// Creates a condition.
    pub fn new(key: impl Into<String>, op: ConditionOp, value: impl Into<serde_json::Value>) -> Self {
        Self {
            key: key.into(),
            op,
            value: value.into(),
        }
    }

    /// Returns what the key names: a built-in field, else an attribute.
    ///
    /// ```
    /// use spanscope_model::{Condition, ConditionOp, ConditionTarget, SpanField};
    /// let on = |key: &str| Condition::new(key, ConditionOp::Eq, 1);
    /// assert_eq!(on("duration_ms").target(), ConditionTarget::Field(SpanField::DurationMs));
    /// assert_eq!(on("service.name").target(), ConditionTarget::Field(SpanField::ServiceName));
    /// for (key, attribute) in [
    ///     ("attributes.duration_ms", "duration_ms"),
    ///     ("gen_ai.request.model", "gen_ai.request.model"),
    /// ] {
    ///     assert_eq!(on(key).target(), ConditionTarget::Attribute(attribute));
    /// }
    /// ```
    #[must_use]
    pub fn target(&self) -> ConditionTarget<'_> {
        if let Some(attribute) = self.key.strip_prefix("attributes.") {
            return ConditionTarget::Attribute(attribute);
        }
        match SpanField::named(&self.key) {
            Some(field) => ConditionTarget::Field(field),
            None => ConditionTarget::Attribute(&self.key),
        }
    }
}

impl Condition {
    /// Returns an error for a value that can't be compared with what the key names.
    ///
    /// # Errors
    /// Invalid input: a type that the field does not have, a value that has no order, or null, a
    /// list or an object.
    ///
    /// ```
    /// use spanscope_model::{Condition, ConditionOp};
    ///
    /// assert!(Condition::new("duration_ms", ConditionOp::Gt, 1000).check().is_ok());
    /// let error = Condition::new("duration_ms", ConditionOp::Gt, "1000").check().unwrap_err();
    /// assert!(error.to_string().contains("a number of milliseconds"));
    /// ```
    pub fn check(&self) -> Result<(), StoreError> {
        use serde_json::Value as Json;
        let field = match self.target() {
            ConditionTarget::Attribute(key) => return self.check_attribute(key),
            ConditionTarget::Field(field) => field,
        };
        let wrong = |wanted: &str| {
            Err(StoreError::invalid(format!(
                "the span's {field} is compared with {wanted}, not with {}; an attribute of this name is \
                 attributes.{field}",
                self.value
            )))
        };
        match (field, &self.value) {
            (SpanField::DurationMs, Json::Number(_)) => Ok(()),
            (SpanField::DurationMs, _) => wrong("a number of milliseconds"),
            (SpanField::StartTime | SpanField::EndTime, Json::Number(_)) => Ok(()),
            (SpanField::StartTime | SpanField::EndTime, Json::String(text)) => {
                match text.parse::<Timestamp>() {
                    Ok(_) => Ok(()),
                    Err(error) => Err(StoreError::invalid(format!("{field}: {error}"))),
                }
            }
            (SpanField::StartTime | SpanField::EndTime, _) => {
                wrong("a time as text, or a number of nanoseconds since 1970")
            }
            (_, Json::String(_)) => Ok(()),
            _ => wrong("a text"),
        }
    }

    fn check_attribute(&self, key: &str) -> Result<(), StoreError> {
        use serde_json::Value as Json;
        match &self.value {
            Json::Bool(_) if matches!(self.op, ConditionOp::Gt | ConditionOp::Lt) => {
                Err(StoreError::invalid(format!(
                    "{key:?} is compared with a truth value, which is neither greater nor less than another: \
                     use eq or ne"
                )))
            }
            Json::Null | Json::Array(_) | Json::Object(_) => Err(StoreError::invalid(format!(
                "{key:?} is compared with {}: give a text, a number or a truth value",
                self.value
            ))),
            Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
        }
    }
}

/// What the key of a [`Condition`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionTarget<'a> {
    /// A built-in field of the span.
    Field(SpanField),
    /// The attribute with this key.
    Attribute(&'a str),
}

text_enum!(
    /// The built-in fields of spans that conditions can name.
    SpanField, "span field",
    /// The name.
    Name = "name",
    /// `ok` or `error`; missing while the span runs.
    Status = "status",
    /// The kind.
    Kind = "kind",
    /// The duration in milliseconds; missing while the span runs.
    DurationMs = "duration_ms",
    /// The start, compared with a time as text or with a number of nanoseconds.
    StartTime = "start_time",
    /// The end, compared in the same way; missing while the span runs.
    EndTime = "end_time",
    /// The span id.
    SpanId = "span_id",
    /// The trace id.
    TraceId = "trace_id",
    /// The parent's span id; missing for a root.
    ParentSpanId = "parent_span_id",
    /// The service name.
    ServiceName = "service_name",
    /// The category.
    Category = "category",
);

impl SpanField {
    /// Returns the field that a key names. The resource attribute with the service name is stored
    /// as a field, so its key names that field.
    pub(crate) fn named(key: &str) -> Option<Self> {
        match key {
            "service.name" | "resource.service.name" => Some(Self::ServiceName),
            key => key.parse().ok(),
        }
    }
}

text_enum!(
    /// The keys by which traces and spans can be ordered.
    OrderKey, "order key",
    /// The start.
    StartTime = "start_time",
    /// The end.
    EndTime = "end_time",
    /// The duration.
    DurationMs = "duration_ms",
    /// The trace id.
    TraceId = "trace_id",
    /// The number of spans (traces only).
    SpanCount = "span_count",
);

/// One key of an order, written `duration_ms` or, descending, `-duration_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The key.
    pub key: OrderKey,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// The error of a text that is not an order.
pub type ParseOrderError = crate::ParseEnumError;

impl FromStr for Order {
    type Err = ParseOrderError;

    fn from_str(text: &str) -> Result<Self, ParseOrderError> {
        let (descending, key) = match text.strip_prefix('-') {
            Some(key) => (true, key),
            None => (false, text),
        };
        Ok(Self {
            key: key.parse()?,
            descending,
        })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.key)
    }
}

/// The query of traces in Llama Stack's telemetry API. In JSON, an unknown field is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TraceQuery {
    /// Conditions that must all match the same span of the trace.
    #[cfg_attr(feature = "schema", schemars(length(max = 100)))]
    pub attribute_filters: Option<Vec<Condition>>,
    /// Maximum number of traces; 100 by default.
    #[serde(deserialize_with = "crate::deserialize_optional_integer")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub limit: Option<i64>,
    /// Number of traces to skip; 0 by default.
    #[serde(deserialize_with = "crate::deserialize_optional_integer")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub offset: Option<i64>,
    /// Orders as text; newest first by default.
    #[cfg_attr(
        feature = "schema",
        schemars(
            length(max = 100),
            inner(regex(pattern = "^-?(start_time|end_time|duration_ms|trace_id|span_count)$"))
        )
    )]
    pub order_by: Option<Vec<String>>,
}

setters!(TraceQuery {
    attribute_filters: into [Option<Vec<Condition>>],
    limit: [Option<i64>],
    offset: [Option<i64>],
    order_by: into [Option<Vec<String>>],
});

/// The number of traces returned without [`TraceQuery::limit`].
const DEFAULT_LIMIT: u64 = 100;

impl TryFrom<TraceQuery> for TraceFilter {
    type Error = StoreError;

    /// Converts the request of the telemetry API to a query of the store.
    ///
    /// # Errors
    /// Fails with invalid input for a negative limit or offset, or an unknown order key.
    fn try_from(query: TraceQuery) -> Result<Self, StoreError> {
        let number = |name: &str, given: Option<i64>, default: u64| match given {
            None => Ok(default),
            Some(number) => u64::try_from(number)
                .map_err(|_| StoreError::invalid(format!("{name} is {number}: give 0 or a positive number"))),
        };
        let order_by = query
            .order_by
            .unwrap_or_default()
            .iter()
            .map(|order| {
                order.parse::<Order>().map_err(|error| {
                    StoreError::invalid(format!("{error}, with - before it for the largest first"))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            conditions: query.attribute_filters.unwrap_or_default(),
            limit: number("limit", query.limit, DEFAULT_LIMIT)?,
            offset: number("offset", query.offset, 0)?,
            order_by,
            ..Self::default()
        })
    }
}

impl Default for TraceQuery {
    fn default() -> Self {
        Self {
            attribute_filters: None,
            limit: Some(100),
            offset: Some(0),
            order_by: None,
        }
    }
}

/// A query for traces.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TraceFilter {
    /// Conditions that must all match the same span of the trace.
    pub conditions: Vec<Condition>,
    /// A filter whose terms must all match that span too; the default matches everything.
    pub filter: Filter,
    /// Only traces that started at this time or later.
    pub since: Option<Timestamp>,
    /// Only traces that started before this time.
    pub until: Option<Timestamp>,
    /// Only traces whose root span belongs to this service.
    pub service: Option<String>,
    /// Only traces with a failed span.
    pub errors: bool,
    /// Only traces with a running span.
    pub running: bool,
    /// Only traces that come after the trace with this start and id in the order newest first: the
    /// next page.
    pub before: Option<(Timestamp, TraceId)>,
    /// Newest first if empty; ties are broken by the trace id, so that pages neither overlap nor
    /// skip.
    pub order_by: Vec<Order>,
    /// Maximum number of traces.
    pub limit: u64,
    /// Number of traces to skip.
    pub offset: u64,
}

setters!(TraceFilter {
    conditions: [Vec<Condition>],
    filter: [Filter],
    since: into [Option<Timestamp>],
    until: into [Option<Timestamp>],
    service: into [Option<String>],
    errors: [bool],
    running: [bool],
    before: into [Option<(Timestamp, TraceId)>],
    order_by: [Vec<Order>],
    limit: [u64],
    offset: [u64],
});

impl Default for TraceFilter {
    fn default() -> Self {
        Self {
            conditions: Vec::new(),
            filter: Filter::default(),
            since: None,
            until: None,
            service: None,
            errors: false,
            running: false,
            before: None,
            order_by: Vec::new(),
            limit: 100,
            offset: 0,
        }
    }
}

/// A query for spans.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanFilter {
    /// Conditions that must all match the span.
    pub conditions: Vec<Condition>,
    /// A filter whose terms must all match the span too; the default matches everything.
    pub filter: Filter,
    /// Only spans that started at this time or later.
    pub since: Option<Timestamp>,
    /// Only spans that started before this time.
    pub until: Option<Timestamp>,
    /// Only spans of this service.
    pub service: Option<String>,
    /// Only failed spans.
    pub errors: bool,
    /// Only spans that were stored before this one: the next page after it where the most recently
    /// stored come first. None where it is not stored any more.
    pub before: Option<(TraceId, SpanId)>,
    /// The order; most recently stored first if empty.
    pub order_by: Vec<Order>,
    /// Maximum number of spans.
    pub limit: u64,
    /// Number of spans to skip.
    pub offset: u64,
}

setters!(SpanFilter {
    conditions: [Vec<Condition>],
    filter: [Filter],
    since: into [Option<Timestamp>],
    until: into [Option<Timestamp>],
    service: into [Option<String>],
    errors: [bool],
    before: into [Option<(TraceId, SpanId)>],
    order_by: [Vec<Order>],
    limit: [u64],
    offset: [u64],
});

impl Default for SpanFilter {
    fn default() -> Self {
        Self {
            conditions: Vec::new(),
            filter: Filter::default(),
            since: None,
            until: None,
            service: None,
            errors: false,
            before: None,
            order_by: Vec::new(),
            limit: 100,
            offset: 0,
        }
    }
}

/// A query for log events. All conditions must match.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LogFilter {
    /// Only events of at least this severity.
    pub min_severity: Option<Severity>,
    /// A filter whose terms must all match the event; the default matches everything. Fields that
    /// events lack (status, kind, duration, end, parent, numbers of the whole trace) count as
    /// missing.
    pub filter: Filter,
    /// Only events at this time or later.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
    /// Only events that contain this text: see [`LogEvent::contains`](crate::LogEvent::contains).
    pub grep: Option<String>,
    /// Only events of this service.
    pub service: Option<String>,
    /// Only events of this category or of its subcategories: `core` includes `core::routers`.
    pub category: Option<String>,
    /// Only events of this trace.
    pub trace_id: Option<TraceId>,
    /// Only events of this span.
    pub span_id: Option<SpanId>,
    /// Only events stored after this. To follow a store, use
    /// [`stored_after`](crate::TraceStore::stored_after), which reports how far it has read.
    pub after: Option<Cursor>,
    /// Whether to choose the oldest events instead of the newest if more than `limit` match.
    pub oldest: bool,
    /// Maximum number of events. The newest are chosen unless `oldest` is set, and are returned
    /// oldest first.
    pub limit: u64,
}

setters!(LogFilter {
    min_severity: into [Option<Severity>],
    filter: [Filter],
    since: into [Option<Timestamp>],
    until: into [Option<Timestamp>],
    grep: into [Option<String>],
    service: into [Option<String>],
    category: into [Option<String>],
    trace_id: into [Option<TraceId>],
    span_id: into [Option<SpanId>],
    after: into [Option<Cursor>],
    oldest: [bool],
    limit: [u64],
});

impl Default for LogFilter {
    fn default() -> Self {
        Self {
            min_severity: None,
            filter: Filter::default(),
            since: None,
            until: None,
            grep: None,
            service: None,
            category: None,
            trace_id: None,
            span_id: None,
            after: None,
            oldest: false,
            limit: 100,
        }
    }
}
