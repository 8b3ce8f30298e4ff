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

/// Returns the agent with the bundled server's model.
pub(crate) fn librarian(server: &ModelServer) -> Librarian {
    let client = ChatClient::new(&server.base_url(), ModelServer::MODEL).unwrap();
    Librarian::new(client).unwrap()
}

/// A request as a [`Scripted`] server received it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// A server that sends the next of its responses to each request, and the last one to the rest.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) addr: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Scripted {
    pub(crate) async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&received);
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
        Self { addr, received }
    }

    pub(crate) fn client(&self) -> ChatClient {
        ChatClient::new(&format!("http://{}/v1", self.addr), "some-model").unwrap()
    }

    pub(crate) fn librarian(&self) -> Librarian {
        Librarian::new(self.client()).unwrap()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Received {
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
            return Received {
                head: head.to_owned(),
                body: serde_json::from_str(body).unwrap(),
            };
        }
    }
}

/// Returns a response with a status, and with a body that ends with its connection.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}")
}

/// Returns a whole completion with this message.
pub(crate) fn completion_with(message: &Value) -> String {
    answer(
        "200 OK",
        &json!({ "choices": [{ "message": message }] }).to_string(),
    )
}

/// Returns a streamed completion of these chunks, and its end.
pub(crate) fn streamed_completion(chunks: &[Value]) -> String {
    let events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    answer("200 OK", &format!("{events}data: [DONE]\n\n"))
}

/// Returns the chunk with this delta.
pub(crate) fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "delta": delta }] })
}

/// Returns a call of the calculator.
pub(crate) fn calculation(id: &str, expression: &str) -> Value {
    let arguments = json!({ "expression": expression }).to_string();
    json!({ "id": id, "type": "function", "function": { "name": "calculator", "arguments": arguments } })
}
