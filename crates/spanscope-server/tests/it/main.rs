//! What the crate does, seen from outside.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod http;
mod limits;
mod local;
mod openapi;
mod prometheus;
mod support;
mod telemetry;
mod text;
mod writing;
