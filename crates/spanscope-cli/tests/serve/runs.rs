//! Agent traces of real programs, asked of the real command: a run that went well, one that goes on, one whose program was killed,
//! one that failed; what is deleted, what is whose, for how long it is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use spanscope_layers::genai::{Agent, ToolCall};
use spanscope_model::{Span, SpanStatus, Timestamp, TraceId, TraceStore as _};
use spanscope_sqlite::wait;
use spanscope_tests::http::Answer;
use spanscope_tests::process::{Signal, send_signal};
use spanscope_tests::terminal::run_piped;
use spanscope_tests::{PATIENCE, store_at, wait_for};

use super::support::{Folder, Serve, finished, json_of, send, span, spanscope, traces};

/// Each route is under these.
const PREFIXES: [&str; 2] = ["", "/api/v1"];
/// All routes of one run.
const OF_A_RUN: [&str; 5] = ["", "/events", "/summary", "/analysis", "/stream"];

/// Asks under both prefixes, which answer the same, with success.
fn get(server: &Serve, path: &str) -> Json {
    let [plain, under_api] = PREFIXES.map(|prefix| server.get(&format!("{prefix}{path}")));
    assert_eq!(plain.status, 200, "{path}: {plain:?}");
    assert_eq!(plain.header("content-type"), Some("application/json"), "{path}");
    assert_eq!((under_api.status, &under_api.body), (200, &plain.body), "{path}");
    json_of(&plain)
}

/// The status and the code of an error.
fn refusal(answer: &Answer) -> (u16, Json) {
    (answer.status, json_of(answer)["error"]["code"].clone())
}

/// The events of a stream as it was answered, without the last word, which is there.
fn streamed(answer: &Answer) -> Vec<Json> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let events = answer.body.strip_prefix("retry: 1000\n\n").unwrap();
    let frames = events
        .split_terminator("\n\n")
        .filter(|frame| !frame.starts_with(':'));
    let mut frames: Vec<(&str, &str)> = frames
        .map(|frame| {
            let (id, data) = frame.split_once('\n').unwrap();
            (
                id.strip_prefix("id: ").unwrap(),
                data.strip_prefix("data: ").unwrap(),
            )
        })
        .collect();
    assert_eq!(frames.pop().unwrap().1, "[DONE]");
    let data = frames
        .iter()
        .map(|(_, data)| serde_json::from_str::<Json>(data).unwrap());
    data.map(|mut data| data["data"].take()).collect()
}

/// Watches a run from now on, to its end.
fn watch(address: SocketAddr, task: &str) -> JoinHandle<Vec<Json>> {
    let path = format!("/traces/{task}/stream?level=debug");
    std::thread::spawn(move || streamed(&send(address, "GET", &path, None, None).unwrap()))
}

fn texts<'a>(events: &'a [Json], field: &str) -> Vec<&'a str> {
    events
        .iter()
        .map(|event| event[field].as_str().unwrap())
        .collect()
}

/// The spans of a trace, by their ids.
fn stored_spans(folder: &Folder, trace: &str) -> BTreeMap<String, Span> {
    let trace: TraceId = trace.parse().unwrap();
    let spans = wait(folder.store().trace_spans(trace)).unwrap();
    spans
        .into_iter()
        .map(|span| (span.span_id.to_string(), span))
        .collect()
}

#[test]
fn every_route_tells_of_the_demos_run_what_its_spans_say() {
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
        "/agents/nobody/traces",
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

    // Until the run is over for sure, which whoever asks for the first stream waits for.
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

/// Every step begins and ends once, at the times of its span, and says what its span does.
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
        assert_eq!(found.next(), None, "{id} is there once");
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
        let said = |name: &str| {
            let text = span.attributes.get(name)?.to_string();
            Some(serde_json::from_str::<Json>(&text).unwrap_or(json!(text)))
        };
        let types = match said("gen_ai.operation.name").as_ref().and_then(Json::as_str) {
            Some("chat") => {
                assert_eq!(
                    end["metadata"]["tokens"]["prompt"],
                    said("gen_ai.usage.input_tokens").unwrap()
                );
                assert_eq!(
                    end["metadata"]["tokens"]["completion"],
                    said("gen_ai.usage.output_tokens").unwrap()
                );
                assert_eq!(
                    start["inputs"]["messages"],
                    said("gen_ai.input.messages").unwrap()
                );
                assert_eq!(
                    end["outputs"]["messages"],
                    said("gen_ai.output.messages").unwrap()
                );
                ["llm_call_started", "llm_call_completed"]
            }
            Some("retrieval") => {
                assert_eq!(
                    start["inputs"]["query"],
                    said("gen_ai.retrieval.query.text").unwrap()
                );
                assert_eq!(
                    end["outputs"]["chunks"],
                    said("gen_ai.retrieval.documents").unwrap()
                );
                ["retrieval_started", "retrieval_completed"]
            }
            Some("execute_tool") => {
                assert_eq!(
                    start["inputs"]["arguments"],
                    said("gen_ai.tool.call.arguments").unwrap()
                );
                assert_eq!(
                    end["outputs"].get("result").cloned(),
                    said("gen_ai.tool.call.result")
                );
                assert_eq!(end.get("error").cloned(), said("error.type"));
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
    let said = root.attributes.get("gen_ai.output.messages").unwrap().to_string();
    let said: Json = serde_json::from_str(&said).unwrap();
    let message = of_id(format!("{}:message", root.span_id));
    assert_eq!(message["event_type"], "message_generated");
    assert_eq!(message["outputs"]["content"], said[0]["parts"][0]["content"]);
    // The rest is what the program logged as an error.
    let logged = events
        .iter()
        .filter(|event| event["event_id"].as_str().unwrap().starts_with("log:"));
    let logged: Vec<&Json> = logged.collect();
    assert!(
        logged.iter().all(|event| event["event_type"] == "error_occurred"),
        "{logged:#?}"
    );
    assert_eq!(events.len(), 2 * (spans.len() - 1) + 2 + 1 + logged.len());

    // Pages of it make the whole, and filters are kept to.
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
            let said = span.attributes.get("gen_ai.operation.name");
            said.is_some_and(|said| said.to_string() == operation)
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
    let logged: BTreeSet<(String, String)> = of_logs.map(place_and_error).collect();
    // What a step logged, and then failed of, is one error.
    let errors = events
        .iter()
        .filter(|event| event.get("error").is_some())
        .filter(|event| event["event_type"] == "error_occurred" || !logged.contains(&place_and_error(event)));
    let errors: Vec<&Json> = errors.collect();
    assert_eq!(
        errors.len(),
        3,
        "the weather and what it asked, of which one is told twice: {errors:#?}"
    );
    let told = analysis["errors"].as_array().unwrap();
    assert_eq!(told.len(), errors.len());
    for (told, event) in told.iter().zip(errors) {
        assert_eq!(
            (&told["component"], &told["error"], &told["timestamp"]),
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

/// Where an error was, and what it says.
fn place_and_error(event: &Json) -> (String, String) {
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

/// A program that is in the middle of a run: this test's own executable, which writes into the file until it is killed.
struct Program(Child);

/// Which file such a program writes to.
const PROGRAM: &str = "SPANSCOPE_TEST_RUN_OF";

impl Program {
    /// Starts it, and waits until it says that what it has done so far is stored.
    fn start(folder: &Folder, test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(PROGRAM, folder.db())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let program = Self(child);
        // The test's own lines come first, and its name on the same one.
        assert!(
            lines.map(Result::unwrap).any(|line| line.ends_with("stored")),
            "it has ended"
        );
        program
    }

    /// What it does, if this is its process.
    fn is_here() -> bool {
        let Some(db) = std::env::var_os(PROGRAM) else {
            return false;
        };
        let (dispatch, guard) = store_at(Path::new(&db));
        tracing::dispatcher::with_default(&dispatch, || {
            let agent = Agent::invoke("librarian");
            agent.task("killed").session("s-1").user("ada");
            agent.in_scope(|| drop(ToolCall::execute("calculator")));
            let _tool = agent.in_scope(|| ToolCall::execute("weather"));
            guard.flush(PATIENCE).unwrap();
            println!("stored");
            std::thread::sleep(2 * PATIENCE); // its end comes from outside; the bound is for a test that died
        });
        true
    }

    fn kill(mut self) {
        send_signal(&self.0, Signal::KILL);
        assert!(!self.0.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_run_goes_on_until_its_program_is_killed_and_then_is_abandoned() {
    /// So long after its last sign of life a program counts as gone.
    const SILENCE: Duration = Duration::from_secs(15);
    if Program::is_here() {
        return;
    }
    let folder = Folder::new();
    let server = folder.serve();
    let program = Program::start(
        &folder,
        "runs::a_run_goes_on_until_its_program_is_killed_and_then_is_abandoned",
    );

    let run = get(&server, "/traces/killed");
    assert_eq!(
        (&run["status"], &run["completed_at"]),
        (&json!("running"), &Json::Null)
    );
    let (watched, other) = (
        watch(server.address(), "killed"),
        watch(server.address(), "killed"),
    );
    for route in OF_A_RUN.iter().filter(|route| **route != "/stream") {
        get(&server, &format!("/traces/killed{route}"));
    }
    assert_eq!(
        get(&server, "/traces?status=running")["sessions"][0]["task_id"],
        "killed"
    );
    for status in ["completed", "failed", "abandoned"] {
        assert_eq!(
            get(&server, &format!("/traces?status={status}"))["total"],
            0,
            "{status}"
        );
    }
    let before = get(&server, "/traces/killed/events?level=debug");
    let before = before["events"].as_array().unwrap();
    let types = [
        "workflow_started",
        "tool_call_started",
        "tool_call_completed",
        "tool_call_started",
    ];
    assert_eq!(texts(before, "event_type"), types);

    program.kill();
    let killed = Instant::now();
    let list = wait_for("the run to be abandoned", || {
        let list = json_of(&server.get("/traces?status=abandoned"));
        (list["total"] == 1).then_some(list)
    });
    assert!(
        killed.elapsed() < SILENCE + Duration::from_secs(5),
        "{:?}",
        killed.elapsed()
    );
    let run = &list["sessions"][0];
    assert_eq!(
        (&run["task_id"], &run["status"], &run["completed_at"]),
        (&json!("killed"), &json!("abandoned"), &Json::Null)
    );
    assert_eq!(get(&server, "/traces")["sessions"], list["sessions"]);
    assert_eq!(get(&server, "/traces?status=running")["total"], 0);

    // Those who watched it all the while are told, and whoever comes now.
    let late = watch(server.address(), "killed");
    for told in [watched, other, late].map(|watching| watching.join().unwrap()) {
        let (last, events) = told.split_last().unwrap();
        assert_eq!(events, before);
        assert_eq!(
            (&last["event_id"], &last["event_type"]),
            (&json!("run:end"), &json!("workflow_failed"))
        );
        assert!(last["error"].as_str().unwrap().starts_with("abandoned"), "{last}");
        assert_eq!(last["metadata"]["state"], "abandoned");
    }
    for (route, field) in [("", "status"), ("/summary", "status")] {
        assert_eq!(
            get(&server, &format!("/traces/killed{route}"))[field],
            "abandoned",
            "{route}"
        );
    }
    server.stop();
}

/// Writes a run of another process than the server's.
fn write(folder: &Folder, work: impl FnOnce()) {
    let (dispatch, guard) = store_at(&folder.db());
    tracing::dispatcher::with_default(&dispatch, work);
    guard.flush(PATIENCE).unwrap();
}

fn run_of(task: &str) -> Agent {
    let agent = Agent::invoke("librarian");
    agent.task(task).session("s-1").user("ada");
    agent.in_scope(|| drop(ToolCall::execute("calculator")));
    agent
}

#[test]
fn a_run_that_is_watched_from_its_middle_completes_or_fails_as_its_agent_does() {
    let folder = Folder::new();
    let server = folder.serve();
    for (task, status, last_type) in [
        ("well", "completed", "workflow_completed"),
        ("badly", "failed", "workflow_failed"),
    ] {
        let (dispatch, guard) = store_at(&folder.db());
        let watched = tracing::dispatcher::with_default(&dispatch, || {
            let agent = run_of(task);
            guard.flush(PATIENCE).unwrap();
            let running = get(&server, &format!("/traces/{task}"));
            assert_eq!(running["status"], "running");
            let watched = watch(server.address(), task);
            if status == "failed" {
                let tool = agent.in_scope(|| ToolCall::execute("weather"));
                tool.failed("timeout", &"no answer");
                agent.failed("gave_up", &"no weather, no answer");
            } else {
                agent.output_messages(r#"[{"role":"assistant","parts":[{"type":"text","content":"42"}]}]"#);
            }
            watched
        });
        guard.flush(PATIENCE).unwrap();
        drop(guard);
        let told = watched.join().unwrap();
        let listed = get(&server, &format!("/traces/{task}/events?level=debug"));
        assert_eq!(json!(told), listed["events"], "{task}");
        let last = told.last().unwrap();
        assert_eq!(
            (&last["event_type"], &last["metadata"]["state"]),
            (&json!(last_type), &json!(status))
        );
        let run = get(&server, &format!("/traces/{task}"));
        assert_eq!(run["status"], status);
        assert_eq!(get(&server, &format!("/traces/{task}/summary"))["status"], status);
        let list = get(&server, &format!("/traces?status={status}"));
        assert_eq!(
            (&list["total"], &list["sessions"][0]["task_id"]),
            (&json!(1), &json!(task))
        );
        if status == "failed" {
            assert_eq!(
                (&run["error"], &last["error"]),
                (&json!("no weather, no answer"), &json!("no weather, no answer"))
            );
            let errors = get(&server, "/traces/badly/analysis")["errors"].clone();
            assert!(errors.to_string().contains("no answer"), "{errors}");
        } else {
            assert_eq!(last["outputs"]["messages"][0]["parts"][0]["content"], "42");
        }
    }
    server.stop();
}

#[test]
fn a_run_that_was_deleted_or_cleaned_up_is_not_found_on_any_route() {
    let folder = Folder::new();
    let server = folder.serve();
    write(&folder, || {
        for task in ["first", "second", "third"] {
            drop(run_of(task));
        }
        tracing::info_span!("no agent's").in_scope(|| tracing::info!("nothing"));
    });
    let traces = || {
        folder
            .store()
            .sql("SELECT trace_id FROM traces", 100)
            .unwrap()
            .rows
            .len()
    };
    assert_eq!(
        (get(&server, "/traces")["total"].clone(), traces()),
        (json!(3), 4)
    );
    for (prefix, task) in [("", "first"), ("/api/v1", "second")] {
        let path = format!("{prefix}/traces/{task}");
        let answer = server.ask("DELETE", &path, None, None);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            json_of(&answer),
            json!({"task_id": task, "message": "Trace deleted successfully", "spans": 2})
        );
        assert_eq!(
            refusal(&server.ask("DELETE", &path, None, None)),
            (404, json!("not_found"))
        );
        assert_gone(&server, task);
    }
    assert_eq!(get(&server, "/traces")["sessions"][0]["task_id"], "third");
    let clean_up = |days: f64| json_of(&server.post("/api/v1/traces/cleanup", &json!({ "days": days })));
    assert_eq!(clean_up(7.0)["deleted"], 0);
    get(&server, "/traces/third");
    assert_eq!(clean_up(0.0)["deleted"], 1);
    assert_gone(&server, "third");
    assert_eq!(get(&server, "/traces")["total"], 0);
    assert_eq!(traces(), 1, "what is no run stays");
    server.stop();
}

fn assert_gone(server: &Serve, task: &str) {
    for prefix in PREFIXES {
        for route in OF_A_RUN {
            let answer = server.get(&format!("{prefix}/traces/{task}{route}"));
            assert_eq!(refusal(&answer), (404, json!("not_found")), "{task}{route}");
        }
    }
}

const ACME: &str = "of-acme-0123456789";
const OTHER: &str = "of-other-0123456789";
const ADMIN: &str = "of-all-0123456789";
const TOKENS: &str = "of-acme-0123456789 acme\nof-other-0123456789 other\nof-all-0123456789 *\n";

#[test]
fn another_tenants_run_is_as_if_it_were_not_there() {
    let folder = Folder::new();
    let server = folder.serve_with_tokens(TOKENS);
    let ask = |method: &str, path: &str, token: &str, body: Option<&Json>| {
        server.ask(method, path, Some(token), body)
    };
    // What comes over HTTP is its sender's, whatever it says; what a program writes itself is whose it says.
    let (trace, root) = ("0af7651916cd43dd8448eb211c80319c", "00000000000000a1");
    let mut sent = span(trace, root, "invoke_agent sender");
    sent["attributes"] = [
        ("gen_ai.operation.name", "invoke_agent"),
        ("task_id", "sent"),
        ("session_id", "s-1"),
        ("tenant_id", "other"),
    ]
    .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
    .into();
    assert_eq!(
        ask("POST", "/v1/traces", ACME, Some(&traces(&[sent]))).status,
        200
    );
    write(&folder, || drop(run_of("written")));
    write(&folder, || {
        let agent = run_of("of acme");
        agent.tenant("acme");
    });
    let seen = |token: &str| {
        let list = json_of(&ask("GET", "/traces", token, None));
        let runs = list["sessions"].as_array().unwrap();
        let mut seen: Vec<String> = texts(runs, "task_id").iter().map(ToString::to_string).collect();
        seen.sort();
        assert_eq!(list["total"], seen.len());
        for path in ["/sessions/s-1/traces", "/api/v1/traces?user_id="] {
            assert_eq!(json_of(&ask("GET", path, token, None)), list, "{path}");
        }
        seen
    };
    assert_eq!(seen(ACME), ["of acme", "sent"]);
    assert_eq!(seen(OTHER), [] as [&str; 0]);
    assert_eq!(seen(ADMIN), ["of acme", "sent", "written"]);

    for prefix in PREFIXES {
        for run in ["sent", trace, "of%20acme", "written"] {
            let path = format!("{prefix}/traces/{run}");
            for route in OF_A_RUN {
                let answer = ask("GET", &format!("{path}{route}"), OTHER, None);
                assert_eq!(refusal(&answer), (404, json!("not_found")), "{path}{route}");
                let nobody = server.get(&format!("{path}{route}"));
                assert_eq!(refusal(&nobody), (401, json!("unauthorized")), "{path}{route}");
                let expected = if run == "written" { 404 } else { 200 };
                assert_eq!(
                    ask("GET", &format!("{path}{route}"), ACME, None).status,
                    expected,
                    "{path}{route}"
                );
                assert_eq!(
                    ask("GET", &format!("{path}{route}"), ADMIN, None).status,
                    200,
                    "{path}{route}"
                );
            }
            assert_eq!(
                refusal(&ask("DELETE", &path, OTHER, None)),
                (404, json!("not_found"))
            );
        }
    }
    // It deletes nothing of others either.
    let all = json!({"days": 0});
    assert_eq!(
        json_of(&ask("POST", "/traces/cleanup", OTHER, Some(&all)))["deleted"],
        0
    );
    assert_eq!(seen(ADMIN), ["of acme", "sent", "written"]);
    assert_eq!(
        json_of(&ask("POST", "/traces/cleanup", ACME, Some(&all)))["deleted"],
        2
    );
    assert_eq!((seen(ACME).len(), seen(ADMIN)), (0, vec!["written".to_owned()]));
    server.stop();
}

/// A run that was over so many minutes ago, sent to the server.
fn send_run(server: &Serve, number: u64, task: &str, began: Duration, took: Duration) {
    let (trace, root) = (format!("{:032x}", number + 1), format!("{:016x}", number + 1));
    let mut sent = span(&trace, &root, "invoke_agent librarian");
    let start = Timestamp::now().before(began).as_nanos();
    let end = start + i64::try_from(took.as_nanos()).unwrap();
    sent["startTimeUnixNano"] = start.to_string().into();
    sent["endTimeUnixNano"] = end.to_string().into();
    sent["attributes"] = [("gen_ai.operation.name", "invoke_agent"), ("task_id", task)]
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .into();
    assert_eq!(server.post("/v1/traces", &traces(&[sent])).status, 200);
}

#[test]
fn runs_and_their_events_are_answered_for_as_long_as_the_flags_say() {
    const MINUTE: Duration = Duration::from_secs(60);
    let folder = Folder::new();
    let serve = |session: &str, events: &str| {
        let words = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--session-ttl",
            session,
            "--event-ttl",
            events,
        ];
        Serve::start(folder.command(&words))
    };
    let server = serve("1h", "1h");
    send_run(&server, 0, "fresh", MINUTE, MINUTE);
    send_run(&server, 1, "older", 40 * MINUTE, MINUTE);
    send_run(&server, 2, "gone", 90 * MINUTE, MINUTE);
    let listed = |server: &Serve| {
        let list = get(server, "/traces");
        let runs = list["sessions"].as_array().unwrap();
        texts(runs, "task_id")
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&server), ["fresh", "older"]);
    get(&server, "/traces/older/events");
    assert_gone(&server, "gone");
    server.stop();

    let server = serve("1h", "30m");
    assert_eq!(listed(&server), ["fresh", "older"]);
    get(&server, "/traces/fresh/events");
    for route in ["/events", "/analysis", "/stream"] {
        let answer = server.get(&format!("/traces/older{route}"));
        assert_eq!(refusal(&answer), (410, json!("expired")), "{route}");
    }
    let older = get(&server, "/traces/older");
    assert_eq!(
        (&older["events"], &older["events_expired"]),
        (&json!([]), &json!(true))
    );
    assert_eq!(get(&server, "/traces/older/summary")["status"], "completed");
    server.stop();

    // The default is a week, and three days.
    let server = folder.serve();
    assert_eq!(listed(&server), ["fresh", "older", "gone"]);
    get(&server, "/traces/gone/events");
    server.stop();
}

/// What counts is when it ended, not when it began.
#[test]
fn a_run_that_took_long_is_listed_for_as_long_as_it_is_answered() {
    const MINUTE: Duration = Duration::from_secs(60);
    let folder = Folder::new();
    let words = ["serve", "--listen", "127.0.0.1:0", "--session-ttl", "1h"];
    let server = Serve::start(folder.command(&words));
    send_run(&server, 0, "long", 90 * MINUTE, 80 * MINUTE);
    assert_eq!(get(&server, "/traces/long")["status"], "completed");
    assert_eq!(get(&server, "/traces")["total"], 1);
    server.stop();
}

#[test]
fn an_age_of_runs_that_makes_no_sense_is_wrong_usage() {
    let folder = Folder::new();
    for flag in ["--session-ttl", "--event-ttl"] {
        for value in ["soon", "", "-1h", "1", "1x"] {
            let mut command = spanscope(&["serve", "--listen", "127.0.0.1:0"]);
            command
                .arg("--db")
                .arg(folder.db())
                .arg(format!("{flag}={value}"));
            let said = run_piped(command);
            let err = String::from_utf8_lossy(&said.stderr).into_owned();
            assert_eq!(said.status.code(), Some(2), "{flag}={value}: {err}");
            assert!(err.contains(value) && err.contains("7d"), "{flag}={value}: {err}");
            assert!(!folder.db().exists(), "no store is made");
        }
    }
}
