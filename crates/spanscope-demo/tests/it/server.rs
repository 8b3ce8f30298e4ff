//! The bundled server, called without the agent's client.

use std::net::SocketAddr;

use serde_json::{Value, json};
use spanscope_demo::ModelServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{PLAIN_QUESTION, QUESTION, librarian};

/// Sends a request and returns the response's status and body.
async fn ask(addr: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let body = body.to_string();
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn request(stream: bool) -> Value {
    let tool = |name: &str| json!({ "type": "function", "function": { "name": name } });
    json!({
        "model": "any",
        "stream": stream,
        "tools": [tool("calculator"), tool("weather")],
        "messages": [{ "role": "user", "content": QUESTION }],
    })
}

#[tokio::test]
async fn unsupported_requests_are_refused_with_a_message() {
    let server = ModelServer::start().await.unwrap();
    let path = "/v1/chat/completions";
    for (method, path, body, status, expected) in [
        ("POST", path, json!({}), 400, "missing field `model`"),
        ("POST", path, json!("text"), 400, "not a chat request"),
        ("GET", path, request(false), 405, "POST"),
        ("POST", "/v1/models", request(false), 404, path),
    ] {
        let (received_status, answer) = ask(server.addr(), method, path, &body).await;
        assert_eq!(received_status, status, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    server.stop().await;
}

#[tokio::test]
async fn tool_calls_are_the_same_whole_and_streamed_except_for_their_index() {
    let server = ModelServer::start().await.unwrap();
    let path = "/v1/chat/completions";
    let (_, whole) = ask(server.addr(), "POST", path, &request(false)).await;
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let calls = whole["choices"][0]["message"]["tool_calls"]
        .as_array()
        .unwrap()
        .clone();
    let (_, streamed) = ask(server.addr(), "POST", path, &request(true)).await;
    let first = streamed.lines().next().unwrap().strip_prefix("data: ").unwrap();
    let first: Value = serde_json::from_str(first).unwrap();
    let mut streamed = first["choices"][0]["delta"]["tool_calls"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(calls.len(), 2);
    for (index, call) in streamed.iter_mut().enumerate() {
        assert_eq!(
            call.as_object_mut().unwrap().shift_remove("index"),
            Some(json!(index))
        );
    }
    assert_eq!(streamed, calls);
}

#[tokio::test]
async fn a_stopped_or_dropped_server_no_longer_listens() {
    for stop in [true, false] {
        let server = ModelServer::start().await.unwrap();
        let librarian = librarian(&server);
        librarian.answer(PLAIN_QUESTION).await.unwrap();
        if stop {
            server.stop().await;
        } else {
            drop(server);
        }
        let began = std::time::Instant::now();
        let refused = loop {
            match librarian.answer(PLAIN_QUESTION).await {
                // The listening task has the signal, and ends a moment later.
                Ok(_) => assert!(began.elapsed().as_secs() < 30, "it still listens"),
                Err(refused) => break refused,
            }
        };
        assert!(
            refused.to_string().starts_with("can't connect to 127.0.0.1:"),
            "{refused}"
        );
    }
}
