//! The data of a data point in addition to its number, as JSON for the store.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, SummaryDataPoint, exemplar,
};
use serde_json::{Map, Value as Json, json};
use spanscope_model::{SpanId, Timestamp, TraceId, Value};

use super::attributes::{attributes, float};
use super::ids;

/// Whether a number counts from the previous one (delta) or from a start (cumulative).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentTemporality {
    Delta,
    Cumulative,
}

type Detail = Map<String, Json>;

/// Returns the detail of a sum that was sent as a total. The store may convert the point's value to
/// a difference, so the detail keeps the total.
pub(super) fn total(value: &Value, start: Option<Timestamp>) -> Detail {
    let mut detail = Detail::new();
    let total = match value {
        Value::F64(number) => float(*number),
        Value::I64(number) => (*number).into(),
        _ => Json::Null, // a number of OTLP is one of the two
    };
    set(&mut detail, "total", total);
    set_start(&mut detail, start);
    detail
}

pub(super) fn histogram(
    point: &HistogramDataPoint,
    temporality: SentTemporality,
    start: Option<Timestamp>,
) -> Detail {
    let mut detail = distribution(point.count, point.sum, point.min, point.max);
    // Without buckets it is only a count and a sum.
    if !(point.bucket_counts.is_empty() && point.explicit_bounds.is_empty()) {
        set(
            &mut detail,
            "bucket_counts",
            point.bucket_counts.as_slice().into(),
        );
        let bounds = point.explicit_bounds.iter().copied().map(float).collect();
        set(&mut detail, "explicit_bounds", bounds);
    }
    set_temporality(&mut detail, temporality);
    set_start(&mut detail, start);
    detail
}

pub(super) fn exponential(
    point: &ExponentialHistogramDataPoint,
    temporality: SentTemporality,
    start: Option<Timestamp>,
) -> Detail {
    let mut detail = distribution(point.count, point.sum, point.min, point.max);
    set(&mut detail, "scale", point.scale.into());
    set(&mut detail, "zero_count", point.zero_count.into());
    set(&mut detail, "zero_threshold", float(point.zero_threshold));
    let buckets =
        |buckets: &Buckets| json!({"offset": buckets.offset, "bucket_counts": buckets.bucket_counts});
    if let Some(positive) = &point.positive {
        set(&mut detail, "positive", buckets(positive));
    }
    if let Some(negative) = &point.negative {
        set(&mut detail, "negative", buckets(negative));
    }
    set_temporality(&mut detail, temporality);
    set_start(&mut detail, start);
    detail
}

pub(super) fn summary(point: &SummaryDataPoint, start: Option<Timestamp>) -> Detail {
    let mut detail = Detail::new();
    set(&mut detail, "count", point.count.into());
    set(&mut detail, "sum", float(point.sum));
    let quantiles = point
        .quantile_values
        .iter()
        .map(|at| json!({"quantile": float(at.quantile), "value": float(at.value)}));
    set(&mut detail, "quantiles", quantiles.collect());
    set_start(&mut detail, start);
    detail
}

/// Returns the ids of a point's only exemplar. Of several, none represents the point more than the
/// others.
pub(super) fn only_exemplar_ids(exemplars: &[Exemplar]) -> (Option<TraceId>, Option<SpanId>) {
    match exemplars {
        [only] => exemplar_ids(only),
        _ => (None, None),
    }
}

/// Adds exemplars, each with its span.
pub(super) fn add_exemplars(detail: &mut Detail, exemplars: Vec<Exemplar>) {
    if !exemplars.is_empty() {
        let exemplars = exemplars.into_iter().map(exemplar_json).collect();
        set(detail, "exemplars", exemplars);
    }
}

/// Invalid ids are left out: an exemplar only illustrates its point.
fn exemplar_ids(exemplar: &Exemplar) -> (Option<TraceId>, Option<SpanId>) {
    let trace = ids::trace_id(&exemplar.trace_id).unwrap_or_default();
    let span = ids::span_id(&exemplar.span_id, "span id").unwrap_or_default();
    (trace, span.filter(|_| trace.is_some()))
}

fn exemplar_json(exemplar: Exemplar) -> Json {
    let mut object = Detail::new();
    let (trace_id, span_id) = exemplar_ids(&exemplar);
    match exemplar.value {
        Some(exemplar::Value::AsInt(number)) => set(&mut object, "value", number.into()),
        Some(exemplar::Value::AsDouble(number)) => set(&mut object, "value", float(number)),
        None => {}
    }
    if let Ok(Some(time)) = ids::time(exemplar.time_unix_nano, "time") {
        set(&mut object, "time", time.to_string().into());
    }
    if let Some(trace_id) = trace_id {
        set(&mut object, "trace_id", trace_id.to_string().into());
    }
    if let Some(span_id) = span_id {
        set(&mut object, "span_id", span_id.to_string().into());
    }
    if !exemplar.filtered_attributes.is_empty() {
        let attributes = attributes(exemplar.filtered_attributes);
        // Attributes are an object with texts for keys, which can always be written.
        let attributes = serde_json::to_value(attributes).unwrap_or_default();
        set(&mut object, "attributes", attributes);
    }
    Json::Object(object)
}

/// A missing sum is null and not left out: the point's own value is then 0.
fn distribution(count: u64, sum: Option<f64>, min: Option<f64>, max: Option<f64>) -> Detail {
    let mut detail = Detail::new();
    set(&mut detail, "count", count.into());
    set(&mut detail, "sum", sum.map_or(Json::Null, float));
    if let Some(min) = min {
        set(&mut detail, "min", float(min));
    }
    if let Some(max) = max {
        set(&mut detail, "max", float(max));
    }
    detail
}

fn set_temporality(detail: &mut Detail, temporality: SentTemporality) {
    let word = match temporality {
        SentTemporality::Delta => "delta",
        SentTemporality::Cumulative => "cumulative",
    };
    set(detail, "temporality", word.into());
}

fn set_start(detail: &mut Detail, start: Option<Timestamp>) {
    if let Some(start) = start {
        set(detail, "start", start.to_string().into());
    }
}

fn set(detail: &mut Detail, key: &str, value: Json) {
    detail.insert(key.to_owned(), value);
}
