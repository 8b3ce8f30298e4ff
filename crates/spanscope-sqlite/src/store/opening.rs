//! How a store is opened that takes in records.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spanscope_core::capture::DEFAULT_MAX_VALUE_LEN;
use spanscope_model::StoreError;

use super::SqliteStore;
use super::lanes::{LaneTimes, Lanes};
use crate::ingest::remote::{Intake, Settings};
use crate::layer::{DEFAULT_INDEXED_KEYS, DEFAULT_MAX_BYTES, DEFAULT_MAX_SERIES, DEFAULT_RETENTION};

/// Bytes of records that may wait to be written; what comes beyond is refused.
pub const DEFAULT_INTAKE_BYTES: usize = 64 * 1024 * 1024;
/// How large one answer may be, about.
pub const DEFAULT_MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// How a [`SqliteStore`] is kept that takes in records. Every setter names its default.
///
/// ```
/// use spanscope_model::{Event, EventKind, Severity, Timestamp, TraceStore, block_on};
/// use spanscope_sqlite::SqliteStore;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("trace_store.db");
/// let store = SqliteStore::builder().open(path)?;
/// let hello = Event {
///     trace_id: None,
///     span_id: None,
///     timestamp: Timestamp::now(),
///     attributes: Default::default(),
///     kind: EventKind::UnstructuredLog { message: "hello".into(), severity: Severity::Info },
/// };
/// block_on(store.log_event(hello, 3600))?;
/// assert_eq!(block_on(store.list_logs(Default::default()))?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open`"]
pub struct SqliteStoreBuilder {
    settings: Settings,
    max_answer_bytes: usize,
}

impl SqliteStoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings {
                retention: DEFAULT_RETENTION,
                max_bytes: DEFAULT_MAX_BYTES,
                max_series: DEFAULT_MAX_SERIES,
                max_value_len: DEFAULT_MAX_VALUE_LEN,
                queue_bytes: DEFAULT_INTAKE_BYTES,
                indexed_keys: DEFAULT_INDEXED_KEYS.iter().map(ToString::to_string).collect(),
            },
            max_answer_bytes: DEFAULT_MAX_ANSWER_BYTES,
        }
    }

    /// How long traces, events and measurements are kept. Default: [`DEFAULT_RETENTION`].
    pub fn retention(mut self, age: Duration) -> Self {
        self.settings.retention = age;
        self
    }

    /// How large the file may grow. Default: [`DEFAULT_MAX_BYTES`]; the least is 1 MiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = bytes.max(1024 * 1024);
        self
    }

    /// How many label sets of one metric of a tenant are kept apart. Default: [`DEFAULT_MAX_SERIES`].
    pub fn max_series(mut self, count: u64) -> Self {
        self.settings.max_series = count;
        self
    }

    /// Longer values are cut to so many bytes. Default: [`DEFAULT_MAX_VALUE_LEN`].
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.settings.max_value_len = bytes;
        self
    }

    /// Bytes of records that may wait to be written. Default: [`DEFAULT_INTAKE_BYTES`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.settings.queue_bytes = bytes;
        self
    }

    /// How large one answer may be; a larger one is refused. Default: [`DEFAULT_MAX_ANSWER_BYTES`].
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer_bytes = bytes;
        self
    }

    /// Opens or makes the file, in a folder that is made if it is missing, and starts the thread that writes. The thread ends,
    /// and writes what waits, when the last clone of the store is dropped.
    ///
    /// # Errors
    /// The file is no span store or one of a newer version, or its folder can't be made or written.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, StoreError> {
        let path = path.as_ref();
        let retention = self.settings.retention;
        let intake = Intake::open(path, self.settings)?;
        let mut store = SqliteStore::open(path)?;
        store.retention = Some(retention);
        store.intake = Some(Arc::new(intake));
        store.context.max_answer_bytes = self.max_answer_bytes;
        store.lanes = Arc::new(Lanes::new(LaneTimes::SERVED));
        Ok(store)
    }
}
