//! The behaviour of the crate, seen from outside.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bounds;
mod ending;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
mod limits;
mod local;
mod openapi;
mod otlp;
#[cfg(feature = "pages")]
mod pages;
mod prometheus;
mod protocol;
mod readers;
mod running;
mod runs;
mod slow;
mod stores;
mod support;
mod telemetry;
mod tenants;
mod text;
mod wire;
mod writing;
