//! What Spanscope answers over HTTP, as routers to be merged into an axum server.
//!
//! - [`telemetry_router`] is the telemetry API of a store (seed 1), [`otlp_router`] takes in what
//!   OpenTelemetry SDKs send; [`otlp_json`] writes stored traces as these read them.
//! - [`runs_router`] answers agent traces, live and afterwards (seed 5); [`AgentRun`] makes a handler's work such a run.
//! - [`local_only`] keeps the pages of strangers away, [`with_tokens`] everybody who has no token; [`Caller`] says whose a request is.
//! - [`Server::builder`] puts all of it together, and the [`Server`] runs it within [`Limits`].
//! - [`BoundServer::listen_grpc`](BoundServer) takes OTLP over gRPC at a port of its own (feature `grpc`).
//! - [`PrometheusSink`] adds measurements up for Prometheus, [`metrics_router`] answers `GET /metrics`.
//!
//! Status codes and axum live in this crate only; it contains no SQL and reads no environment.

mod answer;
mod answer_memory;
mod api;
mod bearer;
mod body;
mod budget;
mod builder;
mod caller;
mod connection;
mod datasets;
mod ends;
#[cfg(feature = "grpc")]
mod grpc;
mod guests;
mod health;
mod limits;
mod local;
mod metrics;
mod otlp;
mod peers;
mod permits;
mod receive;
mod route;
mod runs;
mod serve;
mod setters;
mod shared_stream;
mod telemetry;
mod unpack;

pub use bearer::{BearerTokens, MIN_TOKEN_CHARS, TokensError, with_tokens};
pub use builder::{AuthMode, ServerBuilder, openapi};
pub use caller::Caller;
pub use datasets::{DEFAULT_DATASET_BYTES, DEFAULT_TENANT_DATASET_BYTES, Datasets};
pub use guests::{AllowedHost, AllowedOrigin, ParseGuestError};
pub use health::health_router;
pub use limits::Limits;
pub use local::local_only;
pub use metrics::{MAX_LABEL_SETS, MAX_LABEL_VALUE, MAX_LABELS, MAX_METRICS, PrometheusSink, metrics_router};
pub use otlp::otlp_json;
pub use receive::otlp_router;
pub use route::matched_route;
pub use runs::{AgentHandle, AgentRun, RunSettings, RunningAgent, Traced, TracedStream, runs_router};
pub use serve::{BoundServer, Server};
pub use spanscope_model::wire::STORED_IN;
pub use spanscope_runs::{DetailLevel, TraceFormat};
pub use telemetry::{telemetry_router, telemetry_router_with};
