//! Measurements as data points.
//!
//! The store has the contribution of each measurement, and the received values of a data point
//! (counts, buckets). If the data point that combines both would not be read back as the stored
//! record, the metric's metadata contains the stored record too.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use serde_json::{Map, Value as Json};
use spanscope_model::{
    Attributes, MetricKind, NewPoint, SourceRecords, Temporality, Timestamp, Value, parse_non_finite, wire,
};

use super::{nanos, pair, pairs, text};
use crate::otlp::metrics::{StoredPoint, take_metric};
use crate::otlp::tally::RequestTally;

/// How data points of a metric are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Gauge,
    Sum { is_monotonic: bool, is_total: bool },
    Histogram { is_total: bool },
    Exponential { is_total: bool },
    Summary,
}

/// The key by which data points are grouped: the metric's name, its unit and the points' shape.
type Key<'a> = (&'a str, &'a str, Shape);

/// Returns metrics with their data points, in the order of their first ones.
pub(super) fn of_points(points: &[&NewPoint]) -> Vec<Metric> {
    let mut groups: Vec<(Key<'_>, Vec<&NewPoint>)> = Vec::new();
    for point in points {
        let key = (point.metric.as_str(), point.unit.as_str(), Shape::of(point));
        match groups.iter_mut().find(|(of, _)| *of == key) {
            Some((_, points)) => points.push(point),
            None => groups.push((key, vec![point])),
        }
    }
    groups
        .into_iter()
        .map(|((name, unit, shape), points)| {
            let mut metric = Metric {
                name: name.to_owned(),
                unit: unit.to_owned(),
                data: Some(shape.data(&points)),
                ..Metric::default()
            };
            if !is_read_as(&metric, &points) {
                metric.metadata.push(stored(&points));
            }
            metric
        })
        .collect()
}

/// Returns whether the data points contain everything that is stored.
fn is_read_as(metric: &Metric, points: &[&NewPoint]) -> bool {
    let mut records = SourceRecords::default();
    take_metric(
        metric.clone(),
        &mut records,
        &mut RequestTally::new(usize::MAX, None),
    );
    let is_same = |(read, point): (&NewPoint, &&NewPoint)| {
        read.value == point.value && read.detail == point.detail && read.temporality == Temporality::Delta
    };
    records.points.len() == points.len() && records.points.iter().zip(points).all(is_same)
}

fn stored(points: &[&NewPoint]) -> KeyValue {
    let stored: Vec<StoredPoint> = points
        .iter()
        .map(|point| StoredPoint {
            value: point.value.clone(),
            detail: point.detail.clone(),
        })
        .collect();
    // Numbers and JSON can always be written.
    pair(
        wire::POINTS,
        text(&serde_json::to_string(&stored).unwrap_or_default()),
    )
}

impl Shape {
    fn of(point: &NewPoint) -> Self {
        let detail = Detail(point.detail.as_ref().and_then(Json::as_object));
        let is_total = detail.text("temporality") == Some("cumulative");
        match point.kind {
            MetricKind::Counter => Self::Sum {
                is_monotonic: true,
                is_total: detail.get("total").is_some(),
            },
            MetricKind::Gauge if detail.get("total").is_some() => Self::Sum {
                is_monotonic: false,
                is_total: true,
            },
            MetricKind::Gauge => Self::Gauge,
            MetricKind::Histogram if detail.get("quantiles").is_some() => Self::Summary,
            MetricKind::Histogram if detail.get("scale").is_some() => Self::Exponential { is_total },
            MetricKind::Histogram => Self::Histogram { is_total },
        }
    }

    fn data(self, points: &[&NewPoint]) -> Data {
        let temporality = |is_total: bool| match is_total {
            true => AggregationTemporality::Cumulative as i32,
            false => AggregationTemporality::Delta as i32,
        };
        match self {
            Self::Gauge => Data::Gauge(Gauge {
                data_points: all(points, number),
            }),
            Self::Sum {
                is_monotonic,
                is_total,
            } => Data::Sum(Sum {
                data_points: all(points, number),
                aggregation_temporality: temporality(is_total),
                is_monotonic,
            }),
            Self::Histogram { is_total } => Data::Histogram(Histogram {
                data_points: all(points, histogram),
                aggregation_temporality: temporality(is_total),
            }),
            Self::Exponential { is_total } => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: all(points, exponential),
                aggregation_temporality: temporality(is_total),
            }),
            Self::Summary => Data::Summary(Summary {
                data_points: all(points, summary),
            }),
        }
    }
}

fn all<T>(points: &[&NewPoint], of: fn(&NewPoint, Detail<'_>) -> T) -> Vec<T> {
    points
        .iter()
        .map(|point| of(point, Detail(point.detail.as_ref().and_then(Json::as_object))))
        .collect()
}

fn number(point: &NewPoint, detail: Detail<'_>) -> NumberDataPoint {
    let total = detail.get("total").cloned().map(Value::from);
    let value = total
        .filter(|total| total.as_f64().is_some())
        .unwrap_or_else(|| point.value.clone());
    NumberDataPoint {
        attributes: labels(point),
        start_time_unix_nano: detail.start(),
        time_unix_nano: nanos(point.timestamp),
        exemplars: exemplars(point, detail),
        value: Some(match value.as_i64() {
            Some(number) => number_data_point::Value::AsInt(number),
            None => number_data_point::Value::AsDouble(value.as_f64().unwrap_or_default()),
        }),
        ..NumberDataPoint::default()
    }
}

/// A point without a count is one observation.
fn histogram(point: &NewPoint, detail: Detail<'_>) -> HistogramDataPoint {
    let has_count = detail.get("count").is_some();
    HistogramDataPoint {
        attributes: labels(point),
        start_time_unix_nano: detail.start(),
        time_unix_nano: nanos(point.timestamp),
        count: if has_count { detail.whole("count") } else { 1 },
        sum: match has_count {
            true => detail.float("sum"),
            false => point.value.as_f64(),
        },
        bucket_counts: wholes(detail.get("bucket_counts")),
        explicit_bounds: floats(detail.get("explicit_bounds")),
        exemplars: exemplars(point, detail),
        min: detail.float("min"),
        max: detail.float("max"),
        ..HistogramDataPoint::default()
    }
}

fn exponential(point: &NewPoint, detail: Detail<'_>) -> ExponentialHistogramDataPoint {
    let small = |number: Option<&Json>| number.and_then(Json::as_i64).and_then(|n| n.try_into().ok());
    let buckets = |key: &str| {
        let buckets = detail.get(key)?;
        Some(Buckets {
            offset: small(buckets.get("offset")).unwrap_or_default(),
            bucket_counts: wholes(buckets.get("bucket_counts")),
        })
    };
    ExponentialHistogramDataPoint {
        attributes: labels(point),
        start_time_unix_nano: detail.start(),
        time_unix_nano: nanos(point.timestamp),
        count: detail.whole("count"),
        sum: detail.float("sum"),
        scale: small(detail.get("scale")).unwrap_or_default(),
        zero_count: detail.whole("zero_count"),
        positive: buckets("positive"),
        negative: buckets("negative"),
        exemplars: exemplars(point, detail),
        min: detail.float("min"),
        max: detail.float("max"),
        zero_threshold: detail.float("zero_threshold").unwrap_or_default(),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn summary(point: &NewPoint, detail: Detail<'_>) -> SummaryDataPoint {
    let quantiles = detail.get("quantiles").and_then(Json::as_array);
    SummaryDataPoint {
        attributes: labels(point),
        start_time_unix_nano: detail.start(),
        time_unix_nano: nanos(point.timestamp),
        count: detail.whole("count"),
        sum: detail.float("sum").unwrap_or_default(),
        quantile_values: quantiles
            .into_iter()
            .flatten()
            .map(|at| ValueAtQuantile {
                quantile: at.get("quantile").and_then(float).unwrap_or_default(),
                value: at.get("value").and_then(float).unwrap_or_default(),
            })
            .collect(),
        ..SummaryDataPoint::default()
    }
}

fn labels(point: &NewPoint) -> Vec<KeyValue> {
    point
        .labels
        .iter()
        .map(|(key, value)| pair(key, text(value)))
        .collect()
}

/// Returns the exemplars that were sent, or one with the point's span.
fn exemplars(point: &NewPoint, detail: Detail<'_>) -> Vec<Exemplar> {
    let sent: Vec<Exemplar> = detail
        .get("exemplars")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(exemplar)
        .collect();
    match (sent.is_empty(), point.trace_id) {
        (true, Some(trace_id)) => vec![Exemplar {
            time_unix_nano: nanos(point.timestamp),
            trace_id: trace_id.to_bytes().to_vec(),
            span_id: point.span_id.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
            value: exemplar_value(&point.value),
            ..Exemplar::default()
        }],
        _ => sent,
    }
}

fn exemplar(sample: &Json) -> Exemplar {
    let word = |key: &str| sample.get(key).and_then(Json::as_str).unwrap_or_default();
    let time = word("time").parse::<Timestamp>();
    let attributes = sample.get("attributes").cloned().unwrap_or_default();
    let attributes: Attributes = serde_json::from_value(attributes).unwrap_or_default();
    Exemplar {
        filtered_attributes: pairs(&attributes),
        time_unix_nano: time.map(nanos).unwrap_or_default(),
        trace_id: word("trace_id")
            .parse()
            .map(|id: spanscope_model::TraceId| id.to_bytes().to_vec())
            .unwrap_or_default(),
        span_id: word("span_id")
            .parse()
            .map(|id: spanscope_model::SpanId| id.to_bytes().to_vec())
            .unwrap_or_default(),
        value: sample.get("value").and_then(|value| match value.as_i64() {
            Some(number) => Some(exemplar::Value::AsInt(number)),
            None => float(value).map(exemplar::Value::AsDouble),
        }),
    }
}

fn exemplar_value(value: &Value) -> Option<exemplar::Value> {
    match value.as_i64() {
        Some(number) => Some(exemplar::Value::AsInt(number)),
        None => value.as_f64().map(exemplar::Value::AsDouble),
    }
}

/// The data in addition to a number, as [`detail`](crate::otlp::detail) writes it.
#[derive(Clone, Copy)]
struct Detail<'a>(Option<&'a Map<String, Json>>);

impl<'a> Detail<'a> {
    fn get(self, key: &str) -> Option<&'a Json> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    fn text(self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_str()
    }

    fn whole(self, key: &str) -> u64 {
        self.get(key).and_then(Json::as_u64).unwrap_or_default()
    }

    fn float(self, key: &str) -> Option<f64> {
        self.get(key).and_then(float)
    }

    fn start(self) -> u64 {
        let start = self.text("start").and_then(|start| start.parse().ok());
        start.map(nanos).unwrap_or_default()
    }
}

fn float(value: &Json) -> Option<f64> {
    match value {
        Json::String(name) => parse_non_finite(name),
        value => value.as_f64(),
    }
}

fn floats(list: Option<&Json>) -> Vec<f64> {
    let list = list.and_then(Json::as_array);
    list.into_iter().flatten().filter_map(float).collect()
}

fn wholes(list: Option<&Json>) -> Vec<u64> {
    let list = list.and_then(Json::as_array);
    list.into_iter().flatten().filter_map(Json::as_u64).collect()
}
