//! tower middleware: a span and measurements for each request of an HTTP server.
//!
//! [`RequestMetricsLayer`] goes around any service of `http` requests, so it works in axum, with hyper and in tonic, and
//! depends on none of them.
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
//! The measurements go to the metric sinks of the subscriber, as those of `spanscope_layers::metrics` do; without any
//! they go nowhere. They carry the ids of the request's span.
//!
//! `api` is the first segment of the path after a version ([`api_of`]), [`UNKNOWN`] for the root, [`OTHER`] beyond the first
//! [`DEFAULT_MAX_APIS`]. With [`route_of`](Builder::route_of) it is read from the route instead, and
//! [`UNKNOWN`] where no route matched. A gauge is told when a request begins and when it ends, each time as it is after the change, so it
//! returns to 0; values that were true for microseconds only may be skipped.
//!
//! # When a request is over, and how
//!
//! | what happened | `status` | `http.response.status_code` | `error.type` | the span's status |
//! |---|---|---|---|---|
//! | answered, up to the end of the body | the answer's | the answer's | the code, for 5xx | error for 5xx |
//! | the service returned an error | 500 | none | `service_error` | error |
//! | the service panicked | 500 | none | `panic` | error |
//! | dropped before the answer: client gone, timeout | 499 | none | `cancelled` | ok |
//! | the body ended with an error | 500 | the answer's | `body_error` | error |
//! | the body panicked | 500 | the answer's | `panic` | error |
//! | the body was dropped before its end | the answer's | the answer's | `cancelled` | ok |
//!
//! Each request is counted exactly once, and timed from the call of the service to the end of the body. Answers without a body
//! (HEAD, 204, 304, upgrades, tunnels) are over with their head. A body that the answer's code was sent for keeps that code if
//! the client leaves, since that is how event streams end; `error.type` tells it apart. A gRPC status is not an HTTP
//! status: failed calls are answered with 200.
//!
//! # The request span
//!
//! Its target is `server::request`, which is a category below `server` and has its level, so it is on by default;
//! `LLAMA_STACK_LOGGING=server::request=off` silences it alone. It is named by method and route (by
//! method and `api` without [`route_of`](Builder::route_of), by the method alone where no route matched), continues the trace of a well-formed `traceparent` with its sampled flag, and is entered while the service and the body work. It has the
//! attributes of OpenTelemetry's HTTP conventions, `tracestate`, and `telemetry.service` and `telemetry.version` from the headers
//! `X-Telemetry-Service` and `X-Telemetry-Version`. Query strings and bodies are never recorded.

mod apis;
mod body;
mod in_flight;
mod layer;
mod level;
mod measure;
mod path;
mod request;
mod service;
mod shared;
mod span;
mod traceparent;

pub use apis::{DEFAULT_MAX_APIS, OTHER, UNKNOWN};
pub use body::MeasuredBody;
pub use layer::{Builder, RequestMetricsLayer};
pub use path::{DEFAULT_EXCLUDED, api_of};
pub use service::{RequestMetrics, ResponseFuture};
