//! Tests of the store over a real ClickHouse, and over a server with prepared answers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod collector;
mod contract;
mod engine;
mod faults;
mod peer;
mod reads;
