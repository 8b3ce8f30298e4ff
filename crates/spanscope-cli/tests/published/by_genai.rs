//! `genai` with its feature `otel`: the span `genai.chat` of each call, with the current names of
//! OpenTelemetry.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;

use futures_util::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatOptions, ChatRequest};
use genai::resolver::{AuthData, Endpoint};
use genai::{Client, ModelIden, ServiceTarget};
use serde_json::json;
use spanscope_core::propagation;
use tracing::{Instrument, Span, info_span};

use super::support::{MODEL, ModelServer, QUESTION, SYSTEM, block_on_outside, client, measure, usage_of};

fn target(server: &ModelServer) -> ServiceTarget {
    ServiceTarget {
        // The base must end with a slash, because the crate appends its paths.
        endpoint: Endpoint::from_owned(format!("{}/", server.base_url())),
        auth: AuthData::from_single("no key"),
        model: ModelIden::new(AdapterKind::OpenAI, MODEL),
    }
}

fn request() -> ChatRequest {
    ChatRequest::new(vec![ChatMessage::system(SYSTEM), ChatMessage::user(QUESTION)])
}

/// Returns the server's usage for the same conversation.
fn reported(server: &ModelServer) -> [i64; 3] {
    usage_of(&block_on_outside(server.ask(&json!({
        "model": MODEL,
        "messages": [
            { "role": "system", "content": SYSTEM },
            { "role": "user", "content": QUESTION },
        ],
    }))))
}

#[test]
fn a_whole_completion_counts_what_the_server_reported() {
    let server = ModelServer::start();
    let measured = measure(async {
        let client = Client::builder().with_reqwest(client()).build().unwrap();
        let answer = client.exec_chat(target(&server), request(), None).await.unwrap();
        assert!(
            answer.first_text().unwrap().contains("periods of time"),
            "{answer:?}"
        );
    });
    measured.assert_counted("openai", &[reported(&server)]);
}

#[test]
fn a_streamed_completion_counts_what_the_server_reported() {
    let server = ModelServer::start();
    let measured = measure(async {
        let client = Client::builder().with_reqwest(client()).build().unwrap();
        // Without it the crate requests no usage, and its span has none.
        let options = ChatOptions::default().with_capture_usage(true);
        let answer = client.exec_chat_stream(target(&server), request(), Some(&options));
        let mut stream = answer.await.unwrap().stream;
        while let Some(event) = stream.next().await {
            event.unwrap();
        }
    });
    measured.assert_counted("openai", &[reported(&server)]);
}

#[test]
fn the_trace_is_propagated_in_its_extra_headers() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = vec![0; 4096];
        let len = stream.read(&mut head).unwrap();
        stream
            .write_all(b"HTTP/1.1 500 Sorry\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        String::from_utf8_lossy(&head[..len]).into_owned()
    });
    measure(async {
        let target = ServiceTarget {
            endpoint: Endpoint::from_owned(format!("http://{address}/")),
            auth: AuthData::from_single("no key"),
            model: ModelIden::new(AdapterKind::OpenAI, MODEL),
        };
        let ask = async {
            let mut headers = HashMap::new();
            propagation::inject(&Span::current(), &mut headers);
            let options = ChatOptions::default().with_extra_headers(headers);
            let client = Client::builder().with_reqwest(client()).build().unwrap();
            client
                .exec_chat(target, request(), Some(&options))
                .await
                .unwrap_err();
        };
        ask.instrument(info_span!("question")).await;
    });
    let head = server.join().unwrap();
    assert!(head.contains("\r\ntraceparent: 00-"), "{head}");
}
