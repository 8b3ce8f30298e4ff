//! A store of `tracing` spans in an embedded SQLite file ([`SqliteLayer`]), with queries on it
//! ([`SqliteStore`], a [`TraceStore`](spanscope_model::TraceStore)).
//!
//! Events with a metric are stored as measurements, together with those of [`SqliteMetricSink`].
//! The writer aggregates them by minute, so that a query over a day does not read each one.
//!
//! The layer encodes on the calling thread and writes on a separate thread; the store opens the
//! same file for reading, in the same process or another. SQL and SQLite's types are private to
//! this crate.
//!
//! The feature `regex`, which is off by default, lets conditions on the labels of a metric be
//! regular expressions.

mod file;
mod ingest;
mod json;
mod layer;
mod oneshot;
mod store;

pub use file::retention::CleanupReport;
pub use ingest::import::{ImportReport, Importer};
pub use layer::{
    DEFAULT_FLUSH_INTERVAL, DEFAULT_INDEXED_KEYS, DEFAULT_MAX_BYTES, DEFAULT_MAX_SERIES, DEFAULT_QUEUE_BYTES,
    DEFAULT_RETENTION, DEFAULT_SHUTDOWN_TIMEOUT, SqliteGuard, SqliteLayer, SqliteLayerBuilder,
    SqliteMetricSink,
};
pub use spanscope_core::ProcessResource;
pub use spanscope_core::queue::{FlushTimeout, LayerStats, OverflowPolicy, ShutdownError};
pub use spanscope_core::tail::{TailRule, TailStats};
pub use store::{
    DEFAULT_MAX_RESULT_BYTES, DEFAULT_STORE_QUEUE_BYTES, Records, SqliteStore, SqliteStoreBuilder,
};
