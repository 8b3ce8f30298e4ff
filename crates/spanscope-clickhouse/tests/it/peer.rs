//! A server with prepared answers, for what a real one can't be made to do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use spanscope_clickhouse::StoreAddress;

/// An answer: its status, the number of an exception, and its body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    code: Option<u32>,
    body: String,
    /// Whether the connection ends before the body does.
    breaks: bool,
}

impl Answer {
    pub(crate) fn rows(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            code: None,
            body: body.into(),
            breaks: false,
        }
    }

    pub(crate) fn exception(code: u32, message: &str) -> Self {
        Self {
            status: 500,
            code: Some(code),
            body: format!("Code: {code}. DB::Exception: {message} (version 26.7.2.1)\n"),
            breaks: false,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            code: None,
            body: "<html>no such page</html>".to_owned(),
            breaks: false,
        }
    }

    pub(crate) fn broken(body: &str) -> Self {
        Self {
            breaks: true,
            ..Self::rows(body)
        }
    }
}

/// A server that gives its answers in turn, and the last one again and again.
#[derive(Debug)]
pub(crate) struct Peer {
    port: u16,
    answers: Arc<Mutex<Vec<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    pub(crate) fn new(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
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
                if let Some(request) = serve(&connection, &answer) {
                    noted.lock().unwrap().push(request);
                }
            }
        });
        Self {
            port,
            answers,
            requests,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> StoreAddress {
        format!("clickhouse://otel@127.0.0.1:{}/otel", self.port)
            .parse()
            .unwrap()
    }

    /// Sets the next answers.
    pub(crate) fn answer(&self, answers: Vec<Answer>) {
        *self.answers.lock().unwrap() = answers;
    }

    /// The requests that were read, with their heads.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(connection: &TcpStream, answer: &Answer) -> Option<String> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let code = answer
        .code
        .map(|code| format!("X-ClickHouse-Exception-Code: {code}\r\n"))
        .unwrap_or_default();
    let length = answer.body.len() + usize::from(answer.breaks) * 100;
    let text = format!(
        "HTTP/1.1 {} Answer\r\n{code}Content-Length: {length}\r\nConnection: close\r\n\r\n{}",
        answer.status, answer.body
    );
    (&mut &*connection).write_all(text.as_bytes()).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}
