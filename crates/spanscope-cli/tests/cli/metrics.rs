//! `metrics`, on a program's measurements.

use spanscope_sqlite::SqliteLayer;
use tracing::info;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Store, lines, result_of};

fn measured() -> Store {
    let store = Store::none();
    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for (model, value) in [("llama-3", 5), ("llama-4", 7), ("mini", 1)] {
            info!(metric = "prompt_tokens", value, unit = "tokens", model_id = model);
        }
        info!(
            metric = "prompt_tokens",
            value = 2,
            unit = "tokens",
            model_id = "mini"
        );
        info!(
            metric = "queue_length",
            value = 3,
            note = "red \x1b[31m and\nlong ".repeat(20)
        );
        info!(metric = "queue_length", value = 0.5);
    });
    drop(guard);
    store
}

#[test]
fn metrics_are_listed_in_every_format() {
    let store = measured();
    let table = store.out(&["metrics"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    for word in [
        "name",
        "kind",
        "unit",
        "series",
        "points",
        "last",
        "prompt_tokens",
        "counter",
        "gauge",
        "tokens",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let json = store.json(&["metrics"]);
    assert_eq!(
        (
            &json[0]["metric"],
            json[0]["series"].as_u64(),
            json[0]["points"].as_u64()
        ),
        (&"prompt_tokens".into(), Some(3), Some(4))
    );
    let jsonl = lines(&store.out(&["metrics", "--format", "jsonl"]));
    assert_eq!(serde_json::Value::from(jsonl), json);
    assert!(store.out(&["stats"]).contains("points"));
    assert_eq!(store.json(&["stats"])["points"], 6);
}

#[test]
fn a_metric_is_drawn_with_one_line_per_label_set() {
    let store = measured();
    let text = store.out(&["metrics", "llama_stack_prompt_tokens_total"]);
    assert!(
        text.starts_with("prompt_tokens (counter, tokens) in steps of 1h\n\nlabels"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 6, "{text}");
    let mini = text
        .lines()
        .find(|line| line.starts_with("model_id=mini"))
        .unwrap();
    assert!(mini.contains('█') && mini.ends_with('3'), "{text}");
    let instant = store.out(&["metrics", "prompt_tokens", "--instant"]);
    assert!(
        instant
            .lines()
            .any(|line| line.starts_with("model_id=llama-4") && line.ends_with('7')),
        "{instant}"
    );
    for words in [
        &["metrics", "queue_length"][..],
        &["metrics", "queue_length", "--instant"],
        &["metrics", "queue_length", "--granularity", "1s"],
    ] {
        let text = store.out(words);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80 && !text.contains('\x1b'), "{widest}:\n{text}");
        assert!(text.contains("(none)"), "{text}");
    }
    let forced = result_of(
        store
            .command(&["metrics", "prompt_tokens"])
            .env("FORCE_COLOR", "1")
            .output()
            .unwrap(),
    );
    assert!(forced.out.contains("\x1b["), "{}", forced.out);
}

#[test]
fn a_histogram_is_shown_with_its_count_its_mean_and_percentiles() {
    let store = Store::none();
    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for ms in 1..=100 {
            info!(
                metric = "job.duration",
                value = f64::from(ms) / 1e3,
                unit = "s",
                job = "a"
            );
        }
    });
    drop(guard);
    for words in [
        &["metrics", "job.duration"][..],
        &["metrics", "job.duration", "--instant"],
    ] {
        let table = store.out(words);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[0],
            ["labels", "count", "mean", "p50", "p95", "p99"],
            "{table}"
        );
        assert_eq!(
            rows[1],
            ["job=a", "100", "50.5ms", "50.0ms", "95.0ms", "99.0ms"],
            "{table}"
        );
        assert!(!table.contains('~'), "{table}");
    }
    let series = store.json(&["metrics", "job.duration"]);
    let found = &series[0]["distribution"];
    assert_eq!(
        (&found["count"], &found["p95"], &found["interpolated"]),
        (&100.into(), &0.095.into(), &false.into())
    );
    assert!(series[0]["values"].is_array());
}

#[test]
fn series_are_selected_by_conditions_on_labels() {
    let store = measured();
    let sums = |conditions: &[&str]| -> Vec<i64> {
        let mut words = vec![
            "metrics",
            "prompt_tokens",
            "--instant",
            "--since",
            "1h",
            "--format",
            "jsonl",
        ];
        for condition in conditions {
            words.extend(["--match", condition]);
        }
        let result = store.run(&words);
        assert!([0, 3].contains(&result.code), "{}", result.err);
        let series = lines(&result.out);
        series
            .iter()
            .map(|series| series["values"][0]["value"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(sums(&[]), [5, 7, 3]);
    assert_eq!(sums(&["model_id=~\"llama.*\""]), [5, 7]);
    assert_eq!(
        sums(&["model_id=~llama"]),
        [] as [i64; 0],
        "an expression must match the whole value"
    );
    assert_eq!(sums(&["model_id!~llama.*"]), [3]);
    assert_eq!(sums(&["model_id=llama-3"]), [5]);
    assert_eq!(sums(&["model_id!=llama-3", "model_id!=mini"]), [7]);
    assert_eq!(sums(&["other="]), [5, 7, 3]);
    assert_eq!(sums(&["other=x"]), [] as [i64; 0]);
    let steps = store.json(&[
        "metrics",
        "prompt_tokens",
        "--granularity",
        "1d",
        "--match",
        "model_id=mini",
    ]);
    assert_eq!(steps[0]["metric"], "prompt_tokens");
    assert_eq!(
        steps[0]["labels"][0],
        serde_json::json!({"name": "model_id", "value": "mini"})
    );
    assert!(steps[0]["values"][0]["timestamp"].is_i64());
}
