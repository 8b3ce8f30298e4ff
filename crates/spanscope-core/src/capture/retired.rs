//! Layers that are gone while spans are open whose records they keep.
//!
//! One layer applies late fields to a span's record: the one that made it. Where that layer is dropped
//! meanwhile, as `reload::Layer` does when it puts another one in its place, the next layer that is
//! called takes the record over. Layers are numbered for the life of the process and never numbered
//! anew, so a number that is in here stays; it takes some bytes for each layer that a program drops.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync::lock;

/// Whether there are any: programs that drop no layer pay one load for this, where a layer meets a
/// record that another one made.
static ANY: AtomicBool = AtomicBool::new(false);

static RETIRED: Mutex<Option<HashSet<u32>>> = Mutex::new(None);

/// A layer is gone.
pub(super) fn retire(layer: u32) {
    lock(&RETIRED).get_or_insert_default().insert(layer);
    ANY.store(true, Ordering::Release);
}

/// Whether any layer is gone.
#[inline]
pub(super) fn any_retired() -> bool {
    ANY.load(Ordering::Acquire)
}

/// Whether this layer is gone.
#[inline]
pub(super) fn is_retired(layer: u32) -> bool {
    any_retired()
        && lock(&RETIRED)
            .as_ref()
            .is_some_and(|retired| retired.contains(&layer))
}
