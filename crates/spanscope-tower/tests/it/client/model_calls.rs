//! Calls of models in a client's requests, against a server that speaks the providers' APIs in
//! recorded shapes.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::middleware::ReqwestService;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use spanscope_layers::genai::{Agent, ModelCall, Usage};
use spanscope_tower::{ClientLayer, ModelCalls, SendTraced};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tower::{Layer, ServiceExt, service_fn};
use tracing::Instrument;

use super::server;
use crate::support::{Closed, Recorder};

const CHAT: &str = "/v1/chat/completions";

fn layer() -> ClientLayer {
    ClientLayer::builder().model_calls().build()
}

fn usage() -> Value {
    json!({ "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": { "cached_tokens": 64 } })
}

fn chunk(delta: Value, reason: Value) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-2024",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] })
}

fn events(events: &[Value]) -> String {
    let lines = events.iter().map(|event| format!("data: {event}\n\n"));
    lines.collect::<String>() + "data: [DONE]\n\n"
}

/// The response to a chat completion: events for a stream, a tool call with tools, else a text. The
/// model's name selects a failure.
fn chat(request: &Value) -> Response {
    let model = request["model"].as_str().unwrap_or_default();
    let error = json!({ "error": { "message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded" } });
    let call = json!([{ "index": 0, "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } }]);
    let wants_tool = request["tools"].is_array();
    match model {
        "limited" => {
            let headers = [
                (header::RETRY_AFTER, "7"),
                (header::CONTENT_TYPE, "application/json"),
            ];
            return (StatusCode::TOO_MANY_REQUESTS, headers, error.to_string()).into_response();
        }
        "failed" => return json_answer(&error),
        "page" => return "<html>Not here</html>".into_response(),
        "brotli" => {
            return (
                [(header::CONTENT_ENCODING, "br")],
                "no brotli, which no test reads",
            )
                .into_response();
        }
        _ => {}
    }
    if request["stream"] == true {
        let mut last = chunk(json!({}), Value::Null);
        last["choices"] = json!([]);
        last["usage"] = usage();
        let chunks = [
            chunk(json!({ "role": "assistant", "content": "Hello" }), Value::Null),
            if wants_tool {
                chunk(json!({ "tool_calls": call }), Value::Null)
            } else {
                chunk(json!({ "content": " Wörld" }), Value::Null)
            },
            chunk(json!({}), json!(if wants_tool { "tool_calls" } else { "stop" })),
            last,
        ];
        return ([(header::CONTENT_TYPE, "text/event-stream")], events(&chunks)).into_response();
    }
    let message = if wants_tool {
        json!({ "role": "assistant", "content": null, "tool_calls": call })
    } else {
        json!({ "role": "assistant", "content": "Hello" })
    };
    json_answer(&json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-2024", "usage": usage(),
        "choices": [{ "index": 0, "message": message, "finish_reason": if wants_tool { "tool_calls" } else { "stop" } }],
    }))
}

fn json_answer(answer: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

async fn serve() -> SocketAddr {
    let embeddings = json!({ "object": "list", "data": [{ "object": "embedding", "index": 0, "embedding": [0.1, 0.2] }],
                             "model": "e", "usage": { "prompt_tokens": 8, "total_tokens": 8 } });
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-4", "stop_reason": "end_turn",
                          "content": [{ "type": "text", "text": "Hi" }],
                          "usage": { "input_tokens": 2, "cache_read_input_tokens": 50, "output_tokens": 5 } });
    let lines = "{\"model\":\"llama\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n\
                 {\"model\":\"llama\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\
                  \"prompt_eval_count\":26,\"eval_count\":4}\n";
    let app = Router::new()
        .route(
            CHAT,
            post(|body: String| ready(chat(&serde_json::from_str(&body).unwrap()))),
        )
        .route("/v1/embeddings", post(move || ready(json_answer(&embeddings))))
        .route("/v1/messages", post(move || ready(json_answer(&message))))
        .route(
            "/api/chat",
            post(move || ready(([(header::CONTENT_TYPE, "application/x-ndjson")], lines))),
        )
        .route("/other", post(|| ready("hello")));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    addr
}

fn bare() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().no_gzip().build().unwrap()
}

fn question(model: &str, stream: bool) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "a secret question" }], "stream": stream, "temperature": 0.5 })
}

async fn post_to(layer: &ClientLayer, addr: SocketAddr, path: &str, request: &Value) -> reqwest::Response {
    let request = bare()
        .post(format!("http://{addr}{path}"))
        .body(request.to_string());
    request.send_traced(layer).await.unwrap()
}

/// Sends a request to the server and reads the whole response.
fn asked(layer: &ClientLayer, path: &str, request: &Value) -> (Closed, Arc<Recorder>, Bytes) {
    let mut answer = Bytes::new();
    let recorder = Recorder::of(async {
        let addr = serve().await;
        answer = post_to(layer, addr, path, request).await.bytes().await.unwrap();
    });
    (recorder.only_span(), recorder, answer)
}

fn tokens(recorder: &Recorder) -> Vec<(f64, String)> {
    let all = recorder.named("gen_ai.client.token.usage");
    let kind = |labels: &std::collections::BTreeMap<String, String>| labels["gen_ai.token.type"].clone();
    all.iter().map(|one| (one.value, kind(&one.labels))).collect()
}

fn both(input: f64, output: f64) -> Vec<(f64, String)> {
    vec![(input, "input".to_owned()), (output, "output".to_owned())]
}

fn assert_plain(span: &Closed) {
    assert_eq!(span.name, "POST");
    assert!(!span.fields.contains_key("category"));
    let of_model = span.fields.keys().find(|key| key.starts_with("gen_ai."));
    assert_eq!(of_model, None);
}

#[test]
fn a_whole_response_is_a_call_with_its_tokens() {
    let (span, recorder, answer) = asked(&layer(), CHAT, &question("m", false));
    assert!(answer.starts_with(b"{\"id\":"));
    assert_eq!(span.name, "chat m");
    for (name, value) in [
        ("otel.kind", "client"),
        ("category", "inference"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "m"),
        ("gen_ai.request.temperature", "0.5"),
        ("gen_ai.response.model", "m-2024"),
        ("gen_ai.response.id", "chatcmpl-1"),
        ("gen_ai.response.finish_reasons", "[\"stop\"]"),
        ("gen_ai.usage.input_tokens", "100"),
        ("gen_ai.usage.output_tokens", "20"),
        ("gen_ai.usage.cache_read.input_tokens", "64"),
    ] {
        assert_eq!(span.fields.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(
        !format!("{span:?}").contains("secret question"),
        "contents are off"
    );
    assert_eq!(tokens(&recorder), both(100.0, 20.0));
    for metric in [
        "gen_ai.client.operation.duration",
        "http.client.request.duration",
        "prompt_tokens",
    ] {
        assert_eq!(recorder.named(metric).len(), 1, "{metric}");
    }
    assert_eq!(
        recorder
            .named("gen_ai.client.operation.time_to_first_chunk")
            .len(),
        0
    );
    recorder.assert_idle();
}

#[test]
fn a_streamed_response_is_a_call_with_its_chunks() {
    let (span, recorder, answer) = asked(&layer(), CHAT, &question("m", true));
    assert!(answer.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(span.fields["gen_ai.response.chunk_count"], "4");
    assert_eq!(span.fields["gen_ai.request.stream"], "true");
    assert!(span.fields.contains_key("gen_ai.response.time_to_first_chunk"));
    assert_eq!(tokens(&recorder), both(100.0, 20.0));
    assert_eq!(
        recorder
            .named("gen_ai.client.operation.time_to_first_chunk")
            .len(),
        1
    );
    let between = recorder.named("gen_ai.client.operation.time_per_output_chunk");
    assert_eq!(between.len(), 3);
    assert!(
        between
            .iter()
            .all(|one| one.labels["gen_ai.request.model"] == "m" && one.span == Some(span.ids))
    );
}

#[test]
fn other_apis_are_calls_too() {
    let (span, recorder, _) = asked(&layer(), "/v1/embeddings", &json!({ "model": "e", "input": "x" }));
    assert_eq!(span.name, "embeddings e");
    assert_eq!(tokens(&recorder), [(8.0, "input".to_owned())]);
    let request = json!({ "model": "claude", "max_tokens": 5, "messages": [] });
    let (span, recorder, _) = asked(&layer(), "/v1/messages", &request);
    assert_eq!(
        (span.name.as_str(), span.fields["gen_ai.provider.name"].as_str()),
        ("chat claude", "anthropic")
    );
    assert_eq!(tokens(&recorder), both(52.0, 5.0));
    let (span, recorder, _) = asked(
        &layer(),
        "/api/chat",
        &json!({ "model": "llama", "messages": [] }),
    );
    assert_eq!(span.fields["gen_ai.response.chunk_count"], "2");
    assert_eq!(tokens(&recorder), both(26.0, 4.0));
}

#[test]
fn responses_are_the_same_as_without_the_layer() {
    Recorder::of(async {
        let addr = serve().await;
        for request in [
            question("m", false),
            question("m", true),
            question("limited", false),
            question("page", true),
            question("brotli", false),
        ] {
            let url = format!("http://{addr}{CHAT}");
            let without = bare().post(&url).body(request.to_string()).send().await.unwrap();
            let with = post_to(&layer(), addr, CHAT, &request).await;
            assert_eq!(without.status(), with.status());
            let names = |response: &reqwest::Response| response.headers().keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&without), names(&with));
            assert_eq!(without.bytes().await.unwrap(), with.bytes().await.unwrap());
        }
    });
}

#[test]
fn contents_are_recorded_if_they_are_enabled() {
    let layer = ClientLayer::builder()
        .model_calls_with(ModelCalls::new().content(true))
        .build();
    let (span, ..) = asked(&layer, CHAT, &question("m", true));
    assert_eq!(
        span.fields["gen_ai.input.messages"],
        r#"[{"role":"user","parts":[{"type":"text","content":"a secret question"}]}]"#
    );
    assert_eq!(
        span.fields["gen_ai.output.messages"],
        r#"[{"role":"assistant","parts":[{"type":"text","content":"Hello Wörld"}],"finish_reason":"stop"}]"#
    );
}

#[test]
fn errors_keep_the_providers_message() {
    for (model, status) in [("limited", "429"), ("failed", "200")] {
        let (span, recorder, _) = asked(&layer(), CHAT, &question(model, false));
        assert_eq!(span.name, format!("chat {model}"));
        assert_eq!(span.fields["http.response.status_code"], status);
        assert_eq!(span.fields["error.type"], "rate_limit_exceeded");
        assert_eq!(span.fields["otel.status_code"], "error");
        assert_eq!(span.fields["otel.status_description"], "Rate limit reached");
        let durations = recorder.named("gen_ai.client.operation.duration");
        assert_eq!(durations.len(), 1);
        assert_eq!(durations[0].labels["error.type"], "rate_limit_exceeded");
        assert!(tokens(&recorder).is_empty());
    }
}

#[test]
fn an_unknown_response_is_a_plain_request() {
    for model in ["page", "brotli"] {
        let (span, recorder, _) = asked(&layer(), CHAT, &question(model, false));
        assert_plain(&span);
        assert_eq!(recorder.named("gen_ai.client.operation.duration").len(), 0);
    }
    let (span, ..) = asked(&layer(), "/other", &question("m", false));
    assert_plain(&span);
    let (span, ..) = asked(&layer(), CHAT, &json!({ "no": "model" }));
    assert_plain(&span);
    // Without the setting nothing is read.
    let (span, ..) = asked(&ClientLayer::new(), CHAT, &question("m", false));
    assert_plain(&span);
}

#[test]
fn a_request_inside_the_span_of_its_model_call_is_a_plain_request() {
    let recorder = Recorder::of(async {
        let addr = serve().await;
        let call = ModelCall::chat("openai", "m");
        let answer = call
            .run(post_to(&layer(), addr, CHAT, &question("m", false)))
            .await;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let counts =
            ["prompt_tokens", "completion_tokens"].map(|name| answer["usage"][name].as_u64().unwrap());
        call.usage(Usage::new(counts[0], counts[1]));
    });
    let spans = recorder.spans();
    assert_eq!(spans.len(), 2);
    assert_plain(&spans[0]);
    assert_eq!(spans[0].parent, Some(spans[1].ids.span_id));
    assert_eq!(tokens(&recorder), both(100.0, 20.0));
    assert_eq!(recorder.named("gen_ai.client.operation.duration").len(), 1);
}

#[test]
fn below_an_agent_each_request_is_a_call() {
    let recorder = Recorder::of(async {
        let addr = serve().await;
        let agent = Agent::invoke("librarian");
        let work = async {
            for _ in 0..2 {
                let answer = post_to(&layer(), addr, CHAT, &question("m", false)).await;
                answer.bytes().await.unwrap();
            }
        };
        work.instrument(agent.span().clone()).await;
    });
    let spans = recorder.spans();
    assert_eq!(spans.iter().filter(|span| span.name == "chat m").count(), 2);
    assert!(
        spans[..2]
            .iter()
            .all(|span| span.parent == Some(spans[2].ids.span_id))
    );
    // The server gives both responses one id, and a response counts once.
    assert_eq!(tokens(&recorder), both(100.0, 20.0));
}

#[test]
fn settings_select_the_hosts_and_their_providers() {
    let of = |calls: ModelCalls| ClientLayer::builder().model_calls_with(calls).build();
    let elsewhere = of(ModelCalls::new().hosts(["api.openai.com"]));
    assert_plain(&asked(&elsewhere, CHAT, &question("m", false)).0);
    let here = of(ModelCalls::new()
        .hosts(["127.0.0.1"])
        .provider("127.0.0.1", "vllm"));
    let (span, ..) = asked(&here, CHAT, &question("m", false));
    assert_eq!(span.fields["gen_ai.provider.name"], "vllm");
}

#[test]
fn a_call_without_a_complete_response_has_the_reason() {
    // A body that is not read.
    let recorder = Recorder::of(async {
        let addr = serve().await;
        drop(post_to(&layer(), addr, CHAT, &question("m", true)).await);
    });
    let span = recorder.only_span();
    assert_eq!(
        (span.name.as_str(), span.fields["spanscope.body_dropped"].as_str()),
        ("chat m", "true")
    );
    // No server.
    let recorder = Recorder::of(async {
        let addr = server::closed().await;
        let request = bare()
            .post(format!("http://{addr}{CHAT}"))
            .body(question("m", false).to_string());
        request.send_traced(&layer()).await.unwrap_err();
    });
    let span = recorder.only_span();
    assert_eq!(
        (span.name.as_str(), span.fields["error.type"].as_str()),
        ("chat m", "connection_refused")
    );
    // A request that its caller drops.
    let recorder = Recorder::of(async {
        let service = layer().layer(service_fn(async |_: Request<Full<Bytes>>| {
            std::future::pending::<Result<http::Response<Full<Bytes>>, std::io::Error>>().await
        }));
        let body = Full::new(Bytes::from(question("m", true).to_string()));
        let request = Request::post(format!("http://host{CHAT}")).body(body).unwrap();
        let answer = service.oneshot(request);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(5), answer).await;
    });
    let span = recorder.only_span();
    assert_eq!(
        (span.name.as_str(), span.fields["error.type"].as_str()),
        ("chat m", "cancelled")
    );
    // A stream that breaks in the middle of a character.
    let recorder = Recorder::of(async {
        let addr = server::raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 1000\r\n\r\n\
              data: {\"id\":\"c\",\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\xC3",
        )
        .await;
        post_to(&layer(), addr, CHAT, &question("m", true))
            .await
            .bytes()
            .await
            .unwrap_err();
    });
    let span = recorder.only_span();
    assert_eq!(
        (
            span.name.as_str(),
            span.fields["gen_ai.response.chunk_count"].as_str()
        ),
        ("chat m", "1")
    );
    assert_eq!(span.fields["gen_ai.response.model"], "m-1");
    assert_eq!(span.fields["otel.status_code"], "error");
}

#[test]
fn a_function_can_read_a_body_of_any_type() {
    struct Own(Bytes);
    let answer = || {
        let answer = json!({ "id": "x", "choices": [], "usage": usage() }).to_string();
        http::Response::new(Full::new(Bytes::from(answer)))
    };
    let ask = |calls: ModelCalls| {
        Recorder::of(async {
            let layer = ClientLayer::builder().model_calls_with(calls).build();
            let service = layer.layer(service_fn(async |_: Request<Own>| {
                Ok::<_, std::io::Error>(answer())
            }));
            let body = Own(Bytes::from(question("m", false).to_string()));
            let request = Request::post(format!("http://api.openai.com{CHAT}"))
                .body(body)
                .unwrap();
            service
                .oneshot(request)
                .await
                .unwrap()
                .into_body()
                .collect()
                .await
                .unwrap();
        })
        .only_span()
    };
    assert_plain(&ask(ModelCalls::new()));
    let calls = ModelCalls::new().body_of(|body: &Own| Some(body.0.clone()));
    assert_eq!(ask(calls).name, "chat m");
}

/// Sends requests like a user of async-openai: whole or streamed, with a tool.
fn by_async_openai(stream: bool) -> Arc<Recorder> {
    Recorder::of(async {
        let addr = serve().await;
        let config = OpenAIConfig::new()
            .with_api_base(format!("http://{addr}/v1"))
            .with_api_key("hunter2");
        let service = layer().layer(ReqwestService::new(bare()));
        let client = Client::with_config(config).with_http_service(service);
        let mut request = question("m", stream);
        let function = json!({ "name": "weather", "parameters": { "type": "object", "properties": {} } });
        request["tools"] = json!([{ "type": "function", "function": function }]);
        let request = serde_json::from_value(request).unwrap();
        if stream {
            let mut stream = client.chat().create_stream(request).await.unwrap();
            while let Some(chunk) = stream.next().await {
                chunk.unwrap();
            }
        } else {
            let answer = client.chat().create(request).await.unwrap();
            assert!(answer.choices[0].message.tool_calls.is_some());
        }
    })
}

#[test]
fn async_openais_calls_are_read_whole_and_streamed() {
    for stream in [false, true] {
        let recorder = by_async_openai(stream);
        let span = recorder.only_span();
        assert_eq!(span.name, "chat m", "stream: {stream}");
        assert_eq!(span.fields["gen_ai.response.finish_reasons"], "[\"tool_calls\"]");
        assert_eq!(tokens(&recorder), both(100.0, 20.0));
        assert!(!format!("{span:?}").contains("hunter2"));
        recorder.assert_idle();
    }
}
