//! The resource of a program that writes its store itself: stored like a sender's.

use std::path::Path;

use spanscope_model::{
    Attributes, LogFilter, Span, SpanFilter, TraceStore as _, Value, block_on, filter::Filter,
};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::program_without_settings;

/// Runs a program with these variables, and returns what it wrote to stderr.
fn run(folder: &Path, setup: &str, variables: &[(&str, &str)]) -> String {
    let output = program_without_settings(env!("CARGO_BIN_EXE_console"))
        .args([setup, "story"])
        .env("SQLITE_STORE_DIR", folder)
        .env("TELEMETRY_SINKS", "sqlite")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn store_in(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder.join("trace_store.db")).unwrap()
}

fn found(store: &SqliteStore, filter: &str) -> Vec<Span> {
    let filter: Filter = filter.parse().unwrap();
    block_on(store.list_spans(SpanFilter::default().filter(filter))).unwrap()
}

fn resource(store: &SqliteStore) -> Attributes {
    let span = found(store, "").remove(0);
    let span = block_on(store.get_span(span.trace_id, span.span_id)).unwrap();
    assert_eq!(span.scope, None, "a program has no scope");
    span.resource.unwrap()
}

fn text<'a>(resource: &'a Attributes, key: &str) -> Option<&'a str> {
    resource.get(key).and_then(Value::as_str)
}

#[test]
fn resource_attributes_are_found_by_conditions_on_each_span() {
    let folder = tempfile::tempdir().unwrap();
    let attributes =
        "service.version=1.2,deployment.environment.name=st%2Caging,api_key=hunter2,set=by variable";
    run(
        folder.path(),
        "built",
        &[
            ("OTEL_RESOURCE_ATTRIBUTES", attributes),
            ("CODE_RESOURCE", "set=by code"),
            ("CODE_SERVICE", "shop"),
        ],
    );
    let store = store_in(folder.path());
    let all = found(&store, "").len();
    assert!(all > 1);
    for filter in [
        "resource.service.version=1.2",
        "service.version=1.2",
        "resource.deployment.environment.name=\"st,aging\"",
        "resource.process.pid>0",
        "resource.telemetry.distro.name=spanscope",
        "resource.service.name=shop",
        "resource.set=\"by code\"",
    ] {
        assert_eq!(found(&store, filter).len(), all, "{filter}");
        let logs = block_on(store.list_logs(LogFilter::default().filter(filter.parse().unwrap())));
        assert!(!logs.unwrap().is_empty(), "{filter}: of events");
    }
    assert_eq!(found(&store, "resource.service.version=2").len(), 0);
    let keys = block_on(store.attribute_keys(100)).unwrap();
    assert!(
        keys.contains(&"deployment.environment.name".to_owned()),
        "{keys:?}"
    );
    let resource = resource(&store);
    assert!(
        text(&resource, "host.arch").is_some() && text(&resource, "service.instance.id").is_some(),
        "{resource:?}"
    );
    let masked = text(&resource, "api_key").unwrap();
    assert!(!masked.contains("hunter2"), "{masked}");
}

#[test]
fn the_service_is_named_by_its_variable_first() {
    let both = [
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other"),
        ("OTEL_SERVICE_NAME", "shop"),
    ];
    for (variables, name) in [(&both[..], "shop"), (&both[..1], "other"), (&[], "console")] {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), "init", variables);
        let store = store_in(folder.path());
        assert_eq!(text(&resource(&store), "service.name"), Some(name));
        assert_eq!(found(&store, "")[0].service_name, name);
    }
}

#[test]
fn a_malformed_pair_is_reported_once_and_the_others_apply() {
    for sinks in ["sqlite", "sqlite,otel_trace"] {
        let folder = tempfile::tempdir().unwrap();
        let shown = run(
            folder.path(),
            "init",
            &[
                ("OTEL_RESOURCE_ATTRIBUTES", "nothing,service.version=3"),
                ("TELEMETRY_SINKS", sinks),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
            ],
        );
        let reports = shown.matches("OTEL_RESOURCE_ATTRIBUTES is").count();
        assert_eq!(reports, 1, "{shown}");
        let resource = resource(&store_in(folder.path()));
        assert_eq!(text(&resource, "service.version"), Some("3"));
    }
}
