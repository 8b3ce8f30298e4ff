//! Measurements: kinds of metrics, and queries of stored ones.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ParseEnumError, Timestamp, TraceId, Value, setters, text_enum};

text_enum!(
    /// The kind of a metric, which decides how its measurements are aggregated.
    MetricKind, "metric kind",
    /// Each measurement is an increment; they are summed.
    Counter = "counter",
    /// Each measurement is the current value; the last one counts.
    Gauge = "gauge",
    /// Each measurement is one observation of a distribution.
    Histogram = "histogram",
);

impl MetricKind {
    /// Returns the kind that a name suggests: `..._total` and the token counts are counters,
    /// durations and times are distributions, everything else is a gauge.
    ///
    /// ```
    /// use spanscope_model::MetricKind;
    /// assert_eq!(MetricKind::of_name("llama_stack_tokens_total"), MetricKind::Counter);
    /// assert_eq!(MetricKind::of_name("prompt_tokens"), MetricKind::Counter);
    /// assert_eq!(MetricKind::of_name("http.server.request.duration"), MetricKind::Histogram);
    /// assert_eq!(MetricKind::of_name("queue_length"), MetricKind::Gauge);
    /// ```
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        if name.ends_with("_total") || TOKEN_METRICS.iter().any(|(event, _)| *event == name) {
            Self::Counter
        } else if name.ends_with("duration") || name.ends_with("_seconds") || name.ends_with("_ms") {
            Self::Histogram
        } else {
            Self::Gauge
        }
    }
}

/// The three counters of every model call: the name of the metric event in the store, and the
/// counter's documented name. A query accepts either.
pub const TOKEN_METRICS: [(&str, &str); 3] = [
    ("prompt_tokens", "llama_stack_prompt_tokens_total"),
    ("completion_tokens", "llama_stack_completion_tokens_total"),
    ("total_tokens", "llama_stack_tokens_total"),
];

/// Counters in addition to the three of every call: input tokens read from a cache, and input
/// tokens written to one. No convention defines counters for them yet; the cost of a call depends
/// on them.
pub const CACHE_METRICS: [&str; 2] = ["cache_read_tokens", "cache_write_tokens"];

/// The counter of the cost of calls in US dollars, if their programs report it.
pub const COST_METRIC: &str = "reported_cost";

/// Returns the name under which a metric is stored: the metric event's name for a counter's
/// documented name.
///
/// ```
/// use spanscope_model::stored_metric_name;
/// assert_eq!(stored_metric_name("llama_stack_prompt_tokens_total"), "prompt_tokens");
/// assert_eq!(stored_metric_name("my_metric"), "my_metric");
/// ```
#[must_use]
pub fn stored_metric_name(name: &str) -> &str {
    let known = TOKEN_METRICS.iter().find(|(_, counter)| *counter == name);
    known.map_or(name, |(event, _)| *event)
}

text_enum!(
    /// The shape of a metric query's result.
    MetricQueryType, "query type",
    /// A value for each step.
    Range = "range",
    /// One value for the whole time range.
    Instant = "instant",
);

text_enum!(
    /// How a label is compared.
    LabelOperator, "label operator",
    /// Equal.
    Equals = "=",
    /// Not equal; a missing label counts as empty.
    NotEquals = "!=",
    /// The whole value matches this regular expression, as in Prometheus.
    RegexMatch = "=~",
    /// The regular expression does not match the whole value.
    RegexNotMatch = "!~",
);

/// One condition on a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelMatcher {
    /// The label.
    pub name: String,
    /// The value to compare with.
    pub value: String,
    /// The operator.
    #[serde(default = "equals")]
    pub operator: LabelOperator,
}

fn equals() -> LabelOperator {
    LabelOperator::Equals
}

/// The width of a step: `30s`, `5m`, `1h`, `1d`, `1w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Granularity {
    seconds: u32,
}

/// The maximum step.
const MAX_STEP_SECONDS: u64 = 366 * 24 * 3600;

impl Granularity {
    /// One day, the default of a query without a granularity.
    pub const DAY: Self = Self { seconds: 24 * 3600 };

    /// Returns the width in seconds, at least 1.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.seconds
    }
}

impl FromStr for Granularity {
    type Err = ParseEnumError;

    /// Parses a positive whole number followed by a unit: `s`, `m`, `h`, `d`, `w`.
    ///
    /// ```
    /// use spanscope_model::Granularity;
    /// assert_eq!("5m".parse::<Granularity>().map(Granularity::seconds).ok(), Some(300));
    /// assert!(["0s", "-5m", "5", "1000000d", "m"].iter().all(|text| text.parse::<Granularity>().is_err()));
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseEnumError> {
        const ACCEPTED: &str = "a whole number above zero with s, m, h, d or w, up to 366d: 30s 5m 1h 1d 1w";
        let wrong = || ParseEnumError::new("granularity", text, ACCEPTED);
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds: u64 = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            'w' => 7 * 24 * 3600,
            _ => return Err(wrong()),
        };
        let number = &text[..text.len() - 1];
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let seconds = number.checked_mul(seconds).ok_or_else(wrong)?;
        if seconds == 0 || seconds > MAX_STEP_SECONDS {
            return Err(wrong());
        }
        Ok(Self {
            seconds: u32::try_from(seconds).map_err(|_| wrong())?,
        })
    }
}

impl std::fmt::Display for Granularity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}s", self.seconds)
    }
}

/// A query for one metric.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MetricQuery {
    /// The metric's name; the documented counters have two.
    pub metric: String,
    /// The start of the time range (included).
    pub start: Timestamp,
    /// The end of the time range (excluded); `None` means now.
    pub end: Option<Timestamp>,
    /// The width of a step of a range; `None` returns the raw measurements.
    pub granularity: Option<Granularity>,
    /// Range or instant.
    pub query_type: MetricQueryType,
    /// Conditions on labels; all must match.
    pub matchers: Vec<LabelMatcher>,
}

setters!(MetricQuery {
    metric: into [String],
    start: [Timestamp],
    end: into [Option<Timestamp>],
    granularity: into [Option<Granularity>],
    query_type: [MetricQueryType],
    matchers: [Vec<LabelMatcher>],
});

impl MetricQuery {
    /// Creates a range query with steps of a day, from `start` until now.
    pub fn range(metric: impl Into<String>, start: Timestamp) -> Self {
        Self {
            metric: metric.into(),
            start,
            end: None,
            granularity: Some(Granularity::DAY),
            query_type: MetricQueryType::Range,
            matchers: Vec::new(),
        }
    }
}

/// One label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MetricLabel {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// One point of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct MetricDataPoint {
    /// Seconds since 1970: the start of the step, the moment of a raw measurement, or the end of an
    /// instant query.
    pub timestamp: i64,
    /// A counter's sum, a gauge's last value, or the sum of a distribution's observations; an
    /// integer stays one.
    pub value: Value,
    /// Its unit; empty if it has none. The API documents it on measurements only, but its published
    /// client expects it here.
    #[serde(default)]
    pub unit: String,
}

impl MetricDataPoint {
    /// Creates a point without a unit.
    #[must_use]
    pub fn new(timestamp: i64, value: Value) -> Self {
        Self {
            timestamp,
            value,
            unit: String::new(),
        }
    }
}

setters!(MetricDataPoint { unit: into[String] });

/// The measurements of one label set, in the order of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct MetricSeries {
    /// The metric's name, as in the query.
    pub metric: String,
    /// The labels, by name.
    pub labels: Vec<MetricLabel>,
    /// The points.
    pub values: Vec<MetricDataPoint>,
}

impl MetricSeries {
    /// Creates a series.
    pub fn new(metric: impl Into<String>, labels: Vec<MetricLabel>, values: Vec<MetricDataPoint>) -> Self {
        Self {
            metric: metric.into(),
            labels,
            values,
        }
    }
}

/// A measurement that a response carries.
///
/// ```
/// use spanscope_model::{MetricInResponse, Value};
/// let metric = MetricInResponse { metric: "prompt_tokens".into(), value: Value::I64(12), unit: Some("tokens".into()) };
/// let json = serde_json::to_string(&metric)?;
/// assert_eq!(json, r#"{"metric":"prompt_tokens","value":12,"unit":"tokens"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricInResponse {
    /// The metric's name.
    pub metric: String,
    /// What was measured.
    pub value: Value,
    /// Its unit, if it has one.
    #[serde(default)]
    pub unit: Option<String>,
}

/// Metadata of a stored metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricInfo {
    /// Its name.
    pub metric: String,
    /// Its unit; empty if it has none.
    pub unit: String,
    /// Its kind.
    pub kind: MetricKind,
    /// The number of label sets.
    pub series: u64,
    /// The number of stored measurements.
    pub points: u64,
    /// The time of the last measurement.
    pub last: Option<Timestamp>,
}

impl MetricInfo {
    /// Creates the metadata of a metric without measurements.
    pub fn new(metric: impl Into<String>, kind: MetricKind) -> Self {
        Self {
            metric: metric.into(),
            unit: String::new(),
            kind,
            series: 0,
            points: 0,
            last: None,
        }
    }
}

setters!(MetricInfo {
    unit: into [String],
    series: [u64],
    points: [u64],
    last: into [Option<Timestamp>],
});

text_enum!(
    /// The grouping of usage.
    UsageBy, "usage group",
    /// The requested model.
    Model = "model",
    /// The calling service.
    Service = "service",
    /// The nearest agent above the call.
    Agent = "agent",
);

/// A query for tokens, calls and errors.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UsageQuery {
    /// The start of the time range; `None` means the first record.
    pub since: Option<Timestamp>,
    /// The end of the time range; `None` means now.
    pub until: Option<Timestamp>,
    /// Only the calls of one trace.
    pub trace_id: Option<TraceId>,
    /// The grouping.
    pub by: UsageBy,
}

impl UsageQuery {
    /// Creates a query of all records.
    #[must_use]
    pub fn new(by: UsageBy) -> Self {
        Self {
            since: None,
            until: None,
            trace_id: None,
            by,
        }
    }
}

setters!(UsageQuery {
    since: into [Option<Timestamp>],
    until: into [Option<Timestamp>],
    trace_id: into [Option<TraceId>],
    by: [UsageBy],
});

/// The usage of one model by one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UsageRow {
    /// The model, the service or the agent; empty if it has no name.
    pub group: String,
    /// The model; empty if the calls did not name one.
    pub model: String,
    /// The provider; empty if the calls did not name one.
    pub provider: String,
    /// The number of calls.
    pub calls: u64,
    /// The number of failed calls.
    pub errors: u64,
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// All tokens, as reported.
    pub total: u64,
    /// Input tokens that were read from a cache.
    pub cached_read: u64,
    /// Input tokens that were written to a cache.
    pub cached_write: u64,
    /// The reported cost in US dollars; `None` if a program that used tokens reported no cost.
    pub reported_cost: Option<f64>,
}

impl UsageRow {
    /// Creates a row of zeros.
    pub fn new(group: String, model: &str, provider: &str) -> Self {
        Self {
            group,
            model: model.to_owned(),
            provider: provider.to_owned(),
            calls: 0,
            errors: 0,
            input: 0,
            output: 0,
            total: 0,
            cached_read: 0,
            cached_write: 0,
            reported_cost: None,
        }
    }
}
