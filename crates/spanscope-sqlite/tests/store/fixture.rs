//! The contract of every store, run against `SqliteStore`.

use std::sync::Arc;
use std::time::Duration;

use spanscope_model::{Capabilities, TraceStore};
use spanscope_sqlite::SqliteStore;
use spanscope_store_tests::Fixture;

/// Stores in files of one folder, which is deleted with the fixture.
pub(crate) struct SqliteFile(tempfile::TempDir);

impl Fixture for SqliteFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> (Arc<dyn TraceStore>, Capabilities) {
        let a_century = Duration::from_secs(100 * 365 * 86_400);
        let store = SqliteStore::builder()
            .retention(a_century)
            .open(self.0.path().join("trace_store.db"))
            .unwrap();
        let capabilities = store.capabilities();
        (Arc::new(store), capabilities)
    }
}

spanscope_store_tests::contract!(crate::fixture::SqliteFile);
