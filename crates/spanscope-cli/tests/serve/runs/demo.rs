//! The run of the bundled agent: every route agrees with its spans.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value as Json, json};
use spanscope_model::{Span, SpanStatus};

use super::{PREFIXES, get, stored_spans, streamed, texts};
use crate::support::{Folder, finished};

#[test]
fn every_route_shows_the_demos_run_as_its_spans_describe_it() {
    let folder = Folder::new();
    let server = folder.serve();
    finished(folder.command(&["demo"]));

    let list = get(&server, "/traces");
    assert_eq!(
        (&list["total"], &list["page"], &list["page_size"]),
        (&json!(1), &json!(1), &json!(20))
    );
    let run = &list["sessions"][0];
    let text = |field: &str| run[field].as_str().unwrap().to_owned();
    let (task, trace) = (text("task_id"), text("trace_id"));
    let number = task.strip_prefix("task-").unwrap();
    let spans = stored_spans(&folder, &trace);
    let root = spans.values().find(|span| span.parent_span_id.is_none()).unwrap();
    let failed = spans
        .values()
        .filter(|span| span.status == Some(SpanStatus::Error))
        .count();
    let last = spans.values().filter_map(|span| span.end_time).max().unwrap();
    assert_eq!(
        *run,
        json!({
            "task_id": task, "agent_id": "librarian", "session_id": format!("session-{number}"), "user_id": "demo-user",
            "tenant_id": "default", "trace_level": "", "trace_id": root.trace_id, "name": "invoke_agent librarian",
            "created_at": root.start_time, "completed_at": last, "updated_at": last, "status": "completed", "span_count": spans.len(),
            "error_count": failed,
        })
    );
    for path in [
        "/agents/librarian/traces".to_owned(),
        format!("/sessions/session-{number}/traces"),
        "/traces?status=completed&user_id=demo-user&agent_id=librarian".to_owned(),
    ] {
        assert_eq!(get(&server, &path), list, "{path}");
    }
    for path in [
        "/agents/unknown/traces",
        "/sessions/none/traces",
        "/traces?status=failed",
        "/traces?end_time=2026-01-01",
    ] {
        assert_eq!(
            get(&server, path),
            json!({"total": 0, "page": 1, "page_size": 20, "sessions": []}),
            "{path}"
        );
    }

    let of_run = |rest: &str| get(&server, &format!("/traces/{task}{rest}"));
    assert_eq!(of_run("?format=streaming"), of_run(""));
    assert_eq!(
        get(&server, &format!("/traces/{trace}")),
        of_run(""),
        "a trace's id names its run too"
    );
    let events = assert_events(&of_run, root, &spans);
    let summary = assert_numbers(&folder, &of_run, &spans);
    assert_analysis(&of_run("/analysis"), &events, &spans);
    assert_formats(&of_run, &summary, &events);

    // The first stream waits until the run is certainly over.
    assert_eq!(
        streamed(&server.get(&format!("/traces/{task}/stream?level=debug"))).len(),
        events.len()
    );
    for prefix in PREFIXES {
        for level in ["minimal", "standard", "detailed", "debug"] {
            let stream = server.get(&format!("{prefix}/traces/{task}/stream?level={level}"));
            let listed = of_run(&format!("/events?level={level}&limit=1000"));
            assert_eq!(json!(streamed(&stream)), listed["events"], "{level}");
        }
    }
    server.stop();
}

/// Checks that every step starts and ends once, at the times of its span, with its span's
/// operation.
fn assert_events(of_run: &dyn Fn(&str) -> Json, root: &Span, spans: &BTreeMap<String, Span>) -> Vec<Json> {
    let page = of_run("/events?level=debug&limit=1000");
    let events = page["events"].as_array().unwrap().clone();
    assert_eq!(
        (&page["count"], &page["total"]),
        (&json!(events.len()), &json!(events.len()))
    );
    assert!(texts(&events, "timestamp").is_sorted());
    let of_id = |id: String| {
        let mut found = events.iter().filter(|event| event["event_id"] == id);
        let event = found.next().unwrap_or_else(|| panic!("{id}"));
        assert_eq!(found.next(), None, "{id} is listed once");
        event
    };
    for (id, span) in spans.iter().filter(|(_, span)| span.span_id != root.span_id) {
        let (start, end) = (of_id(format!("{id}:start")), of_id(format!("{id}:end")));
        assert_eq!(
            (&start["timestamp"], &end["timestamp"]),
            (&json!(span.start_time), &json!(span.end_time))
        );
        for event in [start, end] {
            assert_eq!(event["metadata"]["span_id"], *id);
            assert_eq!(event["metadata"]["parent_id"], json!(span.parent_span_id));
            assert_eq!(event["metadata"]["service"], "spanscope-demo");
        }
        let recorded = |name: &str| {
            let text = span.attributes.get(name)?.to_string();
            Some(serde_json::from_str::<Json>(&text).unwrap_or(json!(text)))
        };
        let types = match recorded("gen_ai.operation.name").as_ref().and_then(Json::as_str) {
            Some("chat") => {
                assert_eq!(
                    end["metadata"]["tokens"]["prompt"],
                    recorded("gen_ai.usage.input_tokens").unwrap()
                );
                assert_eq!(
                    end["metadata"]["tokens"]["completion"],
                    recorded("gen_ai.usage.output_tokens").unwrap()
                );
                assert_eq!(
                    start["inputs"]["messages"],
                    recorded("gen_ai.input.messages").unwrap()
                );
                assert_eq!(
                    end["outputs"]["messages"],
                    recorded("gen_ai.output.messages").unwrap()
                );
                ["llm_call_started", "llm_call_completed"]
            }
            Some("retrieval") => {
                assert_eq!(
                    start["inputs"]["query"],
                    recorded("gen_ai.retrieval.query.text").unwrap()
                );
                assert_eq!(
                    end["outputs"]["chunks"],
                    recorded("gen_ai.retrieval.documents").unwrap()
                );
                ["retrieval_started", "retrieval_completed"]
            }
            Some("execute_tool") => {
                assert_eq!(
                    start["inputs"]["arguments"],
                    recorded("gen_ai.tool.call.arguments").unwrap()
                );
                assert_eq!(
                    end["outputs"].get("result").cloned(),
                    recorded("gen_ai.tool.call.result")
                );
                assert_eq!(end.get("error").cloned(), recorded("error.type"));
                ["tool_call_started", "tool_call_completed"]
            }
            _ if span.status == Some(SpanStatus::Error) => ["node_started", "node_failed"],
            _ => ["node_started", "node_finished"],
        };
        assert_eq!([&start["event_type"], &end["event_type"]], types, "{}", span.name);
    }
    let (first, last) = (of_id("run:start".to_owned()), of_id("run:end".to_owned()));
    assert_eq!((&events[0], events.last()), (first, Some(last)));
    assert_eq!(
        (&first["event_type"], &last["event_type"]),
        (&json!("workflow_started"), &json!("workflow_completed"))
    );
    assert_eq!(
        (&first["timestamp"], &last["timestamp"]),
        (&json!(root.start_time), &json!(root.end_time))
    );
    let recorded = root.attributes.get("gen_ai.output.messages").unwrap().to_string();
    let recorded: Json = serde_json::from_str(&recorded).unwrap();
    let message = of_id(format!("{}:message", root.span_id));
    assert_eq!(message["event_type"], "message_generated");
    assert_eq!(message["outputs"]["content"], recorded[0]["parts"][0]["content"]);
    // The rest are the program's logged errors.
    let logged = events
        .iter()
        .filter(|event| event["event_id"].as_str().unwrap().starts_with("log:"));
    let logged: Vec<&Json> = logged.collect();
    assert!(
        logged.iter().all(|event| event["event_type"] == "error_occurred"),
        "{logged:#?}"
    );
    assert_eq!(events.len(), 2 * (spans.len() - 1) + 2 + 1 + logged.len());

    // Its pages add up to the whole, and filters apply to them.
    let mut paged = Vec::new();
    while paged.len() < events.len() {
        let page = of_run(&format!("/events?level=debug&limit=7&offset={}", paged.len()));
        assert_eq!(page["total"], events.len());
        paged.extend(page["events"].as_array().unwrap().clone());
    }
    assert_eq!(paged, events);
    let tools = of_run("/events?event_types=tool_call_started,tool_call_completed");
    assert_eq!(
        texts(tools["events"].as_array().unwrap(), "component_name"),
        ["calculator", "calculator", "weather", "weather"]
    );
    events
}

/// The numbers are those of `spanscope usage`, and of the spans.
fn assert_numbers(folder: &Folder, of_run: &dyn Fn(&str) -> Json, spans: &BTreeMap<String, Span>) -> Json {
    let usage = finished(folder.command(&["usage", "--json"]));
    let usage: Json = serde_json::from_str(&usage).unwrap();
    assert_eq!(usage.as_array().unwrap().len(), 1, "the demo has one model");
    let of_operation = |operation: &str| {
        let named = |span: &&Span| {
            let recorded = span.attributes.get("gen_ai.operation.name");
            recorded.is_some_and(|recorded| recorded.to_string() == operation)
        };
        spans.values().filter(named).count()
    };
    let summary = of_run("/summary?level=debug");
    let total = of_run("/events?level=debug")["total"].clone();
    for (field, expected) in [
        ("total_events", total),
        ("total_llm_calls", usage[0]["calls"].clone()),
        ("total_retrievals", json!(of_operation("retrieval"))),
        ("total_tool_calls", json!(of_operation("execute_tool"))),
        ("total_tokens", usage[0]["total_tokens"].clone()),
        ("prompt_tokens", usage[0]["input_tokens"].clone()),
        ("completion_tokens", usage[0]["output_tokens"].clone()),
        ("total_chunks_retrieved", json!(3)),
        ("nodes_executed", json!(spans.len())),
        ("status", json!("completed")),
    ] {
        assert_eq!(summary[field], expected, "{field}: {summary}");
    }
    summary
}

fn assert_analysis(analysis: &Json, events: &[Json], spans: &BTreeMap<String, Span>) {
    assert_eq!(analysis["total_events"], events.len());
    let mut distribution = BTreeMap::<&str, u64>::new();
    for event_type in texts(events, "event_type") {
        *distribution.entry(event_type).or_default() += 1;
    }
    assert_eq!(analysis["event_distribution"], json!(distribution));
    let seconds = |span: &Span| {
        let nanos = span.end_time.unwrap().as_nanos() - span.start_time.as_nanos();
        Duration::from_nanos(nanos.try_into().unwrap()).as_secs_f64()
    };
    let calculator = spans
        .values()
        .find(|span| span.name == "execute_tool calculator")
        .unwrap();
    assert_eq!(
        analysis["component_execution_times"]["calculator"],
        json!([seconds(calculator)])
    );
    let path = analysis["critical_path"].as_array().unwrap();
    let sum: f64 = path.iter().map(|step| step["seconds"].as_f64().unwrap()).sum();
    let root = spans.values().find(|span| span.parent_span_id.is_none()).unwrap();
    assert!((sum - seconds(root)).abs() < 1e-6, "{sum} of {}", seconds(root));
    let of_logs = events
        .iter()
        .filter(|event| event["event_type"] == "error_occurred");
    let logged: BTreeSet<(String, String)> = of_logs.map(component_and_error).collect();
    // An error that a step logged, and then failed with, is one error.
    let errors = events
        .iter()
        .filter(|event| event.get("error").is_some())
        .filter(|event| {
            event["event_type"] == "error_occurred" || !logged.contains(&component_and_error(event))
        });
    let errors: Vec<&Json> = errors.collect();
    assert_eq!(
        errors.len(),
        3,
        "the weather tool and its request, one of them twice: {errors:#?}"
    );
    let reported = analysis["errors"].as_array().unwrap();
    assert_eq!(reported.len(), errors.len());
    for (reported, event) in reported.iter().zip(errors) {
        assert_eq!(
            (&reported["component"], &reported["error"], &reported["timestamp"]),
            (&event["component_name"], &event["error"], &event["timestamp"])
        );
    }
    let advice = analysis["recommendations"].as_array().unwrap();
    assert!(
        advice
            .iter()
            .any(|advice| advice.as_str().unwrap().starts_with("weather: ")),
        "{advice:?}"
    );
}

/// Returns where an error occurred, and its message.
fn component_and_error(event: &Json) -> (String, String) {
    (event["component_id"].to_string(), event["error"].to_string())
}

fn assert_formats(of_run: &dyn Fn(&str) -> Json, summary: &Json, events: &[Json]) {
    let streaming = of_run("?level=debug");
    assert_eq!(
        (&streaming["summary"], &streaming["events"]),
        (summary, &json!(events))
    );
    let compact = of_run("?format=compact&level=debug");
    for (short, long) in [
        ("nodes", "nodes_executed"),
        ("llm_calls", "total_llm_calls"),
        ("retrievals", "total_retrievals"),
        ("tool_calls", "total_tool_calls"),
        ("tokens", "total_tokens"),
        ("errors", "errors_count"),
        ("duration_s", "total_elapsed_time"),
    ] {
        assert_eq!(compact[short], summary[long], "{short}");
    }
    let timeline = compact["timeline"].as_array().unwrap();
    assert_eq!(texts(timeline, "type"), texts(events, "event_type"));
    let lines = compact["text_timeline"].as_array().unwrap();
    assert!(
        lines[0]
            .as_str()
            .unwrap()
            .ends_with(" 🚀 workflow_started [librarian]"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), events.len());
    let detailed = of_run("?format=detailed&level=debug");
    let names = |list: &str, field: &str| {
        let list = detailed[list].as_array().unwrap();
        list.iter().map(|one| one[field].clone()).collect::<Json>()
    };
    assert_eq!(detailed["summary"], *summary);
    assert_eq!(detailed["llm_calls"].as_array().unwrap().len(), 2);
    assert_eq!(
        names("tool_calls", "tool_name"),
        json!(["calculator", "weather"]),
        "{detailed:#}"
    );
    assert_eq!(detailed["retrievals"].as_array().unwrap().len(), 1);
    assert_eq!(detailed["metadata"]["services"], json!(["spanscope-demo"]));
    assert_eq!(
        texts(detailed["events"].as_array().unwrap(), "event_id"),
        texts(events, "event_id")
    );
}
