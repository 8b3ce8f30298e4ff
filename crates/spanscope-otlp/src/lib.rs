//! Exports captured spans, events and measurements to any OpenTelemetry collector, as OTLP over
//! HTTP (protobuf or JSON) or gRPC. A *bridge* is one [`OtlpLayer`] with its queues and threads.
//!
//! - [`OtlpLayer`] is the layer; [`OtlpLayerBuilder`] has its settings, from code or from the
//!   environment; [`OtlpGuard`] keeps it running and has its statistics.
//! - [`propagation`] propagates the trace with HTTP requests.
//! - [`OpenTelemetrySpanExt`] works on spans as usual, and the other sinks show its changes too.
//!
//! A span has one identity: its trace id, span id and parent are the same in the collector, in the
//! local store and on the console. All of them are created from the same record.
//!
//! Recording never waits for the network. If a collector is unreachable, slow or refuses requests,
//! records are lost and counted by cause in [`OtlpStats`], with one line per minute on stderr; the
//! export continues without a restart.
//!
//! # Variables
//!
//! [`OtlpLayerBuilder::from_env`], and so `spanscope::init`, reads these. Empty means not set; an
//! invalid value is reported and ignored. `*` stands for nothing, `TRACES_`, `METRICS_` or `LOGS_`;
//! the variable of one signal takes precedence. Times are in milliseconds, as in OpenTelemetry's
//! specification; a value below 100 is used and reported once, because it was probably meant in
//! seconds.
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
