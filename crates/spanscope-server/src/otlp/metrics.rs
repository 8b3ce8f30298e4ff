//! Data points of a metrics request.

use std::mem::take;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Exemplar, Metric, NumberDataPoint, number_data_point,
};
use serde_json::{Map, Value as Json};
use spanscope_model::{Adds, MetricKind, NewPoint, SourceRecords, Timestamp, Value, stored_metric_name};

use super::attributes::attributes;
use super::detail::{self, Temporality};
use super::ids;
use super::sources::{OfResource, OfScope, by_source};
use super::tally::{RequestTally, shown};

pub(super) fn records(request: ExportMetricsServiceRequest, tally: &mut RequestTally) -> Vec<SourceRecords> {
    let sent = request.resource_metrics.into_iter().map(|of| OfResource {
        resource: of.resource,
        schema_url: of.schema_url,
        scopes: of
            .scope_metrics
            .into_iter()
            .map(|of| OfScope {
                scope: of.scope,
                schema_url: of.schema_url,
                sent: of.metrics,
            })
            .collect(),
    });
    by_source(sent, tally, points, take_metric)
}

/// How many data points a metric has. One of a kind that is not known here has none: what it holds was not even read.
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

fn take_metric(metric: Metric, records: &mut SourceRecords, tally: &mut RequestTally) {
    let mut series = Series {
        name: stored_metric_name(&metric.name),
        unit: &metric.unit,
        points: &mut records.points,
        tally,
    };
    match metric.data {
        Some(Data::Gauge(gauge)) => {
            for point in gauge.data_points {
                series.take_number(point, &Ok((MetricKind::Gauge, Adding::Alone)));
            }
        }
        Some(Data::Sum(sum)) => {
            let temporality = temporality(sum.aggregation_temporality);
            let adding = temporality.map(|temporality| match (sum.is_monotonic, temporality) {
                (true, Temporality::Cumulative) => (MetricKind::Counter, Adding::Total),
                // What goes up and down is a state when its total is sent: a queue's length.
                (false, Temporality::Cumulative) => (MetricKind::Gauge, Adding::State),
                (_, Temporality::Delta) => (MetricKind::Counter, Adding::Alone),
            });
            for point in sum.data_points {
                series.take_number(point, &adding);
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
                    // A summary says no temporality; its count and its sum are totals.
                    Ok(Measured::distribution(
                        point.sum,
                        Temporality::Cumulative,
                        start,
                        detail::summary(&point, start),
                    ))
                });
            }
        }
        None => {}
    }
}

fn temporality(number: i32) -> Result<Temporality, String> {
    match AggregationTemporality::try_from(number) {
        Ok(AggregationTemporality::Delta) => Ok(Temporality::Delta),
        Ok(AggregationTemporality::Cumulative) => Ok(Temporality::Cumulative),
        _ => Err(format!(
            "its aggregation temporality is {number}, so nobody can add it up: give 1 for delta or 2 for cumulative"
        )),
    }
}

/// How a number is to be added up.
#[derive(Clone, Copy)]
enum Adding {
    Alone,
    /// A total that stands for itself.
    State,
    Total,
}

/// What all data points have.
struct Common {
    attributes: Vec<KeyValue>,
    start: u64,
    time: u64,
    flags: u32,
    exemplars: Vec<Exemplar>,
}

/// What one data point says.
struct Measured {
    kind: MetricKind,
    value: Value,
    adds: Adds,
    detail: Map<String, Json>,
}

impl Measured {
    fn distribution(
        sum: f64,
        temporality: Temporality,
        start: Option<Timestamp>,
        detail: Map<String, Json>,
    ) -> Self {
        Self {
            kind: MetricKind::Histogram,
            value: Value::F64(sum),
            adds: match temporality {
                Temporality::Delta => Adds::Alone,
                Temporality::Cumulative => since(start),
            },
            detail,
        }
    }
}

/// A total whose start was not said is one since time zero, which is as unknown to the store.
fn since(start: Option<Timestamp>) -> Adds {
    Adds::Since(start.unwrap_or_default())
}

/// The data points of one metric.
struct Series<'a> {
    name: &'a str,
    unit: &'a str,
    points: &'a mut Vec<NewPoint>,
    tally: &'a mut RequestTally,
}

impl Series<'_> {
    fn take_number(&mut self, mut point: NumberDataPoint, adding: &Result<(MetricKind, Adding), String>) {
        let common = Common {
            attributes: take(&mut point.attributes),
            start: point.start_time_unix_nano,
            time: point.time_unix_nano,
            flags: point.flags,
            exemplars: take(&mut point.exemplars),
        };
        self.take(common, |start| {
            let (kind, adding) = adding.clone()?;
            let value = match point.value {
                Some(number_data_point::Value::AsInt(number)) => Value::I64(number),
                Some(number_data_point::Value::AsDouble(number)) => Value::F64(number),
                None => return Err("it has no number: give asInt or asDouble".to_owned()),
            };
            let detail = match adding {
                Adding::Alone => Map::new(),
                Adding::State | Adding::Total => detail::total(&value, start),
            };
            let adds = match adding {
                Adding::Alone | Adding::State => Adds::Alone,
                Adding::Total => since(start),
            };
            Ok(Measured {
                kind,
                value,
                adds,
                detail,
            })
        });
    }

    /// Adds one data point, or says why not.
    fn take(&mut self, common: Common, measured: impl FnOnce(Option<Timestamp>) -> Result<Measured, String>) {
        // The stream says that it measured nothing. That is no number to store, and no fault to report either.
        if common.flags & DataPointFlags::NoRecordedValueMask as u32 != 0 {
            return;
        }
        match self.point(common, measured) {
            Ok(point) => self.points.push(point),
            Err(why) => {
                let name = shown(self.name);
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
        // By name, as the model has them: the same labels in another order are the same stream.
        labels.sort_unstable();
        Ok(NewPoint {
            metric: self.name.to_owned(),
            value: measured.value,
            adds: measured.adds,
            unit: self.unit.to_owned(),
            kind: measured.kind,
            labels,
            timestamp,
            trace_id,
            span_id,
            detail: (!measured.detail.is_empty()).then_some(Json::Object(measured.detail)),
            expires: None,
        })
    }
}
