//! The headers that the bridge writes into a request and reads from one, whichever sinks are on.
//!
//! The propagator is global. Every test here needs the default one, so each sets it;
//! `tests/no_propagators.rs` has the others.

use http::HeaderMap;
use spanscope_layers::console::SpanDisplay;
use spanscope_layers::{ConsoleLayer, SpanExt as _};
use spanscope_otlp::opentelemetry::baggage::BaggageExt as _;
use spanscope_otlp::opentelemetry::trace::TraceContextExt as _;
use spanscope_otlp::opentelemetry::{Context, KeyValue};
use spanscope_otlp::{OpenTelemetrySpanExt as _, OtlpLayer, Propagator, propagation};
use spanscope_sqlite::SqliteLayer;
use spanscope_tests::receiver::Receiver;
use tracing::{Dispatch, Span, info_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

use super::{build, to};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The sinks of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sinks {
    Bridge,
    /// The bridge does not see spans whose name begins with `hidden`.
    FilteredBridgeAndStore,
    Store,
    Console,
    Nothing,
}

const OURS: [Sinks; 4] = [
    Sinks::Bridge,
    Sinks::FilteredBridgeAndStore,
    Sinks::Store,
    Sinks::Console,
];

/// Runs it under these sinks.
fn under<T>(sinks: Sinks, program: impl FnOnce() -> T) -> T {
    propagation::set_global(&[Propagator::TraceContext, Propagator::Baggage]);
    let folder = tempfile::tempdir().unwrap();
    let store = || SqliteLayer::open(folder.path().join("trace_store.db")).unwrap();
    let receiver = Receiver::start();
    let settings = to(&receiver.url());
    let registry = tracing_subscriber::registry();
    match sinks {
        Sinks::Bridge => {
            let (bridge, _guard) = build(settings);
            tracing::dispatcher::with_default(&Dispatch::new(registry.with(bridge)), program)
        }
        Sinks::FilteredBridgeAndStore => {
            let (bridge, _guard): (OtlpLayer<_>, _) = build(settings);
            let bridge = bridge.with_filter(filter_fn(|metadata| !metadata.name().starts_with("hidden")));
            let (store, _store_guard) = store();
            tracing::dispatcher::with_default(&Dispatch::new(registry.with(store).with(bridge)), program)
        }
        Sinks::Store => {
            let (store, _guard) = store();
            tracing::dispatcher::with_default(&Dispatch::new(registry.with(store)), program)
        }
        Sinks::Console => {
            let (console, _guard) = ConsoleLayer::builder()
                .writer(std::io::sink())
                .spans(SpanDisplay::Lines)
                .build()
                .unwrap();
            tracing::dispatcher::with_default(&Dispatch::new(registry.with(console)), program)
        }
        Sinks::Nothing => tracing::dispatcher::with_default(&Dispatch::none(), program),
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let name = http::HeaderName::from_static(name);
        (name, http::HeaderValue::from_str(value).unwrap())
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

fn injected(span: &Span) -> HeaderMap {
    let mut headers = HeaderMap::new();
    propagation::inject(span, &mut headers);
    headers
}

/// The value of a header; empty without it.
fn header_value(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    value.unwrap_or_default()
}

fn headers_of(span: &Span, flags: &str) -> String {
    let (trace, id) = span.ids().unwrap();
    format!("00-{trace}-{id}-{flags}")
}

#[test]
fn a_sent_request_has_the_ids_that_the_sinks_show() {
    for sinks in OURS {
        under(sinks, || {
            let root = info_span!("root");
            root.in_scope(|| {
                let client = info_span!("client", otel.kind = "client");
                let headers = injected(&client);
                assert_eq!(
                    header_value(&headers, "traceparent"),
                    headers_of(&client, "01"),
                    "{sinks:?}"
                );
                assert_eq!(client.ids().unwrap().0, root.ids().unwrap().0, "{sinks:?}");
                assert_eq!(headers.len(), 1, "no header is empty: {headers:?}");
            });
        });
    }
}

#[test]
fn a_received_request_keeps_its_flag_its_state_and_its_baggage() {
    for (sinks, flags) in OURS.into_iter().flat_map(|sinks| [(sinks, "01"), (sinks, "00")]) {
        under(sinks, || {
            let request = info_span!("request", otel.kind = "server");
            let came = headers(&[
                ("traceparent", &traceparent(flags)),
                ("tracestate", "congo=t61rcWkgMzE"),
                ("tracestate", "rojo=00f067aa0ba902b7"),
                ("baggage", "tenant=acme"),
                ("baggage", "tier=gold%20plus;since=2"),
            ]);
            assert!(
                propagation::continue_from(&request, &came).is_continued(),
                "{sinks:?}"
            );
            let sent = request.in_scope(|| {
                assert_eq!(
                    propagation::context(&Span::current())
                        .baggage()
                        .get("tenant")
                        .map(ToString::to_string)
                        .as_deref(),
                    Some("acme"),
                    "{sinks:?}"
                );
                let client = info_span!("work").in_scope(|| info_span!("client", otel.kind = "client"));
                let sent = injected(&client);
                assert_eq!(
                    header_value(&sent, "traceparent"),
                    headers_of(&client, flags),
                    "{sinks:?}"
                );
                sent
            });
            assert_eq!(request.ids().unwrap().0.to_string(), TRACE, "{sinks:?}");
            assert_eq!(
                header_value(&sent, "tracestate"),
                "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
                "{sinks:?}"
            );
            let baggage = header_value(&sent, "baggage");
            let mut baggage: Vec<_> = baggage.split(',').collect();
            baggage.sort_unstable();
            assert_eq!(baggage, ["tenant=acme", "tier=gold%20plus;since=2"], "{sinks:?}");
            assert!(
                !propagation::continue_from(&request, &came).is_continued(),
                "{sinks:?}: too late now"
            );
        });
    }
}

#[test]
fn a_span_that_the_bridge_does_not_see_passes_the_context_on() {
    under(Sinks::FilteredBridgeAndStore, || {
        let request = info_span!("hidden request");
        let came = headers(&[("traceparent", &traceparent("00")), ("baggage", "tenant=acme")]);
        assert!(propagation::continue_from(&request, &came).is_continued());
        let sent = injected(&request);
        assert_eq!(header_value(&sent, "traceparent"), headers_of(&request, "00"));
        assert_eq!(header_value(&sent, "baggage"), "tenant=acme");
        request.in_scope(|| {
            let client = info_span!("client");
            assert_eq!(client.ids().unwrap().0.to_string(), TRACE);
        });
        assert!(
            !propagation::continue_from(&request, &came).is_continued(),
            "too late now"
        );
    });
}

#[test]
fn a_disabled_span_sends_the_context_of_the_span_around_it() {
    for sinks in OURS {
        under(sinks, || {
            let around = info_span!("around");
            around.in_scope(|| {
                let sent = injected(&Span::none());
                assert_eq!(
                    header_value(&sent, "traceparent"),
                    headers_of(&around, "01"),
                    "{sinks:?}"
                );
            });
            assert!(injected(&Span::none()).is_empty(), "{sinks:?}");
        });
    }
}

#[test]
fn without_any_sink_only_baggage_is_sent() {
    under(Sinks::Nothing, || {
        let span = info_span!("request");
        let came = headers(&[("traceparent", &traceparent("01"))]);
        assert!(!propagation::continue_from(&span, &came).is_continued());
        assert!(injected(&span).is_empty());
        let _attached = Context::current_with_baggage([KeyValue::new("tenant", "acme")]).attach();
        let sent = injected(&span);
        assert_eq!(header_value(&sent, "baggage"), "tenant=acme");
        assert_eq!(sent.len(), 1);
    });
}

#[test]
fn malformed_or_repeated_headers_are_ignored() {
    let upper = TRACE.to_uppercase();
    let malformed = [
        String::new(),
        "00".to_owned(),
        format!("00-{TRACE}-{PARENT}"),
        format!("00-{TRACE}-{PARENT}-1"),
        format!("00-{TRACE}-{PARENT}-01-more"),
        format!("00-{TRACE}-{PARENT}-01-"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("cc-{TRACE}-{PARENT}-01.more"),
        format!("00-{upper}-{PARENT}-01"),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        "00-1-2-01".to_owned(),
        format!("00-+{}-{PARENT}-01", &TRACE[1..]),
        "-".repeat(9000),
    ];
    for sinks in OURS {
        under(sinks, || {
            let refused = |came: &HeaderMap| {
                let around = info_span!("around");
                around.in_scope(|| {
                    let request = info_span!("request");
                    assert!(
                        !propagation::continue_from(&request, came).is_continued(),
                        "{sinks:?}: {came:?}"
                    );
                    assert_eq!(request.ids().unwrap().0, around.ids().unwrap().0, "{came:?}");
                    assert_eq!(injected(&request).len(), 1, "{came:?}");
                });
            };
            for text in &malformed {
                refused(&headers(&[("traceparent", text), ("tracestate", "k=v")]));
            }
            let good = traceparent("01");
            refused(&headers(&[("traceparent", &good), ("traceparent", &good)]));
            refused(&headers(&[("baggage", "no pair")]));
            refused(&HeaderMap::new());
            let mut not_text = HeaderMap::new();
            not_text.insert("traceparent", http::HeaderValue::from_bytes(b"00-\xff").unwrap());
            refused(&not_text);
        });
    }
    let later = format!("cc-{TRACE}-{PARENT}-01-what-comes-later");
    under(Sinks::Bridge, || {
        let request = info_span!("request");
        assert!(propagation::continue_from(&request, &headers(&[("traceparent", &later)])).is_continued());
        assert_eq!(request.ids().unwrap().0.to_string(), TRACE);
    });
}

#[test]
fn baggage_alone_does_not_change_the_parent() {
    for sinks in OURS {
        under(sinks, || {
            let around = info_span!("around");
            let request = around.in_scope(|| info_span!("request"));
            // A root that is made while another span is current is still one.
            let root = around.in_scope(|| info_span!(parent: None, "root"));
            let came = headers(&[("baggage", "tenant=acme")]);
            around.in_scope(|| {
                assert!(
                    !propagation::continue_from(&request, &came).is_continued(),
                    "{sinks:?}"
                );
                assert!(
                    !propagation::continue_from(&root, &came).is_continued(),
                    "{sinks:?}"
                );
            });
            for span in [&request, &root] {
                assert_eq!(
                    header_value(&injected(span), "baggage"),
                    "tenant=acme",
                    "{sinks:?}"
                );
            }
            assert_eq!(request.ids().unwrap().0, around.ids().unwrap().0, "{sinks:?}");
            assert_ne!(root.ids().unwrap().0, around.ids().unwrap().0, "{sinks:?}");
        });
    }
}

#[test]
fn added_baggage_is_sent_with_received_baggage() {
    for sinks in OURS {
        under(sinks, || {
            let request = info_span!("request");
            let came = headers(&[("traceparent", &traceparent("01")), ("baggage", "tenant=acme")]);
            assert!(propagation::continue_from(&request, &came).is_continued());
            let _inside = request.enter();
            let before = info_span!("made before");
            let context = propagation::context(&Span::current());
            let more = [KeyValue::new("tier", "gold"), KeyValue::new("tenant", "other")];
            let _attached = propagation::add_baggage(&context, more).attach();
            for span in [&before, &info_span!("made after"), &request] {
                let baggage = header_value(&injected(span), "baggage");
                let mut baggage: Vec<_> = baggage.split(',').collect();
                baggage.sort_unstable();
                assert_eq!(baggage, ["tenant=other", "tier=gold"], "{sinks:?}");
            }
        });
    }
}

#[test]
fn extracting_ignores_the_current_context() {
    under(Sinks::Bridge, || {
        info_span!("around").in_scope(|| {
            let context = propagation::extract(&HeaderMap::new());
            assert!(!context.span().span_context().is_valid());
            let came = headers(&[("traceparent", &traceparent("01")), ("tracestate", "k=v")]);
            let context = propagation::extract(&came);
            let named = context.span().span_context().clone();
            assert!(named.is_remote() && named.is_sampled());
            assert_eq!(named.trace_id().to_string(), TRACE);
            assert_eq!(named.span_id().to_string(), PARENT);
            assert_eq!(named.trace_state().header(), "k=v");
        });
    });
}

#[test]
fn injected_headers_replace_existing_ones() {
    under(Sinks::Store, || {
        let mut sent = headers(&[
            ("traceparent", &traceparent("01")),
            ("tracestate", "k=v"),
            ("accept", "*/*"),
        ]);
        let client = info_span!("client");
        propagation::inject(&client, &mut sent);
        assert_eq!(header_value(&sent, "traceparent"), headers_of(&client, "01"));
        assert_eq!(
            header_value(&sent, "tracestate"),
            "",
            "it belongs to another trace"
        );
        assert_eq!(header_value(&sent, "accept"), "*/*");
    });
}

#[test]
fn both_traits_may_set_the_same_parent_and_the_state_is_kept() {
    under(Sinks::Bridge, || {
        let request = info_span!("request");
        let came = headers(&[("traceparent", &traceparent("01")), ("tracestate", "k=v")]);
        request
            .set_remote_parent(TRACE.parse().unwrap(), PARENT.parse().unwrap())
            .unwrap();
        request.set_parent(propagation::extract(&came)).unwrap();
        assert_eq!(header_value(&injected(&request), "tracestate"), "k=v");
    });
}

#[test]
fn the_crate_without_opentelemetry_writes_the_same_headers_and_keeps_baggage() {
    for sinks in OURS {
        under(sinks, || {
            let request = info_span!("request", otel.kind = "server");
            let came: Vec<(String, String)> = vec![
                ("traceparent".to_owned(), traceparent("00")),
                ("tracestate".to_owned(), "k=v".to_owned()),
                ("baggage".to_owned(), "tenant=acme".to_owned()),
            ];
            let continuation = spanscope::propagation::continue_from(&request, &came);
            assert!(continuation.is_continued(), "{sinks:?}: {continuation:?}");
            spanscope::propagation::add_baggage(&request, "tier", "gold").unwrap();
            request.in_scope(|| {
                let attached = propagation::add_baggage(
                    &propagation::context(&Span::current()),
                    [KeyValue::new("attached", "yes")],
                );
                let _attached = attached.attach();
                let client = info_span!("client");
                let mut sent = std::collections::BTreeMap::<String, String>::new();
                spanscope::propagation::inject(&client, &mut sent);
                assert_eq!(sent["traceparent"], headers_of(&client, "00"), "{sinks:?}");
                assert_eq!(sent["tracestate"], "k=v", "{sinks:?}");
                let mut baggage: Vec<_> = sent["baggage"].split(',').collect();
                baggage.sort_unstable();
                assert_eq!(baggage, ["attached=yes", "tenant=acme", "tier=gold"], "{sinks:?}");
                let context = spanscope::propagation::context(&client);
                assert_eq!(context.baggage.get("tier").as_deref(), Some("gold"), "{sinks:?}");
                assert_eq!(
                    spanscope::propagation::extract(&sent).trace_state,
                    "k=v",
                    "{sinks:?}"
                );
            });
        });
    }
}
