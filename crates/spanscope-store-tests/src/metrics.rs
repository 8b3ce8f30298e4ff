//! Measurements over time: steps, instants, raw points, matchers.

use std::collections::BTreeMap;

use spanscope_model::{
    LabelMatcher, LabelOperator, MetricKind, MetricQuery, MetricQueryType, MetricSeries, Temporality,
    Timestamp, TraceStore, Value, block_on,
};

use crate::made::{point, points, store};
use crate::rows::{MIDNIGHT, SECOND};
use crate::{Fixture, Open};

const MINUTE: i64 = 60 * SECOND;

/// A measurement of the metric `m`: label `l`, time, value.
type Measured = (&'static str, i64, Value);

fn measured<F: Fixture>(db: &dyn TraceStore, kind: MetricKind, measured: &[Measured]) {
    let new = |(label, time, value): &Measured| {
        point(
            "m",
            value.clone(),
            Temporality::Delta,
            Timestamp::from_nanos(*time),
        )
        .kind(kind)
        .unit("s")
        .labels(match *label {
            "" => Vec::new(),
            label => vec![("l".to_owned(), label.to_owned())],
        })
    };
    store::<F>(db, points(measured.iter().map(new).collect()));
}

fn query(start: i64, end: i64, granularity: Option<&str>) -> MetricQuery {
    MetricQuery::range("m", Timestamp::from_nanos(start))
        .end(Timestamp::from_nanos(end))
        .granularity(granularity.map(|text| text.parse().unwrap()))
}

fn shown(series: &[MetricSeries]) -> Vec<(String, Vec<(i64, Value)>)> {
    series
        .iter()
        .map(|series| {
            let labels: Vec<String> = series
                .labels
                .iter()
                .map(|label| format!("{}={}", label.name, label.value))
                .collect();
            let values = series
                .values
                .iter()
                .map(|point| (point.timestamp, point.value.clone()));
            (labels.join(","), values.collect())
        })
        .collect()
}

pub fn steps_begin_with_the_clock_and_the_end_is_not_part_of_the_range<F: Fixture>() {
    let at = |minutes: i64| MIDNIGHT + minutes * MINUTE;
    let given: Vec<Measured> = vec![
        ("a", at(0), 1.into()),
        ("a", at(4) + MINUTE - 1, 2.into()),
        ("a", at(5), 4.into()),
        ("b", at(7), 8.into()),
        ("a", at(12), 16.into()),
    ];
    let [counter, gauge, histogram] =
        [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram].map(|kind| {
            let open = Open::<F>::that(|_| true)?;
            measured::<F>(open.store(), kind, &given);
            Some(open)
        });
    let (Some(counter), Some(gauge), Some(histogram)) = (counter, gauge, histogram) else {
        return;
    };
    let answer = |of: &Open<F>, query: &MetricQuery| {
        shown(&block_on(of.store().query_metrics(query.clone())).unwrap())
    };
    let second = MIDNIGHT / SECOND;
    let five = query(at(0), at(12), Some("5m"));
    assert_eq!(
        answer(&counter, &five),
        [
            (
                "l=a".to_owned(),
                vec![(second, 3.into()), (second + 300, 4.into())]
            ),
            ("l=b".to_owned(), vec![(second + 300, 8.into())]),
        ]
    );
    assert_eq!(
        answer(&gauge, &five)[0].1,
        [(second, 2.into()), (second + 300, 4.into())],
        "the last value of each step"
    );
    let ragged = query(at(0) + 1, at(12) + 1, Some("5m"));
    assert_eq!(
        answer(&histogram, &ragged)[0].1,
        [
            (second, 2.into()),
            (second + 300, 4.into()),
            (second + 600, 16.into())
        ]
    );
    assert_eq!(
        answer(&counter, &query(at(0), at(6), None)),
        [(
            "l=a".to_owned(),
            vec![
                (second, 1.into()),
                (second + 299, 2.into()),
                (second + 300, 4.into())
            ]
        )]
    );
    let instant = query(at(0), at(12) + 1, Some("5m")).query_type(MetricQueryType::Instant);
    assert_eq!(answer(&counter, &instant)[0].1, [(second + 720, 23.into())]);
    assert_eq!(answer(&gauge, &instant)[0].1, [(second + 720, 16.into())]);
    let week = answer(&counter, &query(at(0), at(13), Some("1w")));
    let thursday = 1_795_046_400; // 2026-11-19
    assert_eq!(
        week[0].1,
        [(thursday, 23.into())],
        "weeks begin on Thursdays, as 1970 did"
    );
}

/// Pseudo-random numbers, the same in each run.
struct Numbers(u64);

impl Numbers {
    /// Returns a number from 0 up to `below`, exclusive.
    fn below(&mut self, below: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 % below.unsigned_abs()).unwrap()
    }
}

/// The expected result, computed as simply as possible.
fn by_hand(
    kind: MetricKind,
    given: &[Measured],
    range: std::ops::Range<i64>,
    step: i64,
) -> Vec<(String, Vec<(i64, Value)>)> {
    let mut steps: BTreeMap<&str, BTreeMap<i64, Vec<f64>>> = BTreeMap::new();
    let mut sorted: Vec<&Measured> = given.iter().collect();
    sorted.sort_by_key(|(_, time, _)| *time);
    for (label, time, value) in sorted {
        if range.contains(time) {
            let of = time.div_euclid(step) * step;
            let values = steps.entry(label).or_default();
            let values = values.entry(of.div_euclid(SECOND)).or_default();
            values.push(value.as_f64().unwrap());
        }
    }
    let value = |values: Vec<f64>| match kind {
        MetricKind::Gauge => Value::F64(*values.last().unwrap()),
        _ => Value::F64(values.iter().sum()),
    };
    let series = steps.into_iter().map(|(label, steps)| {
        let label = match label {
            "" => String::new(),
            label => format!("l={label}"),
        };
        let steps = steps.into_iter().map(|(time, values)| (time, value(values)));
        (label, steps.collect())
    });
    series.collect()
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn results_match_the_measurements_for_every_range_and_step<F: Fixture>() {
    let labels = ["", "a", "b", "c", "d", "e", "f", "g"];
    for kind in [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram] {
        let Some(open) = Open::<F>::that(|_| true) else {
            return;
        };
        let mut random = Numbers(7);
        // Before 1970 too; times differ, so that the last one is unique. A store that is not exact
        // has whole seconds after 1970, which differ too.
        let is_exact = open.store().capabilities().exact_measurements;
        let origin = if is_exact { 0 } else { MIDNIGHT };
        let given: Vec<Measured> = (0..3_000)
            .map(|number| {
                let time = match is_exact {
                    true => (random.below(6 * 3600) - 2 * 3600) * SECOND + number,
                    false => origin + (number * 7919 % (6 * 3600) - 2 * 3600) * SECOND,
                };
                let value = (random.below(2000) - 1000) as f64 / 4.0;
                let label = labels[usize::try_from(random.below(8)).unwrap()];
                (label, time, value.into())
            })
            .collect();
        measured::<F>(open.store(), kind, &given);
        for _ in 0..F::filters() / 15 {
            let mut start = origin + (random.below(7 * 3600) - 3 * 3600) * SECOND + random.below(SECOND);
            let mut end = start + random.below(4 * 3600) * SECOND;
            if random.below(3) == 0 {
                (start, end) = (start / MINUTE * MINUTE, end / MINUTE * MINUTE);
            }
            let granularities = ["7s", "30s", "1m", "90s", "5m", "7m", "1h", "1d", "1w"];
            let granularity = granularities[usize::try_from(random.below(9)).unwrap()];
            let query = query(start, end, Some(granularity));
            let step = i64::from(query.granularity.unwrap().seconds()) * SECOND;
            let mut found = shown(&block_on(open.store().query_metrics(query)).unwrap());
            if !is_exact {
                let values = found.iter_mut().flat_map(|(_, values)| values);
                values.for_each(|(_, value)| *value = Value::F64(value.as_f64().unwrap()));
            }
            assert_eq!(
                found,
                by_hand(kind, &given, start..end, step),
                "{kind} {granularity} from {start} to {end}"
            );
        }
    }
}

pub fn matchers_choose_series_and_regular_expressions_match_the_whole_value<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let given: Vec<Measured> = ["", "v1", "v12", "w1"]
        .into_iter()
        .map(|label| (label, MIDNIGHT, 1.into()))
        .collect();
    measured::<F>(open.store(), MetricKind::Counter, &given);
    let found = |operator, value: &str| {
        let mut query = query(MIDNIGHT, MIDNIGHT + MINUTE, Some("1d"));
        query.matchers = vec![LabelMatcher {
            name: "l".to_owned(),
            value: value.to_owned(),
            operator,
        }];
        let series = shown(&block_on(open.store().query_metrics(query)).unwrap());
        series.into_iter().map(|(label, _)| label).collect::<Vec<_>>()
    };
    assert_eq!(found(LabelOperator::Equals, "v1"), ["l=v1"]);
    assert_eq!(found(LabelOperator::NotEquals, "v1"), ["", "l=v12", "l=w1"]);
    if open.store().capabilities().label_regex {
        assert_eq!(found(LabelOperator::RegexMatch, "v1"), ["l=v1"]);
        assert_eq!(
            found(LabelOperator::RegexMatch, "v1.*|w."),
            ["l=v1", "l=v12", "l=w1"]
        );
        assert_eq!(found(LabelOperator::RegexNotMatch, "v.*"), ["", "l=w1"]);
    }
    assert_eq!(
        found(LabelOperator::Equals, ""),
        [""],
        "a label that is not there is an empty one"
    );
}

pub fn metrics_are_listed_with_their_metadata<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    assert_eq!(block_on(open.store().list_metrics()).unwrap(), []);
    let last = MIDNIGHT + MINUTE;
    let given: Vec<Measured> = vec![
        ("a", MIDNIGHT, 1.into()),
        ("b", MIDNIGHT, 2.into()),
        ("a", last, 3.into()),
    ];
    measured::<F>(open.store(), MetricKind::Gauge, &given);
    let found = block_on(open.store().list_metrics()).unwrap();
    let [metric] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (metric.metric.as_str(), metric.unit.as_str(), metric.kind),
        ("m", "s", MetricKind::Gauge)
    );
    assert_eq!(
        (metric.series, metric.points, metric.last),
        (2, 3, Some(Timestamp::from_nanos(last)))
    );
}

pub fn questions_that_make_no_sense_are_refused_and_unknown_metrics_are_empty<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    measured::<F>(open.store(), MetricKind::Counter, &[("a", MIDNIGHT, 1.into())]);
    let ask = |query| block_on(open.store().query_metrics(query));
    let refused = |query, word: &str| {
        let error = ask(query).unwrap_err();
        assert!(
            error.is_invalid_input() && error.to_string().contains(word),
            "{error}"
        );
    };
    refused(query(MIDNIGHT + 1, MIDNIGHT, None), "after its end");
    refused(query(i64::MIN, MIDNIGHT, None), "out of range");
    refused(query(MIDNIGHT, i64::MAX, Some("1m")), "out of range");
    let mut wrong = query(MIDNIGHT, MIDNIGHT + 1, None);
    wrong.metric = "unknown".to_owned();
    assert_eq!(ask(wrong.clone()).unwrap(), []);
    wrong.matchers.push(LabelMatcher {
        name: "l".to_owned(),
        value: "(".to_owned(),
        operator: LabelOperator::RegexMatch,
    });
    if open.store().capabilities().label_regex {
        refused(wrong, "\"(\"");
    }
    assert_eq!(ask(query(MIDNIGHT, MIDNIGHT, Some("1m"))).unwrap(), []);
    for granularity in ["1s", "1m", "1w", "366d"] {
        let all = query(i64::MIN + 1, i64::MAX - 1, Some(granularity));
        assert_eq!(ask(all).unwrap().len(), 1, "the largest range there is");
    }
    let injected = query(MIDNIGHT, MIDNIGHT + 1, Some("1m")).metric("m'; DROP TABLE _point; --");
    assert_eq!(ask(injected).unwrap(), []);
    assert_eq!(ask(query(MIDNIGHT, MIDNIGHT + 1, None)).unwrap().len(), 1);
}

pub fn observations_of_a_histogram_come_to_a_count_a_mean_and_percentiles<F: Fixture>() {
    let at = |minutes: i64| MIDNIGHT + minutes * MINUTE;
    let single: Vec<Measured> = (1..=100)
        .map(|value| ("single", at(value), Value::I64(value)))
        .collect();
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let store = open.store();
    measured::<F>(store, MetricKind::Histogram, &single);
    // Two totals of one stream, and one part; the first total is before the range.
    let buckets = |label: &str, minutes, sum: f64, counts: [u64; 3], kind: &str| {
        let count: u64 = counts.iter().sum();
        let temporality = match kind {
            "delta" => Temporality::Delta,
            _ => Temporality::Cumulative {
                start: Timestamp::from_nanos(at(-9)),
            },
        };
        let mut point = point("m", sum.into(), temporality, Timestamp::from_nanos(at(minutes)));
        point.kind = MetricKind::Histogram;
        point.unit = "s".to_owned();
        point.labels = vec![("l".to_owned(), label.to_owned())];
        point.detail = Some(serde_json::json!({
            "count": count, "sum": sum, "bucket_counts": counts, "explicit_bounds": [1.0, 2.0], "temporality": kind,
        }));
        point
    };
    let told = vec![
        buckets("total", -1, 100.0, [100, 0, 0], "cumulative"),
        buckets("total", 1, 116.0, [100, 10, 0], "cumulative"),
        buckets("part", 1, 5.0, [10, 0, 0], "delta"),
        buckets("part", 2, 15.0, [0, 10, 0], "delta"),
        buckets("later", 200, 1.0, [1, 0, 0], "delta"),
    ];
    crate::made::store::<F>(store, points(told));
    let found = block_on(store.metric_distributions(query(at(0), at(150), None))).unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|of| {
            (
                of.labels[0].value.as_str(),
                of.count,
                of.mean,
                of.p50,
                of.p99,
                of.interpolated,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("part", 20, Some(1.0), Some(1.0), Some(1.98), true),
            ("single", 100, Some(50.5), Some(50.0), Some(99.0), false),
            ("total", 10, Some(1.6), Some(1.5), Some(1.99), true),
        ]
    );
    let unknown = MetricQuery::range("nothing", Timestamp::from_nanos(at(0)));
    assert_eq!(block_on(store.metric_distributions(unknown)).unwrap(), []);
    let wrong = query(at(2), at(1), None);
    assert!(
        block_on(store.metric_distributions(wrong))
            .unwrap_err()
            .is_invalid_input()
    );
}
