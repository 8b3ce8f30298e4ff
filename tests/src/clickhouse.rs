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
}

impl Peer {
    /// Starts a server on a free port.
    #[must_use]
    pub fn new(answers: Vec<Prepared>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(answers));
        let given = Arc::clone(&answers);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(connection) = connection else { break };
                let mut given = given.lock().unwrap();
                let answer = match given.len() {
                    1 => given[0].clone(),
                    _ => given.remove(0),
                };
                drop(given);
                let _ = serve(&connection, &answer);
            }
        });
        Self { address, answers }
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

fn serve(mut connection: &TcpStream, answer: &Prepared) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
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
    connection.write_all(text.as_bytes())
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
