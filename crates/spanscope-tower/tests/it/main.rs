//! The middleware seen from outside: around services, and in the servers that people use.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod axum_server;
mod client;
mod hyper_server;
mod interleavings;
mod requests;
mod settings;
mod spans;
mod support;
mod tonic_server;
