//! Data points of a metrics request.

use std::mem::take;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Exemplar, Metric, NumberDataPoint, number_data_point,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use spanscope_model::{
    MetricKind, NewPoint, SourceRecords, Temporality, Timestamp, Value, stored_metric_name, wire,
};

use super::attributes::attributes;
use super::detail::{self, SentTemporality};
use super::ids;
use super::sources::{ResourceRecords, ScopeRecords, by_source};
use super::tally::{RequestTally, quoted};

pub(super) fn records(request: ExportMetricsServiceRequest, tally: &mut RequestTally) -> Vec<SourceRecords> {
    let sent = request.resource_metrics.into_iter().map(|of| ResourceRecords {
        resource: of.resource,
        schema_url: of.schema_url,
        scopes: of
            .scope_metrics
            .into_iter()
            .map(|of| ScopeRecords {
                scope: of.scope,
                schema_url: of.schema_url,
                sent: of.metrics,
            })
            .collect(),
    });
    by_source(sent, tally, points, take_metric)
}

/// Returns how many data points a metric has. One of an unknown kind has none: its contents were
/// not even read.
fn points(metric: &Metric) -> u64 {
    let points = match &metric.data {
        Some(Data::Gauge(of)) => of.data_points.len(),
        Some(Data::Sum(of)) => of.data_points.len(),
        Some(Data::Histogram(of)) => of.data_points.len(),
        Some(Data::ExponentialHistogram(of)) => of.data_points.len(),
        Some(Data::Summary(of)) => of.data_points.len(),
        None => 0,
    };
    points as u64
}

/// A measurement as a store has it, in the metadata of an exported metric.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredPoint {
    pub(super) value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<Json>,
}

pub(super) fn take_metric(metric: Metric, records: &mut SourceRecords, tally: &mut RequestTally) {
    let before = records.points.len();
    let stored = stored_points(&metric.metadata);
    take_points(metric, records, tally);
    if let Some(points) = records.points.get_mut(before..)
        && points.len() == stored.len()
    {
        for (point, stored) in points.iter_mut().zip(stored) {
            point.value = stored.value;
            point.detail = stored.detail;
            point.temporality = Temporality::Delta;
        }
    }
}

/// Returns the stored measurements in an export's metadata; empty if they are not in its form.
fn stored_points(metadata: &[KeyValue]) -> Vec<StoredPoint> {
    let text = metadata.iter().find(|pair| pair.key == wire::POINTS);
    let text = text.and_then(|pair| match pair.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.as_str()),
        _ => None,
    });
    let points: Vec<StoredPoint> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let is_point = |point: &StoredPoint| {
        point.value.as_f64().is_some_and(f64::is_finite) && point.detail.as_ref().is_none_or(Json::is_object)
    };
    match points.iter().all(is_point) {
        true => points,
        false => Vec::new(),
    }
}

fn take_points(metric: Metric, records: &mut SourceRecords, tally: &mut RequestTally) {
    let mut series = Series {
        name: stored_metric_name(&metric.name),
        unit: &metric.unit,
        points: &mut records.points,
        tally,
    };
    match metric.data {
        Some(Data::Gauge(gauge)) => {
            for point in gauge.data_points {
                series.take_number(point, &Ok((MetricKind::Gauge, Aggregation::Delta)));
            }
        }
        Some(Data::Sum(sum)) => {
            let temporality = temporality(sum.aggregation_temporality);
            let aggregation = temporality.map(|temporality| match (sum.is_monotonic, temporality) {
                (true, SentTemporality::Cumulative) => (MetricKind::Counter, Aggregation::Total),
                // A total that increases and decreases is a state: a queue's length.
                (false, SentTemporality::Cumulative) => (MetricKind::Gauge, Aggregation::State),
                (_, SentTemporality::Delta) => (MetricKind::Counter, Aggregation::Delta),
            });
            for point in sum.data_points {
                series.take_number(point, &aggregation);
            }
        }
        Some(Data::Histogram(histogram)) => {
            let temporality = temporality(histogram.aggregation_temporality);
            for mut point in histogram.data_points {
                let common = Common {
                    attributes: take(&mut point.attributes),
                    start: point.start_time_unix_nano,
                    time: point.time_unix_nano,
                    flags: point.flags,
                    exemplars: take(&mut point.exemplars),
                };
                series.take(common, |start| {
                    let temporality = temporality.clone()?;
                    Ok(Measured::distribution(
                        point.sum.unwrap_or(0.0),
                        temporality,
                        start,
                        detail::histogram(&point, temporality, start),
                    ))
                });
            }
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let temporality = temporality(histogram.aggregation_temporality);
            for mut point in histogram.data_points {
                let common = Common {
                    attributes: take(&mut point.attributes),
                    start: point.start_time_unix_nano,
                    time: point.time_unix_nano,
                    flags: point.flags,
                    exemplars: take(&mut point.exemplars),
                };
                series.take(common, |start| {
                    let temporality = temporality.clone()?;
                    Ok(Measured::distribution(
                        point.sum.unwrap_or(0.0),
                        temporality,
                        start,
                        detail::exponential(&point, temporality, start),
                    ))
                });
            }
        }
        Some(Data::Summary(summary)) => {
            for mut point in summary.data_points {
                let common = Common {
                    attributes: take(&mut point.attributes),
                    start: point.start_time_unix_nano,
                    time: point.time_unix_nano,
                    flags: point.flags,
                    exemplars: Vec::new(), // a summary has none
                };
                series.take(common, |start| {
                    // A summary has no temporality; its count and its sum are totals.
                    Ok(Measured::distribution(
                        point.sum,
                        SentTemporality::Cumulative,
                        start,
                        detail::summary(&point, start),
                    ))
                });
            }
        }
        None => {
            let name = quoted(series.name);
            series
                .tally
                .leave_out_part(|| format!("metric {name}: it has no data points of a known kind"));
        }
    }
}

fn temporality(number: i32) -> Result<SentTemporality, String> {
    match AggregationTemporality::try_from(number) {
        Ok(AggregationTemporality::Delta) => Ok(SentTemporality::Delta),
        Ok(AggregationTemporality::Cumulative) => Ok(SentTemporality::Cumulative),
        _ => Err(format!(
            "its aggregation temporality is {number}, so it can't be aggregated: give 1 for delta or 2 for cumulative"
        )),
    }
}

/// How a number is aggregated.
#[derive(Clone, Copy)]
enum Aggregation {
    Delta,
    /// A total that is stored as a gauge.
    State,
    /// A total whose increase is stored.
    Total,
}

/// The common fields of all data points.
struct Common {
    attributes: Vec<KeyValue>,
    start: u64,
    time: u64,
    flags: u32,
    exemplars: Vec<Exemplar>,
}

/// The contents of one data point.
struct Measured {
    kind: MetricKind,
    value: Value,
    temporality: Temporality,
    detail: Map<String, Json>,
}

impl Measured {
    fn distribution(
        sum: f64,
        temporality: SentTemporality,
        start: Option<Timestamp>,
        detail: Map<String, Json>,
    ) -> Self {
        Self {
            kind: MetricKind::Histogram,
            value: Value::F64(sum),
            temporality: match temporality {
                SentTemporality::Delta => Temporality::Delta,
                SentTemporality::Cumulative => since(start),
            },
            detail,
        }
    }
}

/// A total without a start counts as one since time zero, which is equally unknown to the store.
fn since(start: Option<Timestamp>) -> Temporality {
    Temporality::Cumulative {
        start: start.unwrap_or_default(),
    }
}

/// The data points of one metric.
struct Series<'a> {
    name: &'a str,
    unit: &'a str,
    points: &'a mut Vec<NewPoint>,
    tally: &'a mut RequestTally,
}

impl Series<'_> {
    fn take_number(
        &mut self,
        mut point: NumberDataPoint,
        aggregation: &Result<(MetricKind, Aggregation), String>,
    ) {
        let common = Common {
            attributes: take(&mut point.attributes),
            start: point.start_time_unix_nano,
            time: point.time_unix_nano,
            flags: point.flags,
            exemplars: take(&mut point.exemplars),
        };
        self.take(common, |start| {
            let (kind, aggregation) = aggregation.clone()?;
            let value = match point.value {
                Some(number_data_point::Value::AsInt(number)) => Value::I64(number),
                Some(number_data_point::Value::AsDouble(number)) => Value::F64(number),
                None => return Err("it has no number: give asInt or asDouble".to_owned()),
            };
            let detail = match aggregation {
                Aggregation::Delta => Map::new(),
                Aggregation::State | Aggregation::Total => detail::total(&value, start),
            };
            let temporality = match aggregation {
                Aggregation::Delta | Aggregation::State => Temporality::Delta,
                Aggregation::Total => since(start),
            };
            Ok(Measured {
                kind,
                value,
                temporality,
                detail,
            })
        });
    }

    /// Adds one data point, or rejects it with a reason.
    fn take(&mut self, common: Common, measured: impl FnOnce(Option<Timestamp>) -> Result<Measured, String>) {
        // The stream reports that it measured nothing. There is no number to store, and no error to
        // report either.
        if common.flags & DataPointFlags::NoRecordedValueMask as u32 != 0 {
            return;
        }
        match self.point(common, measured) {
            Ok(point) => self.points.push(point),
            Err(why) => {
                let name = quoted(self.name);
                self.tally
                    .reject(1, format!("data point of metric {name}: {why}"));
            }
        }
    }

    fn point(
        &mut self,
        common: Common,
        measured: impl FnOnce(Option<Timestamp>) -> Result<Measured, String>,
    ) -> Result<NewPoint, String> {
        if self.name.is_empty() {
            return Err("the metric has no name: give one".to_owned());
        }
        let timestamp =
            ids::time(common.time, "time")?.ok_or("it has no time: give nanoseconds since 1970")?;
        self.tally.see_time(common.time);
        let start = ids::time(common.start, "start")?;
        let mut measured = measured(start)?;
        if let Value::F64(number) = measured.value
            && !number.is_finite()
        {
            return Err(format!("its value is {number}: give a finite number"));
        }
        self.tally.copy(self.name.len() + self.unit.len())?;
        let (trace_id, span_id) = detail::only_exemplar_ids(&common.exemplars);
        detail::add_exemplars(&mut measured.detail, common.exemplars);
        let mut labels: Vec<(String, String)> = attributes(common.attributes)
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_string()))
            .collect();
        // By name, as in the model: the same labels in another order are the same stream.
        labels.sort_unstable();
        Ok(
            NewPoint::new(self.name.to_owned(), measured.value, measured.kind, timestamp)
                .temporality(measured.temporality)
                .unit(self.unit.to_owned())
                .labels(labels)
                .trace_id(trace_id)
                .span_id(span_id)
                .detail((!measured.detail.is_empty()).then_some(Json::Object(measured.detail))),
        )
    }
}
