//! Every example runs, ends successfully and prints what its module documentation shows.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use spanscope_tests::program_without_settings;

/// Runs an example with its store in this folder, with these arguments and variables.
fn run_in(folder: &Path, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = program_without_settings(program);
    command
        .args(arguments)
        .env_remove("AGENT_MODEL_URL")
        .env_remove("AGENT_MODEL")
        .env_remove("AGENT_MODEL_KEY")
        .env_remove("AGENT_MODEL_DELAY_MS")
        .env_remove("CHAT_URL")
        .env_remove("CHAT_MODEL")
        .env("SQLITE_STORE_DIR", folder)
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{program} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs an example with an empty store, so that its counts are exact.
fn run(program: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let output = run_in(folder.path(), program, arguments, &[]);
    assert!(
        folder.path().join("trace_store.db").is_file(),
        "{program} wrote its store where the variable says"
    );
    output
}

/// Returns whether the module documentation of an example contains this text.
fn head_shows(source: &str, text: &str) -> bool {
    let head: String = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    head.contains(text)
}

/// Runs an example and checks that its module documentation contains all that it prints.
fn prints_what_its_head_shows(program: &str, source: &str) -> Output {
    let output = run(program, &[]);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!printed.is_empty());
    assert!(head_shows(source, &printed), "{program} prints:\n{printed}");
    output
}

#[test]
fn one_layer() {
    prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_one_layer"),
        include_str!("../src/bin/one_layer.rs"),
    );
}

#[test]
fn hello() {
    let output = run(env!("CARGO_BIN_EXE_hello"), &[]);
    assert!(output.stdout.is_empty(), "{output:?}");
    let console = String::from_utf8(output.stderr).unwrap();
    assert!(console.contains("answered city=Oslo"), "{console}");
}

#[test]
fn tutorial_server() {
    prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_tutorial_server"),
        include_str!("../src/bin/tutorial_server.rs"),
    );
}

#[test]
fn tutorial_agent() {
    prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_tutorial_agent"),
        include_str!("../src/bin/tutorial_agent.rs"),
    );
}

#[test]
fn init() {
    let output = prints_what_its_head_shows(env!("CARGO_BIN_EXE_init"), include_str!("../src/bin/init.rs"));
    let console = String::from_utf8(output.stderr).unwrap();
    assert!(
        console.contains("[END] refund (") && console.contains("[ERROR]"),
        "{console}"
    );
}

#[test]
fn builder() {
    let output = prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_builder"),
        include_str!("../src/bin/builder.rs"),
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn several_layers() {
    let output = prints_what_its_head_shows(
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
    let output = prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_axum_server"),
        include_str!("../src/bin/axum_server.rs"),
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn graceful_server() {
    let output = prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_graceful_server"),
        include_str!("../src/bin/graceful_server.rs"),
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn metrics_server() {
    let output = prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_metrics_server"),
        include_str!("../src/bin/metrics_server.rs"),
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn telemetry_api() {
    let output = prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_telemetry_api"),
        include_str!("../src/bin/telemetry_api.rs"),
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn agent_server() {
    let output = prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_agent_server"),
        include_str!("../src/bin/agent_server.rs"),
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn distributed() {
    let output = prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_distributed"),
        include_str!("../src/bin/distributed.rs"),
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn chat_client() {
    let output = prints_what_its_head_shows(
        env!("CARGO_BIN_EXE_chat_client"),
        include_str!("../src/bin/chat_client.rs"),
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn multi_process() {
    prints_what_its_head_shows(
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

/// Returns what `categories` shows with these levels, and checks that both set-ups show the same.
fn categories(variables: &[(&str, &str)]) -> String {
    let shown = [&[][..], &["--by-hand"]].map(|arguments| {
        let folder = tempfile::tempdir().unwrap();
        let variables = [variables, &[("LLAMA_STACK_LOG_WIDTH", "200")]].concat();
        let output = run_in(
            folder.path(),
            env!("CARGO_BIN_EXE_categories"),
            arguments,
            &variables,
        );
        let stored = folder.path().join("trace_store.db").is_file();
        assert_eq!(
            stored,
            arguments.is_empty(),
            "by hand there are two layers and no store"
        );
        String::from_utf8(output.stderr).unwrap()
    });
    let [at_once, by_hand] = shown
        .each_ref()
        .map(|shown| shown.lines().map(without_times).collect());
    let [at_once, by_hand]: [Vec<String>; 2] = [at_once, by_hand];
    assert_eq!(at_once, by_hand);
    shown.into_iter().next().unwrap()
}

/// Returns the line without its time and duration.
fn without_times(line: &str) -> String {
    let Some((head, rest)) = line.split_once(':').filter(|_| !line.starts_with(' ')) else {
        return line.to_owned();
    };
    let rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
    // Two runs have two traces.
    let rest = match rest.split_once(' ') {
        Some((id, rest)) if id.len() == 12 && id.chars().all(|c| c.is_ascii_hexdigit()) => rest,
        _ => rest,
    };
    let text = rest.split_once(" (").map_or(rest, |(text, _)| text);
    format!("{} {text}", &head[..head.len() - 2])
}

fn shows(shown: &str, all: &[&str], none: &[&str]) {
    for text in all {
        assert!(shown.contains(text), "{text:?} is missing:\n{shown}");
    }
    for text in none {
        assert!(!shown.contains(text), "{text:?} is shown:\n{shown}");
    }
}

#[test]
fn categories_are_at_info_and_other_crates_at_warn_by_default() {
    let shown = categories(&[]);
    shows(
        &shown,
        &[
            " server: [START] POST /turns user=ann\n",
            " core::routers:83: tiny-librarian is served by local\n",
            " agents: step 1 of 2: search",
            " retrieval: found passages=3 best=0.82\n",
            " tools: [END] execute_tool (",
            " inference: done input_tokens=8 output_tokens=4\n",
            " safety: checked shield=content flagged=false\n",
            "refused the connection",
            "╭─ WeatherError ─",
            "│ no report for \"Skagen\" ",
            "│   1: no server listens on port 9 │",
            "│ in execute_tool ",
        ],
        &["DEBUG", "[bold]", "\x1b"],
    );
}

#[test]
fn one_category_can_have_a_level_other_than_all() {
    let shown = categories(&[("LLAMA_STACK_LOGGING", "all=warn,tools=info")]);
    shows(
        &shown,
        &[
            "[START] execute_tool",
            "WARN ",
            "http_pool",
            "WeatherError",
            "│ in execute_tool ",
            "[ERROR]",
        ],
        &[
            "POST /turns",
            "invoke_agent",
            "step",
            "safety",
            "inference",
            "retrieval",
            "core::",
        ],
    );
}

#[test]
fn categories_can_be_set_to_debug_and_off_and_an_invalid_pair_is_reported() {
    let levels = [(
        "LLAMA_STACK_LOGGING",
        "inference=debug; core::routers=off; retreival=debug",
    )];
    let shown = categories(&levels);
    shows(
        &shown,
        &[
            " inference: the prompt is ready temperature=0.2 passages=3\n",
            "unknown category `retreival`, did you mean `retrieval`?",
            " retrieval: found",
        ],
        &[
            "core::routers:",
            "read the body",
            "looked through",
            "no connection to reuse",
        ],
    );
    let levels = [levels[0], ("RUST_LOG", "http_pool=debug")];
    shows(
        &categories(&levels),
        &["http_pool", "no connection to reuse"],
        &["read the body"],
    );
}

#[test]
fn picture_keeps_text_and_colours() {
    let mut picture = Command::new(env!("CARGO_BIN_EXE_picture"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = picture.stdin.take().unwrap();
    text.write_all(b"\x1b[31m<no>\x1b[0m weather").unwrap();
    drop(text);
    let svg = String::from_utf8(picture.wait_with_output().unwrap().stdout).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.contains("<tspan class=\"fg-red\">&lt;no&gt;</tspan>"),
        "{svg}"
    );
}

/// Returns what the agent server's console shows of one successful request in this style.
fn console_of_a_request(style: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_agent_server"));
    let mut server = command
        .args(["--serve", "127.0.0.1:0"])
        .env("SQLITE_STORE_DIR", folder.path())
        .env("SPANSCOPE_CONSOLE", style)
        .env_remove("AGENT_MODEL_URL")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut printed = BufReader::new(server.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    let body = r#"{"question": "What is sampling?", "stream": false}"#;
    let request = format!(
        "POST /agents/librarian/completions/trace HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The end of the run is the last line.
    let mut console = String::new();
    let mut lines = BufReader::new(server.stderr.take().unwrap());
    while !console.contains("[END] invoke_agent") {
        assert!(lines.read_line(&mut console).unwrap() > 0, "{console}");
    }
    server.kill().unwrap();
    lines.read_to_string(&mut console).unwrap();
    server.wait().unwrap();
    console
}

#[test]
fn the_lines_style_needs_a_third_of_the_lines_of_the_verbose_style() {
    let lines = console_of_a_request("lines");
    let verbose = console_of_a_request("verbose");
    let [few, many] = [&lines, &verbose].map(|shown| shown.lines().count());
    assert!(3 * few <= many, "{few} of {many}:\n{lines}");
    // One entry a line, and none is missing.
    let entries = |shown: &str| shown.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(entries(&lines), few, "{lines}");
    assert_eq!(entries(&verbose), few, "{verbose}");
}
