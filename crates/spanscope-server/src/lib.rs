//! Spanscope's HTTP endpoints, as routers to merge into an axum server.
//!
//! - [`telemetry_router`] serves Llama Stack's telemetry API for a store.
//! - [`otlp_router`] receives OTLP from OpenTelemetry SDKs. [`otlp_json`] writes stored records as
//!   OTLP JSON, and [`read_otlp_json`] reads such files.
//! - [`runs_router`] serves agent traces, live and afterwards, in the format of RAGFlow's agent
//!   trace API; [`AgentRun`] records a handler's work as such a run.
//! - `pages_router` serves the web pages that show a store in a browser (feature `pages`).
//! - [`local_only`] refuses requests from foreign web pages, [`with_tokens`] those without a token;
//!   [`Caller`] is the sender of a request.
//! - [`Server::builder`] puts all of it together, and the [`Server`] runs it within [`Limits`].
//! - [`BoundServer::listen_grpc`](BoundServer) receives OTLP over gRPC at a separate port (feature
//!   `grpc`).
//! - [`PrometheusSink`] aggregates measurements for Prometheus, [`metrics_router`] serves `GET
//!   /metrics`.
//!
//! Status codes and axum live in this crate only; it contains no SQL and reads no environment.

#[cfg(feature = "http")]
mod activity;
#[cfg(feature = "http")]
mod answer;
#[cfg(feature = "http")]
mod api;
#[cfg(feature = "http")]
mod bearer;
#[cfg(feature = "http")]
mod body;
#[cfg(feature = "http")]
mod response_memory;
#[cfg(not(feature = "http"))]
mod body {
    pub(crate) mod marks;
}
#[cfg(feature = "http")]
mod budget;
#[cfg(feature = "http")]
mod builder;
#[cfg(feature = "http")]
mod caller;
#[cfg(feature = "http")]
mod capability;
#[cfg(feature = "http")]
mod connection;
#[cfg(feature = "http")]
mod cross_origin;
#[cfg(feature = "http")]
mod datasets;
#[cfg(feature = "http")]
mod decompress;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod health;
#[cfg(feature = "http")]
mod held_body;
#[cfg(feature = "http")]
mod limits;
#[cfg(feature = "http")]
mod local;
#[cfg(feature = "http")]
mod metrics;
#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "only documents are read and written")
)]
mod otlp;
#[cfg(feature = "pages")]
mod pages;
#[cfg(feature = "http")]
mod peers;
#[cfg(feature = "http")]
mod permits;
#[cfg(feature = "http")]
mod receive;
#[cfg(feature = "http")]
mod route;
#[cfg(feature = "http")]
mod runs;
#[cfg(feature = "http")]
mod serve;
#[cfg(feature = "http")]
mod shared_stream;
#[cfg(feature = "http")]
mod store_log;
#[cfg(feature = "http")]
mod stream_shutdown;
#[cfg(feature = "http")]
mod telemetry;

#[cfg(feature = "http")]
pub use bearer::{BearerTokens, MIN_TOKEN_CHARS, TokensError, with_tokens};
#[cfg(feature = "schema")]
#[doc(hidden)]
pub use builder::openapi_of_the_code;
#[cfg(feature = "http")]
pub use builder::{AuthMode, ServerBuilder, openapi};
#[cfg(feature = "http")]
pub use caller::Caller;
#[cfg(feature = "http")]
pub use cross_origin::{AllowedHost, AllowedOrigin, ParseGuestError};
#[cfg(feature = "http")]
pub use datasets::{DEFAULT_DATASET_BYTES, DEFAULT_TENANT_DATASET_BYTES, Datasets};
#[cfg(feature = "http")]
pub use health::health_router;
#[cfg(feature = "http")]
pub use limits::Limits;
#[cfg(feature = "http")]
pub use local::local_only;
#[cfg(feature = "http")]
pub use metrics::{MAX_LABEL_SETS, MAX_LABEL_VALUE, MAX_LABELS, MAX_METRICS, PrometheusSink, metrics_router};
pub use otlp::{OtlpDocument, otlp_json, read_otlp_json};
#[cfg(feature = "pages")]
pub use pages::{PageSettings, pages_router};
#[cfg(feature = "http")]
pub use receive::otlp_router;
#[cfg(feature = "http")]
pub use route::matched_route;
#[cfg(feature = "http")]
pub use runs::{AgentHandle, AgentRun, RunSettings, RunningAgent, Traced, TracedStream, runs_router};
#[cfg(feature = "http")]
pub use serve::{BoundServer, Server, ShutdownError};
pub use spanscope_model::wire::STORED_IN;
#[cfg(feature = "http")]
pub use spanscope_runs::{DetailLevel, TraceFormat};
#[cfg(feature = "http")]
pub use telemetry::{telemetry_router, telemetry_router_with};
