//! HTTP by hand, for tests of servers that run in any process.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A response: its status, its head, its body.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header; names ignore case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }
}

/// Sends a request by HTTP/1.0, so that the body lasts until the end of the connection. An empty
/// `accept` is not sent.
///
/// # Errors
/// The server is unreachable, silent for too long, or its response is not HTTP.
pub fn ask(address: SocketAddr, method: &str, path: &str, accept: &str) -> std::io::Result<Answer> {
    if accept.is_empty() {
        send(address, method, path, "", "")
    } else {
        send(address, method, path, &format!("Accept: {accept}\r\n"), "")
    }
}

/// Sends a GET request and returns the status without waiting for the body, which of a stream of
/// events may never end.
///
/// # Errors
/// As [`ask`].
pub fn ask_status(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| Error::from(ErrorKind::InvalidData))
}

/// Posts JSON.
///
/// # Errors
/// As [`ask`].
pub fn post(address: SocketAddr, path: &str, json: &str) -> std::io::Result<Answer> {
    let length = json.len();
    let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
    send(address, "POST", path, &headers, json)
}

fn send(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<Answer> {
    let headers = format!("Host: {address}\r\n{headers}");
    send_as_it_is(address, method, path, &headers, body)
}

/// Sends these headers, each with its end of line, and no others.
///
/// # Errors
/// As [`ask`].
pub fn send_as_it_is(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: impl AsRef<[u8]>,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut request = format!("{method} {path} HTTP/1.0\r\n{headers}\r\n").into_bytes();
    request.extend_from_slice(body.as_ref());
    stream.write_all(&request)?;
    // A response in protobuf is shown as far as it is text.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(|| Error::from(ErrorKind::InvalidData))?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Sends a request to a server and parses the response.
    fn exchange(
        answer: &'static str,
        send: impl FnOnce(SocketAddr) -> std::io::Result<Answer>,
    ) -> (String, std::io::Result<Answer>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            request.truncate(length);
            String::from_utf8(request).unwrap()
        });
        let made = send(address);
        (server.join().unwrap(), made)
    }

    #[test]
    fn a_request_is_sent_and_its_response_parsed() {
        let text = "HTTP/1.0 418 I'm a teapot\r\nContent-Type: text/plain\r\n\r\nshort\r\n\r\nand stout";
        let (request, answer) = exchange(text, |address| post(address, "/pots", "{}"));
        assert!(
            request.starts_with("POST /pots HTTP/1.0\r\nHost: 127.0.0.1:"),
            "{request}"
        );
        assert!(request.ends_with("\r\nContent-Length: 2\r\n\r\n{}"), "{request}");
        let answer = answer.unwrap();
        assert_eq!(answer.status, 418);
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.header("content"), None);
        assert_eq!(answer.body, "short\r\n\r\nand stout");
    }

    #[test]
    fn a_response_that_is_not_http_is_an_error() {
        for text in ["", "hello", "HTTP/1.0\r\n\r\n", "HTTP/1.0 many\r\n\r\n"] {
            let (_, answer) = exchange(text, |address| ask(address, "GET", "/", "text/plain"));
            assert!(answer.is_err(), "{answer:?}");
        }
    }
}
