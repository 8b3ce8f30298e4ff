//! The content of the spans, log records and metrics that are sent.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use spanscope_layers::metrics::record_value;
use spanscope_layers::{Categories, CategoryFilter, LevelFilter, Levels, SpanExt, TokenMetricsLayer};
use spanscope_model::MetricKind;
use spanscope_otlp::opentelemetry::trace::Status;
use spanscope_otlp::opentelemetry::{Array, KeyValue as OtelPair, Value as OtelValue};
use spanscope_otlp::{
    ContentPolicy, Limits, OpenTelemetrySpanExt, OtlpLayerBuilder, Sampler, Signal, TailRule,
};
use spanscope_sqlite::SqliteLayer;
use spanscope_tests::receiver::{Receiver, Sent, text_of};
use spanscope_tests::{PATIENCE, wait_for};
use tracing::{Dispatch, debug, error, info, info_span, warn};
use tracing_subscriber::prelude::*;

use super::{alone, build, stored_spans, to};

/// A program that exports spans and events, and their receiver.
struct Sending {
    receiver: Receiver,
}

impl Sending {
    fn of(set: impl FnOnce(OtlpLayerBuilder) -> OtlpLayerBuilder, program: impl FnOnce()) -> Self {
        let receiver = Receiver::start();
        let (dispatch, guard) = alone(set(to(&receiver.url())));
        tracing::dispatcher::with_default(&dispatch, program);
        guard.flush(PATIENCE).unwrap();
        drop(guard);
        Self { receiver }
    }

    fn span(&self, name: &str) -> Span {
        let spans = self.receiver.spans();
        let found = spans.iter().find(|span| span.record.name == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
            .record
            .clone()
    }
}

fn same(builder: OtlpLayerBuilder) -> OtlpLayerBuilder {
    builder
}

fn value(attributes: &[KeyValue], key: &str) -> Option<any_value::Value> {
    let found: Vec<_> = attributes
        .iter()
        .filter(|attribute| attribute.key == key)
        .collect();
    assert!(found.len() < 2, "{key} stands twice in {attributes:?}");
    found.first()?.value.as_ref()?.value.clone()
}

#[test]
fn attributes_keep_their_types() {
    use any_value::Value::{BoolValue, DoubleValue, IntValue, StringValue};
    let sent = Sending::of(same, || {
        let span = info_span!(
            "types",
            yes = true,
            int = -7,
            unsigned = 7_u64,
            huge = u64::MAX,
            float = 0.5,
            text = "x",
            debug = ?Some(1),
            late = tracing::field::Empty,
            twice = 1,
            api_key = "hunter2",
        );
        span.record("late", 3);
        span.record("twice", 2);
        SpanExt::record_attribute(&span, "own.key", "own");
    });
    let attributes = sent.span("types").attributes;
    for (key, expected) in [
        ("yes", BoolValue(true)),
        ("int", IntValue(-7)),
        ("unsigned", IntValue(7)),
        ("huge", StringValue(u64::MAX.to_string())),
        ("float", DoubleValue(0.5)),
        ("text", StringValue("x".to_owned())),
        ("debug", StringValue("Some(1)".to_owned())),
        ("late", IntValue(3)),
        ("twice", IntValue(2)),
        ("own.key", StringValue("own".to_owned())),
        ("api_key", StringValue("[masked: 7 characters]".to_owned())),
    ] {
        assert_eq!(value(&attributes, key), Some(expected), "{key}");
    }
}

#[test]
fn the_special_fields_apply() {
    let sent = Sending::of(same, || {
        info_span!(
            "a",
            otel.name = "renamed",
            otel.kind = "client",
            otel.status_code = "ok"
        )
        .in_scope(|| error!("does not count, the span says ok"));
        info_span!("failed").in_scope(|| error!("counts"));
        info_span!(
            "told",
            otel.status_code = "ERROR",
            otel.status_description = "no luck"
        )
        .in_scope(|| ());
        let _ = std::panic::catch_unwind(|| {
            let _span = info_span!("panicked").entered();
            std::panic::resume_unwind(Box::new(()));
        });
    });
    let status = |name: &str| {
        let status = sent.span(name).status.unwrap();
        (status.code, status.message)
    };
    assert_eq!(
        (sent.span("renamed").kind, status("renamed")),
        (3, (1, String::new()))
    );
    assert_eq!(status("failed"), (2, String::new()));
    assert_eq!(status("told"), (2, "no luck".to_owned()));
    assert_eq!(status("panicked").0, 2);
}

#[test]
fn opentelemetrys_own_trait_works_and_the_store_has_its_values() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (store, store_guard) = SqliteLayer::open(&path).unwrap();
    let (bridge, guard) = build(to(&receiver.url()));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge).with(store));
    tracing::dispatcher::with_default(&dispatch, || {
        let linked = info_span!("linked");
        let span = info_span!("extended", declared = 1);
        // Before it is started, and after.
        OpenTelemetrySpanExt::set_attribute(&span, "early", 1);
        span.add_event("an early event", vec![OtelPair::new("n", 1)]);
        span.in_scope(|| {
            OpenTelemetrySpanExt::set_attribute(&span, "late", "x");
            OpenTelemetrySpanExt::set_attribute(&span, "early", 2);
            OpenTelemetrySpanExt::set_attribute(&span, "list", OtelValue::Array(Array::I64(vec![1, 2])));
            span.add_event("a late event", Vec::new());
            info!("an ordinary event");
            span.add_link(linked.context().span_context_of());
            span.set_status(Status::error("told so"));
        });
    });
    guard.flush(PATIENCE).unwrap();
    store_guard.flush(PATIENCE).unwrap();
    let sent = receiver
        .spans()
        .into_iter()
        .find(|sent| sent.record.name == "extended")
        .unwrap()
        .record;
    assert_eq!(
        value(&sent.attributes, "early"),
        Some(any_value::Value::IntValue(2))
    );
    assert_eq!(text_of(&sent.attributes, "late").as_deref(), Some("x"));
    assert_eq!(text_of(&sent.attributes, "list").as_deref(), Some("[1,2]"));
    let mut events: Vec<_> = sent.events.iter().map(|event| event.name.as_str()).collect();
    events.sort_unstable();
    assert_eq!(events, ["a late event", "an early event", "an ordinary event"]);
    assert_eq!(sent.links.len(), 1);
    let status = sent.status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "told so"));
    let stored = stored_spans(&path)
        .into_iter()
        .find(|span| span.name == "extended")
        .unwrap();
    assert_eq!(stored.attributes.get("early"), Some(&2.into()));
    assert_eq!(stored.attributes.get("late"), Some(&"x".into()));
    assert_eq!(stored.status_message.as_deref(), Some("told so"));
    assert_eq!(stored.links.len(), 1);
}

trait SpanContextOf {
    fn span_context_of(&self) -> spanscope_otlp::opentelemetry::trace::SpanContext;
}

impl SpanContextOf for spanscope_otlp::opentelemetry::Context {
    fn span_context_of(&self) -> spanscope_otlp::opentelemetry::trace::SpanContext {
        use spanscope_otlp::opentelemetry::trace::TraceContextExt as _;
        self.span().span_context().clone()
    }
}

#[test]
fn events_are_log_records_with_or_without_a_span() {
    let sent = Sending::of(same, || {
        info_span!("work").in_scope(|| warn!(n = 1, "in a span"));
        error!(severity = "critical", "outside");
        info!(name: "my.event", "named");
    });
    let logs = sent.receiver.logs();
    let of = |body: &str| {
        let found = logs.iter().find(|log| {
            let body_of = log.record.body.as_ref().and_then(|body| body.value.clone());
            body_of == Some(any_value::Value::StringValue(body.to_owned()))
        });
        found.unwrap().record.clone()
    };
    let span = sent.span("work");
    let inside = of("in a span");
    assert_eq!((inside.trace_id, inside.span_id), (span.trace_id, span.span_id));
    assert_eq!(
        (inside.severity_number, inside.severity_text.as_str()),
        (13, "warn")
    );
    assert_eq!(
        value(&inside.attributes, "n"),
        Some(any_value::Value::IntValue(1))
    );
    let outside = of("outside");
    assert!(outside.trace_id.is_empty() && outside.span_id.is_empty());
    assert_eq!(outside.severity_number, 21);
    assert_eq!(of("named").event_name, "my.event");
    assert_eq!(logs[0].scope, module_path!());
    assert_eq!(logs[0].resource("service.name").as_deref(), Some("it"));
}

#[test]
fn each_signal_can_be_sent_alone() {
    for signal in Signal::ALL {
        let receiver = Receiver::start();
        let settings = Signal::ALL
            .into_iter()
            .fold(to(&receiver.url()), |settings, other| {
                settings.send(other, other == signal)
            });
        let (bridge, guard) = build(settings);
        let metrics = TokenMetricsLayer::builder().sink(bridge.metric_sink()).build();
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge).with(metrics));
        tracing::dispatcher::with_default(&dispatch, || {
            info_span!("work").in_scope(|| info!(metric = "queue_length", value = 3, "measured"));
        });
        guard.flush(PATIENCE).unwrap();
        drop(guard);
        let (spans, logs) = (receiver.spans().len(), receiver.logs().len());
        let measured = receiver
            .metrics()
            .iter()
            .filter(|metric| metric.record.name == "queue_length")
            .count();
        match signal {
            Signal::Traces => assert_eq!((spans, logs, measured), (1, 0, 0)),
            Signal::Logs => assert_eq!((spans, logs, measured), (0, 1, 0)),
            Signal::Metrics => assert!(spans == 0 && logs == 0 && measured > 0),
        }
    }
}

fn content_span() {
    let span = info_span!(
        "chat",
        gen_ai.input.messages = "a secret plan",
        gen_ai.request.model = "m"
    );
    span.in_scope(|| info!(gen_ai.output.messages = "an answer", "said"));
}

#[test]
fn contents_are_not_sent_by_default() {
    for (policy, expected) in [
        (None, None),
        (Some(ContentPolicy::None), None),
        (Some(ContentPolicy::Full), Some("a secret plan")),
        (
            Some(ContentPolicy::Redacted),
            Some("[redacted: 13 characters, fnv1a"),
        ),
    ] {
        let set = |settings: OtlpLayerBuilder| match policy {
            Some(policy) => settings.content(policy),
            None => settings,
        };
        let sent = Sending::of(set, content_span);
        let attributes = sent.span("chat").attributes;
        let shown = text_of(&attributes, "gen_ai.input.messages");
        match expected {
            None => assert_eq!(shown, None),
            Some(start) => assert!(shown.unwrap().starts_with(start)),
        }
        assert_eq!(text_of(&attributes, "gen_ai.request.model").as_deref(), Some("m"));
        let log = sent.receiver.logs().remove(0).record;
        assert_eq!(
            text_of(&log.attributes, "gen_ai.output.messages").is_some(),
            expected.is_some()
        );
    }
}

#[test]
fn not_even_the_length_of_contents_is_sent_by_default() {
    let long = "a secret plan ".repeat(100);
    for (policy, expected) in [(ContentPolicy::None, 0), (ContentPolicy::Full, 2)] {
        let sent = Sending::of(
            |settings| settings.content(policy).max_value_len(64),
            || {
                let span = info_span!("chat", gen_ai.input.messages = long, other = long);
                span.in_scope(|| info!(gen_ai.output.messages = long, "said"));
            },
        );
        let all = sent.span("chat").attributes;
        let of_span = all.iter().filter(|one| one.key.contains("gen_ai.input.messages"));
        assert_eq!(of_span.count(), expected, "{all:?}");
        assert!(value(&all, "spanscope.cut.other").is_some(), "{all:?}");
        let all = sent.receiver.logs().remove(0).record.attributes;
        let of_log = all
            .iter()
            .filter(|one| one.key.contains("gen_ai.output.messages"));
        assert_eq!(of_log.count(), expected, "{all:?}");
    }
}

#[test]
fn events_of_opentelemetry_are_truncated_like_all_others() {
    let sent = Sending::of(
        |settings| settings.max_value_len(8),
        || {
            let text = OtelPair::new("text", "äöüäöüäöü");
            let span = info_span!("work");
            OpenTelemetrySpanExt::add_event(&span, "said", vec![text]);
            span.in_scope(|| ());
        },
    );
    let event = sent.span("work").events.remove(0);
    assert_eq!(text_of(&event.attributes, "text").as_deref(), Some("äöüä"));
    let original = value(&event.attributes, "spanscope.cut.text");
    assert_eq!(original, Some(any_value::Value::IntValue(18)));
}

#[test]
fn limits_truncate_and_count() {
    let limits = Limits {
        span_attributes: 3,
        span_events: 2,
        span_links: 1,
        event_attributes: 1,
        log_attributes: 1,
        span_value_chars: Some(4),
        log_value_chars: Some(2),
    };
    let sent = Sending::of(
        |settings| settings.limits(limits),
        || {
            let others = [info_span!("x"), info_span!("y"), info_span!("z")];
            let span = info_span!("much", a = "äöüäöü", b = 2, c = 3, d = 4);
            for other in &others {
                span.follows_from(other);
            }
            span.in_scope(|| (0..5).for_each(|n| info!(n, text = "long text", "event")));
        },
    );
    let span = sent.span("much");
    assert_eq!(
        (span.attributes.len(), span.dropped_attributes_count),
        (3, 2),
        "the category is an attribute too"
    );
    assert_eq!(text_of(&span.attributes, "a").as_deref(), Some("äöüä"));
    assert_eq!((span.events.len(), span.dropped_events_count), (2, 3));
    assert_eq!((span.links.len(), span.dropped_links_count), (1, 2));
    assert_eq!(
        (
            span.events[0].attributes.len(),
            span.events[0].dropped_attributes_count
        ),
        (1, 3)
    );
    let log = sent.receiver.logs().remove(0).record;
    assert_eq!(log.attributes.len(), 1);
    let limits = Limits {
        log_attributes: 8,
        ..limits
    };
    let sent = Sending::of(
        |settings| settings.limits(limits),
        || info!(text = "long text", "event"),
    );
    let log = sent.receiver.logs().remove(0).record;
    assert_eq!(text_of(&log.attributes, "text").as_deref(), Some("lo"));
}

#[test]
fn the_variable_determines_where_contents_are_sent() {
    for (value, in_span, in_log) in [
        ("SPAN_ONLY", true, false),
        ("EVENT_ONLY", false, true),
        ("SPAN_AND_EVENT", true, true),
        ("NO_CONTENT", false, false),
    ] {
        let get = |name: &str| {
            (name == "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT").then(|| value.to_owned())
        };
        let sent = Sending::of(|settings| settings.env_from(&get).0, content_span);
        let span = sent.span("chat");
        let log = sent.receiver.logs().remove(0).record;
        let has = |attributes: &[KeyValue], key: &str| text_of(attributes, key).is_some();
        assert_eq!(has(&span.attributes, "gen_ai.input.messages"), in_span, "{value}");
        // The span has its events.
        let event = &span.events[0].attributes;
        assert_eq!(has(event, "gen_ai.output.messages"), in_span, "{value}");
        assert_eq!(has(&log.attributes, "gen_ai.output.messages"), in_log, "{value}");
    }
}

#[test]
fn samplers_affect_exports_and_not_the_store() {
    for (sampler, expected) in [
        (Sampler::AlwaysOn, 100..=100),
        (Sampler::AlwaysOff, 0..=0),
        (Sampler::ParentBasedAlwaysOff, 0..=0),
        (Sampler::Ratio(0.5), 20..=80),
        (Sampler::ParentBasedRatio(0.5), 20..=80),
    ] {
        let receiver = Receiver::start();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        let (store, store_guard) = SqliteLayer::open(&path).unwrap();
        let (bridge, guard) = build(to(&receiver.url()).sampler(sampler));
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(store).with(bridge));
        tracing::dispatcher::with_default(&dispatch, || {
            for _ in 0..100 {
                info_span!("root").in_scope(|| info_span!("child").in_scope(|| info!("event")));
            }
        });
        guard.flush(PATIENCE).unwrap();
        store_guard.flush(PATIENCE).unwrap();
        let stats = guard.stats().spans;
        assert_eq!(stats.exported + stats.lost.sampled, 200, "{sampler:?}");
        let spans = receiver.spans();
        let roots = spans.iter().filter(|span| span.record.name == "root").count();
        assert!(expected.contains(&roots), "{sampler:?}: {roots}");
        assert_eq!(spans.len(), 2 * roots, "{sampler:?}: whole traces");
        assert_eq!(stored_spans(&path).len(), 200, "{sampler:?}");
    }
}

#[test]
fn the_sampling_decision_of_the_caller_applies() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    let parent = "00f067aa0ba902b7".parse().unwrap();
    let sent = |set: &dyn Fn(OtlpLayerBuilder) -> OtlpLayerBuilder, is_sampled| {
        let sent = Sending::of(set, || {
            let span = info_span!("request");
            span.set_remote_parent_with(trace, parent, is_sampled).unwrap();
            span.in_scope(|| ());
        });
        sent.receiver.spans().len()
    };
    assert_eq!((sent(&same, true), sent(&same, false)), (1, 0));
    for (sampler, of_sampled, of_unsampled) in [
        (Sampler::AlwaysOn, 1, 1),
        (Sampler::AlwaysOff, 0, 0),
        (Sampler::Ratio(1.0), 1, 1),
        (Sampler::Ratio(0.0), 0, 0),
        (Sampler::ParentBasedAlwaysOn, 1, 0),
        (Sampler::ParentBasedAlwaysOff, 1, 0),
        (Sampler::ParentBasedRatio(0.0), 1, 0),
    ] {
        let set = |settings: OtlpLayerBuilder| settings.sampler(sampler);
        assert_eq!(
            (sent(&set, true), sent(&set, false)),
            (of_sampled, of_unsampled),
            "{sampler:?}"
        );
    }
}

#[test]
fn spans_and_log_records_have_their_own_filters() {
    let filter = |threshold| {
        let mut levels = Levels::new();
        levels.set_root(threshold);
        CategoryFilter::new(Categories::new(), levels)
    };
    let sent = Sending::of(
        |settings| {
            settings
                .span_filter(filter(LevelFilter::Info))
                .log_filter(filter(LevelFilter::Warn))
        },
        || {
            info_span!("shown").in_scope(|| {
                tracing::debug_span!("hidden").in_scope(|| {
                    info_span!("below").in_scope(|| {
                        info!("for the span alone");
                        warn!("for both");
                        debug!("for none");
                    });
                });
            });
        },
    );
    let (shown, below) = (sent.span("shown"), sent.span("below"));
    assert_eq!(
        below.parent_span_id, shown.span_id,
        "a hidden span passes its parent on"
    );
    assert_eq!(sent.receiver.spans().len(), 2);
    let events: Vec<_> = below.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(events, ["for the span alone", "for both"]);
    assert_eq!(sent.receiver.logs().len(), 1);
}

#[test]
fn exceptions_can_be_sent_as_log_records_only() {
    for (value, in_spans) in [("logs", 0), ("logs/dup", 1), ("", 1)] {
        let get =
            move |name: &str| (name == "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN").then(|| value.to_owned());
        let sent = Sending::of(
            |settings| settings.env_from(&get).0,
            || {
                let failure: &dyn std::error::Error = &std::fmt::Error;
                info_span!("work").in_scope(|| error!(error = failure));
            },
        );
        assert_eq!(sent.span("work").events.len(), in_spans, "{value}");
        let log = sent.receiver.logs().remove(0).record;
        assert_eq!(log.event_name, "exception");
        assert!(text_of(&log.attributes, "exception.message").is_some());
    }
}

fn metric<'a>(metrics: &'a [Sent<Metric>], name: &str) -> &'a Metric {
    let found = metrics.iter().rev().find(|metric| metric.record.name == name);
    &found.unwrap_or_else(|| panic!("no {name}")).record
}

#[test]
fn measurements_add_up_in_opentelemetrys_instruments() {
    let receiver = Receiver::start();
    let (bridge, guard) = build(to(&receiver.url()));
    let metrics = TokenMetricsLayer::builder().sink(bridge.metric_sink()).build();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge).with(metrics));
    tracing::dispatcher::with_default(&dispatch, || {
        for _ in 0..3 {
            info_span!(
                "chat",
                gen_ai.operation.name = "chat",
                gen_ai.request.model = "m",
                gen_ai.provider.name = "p",
                gen_ai.usage.input_tokens = 10,
                gen_ai.usage.output_tokens = 5,
            )
            .in_scope(|| ());
        }
        record_value("queue_length", 7_i64, "jobs", MetricKind::Gauge, &[]);
        record_value("queue_length", 4_i64, "jobs", MetricKind::Gauge, &[]);
        record_value("cost", 0.25, "", MetricKind::Counter, &[]);
        record_value("cost", 0.5, "", MetricKind::Counter, &[]);
        record_value("1 is no name", 1_i64, "", MetricKind::Counter, &[]);
    });
    guard.flush(PATIENCE).unwrap();
    let metrics = receiver.metrics();
    let whole = |name: &str| match &metric(&metrics, name).data {
        Some(metric::Data::Sum(sum)) => sum.data_points[0].value,
        Some(metric::Data::Gauge(gauge)) => gauge.data_points[0].value,
        other => panic!("{other:?}"),
    };
    use number_data_point::Value::{AsDouble, AsInt};
    assert_eq!(whole("llama_stack_prompt_tokens_total"), Some(AsInt(30)));
    assert_eq!(whole("llama_stack_completion_tokens_total"), Some(AsInt(15)));
    assert_eq!(whole("llama_stack_tokens_total"), Some(AsInt(45)));
    assert_eq!(metric(&metrics, "llama_stack_tokens_total").unit, "tokens");
    assert_eq!(whole("queue_length"), Some(AsDouble(4.0)));
    assert_eq!(whole("cost"), Some(AsDouble(0.75)));
    assert!(metrics.iter().all(|metric| !metric.record.name.starts_with('1')));
    let Some(metric::Data::Histogram(histogram)) = &metric(&metrics, "gen_ai.client.token.usage").data else {
        panic!("no histogram");
    };
    let count: u64 = histogram.data_points.iter().map(|point| point.count).sum();
    assert_eq!(count, 6, "input and output of three calls");
    assert_eq!(
        histogram.data_points[0].explicit_bounds.len(),
        14,
        "as the convention advises"
    );
    let lost = guard.stats().metrics.lost;
    assert_eq!(
        (lost.rejected, lost.total()),
        (1, 1),
        "the one with an invalid name"
    );
}

#[test]
fn histograms_can_be_exponential_and_sums_deltas() {
    let receiver = Receiver::start();
    let get = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION" => {
            Some("base2_exponential_bucket_histogram".to_owned())
        }
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" => Some("delta".to_owned()),
        _ => None,
    };
    let (bridge, guard) = build(to(&receiver.url()).env_from(&get).0);
    let metrics = TokenMetricsLayer::builder().sink(bridge.metric_sink()).build();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge).with(metrics));
    tracing::dispatcher::with_default(&dispatch, || {
        record_value("load", 0.5, "s", MetricKind::Histogram, &[]);
        record_value("done", 1_i64, "", MetricKind::Counter, &[]);
    });
    guard.flush(PATIENCE).unwrap();
    let metrics = receiver.metrics();
    let is_exponential = matches!(
        metric(&metrics, "load").data,
        Some(metric::Data::ExponentialHistogram(_))
    );
    assert!(is_exponential);
    let Some(metric::Data::Sum(sum)) = &metric(&metrics, "done").data else {
        panic!("no sum");
    };
    assert_eq!(sum.aggregation_temporality, 1, "delta");
}

#[test]
fn the_bridges_own_counts_are_measured() {
    let receiver = Receiver::with(|request, _| match request.path.as_str() {
        "/v1/traces" => spanscope_tests::receiver::Reply::status(400),
        _ => spanscope_tests::receiver::Reply::OK,
    });
    let (bridge, guard) = build(to(&receiver.url()));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge));
    tracing::dispatcher::with_default(&dispatch, || info_span!("refused").in_scope(|| ()));
    guard.flush(PATIENCE).unwrap();
    wait_for("the refusal", || {
        (guard.stats().spans.lost.export_failed == 1).then_some(())
    });
    // Its last records are sent with the metrics' last export.
    drop(guard);
    let metrics = receiver.metrics();
    let Some(metric::Data::Sum(sum)) = &metric(&metrics, "spanscope.otlp.lost").data else {
        panic!("no sum");
    };
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(1)));
    assert_eq!(
        text_of(&point.attributes, "cause").as_deref(),
        Some("export_failed")
    );
    assert_eq!(text_of(&point.attributes, "signal").as_deref(), Some("traces"));
}

#[test]
fn retries_and_exported_records_are_measured() {
    let refused_once = std::sync::atomic::AtomicBool::new(false);
    let receiver = Receiver::with(move |request, _| {
        let is_first =
            request.path == "/v1/traces" && !refused_once.swap(true, std::sync::atomic::Ordering::SeqCst);
        if is_first {
            spanscope_tests::receiver::Reply::status(503)
        } else {
            spanscope_tests::receiver::Reply::OK
        }
    });
    let (bridge, guard) = build(to(&receiver.url()));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge));
    tracing::dispatcher::with_default(&dispatch, || info_span!("work").in_scope(|| ()));
    guard.flush(PATIENCE).unwrap();
    wait_for("the span", || (guard.stats().spans.exported == 1).then_some(()));
    drop(guard);
    let metrics = receiver.metrics();
    for name in ["spanscope.otlp.retries", "spanscope.otlp.exported"] {
        let Some(metric::Data::Sum(sum)) = &metric(&metrics, name).data else {
            panic!("no sum");
        };
        let of_traces = sum
            .data_points
            .iter()
            .find(|point| text_of(&point.attributes, "signal").as_deref() == Some("traces"));
        let value = of_traces.and_then(|point| point.value);
        assert_eq!(value, Some(number_data_point::Value::AsInt(1)), "{name}");
    }
}

#[test]
fn spans_and_log_records_are_sent_after_the_schedule_delay() {
    let receiver = Receiver::start();
    let (dispatch, guard) = alone(to(&receiver.url()).schedule_delay(Duration::from_millis(20)));
    tracing::dispatcher::with_default(&dispatch, || info_span!("work").in_scope(|| info!("done")));
    wait_for("both", || {
        (receiver.spans().len() == 1 && receiver.logs().len() == 1).then_some(())
    });
    drop(guard);
}

#[test]
fn metrics_are_sent_at_their_interval() {
    let receiver = Receiver::start();
    let (bridge, guard) = build(to(&receiver.url()).metric_interval(Duration::from_millis(20)));
    let metrics = TokenMetricsLayer::builder().sink(bridge.metric_sink()).build();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge).with(metrics));
    tracing::dispatcher::with_default(&dispatch, || {
        record_value("n", 1_i64, "", MetricKind::Counter, &[])
    });
    wait_for("the metric", || {
        receiver
            .metrics()
            .iter()
            .any(|metric| metric.record.name == "n")
            .then_some(())
    });
    drop(guard);
}

#[test]
fn a_span_that_gets_its_ids_late_is_removed_like_any_other() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let rule = TailRule::new().slower_than(Duration::from_secs(3600));
    let (store, store_guard) = SqliteLayer::builder().tail(rule).open(&path).unwrap();
    let (bridge, _guard) = build(to(&receiver.url()));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge).with(store));
    tracing::dispatcher::with_default(&dispatch, || {
        // It was never entered, so the store's thread processes it later.
        let late = info_span!("late");
        store_guard.flush(PATIENCE).unwrap();
        late.in_scope(|| ());
        // The next write includes it.
        drop(info_span!("other"));
        store_guard.flush(PATIENCE).unwrap();
        drop(late);
        store_guard.flush(PATIENCE).unwrap();
    });
    assert_eq!(stored_spans(&path).len(), 0);
    let stats = store_guard.stats();
    assert_eq!((stats.offered, stats.dropped.sampled), (2, 2), "{stats:?}");
}

#[test]
fn the_tail_rule_sends_complete_traces_with_errors_and_slow_ones() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let rule = TailRule::new().slower_than(Duration::from_millis(50));
    let (store, store_guard) = SqliteLayer::builder().tail(rule.clone()).open(&path).unwrap();
    let (bridge, guard) = build(to(&receiver.url()).tail(rule));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge).with(store));
    tracing::dispatcher::with_default(&dispatch, || {
        for n in 0..100 {
            info_span!("root", n).in_scope(|| {
                info_span!("child").in_scope(|| info!("event"));
                match n {
                    3 | 50 => info_span!("failing").in_scope(|| error!("no luck")),
                    // The test needs real time.
                    70 => std::thread::sleep(Duration::from_millis(60)),
                    _ => {}
                }
            });
        }
    });
    guard.flush(PATIENCE).unwrap();
    store_guard.flush(PATIENCE).unwrap();
    let spans = receiver.spans();
    let mut kept: Vec<_> = spans
        .iter()
        .filter(|span| span.record.name == "root")
        .map(|span| match value(&span.record.attributes, "n") {
            Some(any_value::Value::IntValue(n)) => n,
            other => panic!("{other:?}"),
        })
        .collect();
    kept.sort_unstable();
    let must = [3, 50, 70];
    assert!(must.iter().all(|n| kept.contains(n)), "{kept:?}");
    // On a slow machine more of them are slow.
    let failing = spans.iter().filter(|span| span.record.name == "failing").count();
    assert_eq!((spans.len(), failing), (2 * kept.len() + 2, 2), "complete traces");
    let stats = guard.stats();
    assert_eq!(stats.spans.offered, 202);
    assert_eq!(stats.spans.exported + stats.spans.lost.sampled, 202);
    assert_eq!(stats.spans.lost.total(), stats.spans.lost.sampled);
    assert_eq!(stats.logs.exported, 102, "log records are always sent");
    let tail = guard.tail_stats().unwrap();
    assert_eq!((tail.kept + tail.dropped, tail.kept), (100, kept.len() as u64));
    let mut sent: Vec<_> = spans
        .iter()
        .map(|span| spanscope_tests::receiver::hex(&span.record.span_id))
        .collect();
    let mut stored: Vec<_> = stored_spans(&path)
        .iter()
        .map(|span| span.span_id.to_string())
        .collect();
    sent.sort_unstable();
    stored.sort_unstable();
    assert_eq!(sent, stored, "both sinks decide alike");
}

#[test]
fn the_ended_spans_of_a_trace_that_is_open_at_the_shutdown_are_sent() {
    let receiver = Receiver::start();
    let (dispatch, guard) = alone(to(&receiver.url()).tail(TailRule::new()));
    let root = tracing::dispatcher::with_default(&dispatch, || {
        let root = info_span!("root");
        root.in_scope(|| info_span!("child").in_scope(|| ()));
        root
    });
    guard.shutdown().unwrap();
    assert_eq!(receiver.spans().len(), 1);
    drop(root);
    assert_eq!(guard.stats().spans.waiting(), 0);
}

#[test]
fn attributes_of_opentelemetrys_trait_follow_the_same_rules() {
    let sent = Sending::of(same, || {
        let span = info_span!("chat");
        let _inside = span.enter();
        OpenTelemetrySpanExt::set_attribute(&span, "gen_ai.prompt", "a secret plan");
        OpenTelemetrySpanExt::set_attribute(&span, "password", "hunter2");
        let attributes = vec![
            OtelPair::new("gen_ai.completion", "a secret plan"),
            OtelPair::new("password", "hunter2"),
            OtelPair::new("long", "x".repeat(100_000)),
            OtelPair::new("n", 1),
        ];
        span.add_event("added", attributes);
        for _ in 0..200 {
            span.add_event("many", Vec::new());
        }
    });
    let span = sent.span("chat");
    assert_eq!(text_of(&span.attributes, "gen_ai.prompt"), None);
    assert_eq!(
        text_of(&span.attributes, "password").as_deref(),
        Some("[masked: 7 characters]")
    );
    let event = span.events.iter().find(|event| event.name == "added").unwrap();
    assert_eq!(text_of(&event.attributes, "gen_ai.completion"), None);
    assert_eq!(
        text_of(&event.attributes, "password").as_deref(),
        Some("[masked: 7 characters]")
    );
    assert_eq!(text_of(&event.attributes, "long").unwrap().len(), 16 * 1024);
    assert_eq!(value(&event.attributes, "n"), Some(any_value::Value::IntValue(1)));
    assert_eq!((span.events.len(), span.dropped_events_count), (128, 73));
}

#[test]
fn json_has_non_finite_numbers_as_strings() {
    let sent = Sending::of(
        |settings| settings.protocol(spanscope_otlp::Protocol::HttpJson),
        || {
            info_span!("odd", nan = f64::NAN, more = f64::INFINITY, fine = 0.5)
                .in_scope(|| info!(less = -f64::INFINITY));
        },
    );
    let span = sent.span("odd");
    assert_eq!(text_of(&span.attributes, "nan").as_deref(), Some("NaN"));
    assert_eq!(text_of(&span.attributes, "more").as_deref(), Some("Infinity"));
    assert_eq!(
        value(&span.attributes, "fine"),
        Some(any_value::Value::DoubleValue(0.5))
    );
    assert_eq!(
        text_of(&span.events[0].attributes, "less").as_deref(),
        Some("-Infinity")
    );
    let log = sent.receiver.logs().remove(0).record;
    assert_eq!(text_of(&log.attributes, "less").as_deref(), Some("-Infinity"));
}

#[test]
fn a_trace_has_one_sampling_decision_whatever_a_filter_hides() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    let parent = "00f067aa0ba902b7".parse().unwrap();
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let (store, _store_guard) = SqliteLayer::open(folder.path().join("trace_store.db")).unwrap();
    let (bridge, guard) = build(to(&receiver.url()));
    let visible = tracing_subscriber::filter::filter_fn(|metadata| metadata.name() != "hidden");
    let dispatch = Dispatch::new(
        tracing_subscriber::registry()
            .with(store)
            .with(bridge.with_filter(visible)),
    );
    tracing::dispatcher::with_default(&dispatch, || {
        let root = info_span!("root");
        root.set_remote_parent_with(trace, parent, false).unwrap();
        let hidden = info_span!(parent: &root, "hidden");
        drop(info_span!(parent: &hidden, "below"));
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(receiver.spans().len(), 0);
    assert_eq!(guard.stats().spans.lost.sampled, 2);
}
