//! tower middleware: a span and measurements for each request that an HTTP server handles or a
//! client sends, and propagation of the trace.
//!
//! [`RequestMetricsLayer`] is the server's. It wraps any service of `http` requests, so it works in
//! axum, with hyper and in tonic, and depends on none of them. [`ClientLayer`] is the
//! [client's](#the-clients-layer).
//!
//! ```
//! use http::{Request, Response};
//! use spanscope_tower::RequestMetricsLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(RequestMetricsLayer::new())
//!     .service(service_fn(async |_: Request<String>| {
//!         tracing::info!("this event is in the request's span");
//!         Ok::<_, std::io::Error>(Response::new("hello".to_owned()))
//!     }));
//! let response = service.oneshot(Request::get("/v1/models").body(String::new())?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # What is measured
//!
//! | metric | kind | unit | labels |
//! |---|---|---|---|
//! | `llama_stack_requests_total` | counter | `requests` | `api`, `status` |
//! | `llama_stack_request_duration_seconds` | histogram | `seconds` | `api`, `status` |
//! | `llama_stack_concurrent_requests` | gauge | `requests` | `api` |
//! | `http.server.request.duration` | histogram | `s` | `http.request.method`, `url.scheme`, `network.protocol.version`, and where known `http.response.status_code`, `http.route`, `error.type` |
//! | `http.server.active_requests` | gauge | `{request}` | `http.request.method`, `url.scheme` |
//!
//! The metric sinks of the subscriber receive the measurements, like those of
//! `spanscope_layers::metrics`; without a sink they are dropped. They carry the ids of the
//! request's span.
//!
//! `api` is the first segment of the path after a version ([`api_of`]), [`UNKNOWN`] for the root,
//! [`OTHER`] beyond the first [`DEFAULT_MAX_APIS`]. With
//! [`route_of`](RequestMetricsLayerBuilder::route_of) it is derived from the route instead, and
//! [`UNKNOWN`] if no route matched. A gauge is reported when a request starts and when it ends,
//! each time with the value after the change, so it returns to 0; values that were true for
//! microseconds only may be skipped.
//!
//! # When a request is over, and how
//!
//! | what happened | `status` | `http.response.status_code` | `error.type` | the span's status |
//! |---|---|---|---|---|
//! | a response, up to the end of its body | the response's | the response's | the code, for 5xx | error for 5xx |
//! | the service returned an error | 500 | none | `service_error` | error |
//! | the service panicked | 500 | none | `panic` | error |
//! | dropped before the response: the client left, a timeout | 499 | none | `cancelled` | ok |
//! | the body ended with an error | 500 | the response's | `body_error` | error |
//! | the body panicked | 500 | the response's | `panic` | error |
//! | the body was dropped before its end | the response's | the response's | `cancelled` | ok |
//!
//! Each request is counted exactly once, and timed from the call of the service to the end of the
//! body. Responses without a body (HEAD, 204, 304, upgrades, tunnels) end with their head. A
//! response keeps its code if the client leaves during the body, since that is how event streams
//! end; `error.type` distinguishes it. A gRPC status is not an HTTP status: failed calls have the
//! status 200, and metrics count them so; the span has both.
//!
//! # The request span
//!
//! Its target is `server::request`, which is a category below `server` and has its level, so it is
//! on by default; `LLAMA_STACK_LOGGING=server::request=off` silences only this. Its name is method
//! and route (method and `api` without [`route_of`](RequestMetricsLayerBuilder::route_of), only the
//! method if no route matched), it continues the trace of a well-formed `traceparent` with its
//! sampled flag, and it is entered while the service and the body work. `tracestate` and `baggage`
//! are propagated to the requests in it ([`spanscope_core::propagation`]). It has the attributes of
//! OpenTelemetry's HTTP conventions, `tracestate`, and `telemetry.service` and `telemetry.version`
//! from the headers `X-Telemetry-Service` and `X-Telemetry-Version`. Query strings and bodies are
//! never recorded.
//!
//! # The client's layer
//!
//! ```
//! use http::{Request, Response};
//! use spanscope_tower::ClientLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ServiceBuilder::new()
//!     .layer(ClientLayer::new())
//!     .service(service_fn(async |request: Request<String>| {
//!         // In a program that has a sink, the request names the client's span: `traceparent: 00-...`.
//!         Ok::<_, std::io::Error>(Response::new(request.into_body()))
//!     }));
//! let request = Request::post("https://api.example.com/v1/models").body("hello".to_owned())?;
//! assert_eq!(client.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! | client | feature | how |
//! |---|---|---|
//! | a tower service of `http` requests: hyper-util's `Client` | | `layer.layer(client)` |
//! | a channel of tonic | | `MyClient::new(layer.layer(channel))`, with [`origin`](ClientLayerBuilder::origin), because requests reach it without a host |
//! | `reqwest` | `reqwest` | `request.send_traced(&layer)` of the trait `SendTraced`, or `layer.layer(client)` as a tower service |
//! | `reqwest-middleware` 0.5 | `reqwest-middleware` | `ClientBuilder::new(client).with(layer)` |
//! | async-openai 0.43 | `async-openai` | `client.with_http_service(layer.layer(ReqwestService::new(..)))` |
//!
//! The crate `genai` accepts only a `reqwest::Client`, which a layer can't wrap. Its feature `otel`
//! opens a span for each call. `ChatOptions::with_extra_headers` propagates the trace of the
//! caller's span: [`spanscope_core::propagation::inject`] writes into a `HashMap`.
//!
//! Bytes of requests and responses are the same as without the layer, frames are passed on as they
//! arrive, and nothing is buffered. The layer adds `traceparent`, `tracestate` and `baggage` of the
//! span, for all servers or for [some](ClientLayerBuilder::propagate_to).
//!
//! | metric | kind | unit | labels |
//! |---|---|---|---|
//! | `http.client.request.duration` | histogram | `s` | `http.request.method`, `url.scheme`, and where known `server.address`, `server.port`, `network.protocol.version`, `http.response.status_code`, `error.type` |
//! | `http.client.active_requests` | gauge | `{request}` | `http.request.method`, `url.scheme`, `server.address`, `server.port` |
//!
//! The span's target is `client::request`, and its kind `client`. Its name is method and template
//! (`GET /users/{id}`), from a [`UrlTemplate`] in the request's extensions or from
//! [`template_of`](ClientLayerBuilder::template_of), else only the method. `url.full` has no
//! credentials and no secrets of the query. It lasts from the call to the end of the body:
//!
//! | what happened | `http.response.status_code` | `error.type` | the span's status |
//! |---|---|---|---|
//! | a response below 400, up to the end of its body | the code | none | unset |
//! | a response of 400 or above | the code | the code | error |
//! | a response whose body the caller dropped before its end | the code | the code, from 400 on | as above; `spanscope.body_dropped` is true |
//! | the body ended with an error, or was cut | the code | the error's kind | error, with the error's text |
//! | the client returned an error | none | the error's kind: `connection_refused`, `timeout`, ..., or its type's name | error, with the error's text |
//! | dropped before the response: a timeout around the client, a caller that gave up | none | `cancelled` | error |
//! | the client panicked | none | `panic` | error |
//!
//! Each attempt of a retry outside of the layer is a span. `reqwest-middleware` and async-openai
//! let the layer count them (`http.request.resend_count`); elsewhere a retry policy sets the number
//! as [`ResendCount`]. Redirects that `reqwest` follows by itself belong to one request, and carry
//! the trace to any host unless the client has `ClientLayer::redirect_policy`. Of two layers around
//! one client only the outer one opens spans and measures.
//!
//! # Calls of models
//!
//! With the feature `model-calls` and [`model_calls`](ClientLayerBuilder::model_calls), the span of
//! a request that calls a model is the span of that call: with the name `chat gpt-4o`, in the
//! category `inference`, with the attributes of OpenTelemetry's GenAI conventions, so the token
//! layer counts and times it like a span of `genai::ModelCall`. Requests are recognized by path and
//! body: OpenAI, Anthropic, Ollama and compatible APIs (see [`spanscope_calls`]).
//!
//! | what happened | the span |
//! |---|---|
//! | a response of the API, whole or streamed, plain or gzip | the call: models, settings, tokens, end, time to the first chunk |
//! | an error, by the status or in the response | the call, with the provider's code as `error.type` and its text |
//! | no response, or one that was cut or dropped | the call, with the part before that |
//! | a response in another form or encoding (brotli) | a plain HTTP request |
//! | a request inside a span that describes the call already (`genai::ModelCall`, rig) | a plain HTTP request |
//! | a request whose bytes are not known before they are sent: streams | a plain HTTP request; see [`ModelCalls::body_of`] |
//!
//! Messages and arguments are recorded only with [`ModelCalls::content`].
//!
//! # gRPC
//!
//! A request with the content type `application/grpc` is a call, on both sides. Its span's name is
//! the method (`library.Books/Find`) and it has `rpc.system.name`, `rpc.method` and
//! `rpc.response.status_code` of the current conventions, and `rpc.system`, `rpc.service` and
//! `rpc.grpc.status_code` of the older ones. For a client each code other than `OK` is an error;
//! for a server `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and
//! `DATA_LOSS` are. Metadata are headers, so they carry the trace.

mod apis;
mod body;
mod client;
mod exchange;
mod future;
mod grpc;
mod in_flight;
mod layer;
mod level;
mod measure;
mod path;
mod request;
mod service;
mod shared;
mod span;

pub use apis::{DEFAULT_MAX_APIS, OTHER, UNKNOWN};
pub use client::{
    ClientBody, ClientFuture, ClientLayer, ClientLayerBuilder, ClientRequest, ClientService,
    DEFAULT_MAX_HOSTS, ResendCount, UrlTemplate,
};
#[cfg(feature = "model-calls")]
pub use client::{ContentVariableError, ModelCalls};
#[cfg(feature = "reqwest")]
pub use client::{ReqwestFuture, SendTraced};
pub use layer::{RequestMetricsLayer, RequestMetricsLayerBuilder};
pub use path::{DEFAULT_EXCLUDED, api_of};
pub use service::{MeasuredBody, RequestMetrics, ResponseFuture};
