//! The example `agent_server` returns answers with the traces of their runs, and reports failures.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use spanscope_tests::http::{Answer, ask, post, send_as_it_is};
use spanscope_tests::{program_without_settings, wait_for};
use tempfile::TempDir;

const PATH: &str = "/agents/librarian/completions/trace";
/// A question that needs the library and both tools.
const QUESTION: &str = "What is a checkpoint, how much is 6 * 7, and what is the weather in Oslo?";

/// `agent_server --serve` on a free port, with a store in a temporary folder.
#[derive(Debug)]
struct Server {
    process: Child,
    addr: SocketAddr,
    _folder: TempDir,
}

fn command(folder: &TempDir, variables: &[(&str, &str)]) -> Command {
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_agent_server"));
    for name in ["URL", "KEY", "DELAY_MS"] {
        command.env_remove(format!("AGENT_MODEL_{name}"));
    }
    command
        .args(["--serve", "127.0.0.1:0"])
        .env_remove("AGENT_MODEL")
        .env("SQLITE_STORE_DIR", folder.path())
        .envs(variables.iter().copied());
    command
}

impl Server {
    fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = command(&folder, variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let addr = line.trim_end().strip_prefix("listening on http://");
        Self {
            process,
            addr: addr.unwrap().parse().unwrap(),
            _folder: folder,
        }
    }

    fn post(&self, body: &Value) -> Answer {
        post(self.addr, PATH, &body.to_string()).unwrap()
    }

    /// Sends a body and returns the response, which must be JSON and have this status.
    fn whole(&self, body: &Value, status: u16) -> Value {
        let answer = self.post(body);
        assert_eq!(answer.status, status, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Sends a body and returns the events of the streamed response, as names and data, without the
    /// end of the stream.
    fn streamed(&self, body: &Value) -> Vec<(String, Value)> {
        let answer = self.post(body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        let events = answer.body.strip_suffix("data: [DONE]\n\n").unwrap();
        let events = events.split_terminator("\n\n").map(|event| {
            let event: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            (event["event"].as_str().unwrap().to_owned(), event["data"].clone())
        });
        events.collect()
    }

    fn get(&self, path: &str) -> Value {
        let answer = ask(self.addr, "GET", path, "").unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the text of the pieces, and the names of the other events.
fn text_and_others(events: &[(String, Value)]) -> (String, Vec<&str>) {
    let is_piece = |(name, _): &&(String, Value)| name == "message";
    let pieces = events.iter().filter(is_piece);
    let text = pieces.map(|(_, data)| data["content"].as_str().unwrap());
    let others = events.iter().skip_while(is_piece);
    (text.collect(), others.map(|(name, _)| name.as_str()).collect())
}

#[test]
fn a_whole_answer_has_the_same_trace_as_the_runs_route() {
    let server = Server::start(&[]);
    let ask = json!({"question": QUESTION, "session_id": "s-1", "user_id": "ada", "stream": false});
    let answer = server.whole(&ask, 200);
    let (data, trace) = (&answer["data"], &answer["trace"]);
    assert_eq!(answer["event"], "message");
    assert_eq!(data["session_id"], "s-1");
    let content = data["content"].as_str().unwrap();
    assert!(
        content.contains("6 * 7 = 42. The tool weather failed"),
        "{content}"
    );
    assert_eq!(trace["task_id"], data["task_id"]);
    assert_eq!(trace["session_id"], "s-1");
    assert_eq!(trace["status"], "completed", "{trace:#}");
    for (count, expected) in [("llm_calls", 2), ("retrievals", 1), ("tool_calls", 2)] {
        assert_eq!(trace[count], expected, "{count}");
    }

    let task_id = data["task_id"].as_str().unwrap();
    let summary = server.get(&format!("/traces/{task_id}/summary"));
    assert_eq!(summary["total_tool_calls"], 2, "{summary:#}");
    assert_eq!(summary["total_tokens"], trace["tokens"]);
    let run = server.get(&format!("/traces/{task_id}?format=detailed&level=debug"));
    let metadata = &run["metadata"];
    assert_eq!(
        (
            &metadata["agent_id"],
            &metadata["user_id"],
            &metadata["trace_level"]
        ),
        (&json!("librarian"), &json!("ada"), &json!("standard"))
    );
    let run_text = run.to_string();
    for text in [QUESTION, content] {
        assert!(run_text.contains(text), "{run:#}");
    }
    let session = server.get("/sessions/s-1/traces");
    assert_eq!(session["total"], 1, "{session:#}");
}

#[test]
fn a_streamed_answer_comes_in_pieces_then_its_trace_then_the_end() {
    let server = Server::start(&[]);
    let whole = server.whole(&json!({"question": QUESTION, "stream": false}), 200);
    let events = server.streamed(&json!({"question": QUESTION}));
    let (text, others) = text_and_others(&events);
    assert_eq!(whole["data"]["content"], text);
    assert_eq!(others, ["trace"]);
    assert!(events.len() > 10, "{events:?}");
    let trace = &events.last().unwrap().1;
    assert_eq!(trace["status"], "completed", "{trace:#}");
    for count in [
        "llm_calls",
        "retrievals",
        "tool_calls",
        "tokens",
        "nodes",
        "errors",
    ] {
        assert_eq!(trace[count], whole["trace"][count], "{count}");
    }
    assert_ne!(trace["task_id"], whole["trace"]["task_id"]);
    let summary = server.get(&format!("/traces/{}/summary", trace["task_id"].as_str().unwrap()));
    assert_eq!(summary["status"], "completed", "{summary:#}");
    assert_eq!(server.get("/agents/librarian/traces")["total"], 2);
}

#[test]
fn the_request_decides_how_much_of_the_trace_is_returned() {
    let server = Server::start(&[]);
    let steps = |level: &str| {
        let ask = json!({"question": QUESTION, "stream": false, "trace_level": level});
        let answer = server.whole(&ask, 200);
        answer["trace"]["timeline"].as_array().unwrap().len()
    };
    let [minimal, standard, detailed, debug] = ["minimal", "standard", "detailed", "debug"].map(steps);
    assert!(
        minimal < standard && standard < detailed,
        "{minimal} {standard} {detailed}"
    );
    assert_eq!(detailed, debug);

    let answer = server.whole(
        &json!({"question": QUESTION, "stream": false, "include_trace": false}),
        200,
    );
    assert_eq!(answer.get("trace"), None);
    let events = server.streamed(&json!({"question": QUESTION, "include_trace": false}));
    assert!(text_and_others(&events).1.is_empty(), "{events:?}");
}

#[test]
fn conversations_without_an_id_get_one_each() {
    let server = Server::start(&[]);
    let session = || {
        let answer = server.whole(&json!({"question": "What is a span?", "stream": false}), 200);
        answer["data"]["session_id"].as_str().unwrap().to_owned()
    };
    let (one, other) = (session(), session());
    assert_ne!(one, other);
    assert_eq!(server.get(&format!("/sessions/{one}/traces"))["total"], 1);
}

#[test]
fn a_run_is_visible_while_running_and_ends_when_its_client_disconnects() {
    // The first word would take ten minutes.
    let server = Server::start(&[("AGENT_MODEL_DELAY_MS", "600000")]);
    let mut client = TcpStream::connect(server.addr).unwrap();
    let body = json!({"question": QUESTION}).to_string();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        server.addr,
        body.len()
    );
    client.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    let task_id = lines.find_map(|line| Some(line.unwrap().strip_prefix("x-task-id: ")?.to_owned()));
    let path = format!("/traces/{}/summary", task_id.unwrap());
    let status = || {
        let answer = ask(server.addr, "GET", &path, "").unwrap();
        let summary: Value = serde_json::from_str(&answer.body).unwrap();
        summary["status"].as_str().map(str::to_owned)
    };
    wait_for("the running run", || {
        status().filter(|status| status == "running")
    });
    drop((client, lines));
    wait_for("its end", || status().filter(|status| status != "running"));
}

#[test]
fn a_failing_endpoint_fails_the_run_and_the_response_reports_it() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(&[("AGENT_MODEL_URL", &format!("http://{closed}/v1"))]);
    let check_failure = |error: &Value, trace: &Value| {
        assert_eq!(error["code"], "agent_failed");
        let message = error["message"].as_str().unwrap();
        let expected = format!("can't connect to {closed}: Connection refused");
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(trace["status"], "failed", "{trace:#}");
        assert!(trace["error"].as_str().unwrap().contains("refused"), "{trace:#}");
    };
    let answer = server.whole(&json!({"question": QUESTION, "stream": false}), 502);
    check_failure(&answer["error"], &answer["trace"]);
    let events = server.streamed(&json!({"question": QUESTION}));
    assert_eq!(text_and_others(&events), (String::new(), vec!["error", "trace"]));
    check_failure(&events[0].1, &events[1].1);
    let failed = server.get("/traces?status=failed");
    assert_eq!(failed["total"], 2, "{failed:#}");
}

#[test]
fn invalid_requests_are_refused_in_json_with_a_message() {
    let server = Server::start(&[]);
    let long = "x".repeat(16 * 1024 + 1);
    let question = |question: &str| json!({"question": question}).to_string();
    for (body, status, expected) in [
        (question(""), 400, "`question` is missing or empty"),
        (question(" \n"), 400, "`question` is missing or empty"),
        ("{}".to_owned(), 400, "`question` is missing or empty"),
        (question(&long), 413, "longer than 16384 bytes"),
        (question(&long.repeat(8)), 413, "longer than 131072 bytes"),
        (
            json!({"question": 7}).to_string(),
            400,
            "question: invalid type: integer",
        ),
        (
            json!({"question": "x", "trace_level": "loud"}).to_string(),
            400,
            "`minimal`, `standard`, `detailed`, `debug`",
        ),
        (
            json!({"question": "x", "stream": "yes"}).to_string(),
            400,
            "stream: invalid type",
        ),
        (
            json!({"question": "x", "sesion_id": "s"}).to_string(),
            400,
            "unknown field `sesion_id`",
        ),
        (
            json!({"question": "x", "session_id": "s".repeat(257)}).to_string(),
            400,
            "`session_id` is longer than 256",
        ),
        (
            json!({"question": "x", "user_id": "s".repeat(257)}).to_string(),
            400,
            "`user_id` is longer than 256",
        ),
        ("{".to_owned(), 400, "EOF"),
        (String::new(), 400, "EOF"),
        ("[]".to_owned(), 400, "invalid"),
    ] {
        let answer = post(server.addr, PATH, &body).unwrap();
        let shown = &body[..body.len().min(80)];
        assert_eq!(answer.status, status, "{shown}: {}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{shown}: {message}");
    }
    for agent in ["unknown", "librarian%20", "%ff"] {
        let path = format!("/agents/{agent}/completions/trace");
        let answer = post(server.addr, &path, &question("What is a span?")).unwrap();
        assert_eq!(answer.status, 404, "{}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["error"]["code"], "not_found");
    }
    let of_a_stranger = "Host: example.com\r\nContent-Type: application/json\r\nContent-Length: 2\r\n";
    let answer = send_as_it_is(server.addr, "POST", PATH, of_a_stranger, "{}").unwrap();
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert_eq!(server.get("/traces")["total"], 0, "nothing ran");
}

#[test]
fn invalid_settings_end_the_program_with_a_message() {
    for (name, value, expected) in [
        (
            "AGENT_MODEL_URL",
            "https://api.example.com/v1",
            "speaks http only",
        ),
        ("AGENT_MODEL_URL", "example.com", "does not begin with http://"),
        ("AGENT_MODEL_KEY", "two\nlines", "AGENT_MODEL_KEY can't be used"),
        (
            "AGENT_MODEL_DELAY_MS",
            "slow",
            "AGENT_MODEL_DELAY_MS is no number",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = command(&folder, &[(name, value)]).output().unwrap();
        assert!(!output.status.success(), "{name}={value}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(expected), "{name}={value}: {stderr}");
    }
}
