//! A separate binary, because the propagators and the subscriber are global: here there are none,
//! and then those that the environment sets for a program that sends nothing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use http::HeaderMap;
use spanscope_otlp::opentelemetry::baggage::BaggageExt as _;
use spanscope_otlp::opentelemetry::propagation::text_map_propagator::FieldIter;
use spanscope_otlp::opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use spanscope_otlp::opentelemetry::{Context, KeyValue};
use spanscope_otlp::{Propagator, propagation};

fn injected() -> HeaderMap {
    let mut headers = HeaderMap::new();
    propagation::inject(&tracing::Span::current(), &mut headers);
    headers
}

#[test]
fn a_program_has_the_configured_propagators() {
    let folder = tempfile::tempdir().unwrap();
    let _guard = spanscope::builder()
        .sinks(&["sqlite"])
        .unwrap()
        .sqlite_path(folder.path().join("trace_store.db"))
        .try_init()
        .unwrap();
    let _span = tracing::info_span!("request").entered();
    let sent = injected();
    assert!(
        sent.contains_key("traceparent"),
        "the facade sets them also where nothing is sent: {sent:?}"
    );

    propagation::set_global(&[]);
    assert!(injected().is_empty());
    let server = tracing::info_span!("server");
    assert!(!propagation::continue_from(&server, &sent).is_continued());

    propagation::set_global(&[Propagator::Baggage]);
    assert!(injected().is_empty(), "there is no baggage");

    // A propagator that the program sets through OpenTelemetry is used by every crate.
    spanscope_otlp::opentelemetry::global::set_text_map_propagator(OneHeader);
    let mut message = Vec::<(String, Vec<u8>)>::new();
    spanscope::propagation::inject(&tracing::Span::current(), &mut message);
    assert_eq!(message, [("x-own".to_owned(), b"own".to_vec())]);
    message.push(("X-Prefix-City".to_owned(), b"Bern".to_vec()));
    let context = propagation::extract(&message);
    let baggage = context
        .baggage()
        .iter()
        .map(|(key, (value, _))| format!("{key}={value}"));
    assert_eq!(baggage.collect::<Vec<_>>(), ["city=Bern"]);
}

/// As other vendors' formats: another name, and names with a common prefix.
#[derive(Debug)]
struct OneHeader;

impl TextMapPropagator for OneHeader {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        injector.set("X-Own", "own".to_owned());
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        assert_eq!(extractor.get("X-Own"), Some("own"));
        let names = extractor.keys().into_iter();
        let names = names.filter_map(|name| Some((name.strip_prefix("x-prefix-")?, extractor.get(name)?)));
        context.with_baggage(names.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned())))
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| ["X-Own".to_owned()]);
        FieldIter::new(&*FIELDS)
    }
}
