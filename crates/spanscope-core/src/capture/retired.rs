//! Layers that were dropped while spans were open whose records they keep.
//!
//! One layer applies late fields to a span's record: the one that created it. If that layer is
//! dropped meanwhile, as `reload::Layer` does when it replaces one, the next layer that is called
//! takes the record over. Layer numbers are never reused, so entries are never removed: the set
//! takes some bytes for each layer that a program drops.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync::lock;

/// Whether there are any: programs that drop no layer pay one load for this, when a layer finds a
/// record that another one created.
static ANY: AtomicBool = AtomicBool::new(false);

static RETIRED: Mutex<Option<HashSet<u32>>> = Mutex::new(None);

/// Notes that a layer is gone.
pub(super) fn retire(layer: u32) {
    lock(&RETIRED).get_or_insert_default().insert(layer);
    ANY.store(true, Ordering::Release);
}

/// Returns whether any layer is gone.
#[inline]
pub(super) fn any_retired() -> bool {
    ANY.load(Ordering::Acquire)
}

/// Returns whether this layer is gone.
#[inline]
pub(super) fn is_retired(layer: u32) -> bool {
    any_retired()
        && lock(&RETIRED)
            .as_ref()
            .is_some_and(|retired| retired.contains(&layer))
}
