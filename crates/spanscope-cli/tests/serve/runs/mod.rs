//! Agent traces of real programs, queried with the real command: a successful run, a running one,
//! one whose program was killed, one that failed; deletion, tenancy, and expiry.

mod demo;
mod gone;
mod watched;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use serde_json::Value as Json;
use spanscope_layers::genai::{Agent, ToolCall};
use spanscope_model::{Span, TraceId, TraceStore as _, block_on};
use spanscope_tests::http::Answer;
use spanscope_tests::{PATIENCE, store_at};

use super::support::{Folder, Serve, json_of, send};

/// The prefixes of all routes.
pub(super) const PREFIXES: [&str; 2] = ["", "/api/v1"];
/// All routes of one run.
pub(super) const OF_A_RUN: [&str; 5] = ["", "/events", "/summary", "/analysis", "/stream"];

/// Sends a request under both prefixes, which respond alike, with success.
pub(super) fn get(server: &Serve, path: &str) -> Json {
    let [plain, under_api] = PREFIXES.map(|prefix| server.get(&format!("{prefix}{path}")));
    assert_eq!(plain.status, 200, "{path}: {plain:?}");
    assert_eq!(plain.header("content-type"), Some("application/json"), "{path}");
    assert_eq!((under_api.status, &under_api.body), (200, &plain.body), "{path}");
    json_of(&plain)
}

/// Returns the status and the code of an error.
pub(super) fn refusal(answer: &Answer) -> (u16, Json) {
    (answer.status, json_of(answer)["error"]["code"].clone())
}

/// Returns the events of a stream, and checks the final message.
pub(super) fn streamed(answer: &Answer) -> Vec<Json> {
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

/// Follows a run on a thread, which returns its events at its end.
pub(super) fn watch(address: SocketAddr, task: &str) -> JoinHandle<Vec<Json>> {
    let path = format!("/traces/{task}/stream?level=debug");
    std::thread::spawn(move || streamed(&send(address, "GET", &path, None, None).unwrap()))
}

pub(super) fn texts<'a>(events: &'a [Json], field: &str) -> Vec<&'a str> {
    events
        .iter()
        .map(|event| event[field].as_str().unwrap())
        .collect()
}

/// The spans of a trace, by their ids.
pub(super) fn stored_spans(folder: &Folder, trace: &str) -> BTreeMap<String, Span> {
    let trace: TraceId = trace.parse().unwrap();
    let spans = block_on(folder.store().trace_spans(trace)).unwrap();
    spans
        .into_iter()
        .map(|span| (span.span_id.to_string(), span))
        .collect()
}

/// Records into the served file, as a program next to the server does.
pub(super) fn write(folder: &Folder, work: impl FnOnce()) {
    let (dispatch, guard) = store_at(&folder.db());
    tracing::dispatcher::with_default(&dispatch, work);
    guard.flush(PATIENCE).unwrap();
}

pub(super) fn run_of(task: &str) -> Agent {
    let agent = Agent::invoke("librarian");
    agent.task(task).session("s-1").user("ada");
    agent.in_scope(|| drop(ToolCall::execute("calculator")));
    agent
}
