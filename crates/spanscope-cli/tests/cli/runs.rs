//! `runs` and `run`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use spanscope_sqlite::SqliteLayer;
use tracing::{error, info_span};
use tracing_subscriber::layer::SubscriberExt;
use unicode_width::UnicodeWidthStr;

use crate::support::{Store, lines, result_of, spanscope};

/// Runs the demo, and returns its store and the run's task id.
fn demo() -> (Store, String) {
    let store = Store::none();
    assert_eq!(store.run(&["demo"]).code, 0);
    let id = store.json(&["runs"])[0]["task_id"].as_str().unwrap().to_owned();
    (store, id)
}

/// Records a run for each task: a trace with a tool. Tasks whose name ends with `bad` fail.
fn tasks(store: &Store, tasks: &[(&str, &str, &str)]) {
    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for (task, agent, session) in tasks {
            let root = info_span!(
                "invoke_agent",
                gen_ai.operation.name = "invoke_agent",
                task_id = task,
                agent_id = agent,
                session_id = session,
                user_id = "ann",
            );
            root.in_scope(|| {
                info_span!("tool", tool_name = "look").in_scope(|| ());
                if task.ends_with("bad") {
                    error!("no \x1b[2J luck");
                }
            });
        }
    });
    drop(guard);
}

fn ids(runs: &Value) -> Vec<&str> {
    let runs = runs.as_array().unwrap().iter();
    runs.map(|run| run["task_id"].as_str().unwrap()).collect()
}

fn fits(text: &str) -> bool {
    text.lines().all(|line| line.width() <= 80)
}

#[test]
fn runs_are_listed_in_every_format() {
    let (store, id) = demo();
    let table = store.out(&["runs"]);
    assert_eq!(table.lines().count(), 2, "{table}");
    for word in [
        "when",
        "run",
        "agent",
        "status",
        "duration",
        "spans",
        "errors",
        "librarian",
        "completed",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(fits(&table), "{table}");
    let json = store.json(&["runs"]);
    assert_eq!(
        (&json[0]["agent_id"], &json[0]["status"], &json[0]["user_id"]),
        (&"librarian".into(), &"completed".into(), &"demo-user".into())
    );
    assert_eq!(
        Value::from(lines(&store.out(&["runs", "--format", "jsonl"]))),
        json
    );
    let short = table.lines().nth(1).unwrap().split_whitespace().nth(2).unwrap();
    assert!(id.starts_with(short) && id != short, "{short}");
    assert_eq!(store.json(&["run", short])["task_id"], *id);

    let wide = result_of(store.command(&["runs"]).env("COLUMNS", "120").output().unwrap());
    let session = json[0]["session_id"].as_str().unwrap();
    assert!(wide.out.contains(session), "{}", wide.out);
}

#[test]
fn runs_are_filtered_by_agent_session_user_status_and_time() {
    let store = Store::none();
    tasks(
        &store,
        &[
            ("t-1", "cook", "s-1"),
            ("t-2", "cook", "s-2"),
            ("t-bad", "clerk", "s-1"),
        ],
    );
    for (words, found) in [
        (&["runs"][..], &["t-bad", "t-2", "t-1"][..]),
        (&["runs", "--agent", "cook"], &["t-2", "t-1"]),
        (&["runs", "--session", "s-1"], &["t-bad", "t-1"]),
        (&["runs", "--user", "ann", "--limit", "1"], &["t-bad"]),
        (&["runs", "--status", "failed"], &["t-bad"]),
        (&["runs", "--status", "COMPLETED", "--offset", "1"], &["t-1"]),
        (&["runs", "--since", "1h", "--agent", "clerk"], &["t-bad"]),
    ] {
        assert_eq!(ids(&store.json(words)), found, "{words:?}");
    }
    for (words, message) in [
        (&["runs", "--agent", "unknown"][..], "no run matches"),
        (&["runs", "--since", "2100-01-01"], "no run matches"),
        (&["runs", "--status", "running"], "no run matches"),
        (
            &["runs", "--offset", "3"],
            "--offset 3 is past the end: 3 runs in all",
        ),
        (&["runs", "--limit", "0"], "--limit 0 shows no run: 3 runs in all"),
    ] {
        let result = store.run(words);
        assert_eq!((result.code, result.out.as_str()), (3, ""), "{words:?}");
        assert!(
            result.err.starts_with(&format!("spanscope: {message}")),
            "{words:?}: {}",
            result.err
        );
    }
    let page = store.run(&["runs", "--limit", "2"]);
    assert_eq!((page.code, page.out.lines().count()), (0, 3), "{}", page.out);
    assert_eq!(page.err, "spanscope: 2 of 3 runs; --offset 2 for more\n");
    let last = store.run(&["runs", "--limit", "2", "--offset", "2"]);
    assert_eq!((last.code, last.err.as_str()), (0, ""));
}

#[test]
fn a_run_is_shown_with_its_timeline_summary_and_analysis() {
    let (store, id) = demo();
    let text = store.out(&["run", &id]);
    assert!(fits(&text), "{text}");
    let found = |words: &[&str]| {
        let line = text
            .lines()
            .position(|line| words.iter().all(|word| line.contains(word)));
        line.unwrap_or_else(|| panic!("no {words:?} in {text}"))
    };
    assert_eq!(found(&["run ", &id]), 0);
    assert_eq!(found(&["completed", "librarian"]), 1);
    let began = found(&["🚀", "workflow_started", "librarian"]);
    let failed = found(&["tool_call_completed", "weather"]);
    let ended = found(&["✅", "workflow_completed", "librarian", "ms"]);
    assert!(began < failed && failed < ended, "{text}");
    assert!(text.lines().nth(failed + 1).unwrap().contains('✗'), "{text}");
    assert!(text.contains("no weather for Reykjavik"), "{text}");
    let indent = |word: &str| {
        let line = text.lines().find(|line| line.contains(word)).unwrap();
        line.len() - line.split_once(word).unwrap().1.trim_start().len()
    };
    assert!(
        indent("retrieval_started") > indent("workflow_started "),
        "{text}"
    );
    assert!(found(&["Summary"]) > ended && found(&["Analysis"]) > found(&["Summary"]));
    found(&["generate", "█", "%"]);
    found(&["recommendations"]);
}

#[test]
fn a_summary_and_usage_report_the_same_counts() {
    let (store, id) = demo();
    let usage = store.json(&["usage"]);
    let all = |key: &str| -> u64 {
        let rows = usage.as_array().unwrap().iter();
        rows.map(|row| row[key].as_u64().unwrap()).sum()
    };
    let summary = &store.json(&["run", &id])["summary"];
    for (of_run, of_usage) in [
        ("total_llm_calls", "calls"),
        ("prompt_tokens", "input_tokens"),
        ("completion_tokens", "output_tokens"),
        ("total_tokens", "total_tokens"),
    ] {
        assert!(all(of_usage) > 0, "{usage}");
        assert_eq!(summary[of_run], all(of_usage), "{of_run}: {summary}");
    }
    let shown = store.out(&["run", &id, "--summary"]);
    let tokens = format!("{} in, {} out", all("input_tokens"), all("output_tokens"));
    assert!(shown.contains(&tokens), "{tokens}: {shown}");
}

#[test]
fn only_the_requested_parts_are_shown() {
    let (store, id) = demo();
    let has = |words: &[&str]| {
        let text = store.out(&[&["run", &id], words].concat());
        ["workflow_started", "Summary", "Analysis"].map(|word| text.contains(word))
    };
    assert_eq!(has(&[]), [true, true, true]);
    assert_eq!(has(&["--timeline"]), [true, false, false]);
    assert_eq!(has(&["--summary"]), [false, true, false]);
    assert_eq!(has(&["--summary", "--analysis"]), [false, true, true]);

    let minimal = store.out(&["run", &id, "--timeline", "--level", "minimal"]);
    assert!(
        minimal.contains("message_generated") && !minimal.contains("tool_call"),
        "{minimal}"
    );
    let debug = store.out(&["run", &id, "--timeline", "--level", "Debug"]);
    assert!(debug.contains("1000 * 4096") && fits(&debug), "{debug}");
}

#[test]
fn the_json_of_a_run_is_its_session_with_the_analysis() {
    let (store, id) = demo();
    let run = store.json(&["run", &id]);
    assert_eq!(run["task_id"], *id);
    assert_eq!(run["metadata"]["agent_id"], "librarian");
    assert_eq!(run["llm_calls"].as_array().unwrap().len(), 2);
    assert_eq!(run["analysis"]["components"][0]["component"], "generate");
    let events = run["events"].as_array().unwrap();
    let each = lines(&store.out(&["run", &id, "--format", "jsonl"]));
    assert_eq!(each.len(), events.len());
    assert_eq!(each[0]["event_type"], "workflow_started");
    assert_eq!(each.last().unwrap()["event_id"], "run:end");

    let less = store.json(&["run", &id, "--level", "minimal"]);
    assert!(less["events"].as_array().unwrap().len() < events.len());
    let summary = store.json(&["run", &id, "--summary"]);
    assert!(summary["events"].is_null() && summary["analysis"].is_null());
    assert_eq!(summary["summary"], run["summary"]);
    let analysis = lines(&store.out(&["run", &id, "--analysis", "--format", "jsonl"]));
    assert_eq!((analysis.len(), &analysis[0]["analysis"]), (1, &run["analysis"]));
}

#[test]
fn a_run_is_found_by_its_task_its_trace_or_a_prefix_of_either() {
    let store = Store::none();
    tasks(
        &store,
        &[
            ("job-1", "cook", ""),
            ("job-12", "cook", ""),
            ("job-13-bad", "cook", ""),
        ],
    );
    let runs = store.json(&["runs"]);
    let trace = runs[1]["trace_id"].as_str().unwrap();
    for (id, task) in [
        ("job-1", "job-1"), // also a prefix of others
        ("job-12", "job-12"),
        ("job-13", "job-13-bad"),
        (trace, "job-12"),
        (&trace[..24], "job-12"),
        (&trace.to_uppercase()[..24], "job-12"),
        (&store.span("tool"), "job-13-bad"),
    ] {
        let run = store.json(&["run", id]);
        assert_eq!(run["task_id"], task, "{id}");
    }
    let several = store.run(&["run", "job"]);
    assert_eq!((several.code, several.out.as_str()), (2, ""));
    assert!(
        several.err.contains("runs: job-13-bad, job-12, job-1;"),
        "{}",
        several.err
    );
    for unknown in [
        "job-2",
        "nothing",
        "00000000000000000000000000000001",
        "beef\x1b[2J",
    ] {
        let result = store.run(&["run", unknown]);
        assert_eq!(
            (result.code, result.out.as_str()),
            (3, ""),
            "{unknown}: {}",
            result.err
        );
        assert!(!result.err.contains('\x1b'), "{}", result.err);
    }
    // The ids of one process and second have the same prefix.
    assert_eq!(store.run(&["run", &trace[..4]]).code, 2);
    assert_eq!(store.run(&["run", ""]).code, 2);
    let bad = store.out(&["run", "job-13"]);
    assert!(bad.contains("failed, cook") && !bad.contains('\x1b'), "{bad}");
}

#[test]
fn an_invalid_argument_is_refused_with_the_valid_ones() {
    let store = Store::none();
    tasks(&store, &[("job-1", "cook", "")]);
    for (words, hint) in [
        (
            &["run", "job-1", "--level", "loud"][..],
            "minimal standard detailed debug",
        ),
        (
            &["runs", "--status", "happy"],
            "running completed failed abandoned",
        ),
        (&["runs", "--since", "last week"], "2026-11-21"),
        (&["runs", "--limit", "-1"], "--limit"),
        (&["run"], "<ID>"),
    ] {
        let result = store.run(words);
        assert_eq!(
            (result.code, result.out.as_str()),
            (2, ""),
            "{words:?}: {}",
            result.err
        );
        assert!(result.err.contains(hint), "{words:?}: {}", result.err);
    }
    for command in ["runs", "run"] {
        let result = result_of(spanscope().args([command, "--help"]).output().unwrap());
        assert!(
            result.code == 0 && result.out.contains("Example"),
            "{}",
            result.out
        );
    }
}

#[test]
fn following_a_finished_run_shows_it_and_ends() {
    let (store, id) = demo();
    let text = store.out(&["run", &id, "--follow"]);
    for word in [
        "completed, librarian",
        "workflow_started",
        "✗",
        "workflow_completed",
        "Summary",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(fits(&text) && !text.contains("Analysis"), "{text}");
    let parts = store.out(&["run", &id, "--follow", "--timeline", "--analysis"]);
    assert!(
        parts.contains("Analysis") && !parts.contains("Summary"),
        "{parts}"
    );
    assert_eq!(parts.matches("workflow_started").count(), 1, "{parts}");
    let sorted = |words: &[&str]| {
        let mut events = lines(&store.out(words));
        events.sort_by_key(|event| event["event_id"].to_string());
        events
    };
    assert_eq!(
        sorted(&["run", &id, "--follow", "--format", "jsonl"]),
        sorted(&["run", &id, "--format", "jsonl"])
    );
    assert_eq!(store.json(&["run", &id, "--follow"]), store.json(&["run", &id]));
}

#[test]
fn following_a_run_ends_when_the_run_ends() {
    let store = Store::none();
    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let root = info_span!(
            "invoke_agent",
            gen_ai.operation.name = "invoke_agent",
            task_id = "live",
            agent_id = "cook"
        );
        let root = root.entered();
        info_span!("first", tool_name = "first").in_scope(|| ());
        guard.flush(std::time::Duration::from_secs(10)).unwrap();

        let now = store.run(&["run", "live", "--timeline"]);
        assert!(
            now.out.contains("running, cook") && now.err.contains("--follow"),
            "{}",
            now.out
        );
        let mut follower = store
            .command(&["run", "live", "--follow"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut shown = BufReader::new(follower.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let mut until = |word: &str| {
            let line = shown.by_ref().find(|line| line.contains(word));
            line.unwrap_or_else(|| panic!("it ended before {word}"))
        };
        assert!(until("cook").starts_with("running"));
        until("first");
        info_span!("second", tool_name = "second").in_scope(|| ());
        until("second");
        assert!(follower.try_wait().unwrap().is_none(), "its root is open");
        drop(root);
        until("workflow_completed");
        let rest: Vec<String> = shown.collect();
        assert!(rest.contains(&"tool calls   2".to_owned()), "{rest:?}");
        assert_eq!(follower.wait().unwrap().code(), Some(0));
    });
    drop(guard);
}
