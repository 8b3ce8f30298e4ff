//! A ClickHouse with a collector's tables, for tests of programs that read them, and a server with
//! prepared answers, for what a real one can't be made to do.
//!
//! The real one is that of `SPANSCOPE_CLICKHOUSE_URL`, else the engine of
//! `SPANSCOPE_CLICKHOUSE_LIB` behind `tests/clickhouse/server.py`, started once in each process.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use crate::http::send_as_it_is;
use crate::skip;

/// The tables of the collector's exporter 0.140 to 0.162.
const TABLES: &str = include_str!("../../crates/spanscope-clickhouse/tests/generations/map.sql");

/// The trace of [`Database::with_a_run`].
pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[derive(Debug)]
struct Engine {
    /// `host:port`, with `user@` before it.
    authority: String,
    password: Option<String>,
    /// The server, which ends when its standard input does.
    _child: Option<Child>,
    _folder: Option<tempfile::TempDir>,
}

fn engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    ENGINE.get_or_init(start).as_ref()
}

fn start() -> Option<Engine> {
    if let Ok(url) = std::env::var("SPANSCOPE_CLICKHOUSE_URL") {
        let rest = url.strip_prefix("clickhouse://").unwrap();
        return Some(Engine {
            authority: rest.split('/').next().unwrap_or_default().to_owned(),
            password: std::env::var("SPANSCOPE_STORE_PASSWORD").ok(),
            _child: None,
            _folder: None,
        });
    }
    let lib = std::env::var_os("SPANSCOPE_CLICKHOUSE_LIB").filter(|lib| !lib.is_empty())?;
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clickhouse/server.py"))
        .arg("--lib")
        .arg(lib)
        .arg("--path")
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let port: u16 = line.trim().parse().unwrap();
    Some(Engine {
        authority: format!("127.0.0.1:{port}"),
        password: None,
        _child: Some(child),
        _folder: Some(folder),
    })
}

/// A database with the tables of a collector, which is dropped with this value.
#[derive(Debug)]
pub struct Database {
    name: String,
    engine: &'static Engine,
}

impl Database {
    /// Creates a database and its tables. `None` if there is no ClickHouse, which is reported.
    ///
    /// # Panics
    /// There is none, and `SPANSCOPE_NO_SKIP` is set.
    #[must_use]
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(engine) = engine() else {
            skip("no ClickHouse: set SPANSCOPE_CLICKHOUSE_LIB to libchdb.so, or SPANSCOPE_CLICKHOUSE_URL");
            return None;
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spanscope_command_{}_{number}", std::process::id());
        send(engine, "default", &format!("CREATE DATABASE {name}"));
        let database = Self { name, engine };
        for statement in TABLES.split(";\n") {
            let lines: Vec<&str> = statement
                .lines()
                .filter(|line| !line.trim().is_empty() && !line.starts_with("--"))
                .collect();
            if !lines.is_empty() {
                database.run(&lines.join("\n"));
            }
        }
        Some(database)
    }

    /// Creates a database with the run of an agent: a model call, a tool that failed, a log record
    /// and a counter.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with_a_run() -> Option<Self> {
        let database = Self::new()?;
        let spans = [
            "30, '00f067aa0ba90001', '', 'invoke_agent librarian', 'Internal', 20, 'Ok', '', \
             map('gen_ai.operation.name', 'invoke_agent', 'gen_ai.agent.name', 'librarian')",
            "29, '00f067aa0ba90002', '00f067aa0ba90001', 'chat llama', 'Client', 2, 'Ok', '', \
             map('gen_ai.operation.name', 'chat', 'gen_ai.request.model', 'llama', \
                 'gen_ai.usage.input_tokens', '100', 'gen_ai.usage.output_tokens', '7', 'shelf', '7')",
            "20, '00f067aa0ba90003', '00f067aa0ba90001', 'execute_tool shelf', 'Internal', 1, 'Error', 'no such shelf', \
             map('gen_ai.operation.name', 'execute_tool', 'gen_ai.tool.name', 'shelf')",
        ];
        for span in spans {
            database.insert_span(TRACE, span);
        }
        database.run(&format!(
            "INSERT INTO otel_logs (Timestamp, TraceId, SpanId, SeverityText, SeverityNumber, ServiceName, Body, \
             ResourceAttributes, LogAttributes) SELECT now64(9) - INTERVAL 20 SECOND, '{TRACE}', '00f067aa0ba90003', \
             'WARN', 13, 'library', 'the shelf is empty', map('service.name', 'library'), map('shelf', '7')"
        ));
        for (seconds, total) in [(40, 3), (10, 8)] {
            database.run(&format!(
                "INSERT INTO otel_metrics_sum (ResourceAttributes, ServiceName, MetricName, MetricUnit, Attributes, \
                 StartTimeUnix, TimeUnix, Value, AggregationTemporality, IsMonotonic) SELECT map('service.name', 'library'), \
                 'library', 'books_lent', '1', map('shelf', '7'), now() - INTERVAL 50 SECOND, now() - INTERVAL {seconds} \
                 SECOND, {total}, 2, true"
            ));
        }
        Some(database)
    }

    /// Inserts a span: its age in seconds, id, parent, name, kind, seconds, status, message and
    /// attributes, as SQL.
    pub fn insert_span(&self, trace: &str, span: &str) {
        self.run(&format!(
            "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, Duration, StatusCode, \
             StatusMessage, SpanAttributes, ServiceName, ResourceAttributes, ScopeName) \
             SELECT now64(9) - toIntervalSecond(row.1), '{trace}', row.2, row.3, row.4, row.5, row.6 * 1000000000, row.7, \
             row.8, row.9, 'library', map('service.name', 'library', 'host.name', 'box'), 'test' \
             FROM (SELECT ({span}) AS row)"
        ));
    }

    /// Runs a statement, and returns its rows.
    ///
    /// # Panics
    /// The statement fails.
    pub fn run(&self, statement: &str) -> String {
        send(self.engine, &self.name, statement)
    }

    /// Returns the URL of a store over this database, with options after `?`.
    #[must_use]
    pub fn url(&self, options: &str) -> String {
        format!("clickhouse://{}/{}{options}", self.engine.authority, self.name)
    }

    /// Returns the password that its user has, if any.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.engine.password.as_deref()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {}", self.name);
        send(self.engine, "default", &drop);
    }
}

fn send(engine: &Engine, database: &str, statement: &str) -> String {
    let (user, host) = engine
        .authority
        .rsplit_once('@')
        .unwrap_or(("default", &engine.authority));
    let address: SocketAddr = host.to_socket_addrs().unwrap().next().unwrap();
    let mut headers = format!(
        "Host: {host}\r\nContent-Length: {}\r\nX-ClickHouse-User: {user}\r\n",
        statement.len()
    );
    if let Some(password) = &engine.password {
        write!(headers, "X-ClickHouse-Key: {password}\r\n").unwrap();
    }
    let path = format!("/?database={database}");
    let answer = send_as_it_is(address, "POST", &path, &headers, statement).unwrap();
    assert_eq!(answer.status, 200, "{statement}: {}", answer.body);
    answer.body
}

/// An answer that is prepared.
#[derive(Debug, Clone)]
pub struct Prepared {
    status: u16,
    /// The number of an exception.
    code: Option<u32>,
    body: String,
}

impl Prepared {
    /// Rows, each a line.
    pub fn rows(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            code: None,
            body: body.into(),
        }
    }

    /// An exception of ClickHouse.
    #[must_use]
    pub fn exception(code: u32, message: &str) -> Self {
        Self {
            status: 500,
            code: Some(code),
            body: format!("Code: {code}. DB::Exception: {message} (version 26.7.2.1)\n"),
        }
    }

    /// A status without an exception, as of a proxy.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            code: None,
            body: String::new(),
        }
    }
}

/// A server that gives its answers in turn, and the last one again and again.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    answers: Arc<Mutex<Vec<Prepared>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// The columns of a collector's spans, as a server describes them.
const COLUMNS: [(&str, &str); 18] = [
    ("Timestamp", "DateTime64(9)"),
    ("TraceId", "String"),
    ("SpanId", "String"),
    ("ParentSpanId", "String"),
    ("SpanName", "LowCardinality(String)"),
    ("SpanKind", "LowCardinality(String)"),
    ("ServiceName", "LowCardinality(String)"),
    ("ResourceAttributes", "Map(LowCardinality(String), String)"),
    ("SpanAttributes", "Map(LowCardinality(String), String)"),
    ("Duration", "UInt64"),
    ("StatusCode", "LowCardinality(String)"),
    ("StatusMessage", "String"),
    ("Events.Timestamp", "Array(DateTime64(9))"),
    ("Events.Name", "Array(LowCardinality(String))"),
    ("Events.Attributes", "Array(Map(LowCardinality(String), String))"),
    ("Links.TraceId", "Array(String)"),
    ("Links.SpanId", "Array(String)"),
    ("Links.Attributes", "Array(Map(LowCardinality(String), String))"),
];

/// The answers to a store that is opened, where the table of spans lacks one column.
#[must_use]
pub fn opening_without(column: &str) -> Vec<Prepared> {
    let mut described = String::new();
    for (name, kind) in COLUMNS.iter().filter(|(name, _)| *name != column) {
        writeln!(described, r#"["otel_traces","{name}","{kind}"]"#).unwrap();
    }
    vec![Prepared::rows("[0]\n"), Prepared::rows(described)]
}

/// The answers to a store that is opened.
#[must_use]
pub fn opening() -> Vec<Prepared> {
    opening_without("")
}

impl Peer {
    /// Starts a server on a free port.
    #[must_use]
    pub fn new(answers: Vec<Prepared>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(answers));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (given, noted) = (Arc::clone(&answers), Arc::clone(&requests));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(connection) = connection else { break };
                let mut given = given.lock().unwrap();
                let answer = match given.len() {
                    1 => given[0].clone(),
                    _ => given.remove(0),
                };
                drop(given);
                if let Ok(head) = serve(&connection, &answer) {
                    noted.lock().unwrap().push(head);
                }
            }
        });
        Self {
            address,
            answers,
            requests,
        }
    }

    /// Returns the heads of the requests that were answered.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the URL of a store on it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("clickhouse://otel@{}/otel", self.address)
    }

    /// Sets the next answers.
    pub fn answer(&self, answers: Vec<Prepared>) {
        *self.answers.lock().unwrap() = answers;
    }
}

/// Returns the head of the request.
fn serve(mut connection: &TcpStream, answer: &Prepared) -> std::io::Result<String> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let Prepared { status, code, body } = answer;
    let code = code.map(|code| format!("X-ClickHouse-Exception-Code: {code}\r\n"));
    let code = code.unwrap_or_default();
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} Answer\r\n{code}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    connection.write_all(text.as_bytes())?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gives_its_answers_in_turn_and_repeats_the_last() {
        let peer = Peer::new(vec![
            Prepared::exception(60, "no such table"),
            Prepared::rows("[1]\n"),
        ]);
        let ask = || send_as_it_is(peer.address, "POST", "/", "Content-Length: 1\r\n", "1").unwrap();
        let first = ask();
        assert_eq!(
            (first.status, first.header("x-clickhouse-exception-code")),
            (500, Some("60"))
        );
        for _ in 0..2 {
            assert_eq!(ask().body, "[1]\n");
        }
        peer.answer(vec![Prepared::status(503)]);
        assert_eq!(ask().status, 503);
        assert!(peer.requests()[0].contains("Content-Length: 1"));
    }

    #[test]
    fn a_database_has_the_tables_of_a_collector_and_is_dropped() {
        let Some(database) = Database::new() else { return };
        assert!(database.run("SHOW TABLES").contains("otel_traces"));
        let (name, engine) = (database.name.clone(), database.engine);
        drop(database);
        assert!(!send(engine, "default", "SHOW DATABASES").contains(&name));
    }
}
