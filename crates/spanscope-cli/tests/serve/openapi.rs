//! The OpenAPI document with two tools: a generator of clients, and a program that sends valid and
//! invalid requests.

use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};
use spanscope_tests::terminal::run_piped;

use super::support::{Client, Folder, finished, span, traces};

fn with(mut span: Json, parent: Option<&str>, attributes: &[(&str, &str)]) -> Json {
    if let Some(parent) = parent {
        span["parentSpanId"] = parent.into();
    }
    span["attributes"] = attributes
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    span
}

#[test]
fn a_client_that_is_generated_from_the_document_can_filter() {
    let Some(mut command) = Client::Generated.command() else {
        return;
    };
    let folder = Folder::new();
    let server = folder.serve();
    let (first, second) = (
        "0af7651916cd43dd8448eb211c80319c",
        "0af7651916cd43dd8448eb211c80319d",
    );
    let agent = |name| {
        [
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.agent.name", name),
        ]
    };
    let tool = [
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "weather"),
    ];
    let mut failed = with(
        span(second, "00f067aa0ba902b9", "invoke_agent other"),
        None,
        &agent("other"),
    );
    failed["status"] = json!({"code": 2});
    let root = "00f067aa0ba902b7";
    let spans = [
        with(span(first, root, "invoke_agent planner"), None, &agent("planner")),
        with(
            span(first, "00f067aa0ba902b8", "execute_tool weather"),
            Some(root),
            &tool,
        ),
        with(span(first, "00f067aa0ba902ba", "chat large"), Some(root), &[]),
        failed,
    ];
    assert_eq!(server.post("/v1/traces", &traces(&spans)).status, 200);
    command.arg(server.url());
    let printed = finished(command);
    assert_eq!(
        serde_json::from_str::<Json>(&printed).unwrap(),
        json!({
            "agents": ["planner"], "page_size": 5, "failed": 1, "traces": 1, "tools": {"count": 1, "total": 2},
        })
    );
    server.stop();
}

/// Schemathesis with its default checks: what the document allows is accepted, anything else is
/// refused, and each response conforms to it.
#[test]
fn schemathesis_finds_nothing() {
    let Some(client) = Client::Generated.command() else {
        return;
    };
    let folder = Folder::new();
    let server = folder.serve();
    // The program next to the Python that has its package.
    let mut command = Command::new(Path::new(client.get_program()).with_file_name("schemathesis"));
    command
        .arg("--config-file")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/clients/api/schemathesis.toml"
        ))
        .args(["run", &format!("{}/openapi.json", server.url())])
        // The same requests each time, for less than a minute.
        .args([
            "--seed",
            "1",
            "--max-examples",
            "20",
            "--max-time",
            "25",
            "--no-color",
        ])
        .args(["--generation-deterministic"])
        .current_dir(folder.path());
    let run = run_piped(command);
    let report = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{report}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    server.stop();
}
