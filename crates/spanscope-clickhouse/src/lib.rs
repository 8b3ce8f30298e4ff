//! Answers questions about spans, logs and metrics from the ClickHouse tables of an OpenTelemetry
//! collector, as they are.
//!
//! [`ClickHouseStore`] implements [`TraceStore`](spanscope_model::TraceStore) over the tables that
//! the collector's ClickHouse exporter creates (`otel_traces`, `otel_logs`, `otel_metrics_*`), of
//! each generation and with attributes as maps or as JSON. It only reads: the collector writes, and
//! the tables' TTL deletes.
//!
//! | part | modules |
//! |---|---|
//! | where the store is, and how it is asked | `address`, `client`, `error`, `pool`, `watch` |
//! | what the database has | `tables` |
//! | statements and their parameters | `sql`, `filter`, `reader` |
//! | rows as records of the model | `spans`, `light`, `values` |
//! | the questions | `traces`, `lists`, `tree`, `logs`, `statistics`, `shape`, `usage`, `runs`, `marks`, `metrics` |
//!
//! Values never become SQL text, and every statement has bounds of time and size. What a filter, a
//! call or a run means is decided by `spanscope-model` and `spanscope-runs`; the server looks for
//! candidates, and adds up.

mod address;
mod client;
mod error;
mod filter;
mod light;
mod lists;
mod logs;
mod marks;
mod metrics;
mod pool;
mod reader;
mod runs;
mod shape;
mod spans;
mod sql;
mod statistics;
mod store;
mod tables;
mod traces;
mod tree;
mod usage;
mod values;
mod watch;

pub use address::{PASSWORD_VARIABLE, StoreAddress};
pub use store::ClickHouseStore;
