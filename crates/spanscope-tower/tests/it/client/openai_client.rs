//! The layer around the service of async-openai.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::middleware::ReqwestService;
use async_openai::middleware::retry::SimpleRetryPolicy;
use async_openai::types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use spanscope_tower::ClientLayer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tower::ServiceBuilder;

use crate::support::Recorder;

/// Serves chat completions: the first response is 503, later ones repeat the received
/// `traceparent`.
async fn serve() -> SocketAddr {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = move |headers: HeaderMap, body: String| {
        let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if is_first {
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            let trace = headers
                .get("traceparent")
                .map_or("none", |value| value.to_str().unwrap());
            let head = r#""id":"1","created":1,"model":"m""#;
            Ok(if body.contains(r#""stream":true"#) {
                let chunk = format!(
                    r#"{{{head},"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":"{trace}"}}}}]}}"#
                );
                let kind = [("content-type", "text/event-stream")];
                (kind, format!("data: {chunk}\n\ndata: [DONE]\n\n"))
            } else {
                let answer = format!(
                    r#"{{{head},"object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"{trace}"}}}}]}}"#
                );
                ([("content-type", "application/json")], answer)
            })
        }
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = Router::new().route("/v1/chat/completions", post(answer));
    tokio::spawn(axum::serve(listener, app).into_future());
    addr
}

async fn config() -> OpenAIConfig {
    OpenAIConfig::new()
        .with_api_base(format!("http://{}/v1", serve().await))
        .with_api_key("hunter2")
}

fn service() -> ReqwestService {
    ReqwestService::new(reqwest::Client::builder().no_proxy().build().unwrap())
}

/// Sends one request for a whole response, and one for a stream.
async fn ask(client: &Client<OpenAIConfig>) {
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content("hi")
        .build()
        .unwrap();
    let mut request = CreateChatCompletionRequestArgs::default();
    let request = request.model("m").messages([message.into()]).build().unwrap();
    let whole = client.chat().create(request.clone()).await.unwrap();
    let trace = whole.choices[0].message.content.clone().unwrap();
    assert!(trace.starts_with("00-"), "{trace}");
    let mut stream = client.chat().create_stream(request).await.unwrap();
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        text += chunk.unwrap().choices[0]
            .delta
            .content
            .as_deref()
            .unwrap_or_default();
    }
    assert!(text.starts_with("00-") && text != trace, "{text}");
}

/// Returns status and resend count of each span, in the order of their ends.
fn attempts(recorder: &Recorder) -> Vec<(String, Option<String>)> {
    let spans = recorder.spans();
    assert!(spans.iter().all(|span| !format!("{span:?}").contains("hunter2")));
    spans
        .iter()
        .map(|span| {
            let fields = &span.fields;
            let resend = fields.get("http.request.resend_count").cloned();
            (fields["http.response.status_code"].clone(), resend)
        })
        .collect()
}

#[test]
fn inside_of_a_retry_each_attempt_is_a_span() {
    let recorder = Recorder::of(async {
        let service = ServiceBuilder::new()
            .retry(SimpleRetryPolicy::new(2))
            .layer(ClientLayer::new())
            .service(service());
        ask(&Client::with_config(config().await).with_http_service(service)).await;
    });
    let status = |status: &str| (status.to_owned(), None);
    assert_eq!(attempts(&recorder), [status("503"), status("200"), status("200")]);
    recorder.assert_idle();
}

#[test]
fn outside_of_a_retry_one_span_counts_the_attempts() {
    let recorder = Recorder::of(async {
        let service = ServiceBuilder::new()
            .layer(ClientLayer::new())
            .retry(SimpleRetryPolicy::new(2))
            .layer(ClientLayer::new()) // by mistake
            .service(service());
        ask(&Client::with_config(config().await).with_http_service(service)).await;
    });
    let ok = || "200".to_owned();
    assert_eq!(attempts(&recorder), [(ok(), Some("1".to_owned())), (ok(), None)]);
    assert_eq!(recorder.named("http.client.request.duration").len(), 2);
    recorder.assert_idle();
}
