//! What the command says of parts that it is built without. `.ci/run` builds it so.
#![cfg(not(all(feature = "serve", feature = "otlp")))]

use super::support::Store;

#[cfg(not(feature = "otlp"))]
#[test]
fn a_demo_that_is_to_send_names_the_missing_feature_and_sends_nothing() {
    let store = Store::none();
    let mut demo = store.command(&["demo"]);
    let said = super::support::said(demo.env("TELEMETRY_SINKS", "otel_trace").output().unwrap());
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(
        said.err.contains("cargo install spanscope-cli --features otlp"),
        "{}",
        said.err
    );
    assert!(!store.path().exists(), "it has not begun");
}

#[cfg(not(feature = "serve"))]
#[test]
fn serve_names_the_missing_feature() {
    let said = Store::none().run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(
        said.err.contains("cargo install spanscope-cli --features serve"),
        "{}",
        said.err
    );
}
