//! Histograms and summaries, and exemplars of any point.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint,
    Summary, SummaryDataPoint, exemplar,
};
use serde_json::json;
use spanscope_model::{MetricKind, Temporality, Value};

use super::metrics::{CUMULATIVE, DELTA, gauge, histogram, kept, of_histogram, whole};
use super::{SPAN, TRACE, at, texts};

#[test]
fn a_histogram_is_its_sum_with_everything_else_as_attributes() {
    let start = "1970-01-01T00:00:00.000001Z";
    let point = kept(histogram(CUMULATIVE, of_histogram()));
    assert_eq!(
        (point.kind, point.value, point.temporality),
        (
            MetricKind::Histogram,
            Value::F64(4.5),
            Temporality::Cumulative { start: at(1_000) }
        )
    );
    assert_eq!(
        point.detail,
        Some(json!({
            "count": 3, "sum": 4.5, "min": 0.25, "max": 3.0, "bucket_counts": [1, 2], "explicit_bounds": [0.5],
            "temporality": "cumulative", "start": start,
        }))
    );
    let point = kept(histogram(DELTA, of_histogram()));
    assert_eq!(point.temporality, Temporality::Delta);
    assert_eq!(point.detail.unwrap()["temporality"], "delta");
}

#[test]
fn a_histogram_without_a_sum_is_stored_with_a_null_sum() {
    let point = kept(histogram(
        DELTA,
        HistogramDataPoint {
            time_unix_nano: 2_000,
            count: 1,
            ..HistogramDataPoint::default()
        },
    ));
    assert_eq!(point.value, Value::F64(0.0));
    assert_eq!(
        point.detail,
        Some(json!({"count": 1, "sum": null, "temporality": "delta"}))
    );
}

#[test]
fn an_exponential_histogram_keeps_its_buckets() {
    let buckets = |offset, counts: &[u64]| {
        Some(Buckets {
            offset,
            bucket_counts: counts.to_vec(),
        })
    };
    let point = kept(Data::ExponentialHistogram(ExponentialHistogram {
        aggregation_temporality: DELTA,
        data_points: vec![ExponentialHistogramDataPoint {
            time_unix_nano: 2_000,
            count: 6,
            sum: Some(-1.5),
            scale: -2,
            zero_count: 1,
            zero_threshold: 0.125,
            positive: buckets(-3, &[1, 0, u64::MAX]),
            negative: buckets(4, &[2]),
            ..ExponentialHistogramDataPoint::default()
        }],
    }));
    assert_eq!(
        (point.kind, point.temporality),
        (MetricKind::Histogram, Temporality::Delta)
    );
    assert_eq!(
        point.detail,
        Some(json!({
            "count": 6, "sum": -1.5, "scale": -2, "zero_count": 1, "zero_threshold": 0.125,
            "positive": {"offset": -3, "bucket_counts": [1, 0, u64::MAX]},
            "negative": {"offset": 4, "bucket_counts": [2]},
            "temporality": "delta",
        }))
    );
}

#[test]
fn a_summary_is_a_total_with_its_quantiles() {
    let point = kept(Data::Summary(Summary {
        data_points: vec![SummaryDataPoint {
            start_time_unix_nano: 1_000,
            time_unix_nano: 2_000,
            count: 4,
            sum: 8.0,
            quantile_values: vec![ValueAtQuantile {
                quantile: 0.5,
                value: f64::NAN,
            }],
            ..SummaryDataPoint::default()
        }],
    }));
    assert_eq!(
        (point.kind, point.value, point.temporality),
        (
            MetricKind::Histogram,
            Value::F64(8.0),
            Temporality::Cumulative { start: at(1_000) }
        )
    );
    assert_eq!(
        point.detail,
        Some(json!({
            "count": 4, "sum": 8.0, "quantiles": [{"quantile": 0.5, "value": "NaN"}],
            "start": "1970-01-01T00:00:00.000001Z",
        }))
    );
}

fn sample() -> Exemplar {
    Exemplar {
        filtered_attributes: texts(&[("user", "u")]),
        time_unix_nano: 1_500,
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        value: Some(exemplar::Value::AsDouble(0.5)),
    }
}

#[test]
fn exemplars_are_stored_and_a_single_one_sets_the_span_of_its_point() {
    let of = |exemplars: Vec<Exemplar>| {
        kept(gauge(NumberDataPoint {
            exemplars,
            ..whole(1)
        }))
    };
    let one = of(vec![sample()]);
    assert_eq!(one.trace_id.unwrap().to_bytes(), TRACE);
    assert_eq!(one.span_id.unwrap().to_bytes(), SPAN);
    let stored = json!({
        "value": 0.5, "time": "1970-01-01T00:00:00.0000015Z",
        "trace_id": "07070707070707070707070707070707", "span_id": "0909090909090909",
        "attributes": {"user": "u"},
    });
    assert_eq!(one.detail, Some(json!({"exemplars": [stored]})));

    let bare = Exemplar {
        value: Some(exemplar::Value::AsInt(3)),
        ..Exemplar::default()
    };
    let two = of(vec![sample(), bare.clone()]);
    assert_eq!((two.trace_id, two.span_id), (None, None));
    assert_eq!(two.detail, Some(json!({"exemplars": [stored, {"value": 3}]})));

    let of_bad_ids = of(vec![Exemplar {
        trace_id: vec![1; 3],
        span_id: SPAN.to_vec(),
        ..bare
    }]);
    assert_eq!((of_bad_ids.trace_id, of_bad_ids.span_id), (None, None));
    assert_eq!(of_bad_ids.detail, Some(json!({"exemplars": [{"value": 3}]})));

    let of_histogram = kept(histogram(
        DELTA,
        HistogramDataPoint {
            exemplars: vec![sample()],
            ..of_histogram()
        },
    ));
    assert_eq!(of_histogram.detail.unwrap()["exemplars"], json!([stored]));
    assert!(of_histogram.trace_id.is_some());
}
