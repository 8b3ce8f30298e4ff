//! Measurements made while a future ran, to attach to its response.
//!
//! The telemetry API attaches metrics to its responses. A thread-local stack holds a list for each
//! collection that is being polled; measurements on the thread are added to all of them. So tasks
//! that the future spawns, and threads that it starts, are not included, unless they are collected
//! themselves.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;

use spanscope_model::MetricInResponse;

use spanscope_core::metrics::Measurement;

/// Maximum number of measurements in one collection; more are counted in
/// [`TokenMetricsStats::not_collected`](super::TokenMetricsStats::not_collected).
pub const MAX_COLLECTED: usize = 10_000;

thread_local! {
    /// The innermost collection last.
    static COLLECTING: RefCell<Vec<Vec<MetricInResponse>>> = const { RefCell::new(Vec::new()) };
    /// The number of collections.
    static COLLECTIONS: Cell<usize> = const { Cell::new(0) };
}

/// Runs a future, and returns its output and the measurements made meanwhile, in order: the token
/// counters of model calls that ended, metric events, and [`record`](super::record)ed measurements.
/// The metrics of the conventions (`gen_ai.*`, `mcp.*`, `http.*`) are left out, because they have
/// no meaning without their labels. An outer collection includes those of an inner one.
///
/// A [`TokenMetricsLayer`](super::TokenMetricsLayer) must be on the subscriber; it needs no sinks
/// for that. Tasks that the future spawns are not included: collect in them and merge the lists.
///
/// ```
/// use spanscope_layers::metrics::{TokenMetricsLayer, collect};
/// use tracing_subscriber::prelude::*;
///
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut future = std::pin::pin!(future);
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) { return output; } }
/// # }
/// let subscriber = tracing_subscriber::registry().with(TokenMetricsLayer::builder().build());
/// let _default = tracing::subscriber::set_default(subscriber);
/// let (answer, metrics) = block_on(collect(async {
///     tracing::info_span!("chat", model_id = "llama-3", prompt_tokens = 12, completion_tokens = 5);
///     "the answer"
/// }));
/// assert_eq!(answer, "the answer");
/// let names: Vec<_> = metrics.iter().map(|metric| metric.metric.as_str()).collect();
/// assert_eq!(names, ["prompt_tokens", "completion_tokens", "total_tokens"]);
/// ```
pub async fn collect<F: Future>(future: F) -> (F::Output, Vec<MetricInResponse>) {
    let mut future = pin!(future);
    let mut collected = Vec::new();
    let output = poll_fn(|context| {
        let collecting = Collecting::begin(std::mem::take(&mut collected));
        let polled = future.as_mut().poll(context);
        collected = collecting.end();
        polled
    })
    .await;
    (output, collected)
}

/// A collection on the stack; dropping removes it, also if the future panics.
struct Collecting;

impl Collecting {
    fn begin(collected: Vec<MetricInResponse>) -> Self {
        let _ = COLLECTING.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            stack.push(collected);
            COLLECTIONS.set(stack.len());
        });
        Self
    }

    fn end(self) -> Vec<MetricInResponse> {
        let collected = Self::take();
        std::mem::forget(self);
        collected
    }

    fn take() -> Vec<MetricInResponse> {
        COLLECTING
            .try_with(|stack| {
                let mut stack = stack.borrow_mut();
                let collected = stack.pop();
                COLLECTIONS.set(stack.len());
                collected
            })
            .ok()
            .flatten()
            .unwrap_or_default()
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        drop(Self::take());
    }
}

/// Returns whether this thread has a collection. It nearly always has none, and reading a number is
/// faster than a list.
#[inline]
pub(super) fn is_collecting() -> bool {
    COLLECTIONS.try_with(Cell::get).unwrap_or(0) > 0
}

/// Adds a measurement to all collections of this thread. Returns how many of them were full.
pub(super) fn note(measurement: &Measurement<'_>) -> u64 {
    COLLECTING
        .try_with(|stack| {
            let mut stack = stack.borrow_mut();
            let mut full = 0;
            for collected in stack.iter_mut() {
                if collected.len() >= MAX_COLLECTED {
                    full += 1;
                    continue;
                }
                collected.push(MetricInResponse {
                    metric: measurement.name.to_owned(),
                    value: measurement.value.into(),
                    unit: (!measurement.unit.is_empty()).then(|| measurement.unit.to_owned()),
                });
            }
            full
        })
        .unwrap_or(0)
}
