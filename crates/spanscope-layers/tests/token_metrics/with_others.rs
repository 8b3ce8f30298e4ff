//! With other Spanscope layers before and after, and under filters.

use std::sync::{Arc, Mutex};

use spanscope_core::capture::{Capture, Ticks};
use spanscope_layers::metrics::{Measurement, MetricSink, TokenMetricsHandle};
use spanscope_layers::{Categories, CategoryFilter, Levels, SpanExt, TokenMetricsLayer};
use tracing::dispatcher::{Dispatch, with_default};
use tracing::field::Empty;
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, debug_span, info_span};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use super::support::{Recorder, outcome};

/// Another Spanscope layer, reduced to keeping records.
struct Other(Capture);

impl Other {
    fn new() -> Self {
        Self(Capture::new(1024))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Other {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, &context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, &context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.on_close(&id, &context, |_, _, _, _| true, || {});
    }
}

fn program() {
    let agent = info_span!(
        "invoke_agent",
        gen_ai.operation.name = "invoke_agent",
        gen_ai.usage.input_tokens = 24
    );
    for _ in 0..2 {
        let call = info_span!(parent: &agent, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = Empty);
        call.record("gen_ai.usage.input_tokens", 12);
        call.record_attribute("gen_ai.usage.output_tokens", 5_u64);
        drop(info_span!(parent: &call, "retry"));
    }
}

#[test]
fn the_order_of_layers_does_not_matter() {
    for round in 0..3 {
        // Each on the same thread: what one subscriber's layers cache about each other must not
        // affect the next one's.
        let recorder = Recorder::default();
        let layer = recorder.layer().build();
        let handle = layer.handle();
        match round {
            0 => tracing::subscriber::with_default(
                tracing_subscriber::registry().with(layer).with(Other::new()),
                program,
            ),
            1 => tracing::subscriber::with_default(
                tracing_subscriber::registry().with(Other::new()).with(layer),
                program,
            ),
            _ => tracing::subscriber::with_default(
                tracing_subscriber::registry()
                    .with(Other::new())
                    .with(layer)
                    .with(Other::new()),
                program,
            ),
        }
        let outcome = outcome(&recorder, &handle);
        assert_eq!(
            outcome.tokens(),
            [vec![12, 12], vec![5, 5], vec![17, 17]],
            "round {round}"
        );
        assert_eq!(outcome.integers("gen_ai.invoke_agent.inference_calls"), [2]);
        assert_eq!(outcome.stats.repeated, 1);
    }
}

#[test]
fn spans_that_another_layer_does_not_see_still_count() {
    let recorder = Recorder::default();
    let layer = recorder.layer().build();
    let handle = layer.handle();
    let blind = Other::new().with_filter(filter_fn(|metadata| metadata.name() != "chat"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(blind).with(layer), program);
    assert_eq!(
        outcome(&recorder, &handle).tokens(),
        [vec![12, 12], vec![5, 5], vec![17, 17]]
    );
}

#[test]
fn a_per_layer_filter_hides_spans_and_their_ancestors_count() {
    let recorder = Recorder::default();
    let layer = recorder.layer().build();
    let handle = layer.handle();
    let subscriber = tracing_subscriber::registry()
        .with(Other::new())
        .with(layer.with_filter(LevelFilter::INFO));
    tracing::subscriber::with_default(subscriber, || {
        let request = info_span!("request", total_tokens = 17);
        let hidden = debug_span!(parent: &request, "chat", prompt_tokens = 12, completion_tokens = 5);
        drop((hidden, request));
        // A hidden span between does not hide a counted call from those above.
        let request = info_span!("request", total_tokens = 17);
        let hidden = debug_span!(parent: &request, "between");
        let call = info_span!(parent: &hidden, "chat", prompt_tokens = 12, completion_tokens = 5);
        drop((call, hidden, request));
    });
    let outcome = outcome(&recorder, &handle);
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17, 17]]);
    assert_eq!(outcome.stats.repeated, 1);
}

#[test]
fn a_span_that_its_category_hides_does_not_count() {
    let categories = Categories::new().app_crate("token_metrics");
    let mut levels = Levels::new();
    assert_eq!(levels.set_pairs(&categories, "test", "tools=off"), []);
    let filter = CategoryFilter::new(categories, levels);
    let (global, own) = (Recorder::default(), Recorder::default());
    let subscriber = tracing_subscriber::registry()
        .with(filter.clone())
        .with(global.layer().build());
    let program = || {
        let request = info_span!("request", category = "server", total_tokens = 20);
        let call = info_span!(parent: &request, "call", category = "tools", prompt_tokens = 12);
        drop((call, request));
    };
    tracing::subscriber::with_default(subscriber, program);
    let subscriber = tracing_subscriber::registry()
        .with(Other::new())
        .with(own.layer().build().with_filter(filter));
    tracing::subscriber::with_default(subscriber, program);
    for recorder in [global, own] {
        let kept = recorder.all();
        assert!(kept.iter().all(|kept| kept.name != "prompt_tokens"), "{kept:#?}");
        assert_eq!(kept.iter().filter(|kept| kept.name == "total_tokens").count(), 1);
    }
}

#[test]
fn subscribers_on_one_thread_are_independent() {
    let make = || info_span!("call", prompt_tokens = 12);
    for _ in 0..3 {
        // Their registries assign the same numbers, and the callsite is the same.
        let recorder = Recorder::default();
        let inner = Recorder::default();
        let subscriber = tracing_subscriber::registry()
            .with(Other::new())
            .with(recorder.layer().build());
        tracing::subscriber::with_default(subscriber, || {
            let outer = make();
            drop(make());
            let subscriber = tracing_subscriber::registry()
                .with(Other::new())
                .with(inner.layer().build());
            tracing::subscriber::with_default(subscriber, || drop((make(), make())));
            drop(outer);
        });
        let prompts = |recorder: &Recorder| {
            let all = recorder.all();
            all.iter().filter(|kept| kept.name == "prompt_tokens").count()
        };
        assert_eq!((prompts(&recorder), prompts(&inner)), (2, 2));
    }
}

#[test]
fn records_of_another_subscribers_span_are_not_mixed_up() {
    let (seen, call) = (|| info_span!("seen"), || info_span!("call", prompt_tokens = 12));
    let recorder = Recorder::default();
    let blind = Other::new().with_filter(filter_fn(|metadata| metadata.name() != "call"));
    let sighted = Dispatch::new(tracing_subscriber::registry().with(Other::new()));
    let half_blind = Dispatch::new(
        tracing_subscriber::registry()
            .with(blind)
            .with(recorder.layer().build()),
    );
    for dispatch in [&sighted, &half_blind] {
        with_default(dispatch, || drop((seen(), seen())));
    }
    // Both registries assign the same number, on one thread, one after the other.
    let one = with_default(&sighted, call);
    let other = with_default(&half_blind, call);
    assert_eq!(one.id(), other.id());
    drop((one, other));
    assert_eq!(
        recorder.all().first().map(|kept| kept.name.as_str()),
        Some("prompt_tokens")
    );
}

#[test]
fn each_of_two_token_layers_counts_what_it_sees() {
    let (all, few) = (Recorder::default(), Recorder::default());
    let (first, second) = (all.layer().build(), few.layer().build());
    let (first_handle, second_handle) = (first.handle(), second.handle());
    let subscriber = tracing_subscriber::registry()
        .with(first)
        .with(second.with_filter(LevelFilter::INFO));
    tracing::subscriber::with_default(subscriber, || {
        let request = info_span!("request", total_tokens = 20);
        drop(debug_span!(parent: &request, "chat", prompt_tokens = 12, completion_tokens = 5));
    });
    assert_eq!(outcome(&all, &first_handle).integers("total_tokens"), [17]);
    assert_eq!(outcome(&few, &second_handle).integers("total_tokens"), [20]);
}

#[test]
fn a_sink_may_be_shared_and_there_may_be_several() {
    let recorder = Recorder::default();
    let shared: Arc<dyn MetricSink> = Arc::new(recorder.clone());
    let layer = TokenMetricsLayer::builder()
        .sink(Arc::clone(&shared))
        .sink(shared)
        .build();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        drop(info_span!("c", prompt_tokens = 12));
    });
    let prompts = recorder
        .all()
        .iter()
        .filter(|kept| kept.name == "prompt_tokens")
        .count();
    assert_eq!(prompts, 2);
}

/// A subscriber whose first layer doesn't see spans with this name.
fn blind_for(name: &'static str) -> (Recorder, TokenMetricsHandle, Dispatch) {
    let recorder = Recorder::default();
    let layer = recorder.layer().build();
    let handle = layer.handle();
    let blind = Other::new().with_filter(filter_fn(move |metadata| metadata.name() != name));
    let subscriber = tracing_subscriber::registry().with(blind).with(layer);
    (recorder, handle, Dispatch::new(subscriber))
}

/// The cache of the most recently created span of a thread belongs to one subscriber: two assign
/// the same numbers to their spans.
#[test]
fn a_span_with_the_same_number_on_another_subscriber_counts_separately() {
    let (first, _, one) = blind_for("none");
    let (second, handle, other) = blind_for("chat");
    // Both layers find out which one creates the records.
    let seen = || drop(info_span!("seen", prompt_tokens = 1));
    with_default(&one, seen);
    with_default(&other, seen);
    let call = || info_span!("chat", prompt_tokens = 12, completion_tokens = 5);
    let calls = [with_default(&one, call), with_default(&other, call)];
    assert_eq!(
        calls[0].id().map(|id| id.into_u64()),
        calls[1].id().map(|id| id.into_u64())
    );
    drop(calls);
    assert_eq!(
        outcome(&second, &handle).tokens(),
        [vec![1, 12], vec![5], vec![1, 17]]
    );
    assert_eq!(first.all().len(), second.all().len());
}

/// A closed span that was created last is not confused with the next one, which its layer doesn't
/// see.
#[test]
fn a_span_after_one_that_was_never_entered_counts_separately() {
    let (recorder, handle, dispatch) = blind_for("chat");
    with_default(&dispatch, || {
        for _ in 0..3 {
            drop(info_span!("seen", prompt_tokens = 1));
            drop(info_span!("chat", prompt_tokens = 12, completion_tokens = 5));
        }
    });
    let outcome = outcome(&recorder, &handle);
    assert_eq!(
        outcome.tokens(),
        [vec![1, 12, 1, 12, 1, 12], vec![5; 3], vec![1, 17, 1, 17, 1, 17]]
    );
}

/// Records the ends of spans as a sink gets them.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<Ticks>>>);

struct EndsLayer(Capture, Ends);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for EndsLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, &context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let keep = |_: &_, _, _, end| {
            self.1.0.lock().unwrap().push(end);
            true
        };
        self.0.on_close(&id, &context, keep, || {});
    }
}

impl MetricSink for Ends {
    fn record(&self, measurement: &Measurement<'_>) {
        self.0.lock().unwrap().push(measurement.time);
    }
}

#[test]
fn measurements_of_a_span_are_made_when_it_ends_for_every_sink() {
    for is_first in [true, false] {
        let (ends, times) = (Ends::default(), Ends::default());
        let other = EndsLayer(Capture::new(1024), ends.clone());
        let tokens = TokenMetricsLayer::builder().sink(times.clone()).build();
        let call = || drop(info_span!("chat", prompt_tokens = 12));
        let registry = tracing_subscriber::registry();
        match is_first {
            true => tracing::subscriber::with_default(registry.with(tokens).with(other), call),
            false => tracing::subscriber::with_default(registry.with(other).with(tokens), call),
        }
        let end = ends.0.lock().unwrap()[0];
        let times = times.0.lock().unwrap();
        assert!(
            !times.is_empty() && times.iter().all(|time| *time == end),
            "{is_first}"
        );
    }
}
