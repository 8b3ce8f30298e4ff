//! Sends what Spanscope captures to any OpenTelemetry collector: spans, events and measurements, as OTLP over HTTP (protobuf or
//! JSON) or gRPC.
//!
//! - [`OtlpLayer`] is the layer; [`OtlpLayerBuilder`] its settings, in code or from the environment; [`OtlpGuard`] keeps it
//!   running and has its account.
//! - [`propagation`] takes the trace over HTTP requests.
//! - [`OpenTelemetrySpanExt`] works on spans as ever, and what it sets is shown by the other sinks too.
//!
//! A span has one identity: its trace id, span id and parent are the same in the collector, in the local store and on the
//! console. What goes out is made of the same record as theirs.
//!
//! Nothing here makes a caller wait. A collector that is away, slow or refusing costs records, counted by cause in
//! [`OtlpStats`], and a line a minute on stderr; it needs no restart to go on.
//!
//! # Variables
//!
//! [`OtlpLayerBuilder::env`], and so `spanscope::init`, reads these. Empty means not set; what is not accepted is said and changes
//! nothing. `*` stands for nothing, `TRACES_`, `METRICS_` or `LOGS_`, where what is said of one signal comes first.
//! Times are in milliseconds, as OpenTelemetry's specification has them; a value below 100 holds and is
//! reported once, because it was probably meant in seconds.
#![doc = include_str!("variables.md")]

mod account;
mod builder;
mod convert;
mod error;
mod exporters;
mod guard;
mod layer;
mod metrics;
mod open;
mod outlets;
mod pipeline;
pub mod propagation;
mod resource;
mod settings;
mod shared;
mod tail;
mod tracer;
mod transport;
mod worker;

pub use account::{DropCounts, OtlpStats, SignalStats};
pub use builder::{DEFAULT_QUEUE_BYTES, DEFAULT_SHUTDOWN_TIMEOUT, OtlpLayerBuilder};
pub use error::OtlpError;
pub use guard::OtlpGuard;
pub use layer::OtlpLayer;
pub use metrics::OtlpMetricSink;
/// OpenTelemetry's API in the version that this crate is built on.
pub use opentelemetry;
pub use settings::{
    Compression, ContentPolicy, DEFAULT_EXPORT_TIMEOUT, DEFAULT_LOG_DELAY, DEFAULT_MAX_BATCH_SIZE,
    DEFAULT_MAX_QUEUE_SIZE, DEFAULT_METRIC_INTERVAL, DEFAULT_METRIC_TIMEOUT, DEFAULT_REQUEST_TIMEOUT,
    DEFAULT_SPAN_DELAY, Limits, Propagator, Protocol, Sampler, SettingError, Signal, Temporality, VARIABLES,
    Variable,
};
pub use spanscope_core::tail::{TailRule, TailStats};
pub use tracing_opentelemetry::OpenTelemetrySpanExt;
