//! The writer's caches for reading records, kept from batch to batch.

use std::collections::HashMap;
use std::sync::Arc;

use spanscope_core::capture::{CallsiteCache, Decoder};
use spanscope_layers::Categories;

use super::decode::{Decoded, PreparedCallsite};

/// The writer's caches for reading records.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) callsites: CallsiteCache<PreparedCallsite>,
    /// Callsite rows of records of the `log` crate, by target and level.
    pub(super) log_callsites: HashMap<(String, u8), i64>,
    /// Rows of tenants, by name.
    pub(super) tenants: HashMap<String, i64>,
    pub(super) decoder: Decoder,
    pub(super) decoded: Decoded,
    pub(super) indexed_keys: Vec<String>,
}

impl Reading {
    pub(super) fn new(categories: Arc<Categories>) -> Self {
        Self {
            callsites: CallsiteCache::new(categories),
            log_callsites: HashMap::new(),
            tenants: HashMap::new(),
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            indexed_keys: Vec::new(),
        }
    }

    /// Drops cached rows that may not exist: the file was replaced, or a transaction rolled back.
    pub(super) fn forget_rows(&mut self) {
        self.callsites.clear();
        self.log_callsites.clear();
        self.tenants.clear();
    }
}
