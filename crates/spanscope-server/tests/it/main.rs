//! What the crate does, seen from outside.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod http;
mod limits;
mod prometheus;
mod support;
mod text;
mod writing;
