//! `spanscope serve` from outside: the real command on a real port, with real clients.
//!
//! The clients are the published Python client of the telemetry API, OpenTelemetry's SDKs for
//! Python and Node, and an `EventSource` for Node, which the programs in `tests/clients` drive.
//! Variables name their locations, which `.ci/run` sets; see CONTRIBUTING.md. A test whose client
//! is missing is skipped with a message, and fails if `SPANSCOPE_NO_SKIP` is set.
#![cfg(all(unix, feature = "serve"))] // signals, and programs with a time limit
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[cfg(feature = "otlp")] // the demo sends its spans
mod bridged;
mod by_design;
#[cfg(feature = "clickhouse")]
mod clickhouse;
mod crowd;
mod damaged;
#[cfg(feature = "otlp")]
mod default_port;
mod drills;
mod event_source;
mod expected;
#[cfg(target_os = "linux")]
mod failures;
mod field;
mod grpc;
mod guests;
mod lifetime;
mod llama_stack;
mod openapi;
mod otel_sdks;
mod received;
mod refusals;
mod runs;
mod secrets;
mod senders;
mod stored;
mod stored_metrics;
mod support;
mod tokens;
