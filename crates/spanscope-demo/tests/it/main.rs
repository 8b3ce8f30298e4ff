//! The agent from outside: against its own server, and against servers that answer as others' do.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod agent;
mod foreign;
mod server;
mod spans;
mod support;
