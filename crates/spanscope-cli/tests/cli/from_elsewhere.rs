//! Queries that return wrong results in other tools. Each test names the report.

use serde_json::{Value as Json, json};
use spanscope_sqlite::SqliteLayer;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::Store;

/// A store with spans whose attributes have these values under `value`, each named by its index.
fn with_values(values: &[&str]) -> Store {
    let store = Store::none();
    let (layer, guard) = SqliteLayer::builder()
        .service_name("shop")
        .open(store.path())
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for (place, value) in values.iter().enumerate() {
            let span = info_span!("work", place, value, otel.name = format!("name {value}"));
            span.in_scope(|| info!(category = "core::routers", "routed {value}"));
        }
    });
    drop(guard);
    store
}

fn found(store: &Store, words: &[&str]) -> usize {
    let result = store.run(&[words, &["--json"]].concat());
    match result.code {
        0 => serde_json::from_str::<Json>(&result.out)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        code => {
            assert_eq!(code, 3, "{words:?}: {}", result.err);
            0
        }
    }
}

/// jaegertracing/jaeger#5290 (`=` in a value), grafana/traces-drilldown#480 (quotes),
/// getsentry/sentry#119210 (brackets).
#[test]
fn values_are_compared_literally() {
    let values = [
        "http://sss.example.com/v1/zone_roles?service_name=ss.example.com",
        "a\" b",
        "[\"x\", 1]",
        "it's",
        "100% *",
        "a\\b",
        "-x",
    ];
    let store = with_values(&values);
    for value in values {
        let quoted = serde_json::to_string(value).unwrap();
        assert_eq!(
            found(&store, &["spans", &format!("value={quoted}")]),
            1,
            "{value}"
        );
        assert_eq!(
            found(&store, &["spans", "--where", &format!("value={value}")]),
            1,
            "{value}"
        );
        let others = found(&store, &["spans", &format!("-value={quoted}")]);
        assert_eq!(others, values.len() - 1, "not {value}");
        let named = serde_json::to_string(&format!("name {value}")).unwrap();
        assert_eq!(found(&store, &["spans", &format!("name={named}")]), 1, "{named}");
        assert_eq!(found(&store, &["logs", "--grep", value]), 1, "{value} in logs");
    }
    assert_eq!(
        found(&store, &["spans", &format!("value={}", values[0])]),
        1,
        "without quotes"
    );
}

/// grafana/tempo#1939: spaces around the operator make a difference. Here they are an error that
/// names the fix.
#[test]
fn blanks_around_an_operator_are_refused_with_a_suggestion() {
    let store = with_values(&["a"]);
    let result = store.run(&["spans", "value = a"]);
    assert_eq!(result.code, 2);
    assert!(
        result
            .err
            .contains("no blanks around the operator, found \"value = a\": did you mean \"value=a\"?"),
        "{}",
        result.err
    );
}

/// SigNoz/signoz#11261: an end in the future; logdna/logdna-cli#10: seconds since 1970;
/// scalyr/scalyr-tool#13: a time of day.
#[test]
fn ranges_end_where_requested() {
    let store = Store::filled();
    for words in [
        &["traces", "--until", "2199-01-01"][..],
        &["stats", "--by", "name", "--until", "2199-01-01"],
        &["logs", "--since", "today", "--until", "now"],
        &["spans", "--since", "1764550000"],
        &["spans", "--since", "now-1h"],
        &["spans", "--since", "yesterday"],
    ] {
        assert!(found(&store, words) > 0, "{words:?}");
    }
    assert_eq!(found(&store, &["spans", "--until", "yesterday"]), 0);
}

/// A category includes its subcategories, as its log level does.
#[test]
fn a_category_includes_its_subcategories() {
    let store = with_values(&["a"]);
    for (category, events) in [
        ("core", 1),
        ("core::routers", 1),
        ("core::routers::x", 0),
        ("cor", 0),
    ] {
        let words = ["logs", "--category", category];
        assert_eq!(found(&store, &words), events, "{category}");
    }
}

/// getsentry/sentry#25745, CtrlSpice/otel-desktop-viewer#379 and comet-ml/opik#5963: spans whose
/// parents form a cycle, or are missing, vanish from trees.
#[test]
fn no_span_vanishes_from_a_tree() {
    let span = |id: u32, parent: Option<u32>| {
        json!({
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": format!("{id:016x}"), "name": format!("span {id}"),
            "parentSpanId": parent.map_or(String::new(), |parent| format!("{parent:016x}")),
            "startTimeUnixNano": (1_700_000_000_000_000_000_u64 + u64::from(id)).to_string(),
            "endTimeUnixNano": "1700000001000000000",
        })
    };
    let spans = [
        span(1, None),
        span(2, Some(3)),
        span(3, Some(4)),
        span(4, Some(2)),
        span(5, Some(99)),
        span(6, Some(4)),
    ];
    let document = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    let store = Store::none();
    let file = store.file("odd.json");
    std::fs::write(&file, document.to_string()).unwrap();
    store.out(&["import", file.to_str().unwrap()]);
    let tree = store.json(&["tree", "last"]);
    let shown = store.out(&["tree", "last"]);
    let mut ids = Vec::new();
    collect(&tree["roots"], &mut ids);
    ids.sort();
    let all: Vec<String> = (1..=6).map(|id| format!("{id:016x}")).collect();
    assert_eq!(ids, all, "{tree:#}");
    for id in 1..=6 {
        assert!(shown.contains(&format!("span {id}")), "{id}: {shown}");
    }
    assert!(shown.contains("0000000000000063 (parent not stored)"), "{shown}");
}

fn collect(spans: &Json, ids: &mut Vec<String>) {
    for span in spans.as_array().into_iter().flatten() {
        ids.push(span["span_id"].as_str().unwrap().to_owned());
        collect(&span["children"], ids);
    }
}

/// A store with only events has no last trace, and reports that instead of failing.
#[test]
fn every_query_works_on_a_store_with_only_logs() {
    let store = Store::none();
    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        info!("alone");
    });
    drop(guard);
    assert_eq!(found(&store, &["logs"]), 1);
    for words in [
        &["tree", "last"][..],
        &["span", "last"],
        &["run", "last"],
        &["traces"],
        &["spans"],
        &["runs"],
        &["usage"],
        &["metrics"],
    ] {
        let result = store.run(words);
        assert_eq!(result.code, 3, "{words:?}: {}{}", result.out, result.err);
    }
    let text = store.out(&["export", "--to", "jsonl"]);
    assert_eq!(text.lines().count(), 1, "{text}");
}
