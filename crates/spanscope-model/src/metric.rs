//! Measurements: what a metric is, and what can be asked about stored ones (seed 1, specification sections 6 and 7).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ParseEnumError, Timestamp, TraceId, Value, text_enum};

text_enum!(
    /// What the measurements of a metric are, and so how they add up.
    MetricKind, "metric kind",
    /// Each is an increment; sums mean something.
    Counter = "counter",
    /// Each is the state at its time; the last one counts.
    Gauge = "gauge",
    /// Each is one observation of a distribution.
    Histogram = "histogram",
);

impl MetricKind {
    /// The kind that a name tells where nothing else does: `..._total` and the token counts are counters, durations and
    /// times are distributions, everything else is a gauge.
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

/// The three counters of every model call: the name of the metric event in the store, and the documented name of the
/// counter. Either names the same metric in a query.
pub const TOKEN_METRICS: [(&str, &str); 3] = [
    ("prompt_tokens", "llama_stack_prompt_tokens_total"),
    ("completion_tokens", "llama_stack_completion_tokens_total"),
    ("total_tokens", "llama_stack_tokens_total"),
];

/// Counters alongside the three of every call: tokens of the input that were read from a cache, and
/// that were written to one. No convention has them as counters yet; what a call cost depends on them.
pub const CACHE_METRICS: [&str; 2] = ["cache_read_tokens", "cache_write_tokens"];

/// The counter of what calls cost in US dollars, where their programs report it.
pub const COST_METRIC: &str = "reported_cost";

/// The name under which a metric is stored: that of the metric event where the counter's name is given.
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
    /// What kind of answer is wanted (seed 1).
    MetricQueryType, "query type",
    /// A value for each step of time.
    Range = "range",
    /// One value, for all of the time asked for.
    Instant = "instant",
);

text_enum!(
    /// How a label is compared (seed 1).
    LabelOperator, "label operator",
    /// The value is this one.
    Equals = "=",
    /// The value is another one; a label that is not there counts as empty.
    NotEquals = "!=",
    /// The whole value matches this regular expression, as in Prometheus.
    RegexMatch = "=~",
    /// It does not.
    RegexNotMatch = "!~",
);

/// One condition on a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelMatcher {
    /// The label.
    pub name: String,
    /// What its value is compared with.
    pub value: String,
    /// How.
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

/// The widest step.
const MAX_STEP_SECONDS: u64 = 366 * 24 * 3600;

impl Granularity {
    /// One day, what a query without a granularity means.
    pub const DAY: Self = Self { seconds: 24 * 3600 };

    /// Its width in seconds, at least 1.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.seconds
    }
}

impl FromStr for Granularity {
    type Err = ParseEnumError;

    /// Reads a whole number above zero and a unit: `s`, `m`, `h`, `d`, `w`.
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

/// A question about one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricQuery {
    /// The metric's name; the documented counters go by either of their names.
    pub metric: String,
    /// From when on.
    pub start: Timestamp,
    /// Until when; none means now. The end itself is not part of the time.
    pub end: Option<Timestamp>,
    /// The width of a step of a range; none gives the raw measurements.
    pub granularity: Option<Granularity>,
    /// Range or instant.
    pub query_type: MetricQueryType,
    /// All of them must hold.
    pub matchers: Vec<LabelMatcher>,
}

impl MetricQuery {
    /// A range with steps of a day, from `start` until now.
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
pub struct MetricDataPoint {
    /// Seconds since 1970: the start of the step, the moment of a raw measurement, or the end of an instant query.
    pub timestamp: i64,
    /// A counter's sum, a gauge's last value, or the sum of a distribution's observations; an integer stays one.
    pub value: Value,
    /// Its unit; empty if it has none. Seed 1 has it on measurements only; the public client wants it here.
    #[serde(default)]
    pub unit: String,
}

/// The measurements of one label set, in the order of time (seed 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MetricSeries {
    /// The metric's name, as it was asked for.
    pub metric: String,
    /// The labels, by name.
    pub labels: Vec<MetricLabel>,
    /// The points.
    pub values: Vec<MetricDataPoint>,
}

/// A measurement attached to the answer of whoever made it (seed 1).
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

/// What is known of a stored metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricInfo {
    /// Its name.
    pub metric: String,
    /// Its unit; empty if it has none.
    pub unit: String,
    /// Its kind.
    pub kind: MetricKind,
    /// How many label sets there are.
    pub series: u64,
    /// How many measurements are stored.
    pub points: u64,
    /// When the last one was made.
    pub last: Option<Timestamp>,
}

text_enum!(
    /// What usage is added up by.
    UsageBy, "usage group",
    /// The model that was asked for.
    Model = "model",
    /// The service that asked.
    Service = "service",
    /// The nearest agent around the call.
    Agent = "agent",
);

/// A question about tokens, calls and errors.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageQuery {
    /// From when on; none means all that is stored.
    pub since: Option<Timestamp>,
    /// Until when; none means now.
    pub until: Option<Timestamp>,
    /// Only the calls of one trace.
    pub trace_id: Option<TraceId>,
    /// What is added up.
    pub by: UsageBy,
}

/// What one group used of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageRow {
    /// The model, the service or the agent; empty where it has no name.
    pub group: String,
    /// The model; empty where the calls did not name one.
    pub model: String,
    /// Who runs it; empty likewise.
    pub provider: String,
    /// How many calls were made.
    pub calls: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Tokens that went in, cached ones included.
    pub input: u64,
    /// Tokens that came out.
    pub output: u64,
    /// All of them, as reported.
    pub total: u64,
    /// Of the input: read from a cache.
    pub cached_read: u64,
    /// Of the input: written to a cache.
    pub cached_write: u64,
    /// What they cost in US dollars, as their programs reported it; `None` where one that used tokens
    /// reported nothing.
    pub reported_cost: Option<f64>,
}

impl UsageRow {
    /// Nothing yet.
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
