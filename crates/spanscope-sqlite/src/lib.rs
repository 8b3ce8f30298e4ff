//! Keeps `tracing` spans in an embedded SQLite file ([`SqliteLayer`]) and answers questions about them
//! ([`SqliteStore`], a [`TraceStore`](spanscope_model::TraceStore)).
//!
//! Events that carry a metric are kept as measurements, beside what [`SqliteMetricSink`] is given; minutes are added up as
//! they are written, so that a question about a day does not read every one.
//!
//! The layer encodes on the calling thread and writes on one thread of its own; the store opens the same file for
//! reading, in the same process or another. SQL and SQLite's types stay inside of this crate.

mod file;
mod ingest;
mod json;
mod layer;
mod promise;
mod store;

pub use file::retention::CleanupReport;
pub use ingest::import::ImportReport;
pub use layer::{
    DEFAULT_FLUSH_INTERVAL, DEFAULT_INDEXED_KEYS, DEFAULT_MAX_BYTES, DEFAULT_MAX_SERIES, DEFAULT_QUEUE_BYTES,
    DEFAULT_RETENTION, DEFAULT_SHUTDOWN_TIMEOUT, SqliteGuard, SqliteLayer, SqliteLayerBuilder,
    SqliteMetricSink,
};
pub use spanscope_core::queue::{FlushTimeout, LayerStats, OverflowPolicy};
pub use spanscope_core::tail::{TailRule, TailStats};
pub use store::{DEFAULT_INTAKE_BYTES, DEFAULT_MAX_ANSWER_BYTES, SqliteStore, SqliteStoreBuilder};
