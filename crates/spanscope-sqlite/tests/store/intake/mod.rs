//! Records that other programs send, for features that only this store has; the rest is in
//! `spanscope-store-tests`.

mod bounds;
mod events;
mod readers;
mod runs;
mod snapshots;
mod stored;
mod tenants;

use spanscope_model::{IngestReceipt, NewRecords, SqlStore as _, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;

pub(crate) use spanscope_store_tests::made::{MS, ago, event, of, point, points, records, span, total};

/// A store in a separate folder that accepts records.
pub(crate) struct Open {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: SqliteStore,
}

pub(crate) fn open() -> Open {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder()
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    Open { folder, store }
}

impl Open {
    pub(crate) fn sql(&self, query: &str) -> Vec<Vec<serde_json::Value>> {
        self.store.sql(query, 1000).unwrap().rows
    }
}

pub(crate) fn store(store: &dyn TraceStore, records: NewRecords) -> IngestReceipt {
    block_on(store.store(records)).unwrap()
}
