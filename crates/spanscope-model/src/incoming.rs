//! The records that a store accepts from other programs: the writing half of
//! [`TraceStore`](crate::TraceStore).
//!
//! An OTLP receiver and the telemetry API's `log_event` convert requests to [`NewRecords`]; a store
//! accepts nothing else.

use std::fmt;
use std::str::FromStr;

use crate::text::first_chars;

use crate::{
    Attributes, Event, EventKind, LogEvent, MetricKind, Source, Span, SpanId, SpanPayload, SpanState,
    SpanStatus, Timestamp, TraceId, TraceParent, UNCATEGORIZED, Value, setters, stored_metric_name,
};

/// The owner of records. A name of 1 to 128 characters without control characters.
///
/// ```
/// use spanscope_model::Tenant;
/// let tenant: Tenant = "acme".parse()?;
/// assert_eq!(tenant.as_str(), "acme");
/// assert!("".parse::<Tenant>().is_err());
/// assert_eq!(Tenant::default().as_str(), "default");
/// # Ok::<(), spanscope_model::ParseTenantError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(String);

/// The error of a text that is not a valid tenant name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTenantError(String);

impl fmt::Display for ParseTenantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a valid tenant name: give 1 to {} characters, none of them a control character",
            self.0,
            Tenant::MAX_CHARS
        )
    }
}

impl std::error::Error for ParseTenantError {}

impl Tenant {
    /// The tenant of everything that names no tenant.
    pub const DEFAULT: &'static str = "default";
    /// The maximum length of a name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Tenant {
    type Err = ParseTenantError;

    fn from_str(name: &str) -> Result<Self, ParseTenantError> {
        let is_name = !name.is_empty()
            && name.chars().count() <= Self::MAX_CHARS
            && !name.chars().any(char::is_control);
        if is_name {
            Ok(Self(name.to_owned()))
        } else {
            Err(ParseTenantError(first_chars(name, 80).to_owned()))
        }
    }
}

/// Records of one or more sources, stored together or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct NewRecords {
    /// Identifies this batch. A batch that was stored within the last hour is recognized, and not
    /// stored again. Spans are recognized by their ids even without it.
    pub batch: Option<u128>,
    /// A trace that the sender knows by the first id and that continues the second: later records
    /// of the first trace, in batches with [`resolve_aliases`](Self::resolve_aliases), are stored
    /// in the second.
    pub trace_alias: Option<(TraceId, TraceId)>,
    /// Whether the trace ids of these records may be aliases that an earlier batch declared.
    pub resolve_aliases: bool,
    /// The name of a file that the sender writes itself: if it is this store's own file, it already
    /// has every record.
    pub origin_store: Option<String>,
    /// The records, by source.
    pub sources: Vec<SourceRecords>,
}

setters!(NewRecords {
    batch: into [Option<u128>],
    trace_alias: into [Option<(TraceId, TraceId)>],
    resolve_aliases: [bool],
    origin_store: into [Option<String>],
    sources: [Vec<SourceRecords>],
});

/// Records of one source.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct SourceRecords {
    /// The source.
    pub source: Source,
    /// Spans, with or without an end.
    pub spans: Vec<NewSpan>,
    /// Ends of spans that were sent, or will be sent, without one.
    pub ends: Vec<SpanEnd>,
    /// Log events.
    pub events: Vec<NewEvent>,
    /// Measurements.
    pub points: Vec<NewPoint>,
}

setters!(SourceRecords {
    source: [Source],
    spans: [Vec<NewSpan>],
    ends: [Vec<SpanEnd>],
    events: [Vec<NewEvent>],
    points: [Vec<NewPoint>],
});

/// A span to be stored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewSpan {
    /// The span. Its service, resource and scope are those of the source.
    pub span: Span,
    /// The span's events; their ids are the span's.
    pub events: Vec<NewEvent>,
    /// When it may be deleted, if it has a time to live.
    pub expires: Option<Timestamp>,
}

impl NewSpan {
    /// Creates a span without events that is kept as long as any other.
    #[must_use]
    pub fn new(span: Span) -> Self {
        Self {
            span,
            events: Vec::new(),
            expires: None,
        }
    }
}

setters!(NewSpan {
    span: [Span],
    events: [Vec<NewEvent>],
    expires: into [Option<Timestamp>],
});

/// The end of a span.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanEnd {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// When it ended.
    pub end_time: Timestamp,
    /// The span's status.
    pub status: SpanStatus,
    /// Attributes in addition to those of the span's start.
    pub attributes: Attributes,
    /// When it may be deleted, if it has a time to live.
    pub expires: Option<Timestamp>,
}

impl SpanEnd {
    /// Creates an end without further attributes.
    #[must_use]
    pub fn new(trace_id: TraceId, span_id: SpanId, end_time: Timestamp, status: SpanStatus) -> Self {
        Self {
            trace_id,
            span_id,
            end_time,
            status,
            attributes: Attributes::new(),
            expires: None,
        }
    }
}

setters!(SpanEnd {
    trace_id: [TraceId],
    span_id: [SpanId],
    end_time: [Timestamp],
    status: [SpanStatus],
    attributes: [Attributes],
    expires: into [Option<Timestamp>],
});

/// A log event to be stored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewEvent {
    /// The event. The store assigns another id; its service is that of the source.
    pub event: LogEvent,
    /// When it may be deleted, if it has a time to live.
    pub expires: Option<Timestamp>,
}

impl NewEvent {
    /// Creates an event that is kept as long as any other.
    #[must_use]
    pub fn new(event: LogEvent) -> Self {
        Self { event, expires: None }
    }
}

setters!(NewEvent {
    event: [LogEvent],
    expires: into [Option<Timestamp>],
});

/// How a measurement relates to earlier ones: OpenTelemetry's aggregation temporality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// The value counts by itself: an increment, an observation, the state of a gauge.
    Delta,
    /// The value is the total since `start` of a stream, which source, name and labels identify.
    /// The store keeps the increase since the previous total.
    Cumulative {
        /// The start of the stream.
        start: Timestamp,
    },
}

/// A measurement to be stored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewPoint {
    /// The metric's name.
    pub metric: String,
    /// The number; for a histogram the sum of its observations.
    pub value: Value,
    /// How it relates to earlier measurements of its stream.
    pub temporality: Temporality,
    /// The unit; empty if it has none.
    pub unit: String,
    /// The metric's kind.
    pub kind: MetricKind,
    /// Labels, by name.
    pub labels: Vec<(String, String)>,
    /// When it was measured.
    pub timestamp: Timestamp,
    /// The trace it was made in, if any.
    pub trace_id: Option<TraceId>,
    /// The span it was made in, if any.
    pub span_id: Option<SpanId>,
    /// Further data of the measurement: counts, buckets, quantiles, exemplars.
    pub detail: Option<serde_json::Value>,
    /// When it may be deleted, if it has a time to live.
    pub expires: Option<Timestamp>,
}

impl NewPoint {
    /// Creates a measurement that counts by itself, outside of any span, without unit and labels.
    pub fn new(metric: impl Into<String>, value: Value, kind: MetricKind, timestamp: Timestamp) -> Self {
        Self {
            metric: metric.into(),
            value,
            temporality: Temporality::Delta,
            unit: String::new(),
            kind,
            labels: Vec::new(),
            timestamp,
            trace_id: None,
            span_id: None,
            detail: None,
            expires: None,
        }
    }
}

setters!(NewPoint {
    metric: into [String],
    value: [Value],
    temporality: [Temporality],
    unit: into [String],
    kind: [MetricKind],
    labels: [Vec<(String, String)>],
    timestamp: [Timestamp],
    trace_id: into [Option<TraceId>],
    span_id: into [Option<SpanId>],
    detail: into [Option<serde_json::Value>],
    expires: into [Option<Timestamp>],
});

/// The outcome of a request to store records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IngestReceipt {
    /// The number of records stored.
    pub stored: u64,
    /// The number of records that were stored before. A lower bound: a store that finds out only
    /// when it is queried counts those as stored.
    pub known: u64,
    /// The number of rejected measurements: totals of more streams than a store tracks for one
    /// source.
    pub rejected_points: u64,
}

setters!(IngestReceipt {
    stored: [u64],
    known: [u64],
    rejected_points: [u64],
});

impl NewRecords {
    /// Converts one event of Llama Stack's telemetry API to records that are kept for
    /// `ttl_seconds`.
    ///
    /// A `span_start` is a running span. Its attribute `traceparent` makes it continue that trace,
    /// and is not stored.
    ///
    /// # Errors
    /// Returns what is wrong: an event without its ids, a span that is its own parent, an invalid
    /// number.
    pub fn of_event(event: Event, ttl_seconds: i64) -> Result<Self, String> {
        let Event {
            trace_id,
            span_id,
            timestamp,
            mut attributes,
            kind,
        } = event;
        let lifetime = ttl_seconds.max(0).saturating_mul(1_000_000_000);
        let expires = Some(Timestamp::from_nanos(
            Timestamp::now().as_nanos().saturating_add(lifetime),
        ));
        let mut records = SourceRecords {
            source: Source {
                service_name: taken_text(&mut attributes, "service_name"),
                ..Source::default()
            },
            ..SourceRecords::default()
        };
        let mut trace_alias = None;
        match kind {
            EventKind::UnstructuredLog { message, severity } => {
                let category = attributes
                    .get("category")
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                let event = LogEvent {
                    id: String::new(),
                    trace_id,
                    span_id,
                    timestamp,
                    severity,
                    name: String::new(),
                    message,
                    target: String::new(),
                    category: category.unwrap_or_else(|| UNCATEGORIZED.to_owned()),
                    service_name: String::new(),
                    attributes,
                };
                records.events.push(NewEvent { event, expires });
            }
            EventKind::Metric { metric, value, unit } => {
                if !value.as_f64().is_some_and(f64::is_finite) {
                    return Err(format!(
                        "the value of the metric is {value}: give a finite number"
                    ));
                }
                let metric = stored_metric_name(&metric).to_owned();
                records.points.push(NewPoint {
                    kind: MetricKind::of_name(&metric),
                    metric,
                    value,
                    temporality: Temporality::Delta,
                    unit,
                    labels: attributes
                        .iter()
                        .map(|(key, value)| (key.to_owned(), value.to_string()))
                        .collect(),
                    timestamp,
                    trace_id,
                    span_id,
                    detail: None,
                    expires,
                });
            }
            EventKind::StructuredLog { payload } => {
                let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else {
                    return Err("the start or end of a span needs a trace_id and a span_id".to_owned());
                };
                match payload {
                    SpanPayload::SpanStart { name, parent_span_id } => {
                        let above = taken_text(&mut attributes, "traceparent").parse::<TraceParent>();
                        let (sent, trace_id, parent) = match (above, parent_span_id) {
                            (Ok(above), None) => (trace_id, above.trace_id, Some(above.span_id)),
                            (_, parent) => (trace_id, trace_id, parent),
                        };
                        trace_alias = (sent != trace_id).then_some((sent, trace_id));
                        if parent == Some(span_id) {
                            return Err(format!("the span {span_id} can't be its own parent"));
                        }
                        let category = attributes
                            .get("category")
                            .and_then(Value::as_str)
                            .map(str::to_owned);
                        let span = Span {
                            parent_span_id: parent,
                            start_time: timestamp,
                            attributes,
                            category,
                            state: SpanState::Running,
                            ..Span::new(trace_id, span_id, name, timestamp)
                        };
                        records.spans.push(NewSpan {
                            span,
                            events: Vec::new(),
                            expires,
                        });
                    }
                    SpanPayload::SpanEnd { status } => records.ends.push(SpanEnd {
                        trace_id,
                        span_id,
                        end_time: timestamp,
                        status,
                        attributes,
                        expires,
                    }),
                }
            }
        }
        Ok(Self {
            batch: None,
            trace_alias,
            resolve_aliases: true,
            origin_store: None,
            sources: vec![records],
        })
    }

    /// Returns the number of records; the events of spans count separately.
    #[must_use]
    pub fn len(&self) -> u64 {
        let of = |records: &SourceRecords| {
            let in_spans: usize = records.spans.iter().map(|span| span.events.len()).sum();
            (records.spans.len()
                + in_spans
                + records.ends.len()
                + records.events.len()
                + records.points.len()) as u64
        };
        self.sources.iter().map(of).sum()
    }

    /// Returns whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Removes a text from attributes; returns an empty one if it is missing.
fn taken_text(attributes: &mut Attributes, key: &str) -> String {
    let text = attributes.get(key).and_then(Value::as_str).map(str::to_owned);
    if text.is_some() {
        attributes.retain(|have, _| have != key);
    }
    text.unwrap_or_default()
}
