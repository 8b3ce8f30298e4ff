//! The errors for features that the command is built without. `.ci/run` builds it without them.
#![cfg(not(all(feature = "serve", feature = "otlp", feature = "parquet")))]

use super::support::Store;

#[cfg(not(feature = "otlp"))]
#[test]
fn a_demo_with_otlp_sinks_names_the_missing_feature_and_does_not_start() {
    let store = Store::none();
    let mut demo = store.command(&["demo"]);
    let result = super::support::result_of(demo.env("TELEMETRY_SINKS", "otel_trace").output().unwrap());
    assert_eq!(result.code, 2, "{}", result.err);
    assert!(
        result.err.contains("cargo install spanscope-cli --features otlp"),
        "{}",
        result.err
    );
    assert!(!store.path().exists(), "the demo did not start");
}

#[cfg(not(feature = "serve"))]
#[test]
fn serve_names_the_missing_feature() {
    let result = Store::none().run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(result.code, 2, "{}", result.err);
    assert!(
        result
            .err
            .contains("cargo install spanscope-cli --features serve"),
        "{}",
        result.err
    );
}

#[cfg(not(feature = "parquet"))]
#[test]
fn an_export_to_parquet_names_the_missing_feature() {
    let store = Store::none();
    let folder = store.file("exported");
    let result = store.run(&["export", "--to", "parquet", "-o", folder.to_str().unwrap()]);
    assert_eq!(result.code, 2, "{}", result.err);
    assert!(
        result
            .err
            .contains("cargo install spanscope-cli --features parquet"),
        "{}",
        result.err
    );
    assert!(!folder.exists());
}
