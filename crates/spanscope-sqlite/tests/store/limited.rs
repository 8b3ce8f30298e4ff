//! The contract of a store that can do less: nothing may be deleted, or nothing written.

use std::sync::Arc;

use spanscope_model::{Capabilities, TraceStore};
use spanscope_sqlite::SqliteStore;
use spanscope_store_tests::Fixture;
use spanscope_store_tests::hooked::Hooked;

use crate::fixture::SqliteFile;

/// `SqliteStore` without its deletes.
pub(crate) struct NoDeletes(SqliteFile);

impl Fixture for NoDeletes {
    fn new() -> Self {
        Self(SqliteFile::new())
    }

    fn open(&self) -> (Arc<dyn TraceStore>, Capabilities) {
        let (store, mut capabilities) = self.0.open();
        capabilities.deletes = false;
        (Arc::new(Hooked::limited(store, capabilities)), capabilities)
    }
}

spanscope_store_tests::contract!(crate::limited::NoDeletes);

/// `SqliteStore` opened for reading.
struct ReadOnly(tempfile::TempDir);

impl Fixture for ReadOnly {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> (Arc<dyn TraceStore>, Capabilities) {
        let path = self.0.path().join("trace_store.db");
        drop(SqliteStore::builder().open(&path).unwrap());
        let store = SqliteStore::open(&path).unwrap();
        let capabilities = store.capabilities();
        assert!(!capabilities.writes && !capabilities.deletes);
        (Arc::new(store), capabilities)
    }
}

#[test]
fn a_store_that_is_opened_for_reading_reports_unsupported_methods() {
    spanscope_store_tests::limits::what_a_store_can_not_do_fails_as_unsupported::<ReadOnly>();
}
