//! `spanscope serve` as users start it, its clients, and records to send by hand.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use serde_json::{Value as Json, json};
use spanscope_model::Timestamp;
use spanscope_sqlite::SqliteStore;
use spanscope_tests::http::{Answer, send_as_it_is};
use spanscope_tests::process::{Signal, end_of, send_signal};
use spanscope_tests::terminal::{Piped, run_piped};
use spanscope_tests::{PATIENCE, program_without_settings, skip, tool_is_here};
use tempfile::TempDir;

/// A temporary folder, with or without a store.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.path().join("trace_store.db")
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The command on this store.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = spanscope(words);
        command.arg("--db").arg(self.db());
        command
    }

    /// Serves this store on a port of the system's choice.
    pub(crate) fn serve(&self) -> Serve {
        Serve::start(self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }

    /// Serves with gRPC on another such port.
    pub(crate) fn serve_with_grpc(&self) -> Serve {
        let words = ["serve", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"];
        Serve::start(self.command(&words))
    }

    /// Serves with a token file.
    pub(crate) fn serve_with_tokens(&self, tokens: &str) -> Serve {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--tokens").arg(self.file("tokens.txt", tokens));
        Serve::start(command)
    }

    /// Reads the store as any program may.
    pub(crate) fn store(&self) -> SqliteStore {
        SqliteStore::open(self.db()).unwrap()
    }
}

/// The command, without a store and isolated from this machine's environment.
pub(crate) fn spanscope(words: &[&str]) -> Command {
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_spanscope"));
    command.args(words);
    command
}

/// A running `spanscope serve`; it is killed when this is dropped.
pub(crate) struct Serve {
    process: Child,
    address: SocketAddr,
    /// The address for gRPC, if it is enabled.
    grpc: Option<SocketAddr>,
    /// The first line that it wrote.
    pub(crate) first_line: String,
    rest: Option<JoinHandle<String>>,
}

/// The result of a server that was asked to end.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Its output after the first line.
    pub(crate) err: String,
}

impl Serve {
    /// Starts the server, and reads its address from its first line.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (greeting, rest) = greeting(stderr);
        let first_line = greeting.lines().next().unwrap_or_default().to_owned() + "\n";
        let grpc = greeting
            .lines()
            .find_map(|line| line.strip_prefix("  OTLP over gRPC  "))
            .map(|address| address.parse().unwrap());
        let mut serve = Self {
            process,
            address: ([0, 0, 0, 0], 0).into(),
            grpc,
            first_line,
            rest: Some(rest),
        };
        let address = serve
            .first_line
            .strip_prefix("spanscope: serving ")
            .and_then(|line| line.split_once(" on http://")?.1.split_once(" for "));
        let Some((address, _)) = address else {
            let first_line = serve.first_line.clone();
            panic!("{first_line}{}", serve.killed().err);
        };
        serve.address = address.parse().unwrap();
        serve
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of gRPC, which must be enabled.
    pub(crate) fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc.unwrap())
    }

    pub(crate) fn serves_grpc(&self) -> bool {
        self.grpc.is_some()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(&self.process, signal);
    }

    /// Waits until it has ended by itself.
    pub(crate) fn end(mut self) -> Ended {
        let code = end_of(&mut self.process, "spanscope serve").code();
        let err = self.rest.take().unwrap().join().unwrap();
        Ended { code, err }
    }

    /// Ends it as a service manager does, and checks the result.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }

    /// Kills it.
    pub(crate) fn killed(mut self) -> Ended {
        self.process.kill().unwrap();
        self.end()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Json) -> Answer {
        self.ask("POST", path, None, Some(body))
    }

    /// Sends a request with or without a token and a body.
    pub(crate) fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Json>) -> Answer {
        send(self.address, method, path, token, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let ended = self.process.wait();
        if let Some(rest) = self.rest.take()
            && std::thread::panicking()
        {
            // Its output may explain the failure of the test.
            eprintln!("{}{ended:?}: {:?}", self.first_line, rest.join());
        }
    }
}

/// Reads its output before it serves, with a time limit, and all later output on a thread, so that
/// the program never blocks.
fn greeting(mut stderr: BufReader<ChildStderr>) -> (String, JoinHandle<String>) {
    let (sender, receiver) = mpsc::channel();
    let rest = std::thread::spawn(move || {
        let mut greeting = String::new();
        // Up to the last line of the greeting, or to the end of the output.
        while stderr.read_line(&mut greeting).unwrap() > 0 && !greeting.ends_with("end with Ctrl-C\n") {}
        let mut rest = match greeting.split_once('\n') {
            Some((_, rest)) => rest.to_owned(),
            None => String::new(),
        };
        sender.send(greeting).unwrap();
        stderr.read_to_string(&mut rest).unwrap();
        rest
    });
    let greeting = receiver.recv_timeout(PATIENCE).unwrap();
    (greeting, rest)
}

/// Sends a request by hand, for servers that may be gone.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Json>,
) -> std::io::Result<Answer> {
    let mut headers = format!("Host: {address}\r\n");
    if let Some(token) = token {
        headers.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    let body = body.map(Json::to_string).unwrap_or_default();
    if !body.is_empty() {
        headers.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    send_as_it_is(address, method, path, &headers, &body)
}

/// Returns the JSON of a response.
pub(crate) fn json_of(answer: &Answer) -> Json {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// Returns the ids of the `number`th span of a test, each in a separate trace.
pub(crate) fn ids(number: u64) -> (String, String) {
    (format!("{:032x}", number + 1), format!("{:016x}", number + 1))
}

/// A span in OTLP's JSON.
pub(crate) fn span(trace_id: &str, span_id: &str, name: &str) -> Json {
    let now = Timestamp::now().as_nanos();
    json!({
        "traceId": trace_id, "spanId": span_id, "name": name,
        "startTimeUnixNano": (now - 1_000_000).to_string(), "endTimeUnixNano": now.to_string(),
    })
}

/// A trace request.
pub(crate) fn traces(spans: &[Json]) -> Json {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
}

/// Returns a trace request with only the `number`th span.
pub(crate) fn one_span(number: u64) -> Json {
    let (trace_id, span_id) = ids(number);
    traces(&[span(&trace_id, &span_id, "by hand")])
}

/// A logs request of texts without a trace.
pub(crate) fn logs(texts: &[&str]) -> Json {
    let now = Timestamp::now().as_nanos().to_string();
    let records: Vec<Json> = texts
        .iter()
        .map(|text| json!({"timeUnixNano": now, "severityNumber": 9, "body": {"stringValue": text}}))
        .collect();
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
}

/// A metrics request with increments of a counter.
pub(crate) fn increments(metric: &str, values: &[i64]) -> Json {
    let now = Timestamp::now().as_nanos().to_string();
    let points: Vec<Json> = values
        .iter()
        .map(|value| json!({"timeUnixNano": now, "asInt": value.to_string()}))
        .collect();
    let sum = json!({"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": points});
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": metric, "sum": sum}]}]}]})
}

/// A client that is driven by a program in `tests/clients`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    LlamaStack,
    Python,
    Node,
    EventSource,
    /// Published instrumentations, in `tests/clients/senders`.
    OpenInference,
    PydanticAi,
    VercelAi,
    /// The model server that they call.
    ModelServer,
    /// A client that is generated from the OpenAPI document, in `tests/clients/api`.
    Generated,
}

impl Client {
    /// Runs its driver, and returns the document that it prints. `None` if the client is missing,
    /// which is reported.
    pub(crate) fn run(self, words: &[&str]) -> Option<Json> {
        Some(serde_json::from_str(&self.printed(words)?).unwrap())
    }

    /// Runs a driver that prints one document per line.
    pub(crate) fn run_for_lines(self, words: &[&str]) -> Option<Vec<Json>> {
        let printed = self.printed(words)?;
        let lines = printed.lines().map(|line| serde_json::from_str(line).unwrap());
        Some(lines.collect())
    }

    fn printed(self, words: &[&str]) -> Option<String> {
        let mut command = self.command()?;
        command.args(words);
        Some(finished(command))
    }

    /// Returns whether the client is available, and reports if it is not.
    pub(crate) fn is_here(self) -> bool {
        self.command().is_some()
    }

    /// The command that runs its driver.
    pub(crate) fn command(self) -> Option<Command> {
        const FROM: &str = "CONTRIBUTING.md says how to get it";
        let (variable, driver) = match self {
            Self::LlamaStack => ("SPANSCOPE_PYTHON_LLAMA", "llama_stack.py"),
            Self::Python => ("SPANSCOPE_PYTHON_OTEL", "otel_sdk.py"),
            Self::Node => ("SPANSCOPE_NODE_CLIENT", "otel_sdk.mjs"),
            Self::EventSource => ("SPANSCOPE_NODE_CLIENT", "event_source.mjs"),
            Self::OpenInference => ("SPANSCOPE_PYTHON_SENDERS", "senders/openinference_openai.py"),
            Self::PydanticAi => ("SPANSCOPE_PYTHON_SENDERS", "senders/pydantic_agents.py"),
            Self::VercelAi => ("SPANSCOPE_NODE_SENDERS", "senders/vercel_ai.mjs"),
            Self::ModelServer => ("SPANSCOPE_PYTHON_SENDERS", "senders/model_server.py"),
            Self::Generated => ("SPANSCOPE_PYTHON_API", "api/generated_client.py"),
        };
        let Some(place) = std::env::var(variable).ok().filter(|place| !place.is_empty()) else {
            skip(&format!("{variable} does not name the client; {FROM}"));
            return None;
        };
        let program = match self {
            Self::Node | Self::EventSource | Self::VercelAi => "node",
            _ => place.as_str(),
        };
        let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/").to_owned() + driver;
        let mut command = Command::new(program);
        command.arg(driver);
        tool_is_here(program, FROM).then_some(command)
    }
}

/// Returns the output of a program that must succeed, within a time limit.
pub(crate) fn finished(command: Command) -> String {
    let shown = format!("{command:?}");
    let Piped {
        stdout,
        stderr,
        status,
    } = run_piped(command);
    assert!(
        status.success(),
        "{shown}: {status}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).unwrap()
}
