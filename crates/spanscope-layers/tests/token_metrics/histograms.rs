//! The GenAI conventions' metrics of a call, under the configured names.

use std::collections::BTreeSet;

use spanscope_layers::metrics::{GenAiNames, buckets_of};
use spanscope_model::MetricKind;
use tracing::info_span;

use super::support::{Outcome, run, run_named};

fn call() {
    drop(info_span!(
        "chat",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = "openai",
        gen_ai.request.model = "gpt-4o",
        gen_ai.usage.input_tokens = 12,
        gen_ai.usage.output_tokens = 5,
        gen_ai.usage.cache_read.input_tokens = 10,
        gen_ai.response.time_to_first_chunk = 0.5,
        server.address = "api.openai.com",
        server.port = 443,
    ));
}

fn names(outcome: &Outcome) -> BTreeSet<&str> {
    let of_conventions = outcome.all.iter().filter(|kept| kept.name.starts_with("gen_ai."));
    of_conventions.map(|kept| kept.name.as_str()).collect()
}

const CLASSIC: [&str; 3] = [
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.token.usage",
];
const NEW: [&str; 7] = [
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
    "gen_ai.client.inference.time_to_first_chunk",
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
];

#[test]
fn metrics_have_the_configured_names_and_the_counters_stay() {
    for (wanted, expected) in [
        (GenAiNames::Classic, CLASSIC.to_vec()),
        (GenAiNames::New, NEW.to_vec()),
        (GenAiNames::Both, [&CLASSIC[..], &NEW[..]].concat()),
        (GenAiNames::Off, Vec::new()),
    ] {
        let outcome = run_named(wanted, call);
        assert_eq!(names(&outcome), expected.into_iter().collect(), "{wanted:?}");
        assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17]]);
        for kept in outcome
            .all
            .iter()
            .filter(|kept| kept.kind == MetricKind::Histogram)
        {
            assert!(buckets_of(&kept.name).is_some(), "{}", kept.name);
        }
    }
}

#[test]
fn a_calls_metrics_carry_the_conventions_labels() {
    let outcome = run(call);
    let usage = outcome.named("gen_ai.client.token.usage");
    let types: Vec<_> = usage
        .iter()
        .map(|kept| {
            (
                kept.label("gen_ai.token.type"),
                kept.value.as_f64(),
                kept.unit.as_str(),
            )
        })
        .collect();
    assert_eq!(types, [("input", 12.0, "{token}"), ("output", 5.0, "{token}")]);
    for kept in outcome.all.iter().filter(|kept| kept.name.starts_with("gen_ai.")) {
        for (key, value) in [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o"),
            ("server.address", "api.openai.com"),
            ("server.port", "443"),
            ("error.type", ""),
        ] {
            assert_eq!(kept.label(key), value, "{} {key}", kept.name);
        }
    }
}

#[test]
fn failed_calls_have_an_error_type() {
    let outcome = run(|| {
        info_span!("a", gen_ai.operation.name = "chat").in_scope(|| tracing::error!("no answer"));
        info_span!("b", gen_ai.operation.name = "chat", otel.status_code = "ok")
            .in_scope(|| tracing::error!("recovered"));
        drop(info_span!(
            "c",
            gen_ai.operation.name = "chat",
            error.r#type = "429"
        ));
        drop(info_span!(
            "d",
            gen_ai.operation.name = "embeddings",
            otel.status_code = "ERROR"
        ));
    });
    let errors: Vec<_> = outcome
        .named("gen_ai.client.operation.duration")
        .iter()
        .map(|kept| kept.label("error.type"))
        .collect();
    assert_eq!(errors, ["_OTHER", "", "429", "_OTHER"]);
}

#[test]
fn a_call_that_ends_by_a_panic_has_failed() {
    let outcome = run(|| {
        let panicked = std::panic::catch_unwind(|| {
            let _call = info_span!("chat", gen_ai.operation.name = "chat").entered();
            std::panic::resume_unwind(Box::new("the connection broke"));
        });
        assert!(panicked.is_err());
    });
    assert_eq!(
        outcome
            .one("gen_ai.client.operation.duration")
            .label("error.type"),
        "_OTHER"
    );
}

#[test]
fn a_duration_is_that_of_the_span() {
    let outcome = run(|| {
        let _call = info_span!("chat", gen_ai.operation.name = "chat").entered();
        // Not a wait: this is the measured time.
        std::thread::sleep(std::time::Duration::from_millis(20));
    });
    let seconds = outcome.one("gen_ai.client.operation.duration").value.as_f64();
    assert!((0.019..10.0).contains(&seconds), "{seconds}");
}
