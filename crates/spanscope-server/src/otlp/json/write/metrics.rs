//! Metrics and their data points.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint,
    exemplar, number_data_point,
};
use serde_json::{Value as Json, json};

use super::{Fields, float, hex, list, pair};

pub(super) fn metric(metric: Metric) -> Json {
    let mut object = Fields::default();
    object.set("name", metric.name);
    object.set_unless_empty("unit", metric.unit);
    if let Some((kind, data)) = metric.data.map(data) {
        object.set(kind, data);
    }
    object.set_list("metadata", metric.metadata, pair);
    object.0.into()
}

fn data(data: Data) -> (&'static str, Json) {
    match data {
        Data::Gauge(of) => ("gauge", json!({"dataPoints": list(of.data_points, number)})),
        Data::Sum(of) => (
            "sum",
            json!({
                "dataPoints": list(of.data_points, number),
                "aggregationTemporality": of.aggregation_temporality,
                "isMonotonic": of.is_monotonic,
            }),
        ),
        Data::Histogram(of) => (
            "histogram",
            json!({
                "dataPoints": list(of.data_points, histogram),
                "aggregationTemporality": of.aggregation_temporality,
            }),
        ),
        Data::ExponentialHistogram(of) => (
            "exponentialHistogram",
            json!({
                "dataPoints": list(of.data_points, exponential),
                "aggregationTemporality": of.aggregation_temporality,
            }),
        ),
        Data::Summary(of) => ("summary", json!({"dataPoints": list(of.data_points, summary)})),
    }
}

fn number(point: NumberDataPoint) -> Json {
    let mut object = Fields::default();
    object.set_list("attributes", point.attributes, pair);
    object.set_whole("startTimeUnixNano", point.start_time_unix_nano);
    object.set("timeUnixNano", point.time_unix_nano.to_string());
    match point.value {
        Some(number_data_point::Value::AsInt(number)) => object.set("asInt", number.to_string()),
        Some(number_data_point::Value::AsDouble(number)) => object.set("asDouble", float(number)),
        None => {}
    }
    object.set_list("exemplars", point.exemplars, exemplar);
    object.0.into()
}

fn histogram(point: HistogramDataPoint) -> Json {
    let mut object = Fields::default();
    object.set_list("attributes", point.attributes, pair);
    object.set_whole("startTimeUnixNano", point.start_time_unix_nano);
    object.set("timeUnixNano", point.time_unix_nano.to_string());
    object.set("count", point.count.to_string());
    object.set_float("sum", point.sum);
    object.set_list("bucketCounts", point.bucket_counts, whole);
    object.set_list("explicitBounds", point.explicit_bounds, float);
    object.set_float("min", point.min);
    object.set_float("max", point.max);
    object.set_list("exemplars", point.exemplars, exemplar);
    object.0.into()
}

fn exponential(point: ExponentialHistogramDataPoint) -> Json {
    let mut object = Fields::default();
    object.set_list("attributes", point.attributes, pair);
    object.set_whole("startTimeUnixNano", point.start_time_unix_nano);
    object.set("timeUnixNano", point.time_unix_nano.to_string());
    object.set("count", point.count.to_string());
    object.set_float("sum", point.sum);
    object.set("scale", point.scale);
    object.set("zeroCount", point.zero_count.to_string());
    if let Some(positive) = point.positive {
        object.set("positive", buckets(positive));
    }
    if let Some(negative) = point.negative {
        object.set("negative", buckets(negative));
    }
    object.set_float("min", point.min);
    object.set_float("max", point.max);
    object.set("zeroThreshold", float(point.zero_threshold));
    object.set_list("exemplars", point.exemplars, exemplar);
    object.0.into()
}

fn buckets(buckets: Buckets) -> Json {
    json!({"offset": buckets.offset, "bucketCounts": list(buckets.bucket_counts, whole)})
}

fn summary(point: SummaryDataPoint) -> Json {
    let mut object = Fields::default();
    object.set_list("attributes", point.attributes, pair);
    object.set_whole("startTimeUnixNano", point.start_time_unix_nano);
    object.set("timeUnixNano", point.time_unix_nano.to_string());
    object.set("count", point.count.to_string());
    object.set("sum", float(point.sum));
    object.set_list("quantileValues", point.quantile_values, quantile);
    object.0.into()
}

fn quantile(at: ValueAtQuantile) -> Json {
    json!({"quantile": float(at.quantile), "value": float(at.value)})
}

fn exemplar(sample: Exemplar) -> Json {
    let mut object = Fields::default();
    object.set_list("filteredAttributes", sample.filtered_attributes, pair);
    object.set_whole("timeUnixNano", sample.time_unix_nano);
    match sample.value {
        Some(exemplar::Value::AsInt(number)) => object.set("asInt", number.to_string()),
        Some(exemplar::Value::AsDouble(number)) => object.set("asDouble", float(number)),
        None => {}
    }
    object.set_unless_empty("traceId", hex(&sample.trace_id));
    object.set_unless_empty("spanId", hex(&sample.span_id));
    object.0.into()
}

/// 64-bit numbers are strings.
fn whole(number: u64) -> Json {
    number.to_string().into()
}
