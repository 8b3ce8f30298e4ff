//! A ClickHouse for the tests: the one of `SPANSCOPE_CLICKHOUSE_URL`, else the engine of
//! `SPANSCOPE_CLICKHOUSE_LIB` behind `tests/clickhouse/server.py`, started once in each process on
//! a free port. Each database is new.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use spanscope_clickhouse::StoreAddress;

/// What is written before the name of a database.
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

/// Whether there is one. Where tests may not skip, a missing one is a failure.
pub(crate) fn is_available() -> bool {
    let is_here = engine().is_some();
    assert!(
        is_here || std::env::var_os("SPANSCOPE_NO_SKIP").is_none(),
        "no ClickHouse: set SPANSCOPE_CLICKHOUSE_LIB to libchdb.so, or SPANSCOPE_CLICKHOUSE_URL"
    );
    is_here
}

/// Returns the number that an environment variable sets, or the default.
pub(crate) fn number_of(variable: &str, default: usize) -> usize {
    let named = std::env::var(variable).ok();
    named.and_then(|number| number.parse().ok()).unwrap_or(default)
}

fn start() -> Option<Engine> {
    if let Ok(url) = std::env::var("SPANSCOPE_CLICKHOUSE_URL") {
        let rest = url.strip_prefix("clickhouse://").unwrap();
        return Some(Engine {
            authority: rest.split('/').next().unwrap().to_owned(),
            password: std::env::var("SPANSCOPE_STORE_PASSWORD").ok(),
            _child: None,
            _folder: None,
        });
    }
    let lib = std::env::var_os("SPANSCOPE_CLICKHOUSE_LIB")?;
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clickhouse/server.py");
    let mut child = Command::new("python3")
        .arg(script)
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

/// A database, which is dropped with this value.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// Creates a database and the tables of a generation.
    pub(crate) fn new(tables: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = Self {
            name: format!("spanscope_test_{}_{number}", std::process::id()),
        };
        send("default", &format!("CREATE DATABASE {}", database.name), None);
        for statement in tables.split(";\n") {
            let lines: Vec<&str> = statement
                .lines()
                .filter(|line| !line.trim().is_empty() && !line.starts_with("--"))
                .collect();
            if !lines.is_empty() {
                database.run(&lines.join("\n"));
            }
        }
        database
    }

    pub(crate) fn run(&self, statement: &str) -> String {
        send(&self.name, statement, None)
    }

    /// Inserts rows, each a JSON object.
    pub(crate) fn insert(&self, table: &str, rows: &[serde_json::Value]) {
        if rows.is_empty() {
            return;
        }
        let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
        let statement = format!("INSERT INTO {table} FORMAT JSONEachRow");
        send(&self.name, &statement, Some(&lines.join("\n")));
    }

    /// Returns the URL of a store over this database, with options after `?`.
    pub(crate) fn address(&self, options: &str) -> StoreAddress {
        let engine = engine().unwrap();
        let address: StoreAddress = format!("clickhouse://{}/{}{options}", engine.authority, self.name)
            .parse()
            .unwrap();
        match &engine.password {
            Some(password) => address.password(password),
            None => address,
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        send("default", &format!("DROP DATABASE IF EXISTS {}", self.name), None);
    }
}

fn send(database: &str, statement: &str, rows: Option<&str>) -> String {
    let engine = engine().unwrap();
    let (user, host) = engine
        .authority
        .rsplit_once('@')
        .unwrap_or(("default", &engine.authority));
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let request = ureq::Agent::from(config)
        .post(format!("http://{host}/"))
        .header("X-ClickHouse-User", user)
        .header("X-ClickHouse-Key", engine.password.as_deref().unwrap_or_default())
        .query("database", database);
    let mut answer = match rows {
        Some(rows) => request.query("query", statement).send(rows).unwrap(),
        None => request.send(statement).unwrap(),
    };
    let text = answer.body_mut().read_to_string().unwrap();
    assert_eq!(answer.status(), 200, "{statement}: {text}");
    text
}
