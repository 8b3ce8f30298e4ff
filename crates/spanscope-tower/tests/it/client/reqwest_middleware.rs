//! The layer as a middleware of reqwest-middleware.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::post;
use http::header::RETRY_AFTER;
use http::{Extensions, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use serde_json::json;
use spanscope_tower::{ClientLayer, UrlTemplate};
use tokio::net::TcpListener;

use super::server::{self, Server};
use crate::support::{Closed, Recorder};

/// Sends a request a second time if the response is 5xx or 429, after the time in `retry-after`, as
/// retry middleware does.
struct Again;

#[async_trait::async_trait]
impl Middleware for Again {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let again = request.try_clone().unwrap();
        let response = next.clone().run(request, extensions).await?;
        let is_limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
        if response.status().is_server_error() || is_limited {
            let wait = response.headers().get(RETRY_AFTER);
            let seconds = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
            tokio::time::sleep(Duration::from_secs_f64(seconds.unwrap_or(0.0))).await;
            return next.run(again, extensions).await;
        }
        Ok(response)
    }
}

fn client(builder: impl FnOnce(ClientBuilder) -> ClientBuilder) -> ClientWithMiddleware {
    let bare = reqwest::Client::builder().no_proxy().build().unwrap();
    builder(ClientBuilder::new(bare)).build()
}

#[test]
fn a_request_has_a_span_with_its_template_and_propagates_it() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        let client = client(|builder| builder.with(ClientLayer::new()));
        let request = client.get(server.url("/headers?token=hunter2"));
        let request = request.with_extension(UrlTemplate::new("/headers"));
        let headers = request.send().await.unwrap().text().await.unwrap();
        assert!(headers.contains("traceparent: 00-"), "{headers}");
    });
    let span = recorder.only_span();
    assert_eq!(span.name, "GET /headers");
    assert!(span.fields["url.full"].ends_with("/headers?token=[masked]"));
    assert!(span.fields["server.port"].parse::<u16>().is_ok());
    recorder.assert_idle();
}

#[test]
fn each_attempt_of_a_retry_is_a_span_with_its_number() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        let client = client(|builder| builder.with(Again).with(ClientLayer::new()));
        let response = client.get(server.url("/flaky")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
    });
    let attempts: Vec<_> = recorder
        .spans()
        .iter()
        .map(|span| {
            let resend = span.fields.get("http.request.resend_count").cloned();
            (span.fields["http.response.status_code"].clone(), resend)
        })
        .collect();
    assert_eq!(
        attempts,
        [("503".to_owned(), None), ("200".to_owned(), Some("1".to_owned()))]
    );
    assert_eq!(recorder.named("http.client.request.duration").len(), 2);
    recorder.assert_idle();
}

#[test]
fn two_layers_make_one_span_for_each_request() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        let client = client(|builder| {
            let builder = builder.with(ClientLayer::new());
            builder.with(Again).with(ClientLayer::new())
        });
        let response = client.get(server.url("/flaky")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
    });
    assert_eq!(recorder.only_span().fields["http.response.status_code"], "200");
    recorder.assert_idle();
}

#[test]
fn errors_are_those_of_reqwest() {
    let recorder = Recorder::of(async {
        let url = format!("http://{}/", server::closed().await);
        let client = client(|builder| builder.with(ClientLayer::new()));
        assert!(client.get(url).send().await.unwrap_err().is_connect());
    });
    assert_eq!(recorder.only_span().fields["error.type"], "connection_refused");
    recorder.assert_idle();
}

/// Returns the response of a provider to the request with this number: the first one is limited.
fn limited_once(number: usize) -> axum::response::Response {
    if number == 0 {
        let error = json!({ "error": { "message": "Rate limit reached", "code": "rate_limit_exceeded" } });
        let limited = (
            StatusCode::TOO_MANY_REQUESTS,
            [(RETRY_AFTER, "0.01")],
            error.to_string(),
        );
        return limited.into_response();
    }
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 20 });
    let choice = json!({ "index": 0, "message": { "content": "Hello" }, "finish_reason": "stop" });
    json!({ "id": "chatcmpl-1", "model": "m-2024", "choices": [choice], "usage": usage })
        .to_string()
        .into_response()
}

#[test]
fn a_call_of_a_model_that_is_sent_again_counts_once() {
    let recorder = Recorder::of(async {
        let requests = Arc::new(AtomicUsize::new(0));
        let answer = move || std::future::ready(limited_once(requests.fetch_add(1, Ordering::Relaxed)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = Router::new().route("/v1/chat/completions", post(answer));
        tokio::spawn(axum::serve(listener, app).into_future());
        let layer = ClientLayer::builder().model_calls().build();
        let client = client(|builder| builder.with(Again).with(layer));
        let question = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }] });
        let request = client.post(format!("http://{addr}/v1/chat/completions"));
        let response = request.body(question.to_string()).send().await.unwrap();
        assert!(response.text().await.unwrap().contains("Hello"));
    });
    let spans = recorder.spans();
    let [limited, answered] = &spans[..] else {
        panic!("two spans: {spans:#?}")
    };
    for span in [limited, answered] {
        assert_eq!(
            (span.name.as_str(), span.fields["category"].as_str()),
            ("chat m", "inference")
        );
    }
    let field = |span: &Closed, name: &str| span.fields.get(name).cloned().unwrap_or_default();
    assert_eq!(field(limited, "http.response.status_code"), "429");
    assert_eq!(field(limited, "http.response.header.retry-after"), "0.01");
    // The middleware doesn't read the provider's error.
    assert_eq!(field(limited, "error.type"), "429");
    assert_eq!(field(limited, "spanscope.body_dropped"), "true");
    assert_eq!(field(limited, "http.request.resend_count"), "");
    assert_eq!(field(answered, "http.request.resend_count"), "1");
    assert_eq!(field(answered, "error.type"), "");
    assert_eq!(field(answered, "gen_ai.usage.input_tokens"), "100");
    assert_eq!(recorder.named("gen_ai.client.token.usage").len(), 2);
    assert_eq!(recorder.named("gen_ai.client.operation.duration").len(), 2);
    recorder.assert_idle();
}
