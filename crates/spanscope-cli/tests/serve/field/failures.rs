//! Failures that a span's status does not show: each form counts as an error in every query, once.

use serde_json::{Value as Json, json};
use tracing::field::Empty;
use tracing::info_span;

use super::super::runs::write;
use super::super::support::{Folder, json_of, traces};
use super::elsewhere::trace;
use super::{command_json, remark};

/// A form in which a span marks its failure.
struct FailureForm {
    name: &'static str,
    /// Stores the failed span.
    store: fn(&Folder),
    /// The reason of its failure.
    why: &'static str,
}

/// Sends an agent's run with a call of a model that failed so.
fn send_failed(folder: &Folder, attributes: &Json) {
    let mut call = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"});
    for (key, value) in attributes.as_object().unwrap() {
        call[key] = value.clone();
    }
    let agent = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"});
    let spans = trace(1, &[(1, 0, "invoke_agent a", agent), (2, 1, "call", call)]);
    let server = folder.serve();
    assert_eq!(remark(&server.post("/v1/traces", &traces(&spans))), "");
    server.stop();
}

/// Writes the same run from a Rust program.
fn write_failed(folder: &Folder, fail: impl FnOnce(&tracing::Span)) {
    write(folder, || {
        let agent = info_span!(
            "invoke_agent a",
            gen_ai.operation.name = "invoke_agent",
            gen_ai.agent.name = "a"
        );
        let call = info_span!(parent: &agent, "call", gen_ai.operation.name = "chat", gen_ai.request.model = "m",
            error.type = Empty, otel.status_code = Empty);
        fail(&call);
    });
}

const FORMS: [FailureForm; 7] = [
    FailureForm {
        name: "error.type, sent",
        store: |folder| send_failed(folder, &json!({"error.type": "timeout"})),
        why: "timeout",
    },
    FailureForm {
        name: "an exception event, sent",
        store: |folder| {
            let exception = json!({"name": "exception", "attributes":
                {"exception.type": "ValueError", "exception.message": "no such city"}});
            send_failed(folder, &json!({"events": [exception]}));
        },
        why: "ValueError: no such city",
    },
    FailureForm {
        name: "both, sent",
        store: |folder| {
            let exception = json!({"name": "exception", "attributes":
                {"exception.type": "ValueError", "exception.message": "no such city"}});
            send_failed(
                folder,
                &json!({"error.type": "ValueError", "events": [exception]}),
            );
        },
        why: "ValueError: no such city",
    },
    FailureForm {
        name: "the exception of an operation, sent",
        store: |folder| {
            let exception = json!({"name": "gen_ai.client.operation.exception", "attributes":
                {"exception.type": "BadRequestError", "exception.message": "max_tokens is -5"}});
            send_failed(folder, &json!({"events": [exception]}));
        },
        why: "BadRequestError: max_tokens is -5",
    },
    FailureForm {
        name: "the attributes of Claude Code, sent",
        store: |folder| {
            send_failed(
                folder,
                &json!({"span.type": "llm_request", "success": false, "error": "Overloaded"}),
            );
        },
        why: "Overloaded",
    },
    FailureForm {
        name: "error.type, of a Rust program",
        store: |folder| {
            write_failed(folder, |call| {
                call.record("error.type", "timeout");
            });
        },
        why: "timeout",
    },
    FailureForm {
        name: "an exception event, of a Rust program",
        store: |folder| {
            write_failed(folder, |call| {
                let error: Box<dyn std::error::Error> = "no such city".into();
                call.record("error.type", "ValueError");
                call.in_scope(|| tracing::error!(error = &*error as &(dyn std::error::Error + 'static)));
            });
        },
        why: "no such city",
    },
];

#[test]
fn a_failure_is_an_error_for_every_query_and_counts_once_in_every_form() {
    for FailureForm { name, store, why } in FORMS {
        let folder = Folder::new();
        store(&folder);
        let server = folder.serve();
        let failed = command_json(&folder, &["spans", "--errors"]);
        assert_eq!(failed.as_array().unwrap().len(), 1, "{name}: {failed}");
        assert_eq!(
            (&failed[0]["name"], &failed[0]["status"]),
            (&json!("call"), &json!("error")),
            "{name}"
        );
        let id = failed[0]["trace_id"].as_str().unwrap();
        assert_eq!(
            command_json(&folder, &["traces", "--errors"])[0]["error_count"],
            1,
            "{name}"
        );
        let by_name = command_json(&folder, &["stats", "--by", "name"]);
        let errors: Vec<u64> = by_name
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["errors"].as_u64().unwrap())
            .collect();
        assert_eq!(errors.iter().sum::<u64>(), 1, "{name}: {by_name}");
        // A Rust program measures its calls with a layer, which this test does not install.
        if name.ends_with("sent") {
            let usage = command_json(&folder, &["usage"]);
            let counts = (&usage[0]["calls"], &usage[0]["errors"]);
            assert_eq!(counts, (&json!(1), &json!(1)), "{name}");
        }
        let runs = command_json(&folder, &["runs"]);
        assert_eq!(
            (&runs[0]["error_count"], &runs[0]["status"]),
            (&json!(1), &json!("completed")),
            "{name}"
        );
        let run = command_json(&folder, &["run", id, "--level", "debug"]);
        assert_eq!(run["summary"]["errors_count"], 1, "{name}: {run}");
        let analysis = run["analysis"]["errors"].as_array().unwrap();
        assert_eq!(analysis.len(), 1, "{name}: {run}");
        let events = run["events"].as_array().unwrap();
        let ended = events
            .iter()
            .find(|event| event["event_type"] == "llm_call_completed");
        let error = ended.unwrap()["error"]["message"].as_str().unwrap();
        assert!(error.contains(why), "{name}: {error}");
        let tree = folder.command(&["tree", id]).output().unwrap();
        let tree = String::from_utf8(tree.stdout).unwrap();
        assert!(tree.contains("1 failed"), "{name}: {tree}");
        let summary = json_of(&server.get(&format!("/traces/{id}/summary")));
        assert_eq!(summary["errors_count"], 1, "{name}: {summary}");
        let of_trace = json_of(&server.get(&format!("/v1/telemetry/traces/{id}")));
        assert_eq!(of_trace["trace_id"], id, "{name}: {of_trace}");
        server.stop();
    }
}

/// The program overrides the failure that its library recorded.
#[test]
fn a_span_with_the_status_ok_has_not_failed_in_any_query() {
    let folder = Folder::new();
    send_failed(&folder, &json!({"error.type": "timeout", "status": {"code": 1}}));
    write_failed(&folder, |call| {
        call.record("error.type", "timeout");
        call.record("otel.status_code", "ok");
    });
    let none = folder.command(&["spans", "--errors"]).output().unwrap();
    assert_eq!(none.status.code(), Some(3), "{none:?}");
    let usage = command_json(&folder, &["usage"]);
    assert_eq!((&usage[0]["calls"], &usage[0]["errors"]), (&json!(1), &json!(0)));
    let runs = command_json(&folder, &["runs"]);
    assert_eq!(runs.as_array().unwrap().len(), 2, "{runs}");
    for run in runs.as_array().unwrap() {
        let run = command_json(&folder, &["run", run["task_id"].as_str().unwrap()]);
        assert_eq!(run["summary"]["errors_count"], 0, "{run}");
        assert_eq!(run["analysis"]["errors"], json!([]), "{run}");
    }
}
