//! Streamed responses of models that are long, in time and in bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::header;
use axum::routing::post;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use spanscope_tower::{ClientLayer, SendTraced};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::Recorder;

const CHAT: &str = "/v1/chat/completions";
const PER_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";

fn event(content: &str, usage: &Value) -> Bytes {
    let event = json!({ "id": "c", "object": "chat.completion.chunk", "model": "m-1", "usage": usage,
                        "choices": [{ "index": 0, "delta": { "content": content }, "finish_reason": null }] });
    format!("data: {event}\n\n").into()
}

fn question() -> String {
    json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": "Hi" }] }).to_string()
}

/// A stream of equal chunks, and a last one with the usage.
struct Chunks {
    chunk: Bytes,
    left: usize,
}

impl Chunks {
    fn new(content: &str, count: usize) -> Self {
        Self {
            chunk: event(content, &Value::Null),
            left: count,
        }
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.left {
            0 => return Poll::Ready(None),
            1 => event("", &json!({ "prompt_tokens": 7, "completion_tokens": 900 })),
            _ => self.chunk.clone(),
        };
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

#[test]
fn a_stream_of_100_mb_over_http_is_passed_on_and_counted() {
    const CHUNKS: usize = 1_700;
    let content = "größer ".repeat(7_800);
    let len = event(&content, &Value::Null).len() * (CHUNKS - 1);
    assert!(len > 100_000_000);
    let recorder = Recorder::of(async {
        let answer = move |_: String| {
            let body = Body::new(Chunks::new(&content, CHUNKS));
            std::future::ready(([(header::CONTENT_TYPE, "text/event-stream")], body))
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, Router::new().route(CHAT, post(answer))).into_future());
        let layer = ClientLayer::builder().model_calls().build();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("http://{addr}{CHAT}")).body(question());
        let mut response = request.send_traced(&layer).await.unwrap();
        let mut read = 0;
        while let Some(piece) = response.chunk().await.unwrap() {
            read += piece.len();
        }
        assert!(read > len, "{read}");
    });
    let span = recorder.only_span();
    let field = |name: &str| span.fields.get(name).map(String::as_str);
    assert_eq!(field("gen_ai.response.chunk_count"), Some("1700"));
    assert_eq!(field("gen_ai.usage.input_tokens"), Some("7"));
    assert_eq!(field("gen_ai.usage.output_tokens"), Some("900"));
    assert_eq!(recorder.named(PER_CHUNK).len(), CHUNKS - 1);
    recorder.assert_idle();
}

#[test]
fn times_of_chunks_are_recorded_while_the_stream_runs_and_each_once() {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        crate::support::block_on(async {
            let layer = ClientLayer::builder().model_calls().build();
            let service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
                Ok::<_, Infallible>(Response::new(Chunks::new("a", 200)))
            }));
            let request = Request::post(format!("http://host{CHAT}"));
            let request = request.body(Full::new(Bytes::from(question()))).unwrap();
            let mut body = service.oneshot(request).await.unwrap().into_body();
            for _ in 0..66 {
                body.frame().await.unwrap().unwrap();
            }
            assert_eq!(recorder.named(PER_CHUNK).len(), 64);
            // A late chunk causes the pending ones to be recorded.
            tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
            body.frame().await.unwrap().unwrap();
            assert_eq!(recorder.named(PER_CHUNK).len(), 66);
            body.frame().await.unwrap().unwrap();
            assert_eq!(recorder.named(PER_CHUNK).len(), 66);
        });
    });
    // The last one was pending when the caller dropped the body.
    let times = recorder.named(PER_CHUNK);
    assert_eq!(times.len(), 67);
    let slow: Vec<_> = times.iter().filter(|one| one.value >= 1.0).collect();
    assert_eq!(slow.len(), 1, "{times:?}");
    assert!(times.iter().all(|one| one.labels["gen_ai.request.model"] == "m"));
    assert_eq!(recorder.only_span().fields["spanscope.body_dropped"], "true");
}
