//! What Spanscope answers over HTTP, as routers to be merged into an axum server.
//!
//! - [`telemetry_router`] asks a store the questions of the telemetry API (seed 1); [`local_only`] keeps the pages of strangers from it.
//! - [`PrometheusSink`] adds measurements up for Prometheus, [`metrics_router`] answers `GET /metrics`.
//!
//! Status codes and axum live in this crate only; it contains no SQL and reads no environment.

mod answer;
mod body;
mod local;
mod metrics;
mod telemetry;

pub use local::local_only;
pub use metrics::{MAX_LABEL_SETS, MAX_LABEL_VALUE, MAX_LABELS, MAX_METRICS, PrometheusSink, metrics_router};
pub use telemetry::telemetry_router;
