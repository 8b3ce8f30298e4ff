//! The kinds of messages: the size of each, and the kinds that its fields contain.

use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::Value as Json;
use spanscope_model::{Link as NewLink, NewEvent, NewPoint, NewSpan, SourceRecords};

/// Maximum depth of nesting, which the decoders do not exceed either.
pub(super) const MAX_DEPTH: usize = 128;

/// A message, or a number of a list.
pub(super) struct Kind {
    /// The size of one, without its strings.
    pub(super) weight: usize,
    /// The fields that contain other kinds, by number and name.
    pub(super) fields: &'static [(u32, &'static str, &'static Kind)],
}

/// Returns the size of an item that is decoded as the first type and kept as the second. A list
/// grows by doubling.
const fn both<Sent, Kept>() -> usize {
    2 * (size_of::<Sent>() + size_of::<Kept>())
}

/// A field of an object in JSON.
type Field = (String, Json);

pub(super) static TRACES: Kind = Kind {
    weight: 0,
    fields: &[(1, "resourceSpans", &RESOURCE_SPANS)],
};
pub(super) static METRICS: Kind = Kind {
    weight: 0,
    fields: &[(1, "resourceMetrics", &RESOURCE_METRICS)],
};
pub(super) static LOGS: Kind = Kind {
    weight: 0,
    fields: &[(1, "resourceLogs", &RESOURCE_LOGS)],
};
// Resources and scopes of the three signals have identical encodings.
static RESOURCE_SPANS: Kind = Kind {
    weight: both::<ResourceSpans, ()>(),
    fields: &[
        (1, "resource", &RESOURCE),
        (2, "scopeSpans", &SCOPE_SPANS),
        (1000, "instrumentationLibrarySpans", &SCOPE_SPANS),
    ],
};
static RESOURCE_METRICS: Kind = Kind {
    weight: both::<ResourceSpans, ()>(),
    fields: &[
        (1, "resource", &RESOURCE),
        (2, "scopeMetrics", &SCOPE_METRICS),
        (1000, "instrumentationLibraryMetrics", &SCOPE_METRICS),
    ],
};
static RESOURCE_LOGS: Kind = Kind {
    weight: both::<ResourceSpans, ()>(),
    fields: &[
        (1, "resource", &RESOURCE),
        (2, "scopeLogs", &SCOPE_LOGS),
        (1000, "instrumentationLibraryLogs", &SCOPE_LOGS),
    ],
};
static SCOPE_SPANS: Kind = Kind {
    weight: both::<ScopeSpans, SourceRecords>(),
    fields: &[(1, "scope", &SCOPE), (2, "spans", &SPAN)],
};
static SCOPE_METRICS: Kind = Kind {
    weight: both::<ScopeSpans, SourceRecords>(),
    fields: &[(1, "scope", &SCOPE), (2, "metrics", &METRIC)],
};
static SCOPE_LOGS: Kind = Kind {
    weight: both::<ScopeSpans, SourceRecords>(),
    fields: &[(1, "scope", &SCOPE), (2, "logRecords", &LOG_RECORD)],
};
static RESOURCE: Kind = Kind {
    weight: 0,
    fields: &[(1, "attributes", &KEY_VALUE), (3, "entityRefs", &ENTITY)],
};
static ENTITY: Kind = Kind {
    weight: both::<EntityRef, ()>(),
    fields: &[(3, "idKeys", &TEXT), (4, "descriptionKeys", &TEXT)],
};
static TEXT: Kind = Kind {
    weight: both::<String, ()>(),
    fields: &[],
};
static SCOPE: Kind = Kind {
    weight: 0,
    fields: &[(3, "attributes", &KEY_VALUE)],
};
static KEY_VALUE: Kind = Kind {
    weight: both::<KeyValue, Field>(),
    fields: &[(2, "value", &VALUE)],
};
/// The value of a pair. The size of the pair includes it.
pub(super) static VALUE: Kind = Kind {
    weight: 0,
    fields: &[(5, "arrayValue", &LIST), (6, "kvlistValue", &MAP)],
};
static LIST: Kind = Kind {
    weight: 0,
    fields: &[(1, "values", &ITEM)],
};
static ITEM: Kind = Kind {
    weight: both::<AnyValue, Json>(),
    fields: VALUE.fields,
};
static MAP: Kind = Kind {
    weight: 0,
    fields: &[(1, "values", &KEY_VALUE)],
};
static SPAN: Kind = Kind {
    weight: both::<Span, NewSpan>(),
    fields: &[
        (9, "attributes", &KEY_VALUE),
        (11, "events", &EVENT),
        (13, "links", &LINK),
    ],
};
static EVENT: Kind = Kind {
    weight: both::<Event, NewEvent>(),
    fields: &[(3, "attributes", &KEY_VALUE)],
};
static LINK: Kind = Kind {
    weight: both::<Link, NewLink>(),
    fields: &[(4, "attributes", &KEY_VALUE)],
};
static LOG_RECORD: Kind = Kind {
    weight: both::<LogRecord, NewEvent>(),
    fields: &[(5, "body", &VALUE), (6, "attributes", &KEY_VALUE)],
};
static METRIC: Kind = Kind {
    weight: both::<Metric, ()>(),
    fields: &[
        (5, "gauge", &NUMBERS),
        (7, "sum", &NUMBERS),
        (9, "histogram", &HISTOGRAMS),
        (10, "exponentialHistogram", &EXPONENTIALS),
        (11, "summary", &SUMMARIES),
        (12, "metadata", &KEY_VALUE),
    ],
};
static NUMBERS: Kind = Kind {
    weight: 0,
    fields: &[(1, "dataPoints", &NUMBER)],
};
static NUMBER: Kind = Kind {
    weight: both::<NumberDataPoint, NewPoint>(),
    fields: &[(7, "attributes", &KEY_VALUE), (5, "exemplars", &EXEMPLAR)],
};
static HISTOGRAMS: Kind = Kind {
    weight: 0,
    fields: &[(1, "dataPoints", &HISTOGRAM)],
};
static HISTOGRAM: Kind = Kind {
    weight: both::<HistogramDataPoint, NewPoint>() + 8 * both::<(), Field>(),
    fields: &[
        (9, "attributes", &KEY_VALUE),
        (6, "bucketCounts", &FIXED),
        (7, "explicitBounds", &FIXED),
        (8, "exemplars", &EXEMPLAR),
    ],
};
static EXPONENTIALS: Kind = Kind {
    weight: 0,
    fields: &[(1, "dataPoints", &EXPONENTIAL)],
};
static EXPONENTIAL: Kind = Kind {
    weight: both::<ExponentialHistogramDataPoint, NewPoint>() + 16 * both::<(), Field>(),
    fields: &[
        (1, "attributes", &KEY_VALUE),
        (8, "positive", &BUCKETS),
        (9, "negative", &BUCKETS),
        (11, "exemplars", &EXEMPLAR),
    ],
};
static BUCKETS: Kind = Kind {
    weight: 0,
    fields: &[(2, "bucketCounts", &VARINT)],
};
static SUMMARIES: Kind = Kind {
    weight: 0,
    fields: &[(1, "dataPoints", &SUMMARY)],
};
static SUMMARY: Kind = Kind {
    weight: both::<SummaryDataPoint, NewPoint>() + 8 * both::<(), Field>(),
    fields: &[(7, "attributes", &KEY_VALUE), (6, "quantileValues", &QUANTILE)],
};
static QUANTILE: Kind = Kind {
    weight: both::<ValueAtQuantile, [Field; 3]>(),
    fields: &[],
};
static EXEMPLAR: Kind = Kind {
    weight: both::<Exemplar, [Field; 4]>(),
    fields: &[(7, "filteredAttributes", &KEY_VALUE)],
};
/// Numbers of eight bytes each.
pub(super) static FIXED: Kind = Kind {
    weight: both::<u64, Json>(),
    fields: &[],
};
/// Numbers of a byte or more each.
pub(super) static VARINT: Kind = Kind {
    weight: both::<u64, Json>(),
    fields: &[],
};
/// The content of a field whose name would need a parser to read, because of escapes. No sender
/// writes one.
pub(super) static ANYTHING: Kind = Kind {
    weight: EXPONENTIAL.weight,
    fields: &[],
};
