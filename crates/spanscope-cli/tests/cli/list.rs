//! `traces`, `spans`, `logs`, `sql`, `stats`.

use std::io::Write as _;

use spanscope_sqlite::{SqliteLayer, TailRule};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Store, lines, result_of};

#[test]
fn traces_are_listed_in_every_format() {
    let store = Store::filled();
    let table = store.out(&["traces"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    for word in [
        "time", "trace", "name", "service", "duration", "spans", "status", "order", "shop", "error", "ok",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let id = table.lines().nth(1).unwrap().split_whitespace().nth(2).unwrap();
    assert!(
        store.out(&["tree", id]).starts_with(&format!("trace {id}")),
        "a shown id is not accepted"
    );
    let json = store.json(&["traces"]);
    assert_eq!(json.as_array().unwrap().len(), 2);
    let jsonl = lines(&store.out(&["traces", "--format", "jsonl"]));
    assert_eq!(serde_json::Value::from(jsonl), json);
}

#[test]
fn conditions_compare_by_type() {
    let store = Store::filled();
    let found = |condition: &str| {
        let result = store.run(&["spans", "--where", condition, "--format", "jsonl"]);
        assert!(
            result.code == 0 || result.code == 3,
            "{condition}: {}",
            result.err
        );
        result.out.lines().count()
    };
    for (condition, count) in [
        ("user=ann", 1),
        ("user!=ann", 0),
        ("user!=bob", 1),
        ("items=5", 1),
        ("items=\"5\"", 0),
        ("code=\"5\"", 1),
        ("code=5", 1),
        ("code!=5", 0),
        ("items>4", 1),
        ("items<5", 0),
        ("gen_ai.request.model=llama", 1),
        ("gen_ai.request.model!=llama", 1),
        ("gen_ai.usage.input_tokens>50", 1),
        ("kind=client", 2),
        ("status=error", 1),
        ("name=chat", 2),
        ("attributes.name=chat", 0),
        ("duration_ms>60000", 0),
        ("'; DROP TABLE spans; --=1", 0),
    ] {
        assert_eq!(found(condition), count, "{condition}");
    }
}

#[test]
fn one_span_must_match_all_conditions() {
    let store = Store::filled();
    let words = [
        "traces",
        "--where",
        "gen_ai.request.model=llama",
        "--where",
        "gen_ai.usage.input_tokens=20",
    ];
    assert_eq!(store.run(&words).code, 3);
    assert_eq!(
        store
            .run(&[
                "traces",
                "--where",
                "name=chat",
                "--where",
                "gen_ai.request.model=mini"
            ])
            .code,
        0
    );
}

#[test]
fn lists_can_be_limited_ordered_and_filtered() {
    let store = Store::filled();
    let names = |words: &[&str]| -> Vec<String> {
        let traces = store.json(words);
        traces
            .as_array()
            .unwrap()
            .iter()
            .map(|trace| trace["root_name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&["traces"]), ["bad order", "order"]);
    assert_eq!(
        names(&["traces", "--order-by", "start_time"]),
        ["order", "bad order"]
    );
    assert_eq!(
        names(&["traces", "--order-by", "-span_count", "--limit", "1"]),
        ["order"]
    );
    assert_eq!(names(&["traces", "--offset", "1"]), ["order"]);
    assert_eq!(names(&["traces", "--errors"]), ["bad order"]);
    assert_eq!(
        names(&["traces", "--service", "shop", "--since", "1h"]),
        ["bad order", "order"]
    );
    assert_eq!(store.run(&["traces", "--since", "2100-01-01"]).code, 3);
}

#[test]
fn every_table_fits_80_columns_and_contains_no_control_characters() {
    let store = Store::filled();
    let (bad, good) = (store.trace("bad order"), store.trace("order"));
    let span = store.span("bad order");
    for words in [
        &["traces"][..],
        &["spans"],
        &["logs"],
        &["tree", &bad],
        &["tree", &good, "--attributes", "user,gen_ai.request.model"],
        &["span", &span],
        &["stats"],
        &["stats", "--by", "name"],
        &["sql", "SELECT * FROM spans"],
        &["sql", "SELECT name, attributes FROM spans"],
    ] {
        let text = store.out(words);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{words:?} is {widest} wide:\n{text}");
        assert!(!text.contains(['\x1b', '\u{202e}']), "{words:?}:\n{text}");
    }
    let logs = result_of(store.command(&["logs"]).env("COLUMNS", "60").output().unwrap()).out;
    let widest = logs.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(
        widest <= 60 && logs.contains("shop\n         cli::support: no \\x1b[2J such item"),
        "{logs}"
    );
    let mut piped = store.command(&["logs"]);
    let logs = result_of(piped.env_remove("COLUMNS").output().unwrap()).out;
    assert!(
        logs.contains("no \\x1b[2J such item\n"),
        "in a pipe an entry is one line: {logs}"
    );
    let json = store.out(&["spans", "--json"]);
    assert!(json.contains("\\u202e") && json.contains("\\u001b") && !json.contains('\u{202e}'));
}

#[test]
fn logs_are_filtered_by_severity_and_text() {
    let store = Store::filled();
    let messages = |words: &[&str]| -> Vec<String> {
        let logs = store.json(words);
        logs.as_array()
            .unwrap()
            .iter()
            .map(|log| log["message"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(messages(&["logs"]).len(), 5);
    assert_eq!(
        messages(&["logs", "--severity", "warning"]),
        ["the bank is slow", "no \x1b[2J such item"]
    );
    assert_eq!(messages(&["logs", "--grep", "BANK"]), ["the bank is slow"]);
    assert_eq!(messages(&["logs", "--limit", "1"]), ["no \x1b[2J such item"]);
    let table = store.out(&["logs", "--grep", "bank"]);
    assert!(table.contains("WARN") && table.contains("retry=1"), "{table}");
}

#[test]
fn sql_returns_rows_and_changes_nothing() {
    let store = Store::filled();
    let json = store.json(&[
        "sql",
        "SELECT name, count(*) AS n FROM spans GROUP BY name ORDER BY n DESC, name",
    ]);
    assert_eq!(json[0], serde_json::json!({"name": "chat", "n": 2}));
    let before = std::fs::read(store.path()).unwrap();
    for query in [
        "DELETE FROM _span",
        "DROP VIEW spans",
        "ATTACH 'other.db' AS other",
        "PRAGMA user_version = 9",
        "SELECT 1; DELETE FROM _span",
        "INSERT INTO spans DEFAULT VALUES",
        "VACUUM INTO 'copy.db'",
        "nonsense",
        "",
    ] {
        let result = store.run(&["sql", query]);
        assert_eq!(
            (result.code, result.out.as_str()),
            (2, ""),
            "{query}: {}",
            result.err
        );
    }
    assert_eq!(std::fs::read(store.path()).unwrap(), before);
    let cut = store.run(&[
        "sql",
        "SELECT name FROM spans",
        "--limit",
        "2",
        "--format",
        "jsonl",
    ]);
    assert_eq!((cut.code, cut.out.lines().count()), (0, 2));
    assert!(cut.err.contains("--limit"), "{}", cut.err);
}

#[cfg(target_os = "linux")]
#[test]
fn the_output_is_the_same_if_stderr_is_full() {
    let store = Store::filled();
    let words = ["sql", "SELECT name FROM spans", "--limit", "2"];
    let answer = store.out(&words);
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let full = std::fs::File::create("/dev/full").unwrap();
    // A pipe that is full, because its reader reads nothing.
    let (_reads_nothing, mut blocked) = std::io::pipe().unwrap();
    blocked.write_all(&[b'\n'; 1 << 16]).unwrap();
    for stderr in [closed.into(), std::process::Stdio::from(full), blocked.into()] {
        let output = store.command(&words).stderr(stderr).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), answer);
    }
    let failed = std::fs::File::create("/dev/full").unwrap();
    let status = store
        .command(&["sql", "nonsense"])
        .stderr(failed)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn stats_count_the_records_that_a_tail_rule_dropped() {
    let store = Store::none();
    let settings = SqliteLayer::builder().tail(TailRule::new());
    let (layer, guard) = settings.open(store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for _ in 0..9 {
            tracing::info_span!("good").in_scope(|| tracing::info!("fine"));
        }
        tracing::info_span!("bad").in_scope(|| tracing::error!("refused"));
    });
    drop(guard);
    let result = store.out(&["stats"]);
    assert!(result.contains("20 offered = 2 stored + 18 dropped"), "{result}");
    assert!(result.contains("by the tail rule 18"), "{result}");
    assert_eq!(store.json(&["stats"])["dropped"]["sampled"], 18);
}

#[test]
fn stats_account_for_every_record() {
    let store = Store::filled();
    let stats = store.json(&["stats"]);
    assert_eq!(stats["traces"], 2);
    assert_eq!(stats["spans"], 5);
    assert_eq!(stats["events"], 5);
    assert_eq!(stats["offered"], stats["stored"]);
    let table = store.out(&["stats"]);
    assert!(
        table.contains("10 offered = 10 stored + 0 dropped") && table.contains("shop"),
        "{table}"
    );
    let names = store.json(&["stats", "--by", "name", "--since", "1h"]);
    let chat = names
        .as_array()
        .unwrap()
        .iter()
        .find(|name| name["name"] == "chat")
        .unwrap();
    assert_eq!(
        (chat["count"].as_u64(), chat["errors"].as_u64()),
        (Some(2), Some(0))
    );
}
