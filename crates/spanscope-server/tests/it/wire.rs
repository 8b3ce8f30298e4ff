//! HTTP/1.1 byte by byte, for clients that do what no library allows.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;
use spanscope_tests::PATIENCE;

/// A request, assembled as it is to be sent.
#[derive(Clone)]
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    headers: String,
    body: Vec<u8>,
    says_length: bool,
}

impl Ask {
    pub(crate) fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: String::new(),
            body: Vec::new(),
            says_length: false,
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// With a body of this kind, and its length.
    pub(crate) fn post(path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut ask = Self::new("POST", path).header("Content-Type", kind);
        ask.body = body.into();
        ask.says_length = true;
        ask
    }

    pub(crate) fn json(path: &str, body: &Value) -> Self {
        Self::post(path, "application/json", body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// The request line and the headers, with a host unless there is one, and the empty line.
    pub(crate) fn head(&self) -> String {
        let Self {
            method,
            path,
            headers,
            ..
        } = self;
        let host = if headers.contains("Host: ") {
            ""
        } else {
            "Host: localhost\r\n"
        };
        let length = match self.says_length {
            true => format!("Content-Length: {}\r\n", self.body.len()),
            false => String::new(),
        };
        format!("{method} {path} HTTP/1.1\r\n{host}{headers}{length}\r\n")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a separate connection.
    pub(crate) fn to(&self, address: SocketAddr) -> Answer {
        let mut connection = Connection::open(address);
        connection.send(&self.bytes());
        match self.method {
            "HEAD" => connection.head().unwrap(),
            _ => connection.answer(),
        }
    }
}

/// A parsed response.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the code of an error.
    pub(crate) fn code(&self) -> String {
        let answer = self.json();
        let code = answer["error"]["code"].as_str();
        code.unwrap_or_else(|| panic!("no code: {answer}")).to_owned()
    }

    pub(crate) fn message(&self) -> String {
        let answer = self.json();
        let message = answer["error"]["message"].as_str();
        message
            .unwrap_or_else(|| panic!("no message: {answer}"))
            .to_owned()
    }
}

/// A connection that reads only on request.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// The server may have hung up before it read all, which its response shows.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Closes the sending side.
    pub(crate) fn shut_writing(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Returns the next response, which must declare its length.
    pub(crate) fn answer(&mut self) -> Answer {
        self.response_or_end()
            .unwrap_or_else(|| panic!("hung up without an answer"))
    }

    /// Returns the next response; `None` if the server hung up instead.
    pub(crate) fn response_or_end(&mut self) -> Option<Answer> {
        let mut answer = self.head()?;
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
            }
            return Some(answer);
        }
        let length = answer.header("content-length");
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(self.more(), "hung up within an answer: {answer:?}");
        }
        let rest = self.read.split_off(length);
        answer.body = std::mem::replace(&mut self.read, rest);
        Some(answer)
    }

    /// Returns the next part of a chunked body; `None` at its end, and if the server hung up
    /// instead.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                break end;
            }
            if !self.more() {
                return None;
            }
        };
        let length = std::str::from_utf8(&self.read[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        let end = line + 2 + length + 2;
        while self.read.len() < end {
            if !self.more() {
                return None;
            }
        }
        let rest = self.read.split_off(end);
        let chunk = std::mem::replace(&mut self.read, rest);
        (length > 0).then(|| chunk[line + 2..line + 2 + length].to_vec())
    }

    /// Returns the next response without its body, as for `HEAD`.
    pub(crate) fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.more() {
                assert!(self.read.is_empty(), "a piece of a head: {:?}", self.read);
                return None;
            }
        };
        let rest = self.read.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
        Some(Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: Vec::new(),
        })
    }

    /// Whether the server hangs up without sending anything more.
    pub(crate) fn is_ended(&mut self) -> bool {
        !self.more() && self.read.is_empty()
    }

    /// Returns whether nothing was received so far, without waiting.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        self.read.is_empty() && peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn more(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(length) => {
                self.read.extend_from_slice(&piece[..length]);
                true
            }
            // Existing data was read before: a connection that was reset is over as well.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn responses_are_read_one_by_one_until_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap());
        let mut server = listener.accept().unwrap().0;
        assert!(connection.is_silent());
        server
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 204 No\r\nX-y: z\r\n\r\n")
            .unwrap();
        drop(server);
        let first = connection.answer();
        assert_eq!((first.status, first.text().as_str()), (200, "ok"));
        assert!(!connection.is_silent());
        let second = connection.answer();
        assert_eq!((second.status, second.header("x-Y")), (204, Some("z")));
        assert!(connection.response_or_end().is_none());
        assert!(connection.is_ended());
    }

    #[test]
    fn a_request_is_sent_as_described() {
        let ask = Ask::post("/p", "text/plain", "hi").header("A", "b").token("t");
        let bytes = String::from_utf8(ask.bytes()).unwrap();
        assert_eq!(
            bytes,
            "POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nA: b\r\nAuthorization: Bearer t\r\n\
             Content-Length: 2\r\n\r\nhi"
        );
        let bare = Ask::get("/").header("Host", "elsewhere").head();
        assert_eq!(bare, "GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
    }
}
