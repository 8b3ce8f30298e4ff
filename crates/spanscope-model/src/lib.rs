//! The words that all parts of Spanscope share.
//!
//! Ids, timestamps, spans, events, severities and categories as the telemetry API documents them (seed 1),
//! the conditions that queries are made of, and the [`TraceStore`] contract that a span store fulfils.
//!
//! This crate is a leaf: it knows no `tracing`, does no I/O and starts no runtime, so that a store, a layer, a
//! server and a command can agree on it without agreeing on anything else.
//!
//! The feature `schema` gives the types that the telemetry API shows their JSON schemas (`schemars`).

mod attributes;
mod blocking;
mod capabilities;
mod category;
mod cursor;
mod distribution;
mod enums;
mod eval;
mod event;
pub mod filter;
mod id;
mod incoming;
mod metric;
mod non_finite;
mod query;
mod raw_value;
mod run;
#[cfg(feature = "schema")]
mod schema;
#[cfg(feature = "schema")]
pub use schema::SENT_TIME;
pub mod semconv;
mod severity;
mod source;
mod span;
mod sql;
mod statistics;
mod store;
mod store_error;
mod stored;
pub mod text;
mod time;
mod trace_parent;
mod whole;
pub mod wire;

pub use attributes::{Attributes, Value};
pub use blocking::{block_on, block_on_for};
pub use capabilities::{Capabilities, StoreOrder};
pub use category::{CATEGORIES, UNCATEGORIZED, category_of};
pub use cursor::{Cursor, ParseCursorError};
pub use distribution::{MetricDistribution, Observations, ObservedBuckets};
pub use enums::ParseEnumError;
pub use eval::EvalTrace;
pub use event::{Event, EventKind, LogEvent, SpanPayload};
pub use id::{ParseIdError, SpanId, TraceId};
pub use incoming::{
    Adds, IngestReceipt, NewEvent, NewPoint, NewRecords, NewSpan, ParseTenantError, SourceRecords, SpanEnd,
    Tenant,
};
pub use metric::{
    CACHE_METRICS, COST_METRIC, Granularity, LabelMatcher, LabelOperator, MetricDataPoint, MetricInResponse,
    MetricInfo, MetricKind, MetricLabel, MetricQuery, MetricQueryType, MetricSeries, TOKEN_METRICS, UsageBy,
    UsageQuery, UsageRow, stored_metric_name,
};
pub use non_finite::{non_finite_name, parse_non_finite};
pub use query::{
    Condition, ConditionOp, ConditionTarget, LogFilter, Order, OrderKey, ParseOrderError, SpanField,
    SpanFilter, TraceFilter, TraceQuery,
};
pub use raw_value::{NotScalarError, RawValue};
pub use run::{RunFilter, RunInfo, RunPage, RunRange, RunRecords, RunSpan, RunStatus};
pub use severity::Severity;
pub use source::{Scope, Source};
pub use span::{Link, Span, SpanKind, SpanNode, SpanState, SpanStatus, Trace, TraceSummary};
pub use sql::{SqlResult, SqlStore};
pub use statistics::{Account, DropCounts, FileStats, NameStats, ServiceStats, StoreStats};
pub use store::{IdMatch, StoreFuture, TraceStore};
pub use store_error::{StoreError, StoreErrorKind};
pub use stored::{Stored, StoredFilter};
pub use time::{ParseTimestampError, Timestamp};
pub use trace_parent::{ParseTraceParentError, TraceParent};
pub use whole::{whole, whole_or_null};
