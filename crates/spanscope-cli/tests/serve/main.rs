//! `spanscope serve` from outside: the real command on a real port, asked and sent to by real clients.
//!
//! The clients are the public Python client of the telemetry API, OpenTelemetry's SDKs for Python and Node, and an `EventSource`
//! for Node, which the programs in `tests/clients` drive. Where they are is said by variables, which `.ci/run` sets; see CONTRIBUTING.md. A test
//! whose client is not there says so and does nothing, unless `SPANSCOPE_NO_SKIP` is set.
#![cfg(unix)] // signals, and programs that are given up after a time
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bridged;
mod by_design;
mod default_port;
mod drills;
mod event_source;
mod expected;
mod field;
#[cfg(feature = "grpc")]
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
mod support;
mod tokens;
