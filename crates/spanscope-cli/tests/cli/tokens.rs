//! `usage`, and the token counters of the demo.

use serde_json::Value;
use spanscope_layers::TokenMetricsLayer;
use spanscope_layers::genai::{Agent, ModelCall, Usage};
use spanscope_sqlite::SqliteLayer;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::Store;

fn call(model: &str, usage: Usage) {
    ModelCall::chat("openai", model).usage(usage);
}

/// A store with two nested agents, calls outside both, a failed call, and cached tokens.
pub(crate) fn store_with_usage() -> Store {
    let store = Store::none();
    for service in ["shop", "helpdesk"] {
        let layer = SqliteLayer::builder().service_name(service);
        let (layer, guard) = layer.open(store.path()).unwrap();
        let metrics = TokenMetricsLayer::builder().sink(layer.metric_sink()).build();
        let subscriber = tracing_subscriber::registry().with(metrics).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            call("mini", Usage::new(1, 1));
            if service == "shop" {
                return;
            }
            let planner = Agent::invoke("planner");
            planner.in_scope(|| {
                call("mini-2", Usage::new(100, 50));
                let librarian = Agent::invoke("librarian");
                librarian.in_scope(|| {
                    let cached = Usage::new(1_000_000, 500_000).cache_read(600_000);
                    call("large", cached);
                    ModelCall::chat("openai", "large").failed("timeout", &"no answer");
                });
            });
        });
        drop(guard);
    }
    store
}

fn row<'a>(rows: &'a Value, name: &str) -> &'a Value {
    let all = rows.as_array().unwrap();
    let found = all.iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {rows:#}"))
}

fn numbers(row: &Value) -> [u64; 5] {
    ["calls", "errors", "input_tokens", "output_tokens", "total_tokens"].map(|key| row[key].as_u64().unwrap())
}

#[test]
fn usage_is_summed_by_model_service_and_agent() {
    let store = store_with_usage();
    let models = store.json(&["usage"]);
    assert_eq!(
        numbers(row(&models, "large")),
        [2, 1, 1_000_000, 500_000, 1_500_000]
    );
    assert_eq!(numbers(row(&models, "mini")), [2, 0, 2, 2, 4]);
    assert_eq!(row(&models, "mini")["provider"], "openai");
    assert_eq!(models[0]["name"], "large", "the most tokens first");
    assert!(models[0]["cost"].is_null(), "without prices there is no cost");

    let services = store.json(&["usage", "--by", "service"]);
    assert_eq!(numbers(row(&services, "shop")), [1, 0, 1, 1, 2]);
    assert_eq!(
        numbers(row(&services, "helpdesk")),
        [4, 1, 1_000_101, 500_051, 1_500_152]
    );

    let agents = store.json(&["usage", "--by", "agent"]);
    assert_eq!(numbers(row(&agents, "planner")), [1, 0, 100, 50, 150]);
    assert_eq!(
        numbers(row(&agents, "librarian")),
        [2, 1, 1_000_000, 500_000, 1_500_000]
    );
    assert_eq!(numbers(row(&agents, "")), [2, 0, 2, 2, 4], "calls outside agents");
    let table = store.out(&["usage", "--by", "agent"]);
    assert!(table.contains("(none)") && table.contains("1,500,000"), "{table}");
    assert_eq!(store.run(&["usage", "--since", "2100-01-01"]).code, 3);
}

#[test]
fn cost_comes_from_the_users_prices_and_is_never_guessed() {
    let store = store_with_usage();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.toml");
    let prices = "currency = \"EUR\"\n\
        [[model]]\nmatch = \"large\"\ninput = 2.0\noutput = 8.0\ncached_read = 0.5\n\
        [[model]]\nmatch = \"mini\"\ninput = 1.0\noutput = 1.0\n";
    std::fs::write(&path, prices).unwrap();
    let path = path.to_str().unwrap();
    let models = store.json(&["usage", "--prices", path]);
    let cost = row(&models, "large")["cost"].as_f64().unwrap();
    assert!(
        (cost - (0.4 * 2.0 + 0.6 * 0.5 + 0.5 * 8.0)).abs() < 1e-9,
        "{cost}"
    );
    assert_eq!(row(&models, "large")["currency"], "EUR");
    assert!(
        row(&models, "mini-2")["cost"].is_null(),
        "an unknown model is not free"
    );
    let agents = store.out(&["usage", "--by", "agent", "--prices", path]);
    assert!(agents.contains("EUR") && agents.contains("no price"), "{agents}");

    std::fs::write(path, "[[model]]\nmatch = \"large\"\ninput = -1\noutput = 0\n").unwrap();
    let wrong = store.run(&["usage", "--prices", path]);
    assert!(
        wrong.code == 1 && wrong.err.contains("\"large\""),
        "{}",
        wrong.err
    );
    let missing = store.run(&["usage", "--prices", "nowhere.toml"]);
    assert!(
        missing.code == 1 && missing.err.contains("nowhere.toml"),
        "{}",
        missing.err
    );
}

#[test]
fn the_demos_counters_are_the_tokens_that_its_calls_report() {
    let store = Store::none();
    store.out(&["demo"]);
    // Counted here from the spans of the calls only, not by the layer.
    let spans = store.json(&["spans", "--where", "gen_ai.operation.name=chat"]);
    let count = |key: &str| -> u64 {
        let spans = spans.as_array().unwrap().iter();
        spans.map(|span| span["attributes"][key].as_u64().unwrap()).sum()
    };
    let (input, output) = (
        count("gen_ai.usage.input_tokens"),
        count("gen_ai.usage.output_tokens"),
    );
    assert!(input > 0 && output > 0);
    for (metric, tokens) in [
        ("llama_stack_prompt_tokens_total", input),
        ("llama_stack_completion_tokens_total", output),
        ("llama_stack_tokens_total", input + output),
    ] {
        let series = store.json(&["metrics", metric, "--instant"]);
        assert_eq!(series.as_array().unwrap().len(), 1, "{series:#}");
        assert_eq!(series[0]["values"][0]["value"], tokens, "{metric}");
        let labels: Vec<(&str, &str)> = series[0]["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| (label["name"].as_str().unwrap(), label["value"].as_str().unwrap()))
            .collect();
        assert_eq!(
            labels,
            [("model_id", "tiny-librarian"), ("provider_id", "spanscope-demo")]
        );
    }
}
