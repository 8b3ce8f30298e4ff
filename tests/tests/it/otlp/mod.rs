//! The OTLP bridge: the exported records and their ids, and collectors that don't accept them.

mod failure;
mod grpc;
mod identity;
mod propagation;
mod settings;
mod signals;

use std::path::PathBuf;
use std::time::Duration;

use spanscope_model::{Span, SpanFilter, TraceStore as _, block_on};
use spanscope_otlp::{OtlpGuard, OtlpLayer, OtlpLayerBuilder};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::PATIENCE;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// Settings for a receiver of the test. Nothing is sent before a batch is full, so that the number
/// of requests is known.
fn to(url: &str) -> OtlpLayerBuilder {
    OtlpLayer::builder()
        .endpoint(url)
        .service_name("it")
        .schedule_delay(Duration::from_secs(3600))
        .metric_interval(Duration::from_secs(3600))
        .shutdown_timeout(PATIENCE)
}

/// Only the layer, as a dispatcher.
fn alone(builder: OtlpLayerBuilder) -> (Dispatch, OtlpGuard) {
    let (layer, guard) = builder.build().unwrap();
    (Dispatch::new(tracing_subscriber::registry().with(layer)), guard)
}

fn build<S>(builder: OtlpLayerBuilder) -> (OtlpLayer<S>, OtlpGuard)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    builder.build().unwrap()
}

fn stored_spans(path: &PathBuf) -> Vec<Span> {
    let store = SqliteStore::open(path).unwrap();
    block_on(store.list_spans(SpanFilter::default().limit(10_000))).unwrap()
}
