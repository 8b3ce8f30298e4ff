//! An own binary, because the propagators and the subscriber are the process's: here they are none, and then the
//! environment's of a program that sends nothing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use http::HeaderMap;
use spanscope_otlp::{Propagator, propagation};

fn injected() -> HeaderMap {
    let mut headers = HeaderMap::new();
    propagation::inject(&tracing::Span::current(), &mut headers);
    headers
}

#[test]
fn a_program_has_the_propagators_that_it_is_told_to_have() {
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
    assert!(!propagation::continue_from(&server, &sent));

    propagation::set_global(&[Propagator::Baggage]);
    assert!(injected().is_empty(), "there is no baggage");
}
