//! The request bodies of Llama Stack's telemetry API. A misspelled field is refused, not ignored.

use serde::Deserialize;
use spanscope_model::{
    Condition, Event, Granularity, LabelMatcher, MetricQuery, MetricQueryType, Timestamp, TraceQuery,
    deserialize_integer, deserialize_optional_integer,
};

use crate::answer::ApiError;
use crate::body::Bounded;
#[cfg(feature = "schema")]
use crate::body::MAX_CONDITIONS;

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct LogEvent {
    pub(super) event: Event,
    /// How long the event is kept, in seconds.
    #[serde(default = "seven_days", deserialize_with = "deserialize_integer")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub(super) ttl_seconds: i64,
}

impl Bounded for LogEvent {}

fn seven_days() -> i64 {
    7 * 86_400
}

/// Checks how long an event is kept, in seconds.
pub(super) fn ttl(seconds: i64) -> Result<i64, ApiError> {
    if seconds < 0 {
        return Err(ApiError::invalid(format!(
            "ttl_seconds is {seconds}: give 0 or a positive number of seconds"
        )));
    }
    Ok(seconds)
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SpanTree {
    #[serde(default)]
    pub(super) attributes_to_return: Option<Vec<String>>,
    /// Maximum number of levels, including that of the span itself; all by default.
    #[serde(default, deserialize_with = "deserialize_optional_integer")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4_294_967_295_i64)))]
    pub(super) max_depth: Option<i64>,
}

impl Bounded for SpanTree {}

impl Bounded for TraceQuery {
    fn lists(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("attribute_filters", length(&self.attribute_filters)),
            ("order_by", length(&self.order_by)),
        ]
    }
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct QuerySpans {
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_CONDITIONS)))]
    pub(super) attribute_filters: Vec<Condition>,
    pub(super) attributes_to_return: Vec<String>,
    /// Maximum number of levels, including that of the span itself; all by default.
    #[serde(default, deserialize_with = "deserialize_optional_integer")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4_294_967_295_i64)))]
    pub(super) max_depth: Option<i64>,
}

impl Bounded for QuerySpans {
    fn lists(&self) -> Vec<(&'static str, usize)> {
        vec![("attribute_filters", self.attribute_filters.len())]
    }
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SaveSpans {
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_CONDITIONS)))]
    pub(super) attribute_filters: Vec<Condition>,
    pub(super) attributes_to_save: Vec<String>,
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"))
    )]
    pub(super) dataset_id: String,
    /// Maximum number of levels, including that of the span itself; all by default.
    #[serde(default, deserialize_with = "deserialize_optional_integer")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4_294_967_295_i64)))]
    pub(super) max_depth: Option<i64>,
}

impl Bounded for SaveSpans {
    fn lists(&self) -> Vec<(&'static str, usize)> {
        vec![("attribute_filters", self.attribute_filters.len())]
    }
}

/// Converts `max_depth` to the store's form.
pub(super) fn depth(depth: Option<i64>) -> Result<Option<u32>, ApiError> {
    let Some(depth) = depth else { return Ok(None) };
    match u32::try_from(depth) {
        Ok(depth) if depth > 0 => Ok(Some(depth)),
        _ => Err(ApiError::invalid(format!(
            "max_depth is {depth}: give a number from 1, the span itself, to {}",
            u32::MAX
        ))),
    }
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct QueryMetrics {
    /// Seconds since 1970.
    #[serde(deserialize_with = "deserialize_integer")]
    #[cfg_attr(feature = "schema", schemars(range(min = -9_223_372_036_i64, max = 9_223_372_036_i64)))]
    start_time: i64,
    #[serde(default, deserialize_with = "deserialize_optional_integer")]
    #[cfg_attr(feature = "schema", schemars(range(min = -9_223_372_036_i64, max = 9_223_372_036_i64)))]
    end_time: Option<i64>,
    /// The length of a step; `null` returns every measurement.
    #[serde(default = "a_day")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = GRANULARITY)))]
    granularity: Option<String>,
    #[serde(default = "range")]
    query_type: MetricQueryType,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_CONDITIONS)))]
    label_matchers: Option<Vec<LabelMatcher>>,
}

/// A whole number above zero with a unit, up to 366 days.
#[cfg(feature = "schema")]
const GRANULARITY: &str = "^([1-9][0-9]{0,6}s|[1-9][0-9]{0,4}m|([1-9][0-9]{0,2}|[1-7][0-9]{3}|8[0-6][0-9]{2})h|([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-6])d|([1-9]|[1-4][0-9]|5[0-2])w)$";

impl Bounded for QueryMetrics {
    fn lists(&self) -> Vec<(&'static str, usize)> {
        vec![("label_matchers", length(&self.label_matchers))]
    }
}

fn length<T>(list: &Option<Vec<T>>) -> usize {
    list.as_ref().map_or(0, Vec::len)
}

#[expect(clippy::unnecessary_wraps, reason = "serde's default for a missing field")]
fn a_day() -> Option<String> {
    Some("1d".to_owned())
}

fn range() -> MetricQueryType {
    MetricQueryType::Range
}

impl QueryMetrics {
    pub(super) fn of(self, metric: String) -> Result<MetricQuery, ApiError> {
        let granularity = self.granularity.map(|text| text.parse::<Granularity>());
        let granularity = granularity
            .transpose()
            .map_err(|error| ApiError::invalid(format!("granularity: {error}")))?;
        Ok(MetricQuery::range(metric, time("start_time", self.start_time)?)
            .end(self.end_time.map(|end| time("end_time", end)).transpose()?)
            .granularity(granularity)
            .query_type(self.query_type)
            .matchers(self.label_matchers.unwrap_or_default()))
    }
}

fn time(name: &str, seconds: i64) -> Result<Timestamp, ApiError> {
    let nanos = seconds.checked_mul(1_000_000_000);
    nanos.map(Timestamp::from_nanos).ok_or_else(|| {
        ApiError::invalid(format!(
            "{name} is {seconds}: give seconds since 1970, in the years 1678 to 2261; milliseconds would be too many"
        ))
    })
}
