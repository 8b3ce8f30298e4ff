//! The cost of measuring: token metrics on a span with usage and on one without, and the request
//! middleware on a request.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use spanscope_bench::subject::serve;
use spanscope_bench::table::{Goal, Table, nanos};
use spanscope_core::capture::Capture;
use spanscope_core::metrics::{Measurement, MetricSink};
use spanscope_layers::TokenMetricsLayer;
use spanscope_tower::RequestMetricsLayer;
use tower::ServiceExt;
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, info_span, subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, registry};

use crate::caller::in_turn;
use crate::sizes::Sizes;

/// Accepts measurements and drops them, so that only the path to a sink is measured.
pub(crate) struct Nowhere;

impl MetricSink for Nowhere {
    fn record(&self, measurement: &Measurement<'_>) {
        black_box(measurement);
    }
}

/// A Spanscope sink of spans, so that measuring is added to a program that has one.
pub(crate) struct SpanSink(Capture);

impl SpanSink {
    pub(crate) fn new() -> Self {
        Self(Capture::new(16 * 1024))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanSink {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, &context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, &context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let take = |record: &_, _, _, _| {
            black_box::<&spanscope_core::capture::SpanRecord>(record);
            true
        };
        self.0.on_close(&id, &context, take, || {});
    }
}

/// Runs one subject of this section in a child process.
pub(crate) fn child(role: &str, sizes: &Sizes) -> Result<()> {
    let sink = SpanSink::new();
    let tokens = TokenMetricsLayer::builder().sink(Nowhere).build();
    match role {
        "measuring-spans-without" => {
            subscriber::set_global_default(registry().with(sink))?;
            serve(|| Ok(spans(sizes)), || Ok(Vec::new()))
        }
        "measuring-spans-with" => {
            subscriber::set_global_default(registry().with(sink).with(tokens))?;
            serve(|| Ok(spans(sizes)), || Ok(Vec::new()))
        }
        "measuring-requests-without" => {
            subscriber::set_global_default(registry().with(sink).with(tokens))?;
            let router = Router::new().route("/v1/models", get(|| async { "[]" }));
            serve(|| requests(&router, sizes), || Ok(Vec::new()))
        }
        "measuring-requests-with" => {
            subscriber::set_global_default(registry().with(sink).with(tokens))?;
            let router = Router::new().route("/v1/models", get(|| async { "[]" }));
            let router = router.layer(RequestMetricsLayer::new());
            serve(|| requests(&router, sizes), || Ok(Vec::new()))
        }
        other => bail!("unknown subject {other}"),
    }
}

/// Nanoseconds per span: without usage, with usage in Llama Stack's attributes, with usage in
/// OpenTelemetry's.
fn spans(sizes: &Sizes) -> Vec<f64> {
    let each = |make: fn(u64)| {
        let start = Instant::now();
        for number in 0..sizes.measured_spans {
            make(black_box(number));
        }
        per(start, sizes.measured_spans)
    };
    vec![
        each(|number| {
            let _inside = info_span!("step", question = "why", number).entered();
        }),
        each(|number| {
            let _inside = info_span!(
                "inference",
                model_id = "llama",
                provider_id = "local",
                prompt_tokens = 12,
                completion_tokens = number | 1
            )
            .entered();
        }),
        each(|number| {
            let _inside = info_span!(
                "chat",
                gen_ai.operation.name = "chat",
                gen_ai.provider.name = "openai",
                gen_ai.request.model = "gpt-4o",
                gen_ai.usage.input_tokens = 12,
                gen_ai.usage.output_tokens = number | 1
            )
            .entered();
        }),
    ]
}

/// Nanoseconds per request through the router, without a network.
fn requests(router: &Router, sizes: &Sizes) -> Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..sizes.requests {
            let request = Request::get("/v1/models").body(Body::empty())?;
            let response = router
                .clone()
                .oneshot(request)
                .await
                .context("a router does not fail")?;
            let body = axum::body::to_bytes(response.into_body(), 1024).await?;
            black_box(body);
        }
        Ok(vec![per(start, sizes.requests)])
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of loops are small")]
fn per(start: Instant, count: u64) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Measures all subjects of this section in turn and adds their rows to the table.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let taken = in_turn(
        &["measuring-spans-without", "measuring-spans-with"],
        folder,
        sizes,
    )?;
    let [without, with] = taken.as_slice() else {
        bail!("a subject is missing");
    };
    let rows = [
        ("a span without usage", 20.0, "<= 20 ns"),
        ("a span with `prompt_tokens` and its like", 150.0, "<= 150 ns"),
        (
            "a span with `gen_ai.usage.*`, counters and the conventions' histograms",
            200.0,
            "<= 200 ns",
        ),
    ];
    for (place, (what, goal, said)) in rows.into_iter().enumerate() {
        let (before, after) = (without.sample(place), with.sample(place));
        table.judged(
            &format!("`TokenMetricsLayer` next to another Spanscope layer: {what}"),
            nanos(after.median()),
            format!(
                "{} more than without ({})",
                nanos(after.median() - before.median()),
                nanos(before.median())
            ),
            after.median() - before.median(),
            Goal::AtMost(goal),
            said,
        );
    }
    let taken = in_turn(
        &["measuring-requests-without", "measuring-requests-with"],
        folder,
        sizes,
    )?;
    let [without, with] = taken.as_slice() else {
        bail!("a subject is missing");
    };
    let (before, after) = (without.sample(0), with.sample(0));
    table.judged(
        "an axum request with `RequestMetricsLayer`: its span and five measurements",
        nanos(after.median()),
        format!(
            "{} more than without ({})",
            nanos(after.median() - before.median()),
            nanos(before.median())
        ),
        after.median() - before.median(),
        Goal::AtMost(2_000.0),
        "<= 2 µs",
    );
    Ok(())
}
