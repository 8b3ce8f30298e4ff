//! Every example runs, ends well and prints what its head says.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

/// Runs an example with a store of its own; it starts with an empty one, so its counts are exact.
fn run(program: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).env("SQLITE_STORE_DIR", folder.path());
    // What the machine that runs the tests is set to must not change what an example does.
    for variable in [
        "TELEMETRY_SINKS",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "RUST_LOG",
    ] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{program} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        folder.path().join("trace_store.db").is_file(),
        "{program} wrote its store to where it was told"
    );
    output
}

/// The text blocks in the head of an example, without what follows `#`.
fn head_shows(source: &str, text: &str) -> bool {
    let head: String = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    head.contains(text)
}

/// Runs an example and compares all that it prints with what its own head promises.
fn prints_what_its_head_says(program: &str, source: &str) -> Output {
    let output = run(program, &[]);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!printed.is_empty());
    assert!(head_shows(source, &printed), "{program} prints:\n{printed}");
    output
}

#[test]
fn one_layer() {
    prints_what_its_head_says(
        env!("CARGO_BIN_EXE_one_layer"),
        include_str!("../src/bin/one_layer.rs"),
    );
}

#[test]
fn init() {
    prints_what_its_head_says(env!("CARGO_BIN_EXE_init"), include_str!("../src/bin/init.rs"));
}

#[test]
fn builder() {
    prints_what_its_head_says(
        env!("CARGO_BIN_EXE_builder"),
        include_str!("../src/bin/builder.rs"),
    );
}

#[test]
fn several_layers() {
    let output = prints_what_its_head_says(
        env!("CARGO_BIN_EXE_several_layers"),
        include_str!("../src/bin/several_layers.rs"),
    );
    let terminal = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        terminal.lines().count(),
        1,
        "the terminal gets the warning alone: {terminal}"
    );
    assert!(terminal.contains("one file is too large"), "{terminal}");
}

#[test]
fn axum_server() {
    prints_what_its_head_says(
        env!("CARGO_BIN_EXE_axum_server"),
        include_str!("../src/bin/axum_server.rs"),
    );
}

#[test]
fn multi_process() {
    prints_what_its_head_says(
        env!("CARGO_BIN_EXE_multi_process"),
        include_str!("../src/bin/multi_process.rs"),
    );
    let output = run(env!("CARGO_BIN_EXE_multi_process"), &["2"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.ends_with("1002 spans by 2 processes, nothing dropped\n"),
        "{printed}"
    );
}
