//! rmcp's own client and server, with the store's records of their calls.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bad_input;
mod calls;
mod http;
mod support;
