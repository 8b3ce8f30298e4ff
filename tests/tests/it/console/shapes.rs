//! Tree, events only and JSON; ids that are the same in every sink; how a program may end.

use std::os::unix::process::ExitStatusExt as _;

use serde_json::Value;
use spanscope_layers::console::render::markup::strip;

use super::{Ended, Program, built, program};

fn shaped(shape: &str, work: &[&str]) -> Ended {
    built(work).env("CODE_SHAPE", shape).run()
}

/// The entries of a console that shows JSON lines.
fn entries(ended: &Ended) -> Vec<Value> {
    let lines = ended.console.lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn entry<'a>(entries: &'a [Value], kind: &str, text: &str) -> &'a Value {
    let has_text = |entry: &Value, key: &str| entry[key].as_str() == Some(text);
    entries
        .iter()
        .find(|entry| entry["kind"] == kind && (has_text(entry, "name") || has_text(entry, "message")))
        .unwrap_or_else(|| panic!("no {kind} {text} in {entries:#?}"))
}

#[test]
fn a_tree_keeps_the_lines_of_each_root_together_and_indents_them_by_depth() {
    let ended = shaped("tree", &["side-by-side"]);
    let roots: Vec<usize> = ended
        .console
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("[START] request"))
        .map(|(place, _)| place)
        .collect();
    let lines: Vec<&str> = ended.console.lines().collect();
    assert_eq!((roots.len(), roots[0]), (2, 0), "{}", ended.console);
    let mut seen = Vec::new();
    for tree in [&lines[..roots[1]], &lines[roots[1]..]] {
        let text = tree.join("\n");
        let (own, other) = if text.contains("colour=red") {
            ("red", "blue")
        } else {
            ("blue", "red")
        };
        assert!(!text.contains(other), "{other} is in the tree of {own}: {text}");
        for step in 0..3 {
            assert!(text.contains(&format!("{own} does {step}")), "{text}");
        }
        assert!(tree.last().unwrap().contains("[END] request"), "{text}");
        let indent_of = |what: &str| {
            let line = tree.iter().find(|line| line.contains(what)).unwrap();
            line.find("console::").unwrap()
        };
        assert_eq!(indent_of("[START] step"), indent_of("[START] request") + 2);
        assert_eq!(indent_of(" does 0"), indent_of("[START] request") + 4);
        assert_eq!(indent_of("[END] step"), indent_of("[START] step"));
        seen.push(own);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["blue", "red"]);
}

#[test]
fn a_tree_that_is_still_open_is_shown_at_a_flush_and_at_the_end() {
    let mut running = built(&["story-begins", "flush", "worked", "hang"])
        .env("CODE_SHAPE", "tree")
        .start();
    running.wait_worked();
    running.terminate();
    let ended = running.read_to_end();
    assert!(ended.console.contains("[START] left open"), "{}", ended.console);
    assert!(ended.console.contains("said in it"), "{}", ended.console);
}

#[test]
fn events_only_shows_no_span_lines() {
    let ended = shaped("events", &["story", "side-by-side", "odd-spans"]);
    assert_eq!(ended.count("[START]") + ended.count("[END]"), 0);
    assert_eq!(ended.count("planning the answer"), 1);
    assert_eq!(ended.count(" does "), 6);
    assert_eq!(
        ended.store().span("agent_run").name,
        "agent_run",
        "the store has them"
    );
}

#[test]
fn json_lines_have_the_same_ids_as_the_store() {
    let ended = shaped("json", &["story", "odd-spans", "side-by-side"]);
    let entries = entries(&ended);
    let store = ended.store();
    let id_of = |entry: &Value, key: &str| entry[key].as_str().map(ToOwned::to_owned);
    for span in &store.spans {
        let id = span.span_id.to_string();
        for kind in ["span_start", "span_end"] {
            let of_span = |entry: &&Value| entry["kind"] == kind && entry["span_id"] == id.as_str();
            let found: Vec<&Value> = entries.iter().filter(of_span).collect();
            assert_eq!(found.len(), 1, "{kind} of {span:?}");
            let entry = found[0];
            assert_eq!(entry["name"], span.name.as_str());
            assert_eq!(id_of(entry, "trace_id"), Some(span.trace_id.to_string()));
            assert_eq!(
                id_of(entry, "parent_span_id"),
                span.parent_span_id.map(|parent| parent.to_string()),
                "{span:?}"
            );
        }
    }
    let starts = entries.iter().filter(|entry| entry["kind"] == "span_start");
    assert_eq!(starts.count(), store.spans.len());
    for log in &store.logs {
        let entry = entry(&entries, "event", &strip(&log.message));
        assert_eq!(
            id_of(entry, "trace_id"),
            log.trace_id.map(|id| id.to_string()),
            "{log:?}"
        );
        assert_eq!(
            id_of(entry, "span_id"),
            log.span_id.map(|id| id.to_string()),
            "{log:?}"
        );
        assert_eq!(entry["severity"], log.severity.as_str());
        assert_eq!(entry["category"], log.category.as_str());
    }
    let failed = entry(&entries, "span_end", "call_tool");
    assert_eq!(failed["status"], "error");
}

#[test]
fn spans_that_are_never_entered_or_entered_elsewhere_or_continued_are_shown_correctly() {
    let ended = shaped("json", &["odd-spans"]);
    let entries = entries(&ended);
    assert_eq!(
        entry(&entries, "span_start", "never entered")["attributes"]["why"],
        "none"
    );
    assert!(entry(&entries, "span_end", "never entered")["duration_ms"].is_number());
    let elsewhere = entry(&entries, "span_start", "entered elsewhere");
    assert_eq!(
        entry(&entries, "event", "said elsewhere")["span_id"],
        elsewhere["span_id"]
    );
    let continued = entry(&entries, "span_start", "continued");
    assert_eq!(continued["trace_id"], "0123456789abcdef0123456789abcdef");
    assert_eq!(continued["parent_span_id"], "fedcba9876543210");
    let child = entry(&entries, "span_start", "child of continued");
    assert_eq!(child["trace_id"], continued["trace_id"]);
    assert_eq!(child["parent_span_id"], continued["span_id"]);
    let end = entry(&entries, "span_end", "continued");
    assert_eq!(end["attributes"]["declared"], "late");
    assert_eq!(end["attributes"]["undeclared"], 7);
    let parent = entry(&entries, "span_start", "only a parent");
    assert_eq!(
        entry(&entries, "event", "logged next to it")["span_id"],
        parent["span_id"]
    );
    assert!(entry(&entries, "event", "outside every span")["span_id"].is_null());
}

/// Each span that a sink has, with the parent that it has there, by name.
fn parents(ended: &Ended) -> [Vec<(String, Option<String>)>; 2] {
    let entries = entries(ended);
    let mut of_console: Vec<_> = entries
        .iter()
        .filter(|entry| entry["kind"] == "span_start")
        .map(|start| {
            let of_parent =
                |other: &&Value| other["kind"] == "span_start" && other["span_id"] == start["parent_span_id"];
            let parent = entries.iter().find(of_parent);
            let name = |entry: &Value| entry["name"].as_str().unwrap().to_owned();
            assert!(start["parent_span_id"].is_null() || parent.is_some(), "{start}");
            (name(start), parent.map(name))
        })
        .collect();
    let spans = ended.store().spans;
    let mut of_store: Vec<_> = spans
        .iter()
        .map(|span| {
            let parent = spans
                .iter()
                .find(|other| Some(other.span_id) == span.parent_span_id);
            assert_eq!(parent.is_some(), span.parent_span_id.is_some(), "{span:?}");
            (span.name.clone(), parent.map(|parent| parent.name.clone()))
        })
        .collect();
    of_console.sort();
    of_store.sort();
    [of_console, of_store]
}

#[test]
fn a_span_that_its_category_field_hides_is_hidden_from_that_sink_only_and_leaves_no_gap() {
    let (root, guarded) = (|| Some("root".to_owned()), || Some("guarded".to_owned()));
    let whole = vec![
        ("child".to_owned(), guarded()),
        ("guarded".to_owned(), root()),
        ("root".to_owned(), None),
    ];
    let without = vec![("child".to_owned(), root()), ("root".to_owned(), None)];
    for (variable, console, store) in [
        ("CODE_LEVELS_OF_console", &without, &whole),
        ("CODE_LEVELS_OF_sqlite", &whole, &without),
        ("LLAMA_STACK_LOGGING", &without, &without),
    ] {
        let ended = built(&["guarded"])
            .env("CODE_SHAPE", "json")
            .env(variable, "safety=off")
            .run();
        let [of_console, of_store] = parents(&ended);
        assert_eq!((&of_console, &of_store), (console, store), "{variable}");
        let in_child = entries(&ended);
        let in_child = entry(&in_child, "event", "in child");
        let of_store = ended.store();
        let child = of_store.span("child");
        assert_eq!(in_child["span_id"], child.span_id.to_string());
        assert_eq!(in_child["trace_id"], child.trace_id.to_string());
    }
}

#[test]
fn starts_come_before_all_entries_of_a_span_and_ends_after_them() {
    let ended = shaped("json", &["story", "odd-spans", "side-by-side"]);
    let entries = entries(&ended);
    for (place, start) in entries.iter().enumerate() {
        if start["kind"] != "span_start" {
            continue;
        }
        let id = &start["span_id"];
        let of_span = |entry: &Value| &entry["span_id"] == id || &entry["parent_span_id"] == id;
        let first = entries.iter().position(of_span);
        assert_eq!(first, Some(place), "{start}");
        let end = entries
            .iter()
            .position(|entry| entry["kind"] == "span_end" && &entry["span_id"] == id);
        assert!(end.unwrap() > place, "{start}");
    }
}

fn logging(work: &[&str]) -> Program {
    let program = program(work);
    let path = program.path("agent.log");
    program.env("LLAMA_STACK_LOG_FILE", path)
}

#[test]
fn a_panic_writes_the_last_lines() {
    let ended = logging(&["story", "panic"]).run_to_any_end();
    assert_eq!(ended.status.code(), Some(101));
    let file = ended.read("agent.log");
    for text in [&ended.console, &file] {
        assert!(text.contains("[END] agent_run"), "{text}");
        let end = text.lines().find(|line| line.contains("[END] doomed")).unwrap();
        assert!(end.starts_with("ERROR ") && end.contains("[ERROR]"), "{end}");
    }
}

#[test]
fn a_signal_writes_the_last_lines() {
    let mut running = logging(&["story", "lines", "story", "worked", "hang"]).start();
    running.wait_worked();
    running.terminate();
    let ended = running.read_to_end();
    assert_eq!(ended.status.signal(), Some(15));
    assert_eq!(ended.count("[END] agent_run"), 2, "{}", ended.console);
    assert_eq!(ended.read("agent.log").matches("[END] agent_run").count(), 2);
    assert!(
        ended.read("agent.log").contains("more of this within"),
        "lines that were held back are reported at the end"
    );
}
