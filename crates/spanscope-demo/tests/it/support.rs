//! A scripted server, and the questions of several tests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use spanscope_demo::{ChatClient, Librarian, ModelServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A question for the library and both tools.
pub(crate) const QUESTION: &str =
    "How large is a log of 1000 * 4096 bytes at a checkpoint, and what is the weather in Reykjavik?";
/// A question for the library only.
pub(crate) const PLAIN_QUESTION: &str = "When does a checkpoint start?";

/// The agent, with the bundled server's model.
pub(crate) fn librarian(server: &ModelServer) -> Librarian {
    let client = ChatClient::new(&server.base_url(), ModelServer::MODEL).unwrap();
    Librarian::new(client).unwrap()
}

/// A request as a [`Scripted`] server received it.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Sends the next of its responses to each request, and the last one to the rest.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) addr: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Scripted {
    pub(crate) async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&got);
        tokio::spawn(async move {
            for turn in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                let answer = &answers[turn.min(answers.len() - 1)];
                // The client may have closed the connection.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { addr, got }
    }

    pub(crate) fn client(&self) -> ChatClient {
        ChatClient::new(&format!("http://{}/v1", self.addr), "some-model").unwrap()
    }

    pub(crate) fn librarian(&self) -> Librarian {
        Librarian::new(self.client()).unwrap()
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Got {
    let mut bytes = Vec::new();
    loop {
        assert!(
            stream.read_buf(&mut bytes).await.unwrap() > 0,
            "the request broke off"
        );
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.unwrap().parse::<usize>().unwrap() {
            return Got {
                head: head.to_owned(),
                body: serde_json::from_str(body).unwrap(),
            };
        }
    }
}

/// A response with a status, and with a body that ends with its connection.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}")
}

/// A whole completion with this message.
pub(crate) fn says(message: &Value) -> String {
    answer(
        "200 OK",
        &json!({ "choices": [{ "message": message }] }).to_string(),
    )
}

/// A streamed completion of these chunks, and its end.
pub(crate) fn streams(chunks: &[Value]) -> String {
    let events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    answer("200 OK", &format!("{events}data: [DONE]\n\n"))
}

/// The chunk with this delta.
pub(crate) fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "delta": delta }] })
}

/// A call of the calculator.
pub(crate) fn calculation(id: &str, expression: &str) -> Value {
    let arguments = json!({ "expression": expression }).to_string();
    json!({ "id": id, "type": "function", "function": { "name": "calculator", "arguments": arguments } })
}
