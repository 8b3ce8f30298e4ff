//! Gauges and sums, and the errors of points of any kind.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, Summary, SummaryDataPoint, number_data_point,
};
use prost::Message as _;
use serde_json::json;
use spanscope_model::{MetricKind, NewPoint, Temporality, Value};

use super::{at, both, metric, metrics, pair, texts};
use crate::otlp::{Converted, Encoding, Signal, convert};

pub(super) const DELTA: i32 = 1;
pub(super) const CUMULATIVE: i32 = 2;

pub(super) fn whole(number: i64) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: 1_000,
        time_unix_nano: 2_000,
        value: Some(number_data_point::Value::AsInt(number)),
        ..NumberDataPoint::default()
    }
}

pub(super) fn gauge(point: NumberDataPoint) -> Data {
    Data::Gauge(Gauge {
        data_points: vec![point],
    })
}

fn sum(aggregation_temporality: i32, is_monotonic: bool, point: NumberDataPoint) -> Data {
    Data::Sum(Sum {
        data_points: vec![point],
        aggregation_temporality,
        is_monotonic,
    })
}

pub(super) fn of_histogram() -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: 1_000,
        time_unix_nano: 2_000,
        count: 3,
        sum: Some(4.5),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        min: Some(0.25),
        max: Some(3.0),
        ..HistogramDataPoint::default()
    }
}

pub(super) fn histogram(aggregation_temporality: i32, point: HistogramDataPoint) -> Data {
    Data::Histogram(Histogram {
        data_points: vec![point],
        aggregation_temporality,
    })
}

fn sent(data: Data) -> Converted {
    both(Signal::Metrics, &metrics(vec![metric(data)]))
}

pub(super) fn kept(data: Data) -> NewPoint {
    let mut converted = sent(data);
    assert_eq!((converted.rejected, converted.message.as_str()), (0, ""));
    converted.records.sources[0].points.remove(0)
}

/// Returns the message about a rejected point. JSON has no NaN, so this is protobuf only.
fn reason(metric: Metric) -> String {
    let body = metrics(vec![metric]).encode_to_vec();
    let converted = convert(Signal::Metrics, Encoding::Protobuf, &body, None).unwrap();
    assert_eq!((converted.rejected, converted.records.len()), (1, 0));
    converted.message
}

#[test]
fn a_gauge_is_one_point() {
    let point = kept(gauge(NumberDataPoint {
        attributes: vec![
            pair("b", Sent::IntValue(1)),
            pair("a", Sent::StringValue("x".to_owned())),
            pair("c", Sent::BoolValue(true)),
        ],
        ..whole(7)
    }));
    assert_eq!(
        point,
        NewPoint::new("m", Value::I64(7), MetricKind::Gauge, at(2_000))
            .temporality(Temporality::Delta)
            .unit("s")
            .labels(
                [("a", "x"), ("b", "1"), ("c", "true")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .to_vec()
            )
    );
}

#[test]
fn the_same_labels_in_another_order_are_the_same_stream() {
    let labels = |pairs: &[(&str, &str)]| {
        kept(gauge(NumberDataPoint {
            attributes: texts(pairs),
            ..whole(1)
        }))
        .labels
    };
    assert_eq!(
        labels(&[("a", "1"), ("b", "2")]),
        labels(&[("b", "2"), ("a", "1")])
    );
}

#[test]
fn floats_and_integers_keep_their_types() {
    let float = kept(gauge(NumberDataPoint {
        value: Some(number_data_point::Value::AsDouble(2.0)),
        ..whole(0)
    }));
    assert_eq!(float.value, Value::F64(2.0));
    assert_eq!(kept(gauge(whole(i64::MAX))).value, Value::I64(i64::MAX));
}

#[test]
fn temporality_and_monotonicity_determine_how_a_sum_is_stored() {
    let start = "1970-01-01T00:00:00.000001Z";
    for (temporality, is_monotonic, kind, expected, detail) in [
        (DELTA, true, MetricKind::Counter, Temporality::Delta, None),
        (DELTA, false, MetricKind::Counter, Temporality::Delta, None),
        (
            CUMULATIVE,
            true,
            MetricKind::Counter,
            Temporality::Cumulative { start: at(1_000) },
            Some(json!({"total": 7, "start": start})),
        ),
        (
            CUMULATIVE,
            false,
            MetricKind::Gauge,
            Temporality::Delta,
            Some(json!({"total": 7, "start": start})),
        ),
    ] {
        let point = kept(sum(temporality, is_monotonic, whole(7)));
        assert_eq!(
            (point.kind, point.temporality, point.detail, point.value),
            (kind, expected, detail, Value::I64(7))
        );
    }
}

#[test]
fn a_total_without_a_start_is_since_an_unknown_time() {
    let point = kept(sum(
        CUMULATIVE,
        true,
        NumberDataPoint {
            start_time_unix_nano: 0,
            ..whole(7)
        },
    ));
    assert_eq!(point.temporality, Temporality::Cumulative { start: at(0) });
    assert_eq!(point.detail, Some(json!({"total": 7})));
}

#[test]
fn a_counter_of_tokens_is_stored_under_the_name_of_its_event() {
    let converted = both(
        Signal::Metrics,
        &metrics(vec![Metric {
            name: "llama_stack_prompt_tokens_total".to_owned(),
            ..metric(sum(DELTA, true, whole(1)))
        }]),
    );
    assert_eq!(converted.records.sources[0].points[0].metric, "prompt_tokens");
}

#[test]
fn a_point_without_a_recorded_value_is_skipped() {
    for data in [
        gauge(NumberDataPoint {
            flags: 1,
            value: None,
            ..whole(0)
        }),
        gauge(NumberDataPoint {
            flags: 3,
            time_unix_nano: 0,
            ..whole(0)
        }),
        histogram(
            0,
            HistogramDataPoint {
                flags: 1,
                ..of_histogram()
            },
        ),
    ] {
        let converted = sent(data);
        assert_eq!((converted.rejected, converted.message.as_str()), (0, ""));
        assert!(converted.records.is_empty());
    }
    // Other flags mean something else.
    kept(gauge(NumberDataPoint { flags: 2, ..whole(0) }));
}

#[test]
fn a_metric_without_data_has_no_points() {
    let converted = both(
        Signal::Metrics,
        &metrics(vec![Metric {
            data: None,
            ..metric(gauge(whole(1)))
        }]),
    );
    assert_eq!((converted.rejected, converted.records.len()), (0, 0));
}

#[test]
fn invalid_points_are_rejected_with_the_reason() {
    let float = |number: f64| NumberDataPoint {
        value: Some(number_data_point::Value::AsDouble(number)),
        ..whole(0)
    };
    let bad_temporality = "its aggregation temporality is";
    for (why, data) in [
        ("its value is NaN: give a finite number", gauge(float(f64::NAN))),
        ("its value is inf", gauge(float(f64::INFINITY))),
        (
            "its value is -inf",
            sum(CUMULATIVE, true, float(f64::NEG_INFINITY)),
        ),
        (
            "it has no number: give asInt or asDouble",
            gauge(NumberDataPoint {
                value: None,
                ..whole(0)
            }),
        ),
        (
            "it has no time",
            gauge(NumberDataPoint {
                time_unix_nano: 0,
                ..whole(0)
            }),
        ),
        (
            "its time is after the year 2262",
            gauge(NumberDataPoint {
                time_unix_nano: u64::MAX,
                ..whole(0)
            }),
        ),
        (
            "its start is after the year 2262",
            gauge(NumberDataPoint {
                start_time_unix_nano: u64::MAX,
                ..whole(0)
            }),
        ),
        (bad_temporality, sum(0, true, whole(0))),
        (bad_temporality, sum(3, false, whole(0))),
        (bad_temporality, histogram(0, of_histogram())),
        (
            bad_temporality,
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![ExponentialHistogramDataPoint {
                    time_unix_nano: 1,
                    ..ExponentialHistogramDataPoint::default()
                }],
                aggregation_temporality: -1,
            }),
        ),
        (
            "its value is NaN",
            histogram(
                DELTA,
                HistogramDataPoint {
                    sum: Some(f64::NAN),
                    ..of_histogram()
                },
            ),
        ),
        (
            "its value is inf",
            Data::Summary(Summary {
                data_points: vec![SummaryDataPoint {
                    time_unix_nano: 1,
                    sum: f64::INFINITY,
                    ..SummaryDataPoint::default()
                }],
            }),
        ),
    ] {
        let message = reason(metric(data));
        assert!(
            message.starts_with(&format!("data point of metric \"m\": {why}")),
            "{message}"
        );
    }
    let nameless = Metric {
        name: String::new(),
        ..metric(gauge(whole(1)))
    };
    assert_eq!(
        reason(nameless),
        "data point of metric \"\": the metric has no name: give one"
    );
}

#[test]
fn an_invalid_point_does_not_affect_the_others() {
    let converted = sent(Data::Gauge(Gauge {
        data_points: vec![
            whole(1),
            NumberDataPoint {
                time_unix_nano: 0,
                ..whole(2)
            },
            whole(3),
        ],
    }));
    assert_eq!(converted.rejected, 1);
    let points = converted.records.sources[0].points.iter();
    assert_eq!(
        points.map(|point| point.value.clone()).collect::<Vec<_>>(),
        [Value::I64(1), Value::I64(3)]
    );
}

#[test]
fn copies_of_a_metrics_name_to_its_points_are_limited() {
    let metric = Metric {
        name: "n".repeat(1024 * 1024),
        ..metric(Data::Gauge(Gauge {
            data_points: vec![whole(1); 200],
        }))
    };
    let body = metrics(vec![metric]).encode_to_vec();
    let converted = convert(Signal::Metrics, Encoding::Protobuf, &body, None).unwrap();
    let kept = converted.records.len();
    assert!((60..80).contains(&kept), "{kept}");
    assert_eq!(converted.rejected, 200 - kept);
}
