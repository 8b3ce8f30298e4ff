//! Measurements of events and of calls of `record`, and what a future collects.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use spanscope_core::metrics::{LabelLimit, OVERFLOW_LABELS};
use spanscope_layers::metrics::{GenAiNames, MAX_COLLECTED, TIME_PER_OUTPUT_CHUNK, collect, record_value};
use spanscope_layers::{SpanExt, suppress};
use spanscope_model::{MetricInResponse, MetricKind, Value};
use tracing::{info, info_span};

use super::support::{run, run_named};

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Yields once to other tasks.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[test]
fn metric_events_reach_sinks_that_are_not_layers() {
    let outcome = run(|| {
        info_span!("s").in_scope(|| {
            info!(
                metric = "queue_length",
                value = 17,
                unit = "requests",
                queue = "embeddings"
            );
            info!(metric = "no number", value = "many");
            info!(value = 3, "an ordinary event");
        });
    });
    let event = outcome.one("queue_length");
    assert!(event.is_event && event.span.is_some());
    assert_eq!(
        (event.label("queue"), event.unit.as_str(), event.kind),
        ("embeddings", "requests", MetricKind::Gauge)
    );
    assert_eq!(outcome.all.len(), 1);
}

#[test]
fn recorded_measurements_belong_to_the_current_span_and_pass_every_level() {
    let mut ids = None;
    let outcome = run(|| {
        let span = info_span!("request");
        ids = span.ids();
        let _entered = span.enter();
        assert!(record_value(
            "http.server.request.duration",
            0.5,
            "s",
            MetricKind::Histogram,
            &[("http.route", "/v1")]
        ));
        assert!(!record_value("broken", f64::NAN, "s", MetricKind::Gauge, &[]));
        let quiet = suppress();
        assert!(!record_value("quiet", 1_i64, "", MetricKind::Gauge, &[]));
        drop(quiet);
    });
    let kept = outcome.one("http.server.request.duration");
    assert_eq!(kept.span.map(|span| (span.trace_id, span.span_id)), ids);
    assert_eq!(kept.label("http.route"), "/v1");
    assert_eq!(outcome.all.len(), 1);
}

#[test]
fn without_the_layer_nothing_is_recorded() {
    assert!(!record_value("m", 1_i64, "", MetricKind::Counter, &[]));
    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        assert!(!record_value("m", 1_i64, "", MetricKind::Counter, &[]));
    });
}

#[test]
fn renamed_metrics_are_recorded_under_the_configured_names() {
    let record = || {
        let chunk = 0.02;
        record_value(TIME_PER_OUTPUT_CHUNK, chunk, "s", MetricKind::Histogram, &[]);
    };
    let names = |wanted| -> Vec<String> {
        run_named(wanted, record)
            .all
            .into_iter()
            .map(|kept| kept.name)
            .collect()
    };
    let new = "gen_ai.client.inference.time_per_output_chunk";
    assert_eq!(names(GenAiNames::Classic), [TIME_PER_OUTPUT_CHUNK]);
    assert_eq!(names(GenAiNames::New), [new]);
    assert_eq!(names(GenAiNames::Both), [TIME_PER_OUTPUT_CHUNK, new]);
    assert!(names(GenAiNames::Off).is_empty());
}

#[test]
fn a_future_collects_what_was_measured_while_it_ran() {
    run(|| {
        info!(metric = "before", value = 1);
        let metric = |name: &str, value, unit: Option<&str>| MetricInResponse {
            metric: name.to_owned(),
            value: Value::I64(value),
            unit: unit.map(ToOwned::to_owned),
        };
        let (inner, outer) = block_on(collect(async {
            info!(metric = "first", value = 1);
            let (output, inner) = collect(async {
                pause().await;
                drop(info_span!(
                    "chat",
                    gen_ai.operation.name = "chat",
                    prompt_tokens = 12,
                    completion_tokens = 5
                ));
                pause().await;
                "done"
            })
            .await;
            assert_eq!(output, "done");
            info!(metric = "last", value = 2, unit = "s");
            inner
        }));
        let tokens = [
            ("prompt_tokens", 12),
            ("completion_tokens", 5),
            ("total_tokens", 17),
        ]
        .map(|(name, count)| metric(name, count, Some("tokens")));
        assert_eq!(inner, tokens);
        let all: Vec<_> = [metric("first", 1, None)]
            .into_iter()
            .chain(tokens)
            .chain([metric("last", 2, Some("s"))])
            .collect();
        assert_eq!(outer, all);
    });
}

#[test]
fn two_futures_polled_in_turns_collect_separately() {
    run(|| {
        let of = |name: &'static str| {
            collect(async move {
                for _ in 0..3 {
                    info!(metric = name, value = 1);
                    pause().await;
                }
            })
        };
        let (mut one, mut two) = (pin!(of("one")), pin!(of("two")));
        let mut context = Context::from_waker(Waker::noop());
        let mut collected = Vec::new();
        while collected.len() < 2 {
            if let Poll::Ready(((), metrics)) = one.as_mut().poll(&mut context) {
                collected.push(metrics);
            }
            if let Poll::Ready(((), metrics)) = two.as_mut().poll(&mut context) {
                collected.push(metrics);
            }
        }
        for (metrics, name) in collected.iter().zip(["one", "two"]) {
            assert_eq!(metrics.len(), 3);
            assert!(metrics.iter().all(|metric| metric.metric == name));
        }
    });
}

#[test]
fn a_future_that_panics_leaves_no_collection_behind() {
    run(|| {
        let panicked = std::panic::catch_unwind(|| {
            block_on(collect(async { std::panic::resume_unwind(Box::new("no")) }))
        });
        assert!(panicked.is_err());
        let ((), metrics) = block_on(collect(async { info!(metric = "one", value = 1) }));
        assert_eq!(metrics.len(), 1);
    });
}

#[test]
fn a_collection_is_bounded_and_omitted_measurements_are_counted() {
    let outcome = run(|| {
        let ((), metrics) = block_on(collect(async {
            for _ in 0..MAX_COLLECTED + 7 {
                info!(metric = "m", value = 1);
            }
        }));
        assert_eq!(metrics.len(), MAX_COLLECTED);
    });
    assert_eq!(outcome.stats.not_collected, 7);
}

#[test]
fn a_hundred_thousand_label_values_are_bounded_and_the_overflow_is_counted() {
    let limit = LabelLimit::default();
    let mut admitted = 0;
    for user in 0..100_000 {
        let user = user.to_string();
        let labels = [("api", "chat".into()), ("user", user.as_str().into())];
        admitted += usize::from(limit.admit("requests", &labels) != OVERFLOW_LABELS);
    }
    assert_eq!(admitted, 2_000);
    let known = [("user", "0".into()), ("api", "chat".into())];
    assert_eq!(
        limit.admit("requests", &known),
        &known,
        "the order of labels does not matter"
    );
    let other = [("api", "embeddings".into())];
    assert_eq!(limit.admit("other", &other), &other, "each metric has its own");
    for metric in 0..2_000 {
        limit.admit(&metric.to_string(), &other);
    }
    assert_eq!(
        limit.overflowed(),
        [(String::new(), 1_002), ("requests".to_owned(), 98_000)]
    );
}
