//! `export`, and `tail` while a program writes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use spanscope_layers::ConsoleLayer;
use spanscope_layers::console::SpanDisplay;
use spanscope_sqlite::SqliteLayer;
use tracing::{error, info, info_span, warn};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Store, exists, lines};

#[test]
fn jsonl_holds_every_span_with_its_events() {
    let store = Store::filled();
    let spans = lines(&store.out(&["export", "--to", "jsonl"]));
    assert_eq!(spans.len(), 5);
    assert_eq!(
        spans
            .iter()
            .map(|span| span["events"].as_array().unwrap().len())
            .sum::<usize>(),
        5
    );
}

#[test]
fn otlp_json_follows_the_protocol() {
    let store = Store::filled();
    let traces = lines(&store.out(&["export", "--to", "otlp-json"]));
    assert_eq!(traces.len(), 2);
    let mut spans = 0;
    for trace in &traces {
        for resource in trace["resourceSpans"].as_array().unwrap() {
            assert_eq!(resource["resource"]["attributes"][0]["key"], "service.name");
            for scope in resource["scopeSpans"].as_array().unwrap() {
                assert!(scope["scope"]["name"].as_str().unwrap().contains("support"));
                for span in scope["spans"].as_array().unwrap() {
                    spans += 1;
                    assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
                    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
                    let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
                    assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"));
                    assert!(span["kind"].is_number() && span["status"]["code"].is_number());
                }
            }
        }
    }
    assert_eq!(spans, 5);
}

#[test]
fn chrome_gets_one_array_of_complete_events() {
    let store = Store::filled();
    let file = store.file("trace.json");
    let result = store.run(&[
        "export",
        "--to",
        "chrome",
        "-o",
        file.to_str().unwrap(),
        "--errors",
    ]);
    assert_eq!((result.code, result.out.as_str()), (0, ""), "{}", result.err);
    let records: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let complete: Vec<&Value> = records.iter().filter(|record| record["ph"] == "X").collect();
    assert_eq!(complete.len(), 1);
    assert_eq!(complete[0]["name"], "bad order");
    assert!(complete[0]["ts"].is_number() && complete[0]["dur"].is_number());
}

#[test]
fn traces_are_exported_by_id_and_never_over_the_store() {
    let store = Store::filled();
    let trace = store.trace("order");
    assert_eq!(lines(&store.out(&["export", &trace, "--to", "jsonl"])).len(), 4);
    assert_eq!(
        lines(&store.out(&["export", "--to", "otlp-json", "--limit", "1"])).len(),
        1
    );
    let result = store.run(&["export", "--to", "jsonl", "-o", store.path().to_str().unwrap()]);
    assert_eq!(result.code, 2, "{}", result.err);
    assert_eq!(store.run(&["traces"]).code, 0);
    let nowhere = store.file("no/such/folder/x.json");
    assert_eq!(
        store
            .run(&["export", "--to", "jsonl", "-o", nowhere.to_str().unwrap()])
            .code,
        1
    );
    assert!(!exists(&nowhere));
}

#[test]
fn tail_shows_past_and_new_records() {
    let store = Store::filled();
    let mut tail = store
        .command(&["tail", "--lines", "2", "--format", "jsonl"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(tail.stdout.take().unwrap())
        .lines()
        .map(|line| -> Value { serde_json::from_str(&line.unwrap()).unwrap() });
    let before: Vec<Value> = output.by_ref().take(2).collect();
    assert!(
        before
            .iter()
            .any(|record| record["message"] == "no \x1b[2J such item"),
        "{before:?}"
    );

    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = info_span!("new work");
        span.in_scope(|| info!("something new"));
    });
    drop(guard);
    let mut new_records: Vec<Value> = output.by_ref().take(2).collect();
    new_records.sort_by_key(|record| record["type"].to_string());
    assert_eq!(
        (&new_records[0]["type"], &new_records[0]["message"]),
        (&"log".into(), &"something new".into())
    );
    assert_eq!(
        (&new_records[1]["type"], &new_records[1]["name"]),
        (&"span".into(), &"new work".into())
    );
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn tail_shows_the_end_of_a_span_that_was_running_before() {
    let store = Store::none();
    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let slow = info_span!("slow work");
        slow.in_scope(|| info!("begun"));
        spanscope_tests::wait_for("the running span to be visible", || {
            (store.run(&["spans", "--where", "name=slow work"]).code == 0).then_some(())
        });
        let mut tail = store.command(&["tail"]);
        tail.env("COLUMNS", "200").stdout(Stdio::piped());
        let mut tail = tail.spawn().unwrap();
        let mut output = BufReader::new(tail.stdout.take().unwrap()).lines();
        // Its first output follows the check for running spans.
        let line = output.next().unwrap().unwrap();
        assert!(line.contains("begun"), "{line}");
        drop(slow);
        let line = output.next().unwrap().unwrap();
        assert!(line.contains("[END] slow work ("), "{line}");
        tail.kill().unwrap();
        tail.wait().unwrap();
    });
    drop(guard);
}

#[test]
fn tail_shows_events_as_the_console_of_the_program_did() {
    let store = Store::none();
    let file = store.file("console.txt");
    let (console, console_guard) = ConsoleLayer::builder()
        .spans(SpanDisplay::Events)
        .width(200)
        .writer(File::create(&file).unwrap())
        .build()
        .unwrap();
    let (layer, guard) = SqliteLayer::builder()
        .service_name("")
        .open(store.path())
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(console).with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let refused = std::io::Error::other("the bank \x1b[31mrefused");
        info!(
            category = "tools",
            amount = 12.5,
            note = "[bold]data[/bold]",
            "[bold]asked[/bold] the bank"
        );
        info!(markup = true, "[bold]marked[/bold] and [0]");
        warn!(
            error = &refused as &dyn std::error::Error,
            url = "http://bank/pay",
            "not paid"
        );
        error!(error = %"closed");
    });
    drop((console_guard, guard));
    let console = std::fs::read_to_string(file).unwrap();

    let mut command = store.command(&["tail"]);
    command.env("COLUMNS", "200").stdout(Stdio::piped());
    let mut tail = command.spawn().unwrap();
    let output = BufReader::new(tail.stdout.take().unwrap()).lines();
    let shown: Vec<String> = output.take(console.lines().count()).map(Result::unwrap).collect();
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert!(
        console.contains("the bank \\x1b[31mrefused") && console.contains('╭'),
        "{console}"
    );
    let shown: Vec<String> = shown.iter().map(|line| without_time_and_line(line)).collect();
    let console: Vec<String> = console.lines().map(without_time_and_line).collect();
    assert_eq!(shown, console);
}

/// Returns an entry's first line without the time, which each sink reads for itself, and without
/// the source line, which the store does not keep.
fn without_time_and_line(line: &str) -> String {
    if line.starts_with(' ') {
        return line.to_owned();
    }
    let mut words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    words.remove(1);
    words[1] = words[1]
        .trim_end_matches(':')
        .trim_end_matches(|c: char| c.is_ascii_digit());
    words[1] = words[1].trim_end_matches(':');
    words.join(" ")
}
