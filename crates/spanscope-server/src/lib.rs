//! What Spanscope answers over HTTP. It begins with metrics for Prometheus: [`PrometheusSink`] adds measurements up,
//! [`metrics_router`] answers `GET /metrics` in an axum server.
//!
//! Status codes and axum live in this crate only; it contains no SQL and reads no environment.

mod metrics;

pub use metrics::{MAX_LABEL_SETS, MAX_LABEL_VALUE, MAX_LABELS, MAX_METRICS, PrometheusSink, metrics_router};
