//! The JSON output of every command.

use serde_json::Value;

use crate::support::{Store, lines};

/// Checks the shape of a result.
type ShapeCheck = fn(&Value) -> bool;

/// Every command that prints data, and a check of its result.
const COMMANDS: [(&[&str], ShapeCheck); 15] = [
    (&["traces"], Value::is_array),
    (&["tree", "last"], Value::is_object),
    (&["span", "last"], Value::is_object),
    (&["spans"], Value::is_array),
    (&["logs"], Value::is_array),
    (&["metrics"], Value::is_array),
    (&["metrics", "prompt_tokens"], Value::is_array),
    (&["usage"], Value::is_array),
    (&["runs"], Value::is_array),
    (&["run", "last"], Value::is_object),
    (&["sql", "SELECT * FROM spans"], Value::is_array),
    (&["stats"], Value::is_object),
    (&["stats", "--by", "name"], Value::is_array),
    (&["cleanup", "--older-than", "1d", "--dry-run"], Value::is_object),
    (&["import", "FILE"], Value::is_object),
];

/// Pairs of start and end times in objects.
const TIMES: [(&str, &str); 4] = [
    ("start_time", "end_time"),
    ("started_at", "completed_at"),
    ("created_at", "completed_at"),
    ("elapsed_time", "timestamp"),
];

#[test]
fn every_command_has_json_and_every_duration_is_called_duration_ms() {
    let store = Store::none();
    store.out(&["demo"]);
    let backup = store.file("backup.db");
    let backup = backup.to_str().unwrap();
    store.out(&["backup", backup]);
    let mut durations = 0;
    for (words, has_shape) in COMMANDS {
        let words: Vec<&str> = words
            .iter()
            .map(|word| if *word == "FILE" { backup } else { word })
            .collect();
        let answer = store.json(&words);
        assert!(has_shape(&answer), "{words:?}: {answer}");
        durations += check(&words, &answer);

        // The same items, one per line.
        let rows = lines(&store.out(&[&words[..], &["--format", "jsonl"]].concat()));
        for row in &rows {
            assert!(row.is_object(), "{words:?}: {row}");
            durations += check(&words, row);
        }
        if let Some(items) = answer.as_array() {
            assert_eq!(rows.len(), items.len(), "{words:?}");
        }
    }
    for line in lines(&store.out(&["export", "--to", "jsonl"])) {
        durations += check(&["export"], &line);
    }
    assert!(durations > 30, "{durations}");
}

/// Checks all objects, and returns how many have a duration.
fn check(words: &[&str], value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| check(words, item)).sum(),
        Value::Object(fields) => {
            let is_timed = TIMES
                .iter()
                .any(|(start, end)| fields.contains_key(*start) && fields.contains_key(*end));
            // Parts of a run's document that repeat the run's own times.
            let is_part = fields.contains_key("total_elapsed_seconds");
            let mut found = 0;
            if is_timed && !is_part {
                let ms = &fields.get("duration_ms");
                assert!(
                    ms.is_some_and(Value::is_number),
                    "{words:?}: no duration_ms in {value}"
                );
                found = 1;
            }
            found + fields.values().map(|value| check(words, value)).sum::<usize>()
        }
        _ => 0,
    }
}

#[test]
fn tables_are_truncated_on_terminals_and_complete_in_pipes() {
    let store = Store::none();
    let name = format!("a very long name {}", "x".repeat(300));
    let (layer, guard) = spanscope_sqlite::SqliteLayer::builder()
        .service_name("a service with a long name")
        .open(store.path())
        .unwrap();
    let subscriber = tracing_subscriber::layer::SubscriberExt::with(tracing_subscriber::registry(), layer);
    tracing::subscriber::with_default(subscriber, || {
        let note = "y".repeat(2000);
        let root = tracing::info_span!(
            "r",
            otel.name = name,
            note,
            gen_ai.operation.name = "invoke_agent"
        );
        root.in_scope(|| {
            let failed = tracing::info_span!(
                "tool",
                otel.status_code = "error",
                otel.status_description = "the reason why this failed is longer than its column",
                gen_ai.operation.name = "execute_tool",
                gen_ai.tool.name = name,
            );
            failed.in_scope(|| tracing::info!(target: "shop", "z{}", "z".repeat(200)));
        });
    });
    drop(guard);
    let note = "y".repeat(2000);
    for (words, whole) in [
        (&["traces"][..], vec![name.as_str(), "a service with a long name"]),
        (&["spans"], vec![&name, "a service with a long name"]),
        (
            &["tree", "last", "--attributes", "note"],
            vec![
                &name,
                &note,
                "the reason why this failed is longer than its column",
            ],
        ),
        (&["span", "last"], vec![&name, &note]),
        (&["runs"], vec![&name]),
        (&["run", "last"], vec![&name]),
        (&["stats", "--by", "name"], vec![&name]),
        (&["sql", "SELECT name, attributes FROM spans"], vec![&name, &note]),
        (&["logs"], vec![]),
    ] {
        let mut command = store.command(words);
        let piped = command.env_remove("COLUMNS").output().unwrap();
        let piped = String::from_utf8(piped.stdout).unwrap();
        assert!(!piped.contains('…'), "{words:?}: {piped}");
        for text in whole {
            assert!(piped.contains(text), "{words:?}: {text} is not in {piped}");
        }
        // `COLUMNS` applies to pipes too.
        let narrow = store.out(words);
        let widest = narrow.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{words:?}: {narrow}");
    }
}
