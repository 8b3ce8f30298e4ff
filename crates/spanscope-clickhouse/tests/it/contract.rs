//! The contract of every store, over the tables of each generation. Records get in as the
//! collector's exporter writes them, so every test of reading runs.

use std::sync::Arc;

use spanscope_clickhouse::ClickHouseStore;
use spanscope_model::{Capabilities, TraceStore};
use spanscope_store_tests::Put;

use crate::collector::{self, Generation, TENANT};
use crate::engine::Database;

fn open(database: &Database) -> (Arc<dyn TraceStore>, Capabilities) {
    let address = database.address(&format!("?lag=0s&tenant_attribute={TENANT}"));
    let store = ClickHouseStore::open(address).unwrap();
    let capabilities = store.capabilities();
    (Arc::new(store), capabilities)
}

fn put(database: &Arc<Database>, generation: Generation) -> Put {
    let database = Arc::clone(database);
    Arc::new(move |tenant, records| collector::write(&database, generation, tenant, records))
}

macro_rules! contract {
    ($($module:ident: $generation:ident;)*) => {
        $(mod $module {
            use std::sync::Arc;

            use spanscope_model::{Capabilities, TraceStore};
            use spanscope_store_tests::{Fixture, Put};

            use crate::collector::$generation;
            use crate::engine::{self, Database};

            pub(crate) struct Tables(Arc<Database>);

            impl Fixture for Tables {
                fn new() -> Self {
                    Self(Arc::new(Database::new($generation.sql)))
                }

                fn is_available() -> bool {
                    engine::is_available()
                }

                fn open(&self) -> (Arc<dyn TraceStore>, Capabilities) {
                    super::open(&self.0)
                }

                fn put(&self) -> Option<Put> {
                    Some(super::put(&self.0, $generation))
                }

                /// Each filter needs several statements.
                fn filters() -> usize {
                    engine::number_of("SPANSCOPE_FILTERS", 30)
                }
            }

            spanscope_store_tests::contract!(crate::contract::$module::Tables);
        })*
    };
}

contract! {
    old: OLD;
    map: MAP;
    text: TEXT;
    json: JSON;
}
