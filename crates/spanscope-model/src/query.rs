//! What can be asked of a span store: conditions, orders, filters. Nothing here ever becomes SQL text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::{Cursor, Severity, SpanId, StoreError, Timestamp, TraceId, text_enum};

text_enum!(
    /// How a condition compares.
    ConditionOp, "operator",
    /// The values are the same, in type and content.
    Eq = "eq",
    /// The key is there with another value.
    Ne = "ne",
    /// The value is greater: numbers compare as numbers, texts as texts.
    Gt = "gt",
    /// The value is less.
    Lt = "lt",
);

/// One condition on a span (seed 1's `QueryCondition`).
///
/// The key is literal: `gen_ai.request.model` is one key, not a path. The span's own fields go by their names, see
/// [`SpanField`]; `attributes.KEY` forces the attribute. A span without the key matches no condition on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(transform = crate::schema::with_order)
)]
pub struct Condition {
    /// What is compared.
    pub key: String,
    /// How.
    pub op: ConditionOp,
    /// With what: a text, a number or a truth value.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::scalar"))]
    pub value: serde_json::Value,
}

impl Condition {
    /// Makes a condition.
    pub fn new(key: impl Into<String>, op: ConditionOp, value: impl Into<serde_json::Value>) -> Self {
        Self {
            key: key.into(),
            op,
            value: value.into(),
        }
    }

    /// What the key names: one of the span's own fields, else an attribute.
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

/// What the key of a [`Condition`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionTarget<'a> {
    /// One of the span's own fields.
    Field(SpanField),
    /// The attribute with this key.
    Attribute(&'a str),
}

text_enum!(
    /// The span's own fields that conditions can name.
    SpanField, "span field",
    /// The name.
    Name = "name",
    /// `ok` or `error`; not there while the span runs.
    Status = "status",
    /// The kind.
    Kind = "kind",
    /// The duration in milliseconds; not there while the span runs.
    DurationMs = "duration_ms",
    /// The start, compared with a time as text, or with a number of nanoseconds.
    StartTime = "start_time",
    /// The end, likewise; not there while the span runs.
    EndTime = "end_time",
    /// The span id.
    SpanId = "span_id",
    /// The trace id.
    TraceId = "trace_id",
    /// The parent's span id; not there for a root.
    ParentSpanId = "parent_span_id",
    /// The service name.
    ServiceName = "service_name",
    /// The category.
    Category = "category",
);

impl SpanField {
    /// The field that a key names. The attribute of a resource that names the service is kept as a field, so its key
    /// names this.
    pub(crate) fn named(key: &str) -> Option<Self> {
        match key {
            "service.name" | "resource.service.name" => Some(Self::ServiceName),
            key => key.parse().ok(),
        }
    }
}

text_enum!(
    /// What traces and spans can be ordered by.
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

/// One part of an order; written `duration_ms` or, descending, `-duration_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub key: OrderKey,
    /// Largest first.
    pub descending: bool,
}

/// Why a text is no order.
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

/// The question of [`query_traces`](crate::TraceStore::query_traces) exactly as seed 1 has it. In JSON, another field is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TraceQuery {
    /// Conditions that must all hold on one same span of the trace.
    #[cfg_attr(feature = "schema", schemars(length(max = 100)))]
    pub attribute_filters: Option<Vec<Condition>>,
    /// Maximum number of traces; 100 by default.
    #[serde(deserialize_with = "crate::whole_or_null")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub limit: Option<i64>,
    /// Number of traces to skip; 0 by default.
    #[serde(deserialize_with = "crate::whole_or_null")]
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

/// Returned where [`TraceQuery::limit`] is none.
const DEFAULT_LIMIT: u64 = 100;

impl TryFrom<TraceQuery> for TraceFilter {
    type Error = StoreError;

    /// Reads the question of the telemetry API as the question that a store is asked.
    ///
    /// # Errors
    /// A negative limit or offset, or an unknown order key, is invalid input.
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

/// Which traces to list, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceFilter {
    /// Conditions that must all hold on one same span of the trace.
    pub conditions: Vec<Condition>,
    /// A filter whose terms must all hold on that span too; by default it lets everything through.
    pub filter: Filter,
    /// Only traces that began at this time or later.
    pub since: Option<Timestamp>,
    /// Only traces that began before this time.
    pub until: Option<Timestamp>,
    /// Only traces whose root ran in this service.
    pub service: Option<String>,
    /// Only traces with a failed span.
    pub errors: bool,
    /// Newest first if empty; ties are broken by the trace id, so that pages neither overlap nor skip.
    pub order_by: Vec<Order>,
    /// At most so many.
    pub limit: u64,
    /// So many are passed over first.
    pub offset: u64,
}

impl Default for TraceFilter {
    fn default() -> Self {
        Self {
            conditions: Vec::new(),
            filter: Filter::default(),
            since: None,
            until: None,
            service: None,
            errors: false,
            order_by: Vec::new(),
            limit: 100,
            offset: 0,
        }
    }
}

/// Which spans to list, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanFilter {
    /// Conditions that must all hold on the span.
    pub conditions: Vec<Condition>,
    /// A filter whose terms must all hold on the span too; by default it lets everything through.
    pub filter: Filter,
    /// Only spans that began at this time or later.
    pub since: Option<Timestamp>,
    /// Only spans that began before this time.
    pub until: Option<Timestamp>,
    /// Only spans that ran in this service.
    pub service: Option<String>,
    /// Only failed spans.
    pub errors: bool,
    /// Most recently stored first if empty.
    pub order_by: Vec<Order>,
    /// At most so many.
    pub limit: u64,
    /// So many are passed over first.
    pub offset: u64,
}

impl Default for SpanFilter {
    fn default() -> Self {
        Self {
            conditions: Vec::new(),
            filter: Filter::default(),
            since: None,
            until: None,
            service: None,
            errors: false,
            order_by: Vec::new(),
            limit: 100,
            offset: 0,
        }
    }
}

/// Which log events to list. All of it must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter {
    /// Only events at least this serious.
    pub min_severity: Option<Severity>,
    /// A filter whose terms must all hold on the event; by default it lets everything through. Own
    /// fields that events don't have (status, kind, duration, end, parent, numbers of the whole trace)
    /// are missing.
    pub filter: Filter,
    /// Only events at this time or later.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
    /// Only events with this text in what is shown of them: see [`LogEvent::contains`](crate::LogEvent::contains).
    pub grep: Option<String>,
    /// Only events of this service.
    pub service: Option<String>,
    /// Only events of this category.
    pub category: Option<String>,
    /// Only events of this trace.
    pub trace_id: Option<TraceId>,
    /// Only events of this span.
    pub span_id: Option<SpanId>,
    /// Only events stored after this. To follow a store, use
    /// [`stored_after`](crate::TraceStore::stored_after), which says how far it has read.
    pub after: Option<Cursor>,
    /// At most so many. The newest are chosen, and answered oldest first.
    pub limit: u64,
}

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
            limit: 100,
        }
    }
}
