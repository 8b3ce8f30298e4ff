//! The agent, through its public API: with its own server, and with servers that respond like other
//! model servers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod agent;
mod foreign;
mod server;
mod spans;
mod support;
