//! Scrapes while eight threads measure.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use spanscope_layers::metrics::Number::{F64, I64};
use spanscope_server::PrometheusSink;

use crate::support::{CONCURRENT, DURATION, OPENMETRICS, TOKENS, samples, scraped, span, values};

const THREADS: usize = 8;
const ROUNDS: usize = 5_000;
const MODELS: [&str; 3] = ["a", "b", "c"];

#[test]
fn scrapes_while_eight_threads_measure_are_consistent_and_never_decrease() {
    let sink = PrometheusSink::new();
    let running = AtomicUsize::new(THREADS);
    let mut scrapes = 0;
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (sink, running) = (&sink, &running);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let model = [("model_id", MODELS[round % MODELS.len()])];
                    TOKENS.record_in(sink, &model, I64(3), span(u8::try_from(round % 250).unwrap()));
                    DURATION.record_in(sink, &model, F64(0.02), span(7));
                    CONCURRENT.record(sink, &[], I64(1));
                    if round % 100 == 0 {
                        let fresh = format!("{number}-{round}");
                        TOKENS.record(sink, &[("model_id", &fresh)], I64(1));
                    }
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let mut before = BTreeMap::new();
        while running.load(Ordering::SeqCst) > 0 || scrapes < 2 {
            let accept = if scrapes % 2 == 0 { OPENMETRICS } else { "" };
            let now = samples(&sink.encode(accept).1);
            assert_whole(&now);
            for (series, value) in &before {
                assert!(now[series] >= *value, "{series} went down");
            }
            before = now;
            scrapes += 1;
        }
    });
    let found = scraped(&sink);
    let rounds = f64::from(u32::try_from(THREADS * ROUNDS).unwrap());
    assert_eq!(
        values(&found, "llama_stack_tokens_total").iter().sum::<f64>(),
        3.0 * rounds + rounds / 100.0
    );
    assert_eq!(
        values(&found, "llama_stack_request_duration_seconds_count")
            .iter()
            .sum::<f64>(),
        rounds
    );
}

/// Each histogram's infinite bucket equals its count, and no bucket is smaller than the one below.
fn assert_whole(samples: &BTreeMap<String, f64>) {
    let count = "llama_stack_request_duration_seconds_count";
    for (series, value) in samples.iter().filter(|(series, _)| series.starts_with(count)) {
        let labels = &series[count.len() + 1..];
        let bucket =
            |le: &str| samples[&format!("llama_stack_request_duration_seconds_bucket{{le=\"{le}\",{labels}")];
        assert_eq!(bucket("+Inf"), *value);
        assert_eq!(bucket("0.01"), 0.0);
        assert_eq!(bucket("0.025"), *value);
    }
}
