//! How a filter that needs a span's values hides the span from sinks.
//!
//! `tracing` calls filters before a span's values exist. A filter that decides by a value
//! (`category = "..."`) therefore lets the span be created and marks it here as hidden. A filter of
//! the whole subscriber puts the mark into the span's extensions. A filter of one layer puts it
//! into a thread-local, for the sink that the same call reaches next. The sinks'
//! [`Capture`](super::Capture) reads the mark in its `on_new_span`, and the span's record then
//! holds the layers from which it is hidden.
//!
//! A filter of one layer can only reach that layer: if it is applied to another crate's layer, or
//! to several of our sinks at once, a hidden span is hidden from the first of our sinks that is
//! called, or from none.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::span::{Attributes, Id};

/// Set once any filter has registered a callsite whose values decide; never reset. One flag for all
/// filters, because finding a filter costs more than checking the value.
static BY_VALUE: AtomicBool = AtomicBool::new(false);

/// Returns whether any callsite has to be checked for its values. Programs without `category`
/// fields pay one load for that.
#[inline]
#[must_use]
pub fn is_value_filtering_enabled() -> bool {
    BY_VALUE.load(Ordering::Relaxed)
}

/// Makes captures check, from now on, whether a filter hides a span by its values.
pub fn enable_value_filtering() {
    BY_VALUE.store(true, Ordering::Relaxed);
}

/// Marks, in the extensions of a span, that a filter of the whole subscriber hides it.
#[derive(Debug)]
pub struct HiddenFromAll;

/// A span's number, and its callsite's address: different subscribers on one thread use the same
/// numbers.
type Noted = (u64, usize);

const NONE: Noted = (0, 0);

thread_local! {
    /// The span that a per-layer filter hides from the layer that is called next.
    static FROM_NEXT: Cell<Noted> = const { Cell::new(NONE) };
}

/// Sets whether the span that is being created is hidden from the next sink that is called. After
/// its first hidden span a filter must call this for every span, because the registry reuses a
/// span's number.
pub fn hide_from_next_sink(attributes: &Attributes<'_>, id: &Id, hidden: bool) {
    let span = noted_as(attributes, id);
    let _ = FROM_NEXT.try_with(|noted| {
        if hidden {
            noted.set(span);
        } else if noted.get() == span {
            noted.set(NONE);
        }
    });
}

fn noted_as(attributes: &Attributes<'_>, id: &Id) -> Noted {
    (id.into_u64(), std::ptr::from_ref(attributes.metadata()).addr())
}

/// Returns whether this span is hidden from the calling sink, by that sink's own filter.
pub(super) fn is_hidden_from_next(attributes: &Attributes<'_>, id: &Id) -> bool {
    let noted = FROM_NEXT.try_with(Cell::get).unwrap_or(NONE);
    if noted == NONE || noted != noted_as(attributes, id) {
        return false;
    }
    let _ = FROM_NEXT.try_with(|noted| noted.set(NONE));
    true
}
