//! Keys that are set on a span which did not declare them, for a layer that watches some of them.
//!
//! A layer that reads few spans decides by a callsite's declared fields. A key that is set late
//! ([`SpanExt::record_attribute`](super::SpanExt::record_attribute)) is not in the callsite, so the
//! record notes it; the layer, not this crate, knows which keys matter.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static IS_WATCHED: OnceLock<fn(&str) -> bool> = OnceLock::new();

/// Whether a watched key was set on any span of this process; never reset.
static WERE_SET: AtomicBool = AtomicBool::new(false);

/// Makes records note late keys for which `is_watched` returns `true`, from this call on. The first
/// caller's function is used for the whole process.
pub fn watch_late_keys(is_watched: fn(&str) -> bool) {
    let _ = IS_WATCHED.set(is_watched);
}

/// Returns whether a watched key was set late on any span. Programs that set none pay one load for
/// that.
#[inline]
#[must_use]
pub fn late_keys_were_set() -> bool {
    WERE_SET.load(Ordering::Relaxed)
}

/// Notes a key that is set late. Returns whether it is watched.
pub(super) fn note_late_key(key: &str) -> bool {
    let is_watched = IS_WATCHED.get().is_some_and(|is_watched| is_watched(key));
    if is_watched && !WERE_SET.load(Ordering::Relaxed) {
        WERE_SET.store(true, Ordering::Relaxed);
    }
    is_watched
}
