//! What a store takes in from other programs: the writing half of [`TraceStore`](crate::TraceStore).
//!
//! An OTLP receiver and the telemetry API's `log_event` turn what they are sent into [`NewRecords`]; a store knows no other way in.

use std::fmt;
use std::str::FromStr;

use crate::text::first_chars;

use crate::{
    Attributes, Event, EventKind, LogEvent, MetricKind, Source, Span, SpanId, SpanKind, SpanPayload,
    SpanState, SpanStatus, Timestamp, TraceId, TraceParent, UNCATEGORIZED, Value, stored_metric_name,
};

/// Whose records something is. A name of 1 to 128 characters without control characters.
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

/// Why a text names no tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTenantError(String);

impl fmt::Display for ParseTenantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no name of a tenant: give 1 to {} characters, none of them a control character",
            self.0,
            Tenant::MAX_CHARS
        )
    }
}

impl std::error::Error for ParseTenantError {}

impl Tenant {
    /// Whose everything is that names no tenant.
    pub const DEFAULT: &'static str = "default";
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Its name.
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

/// Records of one or several sources, which are stored together or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewRecords {
    /// Tells this batch from every other one. One that was stored within the last hour is known again, and nothing of it is
    /// stored twice. Spans are known by their ids even without.
    pub batch: Option<u128>,
    /// A trace that the sender calls by the first id and that continues the second: what is said of the first from now on, by
    /// records that [`follow`](Self::follows), is said of the second.
    pub continues: Option<(TraceId, TraceId)>,
    /// Whether traces of these records may be called by an id that was continued elsewhere.
    pub follows: bool,
    /// The name of a file that the sender writes by itself: if it is the store's own, everything is there already.
    pub stored_in: Option<String>,
    /// By source.
    pub sources: Vec<SourceRecords>,
}

/// Records of one source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceRecords {
    /// Who made them.
    pub source: Source,
    /// Spans, with or without an end.
    pub spans: Vec<NewSpan>,
    /// Ends of spans that came, or will come, without one.
    pub ends: Vec<SpanEnd>,
    /// Log events.
    pub events: Vec<NewEvent>,
    /// Measurements.
    pub points: Vec<NewPoint>,
}

/// A span to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSpan {
    /// The span. Its service, its resource and its scope are those of the source.
    pub span: Span,
    /// What happened in it; its ids are the span's.
    pub events: Vec<NewEvent>,
    /// When it may be forgotten, if it brought a time of its own.
    pub expires: Option<Timestamp>,
}

/// The end of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanEnd {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// When it ended.
    pub end_time: Timestamp,
    /// How.
    pub status: SpanStatus,
    /// What is said of the span beside what was said at its start.
    pub attributes: Attributes,
    /// When it may be forgotten, if it brought a time of its own.
    pub expires: Option<Timestamp>,
}

/// A log event to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The event. The store gives it another id; its service is that of the source.
    pub event: LogEvent,
    /// When it may be forgotten, if it brought a time of its own.
    pub expires: Option<Timestamp>,
}

/// How a measurement adds up with those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adds {
    /// It stands for itself: an increment, an observation, the state of a gauge.
    Alone,
    /// It is the total since that moment, of a stream that its source, name and labels tell from others. The store keeps
    /// what the total grew by since the last one.
    Since(Timestamp),
}

/// A measurement to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPoint {
    /// The metric's name.
    pub metric: String,
    /// The number: of a distribution the sum of what was observed.
    pub value: Value,
    /// How it adds up.
    pub adds: Adds,
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
    /// What was sent beside the number: counts, buckets, quantiles, exemplars.
    pub detail: Option<serde_json::Value>,
    /// When it may be forgotten, if it brought a time of its own.
    pub expires: Option<Timestamp>,
}

/// What became of records that a store took in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IngestReceipt {
    /// How many were stored.
    pub stored: u64,
    /// How many were there already. A lower bound: a store that finds out only when it is asked
    /// counts those as stored.
    pub known: u64,
    /// Measurements that found no place: totals of more streams than a store follows for one source.
    pub rejected_points: u64,
}

impl NewRecords {
    /// The records that one event of the telemetry API stands for (seed 1), to be kept for so long.
    ///
    /// A `span_start` is a span that runs. The attribute `traceparent` of one continues that trace, and is not kept.
    ///
    /// # Errors
    /// What is wrong with it: an event without its ids, a span that is its own parent, a number that is none.
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
        let mut continues = None;
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
                    adds: Adds::Alone,
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
                        continues = (sent != trace_id).then_some((sent, trace_id));
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
            continues,
            follows: true,
            stored_in: None,
            sources: vec![records],
        })
    }

    /// How many records these are, the events of spans counted on their own.
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

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Span {
    /// A span that began, and of which nothing else is known.
    pub fn new(trace_id: TraceId, span_id: SpanId, name: impl Into<String>, start_time: Timestamp) -> Self {
        Self {
            span_id,
            trace_id,
            parent_span_id: None,
            name: name.into(),
            start_time,
            end_time: None,
            attributes: Attributes::new(),
            status: None,
            status_message: None,
            kind: SpanKind::Internal,
            state: SpanState::Running,
            service_name: String::new(),
            target: None,
            level: None,
            category: None,
            links: Vec::new(),
            trace_state: None,
            resource: None,
            scope: None,
        }
    }
}

/// Takes a text out of attributes; empty where there is none.
fn taken_text(attributes: &mut Attributes, key: &str) -> String {
    let text = attributes.get(key).and_then(Value::as_str).map(str::to_owned);
    if text.is_some() {
        attributes.retain(|have, _| have != key);
    }
    text.unwrap_or_default()
}
