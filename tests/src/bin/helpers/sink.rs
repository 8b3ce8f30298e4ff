//! A sink that records measurements while it receives one, in every possible way.

use std::sync::atomic::{AtomicU64, Ordering};

use spanscope::TokenMetricsLayer;
use spanscope::genai::{ModelCall, Usage};
use spanscope::metrics::{Measurement, MetricSink, record_value};
use spanscope::model::MetricKind;
use tracing_subscriber::prelude::*;

static TAKEN: AtomicU64 = AtomicU64::new(0);

struct Measuring;

impl MetricSink for Measuring {
    fn record(&self, _: &Measurement<'_>) {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        tracing::info!(metric = "seen_by_event", value = 1);
        record_value("seen_by_call", 1_i64, "", MetricKind::Counter, &[]);
        ModelCall::chat("local", "seen-by-span").usage(Usage::new(1, 1));
    }
}

/// Prints how many measurements the sink took, and how many it made.
pub(crate) fn measure_in_a_sink() {
    let layer = TokenMetricsLayer::builder().sink(Measuring).build();
    let handle = layer.handle();
    // The global one: `tracing` drops what happens within a scoped subscriber's callback.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    tracing::info!(metric = "own", value = 1);
    record_value("own", 1_i64, "", MetricKind::Counter, &[]);
    let taken = TAKEN.swap(0, Ordering::Relaxed);
    println!("{taken} taken, {} made by the sink", handle.stats().from_sinks);
}
