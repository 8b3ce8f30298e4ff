//! [`SqliteStoreBuilder`]: opens a store that accepts records.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spanscope_core::capture::DEFAULT_MAX_VALUE_LEN;
use spanscope_core::metrics::MetricSink;
use spanscope_model::StoreError;

use super::SqliteStore;
use super::lanes::{LaneTimes, Lanes};
use crate::ingest::remote::{Intake, Settings, StoredMetricSink};
use crate::layer::{DEFAULT_INDEXED_KEYS, DEFAULT_MAX_BYTES, DEFAULT_MAX_SERIES, DEFAULT_RETENTION};

/// Maximum size of records that wait to be written, in bytes; further records are refused.
pub const DEFAULT_STORE_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Approximate maximum size of one result, in bytes.
pub const DEFAULT_MAX_RESULT_BYTES: usize = 64 * 1024 * 1024;

/// The settings of a [`SqliteStore`] that accepts records. Every setter names its default.
///
/// ```
/// use spanscope_model::{Event, EventKind, Severity, Timestamp, TraceStore, block_on};
/// use spanscope_sqlite::SqliteStore;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("trace_store.db");
/// let store = SqliteStore::builder().open(path)?;
/// let message = EventKind::UnstructuredLog { message: "hello".into(), severity: Severity::Info };
/// let hello = Event::new(Timestamp::now(), message);
/// block_on(store.log_event(hello, 3600))?;
/// assert_eq!(block_on(store.list_logs(Default::default()))?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open`"]
pub struct SqliteStoreBuilder {
    settings: Settings,
    max_result_bytes: usize,
}

impl SqliteStoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings {
                retention: DEFAULT_RETENTION,
                max_bytes: DEFAULT_MAX_BYTES,
                max_series: DEFAULT_MAX_SERIES,
                max_value_len: DEFAULT_MAX_VALUE_LEN,
                queue_bytes: DEFAULT_STORE_QUEUE_BYTES,
                indexed_keys: DEFAULT_INDEXED_KEYS.iter().map(ToString::to_string).collect(),
                is_import: false,
                stored_metrics: None,
            },
            max_result_bytes: DEFAULT_MAX_RESULT_BYTES,
        }
    }

    /// Sets how long traces, events and measurements are kept. Default: [`DEFAULT_RETENTION`].
    pub fn retention(mut self, age: Duration) -> Self {
        self.settings.retention = age;
        self
    }

    /// Sets the maximum size of the file, in bytes. Default: [`DEFAULT_MAX_BYTES`]; minimum: 1 MiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = bytes.max(1024 * 1024);
        self
    }

    /// Sets the maximum number of label sets of one metric of a tenant. Default:
    /// [`DEFAULT_MAX_SERIES`].
    pub fn max_series(mut self, count: u64) -> Self {
        self.settings.max_series = count;
        self
    }

    /// Sets the maximum length of a value in bytes; longer ones are truncated. Default:
    /// [`DEFAULT_MAX_VALUE_LEN`].
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.settings.max_value_len = bytes;
        self
    }

    /// Sets the maximum size of records that wait to be written, in bytes. Default:
    /// [`DEFAULT_STORE_QUEUE_BYTES`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.settings.queue_bytes = bytes;
        self
    }

    /// Sets the approximate maximum size of one result, in bytes; a larger one is refused. Default:
    /// [`DEFAULT_MAX_RESULT_BYTES`].
    pub fn max_result_bytes(mut self, bytes: usize) -> Self {
        self.max_result_bytes = bytes;
        self
    }

    /// Sets a sink that counts the records that this store stores, for example the one behind
    /// `/metrics`. Default: no sink.
    ///
    /// | counter | unit | labels |
    /// |---|---|---|
    /// | `spanscope_stored_spans_total` | `spans`, once they have ended | `service`, `kind`, `status` (`ok`, `error`), `tenant` |
    /// | `spanscope_stored_tokens_total` | `tokens` | `service`, `model`, `provider`, `direction` (`input`, `output`), `tenant` |
    ///
    /// A label without a value is left out. Records that programs write into the file themselves
    /// are not counted, nor are repeated ones. The counters start at 0 with the process and never
    /// decrease: deleting records changes none, and tokens that turn out to be counted twice are
    /// subtracted from later counts. The sink decides how many label sets it keeps.
    ///
    /// The writing thread calls the sink after each commit, so it must not block.
    pub fn stored_metrics(mut self, sink: Arc<dyn MetricSink>) -> Self {
        self.settings.stored_metrics = Some(StoredMetricSink(sink));
        self
    }

    /// Opens or creates the file, in a folder that is created if it is missing, and starts the
    /// writing thread. When the last clone of the store is dropped, the thread writes the queued
    /// records and ends.
    ///
    /// # Errors
    /// Fails if the file is not a span store or is one of a newer version, or if its folder can't
    /// be created or written.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, StoreError> {
        let path = path.as_ref();
        let retention = self.settings.retention;
        let met_damage = Arc::default();
        let intake = Intake::open(path, self.settings, Arc::clone(&met_damage))?;
        let mut store = SqliteStore::open(path)?;
        if let Some(file) = Arc::get_mut(&mut store.file) {
            file.met_damage = met_damage;
        }
        store.retention = Some(retention);
        store.intake = Some(Arc::new(intake));
        store.context.max_result_bytes = self.max_result_bytes;
        store.lanes = Arc::new(Lanes::new(LaneTimes::SERVED));
        Ok(store)
    }
}
