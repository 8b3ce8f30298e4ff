//! The types that all parts of Spanscope share.
//!
//! Ids, timestamps, spans, events, severities and categories as Llama Stack's telemetry API
//! documents them, the conditions of queries, and the contract [`TraceStore`] of a span store.
//!
//! This crate is a leaf: it does not know `tracing`, does no I/O and starts no runtime, so that
//! stores, layers, servers and commands can share it without further dependencies.
//!
//! The feature `schema` adds JSON schemas (`schemars`) to the types of the telemetry API.

mod attributes;
mod blocking;
mod capabilities;
mod category;
mod civil;
mod cursor;
mod distribution;
mod enums;
mod eval;
mod event;
pub mod filter;
mod histogram;
mod id;
mod incoming;
mod metric;
mod non_finite;
mod prices;
mod query;
mod raw_value;
pub mod received;
mod run;
#[cfg(feature = "schema")]
mod schema;
#[cfg(feature = "schema")]
pub use schema::SENT_TIME;
pub mod semconv;
mod setters;
mod severity;
mod shape;
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
pub use distribution::{HistogramPoint, MetricDistribution, Observations};
#[doc(hidden)]
pub use enums::EnumTextVisitor;
pub use enums::ParseEnumError;
pub use eval::EvalTrace;
pub use event::{Event, EventKind, LogEvent, SpanPayload};
pub use histogram::{Completion, CompletionOf, CompletionQuery, DurationRank, Histogram, HistogramRange};
pub use id::{ParseIdError, SpanId, TraceId};
pub use incoming::{
    IngestReceipt, NewEvent, NewPoint, NewRecords, NewSpan, ParseTenantError, SourceRecords, SpanEnd,
    Temporality, Tenant,
};
pub use metric::{
    CACHE_METRICS, COST_METRIC, Granularity, LabelMatcher, LabelOperator, MetricDataPoint, MetricInResponse,
    MetricInfo, MetricKind, MetricLabel, MetricQuery, MetricQueryType, MetricSeries, TOKEN_METRICS, UsageBy,
    UsageQuery, UsageRow, stored_metric_name,
};
pub use non_finite::{non_finite_name, parse_non_finite};
pub use prices::{PriceTable, WrongPriceError};
pub use query::{
    Condition, ConditionOp, ConditionTarget, LogFilter, Order, OrderKey, ParseOrderError, SpanField,
    SpanFilter, TraceFilter, TraceQuery,
};
pub use raw_value::{NotScalarError, RawValue};
pub use run::{RunFilter, RunInfo, RunPage, RunRange, RunRecords, RunSpan, RunStatus};
pub use severity::Severity;
pub use shape::{
    FoundSpans, ShapeEvent, ShapeSpan, SpanNeighbours, SpanUsage, TraceError, TraceOverview, TraceRun,
    TraceShape,
};
pub use source::{Scope, Source};
pub use span::{Link, Span, SpanKind, SpanNode, SpanState, SpanStatus, Trace, TraceSummary};
pub use sql::{SqlResult, SqlStore};
pub use statistics::{Account, DropCounts, FileStats, NameStats, ServiceStats, StoreStats};
pub use store::{IdMatch, StoreFuture, TraceStore};
pub use store_error::{StoreError, StoreErrorKind};
pub use stored::{Stored, StoredFilter};
pub use time::{ParseTimestampError, Timestamp};
pub use trace_parent::{ParseTraceParentError, TraceParent};
pub use whole::{deserialize_integer, deserialize_optional_integer};
