//! Metrics and their data points.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};

use super::common::{self, or_left_out};
use super::invalid_value::InvalidValue;
use super::node::Node;
use super::object::Object;
use crate::otlp::tally::{RequestTally, quoted};

/// The fields that hold data points; a metric has one of them.
const KINDS: [&str; 5] = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];

/// Returns how many data points are lost with a metric that can't be read.
pub(super) fn points(metric: &Node<'_>) -> u64 {
    let points = KINDS
        .iter()
        .find_map(|kind| metric.get(kind)?.get("dataPoints")?.items());
    points.map_or(1, |points| points as u64)
}

/// Reads a metric. Data points are records, so each invalid one is rejected alone; they are read
/// last, so that none is rejected alone and then again with the metric.
pub(super) fn metric(metric: Node<'_>, tally: &mut RequestTally) -> Result<Metric, InvalidValue> {
    let mut metric = Object::of(metric)?;
    Ok(Metric {
        name: metric.text("name")?,
        description: or_left_out(metric.text("description"), tally),
        unit: or_left_out(metric.text("unit"), tally),
        metadata: common::attributes(&mut metric, "metadata", tally).0,
        data: data(&mut metric, tally)?,
    })
}

fn data(metric: &mut Object<'_>, tally: &mut RequestTally) -> Result<Option<Data>, InvalidValue> {
    for kind in KINDS {
        let data = metric.message(kind, |mut data| {
            Ok(match kind {
                "gauge" => Data::Gauge(Gauge {
                    data_points: points_of(&mut data, tally, number)?,
                }),
                "sum" => Data::Sum(Sum {
                    aggregation_temporality: temporality(&mut data)?,
                    is_monotonic: data.truth("isMonotonic")?,
                    data_points: points_of(&mut data, tally, number)?,
                }),
                "histogram" => Data::Histogram(Histogram {
                    aggregation_temporality: temporality(&mut data)?,
                    data_points: points_of(&mut data, tally, histogram)?,
                }),
                "exponentialHistogram" => Data::ExponentialHistogram(ExponentialHistogram {
                    aggregation_temporality: temporality(&mut data)?,
                    data_points: points_of(&mut data, tally, exponential)?,
                }),
                _ => Data::Summary(Summary {
                    data_points: points_of(&mut data, tally, summary)?,
                }),
            })
        })?;
        if data.is_some() {
            return Ok(data);
        }
    }
    match metric.first_object() {
        None => Ok(None),
        Some(other) => Err(InvalidValue::new(format!(
            "it has none of the kinds {} but {}",
            KINDS.join(", "),
            quoted(other)
        ))),
    }
}

fn points_of<T>(
    data: &mut Object<'_>,
    tally: &mut RequestTally,
    read: fn(Node<'_>, &mut RequestTally) -> Result<T, InvalidValue>,
) -> Result<Vec<T>, InvalidValue> {
    data.records("dataPoints", tally, |_| 1, read)
}

fn temporality(object: &mut Object<'_>) -> Result<i32, InvalidValue> {
    object.one_of("aggregationTemporality", "AGGREGATION_TEMPORALITY_", |name| {
        Some(AggregationTemporality::from_str_name(name)? as i32)
    })
}

fn number(point: Node<'_>, tally: &mut RequestTally) -> Result<NumberDataPoint, InvalidValue> {
    let mut point = Object::of(point)?;
    Ok(NumberDataPoint {
        attributes: common::attributes(&mut point, "attributes", tally).0,
        start_time_unix_nano: point.time("startTimeUnixNano", tally)?,
        time_unix_nano: point.time("timeUnixNano", tally)?,
        exemplars: exemplars(&mut point, tally),
        flags: or_left_out(point.whole("flags"), tally),
        value: match (maybe_whole(&mut point, "asInt")?, point.maybe_float("asDouble")?) {
            (Some(number), _) => Some(number_data_point::Value::AsInt(number)),
            (None, number) => number.map(number_data_point::Value::AsDouble),
        },
    })
}

fn histogram(point: Node<'_>, tally: &mut RequestTally) -> Result<HistogramDataPoint, InvalidValue> {
    let mut point = Object::of(point)?;
    Ok(HistogramDataPoint {
        attributes: common::attributes(&mut point, "attributes", tally).0,
        start_time_unix_nano: point.time("startTimeUnixNano", tally)?,
        time_unix_nano: point.time("timeUnixNano", tally)?,
        count: point.whole("count")?,
        sum: point.maybe_float("sum")?,
        bucket_counts: point.wholes("bucketCounts")?,
        explicit_bounds: point.floats("explicitBounds")?,
        exemplars: exemplars(&mut point, tally),
        flags: or_left_out(point.whole("flags"), tally),
        min: point.maybe_float("min")?,
        max: point.maybe_float("max")?,
    })
}

fn exponential(
    point: Node<'_>,
    tally: &mut RequestTally,
) -> Result<ExponentialHistogramDataPoint, InvalidValue> {
    let mut point = Object::of(point)?;
    Ok(ExponentialHistogramDataPoint {
        attributes: common::attributes(&mut point, "attributes", tally).0,
        start_time_unix_nano: point.time("startTimeUnixNano", tally)?,
        time_unix_nano: point.time("timeUnixNano", tally)?,
        count: point.whole("count")?,
        sum: point.maybe_float("sum")?,
        scale: point.whole("scale")?,
        zero_count: point.whole("zeroCount")?,
        positive: point.message("positive", buckets)?,
        negative: point.message("negative", buckets)?,
        flags: or_left_out(point.whole("flags"), tally),
        exemplars: exemplars(&mut point, tally),
        min: point.maybe_float("min")?,
        max: point.maybe_float("max")?,
        zero_threshold: point.float("zeroThreshold")?,
    })
}

fn buckets(mut buckets: Object<'_>) -> Result<Buckets, InvalidValue> {
    Ok(Buckets {
        offset: buckets.whole("offset")?,
        bucket_counts: buckets.wholes("bucketCounts")?,
    })
}

fn summary(point: Node<'_>, tally: &mut RequestTally) -> Result<SummaryDataPoint, InvalidValue> {
    let mut point = Object::of(point)?;
    Ok(SummaryDataPoint {
        attributes: common::attributes(&mut point, "attributes", tally).0,
        start_time_unix_nano: point.time("startTimeUnixNano", tally)?,
        time_unix_nano: point.time("timeUnixNano", tally)?,
        count: point.whole("count")?,
        sum: point.float("sum")?,
        quantile_values: point.list("quantileValues", |at| {
            let mut at = Object::of(at)?;
            Ok(ValueAtQuantile {
                quantile: at.float("quantile")?,
                value: at.float("value")?,
            })
        })?,
        flags: or_left_out(point.whole("flags"), tally),
    })
}

/// Returns the readable exemplars. The others are left out: they only illustrate their point.
fn exemplars(point: &mut Object<'_>, tally: &mut RequestTally) -> Vec<Exemplar> {
    let exemplars = point.list("exemplars", |sample| {
        let read = exemplar(sample, tally);
        Ok(or_left_out(read.map(Some), tally))
    });
    or_left_out(exemplars, tally).into_iter().flatten().collect()
}

fn exemplar(exemplar: Node<'_>, tally: &mut RequestTally) -> Result<Exemplar, InvalidValue> {
    let mut exemplar = Object::of(exemplar)?;
    Ok(Exemplar {
        filtered_attributes: common::attributes(&mut exemplar, "filteredAttributes", tally).0,
        time_unix_nano: exemplar.time("timeUnixNano", tally)?,
        // As in protobuf: invalid ids of an exemplar are ignored, and reject no data point.
        span_id: exemplar.id("spanId", tally).unwrap_or_default(),
        trace_id: exemplar.id("traceId", tally).unwrap_or_default(),
        value: match (
            maybe_whole(&mut exemplar, "asInt")?,
            exemplar.maybe_float("asDouble")?,
        ) {
            (Some(number), _) => Some(exemplar::Value::AsInt(number)),
            (None, number) => number.map(exemplar::Value::AsDouble),
        },
    })
}

/// Reads a whole number whose absence differs from zero.
fn maybe_whole(object: &mut Object<'_>, field: &str) -> Result<Option<i64>, InvalidValue> {
    if object.is_null(field) {
        return Ok(None);
    }
    object.whole(field).map(Some)
}
