//! What a sink works out once for each callsite.
//!
//! A callsite is known by the address of its metadata, which lives as long as the program.
//! `tracing`'s `Identifier` will not do: the five callsites of `tracing-log` are values without a
//! size at one address, so their identifiers are equal while their hashes differ, and a table keyed
//! by them takes one level for another in some processes and not in others.

use std::collections::HashMap;
use std::sync::Arc;

use tracing_core::Metadata;

use super::callsite::CallsiteInfo;
use super::category::CategoryLookup;

/// What a sink keeps for each callsite, made when the callsite is first met.
#[derive(Debug)]
pub struct CallsiteCache<T> {
    categories: Arc<dyn CategoryLookup>,
    known: HashMap<usize, T>,
}

impl<T> CallsiteCache<T> {
    /// Knows no callsite yet.
    #[must_use]
    pub fn new(categories: Arc<dyn CategoryLookup>) -> Self {
        Self {
            categories,
            known: HashMap::new(),
        }
    }

    /// Where the callsites' categories are looked up.
    pub fn categories(&self) -> &dyn CategoryLookup {
        &*self.categories
    }

    /// What is kept for this callsite.
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

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}
