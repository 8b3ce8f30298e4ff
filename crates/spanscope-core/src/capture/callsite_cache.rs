//! A cache of the data that a sink computes once for each callsite.
//!
//! The key is the address of a callsite's metadata, which is static. `tracing`'s `Identifier` is no
//! alternative: the five callsites of `tracing-log` are zero-sized values at one address, so their
//! identifiers are equal while their hashes differ, and a table keyed by them confuses levels in
//! some processes.

use std::collections::HashMap;
use std::sync::Arc;

use tracing_core::Metadata;

use super::callsite::CallsiteInfo;
use super::category::CategoryLookup;

/// A cache with one value for each callsite, computed when the callsite is first seen.
#[derive(Debug)]
pub struct CallsiteCache<T> {
    categories: Arc<dyn CategoryLookup>,
    known: HashMap<usize, T>,
}

impl<T> CallsiteCache<T> {
    /// Creates an empty cache.
    #[must_use]
    pub fn new(categories: Arc<dyn CategoryLookup>) -> Self {
        Self {
            categories,
            known: HashMap::new(),
        }
    }

    /// Returns the lookup for the callsites' categories.
    pub fn categories(&self) -> &dyn CategoryLookup {
        &*self.categories
    }

    /// Returns the cached value of this callsite.
    pub fn get_or_insert_with(
        &mut self,
        metadata: &'static Metadata<'static>,
        make: impl FnOnce(CallsiteInfo) -> T,
    ) -> &mut T {
        let categories = &*self.categories;
        self.known
            .entry(std::ptr::from_ref(metadata).addr())
            .or_insert_with(|| make(CallsiteInfo::new(metadata, categories)))
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}
